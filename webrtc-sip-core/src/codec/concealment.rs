//! Concealment for codecs without their own, in the manner of G.711 Appendix I: the last pitch periods are repeated,
//! more of them as the loss goes on, fading to silence after 60 ms. Unlike the appendix it adds no delay: the joint is
//! smoothed inside the repeated piece and at the first good samples.

/// Samples kept: three of the longest pitch periods and a quarter for the cross-fade.
const HISTORY: usize = 3 * MAX_PITCH + MAX_PITCH / 4;
/// 15 ms: a deep male voice at 66 Hz.
const MAX_PITCH: usize = 120;
/// 5 ms: 200 Hz; higher voices are found at a multiple.
const MIN_PITCH: usize = 40;
/// Samples compared to find the pitch.
const CORRELATED: usize = 160;
/// The part of a loss that is played at full level: 10 ms.
const FULL_LEVEL: usize = 80;
/// From here on there is silence: 60 ms.
const SILENT: usize = 480;
/// Over which the synthetic signal goes over into the first good samples: 5 ms.
const RECOVERY: usize = 40;

/// Remembers what was decoded and continues it.
pub(super) struct Concealment {
    history: [i16; HISTORY],
    /// One to three pitch periods, repeated; smoothed so that the end joins the beginning.
    cycle: [i16; 3 * MAX_PITCH],
    cycle_len: usize,
    pitch: usize,
    position: usize,
    /// Samples made up since the last good one.
    lost: usize,
}

impl Concealment {
    pub(super) fn new() -> Self {
        let cycle = [0; 3 * MAX_PITCH];
        Concealment { history: [0; HISTORY], cycle, cycle_len: 1, pitch: MIN_PITCH, position: 0, lost: 0 }
    }

    /// Takes note of decoded samples, and smooths their beginning after a loss.
    pub(super) fn good(&mut self, samples: &mut [i16]) {
        if self.lost > 0 {
            let count = RECOVERY.min(samples.len());
            for (step, sample) in samples[..count].iter_mut().enumerate() {
                *sample = mix(self.synthesize(), *sample, step + 1, count + 1);
            }
            self.lost = 0;
        }
        self.remember(samples);
    }

    /// Fills `samples` with a continuation of what was decoded.
    pub(super) fn lost(&mut self, samples: &mut [i16]) {
        if self.lost == 0 {
            self.pitch = pitch(&self.history);
            self.position = 0;
            self.take_cycles(1);
        }
        for sample in samples.iter_mut() {
            // A single period repeated for long buzzes; G.711 I.2.5 uses two after 10 ms and three after 20.
            match self.lost {
                FULL_LEVEL => self.take_cycles(2),
                160 => self.take_cycles(3),
                _ => {}
            }
            *sample = self.synthesize();
        }
    }

    /// The history isn't added to during a loss: the cycles come from real speech only.
    fn remember(&mut self, samples: &[i16]) {
        let kept = samples.len().min(HISTORY);
        self.history.copy_within(kept.., 0);
        self.history[HISTORY - kept..].copy_from_slice(&samples[samples.len() - kept..]);
    }

    /// Takes the last `count` pitch periods as what is repeated. Their last quarter period is cross-faded into what
    /// came before them, so that the repetition has no step in it.
    fn take_cycles(&mut self, count: usize) {
        let len = count * self.pitch;
        let start = HISTORY - len;
        let fade = self.pitch / 4;
        self.cycle[..len].copy_from_slice(&self.history[start..]);
        for step in 0..fade {
            let at = len - fade + step;
            self.cycle[at] = mix(self.cycle[at], self.history[start - fade + step], step + 1, fade + 1);
        }
        // Stay at the same place of a period.
        self.position %= self.pitch;
        self.cycle_len = len;
    }

