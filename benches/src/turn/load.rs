//! Clients and their peer, all on this thread: it sends each packet when it is due and never waits for one, so that the
//! server's sends wake nobody, as over a network.

use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use super::bare::Bare;
use super::client::{self, Transport};
use super::server::Server;
use super::{VOICE_BYTES, address_of, bind_loopback};

/// Between two packets of a voice stream.
const PACKET_TIME: Duration = Duration::from_millis(20);
/// A packet that leaves later than this is one of a burst.
const LATE: Duration = Duration::from_millis(1);
/// How long packets may be under way at the end.
const SETTLE: Duration = Duration::from_millis(50);

/// How packets follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// 50 packets a second from each client and to each client, all of them spread evenly over the 20 ms.
    Voice,
    /// As fast as this thread can.
    FlatOut,
}

/// What a run sent and got back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// Packets sent, by clients and by the peer.
    pub sent: u64,
    /// Packets that arrived: those that were relayed.
    pub heard: u64,
    /// Packets that left too late to be evenly spread.
    pub late: u64,
}

/// N clients, each with a channel to the one peer.
#[derive(Debug)]
pub struct Load {
    clients: Vec<UdpSocket>,
    relayed: Vec<SocketAddr>,
    peer: UdpSocket,
    /// What a client sends.
    from_client: Vec<u8>,
    storage: Vec<u8>,
}

impl Load {
    /// Through a TURN server.
    pub fn through(server: &Server, count: usize) -> Self {
        let peer = bind_loopback();
        let clients = client::allocate(server.listen, Transport::Udp, count, address_of(&peer));
        let (clients, relayed) = clients.into_iter().map(client::Client::into_path).unzip();
        Load { clients, relayed, peer, from_client: client::voice_in_channel(), storage: vec![0; 2048] }
    }

    /// Through a bare loop, which is started.
    pub fn through_bare_loop(count: usize, naps: bool) -> (Self, Bare) {
        let (peer, clients) = (bind_loopback(), (0..count).map(|_| bind_loopback()).collect::<Vec<_>>());
        let addresses: Vec<SocketAddr> = clients.iter().map(address_of).collect();
        let bare = Bare::start(&addresses, address_of(&peer), naps);
        for client in &clients {
            client.connect(bare.listen).expect("it is on this machine");
        }
        let from_client = client::voice_in_channel();
        let load = Load { clients, relayed: bare.relayed.clone(), peer, from_client, storage: vec![0; 2048] };
        (load, bare)
    }

    /// Sends for this long and counts.
    pub fn run(&mut self, pace: Pace, time: Duration) -> Counted {
        // Sleeps are as exact as the system's timers, which are otherwise bundled over 50 microseconds.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let mut counted = Counted::default();
        let start = Instant::now();
        let interval = PACKET_TIME / self.streams() as u32;
        let mut sent = 0;
        loop {
            let now = Instant::now();
            if now - start >= time {
                break;
            }
            let due = match pace {
                Pace::Voice => {
                    start + PACKET_TIME * (sent / self.streams()) as u32 + interval * (sent % self.streams()) as u32
                }
                Pace::FlatOut => now,
            };
            if due > now {
                std::thread::sleep(due - now);
                continue;
            }
            counted.late += u64::from(now - due > LATE);
            self.send(sent % self.streams(), &mut counted);
            sent += 1;
        }
        std::thread::sleep(SETTLE);
        (0..self.clients.len()).for_each(|client| counted.heard += self.hear(client));
        counted.heard += self.hear_peer();
        counted
    }

    /// One from each client and one to each.
    fn streams(&self) -> usize {
        2 * self.clients.len()
    }

    /// Streams from clients and to clients by turns, the two of one client half of the time apart. Who sends also reads
    /// what has come for it.
    fn send(&mut self, stream: usize, counted: &mut Counted) {
        let count = self.clients.len();
        let sent = if stream.is_multiple_of(2) {
            let client = stream / 2;
            counted.heard += self.hear(client);
            self.clients[client].send(&self.from_client)
        } else {
            let client = (stream / 2 + count / 2) % count;
            counted.heard += self.hear_peer();
            self.peer.send_to(&[0x5a; VOICE_BYTES], self.relayed[client])
        };
        sent.expect("loopback takes it");
        counted.sent += 1;
    }

    fn hear(&mut self, client: usize) -> u64 {
        hear(&self.clients[client], &mut self.storage)
    }

    fn hear_peer(&mut self) -> u64 {
        hear(&self.peer, &mut self.storage)
    }
}

fn hear(socket: &UdpSocket, storage: &mut [u8]) -> u64 {
    let mut heard = 0;
    while socket.recv(storage).is_ok() {
        heard += 1;
    }
    heard
}
