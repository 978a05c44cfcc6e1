//! The thread: an epoll loop around a [`TurnServer`].

use std::collections::HashMap;
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use shell::epoll::{self, Poll, Rate};
use shell::log::pseudonym;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};
use webrtc_sip_core::crypto::CryptoProvider;
use webrtc_sip_core::ids::RequestId;
use webrtc_sip_core::io::{DropCounters, DropReason, FlowId, PacketBuf, SocketId, Transmit};
use webrtc_sip_core::turn::dtls::is_dtls;
use webrtc_sip_core::turn::{
    AllocationRecord, BindRelay, Carried, ConnectionId, HEADROOM, MAX_FRAME_LEN, RelaySocket, RelayTransport,
    TurnEvent, TurnServer, account_of,
};

use super::dtls::Dtls;
use super::peers::Peers;
use super::{CONNECTIONS, ENDS, Inbox, Mailbox, WorkerInput, WorkerStats, allocation_name};
use crate::fragmentation::send_unfragmented;
use crate::relays::{Relay, Relays};

/// Room after a packet, for the padding of ChannelData on streams.
const TAILROOM: usize = 64;
/// Datagrams from one socket, and inputs from all, before timers get their turn.
const SOCKET_BUDGET: usize = 64;
const TURN_BUDGET: usize = 1024;
/// Packets a second from which on a worker naps: eight of them for each nap.
const NAP_ABOVE: u32 = 8_000;
/// How often the wall clock is handed on.
const WALL_CLOCK_EVERY: Duration = Duration::from_secs(30);

/// A socket that is served.
pub(super) enum Socket {
    Listener(UdpSocket),
    Relay(Relay),
}

impl Socket {
    fn udp(&self) -> &UdpSocket {
        match self {
            Socket::Listener(socket) => socket,
            Socket::Relay(relay) => &relay.socket,
        }
    }
}

pub(super) struct Worker {
    pub(super) number: u8,
    /// Every worker's inbox, in the order of their numbers.
    pub(super) workers: Vec<Inbox>,
    pub(super) server: TurnServer,
    pub(super) poll: Poll,
    pub(super) sockets: HashMap<SocketId, Socket>,
    next_socket: SocketId,
    /// Where frames for a connection go.
    flows: HashMap<FlowId, mpsc::Sender<Bytes>>,
    pub(super) dtls: Dtls,
    relays: Arc<Relays>,
    peers: Peers,
    crypto: CryptoProvider,
    inbox: mpsc::Receiver<WorkerInput>,
    drained: Option<oneshot::Sender<()>>,
    /// Log lines say the realm.
    pub(super) has_tenants: bool,
    stopping: bool,
    pub(super) stats: WorkerStats,
    pub(super) drops: DropCounters,
    rate: Rate,
}

impl Worker {
    pub(super) fn new(
        number: u8,
        server: TurnServer,
        listeners: Vec<(SocketId, UdpSocket)>,
        relays: Arc<Relays>,
        peers: Peers,
        mailbox: Mailbox,
        workers: Vec<Inbox>,
    ) -> io::Result<Self> {
        let Mailbox { poll, inputs: inbox, .. } = mailbox;
        for (id, socket) in &listeners {
            poll.add(socket, id.0)?;
        }
        Ok(Worker {
            number,
            workers,
            server,
            poll,
            next_socket: SocketId(listeners.len() as u32),
            sockets: listeners.into_iter().map(|(id, socket)| (id, Socket::Listener(socket))).collect(),
            flows: HashMap::new(),
            dtls: Dtls::default(),
            relays,
            peers,
            crypto: CryptoProvider::system(),
            inbox,
            drained: None,
            has_tenants: false,
            stopping: false,
            stats: WorkerStats::default(),
            drops: DropCounters::default(),
            rate: Rate::new(Instant::now(), NAP_ABOVE),
        })
    }

