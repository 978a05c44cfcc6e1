//! The control plane's shell: one task that owns the [`Gateway`].
//!
//! Everything comes in by two bounded queues, one for what the outside sends (clients, SIP) and one for what our own
//! parts report (media, answers), so that a flood from outside can't keep a call's own events waiting.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use webrtc_sip_core::gateway::{Answer, CallSnapshot, Gateway, GatewayEvent, GatewayStats, TurnAccess};
use webrtc_sip_core::ids::{LinkId, RequestId, ShardId};
use webrtc_sip_core::io::{FlowId, PacketBuf, SocketId};

mod ended;
mod handover;
mod links;
mod requests;
mod sip;

pub(crate) use ended::EndedCalls;
pub(crate) use handover::{RestoreReply, Snapshots};
pub(crate) use links::{HttpReply, ToWebSocket};
pub(crate) use requests::PortPool;
pub(crate) use sip::SipSockets;

use links::{LinkSink, Links};

use crate::failure::Broken;
use crate::guesses::Guesses;
use crate::media::{WorkerHandle, WorkerInput, WorkerOutput, WorkerStats};
use crate::telemetry;
use crate::users::Users;

/// Inputs from outside that may wait; a client message is at most `limits.client_message_bytes`.
const MAX_OUTSIDE: usize = 2048;
/// Reports of our own parts that may wait. The parts keep what doesn't fit.
const MAX_INSIDE: usize = 4096;
/// Inputs handled before output is drained.
const BATCH: usize = 64;
/// Room for the largest SIP message.
const TRANSMIT_BYTES: usize = 65_535;
const WALL_CLOCK_EVERY: Duration = Duration::from_secs(30);
/// How long the last BYEs may take when everything ends.
const FAREWELL: Duration = Duration::from_millis(1500);

/// Something that arrived from outside.
#[derive(Debug)]
pub(crate) enum Outside {
    /// A client opened a WebSocket; messages for it go to `sender`.
    WebSocketOpened { link: LinkId, source: IpAddr, sender: mpsc::Sender<ToWebSocket> },
    /// A text message on a WebSocket.
    WebSocketMessage { link: LinkId, text: String },
    /// `POST /v1/rpc`.
    RpcCall { link: LinkId, source: IpAddr, bearer: Option<String>, text: String, reply: oneshot::Sender<HttpReply> },
    /// `GET /v1/events`.
    ClientPoll { link: LinkId, source: IpAddr, bearer: Option<String>, after: u64, reply: oneshot::Sender<HttpReply> },
    /// The client is gone.
    LinkClosed(LinkId),
    /// A SIP datagram.
    SipDatagram { socket: SocketId, source: SocketAddr, bytes: Bytes },
    /// A byte stream for SIP is open; bytes for it go to `writer`.
    FlowOpened { flow: FlowId, local: SocketAddr, remote: SocketAddr, writer: mpsc::Sender<Bytes> },
    /// Bytes from a stream.
    FlowData(FlowId, Bytes),
    /// A stream is closed, or couldn't be opened.
    FlowClosed(FlowId),
    /// `GET /about`, which anybody may ask for.
    About(oneshot::Sender<GatewayStats>),
}

/// Something our own parts report or ask.
#[derive(Debug)]
pub(crate) enum Inside {
    /// The answer to a request of the core.
    Answer(RequestId, Answer),
    /// For the metrics page.
    Stats(oneshot::Sender<ControlStats>),
    /// New users from a reloaded configuration.
    Users(Arc<Users>),
    /// What browsers are told of TURN, from a reloaded configuration.
    TurnAccess(Option<TurnAccess>),
    /// Take no new sign-ins and calls, and tell when nobody is in a call any more.
    Drain(oneshot::Sender<()>),
    /// Take them again.
    Undrain,
    /// End everything.
    Shutdown,
    /// Write every call down.
    Snapshot(oneshot::Sender<Vec<CallSnapshot>>),
    /// Go on with a call of another instance.
    Restore(Box<CallSnapshot>, RestoreReply),
    /// End at once and tell nobody.
    Vanish,
}

