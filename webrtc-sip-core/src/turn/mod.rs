//! A TURN server (RFC 8656) with the STUN Binding it is found by (RFC 8489), as a state machine.
//!
//! One [`TurnServer`] serves what one worker's sockets receive. Its owner binds the listening sockets, and relay sockets
//! when [`TurnEvent::Request`] asks for them, and hands in every datagram and every frame of a connection:
//!
//! ```text
//!  client ──► handle_datagram / handle_frame ──► Some(Transmit): the packet, rewritten in place, goes there now
//!  peer   ──► handle_datagram (relay socket) ──► Some(Transmit)
//!             handle_answer (a socket bound) ──► poll_transmit: the answer to the Allocate request
//! ```
//!
//! Relaying a packet allocates nothing and copies nothing; the slot needs [`HEADROOM`] bytes before the packet. A request
//! without credentials leaves no state behind.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use slab::Slab;

use crate::crypto::CryptoProvider;
use crate::ids::{AllocationId, IdCounter, RequestId};
use crate::io::{DropCounters, DropReason, FlowId, PacketBuf, SocketId, Transmit};
use crate::timer::TimerQueue;

mod allocation;
mod arrival;
mod auth;
mod bucket;
mod config;
mod connection;
mod discovery;
pub mod dtls;
mod event;
mod frame;
mod handover;
mod ledger;
mod mobility;
mod nonce;
mod peers;
mod quota;
mod refusals;
mod relay;
mod reply;
mod requests;
mod tcp;
mod tenant;
#[cfg(test)]
mod tests;
mod ticket;
#[cfg(feature = "oauth")]
mod token;

pub use auth::{account_of, time_limited_credentials};
pub use config::{Discovery, Family, Listener, TurnConfig};
pub use connection::{Carried, ConnectionEnd, ConnectionId};
pub use event::{
    AllocationEnd, AllocationRecord, AllocationSummary, BindRelay, ClientTransport, RelayPort, RelaySocket,
    RelayTransport, Traffic, TurnEvent, TurnStats,
};
pub use frame::{FramingError, MAX_FRAME_LEN, frame_len};
pub use handover::{Answer, Question};
pub use ledger::Ledger;
pub use peers::PeerPolicy;
pub use quota::Quota;
pub use reply::{ERROR_CODES, MAX_AMPLIFICATION, MAX_REALM_LEN};
pub use tenant::{Tenant, Tenants};
#[cfg(feature = "oauth")]
pub use token::{AccessToken, TokenAlgorithm, TokenError, TokenKey};

use allocation::{Allocation, ClientPath};
use mobility::Moves;
use nonce::Nonces;
use reply::Reply;
use requests::{Pending, Reservation};
use tcp::TcpRelaying;
use tenant::Realms;

/// Room that a received packet needs before it, for the header that it is passed on with.
pub const HEADROOM: usize = 64;
/// Answers to Allocate requests that wait to be sent.
const MAX_OUTGOING: usize = 1024;
/// Events that wait for the owner. Those that free something always fit; the others are refused beyond this.
const MAX_EVENTS: usize = 8192;

/// Which allocation, while it lives.
type AllocationKey = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Deadline {
    Allocation(AllocationKey),
    Pending(RequestId),
    /// A connection ought to have an allocation by now.
    Flow(FlowId),
    Reservation([u8; 8]),
    Connection(ConnectionId),
    /// Another server was asked.
    Asked(RequestId),
    /// A client is expected at a new place.
    Arrival(ClientPath),
}

/// A client's connection.
#[derive(Clone, Copy, Debug)]
struct Flow {
    remote: SocketAddr,
    transport: ClientTransport,
}

