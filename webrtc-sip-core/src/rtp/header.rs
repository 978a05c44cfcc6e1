//! The RTP header (RFC 3550 section 5.1): reading, rewriting in place, and stripping.

use rtp_rs::RtpReader;

use crate::io::{NoRoom, PacketBuf};

/// Length of an RTP header without CSRCs and extension, in bytes.
pub const FIXED_HEADER_LEN: usize = 12;

/// Why a packet isn't RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Shorter than its header says.
    #[error("the RTP packet is truncated")]
    Truncated,
    /// Not RTP version 2.
    #[error("the RTP version is not 2")]
    Version,
    /// The padding count is 0 or larger than the payload.
    #[error("the RTP padding is invalid")]
    Padding,
}

/// The fields of an RTP header that matter to a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// 0 to 127.
    pub payload_type: u8,
    /// The first packet of a talk spurt (RFC 3551 section 4.1).
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in units of the payload format's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

/// A parsed RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpPacket<'a> {
    /// Its header.
    pub header: RtpHeader,
    /// Its payload, without padding; may be empty.
    pub payload: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Parses a plain (decrypted) packet.
    pub fn parse(packet: &'a [u8]) -> Result<Self, HeaderError> {
        // The length check comes first so that the reader only reports padding errors.
        header_len(packet)?;
        let reader = RtpReader::new(packet).map_err(|_| HeaderError::Padding)?;
        let header = RtpHeader {
            payload_type: reader.payload_type(),
            marker: reader.mark(),
            sequence: reader.sequence_number().into(),
            timestamp: reader.timestamp(),
            ssrc: reader.ssrc(),
        };
        Ok(RtpPacket { header, payload: reader.payload() })
    }
}

impl RtpHeader {
    /// The header as the 12 bytes that stand on the wire, without padding, extension and CSRCs.
    pub fn to_bytes(&self) -> [u8; FIXED_HEADER_LEN] {
        let mut bytes = [0; FIXED_HEADER_LEN];
        bytes[0] = 0x80;
        self.rewrite(&mut bytes);
        bytes
    }

