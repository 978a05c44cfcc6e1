//! Routes: datagram sockets, byte streams and how they are opened, reused and closed (RFC 3261 section 18).

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::event::{Destination, SipEvent, Transport};
use super::usage::Path;
use super::{Endpoint, SipError, SipSocketConfig, TimerKey};
use crate::io::{DropReason, FlowId, SocketId, Transmit};
use crate::sip::framing::{Frame, PONG, StreamFramer};
use crate::sip::{Uri, Via};

/// A route that a message can take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hop {
    Datagram { socket: SocketId, remote: SocketAddr },
    Flow(FlowId),
}

impl Hop {
    pub(super) fn is_reliable(self) -> bool {
        matches!(self, Hop::Flow(_))
    }

    pub(super) fn transport(self) -> Transport {
        if self.is_reliable() { Transport::Tcp } else { Transport::Udp }
    }
}

/// A byte stream.
#[derive(Debug)]
pub(super) struct Flow {
    remote: SocketAddr,
    socket: SocketId,
    open: bool,
    framer: StreamFramer,
    /// Messages for when it is open.
    waiting: Vec<Bytes>,
}

/// All byte streams.
#[derive(Debug, Default)]
pub(super) struct Flows {
    table: BTreeMap<FlowId, Flow>,
    /// The latest one to each address.
    by_remote: HashMap<SocketAddr, FlowId>,
    drawn: u64,
}

impl Flows {
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn remote(&self, flow: FlowId) -> Option<SocketAddr> {
        self.table.get(&flow).map(|flow| flow.remote)
    }

    pub(super) fn socket(&self, flow: FlowId) -> Option<SocketId> {
        self.table.get(&flow).map(|flow| flow.socket)
    }

    fn insert(&mut self, id: FlowId, flow: Flow) {
        self.by_remote.insert(flow.remote, id);
        self.table.insert(id, flow);
    }

    fn remove(&mut self, id: FlowId) -> Option<Flow> {
        let flow = self.table.remove(&id)?;
        if self.by_remote.get(&flow.remote) == Some(&id) {
            self.by_remote.remove(&flow.remote);
        }
        Some(flow)
    }
}

impl Endpoint {
    /// A byte stream is there: accepted, or opened because [`SipEvent::OpenFlow`] asked for it.
    pub fn handle_flow_opened(&mut self, now: Instant, flow: FlowId, local: SocketAddr, remote: SocketAddr) {
        let now = self.clock(now);
        if let Some(known) = self.flows.table.get_mut(&flow) {
            known.open = true;
            for message in std::mem::take(&mut known.waiting) {
                if !self.output.push(Transmit::Stream(flow), message) {
                    self.drops.count(DropReason::LimitReached);
                }
            }
        } else if self.flows.len() >= self.config.limits.max_flows || flow.0 & FlowId::OPENED_BY_CORE != 0 {
            // Too many, or one that was given up before it opened.
            self.drops.count(DropReason::LimitReached);
            self.push_event(SipEvent::CloseFlow { flow });
            return;
        } else if let Some(socket) = self.socket_bound_to(local).or_else(|| self.socket_towards(remote)) {
            let framer = StreamFramer::new(false);
            self.flows.insert(flow, Flow { remote, socket: socket.socket, open: true, framer, waiting: Vec::new() });
        } else {
            self.push_event(SipEvent::CloseFlow { flow });
            return;
        }
        // A stream that says nothing sensible doesn't stay for long; the first message prolongs that.
        self.timers.set(TimerKey::Flow(flow), now + self.config.timers.transaction_timeout());
    }

    /// Bytes arrived on a byte stream.
    pub fn handle_flow_data(&mut self, now: Instant, flow: FlowId, bytes: &[u8]) {
        let now = self.clock(now);
        let Some(state) = self.flows.table.get_mut(&flow).filter(|flow| flow.open) else {
            self.drops.count(DropReason::UnknownSource);
            return;
        };
        let remote = state.remote;
        state.framer.handle_input(bytes);
        loop {
            let Some(state) = self.flows.table.get_mut(&flow) else { return };
            match state.framer.poll_frame() {
                Ok(Some(Frame::Message(frame))) => {
                    self.touch_flow(now, flow);
                    self.handle_frame(now, flow, remote, &frame);
                }
                Ok(Some(Frame::Ping)) => {
                    self.touch_flow(now, flow);
                    self.send(now, Hop::Flow(flow), Bytes::from_static(PONG));
                }
                Ok(Some(Frame::Pong)) => {}
                Ok(None) => return,
                Err(error) => {
                    // Where the next message would begin can't be known any more (section 18.3).
                    self.handle_message(now, Hop::Flow(flow), remote, Err(error));
                    self.push_event(SipEvent::CloseFlow { flow });
                    self.lose_flow(now, flow, false);
                    return;
                }
            }
        }
    }

