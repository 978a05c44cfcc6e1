//! What types alone can't say about the configuration.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use argon2::Params;
use argon2::password_hash::PasswordHash;
use shell::config::{check_name, check_node, within};

use super::host_port::is_host;
use super::{Config, ConfigError, HostPort, User};

/// Refuses what can't work or would be unsafe.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    check_names(config)?;
    check_numbers(config)?;
    check_http(config)?;
    check_sip(config)?;
    check_media(config)?;
    super::turn::check(config)?;
    check_listeners(config)?;
    for (index, user) in config.users.iter().enumerate() {
        check_user(index, user)?;
        if config.users[..index].iter().any(|other| other.name == user.name) {
            return Err(ConfigError::key(format!("users[{index}].name"), "two users have this name"));
        }
    }
    config.log.check()
}

fn check_names(config: &Config) -> Result<(), ConfigError> {
    check_node(&config.node)?;
    check_name("colour", &config.colour)?;
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
    if !http.listen.ip().is_loopback() && config.is_demo() {
        return Err(ConfigError::key(
            "http.listen",
            "everybody knows the passwords of the embedded users: beyond loopback name a file with users of yours by --config",
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
    for (index, (address, bound)) in sip.advertised.iter().zip(&sip.listen).enumerate() {
        if address.port() == 0 || address.is_ipv4() != bound.is_ipv4() {
            let problem = "expected an address of the family of its entry in sip.listen, with a port";
            return Err(ConfigError::key(format!("sip.advertised[{index}]"), problem));
        }
    }
    let domains =
        [("sip.domain", Some(&sip.domain)), ("sip.proxy.domain", sip.proxy.as_ref().map(|proxy| &proxy.domain))];
    for (key, domain) in domains {
        if domain.is_some_and(|domain| !is_domain(domain)) {
            return Err(ConfigError::key(key, "expected a host name or an address, of IPv6 in brackets"));
        }
    }
    for (index, route) in sip.routes.iter().enumerate() {
        if route.numbers.is_empty() == route.prefix.is_none() {
            return Err(ConfigError::key(format!("sip.routes[{index}]"), "needs either `numbers` or `prefix`"));
        }
        check_family(&format!("sip.routes[{index}].target"), &route.target, &sip.listen)?;
    }
    sip.proxy.as_ref().map_or(Ok(()), |proxy| check_family("sip.proxy.target", &proxy.target, &sip.listen))
}

/// The host of a SIP URI (RFC 3261 section 25.1).
fn is_domain(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !text.contains(':') && is_host(text),
    }
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
    if media.rtp_port_low % 2 == 1 && media.rtp_port_high == media.rtp_port_low + 1 {
        return Err(ConfigError::key(
            "media.rtp_port_high",
            "there is no even port with the one above it in the range",
        ));
    }
    if media.advertised.iter().any(IpAddr::is_unspecified) {
        return Err(ConfigError::key("media.advertised", "name addresses that browsers can reach"));
    }
    if !media.advertised.is_empty() && media.advertised.len() != media.listen.len() {
        return Err(ConfigError::key("media.advertised", "must be empty or have as many entries as media.listen"));
    }
    if media.listen.iter().any(IpAddr::is_unspecified) {
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
        (None, Some(hash)) => {
            check_hash(hash.reveal()).map_err(|problem| ConfigError::key(key("password_hash"), problem))
        }
        _ => Err(ConfigError::key(key("password"), "needs either a password or a password_hash")),
    }
}

/// Whoever signs in makes the gateway do the work that a hash asks for.
fn check_hash(text: &str) -> Result<(), &'static str> {
    const MAX_MEMORY_KIB: u32 = 1 << 20;
    const MAX_ITERATIONS: u32 = 100;
    const MAX_LANES: u32 = 16;
    let hash = PasswordHash::new(text).ok().filter(|hash| hash.algorithm.as_str() == "argon2id" && hash.hash.is_some());
    let params = hash.and_then(|hash| Params::try_from(&hash).ok());
    let params = params.ok_or("expected an argon2id hash as $argon2id$v=19$m=...,t=...,p=...$SALT$HASH")?;
    if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_ITERATIONS || params.p_cost() > MAX_LANES {
        return Err("asks for more than m=1048576 (1 GiB), t=100 or p=16 at each sign-in");
    }
    Ok(())
}

/// Refuses two sockets in one place, which would show when the second is bound.
fn check_listeners(config: &Config) -> Result<(), ConfigError> {
    let Config { http, metrics, sip, turn, media, .. } = config;
    let mut tcp = vec![("http.listen", http.listen), ("metrics.listen", metrics.listen)];
    let mut udp = Vec::new();
    for (key, addresses) in [("sip.listen", &sip.listen), ("turn.listen", &turn.listen)] {
        tcp.extend(addresses.iter().map(|address| (key, *address)));
        udp.extend(addresses.iter().map(|address| (key, *address)));
    }
    for port in media.webrtc_ports()? {
        udp.extend(media.listen.iter().map(|ip| ("media.webrtc_port", SocketAddr::new(*ip, port))));
    }
    for sockets in [tcp, udp] {
        for (index, (key, address)) in sockets.iter().enumerate() {
            if let Some((other, _)) = sockets[..index].iter().find(|(_, other)| clash(*address, *other)) {
                return Err(ConfigError::key(*key, format!("{address} is taken by {other}")));
            }
        }
    }
    Ok(())
}

/// Whether two sockets can't be there at once. Any address of a family is in its unspecified one.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let same_ip = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && one.is_ipv4() == other.is_ipv4() && same_ip
}
