//! Configuration: embedded defaults, a TOML file, and environment variables over both.

mod layers;
mod reloads;
mod values;
mod watched_files;

pub use layers::{ConfigError, Layers, check_name, check_node, environment, to_toml, within};
pub(crate) use reloads::{last_reload_successful, note_reload};
pub use values::{Network, NotANetwork, Secret, UnreadableSecret};
pub(crate) use watched_files::WatchedFiles;
