//! Plain HTTP beyond loopback is for the proxies that terminate TLS; others would send passwords in the clear.

use std::net::IpAddr;

use axum::http::HeaderMap;
use webrtc_sip_core::net::IpNetwork;

use crate::config::Http;

/// Who may sign in without TLS of ours.
#[derive(Debug)]
pub(crate) enum PlaintextFrom {
    /// TLS is ours, or it was said to be needless.
    Anyone,
    /// Loopback and these.
    Proxies(Vec<IpNetwork>),
}

impl PlaintextFrom {
    /// As configured.
    pub(crate) fn new(http: &Http) -> Self {
        if http.tls.is_some() || http.insecure_allow_plaintext {
            PlaintextFrom::Anyone
        } else {
            PlaintextFrom::Proxies(http.trusted_proxies.iter().map(|network| network.0).collect())
        }
    }

    /// Whether signalling is taken from there. Health and page are for everybody, so that probes work.
    pub(super) fn admits(&self, remote: IpAddr) -> bool {
        match self {
            PlaintextFrom::Anyone => true,
            PlaintextFrom::Proxies(proxies) => {
                remote.to_canonical().is_loopback() || proxies.iter().any(|network| network.contains(remote))
            }
        }
    }
}

/// The proxies whose word on their clients' addresses is taken.
#[derive(Debug)]
pub(crate) struct Proxies(Vec<IpNetwork>);

impl Proxies {
    /// As configured.
    pub(crate) fn new(http: &Http) -> Self {
        Proxies(http.trusted_proxies.iter().map(|network| network.0).collect())
    }

    /// Where a request comes from: the last address in `X-Forwarded-For` that isn't one of the proxies. What stands
    /// before it may be the client's own invention.
    pub(super) fn client_address(&self, remote: IpAddr, headers: &HeaderMap) -> IpAddr {
        let trusted = |ip: &IpAddr| self.0.iter().any(|network| network.contains(*ip));
        let fields = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let forwarded: Vec<&str> = fields.flat_map(|value| value.split(',')).collect();
        let hops = forwarded.iter().rev().map_while(|text| text.trim().parse::<IpAddr>().ok());
        let mut client = remote;
        for hop in hops {
            if !trusted(&client) {
                break;
            }
            client = hop;
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_client_is_who_the_outermost_proxy_saw() {
        let mut http = Config::demo().http;
        http.trusted_proxies = vec!["10.1.0.0/16".parse().unwrap()];
        let proxies = Proxies::new(&http);
        for (remote, forwarded, client) in [
            ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
            ("10.1.0.1", "198.51.100.7", "198.51.100.7"),
            ("10.1.0.1", "203.0.113.9, 198.51.100.7, 10.1.0.2", "198.51.100.7"),
            ("10.1.0.1", "198.51.100.7, unknown", "10.1.0.1"),
            ("10.1.0.1", "", "10.1.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", forwarded.parse().unwrap());
            let found = proxies.client_address(remote.parse().unwrap(), &headers);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{remote} {forwarded}");
        }
    }

    #[test]
    fn only_named_proxies_and_loopback_come_without_tls() {
        let mut http = Config::demo().http;
        http.trusted_proxies = vec!["10.1.0.0/16".parse().unwrap()];
        let from = PlaintextFrom::new(&http);
        for (remote, admitted) in [("127.0.0.1", true), ("::1", true), ("10.1.2.3", true), ("10.2.0.1", false)] {
            assert_eq!(from.admits(remote.parse().unwrap()), admitted, "{remote}");
        }
        http.insecure_allow_plaintext = true;
        assert!(PlaintextFrom::new(&http).admits("10.2.0.1".parse().unwrap()));
    }
}
