//! The media plane.

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
