//! Reading the layers and naming the key that is wrong.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use config::{File, FileFormat, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is wrong with the configuration. Displayed as one line that names the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file can't be read, or isn't TOML.
    #[error("{}: {problem}", .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A value is missing, unknown or not acceptable.
    #[error("{key}: {problem}")]
    Key {
        /// The path of the key, with dots.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ConfigError {
    /// A value that isn't acceptable.
    pub fn key(key: impl Into<String>, problem: impl Into<String>) -> Self {
        ConfigError::Key { key: key.into(), problem: problem.into() }
    }

    /// The same where the configuration is a section of another one.
    #[must_use]
    pub fn in_section(self, section: &str) -> Self {
        match self {
            ConfigError::Key { key, problem } => ConfigError::Key { key: format!("{section}.{key}"), problem },
            file @ ConfigError::File { .. } => file,
        }
    }
}

/// A program's layers, lowest first.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// TOML with every key that has a default.
    pub defaults: &'a str,
    /// TOML in the place of a file where none is named.
    pub without_file: &'a str,
    /// What the environment variables begin with. An underscore follows, then the path in upper case with `__` between
    /// its levels: `WSG_HTTP__LISTEN` is `http.listen`.
    pub prefix: &'a str,
    /// The keys whose environment variables are lists, with commas between the elements.
    pub list_keys: &'a [&'a str],
}

impl Layers<'_> {
    /// The defaults, the file where one is named, `environment`.
    ///
    /// # Errors
    /// The file can't be read, or the layers together don't make a `T`.
    pub fn load<T: DeserializeOwned>(
        &self,
        file: Option<&Path>,
        environment: HashMap<String, String>,
    ) -> Result<T, ConfigError> {
        serde_path_to_error::deserialize(self.merge(file, environment)?).map_err(|error| {
            let key = error.path().to_string();
            ConfigError::key(key, without_value(&error.into_inner()))
        })
    }

    /// One value of them, whatever the others are: they may name secrets that aren't there.
    ///
    /// # Errors
    /// The file can't be read, or the value isn't a `T`.
    pub fn value<T: DeserializeOwned>(
        &self,
        key: &str,
        file: Option<&Path>,
        environment: HashMap<String, String>,
    ) -> Result<T, ConfigError> {
        let merged = self.merge(file, environment)?;
        merged.get(key).map_err(|error| ConfigError::key(key, without_value(&error)))
    }

    fn merge(&self, file: Option<&Path>, environment: HashMap<String, String>) -> Result<config::Config, ConfigError> {
        let middle = file.map_or_else(|| Ok(toml(self.without_file)), read)?;
        let builder = config::Config::builder().add_source(toml(self.defaults)).add_source(middle);
        self.overrides(environment)
            .try_fold(builder, |builder, (key, value)| builder.set_override(key, value))
            .and_then(|builder| builder.build())
            .map_err(|error| ConfigError::key("environment", one_line(&error.to_string())))
    }

    /// Our variables as keys and values. A value stays text until it is known what it has to be: a password may consist of
    /// digits. An empty list is one without elements.
    fn overrides(&self, variables: HashMap<String, String>) -> impl Iterator<Item = (String, Value)> {
        variables.into_iter().filter_map(|(name, text)| {
            let key = name.strip_prefix(self.prefix)?.strip_prefix('_')?.to_lowercase().replace("__", ".");
            let value = match self.list_keys.contains(&key.as_str()) {
                true => text.split(',').filter(|_| !text.is_empty()).map(str::to_owned).collect::<Vec<_>>().into(),
                false => text.into(),
            };
            Some((key, value))
        })
    }
}

/// The environment of the process. Variables of others may hold any bytes. In ours a value that isn't UTF-8 is wrong like
/// any other wrong value.
pub fn environment() -> HashMap<String, String> {
    let variable =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned()));
    std::env::vars_os().filter_map(variable).collect()
}

type Toml = File<config::FileSourceString, FileFormat>;

fn toml(text: &str) -> Toml {
    File::from_str(text, FileFormat::Toml)
}

/// Parsed alone first: an error of the layers together doesn't say which file it is in, and the parser's own text shows the
/// line, which may hold a password.
fn read(file: &Path) -> Result<Toml, ConfigError> {
    let problem = |problem: String| ConfigError::File { file: file.to_owned(), problem: one_line(&problem) };
    let text = std::fs::read_to_string(file).map_err(|error| problem(error.to_string()))?;
    toml::from_str::<toml::Table>(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        problem(format!("line {line}, column {column}: {}", error.message()))
    })?;
    Ok(toml(&text))
}

/// What is wrong with a value, but not the value: it may be a password in a wrong place. That which comes and that which is
/// expected stand around it (serde's `invalid_type` and `invalid_value`): invalid type: string "...", expected a sequence.
fn without_value(error: &impl Display) -> String {
    let text = one_line(&error.to_string());
    let Some((given, expected)) = text.rsplit_once(", expected ") else { return text };
    match given.find(['"', '`']) {
        Some(quote) if given.starts_with("invalid ") => format!("{}, expected {expected}", given[..quote].trim_end()),
        _ => text,
    }
}

