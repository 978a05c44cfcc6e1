//! What is on its way: datagrams, which may be lost, and client messages, which may not.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use webrtc_sip_core::ids::LinkId;
use webrtc_sip_core::rng::Rng;

/// How badly the network behaves.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// Probability that a datagram is lost.
    pub loss: f64,
    /// Probability that it arrives twice.
    pub duplication: f64,
    /// Shortest and longest time under way; the spread reorders.
    pub delay: (Duration, Duration),
}

impl Default for Conditions {
    /// A local network.
    fn default() -> Self {
        Conditions { loss: 0.0, duplication: 0.0, delay: (Duration::from_millis(1), Duration::from_millis(1)) }
    }
}

impl Conditions {
    /// A bad mobile connection.
    pub fn bad() -> Self {
        Conditions { loss: 0.05, duplication: 0.02, delay: (Duration::from_millis(5), Duration::from_millis(60)) }
    }
}

/// Something that arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A datagram.
    Datagram { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    /// To the browser that holds the link.
    ToClient { link: LinkId, text: String },
    /// The gateway closed the link.
    ClientClosed { link: LinkId },
    /// To the gateway that the link leads to.
    ToGateway { link: LinkId, text: String },
}

#[derive(Debug, PartialEq, Eq)]
struct UnderWay {
    at: Instant,
    serial: u64,
    arrival: Arrival,
}

impl Ord for UnderWay {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

impl PartialOrd for UnderWay {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Everything that is under way.
#[derive(Debug)]
pub struct Network {
    rng: Rng,
    /// May be changed at any time.
    pub conditions: Conditions,
    /// DTLS always gets through, at once. When it has to repeat itself, the library draws the time to wait by itself, and
    /// nothing that happens afterwards is a function of the seed any more.
    pub spares_dtls: bool,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    serial: u64,
    /// The last few datagrams, for whoever wants to meddle with them.
    recent: VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>,
}

const RECENT: usize = 16;

/// How long a client message takes. Always the same, so that they stay in order as over TCP.
const MESSAGE_DELAY: Duration = Duration::from_millis(5);

impl Network {
    /// Nothing is under way yet.
    pub fn new(rng: Rng, conditions: Conditions) -> Self {
        Network {
            rng,
            conditions,
            spares_dtls: false,
            under_way: BinaryHeap::new(),
            serial: 0,
            recent: VecDeque::new(),
        }
    }

    /// The last datagrams that were sent: from, to, and what.
    pub fn recent(&self) -> impl ExactSizeIterator<Item = &(SocketAddr, SocketAddr, Vec<u8>)> {
        self.recent.iter()
    }

    /// Sends a datagram as anybody from anywhere. It isn't lost.
    pub fn inject(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.push(now, Arrival::Datagram { from, to, bytes });
    }

    pub(crate) fn send_datagram(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((from, to, bytes.to_vec()));
        // RFC 7983: what the first byte says.
        if self.spares_dtls && matches!(bytes.first(), Some(20..=63)) {
            return self.inject(now + Duration::from_millis(1), from, to, bytes.to_vec());
        }
        if self.rng.chance(self.conditions.loss) {
            return;
        }
        let copies = if self.rng.chance(self.conditions.duplication) { 2 } else { 1 };
        for _ in 0..copies {
            let (shortest, longest) = self.conditions.delay;
            let spread = (longest - shortest).as_micros() as u64;
            let delay = shortest + Duration::from_micros(self.rng.below(spread + 1));
            self.push(now + delay, Arrival::Datagram { from, to, bytes: bytes.to_vec() });
        }
    }

    pub(crate) fn send_message(&mut self, now: Instant, arrival: Arrival) {
        self.push(now + MESSAGE_DELAY, arrival);
    }

    fn push(&mut self, at: Instant, arrival: Arrival) {
        self.serial += 1;
        self.under_way.push(Reverse(UnderWay { at, serial: self.serial, arrival }));
    }

    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse(next)| next.at)
    }

    /// What has arrived by now.
    pub fn pop_due(&mut self, now: Instant) -> Option<Arrival> {
        if self.next_arrival()? > now {
            return None;
        }
        self.under_way.pop().map(|Reverse(next)| next.arrival)
    }
}
