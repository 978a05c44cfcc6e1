//! Configuration: embedded defaults, a TOML file, and environment variables over both.

mod layers;
mod secret_files;
mod values;

pub use layers::{ConfigError, Layers, environment, to_toml, within};
pub(crate) use secret_files::SecretFiles;
pub use values::{Network, NotANetwork, Secret, UnreadableSecret};
