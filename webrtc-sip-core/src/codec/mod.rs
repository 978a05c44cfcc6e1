//! Audio codecs behind one pair of traits.

use serde::{Deserialize, Serialize};

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
