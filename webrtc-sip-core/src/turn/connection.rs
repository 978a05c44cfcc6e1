//! A TCP connection between an allocation and a peer (RFC 6062), and what is carried over it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::io::Transmit;
use crate::stun::{Attribute, Class, Message, Method};

use super::ledger::{Direction, Limits};
use super::reply::Reply;

/// The value of CONNECTION-ID (RFC 6062 section 6.2.1): which connection with a peer a client means. Its first byte is the
/// [`super::TurnConfig::server_number`] of the server that knows it; the others are drawn at random.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u32);

impl ConnectionId {
    pub(super) fn new(server_number: u8, random: u32) -> Self {
        let [_, rest @ ..] = random.to_be_bytes();
        ConnectionId(u32::from_be_bytes([server_number, rest[0], rest[1], rest[2]]))
    }

    /// The server that knows it.
    pub fn server_number(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// The connection that a frame wants to be bound to, where it is a ConnectionBind request. A client's new connection
    /// begins with one if it is for data, and is no sequence of frames any more once the request succeeded.
    pub fn to_bind(frame: &[u8]) -> Option<Self> {
        // Message::parse looks at every attribute; most frames are told by their first bytes.
        if frame.first() != Some(&0) || frame.get(1) != Some(&(Method::CONNECTION_BIND.0 as u8)) {
            return None;
        }
        Self::of(&Message::parse(frame).ok()?)
    }

    /// The one that a ConnectionBind request names.
    pub(super) fn of(message: &Message<'_>) -> Option<Self> {
        if (message.class(), message.method()) != (Class::Request, Method::CONNECTION_BIND) {
            return None;
        }
        message.u32(Attribute::CONNECTION_ID).ok().flatten().map(ConnectionId)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection-{:08x}", self.0)
    }
}

/// Counts the bytes that the owner carries over a connection, while it carries them. They don't go through the server, and
/// whoever asks for an allocation's traffic wants those of now.
#[derive(Debug, Default)]
pub struct Carried {
    own: Bytes,
    /// Those of all connections.
    all: Arc<Bytes>,
    limits: Option<Limits>,
}

/// Both ways.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Bytes {
    /// To peers, from peers.
    pub(super) fn both(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }
}

impl Carried {
    pub(super) fn among(all: &Arc<Bytes>, limits: Option<Limits>) -> Self {
        Carried { own: Bytes::default(), all: all.clone(), limits }
    }

    /// Whether so many bytes may go to the peer now, within the limits of bandwidth. Where they may not, they wait and ask again
    /// with the same `passed`, which is 0 at first.
    pub fn may_send(&self, now: Instant, bytes: usize, passed: &mut usize) -> bool {
        self.limits.as_ref().is_none_or(|limits| limits.admit(now, Direction::ToPeer, bytes, passed))
    }

    /// The same for bytes from the peer.
    pub fn may_receive(&self, now: Instant, bytes: usize, passed: &mut usize) -> bool {
        self.limits.as_ref().is_none_or(|limits| limits.admit(now, Direction::FromPeer, bytes, passed))
    }

    /// Bytes went from the client to the peer.
    pub fn add_sent(&self, bytes: usize) {
        for count in [&self.own.sent, &self.all.sent] {
            count.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Bytes went from the peer to the client.
    pub fn add_received(&self, bytes: usize) {
        for count in [&self.own.received, &self.all.received] {
            count.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Bytes to the peer and from the peer.
    pub fn bytes(&self) -> (u64, u64) {
        self.own.both()
    }
}

/// Why a connection with a peer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ConnectionEnd {
    /// The client or the peer closed it.
    Closed,
    /// The peer couldn't be reached.
    NotConnected,
    /// The client didn't bind a connection of its own to it in time.
    NotBound,
    /// The peer may not be reached any more.
    Forbidden,
    /// The allocation is over.
    AllocationEnded,
}

impl ConnectionEnd {
    /// Every reason, in the order of its number.
    pub const ALL: [ConnectionEnd; 5] = [
        ConnectionEnd::Closed,
        ConnectionEnd::NotConnected,
        ConnectionEnd::NotBound,
        ConnectionEnd::Forbidden,
        ConnectionEnd::AllocationEnded,
    ];

    /// A stable name for logs and metric labels.
    pub fn name(self) -> &'static str {
        match self {
            ConnectionEnd::Closed => "closed",
            ConnectionEnd::NotConnected => "not_connected",
            ConnectionEnd::NotBound => "not_bound",
            ConnectionEnd::Forbidden => "forbidden",
            ConnectionEnd::AllocationEnded => "allocation_ended",
        }
    }
}

/// A connection as its allocation knows it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) peer: SocketAddr,
    pub(super) state: ConnectionState,
    pub(super) carried: Arc<Carried>,
}

#[derive(Debug)]
pub(super) enum ConnectionState {
    /// The owner is at it; the answer to the Connect request, and where it goes, are complete but for its body.
    Connecting(Box<(Transmit, Reply)>),
    /// There is one with the peer; the client's is missing.
    Unbound,
    /// Both are there, and the owner carries bytes between them.
    Bound,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_which_server_knows_it() {
        let id = ConnectionId::new(7, 0xffff_ff01);
        assert_eq!((id, id.server_number()), (ConnectionId(0x07ff_ff01), 7));
        assert_eq!(ConnectionId::new(255, 0).server_number(), 255);
    }

    #[test]
    fn ends_are_numbered_as_listed() {
        for (index, end) in ConnectionEnd::ALL.iter().enumerate() {
            assert_eq!(*end as usize, index);
        }
    }
}