    fn synthesize(&mut self) -> i16 {
        let sample = i32::from(self.cycle[self.position]);
        self.position = (self.position + 1) % self.cycle_len;
        let level = match self.lost {
            lost if lost <= FULL_LEVEL => SILENT - FULL_LEVEL,
            lost => SILENT.saturating_sub(lost),
        };
        self.lost = self.lost.saturating_add(1);
        (sample * level as i32 / (SILENT - FULL_LEVEL) as i32) as i16
    }
}

/// The distance at which the last 20 ms resemble best what came before, by normalised cross-correlation: first every
/// other one on every other sample, then exactly.
fn pitch(history: &[i16; HISTORY]) -> usize {
    let best = |lags: &mut dyn Iterator<Item = usize>, step: usize| {
        lags.map(|lag| (similarity(history, lag, step), lag))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map_or(MIN_PITCH, |(_, lag)| lag)
    };
    let coarse = best(&mut (MIN_PITCH..=MAX_PITCH).step_by(2), 2);
    best(&mut (coarse.max(MIN_PITCH + 1) - 1..=(coarse + 1).min(MAX_PITCH)), 1)
}

fn similarity(history: &[i16; HISTORY], lag: usize, step: usize) -> f32 {
    let (recent, earlier) = (HISTORY - CORRELATED, HISTORY - CORRELATED - lag);
    let (mut product, mut energy) = (0i64, 0i64);
    for at in (0..CORRELATED).step_by(step) {
        let (a, b) = (i64::from(history[recent + at]), i64::from(history[earlier + at]));
        product += a * b;
        energy += b * b;
    }
    if product <= 0 { 0.0 } else { product as f32 / (energy as f32).sqrt() }
}

/// From one signal to another in `steps`.
fn mix(from: i16, to: i16, step: usize, steps: usize) -> i16 {
    let (step, steps) = (step as i32, steps as i32);
    ((i32::from(from) * (steps - step) + i32::from(to) * step) / steps) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(period: f64, from: usize, count: usize) -> Vec<i16> {
        let sample = |at: usize| (8_000.0 * (at as f64 * std::f64::consts::TAU / period).sin()) as i16;
        (from..from + count).map(sample).collect()
    }

    #[test]
    fn a_tone_goes_on_through_a_short_loss() {
        for period in [47.0, 64.0, 100.5, 119.0] {
            let mut concealment = Concealment::new();
            concealment.good(&mut tone(period, 0, 800));
            let mut made_up = vec![0; FULL_LEVEL];
            concealment.lost(&mut made_up);
            let error = |signal: &[i16]| {
                let expected = tone(period, 800, FULL_LEVEL);
                signal.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>()
            };
            let silence = error(&[0; FULL_LEVEL]);
            assert!(error(&made_up) < silence / 20.0, "period {period}: {} of {silence}", error(&made_up));
        }
    }

    #[test]
    fn there_are_no_clicks_and_a_long_loss_is_silent() {
        let mut concealment = Concealment::new();
        let mut signal = tone(73.0, 0, 800);
        concealment.good(&mut signal);
        for _ in 0..4 {
            let mut frame = [0; 160];
            concealment.lost(&mut frame);
            signal.extend(frame);
        }
        assert!(signal[800 + SILENT..].iter().all(|sample| *sample == 0));
        let mut after = tone(73.0, 1440, 160);
        concealment.good(&mut after);
        signal.extend(after);
        // The tone's own steepest step is 8,000 * tau / 73.
        let steepest = signal.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap();
        assert!(steepest < 1_100, "a step of {steepest}");
    }

    #[test]
    fn nothing_heard_is_continued_with_nothing() {
        let mut frame = [1; 160];
        Concealment::new().lost(&mut frame);
        assert_eq!(frame, [0; 160]);
    }

    #[test]
    fn extreme_samples_do_not_overflow() {
        let mut concealment = Concealment::new();
        for round in 0..20 {
            let mut loud: Vec<i16> =
                (0..160).map(|n| if (n / 25 + round) % 2 == 0 { i16::MIN } else { i16::MAX }).collect();
            concealment.good(&mut loud);
            concealment.lost(&mut [0; 160]);
        }
    }
}
