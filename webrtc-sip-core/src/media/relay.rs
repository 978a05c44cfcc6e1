//! One direction of a call whose legs speak the same codec: packets pass through and only their headers change.
//!
//! ```text
//! unprotect_rtp -> Relay::handle_rtp -> protect_rtp -> socket      all in the caller's slot, nothing is allocated
//! ```
//!
//! Gaps and reordering pass through, so that the receiver sees real loss; a change of the sender's source, sequence
//! numbers or timestamps doesn't. Other makers of packets (DTMF) may use the same [`OutgoingSource`] in between.

use std::time::{Duration, Instant};

use crate::io::{DropReason, PacketBuf};
use crate::rtp::header::{self, RtpPacket};
use crate::rtp::source::clock_units;
use crate::rtp::window::Window;
use crate::rtp::{Arrival, OutgoingSource, SequenceTracker};

/// By how much timestamps may run away from the clock before the sender is taken to have started a new count. A stalled
/// network delivers seconds late; a restarted sender is off by hours.
const MAX_TIMESTAMP_JUMP: Duration = Duration::from_secs(4);

/// Marks a payload type that isn't relayed.
const UNMAPPED: u8 = 0xff;

/// Rewrites packets from one leg for the other.
#[derive(Clone, Debug)]
pub struct Relay {
    clock_rate_hz: u32,
    /// Our payload type for each of the sender's.
    payload_types: [u8; 128],
    anchor: Option<Anchor>,
}

/// How the sender's numbers become ours.
#[derive(Clone, Debug)]
struct Anchor {
    ssrc: u32,
    tracker: SequenceTracker,
    /// Duplicates would become packets of ours with the same number.
    relayed: Window,
    /// Older packets were sent under other offsets, or never.
    oldest: u64,
    sequence_offset: u16,
    timestamp_offset: u32,
    /// Our newest sequence number; another in the source means that somebody else sent.
    newest_sent: u16,
    last_timestamp: u32,
    last_arrival: Instant,
}

impl Relay {
    /// A relay that drops everything until payload types are mapped. `clock_rate_hz` is the RTP clock of the codec.
    pub fn new(clock_rate_hz: u32) -> Self {
        Relay { clock_rate_hz, payload_types: [UNMAPPED; 128], anchor: None }
    }

    /// Lets a payload type of the sender's through as `to`.
    pub fn map_payload_type(&mut self, from: u8, to: u8) {
        if let Some(mapped) = self.payload_types.get_mut(usize::from(from)) {
            *mapped = to & 0x7f;
        }
    }

    /// Rewrites a plain RTP packet in place. CSRCs, extension and padding are removed, because they mean something on
    /// one leg only.
    pub fn handle_rtp(
        &mut self,
        now: Instant,
        packet: &mut PacketBuf<'_>,
        source: &mut OutgoingSource,
    ) -> Result<(), DropReason> {
        let mut rewritten = RtpPacket::parse(packet.as_slice()).map_err(|_| DropReason::Malformed)?.header;
        let payload_type = self.payload_types[usize::from(rewritten.payload_type & 0x7f)];
        if payload_type == UNMAPPED {
            return Err(DropReason::UnknownPayloadType);
        }
        header::strip(packet).map_err(|_| DropReason::Malformed)?;
        let (sequence, timestamp) = (rewritten.sequence, rewritten.timestamp);

        let anchor = match &mut self.anchor {
            Some(anchor) if anchor.ssrc == rewritten.ssrc => anchor,
            anchor => anchor.insert(Anchor {
                ssrc: rewritten.ssrc,
                tracker: SequenceTracker::default(),
                relayed: Window::default(),
                oldest: 0,
                sequence_offset: 0,
                timestamp_offset: 0,
                newest_sent: source.sequence(),
                last_timestamp: timestamp,
                last_arrival: now,
            }),
        };
        let newest_before = anchor.tracker.highest();
        let (number, started) = match anchor.tracker.update(sequence) {
            Arrival::Started(number) => (number, true),
            Arrival::Ahead(number) => (number, false),
            Arrival::Behind(number) if !anchor.relayed.is_new(number) => return Err(DropReason::Replayed),
            Arrival::Behind(number) => (number, false),
            Arrival::Suspect => return Err(DropReason::OutOfState),
        };
        if !started && anchor.newest_sent != source.sequence() {
            let others = source.sequence().wrapping_sub(anchor.newest_sent);
            anchor.sequence_offset = anchor.sequence_offset.wrapping_add(others);
            anchor.newest_sent = source.sequence();
            anchor.oldest = newest_before + 1;
        }
        if !started && number < anchor.oldest {
            return Err(DropReason::TooLate);
        }
        if started {
            anchor.sequence_offset = source.sequence().wrapping_add(1).wrapping_sub(sequence);
            anchor.oldest = number;
        }
        if started || (number > newest_before && anchor.timestamp_jumped(now, timestamp, self.clock_rate_hz)) {
            anchor.timestamp_offset = source.next_timestamp(now, self.clock_rate_hz).wrapping_sub(timestamp);
            anchor.oldest = number;
            rewritten.marker = true;
        }
        if number > newest_before {
            anchor.last_timestamp = timestamp;
            anchor.last_arrival = now;
        }
        rewritten.payload_type = payload_type;
        rewritten.ssrc = source.ssrc();
        rewritten.sequence = sequence.wrapping_add(anchor.sequence_offset);
        rewritten.timestamp = timestamp.wrapping_add(anchor.timestamp_offset);
        rewritten.rewrite(packet.as_mut_slice());
        source.sent(now, rewritten.sequence, rewritten.timestamp);
        anchor.newest_sent = source.sequence();
        anchor.relayed.mark(number);
        Ok(())
    }
}

