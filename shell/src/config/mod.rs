//! Configuration: embedded defaults, a TOML file, and environment variables over both.

mod layers;
mod values;
mod watched_files;

pub use layers::{ConfigError, Layers, environment, to_toml, within};
pub use values::{Network, NotANetwork, Secret, UnreadableSecret};
pub(crate) use watched_files::WatchedFiles;