    pub(super) fn run(mut self) {
        let mut storage = vec![0u8; HEADROOM + MAX_FRAME_LEN + TAILROOM];
        let mut ready = Vec::with_capacity(256);
        let mut wall_clock_due = Instant::now();
        while !self.stopping {
            let now = Instant::now();
            if now >= wall_clock_due {
                self.server.handle_wall_clock(now, SystemTime::now());
                wall_clock_due = now + WALL_CLOCK_EVERY;
            }
            let timers = [self.server.poll_timeout(), self.dtls.poll_timeout()];
            let due = timers.into_iter().flatten().fold(wall_clock_due, Instant::min);
            self.poll.wait(due.saturating_duration_since(now), &mut ready);
            self.stats.wake_ups += 1;
            let woken = Instant::now();
            let received = self.receive(&mut ready, &mut storage) + self.take_inputs(&mut storage);
            self.stats.received += received as u64;
            let now = Instant::now();
            if self.server.poll_timeout().is_some_and(|due| due <= now) {
                self.server.handle_timeout(now);
            }
            self.handle_dtls_timeout(now, &mut storage);
            self.carry_out(now, &mut storage);
            if self.rate.count(now, received) && received > 0 && received < TURN_BUDGET {
                epoll::nap(woken);
            }
        }
        self.end_allocations(&mut storage);
    }

    fn receive(&mut self, ready: &mut Vec<epoll::Event>, storage: &mut [u8]) -> usize {
        let mut received = 0;
        for event in ready.drain(..) {
            let Some(token) = self.poll.token(&event) else { continue };
            // Level-triggered: the rest is reported again next turn.
            if received < TURN_BUDGET {
                received += self.receive_from(SocketId(token), storage);
            }
        }
        received
    }

