//! Comfort noise (RFC 3389): what is heard while the far side sends nothing.

/// A generator of noise at a level that the far side chose.
#[derive(Clone, Debug)]
pub struct ComfortNoise {
    /// Root of the mean square, approached in steps so that a change isn't heard.
    level: f32,
    target: f32,
    smoothed: f32,
    state: u32,
}

impl Default for ComfortNoise {
    fn default() -> Self {
        ComfortNoise { level: 0.0, target: 0.0, smoothed: 0.0, state: 0x2545_f491 }
    }
}

impl ComfortNoise {
    /// Takes the level from a payload of payload type 13 (section 3.1: -dBov in seven bits). The spectrum that may
    /// follow is not used; a fixed, slightly dark one is. An empty payload changes nothing.
    pub fn update(&mut self, payload: &[u8]) {
        if let Some(level) = payload.first() {
            // 0 dBov is a square wave at the largest amplitude.
            self.target = 32_767.0 * 10f32.powf(-f32::from(level & 0x7f) / 20.0);
        }
    }

    /// Fills `samples` with noise.
    pub fn generate(&mut self, samples: &mut [i16]) {
        for sample in samples {
            self.level += (self.target - self.level) / 256.0;
            // Xorshift; noise needs no better randomness, and it must be repeatable.
            self.state ^= self.state << 13;
            self.state ^= self.state >> 17;
            self.state ^= self.state << 5;
            // Uniform in -1..1 has an rms of 1/sqrt(3); the one-pole filter y += (x - y) / 2 leaves a third of the power.
            let white = self.state as i32 as f32 / 2_147_483_648.0;
            self.smoothed += (white - self.smoothed) * 0.5;
            *sample = (self.smoothed * 3.0 * self.level).clamp(-32_768.0, 32_767.0) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_the_one_asked_for() {
        for level in [20u8, 40, 60] {
            let mut noise = ComfortNoise::default();
            noise.update(&[level, 1, 2, 3]);
            noise.generate(&mut [0; 4_000]);
            let mut samples = [0; 8_000];
            noise.generate(&mut samples);
            let power = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / samples.len() as f64;
            let decibels = 10.0 * (power / 32_767.0f64.powi(2)).log10();
            assert!((decibels + f64::from(level)).abs() < 1.0, "{decibels} instead of -{level}");
        }
    }

    #[test]
    fn there_is_silence_before_a_level_is_known() {
        let mut noise = ComfortNoise::default();
        let mut samples = [1; 160];
        noise.update(&[]);
        noise.generate(&mut samples);
        assert_eq!(samples, [0; 160]);
    }
}
