//! Counts what arrives and what doesn't.

use webrtc_sip_core::rtp::RtpPacket;

/// The figures of one receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hearing {
    /// RTP packets.
    pub packets: u64,
    /// Packets that couldn't be decrypted or read.
    pub refused: u64,
    /// Holes in the sequence numbers.
    pub missing: u64,
    highest: Option<u16>,
}

impl Hearing {
    /// Counts a decrypted packet.
    pub fn hear(&mut self, packet: &[u8]) {
        let Ok(packet) = RtpPacket::parse(packet) else {
            self.refused += 1;
            return;
        };
        self.packets += 1;
        let sequence = packet.header.sequence;
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return;
        };
        let ahead = sequence.wrapping_sub(highest);
        if ahead < 1 << 15 {
            self.missing += u64::from(ahead).saturating_sub(1);
            self.highest = Some(sequence);
        } else {
            // Late: it was counted as missing.
            self.missing = self.missing.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_count_until_they_are_filled() {
        let mut hearing = Hearing::default();
        for sequence in [65_534u16, 65_535, 2, 1] {
            let [high, low] = sequence.to_be_bytes();
            hearing.hear(&[0x80, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 1, 0xff]);
        }
        hearing.hear(&[0x80]);
        assert_eq!((hearing.packets, hearing.missing, hearing.refused), (4, 1, 1));
    }
}
