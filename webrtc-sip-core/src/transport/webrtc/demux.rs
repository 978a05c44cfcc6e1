//! Telling STUN, DTLS, SRTP and SRTCP apart on one socket.

/// What a datagram is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// RFC 8489.
    Stun,
    /// A DTLS record.
    Dtls,
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP.
    Rtcp,
}

impl PacketKind {
    /// RFC 7983 section 7 by the first byte, RFC 5761 section 4 between RTP and RTCP by the second. None for anything
    /// else, including what is too short to be any of them.
    pub fn of(packet: &[u8]) -> Option<PacketKind> {
        let (&first, &second) = (packet.first()?, packet.get(1)?);
        match first {
            0..=3 => Some(PacketKind::Stun),
            20..=63 => Some(PacketKind::Dtls),
            128..=191 if (192..=223).contains(&second) => Some(PacketKind::Rtcp),
            128..=191 => Some(PacketKind::Rtp),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_rfcs() {
        let kind = |first: u8, second: u8| PacketKind::of(&[first, second]);
        assert_eq!(kind(3, 0), Some(PacketKind::Stun));
        assert_eq!(kind(4, 0), None);
        assert_eq!(kind(16, 0), None, "ZRTP");
        assert_eq!(kind(20, 254), Some(PacketKind::Dtls));
        assert_eq!(kind(63, 0), Some(PacketKind::Dtls));
        assert_eq!(kind(64, 0), None, "TURN channel");
        assert_eq!(kind(128, 0), Some(PacketKind::Rtp));
        assert_eq!(kind(191, 127), Some(PacketKind::Rtp));
        assert_eq!(kind(128, 200), Some(PacketKind::Rtcp));
        assert_eq!(kind(129, 224), Some(PacketKind::Rtp));
        assert_eq!(kind(192, 0), None);
        assert_eq!(PacketKind::of(&[128]), None);
        assert_eq!(PacketKind::of(&[]), None);
    }
}
