//! Decoded samples on their way to the encoder, which can be shortened and lengthened where it isn't heard.

use crate::codec::{MAX_FRAME_SAMPLES, SAMPLES_PER_MS};

/// How much is taken out or put in at once: 10 ms.
pub(super) const CHANGE: usize = 10 * SAMPLES_PER_MS;
/// Over which the cut is cross-faded: 5 ms.
const FADE: usize = 5 * SAMPLES_PER_MS;
/// What a change needs to work on.
pub(super) const CHANGEABLE: usize = CHANGE + FADE;
/// What was left over, two of the longest frames, and a change.
const CAPACITY: usize = 3 * MAX_FRAME_SAMPLES;
/// Below this root mean square there is only background noise.
const QUIET: i64 = 200;

/// A queue of samples in preallocated memory.
pub(super) struct PcmQueue(Vec<i16>);

impl PcmQueue {
    pub(super) fn new() -> Self {
        PcmQueue(Vec::with_capacity(CAPACITY))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends what `fill` writes into a buffer of `room` samples, and returns how many that were. The oldest samples
    /// give way when there is no room, which a caller that takes them in time never sees.
    pub(super) fn append(&mut self, room: usize, fill: impl FnOnce(&mut [i16]) -> usize) -> usize {
        let room = room.min(MAX_FRAME_SAMPLES);
        let start = self.0.len().min(CAPACITY - room);
        self.0.drain(..self.0.len() - start);
        self.0.resize(start + room, 0);
        let count = fill(&mut self.0[start..]).min(room);
        self.0.truncate(start + count);
        count
    }

    /// Moves the oldest samples out; there must be enough.
    pub(super) fn take(&mut self, out: &mut [i16]) {
        let count = out.len().min(self.0.len());
        out[..count].copy_from_slice(&self.0[..count]);
        out[count..].fill(0);
        self.0.drain(..count);
    }

    /// Whether the newest samples that a change would touch are only background noise.
    pub(super) fn is_quiet(&self) -> bool {
        let newest = &self.0[self.0.len().saturating_sub(CHANGEABLE)..];
        let energy: i64 = newest.iter().map(|sample| i64::from(*sample).pow(2)).sum();
        energy <= QUIET * QUIET * newest.len() as i64
    }

    /// Takes out 10 ms of the newest [`CHANGEABLE`] samples; does nothing when there are fewer.
    pub(super) fn shorten(&mut self) {
        let Some(start) = self.0.len().checked_sub(CHANGEABLE) else { return };
        let newest = &mut self.0[start..];
        for at in 0..FADE {
            newest[at] = mix(newest[at], newest[at + CHANGE], at);
        }
        self.0.truncate(start + FADE);
    }

    /// Repeats 10 ms of the newest [`CHANGEABLE`] samples; does nothing when there are fewer.
    pub(super) fn lengthen(&mut self) {
        let Some(start) = self.0.len().checked_sub(CHANGEABLE) else { return };
        // CHANGE samples, then FADE samples that go over into the beginning again, then the rest once more.
        self.0.extend_from_within(start + FADE..);
        let newest = &mut self.0[start..];
        for at in 0..FADE {
            newest[CHANGE + at] = mix(newest[CHANGE + at], newest[at], at);
        }
    }
}

/// From one signal to another, entirely so at the last step.
fn mix(from: i16, to: i16, step: usize) -> i16 {
    let (step, steps) = (step as i32 + 1, FADE as i32);
    ((i32::from(from) * (steps - step) + i32::from(to) * step) / steps) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(samples: impl Iterator<Item = i16>) -> PcmQueue {
        let samples: Vec<i16> = samples.collect();
        let mut queue = PcmQueue::new();
        for chunk in samples.chunks(MAX_FRAME_SAMPLES) {
            queue.append(chunk.len(), |room| {
                room.copy_from_slice(chunk);
                chunk.len()
            });
        }
        queue
    }

    fn steepest(queue: &PcmQueue) -> i32 {
        queue.0.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap()
    }

    #[test]
    fn changes_have_their_length_and_no_clicks() {
        let wave = |n: i32| (4_000.0 * (f64::from(n) / 15.0).sin()) as i16;
        let whole = steepest(&queue((0..400).map(wave)));
        let mut shortened = queue((0..400).map(wave));
        shortened.shorten();
        assert_eq!(shortened.len(), 320);
        let mut lengthened = queue((0..400).map(wave));
        lengthened.lengthen();
        assert_eq!(lengthened.len(), 480);
        assert!(steepest(&shortened) <= 2 * whole && steepest(&lengthened) <= 2 * whole);
        // The last sample stays the last, so that the next packet joins.
        assert_eq!(shortened.0.last(), Some(&wave(399)));
        assert_eq!(lengthened.0.last(), Some(&wave(399)));
        let mut short = queue((0..100).map(wave));
        short.shorten();
        short.lengthen();
        assert_eq!(short.len(), 100);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_give_way() {
        let mut queue = queue((0..5_000).map(|n| n as i16));
        assert_eq!((queue.len(), queue.0.capacity()), (CAPACITY, CAPACITY));
        let mut out = [0; 3];
        queue.take(&mut out);
        assert_eq!(out, [5_000 - CAPACITY as i16, 5_001 - CAPACITY as i16, 5_002 - CAPACITY as i16]);
        queue.clear();
        queue.take(&mut out);
        assert_eq!(out, [0; 3]);
    }

    #[test]
    fn quiet_is_told_from_speech() {
        assert!(queue((0..160).map(|n| if n % 2 == 0 { 150 } else { -150 })).is_quiet());
        assert!(!queue((0..160).map(|n| if n % 2 == 0 { 2_000 } else { -2_000 })).is_quiet());
    }
}