/// How the control plane and the workers are.
#[derive(Clone, Debug, Default)]
pub(crate) struct ControlStats {
    pub(crate) gateway: GatewayStats,
    pub(crate) ended: EndedCalls,
    pub(crate) links: usize,
    pub(crate) flows: usize,
    pub(crate) refused_connections: u64,
    pub(crate) refused_password_checks: u64,
    pub(crate) rtp_ports_in_use: usize,
    pub(crate) rtp_ports: usize,
    pub(crate) outside_queue: usize,
    pub(crate) workers: Vec<WorkerStats>,
}

/// Where the rest of the process sends to.
#[derive(Clone, Debug)]
pub(crate) struct ControlHandle {
    pub(crate) outside: mpsc::Sender<Outside>,
    pub(crate) inside: mpsc::Sender<Inside>,
}

/// The ends of the queues that the control task reads.
#[derive(Debug)]
pub(crate) struct Inbox {
    outside: mpsc::Receiver<Outside>,
    inside: mpsc::Receiver<Inside>,
}

/// Makes the two queues.
pub(crate) fn queues() -> (ControlHandle, Inbox) {
    let (outside, outside_inbox) = mpsc::channel(MAX_OUTSIDE);
    let (inside, inside_inbox) = mpsc::channel(MAX_INSIDE);
    (ControlHandle { outside, inside }, Inbox { outside: outside_inbox, inside: inside_inbox })
}

/// The control task.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) gateway: Gateway,
    pub(crate) handle: ControlHandle,
    pub(crate) workers: Vec<WorkerHandle>,
    pub(crate) media: mpsc::Receiver<WorkerOutput>,
    pub(crate) sip: SipSockets,
    pub(crate) ports: PortPool,
    pub(crate) users: Arc<Users>,
    /// Shared with the tasks that check passwords.
    pub(crate) guesses: Arc<Mutex<Guesses>>,
    /// Figures of the calls that ended.
    pub(crate) ended: EndedCalls,
    /// Who waits for calls to be written down.
    pub(crate) snapshots: Snapshots,
    /// Who asked for `Drain`, until that is done.
    pub(crate) drained: Vec<oneshot::Sender<()>>,
    /// Which part ended unasked.
    pub(crate) broken: Option<Broken>,
}

