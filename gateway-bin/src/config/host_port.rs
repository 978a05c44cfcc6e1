//! Where SIP goes next.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use webrtc_sip_core::gateway::SipTarget;

/// A host name or address and a port; 5060 when none is given.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    /// Host name or address, IPv6 without brackets.
    pub host: String,
    pub port: u16,
}

impl HostPort {
    /// As a next hop for the core.
    pub fn target(&self, tcp: bool) -> SipTarget {
        SipTarget { host: self.host.clone(), port: self.port, tcp }
    }
}

impl TryFrom<String> for HostPort {
    type Error = NotAHost;

    fn try_from(text: String) -> Result<Self, NotAHost> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or(NotAHost)?;
                (host, after.strip_prefix(':'))
            }
            None => text.split_once(':').map_or((text.as_str(), None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(5060), str::parse).map_err(|_| NotAHost)?;
        if !is_host(host) || port == 0 {
            return Err(NotAHost);
        }
        Ok(HostPort { host: host.to_owned(), port })
    }
}

/// Whether this is a host's name (RFC 1123 section 2.1, and the underscore that internal names have) or address, IPv6 without brackets.
pub(super) fn is_host(text: &str) -> bool {
    let is_name = |text: &str| {
        (1..=255).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    is_name(text) || text.parse::<IpAddr>().is_ok()
}

impl From<HostPort> for String {
    fn from(value: HostPort) -> String {
        if value.host.contains(':') {
            format!("[{}]:{}", value.host, value.port)
        } else {
            format!("{}:{}", value.host, value.port)
        }
    }
}

/// Not a host and port.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("expected a host and port such as sip.example.com:5060")]
pub struct NotAHost;
