//! RTCP (RFC 3550 section 6): reports, CNAME and BYE. Parsing is strict; what a gateway has no use for (feedback,
//! extended reports) is checked and passed over. Writing allocates nothing.

use std::time::{Duration, Instant, SystemTime};

use rtcp_types::Packet;
use rtcp_types::prelude::RtcpPacketParser;
use smallvec::SmallVec;

use crate::io::{NoRoom, PacketBuf};

/// Longest CNAME (RFC 3550 section 6.5).
const MAX_CNAME: usize = 255;
/// Most report blocks that are written.
const MAX_BLOCKS: usize = 31;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
/// The CNAME item of a source description.
const CNAME: u8 = 1;

/// Why a packet isn't RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RtcpError {
    /// It violates the syntax of RFC 3550 or of the feedback message it contains.
    #[error("the RTCP packet is malformed")]
    Malformed,
}

/// What the other side says about a source of ours, or we about one of its (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source that it is about.
    pub ssrc: u32,
    /// Share of packets lost since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost in all, in 24 bits with sign; negative when duplicates outweigh.
    pub cumulative_lost: i32,
    /// Highest sequence number, with the count of wraps in its upper half.
    pub highest_sequence: u32,
    /// Interarrival jitter in units of the RTP clock.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report; 0 for none.
    pub last_sender_report: u32,
    /// Time since it arrived, in 1/65,536 s.
    pub delay_since_last: u32,
}

/// What a sender says about itself (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// NTP time, 32.32 bits, of the report.
    pub ntp: u64,
    /// RTP timestamp of the same moment.
    pub rtp_timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub octets: u32,
}

/// What matters of a compound packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RtcpReport {
    /// Who reports; none when there is neither a sender nor a receiver report (reduced size, RFC 5506).
    pub ssrc: Option<u32>,
    /// Of the sender report, if there is one.
    pub sender_info: Option<SenderInfo>,
    /// All report blocks.
    pub blocks: SmallVec<[ReportBlock; 4]>,
    /// Sources that leave.
    pub bye: SmallVec<[u32; 2]>,
}

/// Parses a plain (decrypted) compound packet.
pub fn parse(packet: &[u8]) -> Result<RtcpReport, RtcpError> {
    let mut report = RtcpReport::default();
    let mut rest = packet;
    loop {
        let [first, kind, high, low] = *rest.first_chunk::<4>().ok_or(RtcpError::Malformed)?;
        let len = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        let (one, others) = rest.split_at_checked(len).ok_or(RtcpError::Malformed)?;
        let padding = if first & 0x20 == 0 { 0 } else { usize::from(one[len - 1]) };
        if first & 0x20 != 0 {
            // RFC 3550 section 6.4.1: only the last packet is padded, in whole words.
            let whole = padding > 0 && padding.is_multiple_of(4) && padding + 4 <= len;
            if !whole || !others.is_empty() {
                return Err(RtcpError::Malformed);
            }
        }
        match kind {
            BYE => report.add_bye(one, len - padding)?,
            // The parser would take padding for items.
            SOURCE_DESCRIPTION if padding > 0 && first >> 6 == 2 => {}
            _ => report.add(&Packet::parse(one).map_err(|_| RtcpError::Malformed)?),
        }
        if others.is_empty() {
            return Ok(report);
        }
        rest = others;
    }
}

impl RtcpReport {
    fn add(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Sr(sender) => {
                self.ssrc = Some(sender.ssrc());
                self.sender_info = Some(SenderInfo {
                    ntp: sender.ntp_timestamp(),
                    rtp_timestamp: sender.rtp_timestamp(),
                    packets: sender.packet_count(),
                    octets: sender.octet_count(),
                });
                self.blocks.extend(sender.report_blocks().map(|block| ReportBlock::from(&block)));
            }
            Packet::Rr(receiver) => {
                self.ssrc = self.ssrc.or(Some(receiver.ssrc()));
                self.blocks.extend(receiver.report_blocks().map(|block| ReportBlock::from(&block)));
            }
            _ => {}
        }
    }

    /// RFC 3550 section 6.6: sources, then perhaps a reason with its length before it.
    fn add_bye(&mut self, packet: &[u8], len: usize) -> Result<(), RtcpError> {
        let sources_end = 4 + 4 * usize::from(packet[0] & 0x1f);
        let content = packet.get(..len).ok_or(RtcpError::Malformed)?;
        let (sources, reason) = content.split_at_checked(sources_end).ok_or(RtcpError::Malformed)?;
        let reason_fits = reason.first().is_none_or(|len| usize::from(*len) < reason.len());
        if packet[0] >> 6 != 2 || !reason_fits {
            return Err(RtcpError::Malformed);
        }
        self.bye.extend(sources[4..].as_chunks::<4>().0.iter().map(|ssrc| u32::from_be_bytes(*ssrc)));
        Ok(())
    }
}

