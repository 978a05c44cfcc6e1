//! One media worker: a thread with an epoll loop around a [`MediaShard`].

use std::collections::HashMap;
use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant, SystemTime};

use shell::epoll::{self, Poll, Rate, Waker};
use tokio::sync::mpsc;
use webrtc_sip_core::io::{DropCounters, DropReason, PacketBuf, SocketId, Transmit};
use webrtc_sip_core::media::{MediaShard, ShardStats};

use super::{WorkerInput, WorkerOutput, WorkerSetup};

/// Room before and after a received packet, for what an in-place rewrite adds (RTP header extensions, SRTP tags).
const HEADROOM: usize = 64;
const TAILROOM: usize = 64;
/// The largest datagram that is taken in; a longer one can't have come over Ethernet unfragmented and is dropped.
const MAX_DATAGRAM: usize = 2048;
/// Largest packet that is sent.
const MAX_SEND: usize = 1500;
/// Packets a second from which on a worker naps: those of ten calls.
const NAP_ABOVE: u32 = 1_000;
/// Datagrams from one socket, and from all sockets, before timers and commands get their turn.
const SOCKET_BUDGET: usize = 64;
const TURN_BUDGET: usize = 1024;
/// Commands in one turn.
const COMMAND_BUDGET: usize = 256;
/// Packets sent in one turn before the sockets are read again.
const SEND_BUDGET: usize = 4096;
/// How often the wall clock is handed on.
const WALL_CLOCK_EVERY: Duration = Duration::from_secs(30);
/// How soon the loop goes on when there was more to send, or more to report than the control plane took.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// How a worker is.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkerStats {
    /// Which.
    pub(crate) shard: u64,
    /// Sockets it serves.
    pub(crate) sockets: usize,
    /// Datagrams taken in.
    pub(crate) datagrams_received: u64,
    /// Datagrams sent.
    pub(crate) datagrams_sent: u64,
    /// Datagrams that the system didn't take.
    pub(crate) send_errors: u64,
    /// Turns of the loop.
    pub(crate) wake_ups: u64,
    /// What the shard holds and did.
    pub(crate) media: ShardStats,
    /// What the shard and the worker dropped.
    pub(crate) drops: DropCounters,
}

pub(super) struct Worker {
    shard: MediaShard,
    poll: Poll,
    sockets: HashMap<SocketId, UdpSocket>,
    inbox: mpsc::Receiver<WorkerInput>,
    outbox: mpsc::Sender<WorkerOutput>,
    /// Closed pairs that couldn't be reported yet because the outbox was full.
    closed: Vec<[SocketId; 2]>,
    stats: WorkerStats,
    drops: DropCounters,
    stopping: bool,
    rate: Rate,
}

impl Worker {
    pub(super) fn new(
        setup: WorkerSetup,
        shard: MediaShard,
        inbox: mpsc::Receiver<WorkerInput>,
        outbox: mpsc::Sender<WorkerOutput>,
    ) -> io::Result<Self> {
        let mut worker = Worker {
            shard,
            poll: Poll::new()?,
            sockets: HashMap::new(),
            inbox,
            outbox,
            closed: Vec::new(),
            stats: WorkerStats { shard: setup.shard.0, ..WorkerStats::default() },
            drops: DropCounters::default(),
            stopping: false,
            rate: Rate::new(Instant::now(), NAP_ABOVE),
        };
        for (id, socket, _) in setup.webrtc {
            worker.add_socket(id, socket)?;
        }
        Ok(worker)
    }

    /// What makes the worker look into its inbox.
    pub(super) fn waker(&self) -> Waker {
        self.poll.waker().clone()
    }

    fn add_socket(&mut self, id: SocketId, socket: UdpSocket) -> io::Result<()> {
        self.poll.add(&socket, id.0)?;
        self.sockets.insert(id, socket);
        Ok(())
    }

    pub(super) fn run(mut self) {
        let mut storage = [0u8; HEADROOM + MAX_DATAGRAM + TAILROOM];
        let mut ready = Vec::with_capacity(256);
        let mut wall_clock_due = Instant::now();
        while !self.stopping {
            let now = Instant::now();
            if now >= wall_clock_due {
                self.shard.handle_wall_clock(now, SystemTime::now());
                wall_clock_due = now + WALL_CLOCK_EVERY;
            }
            let flushed = self.flush(now, &mut storage);
            let reported = self.report();
            let idle = flushed && reported;
            self.wait(now, idle, wall_clock_due, &mut ready);
            self.stats.wake_ups += 1;
            let woken = Instant::now();
            let received = self.receive(&mut ready, &mut storage);
            self.take_commands();
            let now = Instant::now();
            if self.shard.poll_timeout().is_some_and(|due| due <= now) {
                self.shard.handle_timeout(now);
            }
            if self.rate.count(now, received) && received > 0 && received < TURN_BUDGET {
                self.flush(now, &mut storage);
                epoll::nap(woken);
            }
        }
        self.flush(Instant::now(), &mut storage);
        self.report();
    }

