//! Configuration of a TURN server: every limit has a name, a unit and a default.

use std::net::SocketAddr;
use std::time::Duration;

use crate::io::SocketId;
use crate::timer::cut_waits;

use super::{PeerPolicy, Tenants};

/// What a [`super::TurnServer`] needs to know.
#[derive(Clone, Debug)]
pub struct TurnConfig {
    /// Which one this is of the servers that clients take for one: it stands in what they show when they come back, so that
    /// they can be brought to the server that knows them. It is also the first byte of an allocation's id, which differs from
    /// those of all others so.
    pub server_number: u8,
    /// The UDP sockets that clients talk to.
    pub listeners: Vec<Listener>,
    /// Address families in which relayed addresses can be had, the usual one first.
    pub families: Vec<Family>,
    /// Who may use the server.
    pub tenants: Tenants,
    /// Whether the owner can send datagrams that aren't fragmented (DONT-FRAGMENT, RFC 8656 section 18.9).
    pub dont_fragment: bool,
    /// Whether clients may take an allocation along when their address changes (RFC 8016).
    pub mobility: bool,
    /// Proves our nonces and mobility tickets. Servers that share it take each other's. It has to be drawn at random and kept
    /// secret; the default is for tests.
    pub nonce_key: [u8; 32],
    /// How long a nonce is taken.
    pub nonce_lifetime: Duration,
    /// Which peers may be reached.
    pub peers: PeerPolicy,
    /// Lifetime of an allocation whose client asks for none (RFC 8656 section 7.2).
    pub default_lifetime: Duration,
    /// Longest lifetime of an allocation between two refreshes.
    pub max_lifetime: Duration,
    /// How long a connection may be without an allocation.
    pub flow_idle: Duration,
    /// Allocations that this server holds at a time.
    pub max_allocations: usize,
    /// Peer addresses that one allocation may have permissions for at a time.
    pub max_permissions: usize,
    /// Channels that one allocation may have at a time.
    pub max_channels: usize,
    /// Connections with peers that one allocation may have at a time (RFC 6062). 0: there are no TCP allocations.
    pub max_connections: usize,
    /// Answers to unauthenticated requests a second, for each network of clients (a /24, a /56).
    pub max_refusals: u32,
    /// Where clients may find out how their NAT behaves (RFC 5780).
    pub discovery: Option<Discovery>,
}

impl TurnConfig {
    pub(super) fn with_waits_cut(mut self) -> Self {
        cut_waits([&mut self.nonce_lifetime, &mut self.default_lifetime, &mut self.max_lifetime, &mut self.flow_idle]);
        self
    }
}

impl Default for TurnConfig {
    fn default() -> Self {
        TurnConfig {
            server_number: 0,
            listeners: Vec::new(),
            families: vec![Family::V4],
            tenants: Tenants::default(),
            dont_fragment: false,
            mobility: true,
            nonce_key: [0; 32],
            nonce_lifetime: Duration::from_secs(3600),
            peers: PeerPolicy::default(),
            default_lifetime: Duration::from_secs(600),
            max_lifetime: Duration::from_secs(3600),
            flow_idle: Duration::from_secs(30),
            max_allocations: 10_000,
            max_permissions: 64,
            max_channels: 64,
            max_connections: 16,
            max_refusals: 100,
            discovery: None,
        }
    }
}

/// A UDP socket for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The socket.
    pub socket: SocketId,
    /// The address that it is bound to.
    pub address: SocketAddr,
}

/// The sockets of NAT behaviour discovery (RFC 5780 section 6): two addresses with the same two ports. All of them are
/// listeners too; an address is what clients see here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// By address, then by port.
    pub sockets: [[Listener; 2]; 2],
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// That of an address. IPv4-mapped addresses are IPv6, as on the wire.
    pub fn of(address: SocketAddr) -> Self {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The number in REQUESTED-ADDRESS-FAMILY (RFC 8656 section 18.6).
    pub(super) fn number(self) -> u8 {
        match self {
            Family::V4 => 1,
            Family::V6 => 2,
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Family::V4),
            2 => Some(Family::V6),
            _ => None,
        }
    }
}
