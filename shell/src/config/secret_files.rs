//! Secrets in files, which change while the program runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;
use toml::Value;

use super::values::IN_FILE;

/// The files that secrets of a configuration are in, each with a digest of what it held; none when it couldn't be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SecretFiles(BTreeMap<PathBuf, Option<[u8; 32]>>);

impl SecretFiles {
    /// Reads the files that `config` names.
    pub(crate) fn of(config: &impl Serialize) -> Self {
        let value = Value::try_from(config).expect("strings, numbers and tables can be written as TOML");
        let mut files = BTreeMap::new();
        collect(&value, &mut files);
        SecretFiles(files)
    }

    /// The same files with what they hold now.
    pub(crate) fn read_again(&self) -> Self {
        SecretFiles(self.0.keys().map(|file| (file.clone(), held(file))).collect())
    }
}

/// A secret in a file is written as where it is.
fn collect(value: &Value, files: &mut BTreeMap<PathBuf, Option<[u8; 32]>>) {
    match value {
        Value::String(text) => {
            if let Some(file) = text.strip_prefix(IN_FILE).map(PathBuf::from) {
                let held = held(&file);
                files.insert(file, held);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, files)),
        Value::Table(table) => table.values().for_each(|value| collect(value, files)),
        _ => {}
    }
}

/// Content is compared, because a mounted secret changes by a symbolic link, and a copied file may keep its time.
fn held(file: &Path) -> Option<[u8; 32]> {
    let bytes = std::fs::read(file).ok()?;
    digest(&SHA256, &bytes).as_ref().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[derive(Serialize)]
    struct Config {
        name: String,
        users: Vec<User>,
    }

    #[derive(Serialize)]
    struct User {
        password: Secret,
    }

    #[test]
    fn a_file_that_changes_or_goes_is_noticed() {
        let file = std::env::temp_dir().join(format!("shell-secret-files-{}", std::process::id()));
        std::fs::write(&file, "one").unwrap();
        let password = format!("file:{}", file.display()).parse().unwrap();
        let users = vec![User { password: Secret::from("plain") }, User { password }];
        let files = SecretFiles::of(&Config { name: "node".to_owned(), users });
        assert_eq!(files.0.len(), 1);
        assert_eq!(files.read_again(), files);
        std::fs::write(&file, "two").unwrap();
        let changed = files.read_again();
        assert_ne!(changed, files);
        std::fs::remove_file(&file).unwrap();
        assert_ne!(changed.read_again(), changed);
        assert_eq!(SecretFiles::of(&Config { name: "node".to_owned(), users: Vec::new() }), SecretFiles::default());
    }
}
