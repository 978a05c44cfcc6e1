//! The files that a configuration was read from, which change while the program runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;
use toml::Value;

use super::ConfigError;
use super::values::IN_FILE;

/// The configuration's own file and those that it names, each with a digest of what it held; none when it couldn't be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WatchedFiles(BTreeMap<PathBuf, Option<[u8; 32]>>);

impl WatchedFiles {
    /// These files, with what they hold now.
    pub(crate) fn of(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let look = |file: PathBuf| {
            let held = held(&file);
            (file, held)
        };
        WatchedFiles(files.into_iter().map(look).collect())
    }

    /// Loads a configuration after these files were looked at, and looks at those that it has: `files_of` it, and where its
    /// secrets are. They hold what was loaded, or the next look tells.
    ///
    /// # Errors
    /// As `load` says.
    pub(crate) fn load<C: Serialize>(
        &self,
        load: impl Fn() -> Result<C, ConfigError>,
        files_of: impl Fn(&C) -> Vec<PathBuf>,
    ) -> Result<(C, Self), ConfigError> {
        let config = load()?;
        let files = self.followed_by(files_of(&config), &config);
        if files.0.keys().all(|file| self.0.contains_key(file)) {
            return Ok((config, files));
        }
        // One that is new among them was looked at too late.
        let config = load()?;
        let files = files.followed_by(files_of(&config), &config);
        Ok((config, files))
    }

    /// The files of a configuration that was read after these. What was seen of a file then is what counts: it may have
    /// changed again since.
    fn followed_by(&self, mut files: Vec<PathBuf>, config: &impl Serialize) -> Self {
        let value = Value::try_from(config).expect("strings, numbers and tables can be written as TOML");
        collect(&value, &mut files);
        let seen = |name: PathBuf| {
            let held = self.0.get(&name).copied().unwrap_or_else(|| held(&name));
            (name, held)
        };
        WatchedFiles(files.into_iter().map(seen).collect())
    }

    /// The same files with what they hold now.
    pub(crate) fn read_again(&self) -> Self {
        WatchedFiles::of(self.0.keys().cloned())
    }
}

/// A secret in a file is written as where it is.
fn collect(value: &Value, names: &mut Vec<PathBuf>) {
    match value {
        Value::String(text) => names.extend(text.strip_prefix(IN_FILE).map(PathBuf::from)),
        Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
        Value::Table(table) => table.values().for_each(|value| collect(value, names)),
        _ => {}
    }
}

/// Content is compared, because a mounted ConfigMap or Secret changes by a symbolic link, and a copied file may keep its time.
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
    fn a_change_while_it_is_loaded_is_taken_over_or_noticed() {
        let own = std::env::temp_dir().join(format!("shell-watched-files-changing-{}", std::process::id()));
        std::fs::write(&own, "0").unwrap();
        // Each time somebody else writes the file right after it was read.
        let load = || {
            let name = std::fs::read_to_string(&own).unwrap();
            std::fs::write(&own, (name.parse::<u32>().unwrap() + 1).to_string()).unwrap();
            Ok(Config { name, users: Vec::new() })
        };
        let (config, files) = WatchedFiles::default().load(load, |_| vec![own.clone()]).unwrap();
        assert_eq!(config.name, "1", "the file wasn't known the first time");
        let now = files.read_again();
        assert_ne!(now, files);
        let (config, files) = now.load(load, |_| vec![own.clone()]).unwrap();
        assert_eq!(config.name, "2");
        assert_ne!(files.read_again(), files);
        std::fs::remove_file(&own).unwrap();
    }

    #[test]
    fn a_file_that_changes_or_goes_is_noticed() {
        let [own, secret] = ["own", "secret"]
            .map(|name| std::env::temp_dir().join(format!("shell-watched-files-{name}-{}", std::process::id())));
        std::fs::write(&own, "configuration").unwrap();
        std::fs::write(&secret, "one").unwrap();
        let password = format!("file:{}", secret.display()).parse().unwrap();
        let users = vec![User { password: Secret::from("plain") }, User { password }];
        let config = Config { name: "node".to_owned(), users };
        let mut files = WatchedFiles::default().followed_by(vec![own.clone()], &config);
        assert_eq!(files.0.len(), 2);
        assert_eq!(files.read_again(), files);
        for changed in [&own, &secret] {
            std::fs::write(changed, "two").unwrap();
            let now = files.read_again();
            assert_ne!(now, files);
            files = now;
        }
        std::fs::write(&own, "three").unwrap();
        assert_eq!(files.followed_by(vec![own.clone()], &config), files, "the change after the look isn't lost");
        std::fs::remove_file(&own).unwrap();
        std::fs::remove_file(&secret).unwrap();
        assert_ne!(files.read_again(), files);
        let others = Config { name: "node".to_owned(), users: Vec::new() };
        assert_eq!(files.followed_by(Vec::new(), &others), WatchedFiles::default());
    }
}