/// The TURN server of one worker.
pub struct TurnServer {
    config: TurnConfig,
    listeners: HashMap<SocketId, SocketAddr>,
    realms: Realms,
    nonces: Nonces,
    ledger: Arc<Ledger>,
    crypto: CryptoProvider,
    allocations: Slab<Allocation>,
    by_client: HashMap<ClientPath, AllocationKey>,
    by_relay: HashMap<SocketId, AllocationKey>,
    flows: HashMap<FlowId, Flow>,
    pending: BTreeMap<RequestId, Pending>,
    pending_clients: HashMap<ClientPath, RequestId>,
    reservations: HashMap<[u8; 8], Reservation>,
    tcp: TcpRelaying,
    moves: Moves,
    timers: TimerQueue<Deadline>,
    outgoing: VecDeque<(Transmit, Reply)>,
    events: VecDeque<TurnEvent>,
    allocation_ids: IdCounter,
    request_ids: IdCounter,
    /// Where new clients are sent while draining; the inner none sends them nowhere in particular.
    draining: Option<Option<SocketAddr>>,
    stats: TurnStats,
    drops: DropCounters,
    now: Instant,
    /// Wall-clock time at an instant.
    wall_clock: (Instant, SystemTime),
}

impl std::fmt::Debug for TurnServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnServer").field("allocations", &self.allocations.len()).finish_non_exhaustive()
    }
}

impl TurnServer {
    /// A server without allocations.
    pub fn new(now: Instant, wall_clock: SystemTime, config: TurnConfig, crypto: CryptoProvider) -> Self {
        let config = config.with_waits_cut();
        TurnServer {
            listeners: config.listeners.iter().map(|listener| (listener.socket, listener.address)).collect(),
            realms: Realms::new(&config.tenants),
            moves: Moves::new(&config.nonce_key),
            nonces: Nonces::new(&config.nonce_key, config.nonce_lifetime),
            ledger: Ledger::new(now, &crypto),
            config,
            crypto,
            allocations: Slab::new(),
            by_client: HashMap::new(),
            by_relay: HashMap::new(),
            flows: HashMap::new(),
            pending: BTreeMap::new(),
            pending_clients: HashMap::new(),
            reservations: HashMap::new(),
            tcp: TcpRelaying::default(),
            timers: TimerQueue::default(),
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            allocation_ids: IdCounter::default(),
            request_ids: IdCounter::default(),
            draining: None,
            stats: TurnStats::default(),
            drops: DropCounters::default(),
            now,
            wall_clock: (now, wall_clock),
        }
    }

    /// Wall-clock time, from time to time: time-limited credentials and nonces go by it.
    pub fn handle_wall_clock(&mut self, now: Instant, wall_clock: SystemTime) {
        self.wall_clock = (self.clock(now), wall_clock);
    }

    /// The same server, whose limits of users, tenants and strangers hold together with those of all others that count in
    /// this ledger. Meant for before its first use.
    #[must_use]
    pub fn counting_in(self, ledger: Arc<Ledger>) -> Self {
        TurnServer { ledger, ..self }
    }

    /// Takes over the tenants of another configuration. Allocations stay, with the limits under which they were made.
    pub fn set_tenants(&mut self, tenants: &Tenants) {
        self.realms = Realms::new(tenants);
    }

    /// Takes over which peers may be reached; it holds for every packet from now on, and for every connection.
    pub fn set_peers(&mut self, peers: PeerPolicy) {
        self.config.peers = peers;
        self.end_forbidden_connections();
    }

