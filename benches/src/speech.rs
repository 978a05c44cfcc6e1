//! Something like speech, made on the spot: a buzzing voice whose formants, pitch and loudness change as in syllables,
//! with hissing consonants and pauses between. An encoder has as much to do with it as with a person.

use webrtc_sip_core::codec::{self, CodecKind, OpusSettings};

const FRAMES: usize = 500;
const SYLLABLES_A_SECOND: usize = 4;
const PEAK: f32 = 9_000.0;
/// What Chromium sends at most for a telephone call, in bits a second.
const BROWSER_BITRATE: i32 = 24_000;

/// Ten seconds of payloads, 20 ms each, to be sent over and over.
#[derive(Debug)]
pub struct Speech {
    /// In which codec.
    pub codec: CodecKind,
    payloads: Vec<Vec<u8>>,
}

impl Speech {
    /// As a browser sends it: Opus at full bandwidth, or G.711.
    pub fn of_browser(codec: CodecKind) -> Self {
        let payloads = match codec {
            CodecKind::Opus => full_band_opus(),
            CodecKind::Pcmu | CodecKind::Pcma => telephone_band(codec),
        };
        Speech { codec, payloads }
    }

    /// As a telephone sends it.
    pub fn of_phone(codec: CodecKind) -> Self {
        Speech { codec, payloads: telephone_band(codec) }
    }

    /// The payload of one frame; they repeat after ten seconds.
    pub fn payload(&self, frame: usize) -> &[u8] {
        &self.payloads[frame % self.payloads.len()]
    }

    /// RTP clock units of one frame.
    pub fn timestamp_step(&self) -> u32 {
        self.codec.clock_rate_hz() / 50
    }
}

fn full_band_opus() -> Vec<Vec<u8>> {
    let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).expect("a valid rate");
    encoder.set_bitrate(opus::Bitrate::Bits(BROWSER_BITRATE)).expect("a valid bit rate");
    let samples = synthesize(48_000);
    let encode = |frame: &[i16]| encoder.encode_vec(frame, 1_275).expect("a valid frame");
    samples.chunks_exact(960).map(encode).collect()
}

fn telephone_band(codec: CodecKind) -> Vec<Vec<u8>> {
    let mut encoder = codec::encoder(codec, &OpusSettings::default()).expect("the default settings are valid");
    let encode = |frame: &[i16]| {
        let mut payload = [0; 480];
        let len = encoder.encode(frame, &mut payload).expect("a valid frame");
        payload[..len].to_vec()
    };
    synthesize(8_000).chunks_exact(160).map(encode).collect()
}

/// A formant: a resonance of the mouth, as a two-pole filter.
struct Formant {
    feedback: [f32; 2],
    state: [f32; 2],
}

impl Formant {
    fn tune(&mut self, frequency_hz: f32, rate_hz: f32) {
        let radius = (-std::f32::consts::PI * 90.0 / rate_hz).exp();
        let angle = std::f32::consts::TAU * frequency_hz / rate_hz;
        self.feedback = [2.0 * radius * angle.cos(), -radius * radius];
    }

    fn filter(&mut self, input: f32) -> f32 {
        let output = input + self.feedback[0] * self.state[0] + self.feedback[1] * self.state[1];
        self.state = [output, self.state[0]];
        output
    }
}

fn synthesize(rate_hz: usize) -> Vec<i16> {
    /// First and second formant of some vowels, in Hz.
    const VOWELS: [[f32; 2]; 5] = [[730.0, 1090.0], [270.0, 2290.0], [570.0, 840.0], [440.0, 1020.0], [530.0, 1840.0]];
    let rate = rate_hz as f32;
    let total = FRAMES * rate_hz / 50;
    let syllable = rate_hz / SYLLABLES_A_SECOND;
    let mut formants = [0, 1].map(|_| Formant { feedback: [0.0; 2], state: [0.0; 2] });
    let (mut phase, mut noise) = (0f32, 0x2545_f491u32);
    let mut sound = Vec::with_capacity(total);
    for at in 0..total {
        let (number, place) = (at / syllable, (at % syllable) as f32 / syllable as f32);
        if at % syllable == 0 {
            for (formant, frequency) in formants.iter_mut().zip(VOWELS[number * 7 % VOWELS.len()]) {
                formant.tune(frequency, rate);
            }
        }
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let hiss = (noise >> 16) as f32 / 32_768.0 - 1.0;
        let pitch = 118.0 + 22.0 * (number as f32 * 1.7 + place * 2.0).sin();
        phase = (phase + pitch / rate).fract();
        // A pause after every sixth syllable, a consonant at the start of the others.
        let (voice, breath) = match (number % 6, place) {
            (5, _) => (0.0, 0.002),
            (_, 0.0..0.2) => (0.05, 0.4),
            _ => ((std::f32::consts::PI * place).sin(), 0.02),
        };
        let excitation = voice * (1.0 - 2.0 * phase) + breath * hiss;
        sound.push(formants.iter_mut().map(|formant| formant.filter(excitation)).sum::<f32>());
    }
    let peak = sound.iter().fold(f32::MIN_POSITIVE, |peak, sample| peak.max(sample.abs()));
    sound.iter().map(|sample| (sample / peak * PEAK) as i16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_fills_the_bit_rate_and_pauses() {
        let speech = Speech::of_browser(CodecKind::Opus);
        let lens: Vec<usize> = (0..FRAMES).map(|frame| speech.payload(frame).len()).collect();
        let mean = lens.iter().sum::<usize>() / FRAMES;
        assert!((40..=70).contains(&mean), "mean payload {mean} bytes");
        assert!(lens.iter().max() > lens.iter().min());
        assert_eq!(speech.timestamp_step(), 960);
    }

    #[test]
    fn telephone_speech_has_a_byte_a_sample() {
        let speech = Speech::of_phone(CodecKind::Pcmu);
        assert!((0..FRAMES).all(|frame| speech.payload(frame).len() == 160));
        assert_eq!(speech.payload(3), speech.payload(FRAMES + 3));
    }
}
