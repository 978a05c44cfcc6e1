//! The media plane: ICE, DTLS-SRTP, RTP, transcoding, DTMF and reports of every leg that lives on one worker.
//!
//! ```text
//!              MediaCommand                         MediaEvent
//! control ────────────────────►  MediaShard  ────────────────────► control
//!                                │    │    │
//!            socket ── demux ────┘   leg   └──── timers on a 5 ms grid
//!                                     │
//!                    transport (ICE + DTLS-SRTP, or plain RTP)
//!                                     │
//!                 bridge:  relay (in place)  or  transcoder (jitter buffer, codecs)
//! ```
//!
//! A [`MediaShard`] owns its legs alone: shards share nothing and take no locks. Two legs that are bridged hear each
//! other; each has its own sequence numbers, timestamps, source and reports, so that either can be moved or replaced
//! without the other noticing more than a gap.

mod bridge;
mod command;
mod config;
mod delay;
mod demux;
mod event;
pub mod jitter;
mod leg;
mod pcm;
pub mod relay;
mod shard;
mod snapshot;
#[cfg(test)]
pub(crate) mod testing;
pub mod transcoder;

pub use command::{
    AudioConfig, AudioFormat, DtlsRole, DtmfDigit, DtmfFormat, IceCredentials, MediaCommand, PlainLegConfig,
    WebRtcLegConfig, WebRtcRemote,
};
pub use config::{ShardConfig, ShardError, WebRtcSocket};
pub use event::{LegStats, MediaEvent, MediaFailure};
pub use relay::Relay;
pub use shard::{MediaShard, ShardStats};
pub use snapshot::{LegSnapshot, PlainSnapshot, RestoreLegConfig, RestoreTransport, TransportSnapshot, WebRtcSnapshot};
pub use transcoder::{Transcoder, TranscoderConfig};