    /// A byte stream is closed, or couldn't be opened.
    pub fn handle_flow_closed(&mut self, now: Instant, flow: FlowId) {
        let now = self.clock(now);
        self.lose_flow(now, flow, true);
    }

    /// Nothing used it for a while, or it never opened.
    pub(super) fn expire_flow(&mut self, now: Instant, flow: FlowId) {
        self.push_event(SipEvent::CloseFlow { flow });
        self.lose_flow(now, flow, false);
    }

    /// Forgets a byte stream, and what is meant for it unless the shell still writes that.
    fn lose_flow(&mut self, now: Instant, flow: FlowId, closed: bool) {
        if self.flows.remove(flow).is_none() {
            return;
        }
        self.timers.cancel(&TimerKey::Flow(flow));
        if closed {
            self.output.forget_flow(flow);
        }
        let clients = self.transactions.clients.iter();
        let hit: Vec<_> = clients.filter(|(_, client)| client.hop == Hop::Flow(flow)).map(|(id, _)| *id).collect();
        for transaction in hit {
            self.client_transport_failed(now, transaction);
        }
    }

    fn touch_flow(&mut self, now: Instant, flow: FlowId) {
        self.timers.set(TimerKey::Flow(flow), now + self.config.flow_idle);
    }

    /// Sends, opening nothing. A message that can't be sent is a lost packet.
    pub(super) fn send(&mut self, now: Instant, hop: Hop, wire: Bytes) {
        let sent = match hop {
            Hop::Datagram { socket, remote } => {
                self.output.push(Transmit::Datagram { socket, destination: remote }, wire)
            }
            Hop::Flow(id) => match self.flows.table.get_mut(&id) {
                None => false,
                Some(flow) if flow.open => {
                    self.touch_flow(now, id);
                    self.output.push(Transmit::Stream(id), wire)
                }
                Some(flow) => {
                    let room = flow.waiting.len() < self.config.limits.max_waiting_per_flow;
                    if room {
                        flow.waiting.push(wire);
                    }
                    room
                }
            },
        };
        if !sent {
            self.drops.count(DropReason::LimitReached);
        }
    }

    /// Sends what belongs to an earlier message the same way: on the same byte stream, or over a new one to the same
    /// address (section 18.2.2 for responses).
    pub(super) fn send_along(&mut self, now: Instant, hop: Hop, fallback: Option<SocketAddr>, wire: Bytes) {
        let gone = matches!(hop, Hop::Flow(flow) if !self.flows.table.contains_key(&flow));
        match fallback.filter(|_| gone) {
            None => self.send(now, hop, wire),
            Some(remote) => match self.flow_to(now, remote) {
                Ok(flow) => self.send(now, Hop::Flow(flow), wire),
                Err(_) => self.drops.count(DropReason::LimitReached),
            },
        }
    }

    /// The byte stream to an address, opened if there is none.
    pub(super) fn flow_to(&mut self, now: Instant, remote: SocketAddr) -> Result<FlowId, SipError> {
        if let Some(flow) = self.flows.by_remote.get(&remote) {
            return Ok(*flow);
        }
        let socket = self.socket_towards(remote).ok_or(SipError::NoSocket)?.socket;
        if self.flows.len() >= self.config.limits.max_flows {
            return Err(SipError::LimitReached);
        }
        self.flows.drawn += 1;
        let id = FlowId(FlowId::OPENED_BY_CORE | self.flows.drawn);
        let framer = StreamFramer::new(true);
        self.flows.insert(id, Flow { remote, socket, open: false, framer, waiting: Vec::new() });
        self.timers.set(TimerKey::Flow(id), now + self.config.timers.transaction_timeout());
        self.push_event(SipEvent::OpenFlow { flow: id, remote });
        Ok(id)
    }

    /// The route to a destination.
    pub(super) fn hop_to(&mut self, now: Instant, destination: Destination, socket: SocketId) -> Result<Hop, SipError> {
        match destination.transport {
            Transport::Udp => Ok(Hop::Datagram { socket, remote: destination.address }),
            Transport::Tcp => self.flow_to(now, destination.address).map(Hop::Flow),
        }
    }