/// Refuses a number outside of what is `allowed`.
///
/// # Errors
/// It is outside; the text says what is allowed.
pub fn within<N: PartialOrd + Display>(key: &str, value: N, allowed: RangeInclusive<N>) -> Result<(), ConfigError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(ConfigError::key(key, format!("must be {} to {}", allowed.start(), allowed.end())))
}

/// Refuses what can't be a name in cookies, JSON and shell scripts.
///
/// # Errors
/// It is empty, longer than 64 octets, or has other than letters, digits, '-', '_' and '.'.
pub fn check_name(key: &str, text: &str) -> Result<(), ConfigError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(());
    }
    Err(ConfigError::key(key, "expected 1 to 64 letters, digits, '-', '_' or '.'"))
}

/// Refuses what can't be the name of an instance, by which files are put aside.
///
/// # Errors
/// It is no name, or one that means another folder.
pub fn check_node(node: &str) -> Result<(), ConfigError> {
    check_name("node", node)?;
    if matches!(node, "." | "..") {
        return Err(ConfigError::key("node", "can't be the name of a folder, which logs need"));
    }
    Ok(())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A configuration as TOML; secrets are blacked out by their type.
pub fn to_toml(config: &impl Serialize) -> String {
    toml::to_string(config).expect("strings, numbers and tables can be written as TOML")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::config::Secret;

    #[derive(Debug, Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Small {
        name: String,
        inner: Inner,
    }

    #[derive(Debug, Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        ports: Vec<u16>,
        password: Secret,
    }

    const LAYERS: Layers<'static> = Layers {
        defaults: "name = \"default\"\n[inner]\nports = [1]\npassword = \"p\"",
        without_file: "name = \"demo\"",
        prefix: "X",
        list_keys: &["inner.ports"],
    };

    fn load(file: Option<&Path>, environment: &[(&str, &str)]) -> Result<Small, ConfigError> {
        LAYERS.load(file, environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn each_layer_overrides_those_below_it() {
        let file = std::env::temp_dir().join(format!("shell-layers-{}.toml", std::process::id()));
        std::fs::write(&file, "[inner]\nports = [2, 3]\n").unwrap();
        let named = load(Some(&file), &[]);
        let overridden = load(Some(&file), &[("X_INNER__PORTS", "4,5")]);
        std::fs::write(&file, "name = \"a\"\npassword = \"p\\hunter2\"\n").unwrap();
        let broken = load(Some(&file), &[]).unwrap_err().to_string();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(load(None, &[]).unwrap().name, "demo");
        let named = named.unwrap();
        assert_eq!((named.name.as_str(), named.inner.ports), ("default", vec![2, 3]));
        assert_eq!(overridden.unwrap().inner.ports, [4, 5]);
        let digits = load(None, &[("X_INNER__PORTS", ""), ("X_INNER__PASSWORD", "0123"), ("X_NAME", "true")]).unwrap();
        assert_eq!((digits.inner.ports, digits.inner.password.reveal(), &*digits.name), (vec![], "0123", "true"));
        assert!(broken.contains(".toml: line 2, column ") && !broken.contains('\n'), "{broken}");
        assert!(!broken.contains("hunter2"), "a line may hold a password: {broken}");
    }

    #[test]
    fn a_bad_value_is_named_by_its_key() {
        for (variable, key) in [("X_INNER__PORTS", "inner.ports"), ("X_INNER__PORT", "inner")] {
            let text = load(None, &[(variable, "many")]).expect_err("this configuration is bad").to_string();
            assert!(text.starts_with(key) && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn a_value_of_a_wrong_type_is_not_shown() {
        // With what could be taken for the end of the message.
        let secret = "hunter2`\", expected 5";
        for variable in ["X_INNER", "X_INNER__PASSWORD__TEXT"] {
            let text = load(None, &[(variable, secret)]).expect_err("this configuration is bad").to_string();
            assert!(text.contains(", expected ") && !text.contains("hunter2"), "{text}");
        }
        let environment = HashMap::from([("X_INNER".to_owned(), secret.to_owned())]);
        let text = LAYERS.value::<Inner>("inner", None, environment).unwrap_err().to_string();
        assert!(text.starts_with("inner: ") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn one_value_is_had_without_the_others() {
        let environment = |name: &str| {
            HashMap::from([
                ("X_INNER__PASSWORD".to_owned(), "file:/nonexistent".to_owned()),
                (name.to_owned(), "7".to_owned()),
            ])
        };
        let ports: Vec<u16> = LAYERS.value("inner.ports", None, environment("X_INNER__PORTS")).unwrap();
        assert_eq!(ports, [7]);
        let text = LAYERS.value::<u16>("name", None, environment("X_OTHER")).unwrap_err().to_string();
        assert!(text.starts_with("name: ") && !text.contains('\n'), "{text}");
    }

    #[test]
    fn secrets_are_not_printed() {
        let text = to_toml(&load(None, &[]).unwrap());
        assert!(text.contains("password = \"***\"") && text.contains("ports = [1]"), "{text}");
    }
}
