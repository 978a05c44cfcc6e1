//! The hosts that SIP goes to and comes from by configuration: the proxy and the routes' targets.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::requests::Pending;
use super::{Answer, Gateway, GatewayConfig, GatewayEvent, Request};

/// How often names are looked up, so that a host may move.
const REFRESH: Duration = Duration::from_secs(60);
/// How soon a look-up that failed is repeated.
const RETRY: Duration = Duration::from_secs(10);
/// Addresses kept of one name.
const MAX_ADDRESSES: usize = 8;

/// Configured hosts and their addresses.
#[derive(Debug)]
pub(super) struct Hosts {
    addresses: BTreeMap<String, Vec<IpAddr>>,
    /// When names are looked up next; never if all hosts are addresses.
    pub(super) due: Option<Instant>,
}

impl Hosts {
    pub(super) fn new(now: Instant, config: &GatewayConfig) -> Self {
        let targets = config.routes.iter().map(|route| &route.target).chain(config.proxy.iter().map(|p| &p.target));
        let addresses: BTreeMap<_, _> =
            targets.map(|target| (target.host.clone(), target.host.parse().ok().into_iter().collect())).collect();
        let due = addresses.values().any(Vec::is_empty).then_some(now);
        Hosts { addresses, due }
    }

    /// The addresses of a host, which may be an address itself; none as long as a name isn't resolved.
    pub(super) fn addresses(&self, host: &str) -> Vec<IpAddr> {
        match host.parse() {
            Ok(ip) => vec![ip],
            Err(_) => self.addresses.get(host).cloned().unwrap_or_default(),
        }
    }

    /// Whether this is an address of one of the hosts.
    pub(super) fn contain(&self, ip: IpAddr) -> bool {
        self.addresses.values().flatten().any(|known| known.to_canonical() == ip.to_canonical())
    }
}

impl Gateway {
    /// Looks every name up, when it is time to.
    pub(super) fn look_up_hosts(&mut self, now: Instant) {
        if self.hosts.due.is_none_or(|due| due > now) {
            return;
        }
        self.hosts.due = Some(now + REFRESH);
        let names = self.hosts.addresses.keys().filter(|host| host.parse::<IpAddr>().is_err());
        for host in names.cloned().collect::<Vec<_>>() {
            let id = self.requests.open(now, Pending::Host { host: host.clone() });
            self.events.push_back(GatewayEvent::Request { id, request: Request::Resolve { host } });
        }
    }

    pub(super) fn on_host_addresses(&mut self, now: Instant, host: &str, answer: Option<Answer>) {
        let mut found = match answer {
            Some(Answer::Addresses(addresses)) => addresses,
            _ => Vec::new(),
        };
        // Without a socket of its family an address is as good as none.
        let sockets = &self.config.sip_sockets;
        found.retain(|ip| sockets.iter().any(|socket| socket.bound.is_ipv4() == ip.to_canonical().is_ipv4()));
        found.truncate(MAX_ADDRESSES);
        let is_proxy = self.config.proxy.as_ref().is_some_and(|proxy| proxy.target.host == host);
        let is_found = !found.is_empty();
        if is_found {
            self.hosts.addresses.insert(host.to_owned(), found);
        } else {
            // What is known stays: a name server that is down shouldn't bring calls down.
            self.hosts.due = self.hosts.due.map(|due| due.min(now + RETRY));
        }
        if is_proxy {
            self.proxy_looked_up(is_found);
        }
        if is_proxy && is_found {
            self.proxy_resolved(now);
        }
    }
}
