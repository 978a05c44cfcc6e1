//! The media plane.

mod command;
mod event;
mod shard;
mod snapshot;

pub use command::{
    AudioConfig, AudioFormat, DtlsRole, DtmfDigit, DtmfFormat, IceCredentials, MediaCommand, PlainLegConfig,
    WebRtcLegConfig, WebRtcRemote,
};
pub use event::{LegStats, MediaEvent, MediaFailure};
pub use shard::MediaShard;
pub use snapshot::LegSnapshot;
