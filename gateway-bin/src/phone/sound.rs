//! What the test numbers play, computed sample by sample.

use std::f32::consts::TAU;

use webrtc_sip_core::codec::SAMPLE_RATE_HZ;

/// A full-scale sine is +3.17 dBm0 in mu-law (ITU-T G.711 section 3); this one is 13.17 dB below, at -10 dBm0.
const TONE_AMPLITUDE: f32 = 7164.0;
const TONE_HZ: u32 = 1000;

/// Something to listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sound {
    /// 1 kHz at -10 dBm0.
    Tone,
    /// A slow broken chord progression, plucked.
    Music,
}

impl Sound {
    /// The samples from number `start` on, counted from the beginning of the call.
    pub(super) fn render(self, start: u64, samples: &mut [i16]) {
        for (index, sample) in (start..).zip(samples) {
            *sample = match self {
                Sound::Tone => tone(index),
                Sound::Music => music(index),
            };
        }
    }
}

fn tone(index: u64) -> i16 {
    let period = u64::from(SAMPLE_RATE_HZ / TONE_HZ);
    (TONE_AMPLITUDE * (TAU * (index % period) as f32 / period as f32).sin()) as i16
}

/// Semitones above C3: one row a bar, C, A minor, F and G, each as a broken chord of eight notes.
const BARS: [[u8; 8]; 4] = [
    [0, 12, 16, 19, 24, 19, 16, 12],
    [9, 12, 16, 21, 24, 21, 16, 12],
    [5, 12, 17, 21, 24, 21, 17, 12],
    [7, 11, 14, 19, 23, 19, 14, 11],
];
const C3_HZ: f32 = 130.81;
/// 300 ms: eighth notes at 100 beats a minute.
const NOTE_SAMPLES: u64 = 2400;
/// Notes that sound at once: a pluck is gone after 1.2 s.
const VOICES: u64 = 4;
/// How fast a pluck fades, per second.
const DECAY: f32 = 4.0;
/// A pluck begins within 5 ms, so that it doesn't click.
const ATTACK_SAMPLES: f32 = 40.0;
const NOTE_AMPLITUDE: f32 = 5000.0;

fn music(index: u64) -> i16 {
    let newest = index / NOTE_SAMPLES;
    let oldest = newest.saturating_sub(VOICES - 1);
    let sum: f32 = (oldest..=newest).map(|note| pluck(note, index - note * NOTE_SAMPLES)).sum();
    sum as i16
}

/// Note number `note`, `age` samples after it was struck: a fundamental and two weaker harmonics that fade faster.
fn pluck(note: u64, age: u64) -> f32 {
    let bar = BARS[(note / 8 % BARS.len() as u64) as usize];
    let frequency = C3_HZ * (f32::from(bar[(note % 8) as usize]) / 12.0).exp2();
    let seconds = age as f32 / SAMPLE_RATE_HZ as f32;
    let phase = TAU * (frequency * seconds).fract();
    let fade = (-DECAY * seconds).exp();
    let body = phase.sin() + 0.35 * fade * (2.0 * phase).sin() + 0.15 * fade * fade * (3.0 * phase).sin();
    // The last voice ends where the fifth begins; the fade is at 1 % there.
    let end = 1.0 - age as f32 / (VOICES * NOTE_SAMPLES) as f32;
    NOTE_AMPLITUDE * (age as f32 / ATTACK_SAMPLES).min(1.0) * fade * end * body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level_dbm0(samples: &[i16]) -> f64 {
        let power = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64;
        let full_scale_sine = 32_635f64.powi(2) / 2.0;
        10.0 * (power / full_scale_sine).log10() + 3.17
    }

    #[test]
    fn the_tone_has_its_level_and_frequency() {
        let mut samples = [0; 800];
        Sound::Tone.render(12_345, &mut samples);
        assert!((level_dbm0(&samples) + 10.0).abs() < 0.1, "{}", level_dbm0(&samples));
        let rises = samples.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        assert_eq!(rises, 100);
    }

    #[test]
    fn the_music_is_continuous_neither_silent_nor_clipped() {
        let mut whole = vec![0; 80_000];
        Sound::Music.render(0, &mut whole);
        let mut piece = [0; 160];
        Sound::Music.render(16_000, &mut piece);
        assert_eq!(piece, whole[16_000..16_160]);
        assert!(whole.iter().all(|sample| sample.unsigned_abs() < 20_000));
        for second in whole.chunks(8000) {
            let level = level_dbm0(second);
            assert!((-30.0..-8.0).contains(&level), "{level}");
        }
    }
}
