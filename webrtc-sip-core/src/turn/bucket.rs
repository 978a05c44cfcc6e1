//! A limit of bytes a second that several threads draw on, without a lock and without a timer.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

const SECOND: u64 = 1_000_000_000;

/// A token bucket that holds a second's worth, kept as the moment when it will be full again, in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicU64);

impl Bucket {
    /// Takes `bytes` unless the bucket is empty. The last packet may take more than is left, so that any packet passes
    /// under any rate, and what follows waits for it.
    pub(super) fn take(&self, now: u64, bytes: usize, per_second: NonZeroU64) -> bool {
        let cost = (bytes as u64 * SECOND).div_ceil(per_second.get());
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let full_at = full_at.max(now);
            (full_at < now.saturating_add(SECOND)).then(|| full_at.saturating_add(cost))
        });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: NonZeroU64 = NonZeroU64::new(10_000).unwrap();

    fn passed(bucket: &Bucket, now: u64, packets: usize, len: usize) -> usize {
        (0..packets).filter(|_| bucket.take(now, len, RATE)).count()
    }

    #[test]
    fn a_second_may_be_saved_up_and_no_more() {
        let bucket = Bucket::default();
        assert_eq!(passed(&bucket, 100 * SECOND, 30, 1000), 10);
        assert_eq!(passed(&bucket, 100 * SECOND + SECOND / 2, 30, 1000), 5);
        assert_eq!(passed(&bucket, 200 * SECOND, 30, 1000), 10, "an hour of silence saves no more");
    }

    #[test]
    fn over_a_long_time_the_rate_holds_for_packets_of_any_length() {
        for len in [0, 1, 160, 1200, 60_000] {
            let bucket = Bucket::default();
            let steps = 100 * 50;
            let passed = (0..steps).map(|step| passed(&bucket, step * SECOND / 50, 5, len)).sum::<usize>() * len;
            let offered = steps as usize * 5 * len;
            assert!(passed >= offered.min(99 * 10_000), "{len}: {passed} of {offered}");
            assert!(passed <= offered.min(101 * 10_000 + len), "{len}: {passed}");
        }
    }

    #[test]
    fn an_earlier_clock_gains_nothing() {
        let bucket = Bucket::default();
        assert_eq!(passed(&bucket, 10 * SECOND, 10, 1000), 10);
        assert_eq!(passed(&bucket, 9 * SECOND, 10, 1000), 0);
    }

    #[test]
    fn threads_together_get_what_one_would() {
        let bucket = Bucket::default();
        let taken = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| passed(&bucket, 0, 1000, 100))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
        assert_eq!(taken, 100);
    }
}
