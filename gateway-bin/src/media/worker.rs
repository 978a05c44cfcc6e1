//! One media worker: a thread with an epoll loop around a [`MediaShard`].
//!
//! At voice load a wake-up costs more than the packets it serves, so above a certain packet rate the worker naps for a
//! millisecond after each turn and then serves whatever has arrived.

use std::collections::HashMap;
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
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
/// Datagrams from one socket, and from all sockets, before timers and commands get their turn.
const SOCKET_BUDGET: usize = 64;
const TURN_BUDGET: usize = 1024;
/// Commands in one turn.
const COMMAND_BUDGET: usize = 256;
/// Packets sent in one turn before the sockets are read again.
const SEND_BUDGET: usize = 4096;
const NAP: Duration = Duration::from_millis(1);
/// More packets than this in a [`RATE_WINDOW`] make napping worthwhile: 1,000 a second, ten calls.
const NAP_ABOVE: usize = 50;
const RATE_WINDOW: Duration = Duration::from_millis(50);
/// How often the wall clock is handed on.
const WALL_CLOCK_EVERY: Duration = Duration::from_secs(30);
/// The epoll token of the wake-up event; sockets have their 32-bit number.
const WAKE: u64 = u64::MAX;

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
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
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
        wake: Arc<OwnedFd>,
        outbox: mpsc::Sender<WorkerOutput>,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &*wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        let mut worker = Worker {
            shard,
            epoll,
            wake,
            sockets: HashMap::new(),
            inbox,
            outbox,
            closed: Vec::new(),
            stats: WorkerStats { shard: setup.shard.0, ..WorkerStats::default() },
            drops: DropCounters::default(),
            stopping: false,
            rate: Rate::new(Instant::now()),
        };
        for (id, socket, _) in setup.webrtc {
            worker.add_socket(id, socket)?;
        }
        Ok(worker)
    }

    fn add_socket(&mut self, id: SocketId, socket: UdpSocket) -> io::Result<()> {
        epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(u64::from(id.0)), epoll::EventFlags::IN)?;
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
                std::thread::sleep(NAP.saturating_sub(woken.elapsed()));
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
            whole_milliseconds(due.saturating_duration_since(now))
        } else {
            // More to send: only look. More to report: look again soon.
            Timespec { tv_sec: 0, tv_nsec: 1_000_000 }
        };
        ready.clear();
        // Interrupted means nothing is ready; the loop goes on.
        let _ = epoll::wait(&self.epoll, spare_capacity(ready), Some(&timeout));
    }

    fn receive(&mut self, ready: &mut Vec<epoll::Event>, storage: &mut [u8]) -> usize {
        let mut received = 0;
        for event in ready.drain(..) {
            if event.data.u64() == WAKE {
                // Resets the event; what woke us is in the inbox.
                let _ = rustix::io::read(&*self.wake, &mut [0u8; 8]);
                continue;
            }
            if received >= TURN_BUDGET {
                // Level-triggered: the rest is reported again next turn.
                break;
            }
            received += self.receive_from(SocketId(event.data.u64() as u32), storage);
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
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
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

/// Rounded up, so that a timer is due when the wait is over.
fn whole_milliseconds(duration: Duration) -> Timespec {
    let milliseconds = duration.as_nanos().div_ceil(1_000_000).min(60_000) as i64;
    Timespec { tv_sec: milliseconds / 1000, tv_nsec: (milliseconds % 1000) * 1_000_000 }
}

/// Whether packets come fast enough for naps.
struct Rate {
    window_start: Instant,
    in_window: usize,
    fast: bool,
}

impl Rate {
    fn new(now: Instant) -> Self {
        Rate { window_start: now, in_window: 0, fast: false }
    }

    fn count(&mut self, now: Instant, packets: usize) -> bool {
        self.in_window += packets;
        if now.saturating_duration_since(self.window_start) >= RATE_WINDOW {
            self.fast = self.in_window > NAP_ABOVE;
            self.in_window = 0;
            self.window_start = now;
        }
        self.fast
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_round_up_to_whole_milliseconds() {
        let wait = whole_milliseconds(Duration::from_micros(1001));
        assert_eq!((wait.tv_sec, wait.tv_nsec), (0, 2_000_000));
        assert_eq!(whole_milliseconds(Duration::ZERO).tv_nsec, 0);
        assert_eq!(whole_milliseconds(Duration::from_secs(3600)).tv_sec, 60);
    }

    #[test]
    fn only_a_fast_worker_naps() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        assert!(!rate.count(start, 40));
        assert!(!rate.count(start + RATE_WINDOW, 5));
        assert!(!rate.count(start + RATE_WINDOW, 60));
        assert!(rate.count(start + 2 * RATE_WINDOW, 1));
        assert!(!rate.count(start + 3 * RATE_WINDOW, 1));
    }
}
