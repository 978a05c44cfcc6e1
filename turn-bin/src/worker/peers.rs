//! Connections with peers (RFC 6062): made and accepted on the runtime, kept here until the server says what becomes of them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use shell::accept::ConnectionLimit;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use webrtc_sip_core::io::{FlowId, SocketId};
use webrtc_sip_core::turn::{Carried, ConnectionId, Family, RelaySocket};

use super::{Inbox, WorkerInput};
use crate::relays::{Relay, Relays};
use crate::tcp::{self, Granted, PeerStream, Spliced};

/// What a worker has of connections with peers.
pub(super) struct Peers {
    runtime: Handle,
    inbox: Inbox,
    limit: ConnectionLimit,
    relays: HashMap<SocketId, TcpRelay>,
    connections: HashMap<ConnectionId, Peer>,
    /// Clients' connections whose request to be bound to one of these is being answered.
    binding: Vec<(FlowId, oneshot::Sender<Granted>)>,
}

/// A port at which peers' connections are accepted.
struct TcpRelay {
    bound: SocketAddr,
    _accepting: Task,
}

/// A connection with a peer; dropping it closes it.
enum Peer {
    Connecting { _task: Task },
    Waiting(PeerStream),
    Carried { flow: FlowId, _until: oneshot::Sender<()> },
}

/// Ends when this is dropped.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Peers {
    /// Inputs that come of connections go to `inbox`, the worker's own.
    pub(super) fn new(runtime: Handle, inbox: Inbox, limit: ConnectionLimit) -> Self {
        Peers { runtime, inbox, limit, relays: HashMap::new(), connections: HashMap::new(), binding: Vec::new() }
    }

    pub(super) fn has_relay(&self, socket: SocketId) -> bool {
        self.relays.contains_key(&socket)
    }

    /// Accepts peers' connections at a port of `relays`.
    pub(super) fn listen(
        &mut self,
        relays: &Relays,
        family: Family,
        random: u32,
        socket: SocketId,
    ) -> Option<RelaySocket> {
        // The runtime watches what is bound while one is in it.
        let _inside = self.runtime.enter();
        let relay = relays.bind_one(family, random, |address| TcpListener::from_std(tcp::listen(address)?))?;
        let (address, bound) = (relay.address, relay.socket.local_addr().ok()?);
        let task = self.runtime.spawn(accept(relay, socket, self.limit.clone(), self.inbox.clone()));
        self.relays.insert(socket, TcpRelay { bound, _accepting: Task(task.abort_handle()) });
        Some(RelaySocket { socket, address })
    }

    pub(super) fn close_relay(&mut self, socket: SocketId) {
        self.relays.remove(&socket);
    }

    /// Begins to connect from the address of a relay socket; says whether an input will tell how it went.
    pub(super) fn connect(&mut self, id: ConnectionId, socket: SocketId, peer: SocketAddr) -> bool {
        let Some(relay) = self.relays.get(&socket) else { return false };
        let Some(place) = self.limit.try_place() else { return false };
        let (bound, inbox) = (relay.bound, self.inbox.clone());
        let task = self.runtime.spawn(async move {
            let stream = tcp::connect(bound, peer).await;
            let stream = stream.inspect_err(|error| tracing::debug!(%peer, %error, "a peer isn't reached")).ok();
            inbox.send(WorkerInput::Connected(id, stream.map(|stream| PeerStream::new(stream, place)))).await;
        });
        self.connections.insert(id, Peer::Connecting { _task: Task(task.abort_handle()) });
        true
    }

    /// The connection is there; nothing is read from it yet, so that a peer that sends too much has to wait. None: keep
    /// trying was over when it came.
    pub(super) fn connected(&mut self, id: ConnectionId, stream: Option<PeerStream>) -> bool {
        match (self.connections.remove(&id), stream) {
            (Some(Peer::Connecting { .. }), Some(stream)) => {
                self.keep(id, stream);
                true
            }
            _ => false,
        }
    }

    /// Keeps a connection until it is spliced or closed.
    pub(super) fn keep(&mut self, id: ConnectionId, stream: PeerStream) {
        self.connections.insert(id, Peer::Waiting(stream));
    }

    /// A client's connection waits to hear whether it is spliced now.
    pub(super) fn binds(&mut self, flow: FlowId, answer: oneshot::Sender<Granted>) {
        self.binding.push((flow, answer));
    }

    /// Every request was answered: whoever still waits goes on with frames.
    pub(super) fn all_answered(&mut self) {
        self.binding.clear();
    }

    /// Gives a client's connection the peer's, to carry bytes between them; says whether both were there. `writer` is the
    /// end of the client's queue, which holds the answer to its request.
    pub(super) fn splice(
        &mut self,
        flow: FlowId,
        writer: mpsc::Sender<Bytes>,
        id: ConnectionId,
        carried: Arc<Carried>,
    ) -> bool {
        let Some(Peer::Waiting(peer)) = self.connections.remove(&id) else { return false };
        let Some(index) = self.binding.iter().position(|(other, _)| *other == flow) else { return false };
        let (_, answer) = self.binding.swap_remove(index);
        let (until, closed) = oneshot::channel();
        let spliced = Spliced { connection: id, peer, carried, closed };
        let taken = answer.send(Granted { spliced, writer }).is_ok();
        if taken {
            self.connections.insert(id, Peer::Carried { flow, _until: until });
        }
        taken
    }

    pub(super) fn close(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
    }

    /// Closes what a client's connection was given just when it broke, so that nobody took it.
    pub(super) fn close_given_to(&mut self, flow: FlowId) -> Option<ConnectionId> {
        let given = |peer: &Peer| matches!(peer, Peer::Carried { flow: to, .. } if *to == flow);
        let id = self.connections.iter().find(|(_, peer)| given(peer)).map(|(id, _)| *id)?;
        self.connections.remove(&id);
        Some(id)
    }
}

/// Hands every connection to the worker, one after the other, until it is gone.
async fn accept(relay: Relay<TcpListener>, socket: SocketId, limit: ConnectionLimit, inbox: Inbox) {
    loop {
        let (stream, peer, place) = limit.accept(&relay.socket).await;
        let stream = PeerStream::new(stream, place);
        if !inbox.send(WorkerInput::PeerConnected { socket, peer, stream }).await {
            return;
        }
    }
}
