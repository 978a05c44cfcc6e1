//! The floor: a loop that passes packets on between the sockets that a TURN server has, and does nothing else.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

use super::{address_of, bind_loopback};
use crate::proc;

const NAP: Duration = Duration::from_millis(1);
/// The token of the socket for clients.
const SHARED: u64 = u64::MAX;

/// The loop on a thread of its own.
#[derive(Debug)]
pub struct Bare {
    /// Where clients send to.
    pub listen: SocketAddr,
    /// Where the peer sends to, for each client.
    pub relayed: Vec<SocketAddr>,
    thread_id: i32,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Bare {
    /// Takes packets from each of `clients` to `peer` and back. With `naps`, it rests until a millisecond after each
    /// wake-up and then serves what has come meanwhile; without, it serves each packet as it comes.
    pub fn start(clients: &[SocketAddr], peer: SocketAddr, naps: bool) -> Self {
        let shared = bind_loopback();
        let relays: Vec<UdpSocket> = clients.iter().map(|_| bind_loopback()).collect();
        let (listen, relayed) = (address_of(&shared), relays.iter().map(address_of).collect());
        let sockets = Sockets {
            shared,
            relays,
            by_client: clients.iter().copied().zip(0..).collect(),
            clients: clients.to_vec(),
            peer,
            naps,
        };
        let ended = Arc::new(AtomicBool::new(false));
        let (end, (tell, told)) = (Arc::clone(&ended), mpsc::channel());
        let thread = std::thread::spawn(move || {
            let told = tell.send(rustix::thread::gettid().as_raw_nonzero().get());
            told.expect("somebody waits for it");
            sockets.pass_on(&end);
        });
        let thread_id = told.recv().expect("the thread says so first");
        Bare { listen, relayed, thread_id, ended, thread: Some(thread) }
    }

    /// Its processor time so far.
    pub fn cpu(&self) -> Duration {
        proc::own_thread_cpu(self.thread_id)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has said why if it panicked.
            let _ = thread.join();
        }
    }
}

struct Sockets {
    shared: UdpSocket,
    relays: Vec<UdpSocket>,
    by_client: HashMap<SocketAddr, usize>,
    clients: Vec<SocketAddr>,
    peer: SocketAddr,
    naps: bool,
}

impl Sockets {
    fn pass_on(&self, ended: &AtomicBool) {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("descriptors are left");
        let watch = |socket: &UdpSocket, token| {
            epoll::add(&epoll, socket, epoll::EventData::new_u64(token), epoll::EventFlags::IN)
                .expect("it is a socket");
        };
        watch(&self.shared, SHARED);
        self.relays.iter().zip(0..).for_each(|(socket, token)| watch(socket, token));
        let mut ready = Vec::with_capacity(256);
        let mut storage = [0; 2048];
        while !ended.load(Ordering::Relaxed) {
            ready.clear();
            let timeout = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            // Interrupted means nothing is ready.
            let _ = epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut ready), Some(&timeout));
            let woken = Instant::now();
            for event in &ready {
                self.serve(event.data.u64(), &mut storage);
            }
            if self.naps && !ready.is_empty() {
                std::thread::sleep(NAP.saturating_sub(woken.elapsed()));
            }
        }
    }

    /// One packet; with naps, all that wait at the socket for clients.
    fn serve(&self, token: u64, storage: &mut [u8]) {
        loop {
            let socket = if token == SHARED { &self.shared } else { &self.relays[token as usize] };
            let (len, source) = match socket.recv_from(storage) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            };
            let sent = if token == SHARED {
                self.relays[self.by_client[&source]].send_to(&storage[..len], self.peer)
            } else {
                self.shared.send_to(&storage[..len], self.clients[token as usize])
            };
            sent.expect("loopback takes it");
            if token != SHARED || !self.naps {
                return;
            }
        }
    }
}
