//! Types of single values: secrets, networks.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use webrtc_sip_core::net::IpNetwork;

/// What a secret that is in a file begins with; the path follows.
pub(super) const IN_FILE: &str = "file:";

/// Text that is never printed. Where a configuration says `file:PATH`, it is what that file holds.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Secret {
    text: String,
    file: Option<PathBuf>,
}

impl Secret {
    /// The text, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Whether this is it; how long that takes doesn't tell how much of it is right.
    pub fn is(&self, text: &str) -> bool {
        let [ours, given] = [&self.text, text].map(|text| digest(&SHA256, text.as_bytes()));
        verify_slices_are_equal(ours.as_ref(), given.as_ref()).is_ok()
    }
}

/// What a configuration says: the secret, or where it is.
impl FromStr for Secret {
    type Err = UnreadableSecret;

    fn from_str(text: &str) -> Result<Self, UnreadableSecret> {
        let Some(file) = text.strip_prefix(IN_FILE).map(PathBuf::from) else { return Ok(text.into()) };
        let unreadable = |problem: String| UnreadableSecret { file: file.clone(), problem };
        let text = std::fs::read_to_string(&file).map_err(|error| unreadable(error.to_string()))?;
        // Editors end every line.
        let text = text.trim_end_matches(['\r', '\n']).to_owned();
        // A file that is just being written isn't a password that everybody knows.
        if text.is_empty() {
            return Err(unreadable("it is empty".to_owned()));
        }
        Ok(Secret { text, file: Some(file) })
    }
}

impl TryFrom<String> for Secret {
    type Error = UnreadableSecret;

    fn try_from(text: String) -> Result<Self, UnreadableSecret> {
        text.parse()
    }
}

/// The secret itself.
impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Secret { text: text.to_owned(), file: None }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.file {
            Some(file) => serializer.collect_str(&format_args!("{IN_FILE}{}", file.display())),
            None => serializer.serialize_str("***"),
        }
    }
}

/// The file of a secret can't be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {problem}", .file.display())]
pub struct UnreadableSecret {
    file: PathBuf,
    problem: String,
}

/// An address range in CIDR notation, or one address.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(pub IpNetwork);

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: std::net::IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix_len = prefix.map_or(Ok(longest), str::parse).map_err(|_| NotANetwork)?;
        if prefix_len > longest {
            return Err(NotANetwork);
        }
        Ok(Network(IpNetwork { address, prefix_len }))
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Self, NotANetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        format!("{}/{}", network.0.address, network.0.prefix_len)
    }
}

/// Not an address range.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("expected an address range such as 10.0.0.0/8")]
pub struct NotANetwork;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_file_is_what_the_file_holds() {
        let file = std::env::temp_dir().join(format!("shell-secret-{}", std::process::id()));
        let named = format!("file:{}", file.display());
        std::fs::write(&file, "open sesame\r\n").unwrap();
        let secret: Secret = named.parse().unwrap();
        std::fs::write(&file, "\n").unwrap();
        let empty = named.parse::<Secret>().unwrap_err().to_string();
        std::fs::remove_file(&file).unwrap();
        assert!(empty.ends_with(": it is empty"), "{empty}");
        assert_eq!(secret.reveal(), "open sesame");
        assert_eq!(serde_json::to_value(&secret).unwrap(), named.as_str(), "where it is can be read again");
        let error = named.parse::<Secret>().unwrap_err().to_string();
        assert!(error.starts_with(&file.display().to_string()), "{error}");
        assert_eq!("open sesame".parse::<Secret>().unwrap().reveal(), "open sesame");
        assert_eq!(serde_json::to_value(Secret::from("open sesame")).unwrap(), "***");
    }
}
