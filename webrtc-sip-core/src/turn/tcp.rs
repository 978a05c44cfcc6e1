//! TCP allocations (RFC 6062): connections with peers that a client asks for or hears of, and then binds a connection of its
//! own to. The bytes go from one to the other outside of the server; it decides when there is such a pair, and when it ends.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::io::{DropReason, SocketId};
use crate::stun::{Attribute, Message, Method};

use super::allocation::{Allocation, ClientPath};
use super::connection::{Bytes, Carried, Connection, ConnectionEnd, ConnectionId, ConnectionState};
use super::event::{RelayTransport, TurnEvent};
use super::reply::{Body, Code, Failure, Reply};
use super::requests::{Authenticated, Outcome};
use super::{AllocationKey, Deadline, Family, MAX_EVENTS, MAX_OUTGOING, TurnServer};

/// How long a peer may take to answer (RFC 6062 section 5.2: at least this).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection with a peer waits for the client's (RFC 6062 sections 5.2 and 5.3).
const BIND_TIMEOUT: Duration = Duration::from_secs(30);
/// What can't be asked for together with TCP (RFC 6062 section 5.1).
const ONLY_WITH_UDP: [Attribute; 3] = [Attribute::DONT_FRAGMENT, Attribute::EVEN_PORT, Attribute::RESERVATION_TOKEN];

/// Connections with peers, and where they are accepted.
#[derive(Default)]
pub(super) struct TcpRelaying {
    pub(super) connections: HashMap<ConnectionId, AllocationKey>,
    pub(super) relays: HashMap<SocketId, AllocationKey>,
    /// Answers to Connect requests that are owed.
    pub(super) connecting: usize,
    pub(super) carried: Arc<Bytes>,
}

impl TurnServer {
    /// RFC 6062 section 5.1: whether a request for a TCP allocation makes sense.
    pub(super) fn check_tcp_allocate(&self, path: ClientPath, message: &Message<'_>) -> Result<(), Failure> {
        if self.config.max_connections == 0 {
            return Err(Code::TransportNotSupported.into());
        }
        if !self.is_stream(path) || ONLY_WITH_UDP.iter().any(|attribute| message.get(*attribute).is_some()) {
            return Err(Code::BadRequest.into());
        }
        Ok(())
    }

    /// Whether a client is connected by TCP or TLS.
    fn is_stream(&self, path: ClientPath) -> bool {
        match path {
            ClientPath::Datagram { .. } => false,
            ClientPath::Flow(flow) => self.flows.get(&flow).is_some_and(|flow| flow.transport.is_stream()),
        }
    }

    /// The allocation that a ConnectionBind request is about.
    pub(super) fn allocation_of_connection(&self, message: &Message<'_>) -> Option<AllocationKey> {
        self.tcp.connections.get(&ConnectionId::of(message)?).copied()
    }

    /// RFC 6062 section 5.2. Nobody needs a permission for peers that they connect to themselves.
    pub(super) fn connect(&mut self, request: &Authenticated<'_>) -> Outcome {
        let Some(key) = request.allocation else { return Err(Code::AllocationMismatch.into()) };
        let peer = request.message.xor_address(Attribute::XOR_PEER_ADDRESS).map_err(|_| Code::BadRequest)?;
        let peer = peer.ok_or(Code::BadRequest)?;
        let allocation = &self.allocations[key];
        if allocation.connections.iter().any(|connection| connection.peer == peer) {
            return Err(Code::ConnectionAlreadyExists.into());
        }
        if !allocation.has_family(Family::of(peer)) {
            return Err(Code::PeerFamilyMismatch.into());
        }
        let itself = allocation.relays.iter().any(|relay| relay.address == peer);
        let Some(socket) =
            allocation.relay_for(RelayTransport::Tcp, peer).filter(|_| !itself && self.config.peers.permits(peer))
        else {
            return Err(Code::Forbidden.into());
        };
        let full = allocation.connections.len() >= self.config.max_connections || self.events.len() >= MAX_EVENTS;
        if full || self.owed_answers() >= MAX_OUTGOING {
            return Err(Code::InsufficientCapacity.into());
        }
        let signature = (request.owner.algorithm, request.owner.key.clone());
        let reply = Reply::to(&request.message, Body::Done).signed(signature);
        self.tcp.connecting += 1;
        let state = ConnectionState::Connecting(Box::new((request.path.transmit(), reply)));
        let id = self.insert_connection(key, peer, state, request.now + CONNECT_TIMEOUT);
        self.events.push_back(TurnEvent::Connect { id, socket, peer });
        Ok(None)
    }

