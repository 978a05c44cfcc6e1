//! Audio codecs behind one pair of traits. Whatever the codec, samples are 16-bit linear, mono, 8,000 a second: the
//! telephone side has no more, and Opus codes at that rate without a resampler.
//!
//! ```
//! use webrtc_sip_core::codec::{self, CodecKind, OpusSettings};
//!
//! let mut decoder = codec::decoder(CodecKind::Pcmu)?;
//! let mut encoder = codec::encoder(CodecKind::Opus, &OpusSettings::default())?;
//! let (mut samples, mut payload) = ([0i16; codec::MAX_FRAME_SAMPLES], [0u8; 400]);
//! let count = decoder.decode(&[0xff; 160], &mut samples)?;
//! let len = encoder.encode(&samples[..count], &mut payload)?;
//! assert!(count == 160 && len > 0);
//! # Ok::<(), codec::CodecError>(())
//! ```

mod comfort_noise;
mod concealment;
mod g711;
mod opus;

pub use comfort_noise::ComfortNoise;
pub use opus::{OpusApplication, OpusSettings};

use serde::{Deserialize, Serialize};

/// Samples a second, whatever the RTP clock says.
pub const SAMPLE_RATE_HZ: u32 = 8_000;
/// Samples in a millisecond.
pub const SAMPLES_PER_MS: usize = 8;
/// Samples in the longest frame that any codec makes: 120 ms (RFC 6716 section 3.2.5).
pub const MAX_FRAME_SAMPLES: usize = 120 * SAMPLES_PER_MS;

/// Why a codec couldn't do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The codec couldn't be set up: a setting out of range, or no memory.
    #[error("the codec cannot be set up")]
    Setup,
    /// The payload isn't of this codec.
    #[error("the payload is malformed")]
    Malformed,
    /// The number of samples isn't a frame of this codec.
    #[error("not a frame length of the codec")]
    FrameLength,
    /// The output has no room for the frame.
    #[error("the output has no room for the frame")]
    NoRoom,
}

/// Turns samples into payloads. One per outgoing source: codecs remember what they coded before.
pub trait Encoder: Send {
    /// Which codec it is.
    fn kind(&self) -> CodecKind;

    /// Encodes one frame of 10 to 60 ms (a multiple of 80 samples) into `payload` and returns the payload's length.
    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> Result<usize, CodecError>;
}

/// Turns payloads into samples. One per incoming source.
pub trait Decoder: Send {
    /// Which codec it is.
    fn kind(&self) -> CodecKind;

    /// How many samples the payload holds, without decoding it; at most [`MAX_FRAME_SAMPLES`].
    fn sample_count(&self, payload: &[u8]) -> Result<usize, CodecError>;

    /// Decodes a payload into `samples`, which should hold [`MAX_FRAME_SAMPLES`], and returns the number of samples.
    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> Result<usize, CodecError>;

    /// Makes up samples for a packet that is missing; they fade out as more is missing. The number is a multiple of
    /// 80, at most [`MAX_FRAME_SAMPLES`].
    fn conceal(&mut self, samples: &mut [i16]);

    /// Makes the samples that were lost right before `payload` from the redundancy in it (RFC 6716 section 2.1.7).
    /// Where there is none, the same as [`Decoder::conceal`]. `payload` still has to be decoded afterwards.
    fn recover(&mut self, payload: &[u8], samples: &mut [i16]) {
        let _ = payload;
        self.conceal(samples);
    }
}

/// An encoder of the given kind; the settings matter to Opus only.
pub fn encoder(kind: CodecKind, opus: &OpusSettings) -> Result<Box<dyn Encoder>, CodecError> {
    Ok(match kind {
        CodecKind::Opus => Box::new(opus::OpusEncoder::new(opus)?),
        CodecKind::Pcmu => Box::new(g711::G711Encoder::mu_law()),
        CodecKind::Pcma => Box::new(g711::G711Encoder::a_law()),
    })
}

/// A decoder of the given kind.
pub fn decoder(kind: CodecKind) -> Result<Box<dyn Decoder>, CodecError> {
    Ok(match kind {
        CodecKind::Opus => Box::new(opus::OpusDecoder::new()?),
        CodecKind::Pcmu => Box::new(g711::G711Decoder::mu_law()),
        CodecKind::Pcma => Box::new(g711::G711Decoder::a_law()),
    })
}

/// An audio codec that the core can send and receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodecKind {
    /// Opus (RFC 6716, RFC 7587). RTP clock 48 kHz whatever the coding rate.
    Opus,
    /// G.711 mu-law (RFC 3551), 8 kHz.
    Pcmu,
    /// G.711 A-law (RFC 3551), 8 kHz.
    Pcma,
}

impl CodecKind {
    /// RTP clock rate in Hz.
    pub fn clock_rate_hz(self) -> u32 {
        match self {
            CodecKind::Opus => 48_000,
            CodecKind::Pcmu | CodecKind::Pcma => 8_000,
        }
    }

    /// The name in `a=rtpmap` (compared without case).
    pub fn encoding_name(self) -> &'static str {
        match self {
            CodecKind::Opus => "opus",
            CodecKind::Pcmu => "PCMU",
            CodecKind::Pcma => "PCMA",
        }
    }
}
