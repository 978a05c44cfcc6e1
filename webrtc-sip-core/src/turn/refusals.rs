//! How many requests of strangers are answered: a flood gets silence, and takes no memory.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Instant;

/// Networks are told apart by this many counters; those that share one share its limit.
const SLOTS: usize = 4096;

/// Counts answers to unauthenticated requests, a second at a time, for each network they come from.
pub(super) struct Refusals {
    slots: Box<[Slot]>,
    /// Makes it impossible to know from outside which networks share a counter.
    secret: u64,
    per_second: u32,
    origin: Instant,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    second: u32,
    count: u32,
}

impl Refusals {
    pub(super) fn new(origin: Instant, secret: u64, per_second: u32) -> Self {
        Refusals { slots: vec![Slot::default(); SLOTS].into(), secret, per_second, origin }
    }

    /// Whether this request may be answered.
    pub(super) fn admit(&mut self, now: Instant, source: IpAddr) -> bool {
        let second = now.saturating_duration_since(self.origin).as_secs() as u32;
        let slot = self.slot(source);
        let slot = &mut self.slots[slot];
        if slot.second != second {
            *slot = Slot { second, count: 0 };
        }
        slot.count = slot.count.saturating_add(1);
        slot.count <= self.per_second
    }

    fn slot(&self, source: IpAddr) -> usize {
        let mut hasher = DefaultHasher::new();
        self.secret.hash(&mut hasher);
        // What one customer gets from a provider: a /24 or less, a /56 or less.
        match source.to_canonical() {
            IpAddr::V4(ip) => (u32::from(ip) >> 8).hash(&mut hasher),
            IpAddr::V6(ip) => (u128::from(ip) >> 72).hash(&mut hasher),
        }
        hasher.finish() as usize % SLOTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_flood_from_one_network_leaves_the_others_alone() {
        let start = Instant::now();
        let mut refusals = Refusals::new(start, 7, 10);
        let from = |last: u8| IpAddr::from([192, 0, 2, last]);
        let admitted = (0..200).filter(|last| refusals.admit(start, from(*last))).count();
        assert_eq!(admitted, 10);
        assert!(refusals.admit(start, IpAddr::from([198, 51, 100, 1])));
        assert!(refusals.admit(start + Duration::from_secs(1), from(1)));
    }
}
