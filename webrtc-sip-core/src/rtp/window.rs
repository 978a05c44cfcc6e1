//! Which packets of one source were seen: indices wider than the 16 bits on the wire, and a window over the newest.

/// Indices (roll-over counter and sequence number) of one source. Ahead of the highest index everything is new; behind
/// it 128 are remembered, which is twice what RFC 3711 section 3.3.2 asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    highest: u64,
    /// Bit `n` stands for `highest - n`. Zero only before the first packet.
    seen: u128,
}

impl Window {
    /// Indices that can be told from replays behind the highest.
    const SIZE: u64 = u128::BITS as u64;

    /// A window that expects its first packet under this roll-over counter.
    pub(crate) fn starting_at(roll_over_counter: u32) -> Self {
        Window { highest: u64::from(roll_over_counter) << 16, seen: 0 }
    }

    /// The index that `sequence` most likely belongs to (RFC 3711 section 3.3.1), relative to the highest so far. None
    /// when it would be before the first.
    pub(crate) fn estimate(&self, sequence: u16) -> Option<u64> {
        if self.seen == 0 {
            return Some(self.highest | u64::from(sequence));
        }
        let distance = sequence.wrapping_sub(self.highest as u16) as i16;
        self.highest.checked_add_signed(i64::from(distance))
    }

    /// Whether `index` was not marked before and isn't too old to tell.
    pub(crate) fn is_new(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            None => true,
            Some(age) => age < Self::SIZE && self.seen >> age & 1 == 0,
        }
    }

    /// Remembers `index`. Call only after the packet proved authentic.
    pub(crate) fn mark(&mut self, index: u64) {
        if index > self.highest {
            let ahead = index - self.highest;
            self.seen = if ahead < Self::SIZE { self.seen << ahead } else { 0 };
            self.highest = index;
        }
        let age = self.highest - index;
        if age < Self::SIZE {
            self.seen |= 1 << age;
        }
    }

    /// The roll-over counter of the highest index.
    pub(crate) fn roll_over_counter(&self) -> u32 {
        (self.highest >> 16) as u32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_estimate_follows_wraps_both_ways() {
        let mut window = Window::default();
        window.mark(65_530);
        assert_eq!(window.estimate(3), Some(65_539));
        window.mark(65_539);
        assert_eq!(window.estimate(65_535), Some(65_535));
        assert_eq!(window.estimate(10), Some(65_546));
        let mut first = Window::default();
        first.mark(2);
        assert_eq!(first.estimate(65_535), None);
        assert_eq!(Window::starting_at(3).estimate(65_535), Some((3 << 16) | 65_535));
    }

    proptest! {
        #[test]
        fn nothing_is_new_twice(indices in proptest::collection::vec(0u64..400, 1..300)) {
            let mut window = Window::default();
            let mut marked = BTreeSet::new();
            for index in indices {
                let highest = marked.last().copied().unwrap_or(0);
                let expected = !marked.contains(&index) && index + Window::SIZE > highest;
                prop_assert_eq!(window.is_new(index), expected);
                if window.is_new(index) {
                    window.mark(index);
                    marked.insert(index);
                }
            }
        }
    }
}
