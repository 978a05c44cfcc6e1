//! What types alone can't say about the configuration.

use std::net::IpAddr;

use shell::config::within;
use webrtc_sip_core::turn::MAX_REALM_LEN;

use super::{Config, ConfigError};

/// Refuses what can't work or would be unsafe.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    if config.listen.is_empty() {
        return Err(ConfigError::key("listen", "at least one address is needed"));
    }
    check_numbers(config)?;
    check_relay(config)?;
    check_discovery(config)?;
    check_auth(config)?;
    config.log.check()
}

/// More than any machine or any use needs, and far below where times and memory would run over.
fn check_numbers(config: &Config) -> Result<(), ConfigError> {
    const MANY: usize = 1_000_000;
    const DAY: u64 = 24 * 3600;
    let Config { relay, auth, limits, shutdown, .. } = config;
    within("workers", config.workers, 0..=256)?;
    within("relay.port_low", relay.port_low, 1024..=u16::MAX)?;
    within("relay.port_high", relay.port_high, relay.port_low..=u16::MAX)?;
    within("auth.nonce_seconds", auth.nonce_seconds, 10..=DAY)?;
    within("limits.relay_sockets", limits.relay_sockets, 1..=MANY)?;
    within("limits.connections", limits.connections, 0..=MANY)?;
    within("limits.allocations_per_user", limits.allocations_per_user, 1..=MANY)?;
    within("limits.permissions", limits.permissions, 1..=1000)?;
    within("limits.channels", limits.channels, 1..=1000)?;
    within("limits.refusals_per_second", limits.refusals_per_second, 1..=1_000_000)?;
    // RFC 8656 section 7.2: nothing shorter than the default lifetime is granted.
    within("limits.lifetime_seconds", limits.lifetime_seconds, 600..=DAY)?;
    within("shutdown.drain_seconds", shutdown.drain_seconds, 0..=7 * DAY)?;
    within("shutdown.interrupt_drain_seconds", shutdown.interrupt_drain_seconds, 0..=7 * DAY)
}

fn check_relay(config: &Config) -> Result<(), ConfigError> {
    let addresses = config.relay_addresses();
    let four = |ip: &IpAddr| ip.is_ipv4();
    let bound: Vec<IpAddr> = addresses.iter().map(|(bound, _)| *bound).collect();
    if bound.iter().any(IpAddr::is_unspecified) {
        return Err(ConfigError::key("relay.ips", "name the addresses: peers can't send to 0.0.0.0"));
    }
    match bound.as_slice() {
        [_] => {}
        [one, other] if four(one) != four(other) => {}
        _ => return Err(ConfigError::key("relay.ips", "at most one of IPv4 and one of IPv6")),
    }
    let external = &config.relay.external_ips;
    if !external.is_empty() && external.len() != bound.len() {
        return Err(ConfigError::key("relay.external_ips", "must be empty or have as many entries as relay.ips"));
    }
    if addresses.iter().any(|(bound, external)| four(bound) != four(external)) {
        return Err(ConfigError::key("relay.external_ips", "each must be of the same kind as its entry of relay.ips"));
    }
    Ok(())
}

/// RFC 5780 section 6: two addresses, each with the same two ports.
fn check_discovery(config: &Config) -> Result<(), ConfigError> {
    let Some(discovery) = &config.discovery else { return Ok(()) };
    let bad = |problem: &str| Err(ConfigError::key("discovery.alternate", problem));
    let (first, second) = (config.listen[0], discovery.alternate);
    if first.ip().is_unspecified() || second.ip().is_unspecified() {
        return bad("name the addresses here and in the first entry of listen: answers come from each of them");
    }
    if first.is_ipv4() != second.is_ipv4() {
        return bad("must be of the same kind as the first entry of listen");
    }
    if first.ip() == second.ip() || first.port() == second.port() || second.port() == 0 {
        return bad("must have another address and another port than the first entry of listen");
    }
    let external = &discovery.external_ips;
    if !matches!(external.len(), 0 | 2) || external.iter().any(|ip| ip.is_ipv4() != first.is_ipv4()) {
        let problem =
            "must be empty, or name two addresses: those of listen and of discovery.alternate as clients see them";
        return Err(ConfigError::key("discovery.external_ips", problem));
    }
    Ok(())
}

fn check_auth(config: &Config) -> Result<(), ConfigError> {
    // With a longer one, the answer to a client's first request would be more than a stranger gets.
    if config.auth.realm.is_empty() || config.auth.realm.len() > MAX_REALM_LEN {
        return Err(ConfigError::key("auth.realm", format!("expected 1 to {MAX_REALM_LEN} bytes")));
    }
    if let Some(index) = config.auth.secrets.iter().position(|secret| secret.reveal().is_empty()) {
        return Err(ConfigError::key(format!("auth.secrets[{index}]"), "must not be empty"));
    }
    if config.users.is_empty() && config.auth.secrets.is_empty() {
        return Err(ConfigError::key("users", "nobody may use the server: name users, or a secret in auth.secrets"));
    }
    for (index, user) in config.users.iter().enumerate() {
        let bad = |name: &str, problem: &str| Err(ConfigError::key(format!("users[{index}].{name}"), problem));
        if user.name.is_empty() || user.name.len() > 508 {
            return bad("name", "expected 1 to 508 bytes");
        }
        if user.password.reveal().is_empty() {
            return bad("password", "must not be empty");
        }
        if config.users[..index].iter().any(|other| other.name == user.name) {
            return bad("name", "two users have this name");
        }
    }
    Ok(())
}
