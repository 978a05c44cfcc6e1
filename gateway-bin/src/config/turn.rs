//! The section `[turn]`: the TURN server in this process, and what browsers are told of TURN.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use shell::config::within;

use super::{Config, ConfigError, Network, Secret, Tls};
use crate::turn::server_config;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    pub listen: Vec<SocketAddr>,
    pub urls: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    pub credential_hours: u64,
    pub realm: String,
    pub workers: usize,
    pub relay: TurnRelay,
    pub limits: TurnLimits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TurnRelay {
    pub ips: Vec<IpAddr>,
    pub external_ips: Vec<IpAddr>,
    pub port_low: u16,
    pub port_high: u16,
    pub allow_peers: Vec<Network>,
    pub deny_peers: Vec<Network>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TurnLimits {
    pub relay_sockets: usize,
    pub connections: usize,
    pub allocations_per_user: usize,
}

/// Refuses what can't work or would be unsafe.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let turn = &config.turn;
    within("turn.credential_hours", turn.credential_hours, 1..=365 * 24)?;
    if turn.secret.as_ref().is_some_and(|secret| secret.reveal().is_empty()) {
        return Err(ConfigError::key("turn.secret", "must not be empty"));
    }
    if let Some(index) = turn.urls.iter().position(|url| !is_turn_url(url)) {
        let problem = "expected turn:HOST, turn:HOST:PORT?transport=udp or tcp, or turns:";
        return Err(ConfigError::key(format!("turn.urls[{index}]"), problem));
    }
    if turn.listen.is_empty() {
        return match (turn.urls.is_empty(), &turn.secret) {
            (false, None) => Err(ConfigError::key("turn.secret", "the servers in turn.urls need to share it")),
            _ => Ok(()),
        };
    }
    if turn.urls.is_empty() && turn.listen.iter().any(|address| address.ip().is_unspecified()) {
        return Err(ConfigError::key("turn.urls", "name what browsers can reach: 0.0.0.0 in turn.listen isn't it"));
    }
    // The settings have the same names there.
    server_config(config, &["-".into()], &[].into()).check().map_err(|error| error.in_section("turn"))
}

/// RFC 7065 section 3.1, as far as a mistake is likely.
fn is_turn_url(text: &str) -> bool {
    let rest = text.strip_prefix("turns:").or_else(|| text.strip_prefix("turn:")).unwrap_or("");
    let (host, query) = rest.split_once('?').map_or((rest, None), |(host, query)| (host, Some(query)));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]%".contains(&byte);
    !host.is_empty()
        && !host.starts_with(':')
        && host.bytes().all(plain)
        && query.is_none_or(|query| ["transport=udp", "transport=tcp"].contains(&query))
}