    /// Whether the peer of [`TurnEvent::Connect`] was reached. From now on, what it sends has to wait until
    /// [`TurnEvent::Splice`] says where to.
    pub fn handle_connected(&mut self, now: Instant, id: ConnectionId, connected: bool) {
        let now = self.clock(now);
        if !connected {
            return self.end_connection(id, ConnectionEnd::NotConnected);
        }
        // It comes too late, and whoever asked for it has been answered.
        let Some(connection) = self.connection(id) else {
            return self.events.push_back(TurnEvent::CloseConnection(id));
        };
        if !matches!(connection.state, ConnectionState::Connecting(_)) {
            return;
        }
        let state = std::mem::replace(&mut connection.state, ConnectionState::Unbound);
        self.timers.set(Deadline::Connection(id), now + BIND_TIMEOUT);
        self.answer_connect(state, Body::Connected(id));
    }

    fn answer_connect(&mut self, state: ConnectionState, body: Body) {
        let ConnectionState::Connecting(waiting) = state else { return };
        let (transmit, mut reply) = *waiting;
        reply.body = body;
        self.tcp.connecting -= 1;
        self.count_reply(&reply);
        self.outgoing.push_back((transmit, reply));
    }

    /// A peer connected to a relayed address (RFC 6062 section 5.3). What it sends has to wait until
    /// [`TurnEvent::Splice`] says where to; none: the connection is to be closed at once.
    pub fn handle_peer_connected(&mut self, now: Instant, socket: SocketId, peer: SocketAddr) -> Option<ConnectionId> {
        let now = self.clock(now);
        self.admit_peer(now, socket, peer).map_err(|reason| self.drops.count(reason)).ok()
    }

    fn admit_peer(&mut self, now: Instant, socket: SocketId, peer: SocketAddr) -> Result<ConnectionId, DropReason> {
        let key = *self.tcp.relays.get(&socket).ok_or(DropReason::UnknownSource)?;
        let allocation = &self.allocations[key];
        if !allocation.permits(now, peer.ip()) || !self.config.peers.permits(peer) {
            return Err(DropReason::Forbidden);
        }
        if allocation.connections.len() >= self.config.max_connections || self.owed_answers() >= MAX_OUTGOING {
            return Err(DropReason::LimitReached);
        }
        let client = allocation.terms.client;
        let id = self.insert_connection(key, peer, ConnectionState::Unbound, now + BIND_TIMEOUT);
        let transaction = crate::stun::TransactionId(self.crypto.bytes());
        let attempt = Reply::indication(Method::CONNECTION_ATTEMPT, transaction, Body::Attempted { id, peer });
        self.outgoing.push_back((client.transmit(), attempt));
        Ok(id)
    }

    fn insert_connection(
        &mut self,
        key: AllocationKey,
        peer: SocketAddr,
        state: ConnectionState,
        deadline: Instant,
    ) -> ConnectionId {
        let draw = || ConnectionId::new(self.config.server_number, u32::from_be_bytes(self.crypto.bytes()));
        let mut id = draw();
        while self.tcp.connections.contains_key(&id) {
            id = draw();
        }
        let limits = self.allocations[key].terms.seat.limits();
        let carried = Arc::new(Carried::among(&self.tcp.carried, limits));
        self.tcp.connections.insert(id, key);
        self.allocations[key].connections.push(Connection { id, peer, state, carried });
        self.timers.set(Deadline::Connection(id), deadline);
        id
    }

