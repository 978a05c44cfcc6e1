//! Logs: JSON or text, with a level that can be changed.

use std::io::IsTerminal;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::ConfigError;

/// The section `[log]` of a configuration.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// A level, or a filter as in `RUST_LOG`.
    pub level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// An object a line, for machines.
    Json,
    /// For people.
    Text,
}

impl Log {
    /// Whether the level means something.
    ///
    /// # Errors
    /// It doesn't.
    pub fn check(&self) -> Result<(), ConfigError> {
        // A word that is no level would be taken for the name of a part, and everything else would fall silent.
        let mut directives = self.level.split(',').map(str::trim);
        let is_level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
        let known = directives.all(|part| part.contains(['=', '[']) || is_level(part));
        if known && self.level.parse::<EnvFilter>().is_ok() {
            return Ok(());
        }
        let expected = "expected off, error, warn, info, debug, trace or a filter such as info,turn=debug";
        Err(ConfigError::key("log.level", expected))
    }
}

/// Changes the level while running.
#[derive(Clone)]
pub struct LevelHandle(reload::Handle<EnvFilter, Registry>);

impl LevelHandle {
    /// Takes over the level of a reloaded configuration.
    pub fn set(&self, log: &Log) {
        // The level was checked with the configuration; reloading fails only when the subscriber is gone.
        if let Ok(filter) = log.level.parse::<EnvFilter>() {
            let _ = self.0.reload(filter);
        }
    }
}

/// Installs the process-wide subscriber; does nothing but return a handle when one is installed already.
pub fn init(log: &Log) -> LevelHandle {
    let filter = log.level.parse::<EnvFilter>().unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let _ = match log.format {
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
        LogFormat::Text => registry
            .with(
                fmt::layer().with_target(false).with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr),
            )
            .try_init(),
    };
    LevelHandle(handle)
}

/// A short stand-in for a phone number or user name: the same one gives the same eight digits, so that lines can be
/// matched, but it isn't the number.
pub fn pseudonym(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_stable_and_short() {
        assert_eq!(pseudonym("1001"), pseudonym("1001"));
        assert_ne!(pseudonym("1001"), pseudonym("1002"));
        assert_eq!(pseudonym("1001").len(), 8);
    }

    #[test]
    fn a_level_that_means_nothing_is_refused() {
        let log = |level: &str| Log { format: LogFormat::Text, level: level.to_owned() };
        assert!(log("info,webrtc_sip_core=trace").check().is_ok());
        assert!(log("WARN").check().is_ok());
        for level in ["lo=ud=er", "warning", "inof", "", "info,turn"] {
            assert!(log(level).check().unwrap_err().to_string().starts_with("log.level: "), "{level}");
        }
    }
}
