//! Worker threads: each has a TURN server of its own, and shares with the others only addresses and limits.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use shell::accept::ConnectionLimit;
use shell::epoll::{Poll, Waker};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use webrtc_sip_core::crypto::CryptoProvider;
use webrtc_sip_core::ids::{AllocationId, RequestId};
use webrtc_sip_core::io::{DropCounters, FlowId, SocketId};
use webrtc_sip_core::turn::dtls::DtlsIdentity;
use webrtc_sip_core::turn::{
    AllocationEnd, AllocationSummary, Answer, ClientTransport, ConnectionId, Ledger, PeerPolicy, Question, Tenants,
    TurnConfig, TurnServer, TurnStats,
};

use crate::relays::{Relay, Relays};
use crate::tcp::{Granted, PeerStream};

mod dtls;
mod event_loop;
mod handover;
mod peers;

use event_loop::Worker;
use peers::Peers;

/// Inputs that may wait for one worker: bursts of frames. A connection whose worker is behind isn't read meanwhile.
const MAX_QUEUED: usize = 4096;
/// Why allocations end, in the order of [`WorkerStats::ended`].
pub(crate) const ENDS: [AllocationEnd; 4] =
    [AllocationEnd::Released, AllocationEnd::Expired, AllocationEnd::FlowClosed, AllocationEnd::Administrative];

/// What connections there are, in the order of [`WorkerStats::connections`].
pub(crate) const CONNECTIONS: [ClientTransport; 3] =
    [ClientTransport::Tcp, ClientTransport::Tls, ClientTransport::Dtls];

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum WorkerInput {
    /// A client opened a connection; what it is sent goes to `writer`.
    FlowOpened { flow: FlowId, remote: SocketAddr, transport: ClientTransport, writer: mpsc::Sender<Bytes> },
    /// A frame from it.
    Frame(FlowId, Bytes),
    /// The same, and it is a request to be bound to a peer's connection. The sender is answered when it was granted, and
    /// dropped when it wasn't.
    FrameToBind(FlowId, Bytes, oneshot::Sender<Granted>),
    /// It is closed.
    FlowClosed(FlowId),
    /// A peer connected to a relayed address.
    PeerConnected { socket: SocketId, peer: SocketAddr, stream: PeerStream },
    /// A peer that was to be connected to was reached, or not.
    Connected(ConnectionId, Option<PeerStream>),
    /// A connection with a peer, and the client's with it, is closed.
    ConnectionClosed(ConnectionId),
    /// A question of another worker's server.
    Question { asker: u8, id: RequestId, question: Question },
    /// The answer to one of ours, with the sockets that it names, in their order.
    Answer { id: RequestId, answer: Answer, relays: Vec<Relay> },
    /// Take over who may use the server, and whom it reaches.
    Reload(Box<Permitted>),
    /// Take DTLS with this certificate. Associations have their places among the connections of `limit`.
    Certificate { identity: Box<DtlsIdentity>, limit: ConnectionLimit },
    /// Take no new allocations, send new clients elsewhere, and say when the last allocation is over.
    Drain { alternate: Option<SocketAddr>, drained: oneshot::Sender<()> },
    /// Tell of so many allocations in the order of their numbers, from the one behind `after` on.
    Allocations { after: Option<AllocationId>, limit: usize, reply: oneshot::Sender<Vec<AllocationSummary>> },
    /// End an allocation, and say whether there was one.
    EndAllocation { id: AllocationId, reply: oneshot::Sender<bool> },
    /// Tell how you are.
    Stats(oneshot::Sender<WorkerStats>),
    /// End every allocation and then yourself.
    Stop,
}

/// The name of an allocation, as logs and the admin API have it: the worker that made it, and which of its allocations it is.
pub(crate) fn allocation_name(id: AllocationId) -> String {
    format!("{}-{}", id.server_number(), id.number())
}

/// What [`allocation_name`] made.
pub(crate) fn allocation_called(name: &str) -> Option<AllocationId> {
    let (worker, number) = name.split_once('-')?;
    let id = AllocationId::new(worker.parse().ok()?, number.parse().ok()?);
    // A number that is too long names nothing.
    (allocation_name(id) == name).then_some(id)
}

