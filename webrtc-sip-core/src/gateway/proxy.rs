//! Whether the SIP proxy can be reached, as far as looking its name up, registrations and calls show it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::call::Side;
use crate::ids::CallId;

use super::{Gateway, GatewayEvent, ProxyNews};

/// What is wrong with the proxy at the moment. Of what wasn't tried the best is assumed.
#[derive(Debug, Default)]
pub(super) struct ProxyTrouble {
    /// Its name couldn't be looked up, and no address of it is known.
    unresolved: bool,
    /// Those of its addresses where nobody answered.
    silent: BTreeSet<SocketAddr>,
}

impl Gateway {
    /// The proxy's addresses, as far as they are known.
    pub(super) fn proxy_addresses(&self) -> Vec<SocketAddr> {
        let Some(target) = self.config.proxy.as_ref().map(|proxy| &proxy.target) else { return Vec::new() };
        self.hosts.addresses(&target.host).into_iter().map(|ip| SocketAddr::new(ip, target.port)).collect()
    }

    /// Whether there is a proxy and no way to it.
    pub(super) fn proxy_is_unreachable(&self) -> bool {
        let known = self.proxy_addresses();
        let all_silent = !known.is_empty() && known.iter().all(|address| self.proxy_trouble.silent.contains(address));
        self.proxy_trouble.unresolved || all_silent
    }

    /// The proxy's name was looked up.
    pub(super) fn proxy_looked_up(&mut self, found: bool) {
        let known = self.proxy_addresses();
        self.proxy_trouble.silent.retain(|address| known.contains(address));
        self.counters.failed_proxy_lookups += u64::from(!found);
        let unresolved = known.is_empty();
        if std::mem::replace(&mut self.proxy_trouble.unresolved, unresolved) != unresolved {
            let news = if unresolved { ProxyNews::Unresolved } else { ProxyNews::Resolved };
            self.events.push_back(GatewayEvent::Proxy(news));
        }
    }

    /// A request to this address of the proxy was answered, or wasn't.
    pub(super) fn proxy_tried(&mut self, address: SocketAddr, answered: bool) {
        // It may have moved while the request was out.
        if !self.proxy_addresses().contains(&address) {
            return;
        }
        let silent = &mut self.proxy_trouble.silent;
        let changed = if answered { silent.remove(&address) } else { silent.insert(address) };
        if changed {
            let news = if answered { ProxyNews::Answers(address) } else { ProxyNews::Silent(address) };
            self.events.push_back(GatewayEvent::Proxy(news));
        }
    }

    /// The INVITE of this leg was answered, or wasn't.
    pub(super) fn callee_tried(&mut self, call: CallId, side: Side, answered: bool) {
        let leg = self.calls.get(&call).and_then(|entry| entry.leg(side).sip());
        let target = leg.and_then(|sip| sip.target.as_ref()).filter(|target| target.is_proxy);
        if let Some(address) = target.and_then(|target| target.invited) {
            self.proxy_tried(address, answered);
        }
    }
}
