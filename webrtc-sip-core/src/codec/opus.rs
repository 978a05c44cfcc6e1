//! Opus (RFC 6716, RFC 7587), coded at 8 kHz mono. Packets of any bandwidth, frame length and channel count decode; the
//! decoder folds and resamples inside.

use opus::{Application, Bitrate, Channels};

use super::{CodecError, CodecKind, Decoder, Encoder, MAX_FRAME_SAMPLES, SAMPLE_RATE_HZ, SAMPLES_PER_MS};

/// How the Opus encoder works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusSettings {
    /// What it is tuned for.
    pub application: OpusApplication,
    /// Processor time against quality, 0 to 10.
    pub complexity: u8,
    /// Bits a second, 6,000 to 64,000.
    pub bitrate: u32,
    /// In-band forward error correction, tuned for this loss in percent; none to leave it off.
    pub forward_error_correction: Option<u8>,
}

impl Default for OpusSettings {
    fn default() -> Self {
        OpusSettings {
            application: OpusApplication::Voip,
            complexity: 5,
            bitrate: 24_000,
            forward_error_correction: None,
        }
    }
}

/// What the Opus encoder is tuned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpusApplication {
    /// Speech; what a telephone carries.
    Voip,
    /// Music too.
    Audio,
    /// Least delay.
    LowDelay,
}

/// Longest payload that the encoder makes, in bytes: 64 kbit/s for 60 ms.
const MAX_PAYLOAD: usize = 480;

pub(super) struct OpusEncoder(opus::Encoder);

impl OpusEncoder {
    pub(super) fn new(settings: &OpusSettings) -> Result<Self, CodecError> {
        if settings.complexity > 10 || !(6_000..=64_000).contains(&settings.bitrate) {
            return Err(CodecError::Setup);
        }
        let application = match settings.application {
            OpusApplication::Voip => Application::Voip,
            OpusApplication::Audio => Application::Audio,
            OpusApplication::LowDelay => Application::LowDelay,
        };
        Self::with(application, settings).map_err(|_| CodecError::Setup)
    }

    fn with(application: Application, settings: &OpusSettings) -> opus::Result<Self> {
        let mut encoder = opus::Encoder::new(SAMPLE_RATE_HZ, Channels::Mono, application)?;
        encoder.set_complexity(i32::from(settings.complexity))?;
        encoder.set_bitrate(Bitrate::Bits(settings.bitrate as i32))?;
        encoder.set_inband_fec(settings.forward_error_correction.is_some())?;
        encoder.set_packet_loss_perc(i32::from(settings.forward_error_correction.unwrap_or(0).min(100)))?;
        Ok(OpusEncoder(encoder))
    }
}

impl Encoder for OpusEncoder {
    fn kind(&self) -> CodecKind {
        CodecKind::Opus
    }

    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> Result<usize, CodecError> {
        // RFC 6716 section 2.1.4 has no frames of 30 and 50 ms; whoever negotiates has to choose another packet time.
        if ![10, 20, 40, 60].map(|ms| ms * SAMPLES_PER_MS).contains(&samples.len()) {
            return Err(CodecError::FrameLength);
        }
        let room = payload.len().min(MAX_PAYLOAD);
        self.0.encode(samples, &mut payload[..room]).map_err(|_| CodecError::NoRoom)
    }
}

pub(super) struct OpusDecoder(opus::Decoder);

impl OpusDecoder {
    pub(super) fn new() -> Result<Self, CodecError> {
        let decoder = opus::Decoder::new(SAMPLE_RATE_HZ, Channels::Mono).map_err(|_| CodecError::Setup)?;
        Ok(OpusDecoder(decoder))
    }
}

impl Decoder for OpusDecoder {
    fn kind(&self) -> CodecKind {
        CodecKind::Opus
    }

    fn sample_count(&self, payload: &[u8]) -> Result<usize, CodecError> {
        if payload.is_empty() {
            return Err(CodecError::Malformed);
        }
        match self.0.get_nb_samples(payload) {
            Ok(count) if (1..=MAX_FRAME_SAMPLES).contains(&count) => Ok(count),
            _ => Err(CodecError::Malformed),
        }
    }

    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> Result<usize, CodecError> {
        let count = self.sample_count(payload)?;
        let samples = samples.get_mut(..count).ok_or(CodecError::NoRoom)?;
        self.0.decode(payload, samples, false).map_err(|_| CodecError::Malformed)
    }

    fn conceal(&mut self, samples: &mut [i16]) {
        // An empty packet means a lost one. The decoder takes multiples of 2.5 ms; anything else becomes silence.
        if self.0.decode(&[], samples, false).is_err() {
            samples.fill(0);
        }
    }

