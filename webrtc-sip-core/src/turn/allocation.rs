//! One allocation: its relayed addresses, who may talk to it, and its channels.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use smallvec::SmallVec;

use crate::ids::AllocationId;
use crate::io::{FlowId, SocketId};
use crate::stun::{IntegrityAlgorithm, Key, TransactionId};

use super::Family;
use super::auth::account_of;
use super::connection::Connection;
use super::event::{AllocationSummary, ClientTransport, RelaySocket, RelayTransport, Traffic};
use super::ledger::Seat;
use super::mobility::Mobility;
use super::quota::Account;
use super::reply::Code;

/// Lifetime of a permission (RFC 8656 section 9).
const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// Lifetime of a channel (RFC 8656 section 12).
const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// Bits of an allocation's id that count those of one server; the byte above is the server's number.
const COUNTED: u32 = 56;

/// Ids of allocations are one of a kind among the servers that an allocation may move to.
impl AllocationId {
    /// The allocation `number` that server `server` made.
    pub fn new(server: u8, number: u64) -> Self {
        AllocationId(u64::from(server) << COUNTED | number & ((1 << COUNTED) - 1))
    }

    /// The [`super::TurnConfig::server_number`] of the server that made it.
    pub fn server_number(self) -> u8 {
        (self.0 >> COUNTED) as u8
    }

    /// Which of that server's it is.
    pub fn number(self) -> u64 {
        self.0 & ((1 << COUNTED) - 1)
    }
}

/// Where a client's messages come from and where ours to it go: its five-tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ClientPath {
    /// Datagrams at a listening socket.
    Datagram { socket: SocketId, remote: SocketAddr },
    /// A connection.
    Flow(FlowId),
}

/// Who made an allocation; nobody else may change it (RFC 8656 section 5).
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) realm: Arc<str>,
    pub(super) user: Arc<str>,
    pub(super) algorithm: IntegrityAlgorithm,
    pub(super) key: Key,
    /// When the access token that they came with is no longer good, in seconds since the epoch. A token names nobody: its
    /// user is the id of its key.
    pub(super) token_expires: Option<u64>,
}

/// What an Allocate request settles.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) client: ClientPath,
    pub(super) remote: SocketAddr,
    pub(super) transport: ClientTransport,
    pub(super) relay_transport: RelayTransport,
    pub(super) owner: Owner,
    /// Where it is counted.
    pub(super) seat: Seat,
    /// Transaction of the request, to know its copies.
    pub(super) transaction: TransactionId,
    /// From one refresh to the next.
    pub(super) lifetime: Duration,
    /// The client wants to take the allocation along when its address changes (RFC 8016).
    pub(super) mobile: bool,
}

#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) id: AllocationId,
    pub(super) terms: Terms,
    pub(super) relays: SmallVec<[RelaySocket; 1]>,
    /// For the port above, and the family that couldn't be had: in case the request is repeated.
    pub(super) reservation: Option<[u8; 8]>,
    pub(super) failed: Option<(Family, Code)>,
    pub(super) mobility: Option<Mobility>,
    started: Instant,
    pub(super) sent: Traffic,
    pub(super) received: Traffic,
    permissions: SmallVec<[Permission; 1]>,
    channels: SmallVec<[Channel; 1]>,
    /// With peers, where the allocation is one of TCP.
    pub(super) connections: Vec<Connection>,
}

#[derive(Clone, Copy, Debug)]
struct Permission {
    ip: IpAddr,
    expires: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    number: u16,
    peer: SocketAddr,
    expires: Instant,
}

/// Why a channel can't be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChannelError {
    /// The number belongs to another peer, or the peer has another number.
    Taken,
    /// There are as many as may be.
    Full,
}

impl Owner {
    /// Whether `other`, at the same address, may do what this one may. Users of different tenants are different, whatever
    /// their names. Who came with a token may go on with another, even of another key (RFC 7635 section 4.2): the nonce proves
    /// that it is the same client's address.
    pub(super) fn admits(&self, other: &Owner) -> bool {
        let named_alike = self.user == other.user && self.token_expires.is_some() == other.token_expires.is_some();
        self.realm == other.realm && (named_alike || self.token_expires.is_some() && other.token_expires.is_some())
    }

    /// The same where `other` is at another address: who has a token is then known by its key alone.
    pub(super) fn is_same_as(&self, other: &Owner) -> bool {
        let same_key = || verify_slices_are_equal(&self.key, &other.key).is_ok();
        self.admits(other) && (self.token_expires.is_none() || same_key())
    }

    /// Where their allocations are counted.
    pub(super) fn account(&self) -> Account {
        match self.token_expires {
            Some(_) => Account::Tenant(self.realm.clone()),
            None => Account::User(self.realm.clone(), account_of(&self.user).into()),
        }
    }
}