    /// A datagram at a listening socket or a relay socket. Where the packet, rewritten in place, is to be sent now, if
    /// anywhere.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        socket: SocketId,
        source: SocketAddr,
        packet: &mut PacketBuf<'_>,
    ) -> Option<Transmit> {
        let now = self.clock(now);
        let result = match self.by_relay.get(&socket) {
            Some(key) => self.peer_packet(now, *key, source, packet).map(Some),
            None if self.listeners.contains_key(&socket) => {
                self.client_packet(now, ClientPath::Datagram { socket, remote: source }, source, packet)
            }
            None => Err(DropReason::UnknownSource),
        };
        self.counted(result)
    }

    /// A client opened a connection to us.
    pub fn handle_flow_opened(&mut self, now: Instant, flow: FlowId, remote: SocketAddr, transport: ClientTransport) {
        let now = self.clock(now);
        self.flows.insert(flow, Flow { remote, transport });
        self.timers.set(Deadline::Flow(flow), now + self.config.flow_idle);
    }

    /// One frame of a connection: what [`frame_len`] cuts out of a byte stream, or a datagram that came over DTLS. Where
    /// the packet, rewritten in place, is to be sent now, if anywhere.
    pub fn handle_frame(&mut self, now: Instant, flow: FlowId, packet: &mut PacketBuf<'_>) -> Option<Transmit> {
        let now = self.clock(now);
        let result = match self.flows.get(&flow) {
            Some(Flow { remote, .. }) => self.client_packet(now, ClientPath::Flow(flow), *remote, packet),
            None => Err(DropReason::UnknownSource),
        };
        self.counted(result)
    }

    /// A client's connection is closed. Its allocation ends with it (RFC 8656 section 5), or some time later where the client
    /// has a ticket to come back with.
    pub fn handle_flow_closed(&mut self, now: Instant, flow: FlowId) {
        let now = self.clock(now);
        if self.flows.remove(&flow).is_none() {
            return;
        }
        self.timers.cancel(&Deadline::Flow(flow));
        let path = ClientPath::Flow(flow);
        if let Some(request) = self.pending_clients.remove(&path) {
            // The socket is closed when it comes.
            self.pending.remove(&request);
            self.timers.cancel(&Deadline::Pending(request));
        }
        self.forget_arrival(path);
        match self.by_client.get(&path).copied() {
            Some(key) if self.allocations[key].mobility.is_some() => {
                self.by_client.remove(&path);
                self.miss_client(now, key);
            }
            Some(key) => self.end(now, key, AllocationEnd::FlowClosed),
            None => {}
        }
    }

    /// Call when `poll_timeout` is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock(now);
        while let Some(deadline) = self.timers.pop_due(now) {
            match deadline {
                Deadline::Allocation(key) => {
                    let absent = self.allocations[key].is_absent();
                    let reason = if absent { AllocationEnd::FlowClosed } else { AllocationEnd::Expired };
                    self.end(now, key, reason);
                }
                Deadline::Asked(request) => {
                    self.unanswered(now, request);
                }
                Deadline::Arrival(path) => self.forget_arrival(path),
                Deadline::Pending(request) => self.give_up(request),
                Deadline::Connection(id) => self.connection_due(id),
                Deadline::Flow(flow) => self.look_at_flow(now, flow),
                Deadline::Reservation(token) => {
                    if let Some(reservation) = self.reservations.remove(&token) {
                        self.events.push_back(TurnEvent::CloseSocket(reservation.relay.socket));
                    }
                }
            }
        }
    }

    /// Closes a connection that is of no use.
    fn look_at_flow(&mut self, now: Instant, flow: FlowId) {
        let path = ClientPath::Flow(flow);
        let is_used = self.by_client.contains_key(&path)
            || self.pending_clients.contains_key(&path)
            || self.moves.expected.contains_key(&path);
        if is_used {
            self.timers.set(Deadline::Flow(flow), now + self.config.flow_idle);
        } else if self.flows.contains_key(&flow) {
            self.events.push_back(TurnEvent::CloseFlow(flow));
        }
    }

    /// When `handle_timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    /// Writes the next message that is to be sent into `out`.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut PacketBuf<'_>) -> Option<Transmit> {
        let now = self.clock(now);
        while let Some((transmit, reply)) = self.outgoing.pop_front() {
            out.clear(HEADROOM);
            match reply.write(out) {
                Ok(()) => return Some(transmit),
                Err(_) => self.drops.count(DropReason::NoRoom),
            }
        }
        self.next_parked(now, out)
    }

    /// The next thing that the owner has to do or to know.
    pub fn poll_event(&mut self) -> Option<TurnEvent> {
        self.events.pop_front()
    }

    /// Takes no new allocations from now on; clients are told to try `alternate` (RFC 8656 section 7.2 and ALTERNATE-SERVER
    /// of RFC 8489 section 10) where it is of their family. Those that are there may be used and refreshed.
    pub fn drain(&mut self, alternate: Option<SocketAddr>) {
        self.draining = Some(alternate);
    }

    /// Ends an allocation; says whether it was there.
    pub fn end_allocation(&mut self, now: Instant, id: AllocationId) -> bool {
        let now = self.clock(now);
        let found = self.allocations.iter().find(|(_, allocation)| allocation.id == id).map(|(key, _)| key);
        if let Some(key) = found {
            self.end(now, key, AllocationEnd::Administrative);
        }
        found.is_some()
    }

    /// The allocations.
    pub fn allocations(&self, now: Instant) -> impl Iterator<Item = AllocationSummary> + '_ {
        self.allocations.iter().map(move |(_, allocation)| allocation.summary(now))
    }

    /// Gauges and counters.
    pub fn stats(&self) -> TurnStats {
        let (sent, received) = self.tcp.carried.both();
        TurnStats {
            allocations: self.allocations.len(),
            flows: self.flows.len(),
            reservations: self.reservations.len(),
            pending: self.pending.len() + self.moves.waiting(),
            connections: self.tcp.connections.len(),
            sent: Traffic { bytes: self.stats.sent.bytes + sent, ..self.stats.sent },
            received: Traffic { bytes: self.stats.received.bytes + received, ..self.stats.received },
            ..self.stats
        }
    }

    /// Connections over this transport now.
    pub fn flows_over(&self, transport: ClientTransport) -> usize {
        self.flows.values().filter(|flow| flow.transport == transport).count()
    }

    /// What was dropped, and why.
    pub fn drops(&self) -> &DropCounters {
        &self.drops
    }

    fn clock(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    fn unix_seconds(&self, now: Instant) -> u64 {
        let (then, wall_clock) = self.wall_clock;
        let since = wall_clock.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        (since + now.saturating_duration_since(then)).as_secs()
    }

    fn counted(&mut self, result: Result<Option<Transmit>, DropReason>) -> Option<Transmit> {
        result.map_err(|reason| self.drops.count(reason)).ok().flatten()
    }

    fn is_open(&self, path: ClientPath) -> bool {
        match path {
            ClientPath::Datagram { .. } => true,
            ClientPath::Flow(flow) => self.flows.contains_key(&flow),
        }
    }

    fn transport_of(&self, path: ClientPath) -> ClientTransport {
        match path {
            ClientPath::Datagram { .. } => ClientTransport::Udp,
            ClientPath::Flow(flow) => self.flows.get(&flow).map_or(ClientTransport::Tcp, |flow| flow.transport),
        }
    }

    /// An allocation is here from now on.
    fn put_in(&mut self, allocation: Allocation, expires: Instant) -> AllocationKey {
        let (id, mobile) = (allocation.id, allocation.mobility.is_some());
        let by_relay = match allocation.terms.relay_transport {
            RelayTransport::Udp => &mut self.by_relay,
            RelayTransport::Tcp => &mut self.tcp.relays,
        };
        let entry = self.allocations.vacant_entry();
        let key = entry.key();
        by_relay.extend(allocation.relays.iter().map(|relay| (relay.socket, key)));
        entry.insert(allocation);
        if mobile {
            self.moves.mobile.insert(id, key);
        }
        self.timers.set(Deadline::Allocation(key), expires);
        key
    }

    /// An allocation is no longer here.
    fn take_out(&mut self, key: AllocationKey) -> Option<Allocation> {
        let allocation = self.allocations.try_remove(key)?;
        self.timers.cancel(&Deadline::Allocation(key));
        if !allocation.is_absent() {
            self.by_client.remove(&allocation.terms.client);
        }
        for relay in &allocation.relays {
            self.by_relay.remove(&relay.socket);
            self.tcp.relays.remove(&relay.socket);
        }
        self.moves.mobile.remove(&allocation.id);
        Some(allocation)
    }

    fn end(&mut self, now: Instant, key: AllocationKey, reason: AllocationEnd) {
        let Some(mut allocation) = self.take_out(key) else { return };
        self.end_connections(&mut allocation);
        for relay in &allocation.relays {
            self.events.push_back(TurnEvent::CloseSocket(relay.socket));
        }
        if let ClientPath::Flow(flow) = allocation.terms.client
            && !allocation.is_absent()
        {
            match reason {
                // The client may want another one.
                AllocationEnd::Released => self.timers.set(Deadline::Flow(flow), now + self.config.flow_idle),
                AllocationEnd::FlowClosed => {}
                // It is told in the only way there is.
                _ => self.events.push_back(TurnEvent::CloseFlow(flow)),
            }
        }
        let record = AllocationRecord { allocation: allocation.summary(now), reason };
        self.events.push_back(TurnEvent::Ended(Box::new(record)));
    }
}
