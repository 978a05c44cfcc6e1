//! Waiting for sockets on a thread of its own, without a runtime.
//!
//! At voice load a wake-up costs more than the packets it serves, so above a certain packet rate a worker naps for a
//! millisecond after each turn and then serves whatever has arrived.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::fd::{AsFd, OwnedFd};

/// What a wait found.
pub use rustix::event::epoll::Event;

/// The token of the wake-up event; sockets have 32-bit ones.
const WAKE: u64 = u64::MAX;
const NAP: Duration = Duration::from_millis(1);
const RATE_WINDOW: Duration = Duration::from_millis(50);

/// Wakes a thread that waits; cloned for everyone who puts something into its queue.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// The wait ends, or the next one ends at once.
    pub fn wake(&self) {
        // Full means that a wake-up is pending already.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }

    fn reset(&self) {
        // Nothing to read means that it was reset already.
        let _ = rustix::io::read(&*self.0, &mut [0u8; 8]);
    }
}

/// The sockets of one thread and its wake-up.
#[derive(Debug)]
pub struct Poll {
    epoll: OwnedFd,
    waker: Waker,
}

impl Poll {
    /// Without sockets yet.
    ///
    /// # Errors
    /// The process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        let waker = Waker(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?));
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &*waker.0, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        Ok(Poll { epoll, waker })
    }

    /// What ends a wait.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Watches a socket until its last descriptor is closed.
    ///
    /// # Errors
    /// The system watches no more.
    pub fn add(&self, socket: &impl AsFd, token: u32) -> io::Result<()> {
        epoll::add(&self.epoll, socket, epoll::EventData::new_u64(u64::from(token)), epoll::EventFlags::IN)?;
        Ok(())
    }

    /// Watches this socket no longer: another thread will.
    pub fn remove(&self, socket: &impl AsFd) {
        // It fails only for what isn't watched.
        let _ = epoll::delete(&self.epoll, socket);
    }

    /// Waits until something is ready, rounded up to a whole millisecond so that a timer is due when the wait is over.
    /// Level-triggered: what isn't served now is found again by the next wait.
    pub fn wait(&self, at_most: Duration, ready: &mut Vec<Event>) {
        ready.clear();
        // Interrupted means nothing is ready.
        let _ = epoll::wait(&self.epoll, spare_capacity(ready), Some(&whole_milliseconds(at_most)));
    }

    /// The socket that is ready; none for a wake-up, which is taken note of: what woke the thread is in its queue.
    pub fn token(&self, event: &Event) -> Option<u32> {
        match event.data.u64() {
            WAKE => {
                self.waker.reset();
                None
            }
            token => Some(token as u32),
        }
    }
}

fn whole_milliseconds(duration: Duration) -> Timespec {
    let milliseconds = duration.as_nanos().div_ceil(1_000_000).min(60_000) as i64;
    Timespec { tv_sec: milliseconds / 1000, tv_nsec: (milliseconds % 1000) * 1_000_000 }
}

/// Naps until a millisecond after `woken`.
pub fn nap(woken: Instant) {
    std::thread::sleep(NAP.saturating_sub(woken.elapsed()));
}

/// Whether packets come fast enough for naps.
#[derive(Debug)]
pub struct Rate {
    /// In a [`RATE_WINDOW`].
    nap_above: usize,
    window_start: Instant,
    in_window: usize,
    fast: bool,
}

impl Rate {
    /// Begins to count. Naps are worthwhile above `nap_above` packets a second: a nap is dearer than a wake-up by a packet, and
    /// has to save several of those.
    pub fn new(now: Instant, nap_above: u32) -> Self {
        let windows_a_second = Duration::from_secs(1).as_millis() / RATE_WINDOW.as_millis();
        let nap_above = nap_above as usize / windows_a_second as usize;
        Rate { nap_above, window_start: now, in_window: 0, fast: false }
    }

    /// Counts a turn's packets; says whether the thread should nap.
    pub fn count(&mut self, now: Instant, packets: usize) -> bool {
        self.in_window += packets;
        if now.saturating_duration_since(self.window_start) >= RATE_WINDOW {
            self.fast = self.in_window > self.nap_above;
            self.in_window = 0;
            self.window_start = now;
        }
        self.fast
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

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
        let mut rate = Rate::new(start, 1000);
        assert!(!rate.count(start, 40));
        assert!(!rate.count(start + RATE_WINDOW, 5));
        assert!(!rate.count(start + RATE_WINDOW, 60));
        assert!(rate.count(start + 2 * RATE_WINDOW, 1));
        assert!(!rate.count(start + 3 * RATE_WINDOW, 1));
    }

    #[test]
    fn a_wait_finds_datagrams_and_one_wake_up() {
        const PATIENCE: Duration = Duration::from_secs(10);
        let poll = Poll::new().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        poll.add(&socket, 7).unwrap();
        let mut ready = Vec::with_capacity(4);
        let mut tokens = |at_most| {
            poll.wait(at_most, &mut ready);
            ready.iter().map(|event| poll.token(event)).collect::<Vec<_>>()
        };
        poll.waker().wake();
        poll.waker().wake();
        assert_eq!(tokens(PATIENCE), [None]);
        assert_eq!(tokens(Duration::ZERO), []);
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        assert_eq!(tokens(PATIENCE), [Some(7)]);
        assert_eq!(tokens(PATIENCE), [Some(7)], "it wasn't read");
    }
}