    /// The route of a request in a dialog whose next hop has this URI: to the address that stands there. There is no
    /// DNS here, so for a host name it is the way that the dialog began: its byte stream if that still stands, else its
    /// destination, as with an outbound proxy.
    pub(super) fn hop_in_dialog(&mut self, now: Instant, next_hop: &Uri, path: Path) -> Result<Hop, SipError> {
        let beginning = path.flow.filter(|flow| self.flows.table.contains_key(flow));
        let Some(destination) = literal_destination(next_hop, path.destination.transport) else {
            return match beginning {
                Some(flow) => Ok(Hop::Flow(flow)),
                None => self.hop_to(now, path.destination, path.socket),
            };
        };
        let same_family = destination.address.is_ipv4() == path.destination.address.is_ipv4();
        let socket = match self.socket_towards(destination.address) {
            Some(other) if !same_family => other.socket,
            _ => path.socket,
        };
        match (destination.transport, beginning) {
            // A far side that reached us over a byte stream may not be reachable by a new one (RFC 5626, RFC 5923).
            (Transport::Tcp, Some(flow))
                if self.flows.remote(flow).map(|at| at.ip()) == Some(destination.address.ip()) =>
            {
                Ok(Hop::Flow(flow))
            }
            _ => self.hop_to(now, destination, socket),
        }
    }

    /// The socket that a new request to this address goes from.
    pub(super) fn socket_towards(&self, remote: SocketAddr) -> Option<SipSocketConfig> {
        let same = |socket: &&SipSocketConfig| socket.bound.is_ipv4() == remote.ip().to_canonical().is_ipv4();
        // An unspecific IPv6 socket may take both families; it is the second choice.
        let any = |socket: &&SipSocketConfig| socket.bound.is_ipv6() && socket.bound.ip().is_unspecified();
        let sockets = &self.config.sockets;
        sockets.iter().find(same).or_else(|| sockets.iter().find(any)).copied()
    }

    fn socket_bound_to(&self, local: SocketAddr) -> Option<SipSocketConfig> {
        self.config.sockets.iter().find(|socket| socket.bound == local).copied()
    }

    /// What is told to others for a socket.
    pub(super) fn advertised(&self, socket: SocketId) -> Option<SocketAddr> {
        self.config.sockets.iter().find(|config| config.socket == socket).map(|config| config.advertised)
    }

    /// Whether a route is a byte stream of ours that was open before.
    pub(super) fn is_reusable(&self, hop: Hop) -> bool {
        match hop {
            Hop::Flow(id) => {
                id.0 & FlowId::OPENED_BY_CORE != 0 && self.flows.table.get(&id).is_some_and(|flow| flow.open)
            }
            Hop::Datagram { .. } => false,
        }
    }

    /// The socket that stands for a route.
    pub(super) fn socket_of(&self, hop: Hop) -> Option<SocketId> {
        match hop {
            Hop::Datagram { socket, .. } => Some(socket),
            Hop::Flow(flow) => self.flows.socket(flow),
        }
    }

    /// A fresh Via for a request over this route.
    pub(super) fn new_via(&mut self, hop: Hop) -> Option<Via> {
        let advertised = self.advertised(self.socket_of(hop)?)?;
        let branch = format!("{}{}", Via::BRANCH_COOKIE, self.rng.token(20));
        let transport = match hop.transport() {
            Transport::Udp => crate::sip::Transport::Udp,
            Transport::Tcp => crate::sip::Transport::Tcp,
        };
        Some(Via::new(transport, advertised.ip(), Some(advertised.port()), &branch))
    }
}

/// Where a URI with an address in it leads; none for host names, for transports that aren't opened from here (TLS,
/// WebSocket) and for other schemes.
fn literal_destination(uri: &Uri, default: Transport) -> Option<Destination> {
    let sip = uri.as_sip()?;
    let transport = match sip.transport() {
        // A connection in the clear would not be what a SIPS URI asks for.
        _ if sip.secure => return None,
        Some(name) if name.eq_ignore_ascii_case("udp") => Transport::Udp,
        Some(name) if name.eq_ignore_ascii_case("tcp") => Transport::Tcp,
        Some(_) => return None,
        // Without the parameter it is UDP (RFC 3263 section 4.1), but what works is better than what is right.
        None => default,
    };
    Some(Destination { transport, address: SocketAddr::new(sip.host.ip()?, sip.port.unwrap_or(5060)) })
}
