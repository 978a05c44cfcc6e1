//! Why the gateway isn't there, or isn't there any more.

use std::io;

use shell::program::Failure;
use webrtc_sip_core::crypto::CertificateError;
use webrtc_sip_core::ids::ShardId;

use crate::config::ConfigError;

/// Why a gateway doesn't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration names something that can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address is taken, or the system refuses something else.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No certificate for DTLS could be made.
    #[error("DTLS certificate: {0}")]
    Certificate(#[from] CertificateError),
}

impl From<turn_bin::StartError> for StartError {
    fn from(error: turn_bin::StartError) -> Self {
        match error {
            turn_bin::StartError::Config(error) => StartError::Config(error.in_section("turn")),
            turn_bin::StartError::Io(error) => StartError::Io(error),
            other => StartError::Io(io::Error::other(other)),
        }
    }
}

/// What ended although nobody told it to. Without it there are no calls, so the whole gateway ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// The task that owns signalling and calls.
    #[error("the control task ended unasked")]
    Control,
    /// A thread that carries media.
    #[error("media worker {0} ended unasked")]
    MediaWorker(ShardId),
    /// A thread of the TURN server, which relays calls.
    #[error(transparent)]
    Turn(#[from] turn_bin::Broken),
    /// The control task, which doesn't end when it should.
    #[error("the control task didn't end in time")]
    Stuck,
}

/// Why [`run`](crate::run) came to a bad end.
pub type RunError = shell::program::RunError<StartError, Broken>;

impl Failure for StartError {
    fn is_configuration(&self) -> bool {
        matches!(self, StartError::Config(_))
    }
}