impl Control {
    /// Serves until `Shutdown` or the loss of a worker, then says goodbye and stops the workers; until `Vanish`, without
    /// a goodbye.
    pub(crate) async fn run(mut self, mut inbox: Inbox) -> Result<(), Broken> {
        let mut links = Links::default();
        let mut storage = vec![0; TRANSMIT_BYTES];
        let mut outside = Vec::with_capacity(BATCH);
        let mut inside = Vec::with_capacity(BATCH);
        let mut media = Vec::with_capacity(BATCH);
        let mut wall_clock = tokio::time::interval(WALL_CLOCK_EVERY);
        let mut ends_at: Option<tokio::time::Instant> = None;
        'serving: loop {
            self.drain(&mut links, &mut storage).await;
            if ends_at.is_some_and(|at| self.gateway.is_drained() || at <= tokio::time::Instant::now()) {
                break;
            }
            let due = self.gateway.poll_timeout().map(tokio::time::Instant::from_std);
            tokio::select! {
                biased;
                _ = wall_clock.tick() => self.gateway.handle_wall_clock(Instant::now(), SystemTime::now()),
                () = sleep_until(ends_at) => {}
                () = sleep_until(due) => {}
                _ = inbox.inside.recv_many(&mut inside, BATCH) => {}
                _ = self.media.recv_many(&mut media, BATCH), if self.broken.is_none() => {}
                _ = inbox.outside.recv_many(&mut outside, BATCH) => {}
            }
            let now = Instant::now();
            for report in media.drain(..) {
                self.handle_media(now, report);
            }
            if self.broken.is_some() && ends_at.is_none() {
                ends_at = Some(tokio::time::Instant::now() + FAREWELL);
                self.gateway.handle_shutdown(now);
            }
            for report in inside.drain(..) {
                match report {
                    Inside::Vanish => break 'serving,
                    Inside::Shutdown if ends_at.is_none() => ends_at = Some(tokio::time::Instant::now() + FAREWELL),
                    _ => {}
                }
                let queue = inbox.outside.len();
                self.handle_inside(now, report, &links, queue).await;
            }
            for input in outside.drain(..) {
                self.handle_outside(now, input, &mut links);
            }
            if self.gateway.poll_timeout().is_some_and(|due| due <= now) {
                self.gateway.handle_timeout(now);
            }
        }
        links.close_all();
        self.sip.stop().await;
        // From now on the workers end because they are told to.
        drop(self.media);
        for worker in self.workers {
            worker.stop().await;
        }
        self.broken.map_or(Ok(()), Err)
    }

    /// Sends and does everything that the core has ready.
    async fn drain(&mut self, links: &mut Links, storage: &mut [u8]) {
        loop {
            let now = Instant::now();
            let mut idle = true;
            let mut packet = PacketBuf::empty(storage, 0);
            while let Some(transmit) = self.gateway.poll_transmit(now, &mut packet) {
                self.sip.send(transmit, packet.as_slice());
                packet.clear(0);
                idle = false;
            }
            while let Some(event) = self.gateway.poll_event() {
                self.execute(event, links).await;
                idle = false;
            }
            if idle {
                return;
            }
        }
    }

    async fn execute(&mut self, event: GatewayEvent, links: &mut Links) {
        match event {
            GatewayEvent::Media { shard, command } => self.tell(shard, WorkerInput::Command(command)).await,
            GatewayEvent::ClientSend { link, text } => {
                if !links.send(link, text) {
                    self.gateway.handle_link_closed(Instant::now(), link);
                }
            }
            GatewayEvent::ClientClose { link, status, text } => links.close(link, status, text),
            GatewayEvent::Request { id, request } => self.request(id, request, links).await,
            GatewayEvent::OpenFlow { flow, remote } => self.sip.open(flow, remote, &self.handle.outside),
            GatewayEvent::CloseFlow { flow } => self.sip.close(flow),
            GatewayEvent::ReleaseMediaPorts { shard, rtp, rtcp } => {
                self.tell(shard, WorkerInput::CloseSockets([rtp, rtcp])).await;
            }
            GatewayEvent::CallSnapshot { call, snapshot } => self.snapshots.add(call, snapshot.as_deref()),
            GatewayEvent::CallEnded(record) => {
                telemetry::log_call(&record);
                self.ended.add(&record);
            }
            GatewayEvent::Proxy(news) => telemetry::log_proxy(news),
            GatewayEvent::Drained => {
                for drained in self.drained.drain(..) {
                    // Nobody waits when the drain was cut short.
                    let _ = drained.send(());
                }
            }
        }
    }

    async fn tell(&self, shard: ShardId, input: WorkerInput) {
        match self.workers.iter().find(|worker| worker.shard == shard) {
            Some(worker) => worker.send(input).await,
            None => tracing::error!(%shard, "there is no such media worker"),
        }
    }

    fn handle_media(&mut self, now: Instant, report: WorkerOutput) {
        match report {
            WorkerOutput::Event(event) => self.gateway.handle_media_event(now, event),
            WorkerOutput::SocketsClosed([rtp, _]) => self.ports.release(rtp),
            WorkerOutput::Ended(shard) => self.broken = Some(Broken::MediaWorker(shard)),
        }
    }

    async fn handle_inside(&mut self, now: Instant, report: Inside, links: &Links, outside_queue: usize) {
        match report {
            Inside::Answer(id, answer) => self.gateway.handle_answer(now, id, answer),
            Inside::Stats(reply) => self.collect_stats(reply, links.len(), outside_queue).await,
            Inside::Users(users) => self.users = users,
            Inside::TurnAccess(turn) => self.gateway.handle_turn_access(now, turn),
            Inside::Drain(drained) => {
                self.drained.push(drained);
                self.gateway.handle_drain(now);
            }
            Inside::Undrain => {
                self.drained.clear();
                self.gateway.handle_undrain(now);
            }
            Inside::Shutdown => self.gateway.handle_shutdown(now),
            Inside::Snapshot(reply) => self.write_calls_down(now, reply),
            Inside::Restore(snapshot, reply) => self.take_call_up(now, *snapshot, reply),
            // Ends the loop that called us.
            Inside::Vanish => {}
        }
    }

    fn handle_outside(&mut self, now: Instant, input: Outside, links: &mut Links) {
        match input {
            Outside::WebSocketOpened { link, source, sender } => {
                links.add(link, source, LinkSink::WebSocket(sender));
                self.gateway.handle_websocket_opened(now, link);
            }
            Outside::WebSocketMessage { link, text } => {
                // What comes after the core closed the link would look like an HTTP request.
                if links.contains(link) {
                    self.gateway.handle_client_message(now, link, None, text.as_bytes());
                }
            }
            Outside::RpcCall { link, source, bearer, text, reply } => {
                links.add(link, source, LinkSink::Http(reply));
                self.gateway.handle_client_message(now, link, bearer.as_deref(), text.as_bytes());
            }
            Outside::ClientPoll { link, source, bearer, after, reply } => {
                links.add(link, source, LinkSink::Http(reply));
                self.gateway.handle_client_poll(now, link, bearer.as_deref(), after);
            }
            Outside::LinkClosed(link) => {
                if links.remove(link) {
                    self.gateway.handle_link_closed(now, link);
                }
            }
            Outside::SipDatagram { socket, source, bytes } => {
                self.gateway.handle_sip_datagram(now, socket, source, &bytes);
            }
            Outside::FlowOpened { flow, local, remote, writer } => {
                self.sip.opened(flow, writer);
                self.gateway.handle_flow_opened(now, flow, local, remote);
            }
            Outside::FlowData(flow, bytes) => {
                if self.sip.is_open(flow) {
                    self.gateway.handle_flow_data(now, flow, &bytes);
                }
            }
            Outside::FlowClosed(flow) => {
                self.sip.close(flow);
                self.gateway.handle_flow_closed(now, flow);
            }
            // Whoever asked may have gone.
            Outside::About(reply) => drop(reply.send(self.gateway.stats())),
        }
    }

    /// Asks the workers and answers when all have answered, without waiting for them here.
    async fn collect_stats(&self, reply: oneshot::Sender<ControlStats>, links: usize, outside_queue: usize) {
        let mut stats = ControlStats {
            gateway: self.gateway.stats(),
            ended: self.ended.clone(),
            links,
            flows: self.sip.flows(),
            refused_connections: self.sip.refused(),
            refused_password_checks: lock(&self.guesses).refused(),
            rtp_ports_in_use: self.ports.in_use(),
            rtp_ports: self.ports.capacity(),
            outside_queue,
            workers: Vec::new(),
        };
        let mut answers = Vec::with_capacity(self.workers.len());
        for worker in &self.workers {
            let (asked, answer) = oneshot::channel();
            worker.send(WorkerInput::Stats(asked)).await;
            answers.push(answer);
        }
        tokio::spawn(async move {
            for answer in answers {
                stats.workers.extend(answer.await);
            }
            let _ = reply.send(stats);
        });
    }
}

/// Nothing that holds this lock can leave the table half changed.
fn lock(guesses: &Mutex<Guesses>) -> std::sync::MutexGuard<'_, Guesses> {
    guesses.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Numbers of HTTP links, drawn by the HTTP side.
#[derive(Debug, Default)]
pub(crate) struct LinkIds(std::sync::atomic::AtomicU64);

impl LinkIds {
    /// The next number.
    pub(crate) fn draw(&self) -> LinkId {
        LinkId(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1)
    }
}
