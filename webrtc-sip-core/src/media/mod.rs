//! The media plane.

mod command;
mod event;
pub mod relay;
mod shard;
mod snapshot;

pub use command::{
    AudioConfig, AudioFormat, DtlsRole, DtmfDigit, DtmfFormat, IceCredentials, MediaCommand, PlainLegConfig,
    WebRtcLegConfig, WebRtcRemote,
};
pub use event::{LegStats, MediaEvent, MediaFailure};
pub use relay::Relay;
pub use shard::MediaShard;
pub use snapshot::LegSnapshot;
