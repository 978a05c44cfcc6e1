//! Why the server isn't there, or isn't there any more.

use std::io;

use shell::program::Failure;

use crate::config::ConfigError;

/// Why a server doesn't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration names something that can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address is taken, or the system refuses something else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A worker ended although nobody told it to. Its clients' packets would go nowhere, so the whole server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("TURN worker {worker} ended unasked")]
pub struct Broken {
    /// Which.
    pub worker: usize,
}

/// Why [`run`](crate::run) came to a bad end.
pub type RunError = shell::program::RunError<StartError, Broken>;

impl Failure for StartError {
    fn is_configuration(&self) -> bool {
        matches!(self, StartError::Config(_))
    }
}
