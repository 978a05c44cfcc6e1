//! Sockets for peers' packets: bound at random ports (RFC 8656 section 7.2), so that nobody guesses the next one.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use webrtc_sip_core::turn::{Family, RelayPort};

use crate::config::Config;
use crate::fragmentation;

/// How many ports taken by other programs are skipped before an allocation is refused.
const MAX_BIND_ATTEMPTS: usize = 32;

/// The addresses and ports that the workers share.
#[derive(Debug)]
pub(crate) struct Relays {
    addresses: Vec<RelayAddress>,
    places: Arc<Semaphore>,
    limit: usize,
}

#[derive(Debug)]
struct RelayAddress {
    bound: IpAddr,
    external: IpAddr,
    ports: Arc<Ports>,
}

/// Which ports of an address are in use.
#[derive(Debug)]
struct Ports {
    low: u16,
    taken: Mutex<Vec<bool>>,
}

/// A bound socket; its port and its place are free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Relay<S = UdpSocket> {
    /// Not blocking.
    pub(crate) socket: S,
    /// Its address as peers see it.
    pub(crate) address: SocketAddr,
    _lease: Lease,
}

/// Ports in a row, and the places they have among those that are limited.
#[derive(Debug)]
struct Lease {
    ports: Arc<Ports>,
    index: usize,
    _place: OwnedSemaphorePermit,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.ports.taken()[self.index] = false;
    }
}

impl Ports {
    fn new(low: u16, high: u16) -> Self {
        Ports { low, taken: Mutex::new(vec![false; usize::from(high - low) + 1]) }
    }

    fn taken(&self) -> MutexGuard<'_, Vec<bool>> {
        // A list of flags is as it should be whoever panicked.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn port(&self, index: usize) -> u16 {
        self.low + index as u16
    }

    /// Takes the first free port from `start` on, or that and the next one; returns its index.
    fn take(&self, kind: RelayPort, start: usize) -> Option<usize> {
        let mut taken = self.taken();
        let count = taken.len();
        let fits = |index: &usize| match kind {
            RelayPort::Any => !taken[*index],
            RelayPort::Even => !taken[*index] && self.port(*index).is_multiple_of(2),
            RelayPort::Pair => {
                !taken[*index] && self.port(*index).is_multiple_of(2) && taken.get(index + 1) == Some(&false)
            }
        };
        let index = (start..count).chain(0..start).find(fits)?;
        taken[index..index + sockets(kind)].fill(true);
        Some(index)
    }
}

/// How many sockets a kind of port means.
fn sockets(kind: RelayPort) -> usize {
    if kind == RelayPort::Pair { 2 } else { 1 }
}

impl Relays {
    /// As configured.
    pub(crate) fn new(config: &Config) -> Self {
        let (low, high) = (config.relay.port_low, config.relay.port_high);
        let address = |(bound, external)| RelayAddress { bound, external, ports: Arc::new(Ports::new(low, high)) };
        let addresses: Vec<_> = config.relay_addresses().into_iter().map(address).collect();
        let ports = addresses.len() * (usize::from(high - low) + 1);
        let limit = config.limits.relay_sockets.min(ports);
        Relays { addresses, places: Arc::new(Semaphore::new(limit)), limit }
    }

    /// What kinds of addresses there are, the usual one first.
    pub(crate) fn families(&self) -> Vec<Family> {
        self.addresses.iter().map(|address| Family::of(SocketAddr::new(address.bound, 0))).collect()
    }

    /// Sockets bound now.
    pub(crate) fn in_use(&self) -> usize {
        self.limit - self.places.available_permits()
    }

    /// Sockets that may be bound at a time.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Binds the UDP sockets of a kind of port, in the order of their ports; `random` chooses where the search begins. None
    /// when the ports or the places are used up.
    pub(crate) fn bind(&self, family: Family, kind: RelayPort, random: u32) -> Option<Vec<Relay>> {
        self.bind_by(family, kind, random, |address| {
            let socket = UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            fragmentation::allow(&socket, address)?;
            Ok(socket)
        })
    }

    /// The same for any port, with sockets of another sort. A port is free for both sorts or for none.
    pub(crate) fn bind_one<S>(
        &self,
        family: Family,
        random: u32,
        bind: impl Fn(SocketAddr) -> io::Result<S>,
    ) -> Option<Relay<S>> {
        self.bind_by(family, RelayPort::Any, random, bind)?.pop()
    }

