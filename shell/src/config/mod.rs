//! Configuration: embedded defaults, a TOML file, and environment variables over both.

mod layers;
mod values;

pub use layers::{ConfigError, Layers, environment, to_toml, within};
pub use values::{Network, NotANetwork, Secret};
