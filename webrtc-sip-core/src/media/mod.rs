//! The media plane.

mod command;
mod delay;
mod event;
pub mod jitter;
mod pcm;
pub mod relay;
mod shard;
mod snapshot;
pub mod transcoder;

pub use command::{
    AudioConfig, AudioFormat, DtlsRole, DtmfDigit, DtmfFormat, IceCredentials, MediaCommand, PlainLegConfig,
    WebRtcLegConfig, WebRtcRemote,
};
pub use event::{LegStats, MediaEvent, MediaFailure};
pub use relay::Relay;
pub use shard::MediaShard;
pub use snapshot::LegSnapshot;
pub use transcoder::{Transcoder, TranscoderConfig};