    fn bind_by<S>(
        &self,
        family: Family,
        kind: RelayPort,
        random: u32,
        bind: impl Fn(SocketAddr) -> io::Result<S>,
    ) -> Option<Vec<Relay<S>>> {
        let address = self.addresses.iter().find(|address| Family::of(SocketAddr::new(address.bound, 0)) == family)?;
        let ports = &address.ports;
        let mut start = random as usize % ports.taken().len();
        for _ in 0..MAX_BIND_ATTEMPTS {
            let places: Vec<_> =
                (0..sockets(kind)).map_while(|_| self.places.clone().try_acquire_owned().ok()).collect();
            if places.len() < sockets(kind) {
                return None;
            }
            let index = ports.take(kind, start)?;
            let leases = places.into_iter().zip(index..);
            let leases = leases.map(|(place, index)| Lease { ports: ports.clone(), index, _place: place });
            // Collected first: what isn't bound gives its port back.
            let leases: Vec<Lease> = leases.collect();
            let relays: io::Result<Vec<_>> = leases.into_iter().map(|lease| address.bind(lease, &bind)).collect();
            match relays {
                Ok(relays) => return Some(relays),
                // Another program has it: go on behind it.
                Err(_) => start = (index + 1) % ports.taken().len(),
            }
        }
        None
    }
}

impl RelayAddress {
    fn bind<S>(&self, lease: Lease, bind: impl Fn(SocketAddr) -> io::Result<S>) -> io::Result<Relay<S>> {
        let port = self.ports.port(lease.index);
        let socket = bind(SocketAddr::new(self.bound, port))?;
        Ok(Relay { socket, address: SocketAddr::new(self.external, port), _lease: lease })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // No other test's: on it nobody is given a port that was found to be free.
    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 10));

    /// On the first ports above `from` that nobody else has right now.
    fn relays(from: u16, count: u16, limit: usize) -> Relays {
        let is_free = |port: u16| UdpSocket::bind((IP, port)).is_ok();
        let low = (from..from + 5_000).step_by(8).find(|low| (*low..low + count).all(is_free)).unwrap();
        let mut config = Config::embedded();
        (config.relay.port_low, config.relay.port_high) = (low, low + count - 1);
        config.relay.ips = vec![IP];
        config.relay.external_ips = vec!["192.0.2.1".parse().unwrap()];
        config.limits.relay_sockets = limit;
        Relays::new(&config)
    }

    #[test]
    fn ports_are_taken_once_and_come_back() {
        let relays = relays(30_000, 8, 100);
        let bound: Vec<Relay> =
            (0..8).flat_map(|index| relays.bind(Family::V4, RelayPort::Any, index * 77).unwrap()).collect();
        assert!(relays.bind(Family::V4, RelayPort::Any, 5).is_none());
        assert!(relays.bind(Family::V6, RelayPort::Any, 5).is_none());
        assert!(bound.iter().all(|relay| relay.address.ip().to_string() == "192.0.2.1"));
        assert_eq!(relays.in_use(), 8);
        drop(bound);
        assert_eq!(relays.in_use(), 0);
        assert!(relays.bind(Family::V4, RelayPort::Any, 5).is_some());
    }

    #[test]
    fn a_pair_is_an_even_port_and_the_one_above() {
        let relays = relays(36_000, 8, 100);
        let pair = relays.bind(Family::V4, RelayPort::Pair, 3).unwrap();
        let [lower, upper] = pair.as_slice() else { panic!("two sockets") };
        assert!(lower.address.port().is_multiple_of(2));
        assert_eq!(upper.address.port(), lower.address.port() + 1);
        let even = relays.bind(Family::V4, RelayPort::Even, 3).unwrap();
        assert!(even[0].address.port().is_multiple_of(2));
    }

    #[test]
    fn foreign_sockets_are_skipped_and_the_limit_holds() {
        let relays = relays(42_000, 8, 2);
        let low = relays.addresses[0].ports.low;
        let _foreign = UdpSocket::bind((IP, low)).unwrap();
        let first = relays.bind(Family::V4, RelayPort::Any, 0).unwrap();
        assert_eq!(first[0].address.port(), low + 1);
        assert!(relays.bind(Family::V4, RelayPort::Pair, 0).is_none(), "one place is left");
        let _second = relays.bind(Family::V4, RelayPort::Any, 0).unwrap();
        assert!(relays.bind(Family::V4, RelayPort::Any, 0).is_none());
        assert_eq!((relays.in_use(), relays.limit()), (2, 2));
    }
}
