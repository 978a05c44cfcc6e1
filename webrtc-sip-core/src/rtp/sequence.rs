//! Sequence numbers made unambiguous (RFC 3550 appendix A.1): wraps are counted, and a source that starts over is told
//! from a stray packet.

/// Packets that may be missing in a row before a gap counts as a new start (RFC 3550 appendix A.1).
const MAX_DROPOUT: i32 = 3_000;
/// Packets by which one may be late before it counts as a new start (RFC 3550 appendix A.1).
const MAX_MISORDER: i32 = 100;

/// Follows the sequence numbers of one source.
#[derive(Clone, Debug, Default)]
pub struct SequenceTracker {
    /// Extended sequence number of the newest packet; 0 before the first.
    highest: u64,
    /// What comes next if the last packet, which was far off, began a new count.
    expected_restart: Option<u16>,
}

/// Where a packet stands in its source's order. The number is the extended sequence number: it grows by one with each
/// packet sent, however often the 16 bits wrap or start over; the first one is at least 65,536.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The first packet, or the second of a source that started over.
    Started(u64),
    /// Newer than all before.
    Ahead(u64),
    /// Late, or a duplicate.
    Behind(u64),
    /// Far off, and nothing confirms yet that the source started over: not to be used.
    Suspect,
}

impl SequenceTracker {
    /// Places a packet.
    pub fn update(&mut self, sequence: u16) -> Arrival {
        if self.highest == 0 {
            return self.start(sequence);
        }
        let distance = i32::from(sequence.wrapping_sub(self.highest as u16) as i16);
        if (1..MAX_DROPOUT).contains(&distance) {
            self.expected_restart = None;
            self.highest += distance as u64;
            return Arrival::Ahead(self.highest);
        }
        if (-MAX_MISORDER..=0).contains(&distance) {
            return Arrival::Behind(self.highest - u64::from(distance.unsigned_abs()));
        }
        if self.expected_restart == Some(sequence) {
            return self.start(sequence);
        }
        self.expected_restart = Some(sequence.wrapping_add(1));
        Arrival::Suspect
    }

    /// Extended sequence number of the newest packet; 0 before the first.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// Numbers of different counts never meet: a new count begins at least 65,536 further on.
    fn start(&mut self, sequence: u16) -> Arrival {
        let cycles = if self.highest == 0 { 1 } else { (self.highest >> 16) + 2 };
        self.highest = cycles << 16 | u64::from(sequence);
        self.expected_restart = None;
        Arrival::Started(self.highest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wraps_are_counted_and_late_packets_placed() {
        let mut tracker = SequenceTracker::default();
        assert_eq!(tracker.update(65_534), Arrival::Started(0x1_fffe));
        assert_eq!(tracker.update(1), Arrival::Ahead(0x2_0001));
        assert_eq!(tracker.update(65_535), Arrival::Behind(0x1_ffff));
        assert_eq!(tracker.update(1), Arrival::Behind(0x2_0001));
        let mut early = SequenceTracker::default();
        early.update(3);
        assert_eq!(early.update(65_530), Arrival::Behind(0xfffa));
    }

    #[test]
    fn a_new_count_needs_two_packets_in_a_row() {
        let mut tracker = SequenceTracker::default();
        tracker.update(100);
        assert_eq!(tracker.update(30_000), Arrival::Suspect);
        assert_eq!(tracker.update(101), Arrival::Ahead(0x1_0065));
        assert_eq!(tracker.update(30_001), Arrival::Suspect);
        assert_eq!(tracker.update(30_002), Arrival::Started(3 << 16 | 30_002));
        assert_eq!(tracker.update(30_003), Arrival::Ahead(3 << 16 | 30_003));
        assert_eq!(tracker.update(102), Arrival::Suspect);
    }

    proptest! {
        #[test]
        fn steps_within_the_limits_are_followed_exactly(first: u16, steps in proptest::collection::vec(-99i64..2_999, 0..200)) {
            let mut tracker = SequenceTracker::default();
            tracker.update(first);
            let mut highest = 65_536 + i64::from(first);
            for step in steps {
                let at = highest + step;
                let expected = if at > highest { Arrival::Ahead(at as u64) } else { Arrival::Behind(at as u64) };
                prop_assert_eq!(tracker.update(at as u16), expected);
                highest = highest.max(at);
            }
        }
    }
}