    /// Sends what the shard has to send; says whether that was all.
    fn flush(&mut self, now: Instant, storage: &mut [u8]) -> bool {
        for _ in 0..SEND_BUDGET {
            let mut packet = PacketBuf::empty(&mut storage[..MAX_SEND], 0);
            let Some(transmit) = self.shard.poll_transmit(now, &mut packet) else { return true };
            send(&self.sockets, &mut self.stats, transmit, packet.as_slice());
        }
        false
    }

    /// Hands reports to the control plane as long as it has room; says whether that was all.
    fn report(&mut self) -> bool {
        loop {
            let Ok(permit) = self.outbox.try_reserve() else {
                // The control plane is behind, or gone. It drains its queue without waiting for us.
                return self.outbox.is_closed();
            };
            if let Some(pair) = self.closed.pop() {
                permit.send(WorkerOutput::SocketsClosed(pair));
            } else if let Some(event) = self.shard.poll_event() {
                permit.send(WorkerOutput::Event(event));
            } else {
                return true;
            }
        }
    }

    fn wait(&mut self, now: Instant, idle: bool, wall_clock_due: Instant, ready: &mut Vec<epoll::Event>) {
        let timeout = if idle {
            let due = self.shard.poll_timeout().map_or(wall_clock_due, |due| due.min(wall_clock_due));
            due.saturating_duration_since(now)
        } else {
            LOOK_AGAIN
        };
        self.poll.wait(timeout, ready);
    }

    fn receive(&mut self, ready: &mut Vec<epoll::Event>, storage: &mut [u8]) -> usize {
        let mut received = 0;
        for event in ready.drain(..) {
            let Some(token) = self.poll.token(&event) else { continue };
            if received >= TURN_BUDGET {
                // Level-triggered: the rest is reported again next turn.
                break;
            }
            received += self.receive_from(SocketId(token), storage);
        }
        self.stats.datagrams_received += received as u64;
        received
    }

    fn receive_from(&mut self, id: SocketId, storage: &mut [u8]) -> usize {
        let now = Instant::now();
        for count in 0..SOCKET_BUDGET {
            let Some(socket) = self.sockets.get(&id) else { return count };
            let (len, source) = match socket.recv_from(&mut storage[HEADROOM..HEADROOM + MAX_DATAGRAM]) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return count,
                // An ICMP error of an earlier send; reading it cleared it.
                Err(_) => continue,
            };
            if len == MAX_DATAGRAM {
                self.drops.count(DropReason::Malformed);
                continue;
            }
            let mut packet = PacketBuf::filled(storage, HEADROOM, len);
            if let Some(transmit) = self.shard.handle_datagram(now, id, source, &mut packet) {
                send(&self.sockets, &mut self.stats, transmit, packet.as_slice());
            }
        }
        SOCKET_BUDGET
    }

    fn take_commands(&mut self) {
        for _ in 0..COMMAND_BUDGET {
            let input = match self.inbox.try_recv() {
                Ok(input) => input,
                Err(mpsc::error::TryRecvError::Empty) => return,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.stopping = true;
                    return;
                }
            };
            self.take_command(input);
        }
        // There may be more: wake up again at once.
        self.poll.waker().wake();
    }

    fn take_command(&mut self, input: WorkerInput) {
        match input {
            WorkerInput::Command(command) => self.shard.handle_command(Instant::now(), command),
            WorkerInput::AddSockets(sockets) => {
                for (id, socket) in sockets {
                    if let Err(error) = self.add_socket(id, socket) {
                        tracing::warn!(%error, "a media socket can't be watched");
                    }
                }
            }
            WorkerInput::CloseSockets(pair) => {
                for id in pair {
                    // Closing the last descriptor of a socket takes it out of the epoll set.
                    self.sockets.remove(&id);
                }
                self.closed.push(pair);
            }
            WorkerInput::Stats(reply) => {
                let mut drops = self.drops.clone();
                drops.merge(self.shard.drops());
                // Nobody waits any more when the asker gave up.
                let _ = reply.send(WorkerStats {
                    drops,
                    sockets: self.sockets.len(),
                    media: self.shard.stats(),
                    ..self.stats.clone()
                });
            }
            WorkerInput::Stop => self.stopping = true,
        }
    }
}

fn send(sockets: &HashMap<SocketId, UdpSocket>, stats: &mut WorkerStats, transmit: Transmit, packet: &[u8]) {
    // Media never travels over byte streams here.
    let Transmit::Datagram { socket, destination } = transmit else { return };
    let sent = sockets.get(&socket).is_some_and(|socket| socket.send_to(packet, destination).is_ok());
    if sent {
        stats.datagrams_sent += 1;
    } else {
        stats.send_errors += 1;
    }
}