impl From<&rtcp_types::ReportBlock<'_>> for ReportBlock {
    fn from(block: &rtcp_types::ReportBlock<'_>) -> Self {
        ReportBlock {
            ssrc: block.ssrc(),
            fraction_lost: block.fraction_lost(),
            // 24 bits with sign.
            cumulative_lost: ((block.cumulative_lost() << 8) as i32) >> 8,
            highest_sequence: block.extended_sequence_number(),
            jitter: block.interarrival_jitter(),
            last_sender_report: block.last_sender_report_timestamp(),
            delay_since_last: block.delay_since_last_sender_report_timestamp(),
        }
    }
}

/// A compound packet to be written: a sender report if there is something to say about what was sent, else a receiver
/// report, then the CNAME (RFC 3550 section 6.1), then BYE if we leave.
#[derive(Clone, Copy, Debug)]
pub struct RtcpWriter<'a> {
    /// Our source.
    pub ssrc: u32,
    /// Its canonical name; cut at 255 bytes.
    pub cname: &'a str,
    /// When we sent.
    pub sender_info: Option<SenderInfo>,
    /// About what we receive; the first 31 are written.
    pub blocks: &'a [ReportBlock],
    /// Whether we leave.
    pub bye: bool,
}

impl RtcpWriter<'_> {
    /// Makes `out` this packet, from its current start on.
    pub fn write(&self, out: &mut PacketBuf<'_>) -> Result<(), NoRoom> {
        out.truncate(0);
        let blocks = &self.blocks[..self.blocks.len().min(MAX_BLOCKS)];
        let (kind, info_len) = if self.sender_info.is_some() { (SENDER_REPORT, 20) } else { (RECEIVER_REPORT, 0) };
        write_header(out, blocks.len(), kind, 4 + info_len + 24 * blocks.len())?;
        out.extend_from_slice(&self.ssrc.to_be_bytes())?;
        if let Some(info) = &self.sender_info {
            out.extend_from_slice(&info.ntp.to_be_bytes())?;
            for word in [info.rtp_timestamp, info.packets, info.octets] {
                out.extend_from_slice(&word.to_be_bytes())?;
            }
        }
        for block in blocks {
            let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
            let loss = u32::from(block.fraction_lost) << 24 | lost;
            let (last, delay) = (block.last_sender_report, block.delay_since_last);
            for word in [block.ssrc, loss, block.highest_sequence, block.jitter, last, delay] {
                out.extend_from_slice(&word.to_be_bytes())?;
            }
        }
        self.write_cname(out)?;
        if self.bye {
            write_header(out, 1, BYE, 4)?;
            out.extend_from_slice(&self.ssrc.to_be_bytes())?;
        }
        Ok(())
    }

    fn write_cname(&self, out: &mut PacketBuf<'_>) -> Result<(), NoRoom> {
        let mut len = self.cname.len().min(MAX_CNAME);
        while !self.cname.is_char_boundary(len) {
            len -= 1;
        }
        // At least one zero byte ends the list of items, and the chunk is filled up to a word (section 6.5).
        let padding = 4 - (2 + len) % 4;
        write_header(out, 1, SOURCE_DESCRIPTION, 4 + 2 + len + padding)?;
        out.extend_from_slice(&self.ssrc.to_be_bytes())?;
        out.extend_from_slice(&[CNAME, len as u8])?;
        out.extend_from_slice(&self.cname.as_bytes()[..len])?;
        out.extend_from_slice(&[0; 4][..padding])
    }
}

/// `body_len` is a multiple of 4; the length field counts words without the header's own.
fn write_header(out: &mut PacketBuf<'_>, count: usize, kind: u8, body_len: usize) -> Result<(), NoRoom> {
    let words = (body_len / 4) as u16;
    let [high, low] = words.to_be_bytes();
    out.extend_from_slice(&[0x80 | count as u8, kind, high, low])
}

/// NTP time (RFC 3550 section 4) on top of the monotonic clock. Round trips only need it to run evenly; lip
/// synchronisation and logs want it to be right.
#[derive(Clone, Copy, Debug)]
pub struct NtpClock {
    at: Instant,
    ntp: u64,
}

impl NtpClock {
    /// Seconds from 1900 to 1970.
    const UNIX_EPOCH: u64 = 2_208_988_800;

    /// A clock that shows `wall_clock` at `now`.
    pub fn new(now: Instant, wall_clock: SystemTime) -> Self {
        let unix = wall_clock.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        NtpClock { at: now, ntp: (Self::UNIX_EPOCH << 32).wrapping_add(to_ntp(unix)) }
    }

    /// NTP time at `now`, 32.32 bits.
    pub fn ntp(&self, now: Instant) -> u64 {
        self.ntp.wrapping_add(to_ntp(now.saturating_duration_since(self.at)))
    }

    /// The middle 32 bits of NTP time, in 1/65,536 s, as reports refer to it.
    pub fn middle(&self, now: Instant) -> u32 {
        middle(self.ntp(now))
    }
}

/// The middle 32 bits of an NTP time.
pub(super) fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