impl Allocation {
    pub(super) fn new(id: AllocationId, terms: Terms, relays: &[RelaySocket], started: Instant) -> Self {
        Allocation {
            id,
            mobility: terms.mobile.then(Mobility::default),
            terms,
            relays: SmallVec::from_slice(relays),
            reservation: None,
            failed: None,
            started,
            sent: Traffic::default(),
            received: Traffic::default(),
            permissions: SmallVec::new(),
            channels: SmallVec::new(),
            connections: Vec::new(),
        }
    }

    /// The client has lost its connection, and may come back.
    pub(super) fn is_absent(&self) -> bool {
        self.mobility.is_some_and(|mobility| mobility.absent)
    }

    /// The socket from which peers of this family are reached; none where the allocation is of another transport.
    pub(super) fn relay_for(&self, transport: RelayTransport, peer: SocketAddr) -> Option<SocketId> {
        if self.terms.relay_transport != transport {
            return None;
        }
        let family = Family::of(peer);
        self.relays.iter().find(|relay| Family::of(relay.address) == family).map(|relay| relay.socket)
    }

    pub(super) fn has_family(&self, family: Family) -> bool {
        self.relays.iter().any(|relay| Family::of(relay.address) == family)
    }

    /// Forgets the relayed address of a family, with its permissions and channels (RFC 8656 section 8.1).
    pub(super) fn give_up(&mut self, family: Family) -> Option<RelaySocket> {
        let at = self.relays.iter().position(|relay| Family::of(relay.address) == family)?;
        self.permissions.retain(|permission| Family::of(SocketAddr::new(permission.ip, 0)) != family);
        self.channels.retain(|channel| Family::of(channel.peer) != family);
        Some(self.relays.remove(at))
    }

    /// Whether the client wants to hear this address.
    pub(super) fn permits(&self, now: Instant, ip: IpAddr) -> bool {
        // A client has a handful: a scan is quicker than a hash.
        self.permissions.iter().any(|permission| permission.ip == ip && permission.expires > now)
    }

    /// Whether permissions for these addresses fit.
    pub(super) fn has_room_for(&mut self, now: Instant, ips: &[IpAddr], max: usize) -> bool {
        self.permissions.retain(|permission| permission.expires > now);
        let new =
            ips.iter().enumerate().filter(|(at, ip)| !self.permits(now, **ip) && !ips[..*at].contains(ip)).count();
        self.permissions.len() + new <= max
    }

    /// Installs or refreshes a permission.
    pub(super) fn permit(&mut self, now: Instant, ip: IpAddr) {
        let expires = now + PERMISSION_LIFETIME;
        match self.permissions.iter_mut().find(|permission| permission.ip == ip) {
            Some(permission) => permission.expires = expires,
            None => self.permissions.push(Permission { ip, expires }),
        }
    }

    /// Binds a channel or binds it again, with the permission that comes with it (RFC 8656 section 12.2).
    pub(super) fn bind(&mut self, now: Instant, number: u16, peer: SocketAddr, max: usize) -> Result<(), ChannelError> {
        self.channels.retain(|channel| channel.expires > now);
        let expires = now + CHANNEL_LIFETIME;
        let full = self.channels.len() >= max;
        match self.channels.iter_mut().find(|channel| channel.number == number || channel.peer == peer) {
            Some(channel) if channel.number == number && channel.peer == peer => channel.expires = expires,
            Some(_) => return Err(ChannelError::Taken),
            None if full => return Err(ChannelError::Full),
            None => self.channels.push(Channel { number, peer, expires }),
        }
        Ok(())
    }

    /// Whom a channel reaches.
    pub(super) fn peer_of(&self, now: Instant, number: u16) -> Option<SocketAddr> {
        let channel = self.channels.iter().find(|channel| channel.number == number && channel.expires > now)?;
        Some(channel.peer)
    }

    /// The channel that reaches this peer.
    pub(super) fn channel_to(&self, now: Instant, peer: SocketAddr) -> Option<u16> {
        let channel = self.channels.iter().find(|channel| channel.peer == peer && channel.expires > now)?;
        Some(channel.number)
    }

    /// Adds what a connection carried until its end.
    pub(super) fn count_carried(&mut self, (sent, received): (u64, u64)) {
        self.sent.bytes += sent;
        self.received.bytes += received;
    }

    pub(super) fn summary(&self, now: Instant) -> AllocationSummary {
        let carried = |traffic: Traffic, way: fn((u64, u64)) -> u64| {
            let bytes: u64 = self.connections.iter().map(|connection| way(connection.carried.bytes())).sum();
            Traffic { bytes: traffic.bytes + bytes, ..traffic }
        };
        AllocationSummary {
            id: self.id,
            realm: self.terms.owner.realm.clone(),
            user: self.terms.owner.user.clone(),
            client: self.terms.remote,
            transport: self.terms.transport,
            relay_transport: self.terms.relay_transport,
            relayed: self.relays.iter().map(|relay| relay.address).collect(),
            age: now.saturating_duration_since(self.started),
            sent: carried(self.sent, |(sent, _)| sent),
            received: carried(self.received, |(_, received)| received),
        }
    }
}