impl Anchor {
    fn timestamp_jumped(&self, now: Instant, timestamp: u32, clock_rate_hz: u32) -> bool {
        let elapsed = clock_units(now.saturating_duration_since(self.last_arrival), clock_rate_hz);
        let off = timestamp.wrapping_sub(self.last_timestamp).wrapping_sub(elapsed) as i32;
        off.unsigned_abs() > clock_units(MAX_TIMESTAMP_JUMP, clock_rate_hz)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rtp::RtpHeader;

    struct Setup {
        start: Instant,
        relay: Relay,
        source: OutgoingSource,
    }

    impl Setup {
        fn new() -> Self {
            let mut relay = Relay::new(8_000);
            relay.map_payload_type(0, 0);
            relay.map_payload_type(101, 96);
            Setup { start: Instant::now(), relay, source: OutgoingSource::new(0xaaaa, 1_000, 50_000) }
        }

        /// Relays a packet that arrives `ms` after the start.
        fn relay(&mut self, ms: u64, ssrc: u32, sequence: u16, timestamp: u32) -> Result<RtpHeader, DropReason> {
            let header = RtpHeader { payload_type: 0, marker: false, sequence, timestamp, ssrc };
            let mut slot = [0; 64];
            let mut packet = PacketBuf::empty(&mut slot, 0);
            header.write_packet(b"payload", &mut packet).unwrap();
            self.relay.handle_rtp(self.start + Duration::from_millis(ms), &mut packet, &mut self.source)?;
            let parsed = RtpPacket::parse(packet.as_slice()).unwrap();
            assert_eq!(parsed.payload, b"payload");
            Ok(parsed.header)
        }
    }

    fn numbers(header: RtpHeader) -> (u16, u32, bool) {
        assert_eq!(header.ssrc, 0xaaaa);
        (header.sequence, header.timestamp, header.marker)
    }

    #[test]
    fn gaps_and_reordering_pass_through() {
        let mut setup = Setup::new();
        assert_eq!(setup.relay(0, 1, 65_534, 0).map(numbers), Ok((1_000, 50_000, true)));
        assert_eq!(setup.relay(60, 1, 1, 480).map(numbers), Ok((1_003, 50_480, false)));
        assert_eq!(setup.relay(61, 1, 65_535, 160).map(numbers), Ok((1_001, 50_160, false)));
        assert_eq!(setup.relay(61, 1, 1, 480), Err(DropReason::Replayed));
        assert_eq!(setup.relay(80, 1, 2, 640).map(numbers), Ok((1_004, 50_640, false)));
    }

    #[test]
    fn a_new_source_continues_ours() {
        let mut setup = Setup::new();
        setup.relay(0, 1, 10, 0).unwrap();
        setup.relay(20, 1, 11, 160).unwrap();
        assert_eq!(setup.relay(100, 2, 40_000, 9_999_999).map(numbers), Ok((1_002, 50_800, true)));
        assert_eq!(setup.relay(120, 2, 40_001, 10_000_159).map(numbers), Ok((1_003, 50_960, false)));
        // Back to the first one, at the same moment: the timestamp still moves on.
        assert_eq!(setup.relay(120, 1, 12, 320).map(numbers), Ok((1_004, 51_040, true)));
    }

    #[test]
    fn jumps_of_the_same_source_are_hidden() {
        let mut setup = Setup::new();
        setup.relay(0, 1, 10, 0).unwrap();
        assert_eq!(setup.relay(20, 1, 11, 3_000_000_000).map(numbers), Ok((1_001, 50_160, true)));
        assert_eq!(setup.relay(40, 1, 12, 3_000_000_160).map(numbers), Ok((1_002, 50_320, false)));
        assert_eq!(setup.relay(60, 1, 30_000, 3_000_000_320), Err(DropReason::OutOfState));
        assert_eq!(setup.relay(80, 1, 30_001, 3_000_000_480).map(numbers), Ok((1_003, 50_640, true)));
        // A pause in speech is no jump.
        assert_eq!(setup.relay(60_080, 1, 30_002, 3_000_480_480).map(numbers), Ok((1_004, 530_640, false)));
    }

    #[test]
    fn packets_made_in_between_shift_ours() {
        let mut setup = Setup::new();
        setup.relay(0, 1, 10, 0).unwrap();
        let at = setup.start + Duration::from_millis(10);
        setup.source.next_header(at, 96, true, 50_080);
        setup.source.next_header(at, 96, false, 50_080);
        assert_eq!(setup.relay(40, 1, 12, 320).map(numbers), Ok((1_004, 50_320, false)));
        assert_eq!(setup.relay(41, 1, 11, 160).map(numbers), Ok((1_003, 50_160, false)));
        setup.source.next_header(at, 96, false, 50_080);
        assert_eq!(setup.relay(80, 1, 14, 640).map(numbers), Ok((1_007, 50_640, false)));
        assert_eq!(setup.relay(81, 1, 13, 480).map(numbers), Ok((1_006, 50_480, false)));
        assert_eq!(setup.relay(100, 1, 16, 960).map(numbers), Ok((1_009, 50_960, false)));
        setup.source.next_header(at, 96, false, 50_080);
        assert_eq!(setup.relay(101, 1, 15, 800), Err(DropReason::TooLate));
        assert_eq!(setup.relay(120, 1, 17, 1_120).map(numbers), Ok((1_011, 51_120, false)));
    }

    #[test]
    fn only_mapped_payload_types_pass() {
        let mut setup = Setup::new();
        let mut slot = [0; 64];
        let mut packet = PacketBuf::empty(&mut slot, 0);
        let header = RtpHeader { payload_type: 101, marker: false, sequence: 1, timestamp: 1, ssrc: 1 };
        header.write_packet(b"", &mut packet).unwrap();
        setup.relay.handle_rtp(setup.start, &mut packet, &mut setup.source).unwrap();
        assert_eq!(RtpPacket::parse(packet.as_slice()).unwrap().header.payload_type, 96);
        RtpHeader { payload_type: 102, ..header }.write_packet(b"", &mut packet).unwrap();
        let refused = setup.relay.handle_rtp(setup.start, &mut packet, &mut setup.source);
        assert_eq!(refused, Err(DropReason::UnknownPayloadType));
        assert!(setup.relay.handle_rtp(setup.start, &mut PacketBuf::empty(&mut [0; 4], 0), &mut setup.source).is_err());
    }

    proptest! {
        /// Whatever the sender does, no sequence number of ours is used twice and none is far off.
        #[test]
        fn our_numbers_are_unique_and_near(
            packets in proptest::collection::vec((0u64..40, 0u32..3, -20i32..20, any::<bool>(), any::<bool>()), 1..200)
        ) {
            let mut setup = Setup::new();
            let mut used = std::collections::BTreeSet::new();
            let (mut ms, mut next) = (0, [0u16, 20_000, 40_000]);
            let mut newest = 999u16;
            for (step, ssrc, distance, jump, insert) in packets {
                ms += step;
                let sequence = next[ssrc as usize].wrapping_add(distance as u16).wrapping_add(u16::from(jump) * 31_000);
                next[ssrc as usize] = sequence.wrapping_add(1);
                if insert {
                    let at = setup.start + Duration::from_millis(ms);
                    let header = setup.source.next_header(at, 0, false, 0);
                    prop_assert!(used.insert(header.sequence));
                    newest = header.sequence;
                }
                if let Ok(header) = setup.relay(ms, ssrc, sequence, ms as u32 * 8) {
                    prop_assert!(used.insert(header.sequence), "{} used twice", header.sequence);
                    let ahead = header.sequence.wrapping_sub(newest) as i16;
                    prop_assert!(ahead.abs() < 100, "{ahead} ahead");
                    if ahead > 0 {
                        newest = header.sequence;
                    }
                }
            }
        }
    }
}
