//! Types of single values: secrets, networks.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use webrtc_sip_core::net::IpNetwork;

/// Text that is never printed.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether this is it; how long that takes doesn't tell how much of it is right.
    pub fn is(&self, text: &str) -> bool {
        let [ours, given] = [&self.0, text].map(|text| digest(&SHA256, text.as_bytes()));
        verify_slices_are_equal(ours.as_ref(), given.as_ref()).is_ok()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Secret(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
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
