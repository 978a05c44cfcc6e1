//! What types alone can't say about the configuration.

use std::net::{IpAddr, SocketAddr};

use argon2::password_hash::PasswordHash;
use shell::config::within;

use super::{Config, ConfigError, HostPort, User};

/// Refuses what can't work or would be unsafe.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    check_names(config)?;
    check_numbers(config)?;
    check_http(config)?;
    check_sip(config)?;
    check_media(config)?;
    super::turn::check(config)?;
    for (index, user) in config.users.iter().enumerate() {
        check_user(index, user)?;
        if config.users[..index].iter().any(|other| other.name == user.name) {
            return Err(ConfigError::key(format!("users[{index}].name"), "two users have this name"));
        }
    }
    config.log.check()
}

fn check_names(config: &Config) -> Result<(), ConfigError> {
    // The node's name travels in a cookie, the colour in JSON and in shell scripts.
    let plain = |text: &str| {
        !text.is_empty()
            && text.len() <= 64
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    for (key, text) in [("node", &config.node), ("colour", &config.colour)] {
        if !plain(text) {
            return Err(ConfigError::key(key, "expected 1 to 64 letters, digits, '-', '_' or '.'"));
        }
    }
    // Browsers take these segments out of a path (RFC 3986 section 5.2.4).
    if config.http.colour_path && matches!(config.colour.as_str(), "." | "..") {
        return Err(ConfigError::key("colour", "can't be a part of a path, which http.colour_path needs"));
    }
    Ok(())
}

/// More than any machine or any use needs, and far below where times and memory would run over.
fn check_numbers(config: &Config) -> Result<(), ConfigError> {
    const MANY: usize = 1_000_000;
    const DAY: u64 = 24 * 3600;
    let Config { http, sip, media, limits, shutdown, .. } = config;
    if let Some(proxy) = &sip.proxy {
        within("sip.proxy.registration_seconds", u64::from(proxy.registration_seconds), 1..=DAY)?;
    }
    within("http.max_connections", http.max_connections, 1..=MANY)?;
    within("sip.max_tcp_connections", sip.max_tcp_connections, 0..=MANY)?;
    within("sip.t1_milliseconds", sip.t1_milliseconds, 10..=4000)?;
    within("media.workers", media.workers, 0..=256)?;
    within("media.opus_complexity", media.opus_complexity, 0..=10)?;
    within("media.opus_bitrate", media.opus_bitrate, 6_000..=64_000)?;
    within("limits.sign_ins", limits.sign_ins, 0..=MANY)?;
    within("limits.calls", limits.calls, 0..=MANY)?;
    within("limits.calls_per_user", limits.calls_per_user, 0..=1000)?;
    within("limits.client_message_bytes", limits.client_message_bytes, 1024..=16 << 20)?;
    within("limits.wrong_passwords", limits.wrong_passwords, 1..=1_000_000)?;
    within("limits.ring_seconds", limits.ring_seconds, 1..=3600)?;
    within("limits.sign_in_hours", limits.sign_in_hours, 1..=365 * 24)?;
    within("shutdown.unready_seconds", shutdown.unready_seconds, 0..=DAY)?;
    within("shutdown.drain_seconds", shutdown.drain_seconds, 0..=7 * DAY)?;
    within("shutdown.interrupt_drain_seconds", shutdown.interrupt_drain_seconds, 0..=7 * DAY)
}

fn check_http(config: &Config) -> Result<(), ConfigError> {
    let http = &config.http;
    let plaintext_allowed = http.tls.is_some() || http.insecure_allow_plaintext || !http.trusted_proxies.is_empty();
    if !http.listen.ip().is_loopback() && !plaintext_allowed {
        return Err(ConfigError::key(
            "http.listen",
            "plain HTTP beyond loopback needs http.tls, http.trusted_proxies or http.insecure_allow_plaintext = true",
        ));
    }
    if let Some(index) = http.allowed_origins.iter().position(|origin| !is_origin(origin)) {
        return Err(ConfigError::key(
            format!("http.allowed_origins[{index}]"),
            "expected scheme://host or scheme://host:port",
        ));
    }
    Ok(())
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or("");
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@*".contains(&byte))
}

fn check_sip(config: &Config) -> Result<(), ConfigError> {
    let sip = &config.sip;
    if sip.listen.is_empty() {
        return Err(ConfigError::key("sip.listen", "at least one address is needed"));
    }
    if !sip.advertised.is_empty() && sip.advertised.len() != sip.listen.len() {
        return Err(ConfigError::key("sip.advertised", "must be empty or have as many entries as sip.listen"));
    }
    let told = if sip.advertised.is_empty() { &sip.listen } else { &sip.advertised };
    if told.iter().any(|address| address.ip().is_unspecified()) {
        return Err(ConfigError::key(
            "sip.advertised",
            "name an address that others can reach: 0.0.0.0 in sip.listen isn't one",
        ));
    }
    for (index, route) in sip.routes.iter().enumerate() {
        if route.numbers.is_empty() == route.prefix.is_none() {
            return Err(ConfigError::key(format!("sip.routes[{index}]"), "needs either `numbers` or `prefix`"));
        }
        check_family(&format!("sip.routes[{index}].target"), &route.target, &sip.listen)?;
    }
    sip.proxy.as_ref().map_or(Ok(()), |proxy| check_family("sip.proxy.target", &proxy.target, &sip.listen))
}

/// What is sent to an address leaves from one of its kind; to a name, it goes to those of its addresses that can be reached.
fn check_family(key: &str, target: &HostPort, listen: &[SocketAddr]) -> Result<(), ConfigError> {
    let reached = |ip: IpAddr| listen.iter().any(|address| address.is_ipv4() == ip.to_canonical().is_ipv4());
    if target.host.parse().is_ok_and(|ip| !reached(ip)) {
        return Err(ConfigError::key(key, "sip.listen has no address of its family (IPv4 or IPv6)"));
    }
    Ok(())
}

fn check_media(config: &Config) -> Result<(), ConfigError> {
    let media = &config.media;
    if media.rtp_port_low < 1024 {
        return Err(ConfigError::key("media.rtp_port_low", "must be 1024 or more"));
    }
    if media.rtp_port_high <= media.rtp_port_low {
        return Err(ConfigError::key("media.rtp_port_high", "must be above media.rtp_port_low"));
    }
    if !media.advertised.is_empty() && media.advertised.len() != media.listen.len() {
        return Err(ConfigError::key("media.advertised", "must be empty or have as many entries as media.listen"));
    }
    if media.listen.iter().any(std::net::IpAddr::is_unspecified) {
        return Err(ConfigError::key(
            "media.listen",
            "name the addresses: ICE must know at which one a packet arrived",
        ));
    }
    media.webrtc_ports()?;
    for (key, codecs) in [("media.browser_codecs", &media.browser_codecs), ("media.sip_codecs", &media.sip_codecs)] {
        if codecs.is_empty() {
            return Err(ConfigError::key(key, "at least one codec is needed"));
        }
    }
    Ok(())
}

fn check_user(index: usize, user: &User) -> Result<(), ConfigError> {
    let key = |name: &str| format!("users[{index}].{name}");
    if user.name.is_empty() || user.name.len() > 64 || user.name.contains(|c: char| c.is_whitespace() || c == '@') {
        return Err(ConfigError::key(key("name"), "expected 1 to 64 characters without spaces and '@'"));
    }
    match (&user.password, &user.password_hash) {
        (Some(password), None) if !password.reveal().is_empty() => Ok(()),
        (None, Some(hash)) => match PasswordHash::new(hash.reveal()) {
            Ok(hash) if hash.algorithm.as_str() == "argon2id" => Ok(()),
            _ => Err(ConfigError::key(key("password_hash"), "expected an argon2id hash as $argon2id$v=19$...")),
        },
        _ => Err(ConfigError::key(key("password"), "needs either a password or a password_hash")),
    }
}
