//! Why there is no log.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::config::ConfigError;

/// Why a program can't begin to log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A setting can't be right.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// A setting may be right, and what it names can't be used for now.
    #[error("{key}: {problem}")]
    Now {
        /// The path of the key, with dots.
        key: &'static str,
        /// What is in the way.
        problem: String,
    },
}

impl LogError {
    /// Of a folder that can't be used. A volume that is full or read-only and another process that is still there pass by
    /// themselves.
    pub(super) fn of_folder(key: &'static str, folder: &Path, error: &io::Error) -> Self {
        let problem = format!("{}: {error}", folder.display());
        match error.kind() {
            ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::AlreadyExists
            | ErrorKind::InvalidFilename
            | ErrorKind::InvalidInput => ConfigError::key(key, problem).into(),
            _ => LogError::Now { key, problem },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_told_from_what_cannot_be_right() {
        let of = |kind: ErrorKind| LogError::of_folder("log.path", Path::new("/logs"), &kind.into());
        for kind in [ErrorKind::NotFound, ErrorKind::PermissionDenied, ErrorKind::NotADirectory] {
            assert!(matches!(of(kind), LogError::Configuration(_)), "{kind}");
        }
        for kind in [ErrorKind::ResourceBusy, ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::Other] {
            assert!(of(kind).to_string().starts_with("log.path: /logs: "));
            assert!(matches!(of(kind), LogError::Now { .. }), "{kind}");
        }
    }
}
