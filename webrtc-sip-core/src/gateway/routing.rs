//! Where a dialled number leads.

use crate::ids::SignInId;
use crate::sip::Uri;

use super::client::rpc::RpcError;
use super::config::{GatewayConfig, RouteMatch, SipTarget};

/// Longest address that may be dialled.
const MAX_DIALLED: usize = 256;
/// SIP's default port (RFC 3261 section 19.1.2).
const SIP_PORT: u16 = 5060;

/// Where a call goes.
#[derive(Debug)]
pub(super) enum Target {
    /// To a browser.
    User(SignInId),
    /// To a SIP peer.
    Sip { request_uri: Uri, next_hop: SipTarget },
}

/// `sip:user@domain`; none when the domain isn't a host.
pub(super) fn address(user: &str, domain: &str) -> Option<Uri> {
    let mut uri = host_address(domain)?;
    uri.as_sip_mut()?.set_user(Some(user));
    Some(uri)
}

/// `sip:domain`.
pub(super) fn host_address(domain: &str) -> Option<Uri> {
    format!("sip:{domain}").parse::<Uri>().ok().filter(|uri| uri.as_sip().is_some())
}

/// Finds the way to what was dialled: a number, a name, or a `sip:` address. Users come first, then the routes, then
/// the proxy.
pub(super) fn find(
    config: &GatewayConfig,
    dialled: &str,
    user: impl FnOnce(&str) -> Option<SignInId>,
) -> Result<Target, RpcError> {
    let dialled = dialled.trim();
    if dialled.len() > MAX_DIALLED {
        return Err(RpcError::BadNumber);
    }
    // RFC 3261 section 19.1.1: the scheme is case-insensitive.
    match dialled.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase()).as_deref() {
        Some("sip") => return find_uri(config, dialled, user),
        Some("sips" | "tel") => return Err(RpcError::UnsupportedScheme),
        _ => {}
    }
    let is_number = !dialled.is_empty() && dialled.bytes().all(|b| b.is_ascii_alphanumeric() || b"+*#-_.".contains(&b));
    if !is_number {
        return Err(RpcError::BadNumber);
    }
    if let Some(sign_in) = user(dialled) {
        return Ok(Target::User(sign_in));
    }
    let (next_hop, domain) = next_hop(config, dialled).ok_or(RpcError::Unroutable)?;
    let request_uri = address(dialled, &domain).ok_or(RpcError::BadNumber)?;
    Ok(Target::Sip { request_uri, next_hop })
}

/// A whole SIP address that is a user's leads to them. Any other goes straight to its host where that is a trusted
/// address, else through the proxy.
fn find_uri(
    config: &GatewayConfig,
    dialled: &str,
    user: impl FnOnce(&str) -> Option<SignInId>,
) -> Result<Target, RpcError> {
    let request_uri: Uri = dialled.parse().map_err(|_| RpcError::BadNumber)?;
    let sip_uri = request_uri.as_sip().ok_or(RpcError::BadNumber)?;
    let domains = [Some(&config.domain), config.proxy.as_ref().map(|proxy| &proxy.domain)];
    let host = sip_uri.host.to_string();
    let is_ours = domains.into_iter().flatten().any(|domain| domain.eq_ignore_ascii_case(&host));
    if let Some(sign_in) = sip_uri.user().filter(|_| is_ours && sip_uri.port.is_none()).and_then(|name| user(&name)) {
        return Ok(Target::User(sign_in));
    }
    let trusted_ip = sip_uri.host.ip().filter(|ip| config.trusts(*ip));
    let next_hop = match (trusted_ip, &config.proxy) {
        (Some(ip), _) => SipTarget {
            host: ip.to_string(),
            port: sip_uri.port.unwrap_or(SIP_PORT),
            tcp: sip_uri.transport().is_some_and(|t| t.eq_ignore_ascii_case("tcp")),
        },
        (None, Some(proxy)) => proxy.target.clone(),
        (None, None) => return Err(RpcError::Unroutable),
    };
    Ok(Target::Sip { request_uri, next_hop })
}