    fn recover(&mut self, payload: &[u8], samples: &mut [i16]) {
        if payload.is_empty() || self.0.decode(payload, samples, true).is_err() {
            self.conceal(samples);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn speech_like(count: usize) -> Vec<i16> {
        let sample = |n: usize| {
            let t = n as f64 / 8_000.0;
            let envelope = (t * 3.0 * std::f64::consts::TAU).sin().abs();
            6_000.0 * envelope * ((t * 180.0 * std::f64::consts::TAU).sin() + (t * 900.0 * std::f64::consts::TAU).sin())
        };
        (0..count).map(|n| sample(n) as i16).collect()
    }

    fn power(samples: &[i16]) -> f64 {
        samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / samples.len() as f64
    }

    #[test]
    fn frames_of_every_packet_time_survive() {
        for ms in [10, 20, 40, 60] {
            let mut encoder = OpusEncoder::new(&OpusSettings::default()).unwrap();
            let mut decoder = OpusDecoder::new().unwrap();
            let speech = speech_like(ms * 8 * 50);
            let mut heard = Vec::new();
            for frame in speech.chunks(ms * 8) {
                let mut payload = [0; 512];
                let len = encoder.encode(frame, &mut payload).unwrap();
                assert_eq!(decoder.sample_count(&payload[..len]), Ok(frame.len()));
                let mut samples = [0; MAX_FRAME_SAMPLES];
                let count = decoder.decode(&payload[..len], &mut samples).unwrap();
                heard.extend_from_slice(&samples[..count]);
            }
            let ratio = power(&heard) / power(&speech);
            assert!((0.7..1.3).contains(&ratio), "{ms} ms: power ratio {ratio}");
        }
        let mut encoder = OpusEncoder::new(&OpusSettings::default()).unwrap();
        assert_eq!(encoder.encode(&[0; 240], &mut [0; 512]), Err(CodecError::FrameLength));
    }

    #[test]
    fn any_frame_length_bandwidth_and_channel_count_decodes() {
        for (rate, channels, stereo) in
            [(48_000, Channels::Stereo, 2), (48_000, Channels::Mono, 1), (16_000, Channels::Mono, 1)]
        {
            for quarter_ms in [10usize, 20, 40, 80, 160, 240, 480] {
                let frame = vec![0i16; rate as usize * quarter_ms / 4_000 * stereo];
                let mut encoder = opus::Encoder::new(rate, channels, Application::Audio).unwrap();
                let mut payload = [0; 1_500];
                let len = encoder.encode(&frame, &mut payload).unwrap();
                let mut decoder = OpusDecoder::new().unwrap();
                let mut samples = [0; MAX_FRAME_SAMPLES];
                assert_eq!(decoder.decode(&payload[..len], &mut samples), Ok(quarter_ms * 2), "{rate} Hz, {stereo}");
            }
        }
    }

    #[test]
    fn a_lost_frame_comes_back_from_the_next_packet() {
        let settings = OpusSettings { forward_error_correction: Some(20), ..OpusSettings::default() };
        let mut encoder = OpusEncoder::new(&settings).unwrap();
        let speech = speech_like(160 * 40);
        let payloads: Vec<Vec<u8>> = speech
            .chunks(160)
            .map(|frame| {
                let mut payload = [0; 512];
                let len = encoder.encode(frame, &mut payload).unwrap();
                payload[..len].to_vec()
            })
            .collect();
        let heard = |replace: &dyn Fn(&mut OpusDecoder, usize, &mut [i16])| {
            let mut decoder = OpusDecoder::new().unwrap();
            let mut all = Vec::new();
            for (n, payload) in payloads.iter().enumerate() {
                let mut samples = [0; 160];
                if n % 5 == 4 && n + 1 < payloads.len() {
                    replace(&mut decoder, n, &mut samples);
                } else {
                    decoder.decode(payload, &mut samples).unwrap();
                }
                all.extend_from_slice(&samples);
            }
            all
        };
        let whole = heard(&|decoder, n, samples| {
            decoder.decode(&payloads[n], samples).unwrap();
        });
        let error =
            |other: Vec<i16>| whole.iter().zip(other).map(|(a, b)| (f64::from(*a) - f64::from(b)).powi(2)).sum::<f64>();
        let recovered = error(heard(&|decoder, n, samples| decoder.recover(&payloads[n + 1], samples)));
        let concealed = error(heard(&|decoder, _, samples| decoder.conceal(samples)));
        assert!(recovered < concealed, "recovered {recovered}, concealed {concealed}");
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for settings in [
            OpusSettings { complexity: 11, ..OpusSettings::default() },
            OpusSettings { bitrate: 5_999, ..OpusSettings::default() },
            OpusSettings { bitrate: 64_001, ..OpusSettings::default() },
        ] {
            assert_eq!(OpusEncoder::new(&settings).err(), Some(CodecError::Setup));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_payloads_do_no_harm(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = OpusDecoder::new().unwrap();
            let mut samples = [0; MAX_FRAME_SAMPLES];
            let expected = decoder.sample_count(&payload);
            if let Ok(count) = decoder.decode(&payload, &mut samples) {
                prop_assert_eq!(Ok(count), expected);
            }
            decoder.recover(&payload, &mut samples[..160]);
        }
    }
}
