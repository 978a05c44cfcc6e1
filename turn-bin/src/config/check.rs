//! What types alone can't say about the configuration.

use std::net::IpAddr;

use shell::config::{check_node, within};
use webrtc_sip_core::turn::MAX_REALM_LEN;

use super::{Config, ConfigError, OauthKey, Secret, Tenant, User, oauth};

/// A worker's number is one byte of what its clients come back with.
pub(crate) const MAX_WORKERS: usize = 256;
const MANY: usize = 1_000_000;
const DAY: u64 = 24 * 3600;
const TERABYTE: u64 = 1_000_000_000_000;

/// Fewer can be guessed.
const MIN_TOKEN_BYTES: usize = 16;

/// Refuses what can't work or would be unsafe.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    if config.listen.is_empty() {
        return Err(ConfigError::key("listen", "at least one address is needed"));
    }
    config.node.as_deref().map_or(Ok(()), check_node)?;
    check_numbers(config)?;
    check_relay(config)?;
    check_discovery(config)?;
    check_auth(config)?;
    check_tenants(config)?;
    check_alternate(config)?;
    if config.http.admin_token.as_ref().is_some_and(|token| token.reveal().len() < MIN_TOKEN_BYTES) {
        return Err(ConfigError::key("http.admin_token", "expected 16 bytes or more"));
    }
    config.log.check()
}

/// More than any machine or any use needs, and far below where times and memory would run over.
fn check_numbers(config: &Config) -> Result<(), ConfigError> {
    let Config { relay, auth, limits, shutdown, .. } = config;
    within("workers", config.workers, 0..=MAX_WORKERS)?;
    within("relay.port_low", relay.port_low, 1024..=u16::MAX)?;
    within("relay.port_high", relay.port_high, relay.port_low..=u16::MAX)?;
    within("auth.nonce_seconds", auth.nonce_seconds, 10..=DAY)?;
    within("limits.relay_sockets", limits.relay_sockets, 1..=MANY)?;
    within("limits.connections", limits.connections, 0..=MANY)?;
    within("limits.allocations", limits.allocations, 0..=MANY)?;
    within("limits.allocations_per_tenant", limits.allocations_per_tenant, 0..=MANY)?;
    within("limits.allocations_per_user", limits.allocations_per_user, 0..=MANY)?;
    within("limits.bytes_per_second", limits.bytes_per_second, 0..=TERABYTE)?;
    within("limits.bytes_per_second_per_tenant", limits.bytes_per_second_per_tenant, 0..=TERABYTE)?;
    within("limits.bytes_per_second_per_user", limits.bytes_per_second_per_user, 0..=TERABYTE)?;
    within("limits.permissions", limits.permissions, 1..=1000)?;
    within("limits.channels", limits.channels, 1..=1000)?;
    within("limits.peer_connections", limits.peer_connections, 0..=1000)?;
    within("limits.refusals_per_second", limits.refusals_per_second, 1..=1_000_000)?;
    // RFC 8656 section 7.2: nothing shorter than the default lifetime is granted.
    within("limits.lifetime_seconds", limits.lifetime_seconds, 600..=DAY)?;
    within("limits.idle_connection_seconds", limits.idle_connection_seconds, 1..=3600)?;
    within("shutdown.unready_seconds", shutdown.unready_seconds, 0..=DAY)?;
    within("shutdown.drain_seconds", shutdown.drain_seconds, 0..=7 * DAY)?;
    within("shutdown.interrupt_drain_seconds", shutdown.interrupt_drain_seconds, 0..=7 * DAY)
}

fn check_alternate(config: &Config) -> Result<(), ConfigError> {
    let bad = |problem| Err(ConfigError::key("shutdown.alternate_server", problem));
    match config.shutdown.alternate_server {
        Some(address) if address.ip().is_unspecified() || address.port() == 0 => bad("expected IP:PORT of a server"),
        Some(address) if config.listen.contains(&address) => bad("this is the server itself"),
        _ => Ok(()),
    }
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
    let Config { auth, users, oauth_keys, tenants, .. } = config;
    if users.is_empty() && auth.secrets.is_empty() && oauth_keys.is_empty() && tenants.is_empty() {
        return Err(ConfigError::key("users", "nobody may use the server: name users, or a secret in auth.secrets"));
    }
    check_realm("auth.realm", &auth.realm)?;
    check_secrets("auth.secrets", &auth.secrets)?;
    check_users("users", users)?;
    check_server_name("auth.server_name", &auth.server_name, &auth.realm, oauth_keys)?;
    oauth::check("oauth_keys", oauth_keys)
}