    /// Writes the fields over those of the packet, and leaves its CSRCs, extension, padding and payload alone. Does
    /// nothing to a packet shorter than a header.
    pub fn rewrite(&self, packet: &mut [u8]) {
        let Some(fixed) = packet.first_chunk_mut::<FIXED_HEADER_LEN>() else { return };
        fixed[1] = u8::from(self.marker) << 7 | (self.payload_type & 0x7f);
        fixed[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        fixed[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        fixed[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
    }

    /// Makes `out` a packet of this header and `payload`, from its current start on.
    pub fn write_packet(&self, payload: &[u8], out: &mut PacketBuf<'_>) -> Result<(), NoRoom> {
        if out.tailroom() + out.len() < FIXED_HEADER_LEN + payload.len() {
            return Err(NoRoom);
        }
        out.truncate(0);
        out.extend_from_slice(&self.to_bytes())?;
        out.extend_from_slice(payload)
    }
}

/// Length of the header with its CSRCs and extension, in bytes. Looks only at what SRTP leaves in the clear, so it can
/// be called before decryption (RFC 3711 section 3.1).
pub fn header_len(packet: &[u8]) -> Result<usize, HeaderError> {
    let first = *packet.first().ok_or(HeaderError::Truncated)?;
    if first >> 6 != 2 {
        return Err(HeaderError::Version);
    }
    let mut len = FIXED_HEADER_LEN + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        // RFC 3550 section 5.3.1: a 16-bit profile word, then the count of 32-bit words that follow.
        let words = packet.get(len + 2..len + 4).ok_or(HeaderError::Truncated)?;
        len += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    if packet.len() < len {
        return Err(HeaderError::Truncated);
    }
    Ok(len)
}

/// Sequence number of a packet of at least 12 bytes.
pub(crate) fn sequence(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

/// Synchronisation source of a packet of at least 12 bytes.
pub(crate) fn ssrc(packet: &[u8]) -> u32 {
    u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]])
}

/// Removes CSRCs, extension and padding, so that a 12-byte header and the payload are left. Extension numbers and CSRCs
/// mean something on one leg only (RFC 8285 section 5), so they don't cross a back-to-back gateway. The payload isn't
/// moved; the packet's start is.
pub fn strip(packet: &mut PacketBuf<'_>) -> Result<(), HeaderError> {
    let bytes = packet.as_mut_slice();
    let header_len = header_len(bytes)?;
    let mut end = bytes.len();
    if bytes[0] & 0x20 != 0 {
        let padding = usize::from(bytes[end - 1]);
        if padding == 0 || header_len + padding > end {
            return Err(HeaderError::Padding);
        }
        end -= padding;
    }
    bytes[0] = 0x80;
    bytes.copy_within(..FIXED_HEADER_LEN, header_len - FIXED_HEADER_LEN);
    packet.truncate(end);
    packet.trim_front(header_len - FIXED_HEADER_LEN);
    Ok(())
}

/// Whether a packet on a socket that carries both is RTCP rather than RTP (RFC 5761 section 4).
pub fn is_rtcp(packet: &[u8]) -> bool {
    packet.get(1).is_some_and(|byte| (192..=223).contains(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_data;

    fn shared(name: &str) -> Option<Vec<u8>> {
        test_data::path(&format!("rtp/{name}")).map(|path| std::fs::read(path).expect("the shared file is readable"))
    }

    #[test]
    fn shared_packets_are_read() {
        let Some(plain) = shared("rtp.bin") else { return };
        let packet = RtpPacket::parse(&plain).unwrap();
        assert_eq!((packet.header.payload_type, packet.payload.len()), (0, 160));
        let csrc = shared("rtp_with_csrc.bin").unwrap();
        assert_eq!(RtpPacket::parse(&csrc).unwrap().payload.len(), csrc.len() - 20);
        let dtmf = shared("rtp_dtmf.bin").unwrap();
        assert_eq!(RtpPacket::parse(&dtmf).unwrap().payload.len(), 4);
        for name in ["rtp_only_padding.bin", "rtp_only_padding_with_header_extensions.bin"] {
            assert_eq!(RtpPacket::parse(&shared(name).unwrap()).unwrap().payload, b"");
        }
        let mid = shared("rtp_with_sdes_mid.bin").unwrap();
        assert!(header_len(&mid).unwrap() > FIXED_HEADER_LEN);
    }

    #[test]
    fn stripping_leaves_header_and_payload() {
        // One CSRC, a one-word extension, payload "speech", two bytes of padding.
        let mut slot = [0u8; 64];
        let mut packet = PacketBuf::empty(&mut slot, 8);
        packet.extend_from_slice(&[0xb1, 0x80 | 111, 0, 7, 0, 0, 0, 9, 1, 2, 3, 4]).unwrap();
        packet.extend_from_slice(&[9, 9, 9, 9, 0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0]).unwrap();
        packet.extend_from_slice(b"speech\0\x02").unwrap();
        let before = RtpPacket::parse(packet.as_slice()).unwrap().header;
        strip(&mut packet).unwrap();
        assert_eq!(packet.len(), 12 + 6);
        let after = RtpPacket::parse(packet.as_slice()).unwrap();
        assert_eq!((after.header, after.payload), (before, &b"speech"[..]));
        assert_eq!(packet.as_slice()[..12], before.to_bytes());
    }

    #[test]
    fn padding_that_cannot_be_is_refused() {
        for padding in [0u8, 3, 200] {
            let mut slot = [0xa0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, padding];
            assert_eq!(RtpPacket::parse(&slot), Err(HeaderError::Padding));
            let len = slot.len();
            assert_eq!(strip(&mut PacketBuf::filled(&mut slot, 0, len)), Err(HeaderError::Padding));
        }
        let mut header_only = [0xa0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
        assert_eq!(RtpPacket::parse(&header_only), Err(HeaderError::Padding));
        assert_eq!(strip(&mut PacketBuf::filled(&mut header_only, 0, 12)), Err(HeaderError::Padding));
    }

    #[test]
    fn rtcp_is_told_from_rtp() {
        assert!(is_rtcp(&[0x80, 200]) && is_rtcp(&[0x80, 207]));
        // Payload type 0 with marker, payload type 111 with marker.
        assert!(!is_rtcp(&[0x80, 128]) && !is_rtcp(&[0x80, 239]) && !is_rtcp(&[0x80]));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_and_strip_alike(bytes in proptest::collection::vec(any::<u8>(), 0..80), fix in any::<bool>()) {
            let mut bytes = bytes;
            if let (true, Some(first)) = (fix, bytes.first_mut()) {
                *first = 0x80 | (*first & 0x3f);
            }
            let parsed = RtpPacket::parse(&bytes).map(|p| (p.header, p.payload.to_vec()));
            let len = bytes.len();
            let mut copy = bytes.clone();
            let mut packet = PacketBuf::filled(&mut copy, 0, len);
            let stripped = strip(&mut packet);
            prop_assert_eq!(parsed.as_ref().err(), stripped.as_ref().err());
            if let Ok((header, payload)) = parsed {
                let again = RtpPacket::parse(packet.as_slice()).unwrap();
                prop_assert_eq!((again.header, again.payload.to_vec()), (header, payload));
                prop_assert_eq!(packet.len(), FIXED_HEADER_LEN + again.payload.len());
            }
        }

        #[test]
        fn what_is_written_is_read(pt in 0u8..128, marker: bool, sequence: u16, timestamp: u32, ssrc: u32) {
            let header = RtpHeader { payload_type: pt, marker, sequence, timestamp, ssrc };
            let mut slot = [0u8; 32];
            let mut packet = PacketBuf::empty(&mut slot, 4);
            header.write_packet(b"payload", &mut packet).unwrap();
            let read = RtpPacket::parse(packet.as_slice()).unwrap();
            prop_assert_eq!((read.header, read.payload), (header, &b"payload"[..]));
        }
    }
}