    /// RFC 6062 section 5.4. That the client is who made the allocation was checked before.
    pub(super) fn connection_bind(&mut self, request: &Authenticated<'_>) -> Outcome {
        let controls = self.by_client.contains_key(&request.path) || self.pending_clients.contains_key(&request.path);
        let ClientPath::Flow(flow) = request.path else { return Err(Code::BadRequest.into()) };
        if controls || !self.is_stream(request.path) {
            return Err(Code::BadRequest.into());
        }
        let id = ConnectionId::of(&request.message).ok_or(Code::BadRequest)?;
        let Some(connection @ Connection { state: ConnectionState::Unbound, .. }) = self.connection(id) else {
            return Err(Code::BadRequest.into());
        };
        connection.state = ConnectionState::Bound;
        let carried = connection.carried.clone();
        self.timers.cancel(&Deadline::Connection(id));
        self.flows.remove(&flow);
        self.timers.cancel(&Deadline::Flow(flow));
        self.events.push_back(TurnEvent::Splice { flow, connection: id, carried });
        Ok(Some(Body::Done))
    }

    /// A connection with a peer is closed, whether it was carried or not, and the client's that was bound to it with it.
    pub fn handle_connection_closed(&mut self, now: Instant, id: ConnectionId) {
        self.clock(now);
        self.end_connection(id, ConnectionEnd::Closed);
    }

    /// Neither connected nor bound in time.
    pub(super) fn connection_due(&mut self, id: ConnectionId) {
        let reason = match self.connection(id).map(|connection| &connection.state) {
            Some(ConnectionState::Connecting(_)) => ConnectionEnd::NotConnected,
            _ => ConnectionEnd::NotBound,
        };
        self.end_connection(id, reason);
        self.events.push_back(TurnEvent::CloseConnection(id));
    }

    /// Closes the connections of an allocation that is over, and counts what they carried.
    pub(super) fn end_connections(&mut self, allocation: &mut Allocation) {
        for connection in std::mem::take(&mut allocation.connections) {
            self.events.push_back(TurnEvent::CloseConnection(connection.id));
            let carried = self.forget_connection(connection, ConnectionEnd::AllocationEnded);
            allocation.count_carried(carried);
        }
    }

    /// Closes the connections with peers that may not be reached any more.
    pub(super) fn end_forbidden_connections(&mut self) {
        let peers = &self.config.peers;
        let connections = self.allocations.iter().flat_map(|(_, allocation)| &allocation.connections);
        let forbidden = connections.filter(|connection| !peers.permits(connection.peer));
        let forbidden: Vec<ConnectionId> = forbidden.map(|connection| connection.id).collect();
        for id in forbidden {
            self.end_connection(id, ConnectionEnd::Forbidden);
            self.events.push_back(TurnEvent::CloseConnection(id));
        }
    }

    fn end_connection(&mut self, id: ConnectionId, reason: ConnectionEnd) {
        let Some(key) = self.tcp.connections.get(&id).copied() else { return };
        let connections = &mut self.allocations[key].connections;
        let Some(index) = connections.iter().position(|connection| connection.id == id) else { return };
        let connection = connections.swap_remove(index);
        let carried = self.forget_connection(connection, reason);
        self.allocations[key].count_carried(carried);
    }

    /// What it carried.
    fn forget_connection(&mut self, connection: Connection, reason: ConnectionEnd) -> (u64, u64) {
        self.tcp.connections.remove(&connection.id);
        self.timers.cancel(&Deadline::Connection(connection.id));
        self.answer_connect(connection.state, Body::Failure(Code::ConnectionFailed.into()));
        self.stats.ended_connections[reason as usize] += 1;
        connection.carried.bytes()
    }

    fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let key = *self.tcp.connections.get(&id)?;
        self.allocations[key].connections.iter_mut().find(|connection| connection.id == id)
    }
}