/// The next hop for a number and the host part of the address that is called there: the proxy's domain, or the peer of a
/// route itself, which may know no other as its own.
fn next_hop(config: &GatewayConfig, number: &str) -> Option<(SipTarget, String)> {
    let takes = |rule: &RouteMatch| match rule {
        RouteMatch::Exactly(numbers) => numbers.iter().any(|n| n == number),
        RouteMatch::Prefix(prefix) => number.starts_with(prefix.as_str()),
    };
    let route = config.routes.iter().find(|route| takes(&route.matches));
    match (route, &config.proxy) {
        (Some(route), _) => Some((route.target.clone(), host_part(&route.target))),
        (None, Some(proxy)) => Some((proxy.target.clone(), proxy.domain.clone())),
        (None, None) => None,
    }
}

fn host_part(target: &SipTarget) -> String {
    let host = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
    if target.port == SIP_PORT { host } else { format!("{host}:{}", target.port) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{Route, SipProxy};
    use crate::net::IpNetwork;
    use std::time::Duration;

    fn hop(port: u16) -> SipTarget {
        SipTarget { host: "127.0.0.1".into(), port, tcp: false }
    }

    fn config(with_proxy: bool) -> GatewayConfig {
        GatewayConfig {
            routes: vec![
                Route { matches: RouteMatch::Exactly(vec!["echo".into()]), target: hop(1) },
                Route { matches: RouteMatch::Prefix("+49".into()), target: hop(2) },
            ],
            trusted: vec![IpNetwork { address: "127.0.0.0".parse().unwrap(), prefix_len: 8 }],
            proxy: with_proxy.then(|| SipProxy {
                target: hop(3),
                domain: "example.org".into(),
                registration_lifetime: Duration::from_secs(600),
            }),
            ..GatewayConfig::default()
        }
    }

    fn way(dialled: &str, with_proxy: bool) -> Result<(String, u16), RpcError> {
        let user = |name: &str| (name == "1002").then_some(SignInId(2));
        find(&config(with_proxy), dialled, user).map(|target| match target {
            Target::User(id) => (id.to_string(), 0),
            Target::Sip { request_uri, next_hop } => (request_uri.to_string(), next_hop.port),
        })
    }

    #[test]
    fn numbers_find_their_way() {
        let to = |uri: &str, port| Ok((uri.to_owned(), port));
        assert_eq!(way("1002", true), to("signin-2", 0));
        assert_eq!(way(" echo ", true), to("sip:echo@127.0.0.1:1", 1));
        assert_eq!(way("+4930", false), to("sip:+4930@127.0.0.1:2", 2));
        assert_eq!(way("555", true), to("sip:555@example.org", 3));
        assert_eq!(way("555", false), Err(RpcError::Unroutable));
        assert_eq!(way("", false), Err(RpcError::BadNumber));
        assert_eq!(way("a b", false), Err(RpcError::BadNumber));
        assert_eq!(way(&"1".repeat(257), false), Err(RpcError::BadNumber));
    }

    #[test]
    fn whole_addresses_go_direct_only_to_trusted_hosts() {
        assert_eq!(way("sip:bob@127.0.0.1:5070", true), Ok(("sip:bob@127.0.0.1:5070".into(), 5070)));
        assert_eq!(way("sip:bob@192.0.2.1", true), Ok(("sip:bob@192.0.2.1".into(), 3)));
        assert_eq!(way("sip:bob@192.0.2.1", false), Err(RpcError::Unroutable));
        assert_eq!(way("sip:1002@example.org", true), Ok(("signin-2".into(), 0)));
        assert_eq!(way("sip:1002@LocalHost", false), Ok(("signin-2".into(), 0)));
        assert_eq!(way("sip:1003@example.org", true), Ok(("sip:1003@example.org".into(), 3)));
        assert_eq!(way("sip:1002@192.0.2.1", true), Ok(("sip:1002@192.0.2.1".into(), 3)));
        assert_eq!(way("sip:@@", false), Err(RpcError::BadNumber));
    }

    #[test]
    fn schemes_are_told_apart_in_either_case() {
        assert_eq!(way("SIP:bob@127.0.0.1:5070", true), Ok(("sip:bob@127.0.0.1:5070".into(), 5070)));
        assert_eq!(way("Sip:1002@example.org", true), Ok(("signin-2".into(), 0)));
        assert_eq!(way("sips:bob@127.0.0.1", true), Err(RpcError::UnsupportedScheme));
        assert_eq!(way("SIPS:1002@example.org", true), Err(RpcError::UnsupportedScheme));
        assert_eq!(way("tel:+4930", true), Err(RpcError::UnsupportedScheme));
        assert_eq!(way("http://example.org", true), Err(RpcError::BadNumber));
    }
}
