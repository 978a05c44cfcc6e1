//! Logs: JSON or text, to standard error or to files, with a level that can be changed.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::{ConfigError, within};
use crate::log_file::{LogFile, Rotation, lost_lines};

/// Lines that may wait for a slow volume.
const MAX_WAITING: usize = 10_000;

/// Counts the lines that found no place among those.
static OVERFLOW: OnceLock<ErrorCounter> = OnceLock::new();

/// The section `[log]` of a configuration.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// A level, or a filter as in `RUST_LOG`.
    pub level: String,
    /// Where files are, in a folder for each instance; standard error where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// A file that would be larger is put aside.
    pub rotate_megabytes: u64,
    /// A file that is older is put aside.
    pub rotate_hours: u64,
    /// How many of those that are put aside stay.
    pub keep_files: usize,
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
        within("log.rotate_megabytes", self.rotate_megabytes, 1..=100_000)?;
        within("log.rotate_hours", self.rotate_hours, 1..=365 * 24)?;
        within("log.keep_files", self.keep_files, 0..=10_000)?;
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

/// Changes the level while running. When the last one is dropped, what waits is written to the files.
#[derive(Clone)]
pub struct LogHandle {
    level: reload::Handle<EnvFilter, Registry>,
    _files: Option<Arc<WorkerGuard>>,
}

impl LogHandle {
    /// Takes over the level of a reloaded configuration.
    pub fn set_level(&self, log: &Log) {
        // The level was checked with the configuration; reloading fails only when the subscriber is gone.
        if let Ok(filter) = log.level.parse::<EnvFilter>() {
            let _ = self.level.reload(filter);
        }
    }
}

/// Installs the process-wide subscriber; does nothing but return a handle when one is installed already. Files are
/// `INSTANCE/PROGRAM.log` in the configured folder.
///
/// # Errors
/// The folder can't be written to.
pub fn init(program: &'static str, instance: &str, log: &Log) -> Result<LogHandle, ConfigError> {
    let filter = log.level.parse::<EnvFilter>().unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, level) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let files = log.path.as_ref().map(|path| files(path.join(instance), program, log)).transpose()?;
    let is_terminal = files.is_none() && std::io::stderr().is_terminal();
    let (writer, guard) = match files {
        Some((files, guard)) => (BoxMakeWriter::new(files), Some(Arc::new(guard))),
        None => (BoxMakeWriter::new(std::io::stderr), None),
    };
    let _ = match log.format {
        LogFormat::Json => registry.with(fmt::layer().json().flatten_event(true).with_writer(writer)).try_init(),
        LogFormat::Text => {
            registry.with(fmt::layer().with_target(false).with_ansi(is_terminal).with_writer(writer)).try_init()
        }
    };
    Ok(LogHandle { level, _files: guard })
}

/// A thread that writes, so that a volume that is slow delays nobody.
fn files(folder: PathBuf, program: &'static str, log: &Log) -> Result<(NonBlocking, WorkerGuard), ConfigError> {
    let rotation = Rotation {
        bytes: log.rotate_megabytes << 20,
        age: Duration::from_secs(log.rotate_hours * 3600),
        keep: log.keep_files,
    };
    let problem = |error| ConfigError::key("log.path", format!("{}: {error}", folder.display()));
    let file = LogFile::open(folder.clone(), program, rotation).map_err(problem)?;
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(MAX_WAITING).finish(file);
    // A program has one log.
    let _ = OVERFLOW.set(writer.error_counter());
    Ok((writer, guard))
}

/// Lines that never came to a file, because the volume was full, slow or gone.
pub(crate) fn lost_log_lines() -> u64 {
    lost_lines() + OVERFLOW.get().map_or(0, |counter| counter.dropped_lines() as u64)
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
        let log = |level: &str| Log {
            format: LogFormat::Text,
            level: level.to_owned(),
            path: None,
            rotate_megabytes: 1,
            rotate_hours: 1,
            keep_files: 1,
        };
        assert!(log("info,webrtc_sip_core=trace").check().is_ok());
        assert!(log("WARN").check().is_ok());
        for level in ["lo=ud=er", "warning", "inof", "", "info,turn"] {
            assert!(log(level).check().unwrap_err().to_string().starts_with("log.level: "), "{level}");
        }
    }
}
