//! How many file descriptors the configuration may need; a server that can't have them refuses to start.

use shell::limits::{Need, raise_open_files, shortage};

use crate::config::{Config, ConfigError};

/// What the configuration may need.
pub fn needs(config: &Config) -> [Need; 2] {
    [
        Need { files: config.limits.relay_sockets as u64, purpose: "relay sockets", setting: "limits.relay_sockets" },
        Need { files: config.limits.connections as u64, purpose: "connections", setting: "limits.connections" },
    ]
}

/// What this process can't get of it, if anything.
pub(crate) fn shortage_of(config: &Config) -> Option<String> {
    shortage(&needs(config), raise_open_files())
}

/// Makes room for what is configured.
///
/// # Errors
/// The process can't get as many descriptors.
pub(crate) fn make_room(config: &Config) -> Result<(), ConfigError> {
    shortage_of(config).map_or(Ok(()), |problem| Err(ConfigError::key("limits.relay_sockets", problem)))
}
