//! How long packets must wait: an estimate of the jitter of one source.
//!
//! A packet's transit is its arrival time minus its timestamp: an unknown constant plus the delay of the network. The
//! least transit of the last seconds stands for a packet that wasn't delayed, the others are so much late. The target is
//! what nearly all packets keep to.

/// Width of a bucket in samples at 8 kHz: 5 ms.
const BUCKET: i64 = 40;
/// Lateness that is told apart: up to 250 ms.
const BUCKETS: usize = 50;
/// The share of packets that may come later than the target.
const LATE_SHARE: f32 = 0.03;
/// The newest packet's share of the histogram once it is settled: memory of about 4 s at 20 ms a packet.
const NEWEST_SHARE: f32 = 0.005;
/// Share at the start, when little is known.
const FIRST_SHARE: f32 = 0.05;
/// The least transit is taken over this many samples and as many before: 2.5 s.
const PERIOD: i64 = 20_000;
/// Added to the target for playout in steps.
const MARGIN: i64 = 80;

#[derive(Clone, Debug)]
pub(super) struct DelayEstimate {
    /// Share of packets by lateness.
    histogram: [f32; BUCKETS],
    share: f32,
    /// Least transit of this period and of the one before.
    least: Option<(i64, i64)>,
    period_start: i64,
    limits: (i64, i64),
}

impl DelayEstimate {
    /// All in samples at 8 kHz.
    pub(super) fn new(min: i64, initial: i64, max: i64) -> Self {
        let mut histogram = [0.0; BUCKETS];
        let bucket = (initial - MARGIN - 1).max(0) / BUCKET;
        histogram[(bucket as usize).min(BUCKETS - 1)] = 1.0;
        DelayEstimate { histogram, share: FIRST_SHARE, least: None, period_start: 0, limits: (min, max) }
    }

    /// Takes note of a packet.
    pub(super) fn packet(&mut self, now: i64, transit: i64) {
        let before = self.least();
        self.least = Some(match self.least {
            None => (transit, transit),
            Some((current, _)) if now - self.period_start >= PERIOD => (transit, current),
            Some((current, previous)) => (current.min(transit), previous),
        });
        if before.is_none() || now - self.period_start >= PERIOD {
            self.period_start = now;
        }
        let least = self.least().unwrap_or(transit);
        self.shift(before.unwrap_or(least) - least);
        for share in &mut self.histogram {
            *share *= 1.0 - self.share;
        }
        let bucket = ((transit - least) / BUCKET).clamp(0, BUCKETS as i64 - 1);
        self.histogram[bucket as usize] += self.share;
        self.share = (self.share * 0.98).max(NEWEST_SHARE);
    }

    /// Begins a new measure of transit (another source or clock) and keeps what is known of jitter.
    pub(super) fn forget_transit(&mut self) {
        self.least = None;
    }

    /// Least transit.
    pub(super) fn least(&self) -> Option<i64> {
        self.least.map(|(current, previous)| current.min(previous))
    }

    /// How long after an undelayed packet's arrival it is to be played.
    pub(super) fn target(&self) -> i64 {
        let mut late = 0.0;
        let mut bucket = BUCKETS;
        while bucket > 0 && late + self.histogram[bucket - 1] <= LATE_SHARE {
            bucket -= 1;
            late += self.histogram[bucket];
        }
        (bucket as i64 * BUCKET + MARGIN).clamp(self.limits.0, self.limits.1)
    }

    /// When the reference moves, so does everybody's lateness.
    fn shift(&mut self, later: i64) {
        let buckets = (later / BUCKET).clamp(-(BUCKETS as i64) + 1, BUCKETS as i64 - 1);
        let count = buckets.unsigned_abs() as usize;
        if buckets > 0 {
            let beyond: f32 = self.histogram[BUCKETS - count..].iter().sum();
            self.histogram.copy_within(..BUCKETS - count, count);
            self.histogram[..count].fill(0.0);
            self.histogram[BUCKETS - 1] += beyond;
        } else if buckets < 0 {
            let below: f32 = self.histogram[..count].iter().sum();
            self.histogram.copy_within(count.., 0);
            self.histogram[BUCKETS - count..].fill(0.0);
            self.histogram[0] += below;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_follows_the_jitter() {
        let mut estimate = DelayEstimate::new(160, 320, 1_600);
        assert_eq!(estimate.target(), 320);
        for n in 0..2_000 {
            estimate.packet(n * 160, 5_000);
        }
        assert_eq!((estimate.least(), estimate.target()), (Some(5_000), 160));
        // Every tenth packet 60 ms late, each 200th 200 ms: those may be lost.
        for n in 2_000..4_000 {
            let late = if n % 200 == 0 {
                1_600
            } else if n % 10 == 0 {
                480
            } else {
                0
            };
            estimate.packet(n * 160, 5_000 + late);
        }
        assert!((520..=640).contains(&estimate.target()), "{}", estimate.target());
    }

    #[test]
    fn a_longer_path_is_not_jitter_for_long() {
        let mut estimate = DelayEstimate::new(160, 320, 1_600);
        for n in 0..1_000 {
            estimate.packet(n * 160, 0);
        }
        for n in 1_000..1_300 {
            estimate.packet(n * 160, 800);
        }
        assert_eq!(estimate.least(), Some(800));
        assert!(estimate.target() <= 240, "{}", estimate.target());
    }
}
