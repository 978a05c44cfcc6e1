//! How many requests of strangers are answered: a flood gets silence, and takes no memory.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Networks are told apart by this many counters; those that share one share its limit.
const SLOTS: usize = 4096;

/// Counts answers to unauthenticated requests, a second at a time, for each network they come from.
pub(super) struct Refusals {
    /// Each the second in its upper half and the count of it in its lower.
    slots: Box<[AtomicU64]>,
    /// Makes it impossible to know from outside which networks share a counter.
    secret: u64,
}

impl Refusals {
    pub(super) fn new(secret: u64) -> Self {
        Refusals { slots: std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect(), secret }
    }

    /// Whether this request, in this second, may be answered.
    pub(super) fn admit(&self, second: u32, source: IpAddr, per_second: u32) -> bool {
        let counted = self.slots[self.slot(source)].fetch_update(Ordering::Relaxed, Ordering::Relaxed, |slot| {
            let (counted_in, count) = ((slot >> 32) as u32, slot as u32);
            // Another thread's clock may be a moment ahead.
            let (counted_in, count) = if second > counted_in { (second, 0) } else { (counted_in, count) };
            (count < per_second).then(|| u64::from(counted_in) << 32 | u64::from(count + 1))
        });
        counted.is_ok()
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

    fn from(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_flood_from_one_network_leaves_the_others_alone() {
        let refusals = Refusals::new(7);
        let admitted = (0..200).filter(|last| refusals.admit(0, from(*last), 10)).count();
        assert_eq!(admitted, 10);
        assert!(refusals.admit(0, IpAddr::from([198, 51, 100, 1]), 10));
        assert!(refusals.admit(1, from(1), 10));
        assert!(!refusals.admit(1, from(1), 1), "and nobody starts again by a clock that is behind");
        assert!(!refusals.admit(0, from(1), 1));
    }

    #[test]
    fn threads_together_answer_as_often_as_one_would() {
        let refusals = Refusals::new(7);
        let answered = std::thread::scope(|scope| {
            let count = || (0..1000).filter(|_| refusals.admit(5, from(1), 100)).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
        assert_eq!(answered, 100);
    }
}