fn check_tenants(config: &Config) -> Result<(), ConfigError> {
    for (index, tenant) in config.tenants.iter().enumerate() {
        let key = |name: &str| format!("tenants[{index}].{name}");
        check_tenant(tenant, key)?;
        let others = &config.tenants[..index];
        if tenant.realm == config.auth.realm || others.iter().any(|other| other.realm == tenant.realm) {
            return Err(ConfigError::key(key("realm"), "two tenants have this realm, or [auth] has it"));
        }
        if let Some(origin) =
            tenant.origins.iter().find(|origin| others.iter().any(|other| other.origins.contains(origin)))
        {
            return Err(ConfigError::key(key("origins"), format!("two tenants have {origin}")));
        }
    }
    Ok(())
}

fn check_tenant(tenant: &Tenant, key: impl Fn(&str) -> String) -> Result<(), ConfigError> {
    check_realm(&key("realm"), &tenant.realm)?;
    check_secrets(&key("secrets"), &tenant.secrets)?;
    check_users(&key("users"), &tenant.users)?;
    check_server_name(&key("server_name"), &tenant.server_name, &tenant.realm, &tenant.oauth_keys)?;
    oauth::check(&key("oauth_keys"), &tenant.oauth_keys)?;
    if tenant.users.is_empty() && tenant.secrets.is_empty() && tenant.oauth_keys.is_empty() {
        return Err(ConfigError::key(key("users"), "nobody may use this realm: name users, secrets or oauth_keys"));
    }
    if let Some(index) = tenant.origins.iter().position(|origin| !is_origin(origin)) {
        let problem =
            "expected an origin as browsers write it, such as https://phone.example.com or http://localhost:8080";
        return Err(ConfigError::key(format!("{}[{index}]", key("origins")), problem));
    }
    within(&key("allocations"), tenant.allocations.unwrap_or(0), 0..=MANY)?;
    within(&key("allocations_per_user"), tenant.allocations_per_user.unwrap_or(0), 0..=MANY)?;
    within(&key("bytes_per_second"), tenant.bytes_per_second.unwrap_or(0), 0..=TERABYTE)?;
    within(&key("bytes_per_second_per_user"), tenant.bytes_per_second_per_user.unwrap_or(0), 0..=TERABYTE)
}

/// Scheme, host and maybe a port in lower case (RFC 6454 section 6.2): they are compared byte by byte.
fn is_origin(origin: &str) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else { return false };
    let plain = |text: &str, others: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || others.contains(c);
        !text.is_empty() && text.chars().all(fits)
    };
    plain(scheme, "+-.") && plain(host, "-.:[]_")
}

fn check_realm(key: &str, realm: &str) -> Result<(), ConfigError> {
    // With a longer one, the answer to a client's first request would be more than a stranger gets.
    if realm.is_empty() || realm.len() > MAX_REALM_LEN {
        return Err(ConfigError::key(key, format!("expected 1 to {MAX_REALM_LEN} bytes")));
    }
    Ok(())
}

/// Where tokens are taken, the answer to a client's first request has to hold this name besides the realm.
fn check_server_name(key: &str, name: &str, realm: &str, keys: &[OauthKey]) -> Result<(), ConfigError> {
    let name = if name.is_empty() { realm } else { name };
    let padded = |text: &str| text.len().next_multiple_of(4);
    if !keys.is_empty() && padded(realm) + 4 + padded(name) > MAX_REALM_LEN {
        let most = MAX_REALM_LEN - 4;
        let problem = format!("this (or the realm in its place) and the realm may have {most} bytes together");
        return Err(ConfigError::key(key, problem));
    }
    Ok(())
}

fn check_secrets(key: &str, secrets: &[Secret]) -> Result<(), ConfigError> {
    match secrets.iter().position(|secret| secret.reveal().is_empty()) {
        Some(index) => Err(ConfigError::key(format!("{key}[{index}]"), "must not be empty")),
        None => Ok(()),
    }
}

fn check_users(key: &str, users: &[User]) -> Result<(), ConfigError> {
    for (index, user) in users.iter().enumerate() {
        let bad = |name: &str, problem: &str| Err(ConfigError::key(format!("{key}[{index}].{name}"), problem));
        if user.name.is_empty() || user.name.len() > 508 {
            return bad("name", "expected 1 to 508 bytes");
        }
        if user.password.reveal().is_empty() {
            return bad("password", "must not be empty");
        }
        if users[..index].iter().any(|other| other.name == user.name) {
            return bad("name", "two users have this name");
        }
    }
    Ok(())
}
