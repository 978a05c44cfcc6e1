//! The section `[log]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::elasticsearch::Elasticsearch;
use crate::config::{ConfigError, within};
use crate::firewall::Opening;

/// The section `[log]` of a configuration.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// A level, or a filter as in `RUST_LOG`.
    pub level: String,
    /// Where files are, in a folder for each instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// A file that would be larger is put aside.
    pub rotate_megabytes: u64,
    /// A file that is older is put aside.
    pub rotate_hours: u64,
    /// How many of those that are put aside stay.
    pub keep_files: usize,
    /// A server that has lines besides.
    pub elasticsearch: Elasticsearch,
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
    /// Whether the settings mean something.
    ///
    /// # Errors
    /// They don't.
    pub fn check(&self) -> Result<(), ConfigError> {
        within("log.rotate_megabytes", self.rotate_megabytes, 1..=100_000)?;
        within("log.rotate_hours", self.rotate_hours, 1..=365 * 24)?;
        within("log.keep_files", self.keep_files, 0..=10_000)?;
        if self.path.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            return Err(ConfigError::key("log.path", "must not be empty; left out, the log goes to standard output"));
        }
        self.elasticsearch.check()?;
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

    /// Files that running logs depend on, other than those of secrets.
    pub fn files(&self) -> Vec<PathBuf> {
        self.elasticsearch.ca_in_use().into_iter().cloned().collect()
    }

    /// Reads the files that it names.
    ///
    /// # Errors
    /// One of them can't be used.
    pub fn check_files(&self) -> Result<(), ConfigError> {
        self.elasticsearch.check_files()
    }

    /// What firewalls have to let through from here, `from`, for lines to go where they should.
    #[must_use]
    pub fn opening(&self, from: &'static str) -> Option<Opening> {
        self.elasticsearch.opening(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_means_nothing_is_refused() {
        let log = |level: &str| Log {
            format: LogFormat::Text,
            level: level.to_owned(),
            path: None,
            rotate_megabytes: 1,
            rotate_hours: 1,
            keep_files: 1,
            elasticsearch: Elasticsearch::example(),
        };
        assert!(log("info,webrtc_sip_core=trace").check().is_ok());
        assert!(log("WARN").check().is_ok());
        for level in ["lo=ud=er", "warning", "inof", "", "info,turn"] {
            assert!(log(level).check().unwrap_err().to_string().starts_with("log.level: "), "{level}");
        }
    }
}