    fn receive_from(&mut self, id: SocketId, storage: &mut [u8]) -> usize {
        let now = Instant::now();
        for count in 0..SOCKET_BUDGET {
            let Some(socket) = self.sockets.get(&id) else { return count };
            let (len, source) = match socket.udp().recv_from(&mut storage[HEADROOM..HEADROOM + MAX_FRAME_LEN]) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return count,
                // An ICMP error of an earlier send; reading it cleared it.
                Err(_) => continue,
            };
            let is_listener = matches!(socket, Socket::Listener(_));
            if is_listener && is_dtls(&storage[HEADROOM..HEADROOM + len]) {
                self.receive_dtls(now, id, source, storage, len);
                continue;
            }
            let mut packet = PacketBuf::filled(storage, HEADROOM, len);
            if let Some(transmit) = self.server.handle_datagram(now, id, source, &mut packet) {
                self.send(transmit, packet.as_slice());
            }
        }
        SOCKET_BUDGET
    }

    /// Takes what waits in the inbox; returns how many frames it was.
    fn take_inputs(&mut self, storage: &mut [u8]) -> usize {
        let mut frames = 0;
        for _ in 0..TURN_BUDGET {
            match self.inbox.try_recv() {
                Ok(WorkerInput::Frame(flow, frame)) => {
                    frames += 1;
                    self.take_frame(flow, &frame, storage);
                }
                Ok(WorkerInput::FrameToBind(flow, frame, answer)) => {
                    frames += 1;
                    self.peers.binds(flow, answer);
                    self.take_frame(flow, &frame, storage);
                }
                Ok(input) => self.take_input(input),
                Err(TryRecvError::Empty) => return frames,
                Err(TryRecvError::Disconnected) => {
                    self.stopping = true;
                    return frames;
                }
            }
        }
        // There may be more: wake up again at once.
        self.poll.waker().wake();
        frames
    }

    pub(super) fn take_frame(&mut self, flow: FlowId, frame: &[u8], storage: &mut [u8]) {
        let mut packet = PacketBuf::empty(storage, HEADROOM);
        if packet.extend_from_slice(frame).is_err() {
            self.drops.count(DropReason::Malformed);
        } else if let Some(transmit) = self.server.handle_frame(Instant::now(), flow, &mut packet) {
            self.send(transmit, packet.as_slice());
        }
    }

    fn take_input(&mut self, input: WorkerInput) {
        let now = Instant::now();
        match input {
            WorkerInput::FlowOpened { flow, remote, transport, writer } => {
                self.flows.insert(flow, writer);
                self.server.handle_flow_opened(now, flow, remote, transport);
            }
            WorkerInput::Frame(..) | WorkerInput::FrameToBind(..) => unreachable!("frames have a method of their own"),
            WorkerInput::FlowClosed(flow) => {
                if self.flows.remove(&flow).is_none()
                    && let Some(id) = self.peers.close_given_to(flow)
                {
                    self.server.handle_connection_closed(now, id);
                }
                self.server.handle_flow_closed(now, flow);
            }
            WorkerInput::PeerConnected { socket, peer, stream } => {
                if let Some(id) = self.server.handle_peer_connected(now, socket, peer) {
                    self.peers.keep(id, stream);
                }
            }
            WorkerInput::Connected(id, stream) => {
                let connected = self.peers.connected(id, stream);
                self.server.handle_connected(now, id, connected);
            }
            WorkerInput::ConnectionClosed(id) => {
                self.peers.close(id);
                self.server.handle_connection_closed(now, id);
            }
            WorkerInput::Reload(permitted) => {
                self.server.set_tenants(&permitted.tenants);
                self.server.set_peers(permitted.peers);
                self.has_tenants = !permitted.tenants.others.is_empty();
            }
            WorkerInput::Certificate { identity, limit } => self.dtls.serve(now, *identity, limit, &self.crypto),
            WorkerInput::Drain { alternate, drained } => {
                self.server.drain(alternate);
                self.drained = Some(drained);
            }
            WorkerInput::Question { asker, id, question } => self.answer(now, asker, id, question),
            WorkerInput::Answer { id, answer, relays } => self.take_over(now, id, answer, relays),
            WorkerInput::Allocations { after, limit, reply } => {
                let mut found: Vec<_> =
                    self.server.allocations(now).filter(|found| after.is_none_or(|after| found.id > after)).collect();
                found.sort_unstable_by_key(|found| found.id);
                found.truncate(limit);
                // Nobody waits any more when the asker gave up.
                let _ = reply.send(found);
            }
            WorkerInput::EndAllocation { id, reply } => {
                let _ = reply.send(self.server.end_allocation(now, id));
            }
            WorkerInput::Stats(reply) => {
                let mut drops = self.drops.clone();
                drops.merge(self.server.drops());
                self.dtls.add_drops(&mut drops);
                // Nobody waits any more when the asker gave up.
                let _ = reply.send(WorkerStats {
                    connections: CONNECTIONS.map(|transport| self.server.flows_over(transport)),
                    drops,
                    turn: self.server.stats(),
                    ..self.stats.clone()
                });
            }
            WorkerInput::Stop => self.stopping = true,
        }
    }

    /// Sends what the server has to send and does what it asks for, until there is nothing left.
    fn carry_out(&mut self, now: Instant, storage: &mut [u8]) {
        loop {
            self.flush(now, storage);
            let Some(event) = self.server.poll_event() else { break };
            match event {
                TurnEvent::Request { id, bind } => self.bind(now, id, &bind),
                TurnEvent::Ask { id, server, question } => self.ask(now, id, server, question),
                TurnEvent::CloseSocket(socket) => {
                    self.sockets.remove(&socket);
                    self.peers.close_relay(socket);
                }
                TurnEvent::Connect { id, socket, peer } => {
                    if !self.peers.connect(id, socket, peer) {
                        self.server.handle_connected(now, id, false);
                    }
                }
                TurnEvent::Splice { flow, connection, carried } => self.splice(now, flow, connection, carried),
                TurnEvent::CloseConnection(id) => self.peers.close(id),
                TurnEvent::CloseFlow(flow) if self.close_dtls(now, flow) => {}
                // The task of the connection sees its queue closed and ends.
                TurnEvent::CloseFlow(flow) => drop(self.flows.remove(&flow)),
                TurnEvent::Ended(record) => self.ended(&record),
            }
        }
        self.peers.all_answered();
        if self.server.stats().allocations == 0
            && let Some(drained) = self.drained.take()
        {
            // Nobody waits any more when the process ends at once.
            let _ = drained.send(());
        }
    }

    fn flush(&mut self, now: Instant, storage: &mut [u8]) {
        loop {
            let mut packet = PacketBuf::empty(storage, HEADROOM);
            let Some(transmit) = self.server.poll_transmit(now, &mut packet) else { break };
            self.send(transmit, packet.as_slice());
        }
        self.flush_dtls(storage);
    }

    fn splice(&mut self, now: Instant, flow: FlowId, id: ConnectionId, carried: Arc<Carried>) {
        let spliced = match self.flows.remove(&flow) {
            Some(writer) => self.peers.splice(flow, writer, id, carried),
            None => false,
        };
        if !spliced {
            self.peers.close(id);
            self.server.handle_connection_closed(now, id);
        }
    }

    fn bind(&mut self, now: Instant, id: RequestId, wanted: &BindRelay) {
        let bound = match wanted.transport {
            RelayTransport::Udp => self.bind_udp(wanted),
            RelayTransport::Tcp => self.listen(wanted),
        };
        self.server.handle_answer(now, id, &bound);
    }

    fn listen(&mut self, wanted: &BindRelay) -> Vec<RelaySocket> {
        let mut listening = Vec::new();
        for family in &wanted.families {
            let (socket, random) = (self.draw_socket_id(), self.crypto.u32());
            listening.extend(self.peers.listen(&self.relays, *family, random, socket));
        }
        listening
    }

    fn bind_udp(&mut self, wanted: &BindRelay) -> Vec<RelaySocket> {
        let mut bound = Vec::new();
        for family in &wanted.families {
            for relay in self.relays.bind(*family, wanted.port, self.crypto.u32()).into_iter().flatten() {
                let (socket, address) = (self.draw_socket_id(), relay.address);
                match self.poll.add(&relay.socket, socket.0) {
                    Ok(()) => {
                        self.sockets.insert(socket, Socket::Relay(relay));
                        bound.push(RelaySocket { socket, address });
                    }
                    Err(error) => tracing::warn!(%error, "a relay socket can't be watched"),
                }
            }
        }
        bound
    }

    /// A number that no socket has.
    pub(super) fn draw_socket_id(&mut self) -> SocketId {
        while self.sockets.contains_key(&self.next_socket) || self.peers.has_relay(self.next_socket) {
            self.next_socket = SocketId(self.next_socket.0.wrapping_add(1));
        }
        let drawn = self.next_socket;
        self.next_socket = SocketId(drawn.0.wrapping_add(1));
        drawn
    }

    pub(super) fn send(&mut self, transmit: Transmit, packet: &[u8]) {
        match transmit {
            Transmit::Datagram { socket, destination } | Transmit::Unfragmented { socket, destination } => {
                let sent = self.sockets.get(&socket).map(|socket| match transmit {
                    Transmit::Unfragmented { .. } => send_unfragmented(socket.udp(), packet, destination),
                    _ => socket.udp().send_to(packet, destination).map(drop),
                });
                if !matches!(sent, Some(Ok(()))) {
                    self.stats.send_errors += 1;
                    return;
                }
            }
            Transmit::Stream(flow) => {
                if self.send_dtls(flow, packet) {
                    // Counted when its datagram is sent.
                    return;
                }
                let Some(writer) = self.flows.get(&flow) else { return };
                // The reader is slow: a packet that waits gets old, and one that is dropped whole leaves those after it
                // readable.
                if writer.try_send(Bytes::copy_from_slice(packet)).is_err() {
                    self.drops.count(DropReason::LimitReached);
                    return;
                }
            }
        }
        self.stats.sent += 1;
    }

    fn ended(&mut self, record: &AllocationRecord) {
        log_allocation(record, self.has_tenants);
        if let Some(index) = ENDS.iter().position(|end| *end == record.reason) {
            self.stats.ended[index] += 1;
        }
    }

    fn end_allocations(&mut self, storage: &mut [u8]) {
        let now = Instant::now();
        let ids: Vec<_> = self.server.allocations(now).map(|allocation| allocation.id).collect();
        for id in ids {
            self.server.end_allocation(now, id);
        }
        self.carry_out(now, storage);
    }
}

/// One line for an ended allocation. It is short, because there is one for each: what is 0 isn't said, as with the
/// allocations that a browser makes and doesn't use.
fn log_allocation(record: &AllocationRecord, has_tenants: bool) {
    let allocation = &record.allocation;
    let id = allocation_name(allocation.id);
    let [sent, received] =
        [allocation.sent, allocation.received].map(|traffic| (traffic.packets > 0).then_some(traffic));
    // Nearly every allocation does.
    let relays_datagrams = allocation.relay_transport == RelayTransport::Udp;
    tracing::info!(
        target: "turn",
        id,
        reason = record.reason.name(),
        realm = has_tenants.then_some(&*allocation.realm),
        user = pseudonym(account_of(&allocation.user)),
        transport = allocation.transport.name(),
        relay_transport = (!relays_datagrams).then(|| allocation.relay_transport.name()),
        seconds = allocation.age.as_secs(),
        sent_packets = sent.map(|sent| sent.packets),
        sent_bytes = sent.map(|sent| sent.bytes),
        received_packets = received.map(|received| received.packets),
        received_bytes = received.map(|received| received.bytes),
        "allocation ended"
    );
    tracing::debug!(target: "turn", id, user = %allocation.user, client = %allocation.client, "allocation ended");
}
