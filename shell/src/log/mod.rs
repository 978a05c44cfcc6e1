//! Logs: how lines look, where they go, which there are.

mod complaint;
pub mod elasticsearch;
mod error;
mod file;
mod outputs;
mod pseudonym;
mod settings;
mod sink;
mod standard_output;

pub use error::LogError;
pub(crate) use outputs::lost_log_lines;
pub use outputs::{LogHandle, init};
pub use pseudonym::pseudonym;
pub use settings::{Log, LogFormat};
