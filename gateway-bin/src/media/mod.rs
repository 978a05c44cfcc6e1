//! The media plane's shell: worker threads, their sockets, and the RTP port range.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use shell::epoll::Waker;
use tokio::sync::mpsc;
use webrtc_sip_core::gateway::ShardAddresses;
use webrtc_sip_core::ids::ShardId;
use webrtc_sip_core::io::SocketId;
use webrtc_sip_core::media::{MediaCommand, MediaEvent};

pub(crate) mod addresses;
pub(crate) mod ports;
mod worker;

use worker::Worker;
pub(crate) use worker::WorkerStats;

/// Commands that may wait for one worker.
const MAX_QUEUED_COMMANDS: usize = 4096;
/// Kernel receive buffer of a WebRTC socket, which carries every call of a worker: 100 ms of 2,000 calls.
const WEBRTC_RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// Numbers the sockets of the process.
#[derive(Debug, Default)]
pub(crate) struct SocketIds(AtomicU32);

impl SocketIds {
    /// The next number.
    pub(crate) fn draw(&self) -> SocketId {
        SocketId(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum WorkerInput {
    /// For its shard.
    Command(MediaCommand),
    /// Serve these sockets from now on.
    AddSockets([(SocketId, UdpSocket); 2]),
    /// Close these; answered by [`WorkerOutput::SocketsClosed`].
    CloseSockets([SocketId; 2]),
    /// Tell how you are.
    Stats(tokio::sync::oneshot::Sender<WorkerStats>),
    /// Send what is pending and end.
    Stop,
}

/// What a worker tells.
#[derive(Debug)]
pub(crate) enum WorkerOutput {
    /// From its shard.
    Event(MediaEvent),
    /// The pair is closed, its ports are free.
    SocketsClosed([SocketId; 2]),
    /// The worker is gone. Read only by a control task that didn't tell it to end.
    Ended(ShardId),
}

/// Reports the end of a worker when it is dropped, after a panic too.
struct ReportEnd {
    shard: ShardId,
    outbox: mpsc::Sender<WorkerOutput>,
}

impl Drop for ReportEnd {
    fn drop(&mut self) {
        // Waits while the queue is full; nobody reads it when the control task is gone.
        let _ = self.outbox.blocking_send(WorkerOutput::Ended(self.shard));
    }
}

/// What one worker needs to start.
#[derive(Debug)]
pub(crate) struct WorkerSetup {
    /// Which shard it runs.
    pub(crate) shard: ShardId,
    /// Its WebRTC sockets and the addresses they are bound to.
    pub(crate) webrtc: Vec<(SocketId, UdpSocket, SocketAddr)>,
}

/// A running worker thread.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    /// Which shard it runs.
    pub(crate) shard: ShardId,
    inbox: mpsc::Sender<WorkerInput>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl WorkerHandle {
    /// Starts the thread of a worker that reports to `outbox`.
    pub(crate) fn start(
        setup: WorkerSetup,
        shard: webrtc_sip_core::media::MediaShard,
        outbox: mpsc::Sender<WorkerOutput>,
    ) -> io::Result<Self> {
        let (inbox, commands) = mpsc::channel(MAX_QUEUED_COMMANDS);
        let shard_id = setup.shard;
        let worker = Worker::new(setup, shard, commands, outbox.clone())?;
        let waker = worker.waker();
        let report_end = ReportEnd { shard: shard_id, outbox };
        let run = move || {
            let _report_end = report_end;
            worker.run();
        };
        let thread = std::thread::Builder::new().name(format!("media-{}", shard_id.0)).spawn(run)?;
        Ok(WorkerHandle { shard: shard_id, inbox, waker, thread: Some(thread) })
    }

    /// Hands over an input; waits while the worker's queue is full (it never waits for us, so this ends).
    pub(crate) async fn send(&self, input: WorkerInput) {
        // Fails only when the worker is gone, which ends the process anyway.
        let _ = self.inbox.send(input).await;
        self.waker.wake();
    }

    /// Ends the worker and waits for its thread.
    pub(crate) async fn stop(mut self) {
        self.send(WorkerInput::Stop).await;
        if let Some(thread) = self.thread.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        // So that a start that fails half-way leaves no thread behind. Full: it ends when the queue is read to its end.
        let _ = self.inbox.try_send(WorkerInput::Stop);
        self.waker.wake();
    }
}

/// Binds the WebRTC sockets of one worker: one per address, all with the same port, so that the destination address of
/// a packet is known from the socket it arrived on. Port 0 takes any that is free on all of them.
pub(crate) fn bind_webrtc(
    ids: &SocketIds,
    addresses: &[IpAddr],
    port: u16,
) -> io::Result<Vec<(SocketId, UdpSocket, SocketAddr)>> {
    const ATTEMPTS: usize = 20;
    let mut attempt = 0;
    loop {
        attempt += 1;
        match bind_all(ids, addresses, port) {
            Err(error) if port == 0 && attempt < ATTEMPTS && error.kind() == io::ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
}

fn bind_all(
    ids: &SocketIds,
    addresses: &[IpAddr],
    mut port: u16,
) -> io::Result<Vec<(SocketId, UdpSocket, SocketAddr)>> {
    let mut sockets = Vec::with_capacity(addresses.len());
    for address in addresses {
        let wanted = SocketAddr::new(*address, port);
        let socket = UdpSocket::bind(wanted)
            .map_err(|error| io::Error::new(error.kind(), format!("UDP {wanted} for WebRTC media: {error}")))?;
        socket.set_nonblocking(true)?;
        // As much as the system allows; net.core.rmem_max may cut it.
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(WEBRTC_RECEIVE_BUFFER_BYTES);
        let bound = socket.local_addr()?;
        port = bound.port();
        sockets.push((ids.draw(), socket, bound));
    }
    Ok(sockets)
}

/// The host candidates of a worker: what is bound, or what is advertised in its place.
pub(crate) fn candidates(shard: ShardId, bound: &[SocketAddr], advertised: &[IpAddr]) -> ShardAddresses {
    let candidates = bound
        .iter()
        .enumerate()
        .map(|(index, bound)| SocketAddr::new(advertised.get(index).copied().unwrap_or(bound.ip()), bound.port()))
        .collect();
    ShardAddresses { shard, candidates }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_reports_its_end() {
        let (outbox, mut reports) = mpsc::channel(1);
        let report_end = ReportEnd { shard: ShardId(3), outbox };
        let thread = std::thread::spawn(move || {
            let _report_end = report_end;
            panic!("as a worker might");
        });
        assert!(thread.join().is_err());
        assert!(matches!(reports.try_recv(), Ok(WorkerOutput::Ended(ShardId(3)))));
    }
}
