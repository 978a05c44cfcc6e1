//! What a TURN server asks of its owner, tells it, and is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::ids::{AllocationId, RequestId};
use crate::io::{FlowId, SocketId};

use super::connection::{Carried, ConnectionEnd, ConnectionId};
use super::reply::ERROR_CODES;
use super::{Family, Question};

/// What a server wants of its owner.
#[derive(Debug)]
pub enum TurnEvent {
    /// Bind sockets and answer by [`super::TurnServer::handle_answer`].
    Request {
        /// To answer with.
        id: RequestId,
        /// What is wanted.
        bind: BindRelay,
    },
    /// Put a question to another server, and answer by [`super::TurnServer::handle_server_answer`]: what
    /// [`super::TurnServer::handle_question`] of that one said, or [`super::Answer::nothing`] where there is none.
    Ask {
        /// To answer with.
        id: RequestId,
        /// The [`super::TurnConfig::server_number`] of the other one.
        server: u8,
        /// What is asked.
        question: Question,
    },
    /// This relay socket is no longer needed. Connections that were made through it are closed by events of their own.
    CloseSocket(SocketId),
    /// Connect to a peer from the address of a relay socket of TCP, and say by
    /// [`super::TurnServer::handle_connected`] whether it could be reached.
    Connect {
        /// The connection's number from now on.
        id: ConnectionId,
        /// The relay socket.
        socket: SocketId,
        /// The peer.
        peer: SocketAddr,
    },
    /// Carry bytes between a client's connection and one with a peer, both ways and as they come, until either is closed
    /// ([`super::TurnServer::handle_connection_closed`] then). What the server has sent to the flow goes before, what the
    /// flow brought after the frame that led to this belongs to the peer, and the flow is none of the server's any more.
    Splice {
        /// The client's.
        flow: FlowId,
        /// The peer's.
        connection: ConnectionId,
        /// To count the bytes by.
        carried: Arc<Carried>,
    },
    /// Close this connection with a peer, or stop connecting, and close what it is spliced with.
    CloseConnection(ConnectionId),
    /// This client's connection is no longer needed: it has had no allocation for too long, or lost it. Close it and say so
    /// by [`super::TurnServer::handle_flow_closed`].
    CloseFlow(FlowId),
    /// An allocation is over.
    Ended(Box<AllocationRecord>),
}

/// Which relay sockets are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindRelay {
    /// What they carry. With TCP, the owner listens, and reports every connection by
    /// [`super::TurnServer::handle_peer_connected`]; [`TurnEvent::Connect`] connects from the same address.
    pub transport: RelayTransport,
    /// One socket of each of these families.
    pub families: SmallVec<[Family; 2]>,
    /// The kind of port.
    pub port: RelayPort,
}

/// How an allocation talks to peers (REQUESTED-TRANSPORT, RFC 8656 section 18.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayTransport {
    /// UDP datagrams.
    Udp,
    /// TCP connections (RFC 6062).
    Tcp,
}

impl RelayTransport {
    /// A stable name for logs and metric labels.
    pub fn name(self) -> &'static str {
        match self {
            RelayTransport::Udp => "udp",
            RelayTransport::Tcp => "tcp",
        }
    }
}

/// Which port a relay socket shall have (RFC 8656 section 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayPort {
    /// Any, at random.
    Any,
    /// An even one.
    Even,
    /// An even one, and a second socket on the port above it. Only asked for with one family.
    Pair,
}

/// A socket that was bound for a [`BindRelay`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelaySocket {
    /// The socket.
    pub socket: SocketId,
    /// Its address as peers see it.
    pub address: SocketAddr,
}

/// How a client talks to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientTransport {
    /// Plain datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// DTLS over UDP; a flow whose frames are datagrams.
    Dtls,
}

impl ClientTransport {
    /// A stable name for logs and metric labels.
    pub fn name(self) -> &'static str {
        match self {
            ClientTransport::Udp => "udp",
            ClientTransport::Tcp => "tcp",
            ClientTransport::Tls => "tls",
            ClientTransport::Dtls => "dtls",
        }
    }

    /// Whether frames follow each other without bounds, so that ChannelData is padded (RFC 8656 section 12.5).
    pub(super) fn is_stream(self) -> bool {
        matches!(self, ClientTransport::Tcp | ClientTransport::Tls)
    }
}

/// Why an allocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AllocationEnd {
    /// The client gave it back.
    Released,
    /// The client didn't refresh it in time.
    Expired,
    /// The client's connection was closed.
    FlowClosed,
    /// The owner ended it.
    Administrative,
}

impl AllocationEnd {
    /// A stable name for logs and metric labels.
    pub fn name(self) -> &'static str {
        match self {
            AllocationEnd::Released => "released",
            AllocationEnd::Expired => "expired",
            AllocationEnd::FlowClosed => "flow_closed",
            AllocationEnd::Administrative => "administrative",
        }
    }
}

/// What went through an allocation, one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams relayed; connections have none.
    pub packets: u64,
    /// Bytes in them, without TURN's own.
    pub bytes: u64,
}

/// An allocation and what it did so far.
#[derive(Clone, Debug)]
pub struct AllocationSummary {
    /// Which.
    pub id: AllocationId,
    /// Realm of the tenant.
    pub realm: Arc<str>,
    /// Whose, as the credentials say.
    pub user: Arc<str>,
    /// Where the client is.
    pub client: SocketAddr,
    /// How it talks to us.
    pub transport: ClientTransport,
    /// How it talks to peers.
    pub relay_transport: RelayTransport,
    /// Its relayed addresses.
    pub relayed: SmallVec<[SocketAddr; 2]>,
    /// Its age.
    pub age: Duration,
    /// From the client to peers.
    pub sent: Traffic,
    /// From peers to the client.
    pub received: Traffic,
}

/// An allocation that is over.
#[derive(Clone, Debug)]
pub struct AllocationRecord {
    /// What it was.
    pub allocation: AllocationSummary,
    /// Why it ended.
    pub reason: AllocationEnd,
}

/// Gauges and counters of a server, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnStats {
    /// Allocations now.
    pub allocations: usize,
    /// Connections of clients now.
    pub flows: usize,
    /// Reserved ports now.
    pub reservations: usize,
    /// Allocations that wait for their sockets now.
    pub pending: usize,
    /// Connections with peers now, those that are being made included.
    pub connections: usize,
    /// Connections with peers that ended since the start, for each of [`ConnectionEnd::ALL`].
    pub ended_connections: [u64; ConnectionEnd::ALL.len()],
    /// Allocations made since the start.
    pub allocated: u64,
    /// Allocations that followed their client to another address since the start.
    pub moved: u64,
    /// Requests answered with success since the start.
    pub succeeded: u64,
    /// Allocations refused because of a quota since the start.
    pub over_quota: u64,
    /// Requests answered with an error since the start, the usual first 401 included, for each of [`ERROR_CODES`].
    pub refused: [u64; ERROR_CODES.len()],
    /// From clients to peers since the start.
    pub sent: Traffic,
    /// From peers to clients since the start.
    pub received: Traffic,
}