fn to_ntp(duration: Duration) -> u64 {
    let fraction = (u64::from(duration.subsec_nanos()) << 32) / 1_000_000_000;
    (duration.as_secs() << 32).wrapping_add(fraction)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_data;

    #[test]
    fn shared_packets_are_read_or_refused() {
        let Some(folder) = test_data::path("rtp") else { return };
        let read = |name: &str| parse(&std::fs::read(folder.join(name)).unwrap());
        for name in [
            "rtcp_bye_invalid.bin",
            "rtcp_psfb_invalid.bin",
            "rtcp_rr_invalid.bin",
            "rtcp_rtpfb_invalid.bin",
            "rtcp_sr_invalid.bin",
            "rtcp_sdes_item_truncated.bin",
            "rtcp_sdes_source_truncated.bin",
        ] {
            assert_eq!(read(name), Err(RtcpError::Malformed), "{name}");
        }
        for name in
            ["rtcp_bye_no_sources.bin", "rtcp_bye_padding.bin", "rtcp_psfb_pli.bin", "rtcp_rtpfb.bin", "rtcp_sdes.bin"]
        {
            assert_eq!(read(name), Ok(RtcpReport::default()), "{name}");
        }
        assert_eq!(read("rtcp_bye.bin").unwrap().bye[..], [0xae52_8b43]);
        let block = ReportBlock { highest_sequence: 630, jitter: 1_906, ssrc: 0x4794_37af, ..ReportBlock::default() };
        let receiver = read("rtcp_rr.bin").unwrap();
        assert_eq!((receiver.ssrc, &receiver.blocks[..]), (Some(0x30b6_8407), &[block][..]));
        let sender = read("rtcp_sr.bin").unwrap();
        let info = SenderInfo { ntp: 0xde46_475b_151a_005c, rtp_timestamp: 0x66a8_dd3e, packets: 269, octets: 13_557 };
        assert_eq!((sender.ssrc, sender.sender_info), (Some(0x6d24_53ea), Some(info)));
        assert_eq!(sender.blocks[0].highest_sequence, 246);
    }

    fn written(writer: &RtcpWriter<'_>) -> Vec<u8> {
        let mut slot = [0; 1_500];
        let mut out = PacketBuf::empty(&mut slot, 0);
        writer.write(&mut out).unwrap();
        out.as_slice().to_vec()
    }

    #[test]
    fn too_little_room_is_an_error() {
        let writer = RtcpWriter { ssrc: 1, cname: "name", sender_info: None, blocks: &[], bye: true };
        let whole = written(&writer).len();
        for room in 0..whole {
            let mut slot = vec![0; room];
            assert_eq!(writer.write(&mut PacketBuf::empty(&mut slot, 0)), Err(NoRoom));
        }
    }

    #[test]
    fn ntp_time_is_that_of_the_wall_clock() {
        let now = Instant::now();
        let clock = NtpClock::new(now, SystemTime::UNIX_EPOCH + Duration::from_millis(500));
        assert_eq!(clock.ntp(now), 2_208_988_800 << 32 | 1 << 31);
        assert_eq!(clock.ntp(now + Duration::from_millis(500)), 2_208_988_801 << 32);
        assert_eq!(clock.middle(now), (2_208_988_800u64 << 16) as u32 | 0x8000);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            ssrc: u32,
            cname in "\\PC{0,300}",
            info in proptest::option::of((any::<u64>(), any::<[u32; 3]>())),
            blocks in proptest::collection::vec((any::<[u32; 5]>(), any::<u8>(), -0x80_0000i32..0x7f_ffff), 0..8),
            bye: bool,
        ) {
            let sender_info = info.map(|(ntp, [rtp_timestamp, packets, octets])| SenderInfo { ntp, rtp_timestamp, packets, octets });
            let blocks: Vec<_> = blocks.into_iter().map(|([ssrc, a, b, c, d], fraction_lost, cumulative_lost)| ReportBlock {
                ssrc, fraction_lost, cumulative_lost, highest_sequence: a, jitter: b, last_sender_report: c, delay_since_last: d,
            }).collect();
            let bytes = written(&RtcpWriter { ssrc, cname: &cname, sender_info, blocks: &blocks, bye });
            prop_assert_eq!(bytes.len() % 4, 0);
            let read = parse(&bytes).unwrap();
            prop_assert_eq!(read.ssrc, Some(ssrc));
            prop_assert_eq!(read.sender_info, sender_info);
            prop_assert_eq!(&read.blocks[..], &blocks[..]);
            prop_assert_eq!(&read.bye[..], if bye { &[ssrc][..] } else { &[] });
        }

        #[test]
        fn arbitrary_bytes_do_no_harm(
            bytes in proptest::collection::vec(any::<u8>(), 0..120),
            kinds in proptest::collection::vec((0u8..32, 200u8..208, 0u8..12, any::<bool>()), 0..4),
        ) {
            let _ = parse(&bytes);
            // Well-formed headers before arbitrary content get further.
            let mut compound = Vec::new();
            for (count, kind, words, padding) in kinds {
                compound.extend([0x80 | u8::from(padding) << 5 | count, kind, 0, words]);
                compound.extend(bytes.iter().cycle().take(if bytes.is_empty() { 0 } else { usize::from(words) * 4 }));
            }
            let _ = parse(&compound);
        }
    }
}