/// What a reload changes.
#[derive(Clone, Debug)]
pub(crate) struct Permitted {
    /// Users, secrets and limits, realm by realm.
    pub(crate) tenants: Tenants,
    /// Peers.
    pub(crate) peers: PeerPolicy,
}

/// How a worker is.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkerStats {
    /// Datagrams and frames taken in.
    pub(crate) received: u64,
    /// Datagrams and frames sent.
    pub(crate) sent: u64,
    /// Datagrams that the system didn't take.
    pub(crate) send_errors: u64,
    /// Turns of the loop.
    pub(crate) wake_ups: u64,
    /// Answers to another worker that didn't reach it; what they held was kept.
    pub(crate) lost_answers: u64,
    /// Ended allocations, for each of [`ENDS`].
    pub(crate) ended: [u64; ENDS.len()],
    /// Connections, for each of [`CONNECTIONS`].
    pub(crate) connections: [usize; CONNECTIONS.len()],
    /// What the server holds and did.
    pub(crate) turn: TurnStats,
    /// What the server and the worker dropped.
    pub(crate) drops: DropCounters,
}

/// A running worker thread.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    inbox: Inbox,
    thread: Option<JoinHandle<()>>,
}

/// Where inputs for a worker go.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    sender: mpsc::Sender<WorkerInput>,
    waker: Waker,
}

/// What a worker receives by, made before its thread so that every worker knows every inbox.
#[derive(Debug)]
pub(crate) struct Mailbox {
    poll: Poll,
    inputs: mpsc::Receiver<WorkerInput>,
    inbox: Inbox,
}

impl Mailbox {
    /// An empty one.
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let (sender, inputs) = mpsc::channel(MAX_QUEUED);
        let inbox = Inbox { sender, waker: poll.waker().clone() };
        Ok(Mailbox { poll, inputs, inbox })
    }

    /// Where inputs go.
    pub(crate) fn inbox(&self) -> &Inbox {
        &self.inbox
    }
}

impl Inbox {
    /// Hands over an input; waits while the queue is full. False when the worker is gone, and the process is ending.
    pub(crate) async fn send(&self, input: WorkerInput) -> bool {
        let sent = self.sender.send(input).await.is_ok();
        self.waker.wake();
        sent
    }

    /// Hands over an input where there is room for it; gives it back otherwise.
    pub(crate) fn try_send(&self, input: WorkerInput) -> Result<(), WorkerInput> {
        let sent = self.sender.try_send(input).map_err(TrySendError::into_inner);
        self.waker.wake();
        sent
    }

    /// Done when the worker is gone.
    pub(crate) async fn closed(&self) {
        self.sender.closed().await;
    }
}

impl WorkerHandle {
    /// Starts the thread of a worker, which serves these listening sockets and knows the inboxes of all. Connections with peers
    /// take places of `limit`, and are served by the runtime that this is called on.
    pub(crate) fn start(
        listeners: Vec<(SocketId, UdpSocket)>,
        config: TurnConfig,
        ledger: Arc<Ledger>,
        relays: Arc<Relays>,
        limit: ConnectionLimit,
        mailbox: Mailbox,
        workers: Vec<Inbox>,
    ) -> io::Result<Self> {
        let (number, inbox) = (config.server_number, mailbox.inbox.clone());
        let has_tenants = !config.tenants.others.is_empty();
        let server = TurnServer::new(Instant::now(), SystemTime::now(), config, CryptoProvider::system());
        let server = server.counting_in(ledger);
        let peers = Peers::new(Handle::current(), inbox.clone(), limit);
        let mut worker = Worker::new(number, server, listeners, relays, peers, mailbox, workers)?;
        worker.has_tenants = has_tenants;
        let thread = std::thread::Builder::new().name(format!("turn-{number}")).spawn(move || worker.run())?;
        Ok(WorkerHandle { inbox, thread: Some(thread) })
    }

    /// Where its inputs go.
    pub(crate) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Ends the worker and waits for its thread; says whether it had worked until now.
    pub(crate) async fn stop(mut self) -> bool {
        let told = self.inbox.send(WorkerInput::Stop).await;
        let Some(thread) = self.thread.take() else { return false };
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        told && matches!(joined, Ok(Ok(())))
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        // So that a start that fails half-way leaves no thread behind. Full: it ends when the queue is read to its end.
        let _ = self.inbox.sender.try_send(WorkerInput::Stop);
        self.inbox.waker.wake();
    }
}
