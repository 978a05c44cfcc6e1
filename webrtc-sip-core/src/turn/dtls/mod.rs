//! TURN over DTLS (RFC 7350): the associations of one worker, under its [`super::TurnServer`].
//!
//! ```text
//!  client ──datagram that begins with 20 to 63──► DtlsFlows ──► poll_event: Opened, Frame, Closed ──► TurnServer
//!         ◄──────────── poll_transmit ◄────────── DtlsFlows ◄── send ◄── Transmit::Stream(flow) ◄──────┘
//! ```
//!
//! DTLS 1.2. A client that hasn't shown yet that it receives what is sent to its address is answered without a memory of
//! it; an association has its place among those that are limited from its first ClientHello with a good cookie on.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::crypto::CryptoProvider;
use crate::io::{DropCounters, DropReason, FlowId, PacketBuf, SocketId, Transmit};
use crate::timer::{TimerQueue, cut_waits};

mod association;
mod cookie;
#[cfg(test)]
mod tests;

pub use association::{DtlsIdentity, DtlsKeyError};

use association::{Association, Given, MAX_DATAGRAM, MAX_RECORD_DATA, Over};
use cookie::{ClientHello, Cookies, WRONG_VERSION};

/// Datagrams that wait to be sent. Those after them are lost, as they could be on the way.
const MAX_OUTGOING: usize = 4096;
/// Events that wait for the owner; only frames are lost beyond this.
const MAX_EVENTS: usize = 4096;

/// The library always names a time. One that is this far away means that nothing is due.
const NOTHING_DUE: Duration = Duration::from_secs(600);
/// However the library sees it, what was served just now isn't due at once again.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// Whether a datagram at a listening socket is DTLS (RFC 7983 section 7).
pub fn is_dtls(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(20..=63))
}

/// What happened to an association.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DtlsEvent {
    /// Its handshake is done.
    Opened {
        /// Which.
        flow: FlowId,
        /// Where the client is.
        remote: SocketAddr,
    },
    /// The client sent this.
    Frame(FlowId, Vec<u8>),
    /// It is over.
    Closed(FlowId),
}

/// Where an association's datagrams come from, and where ours go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Path {
    socket: SocketId,
    remote: SocketAddr,
}

/// The associations of one worker. Each holds a `P` as long as it lives: its place among those that are limited.
pub struct DtlsFlows<P> {
    settings: Arc<dimpl::Config>,
    identity: DtlsIdentity,
    cookies: Cookies,
    by_path: HashMap<Path, FlowId>,
    flows: HashMap<FlowId, Entry<P>>,
    next_flow: FlowId,
    timers: TimerQueue<FlowId>,
    outgoing: VecDeque<(Transmit, Vec<u8>)>,
    events: VecDeque<DtlsEvent>,
    drops: DropCounters,
    /// For what the library gives out.
    buffer: Box<[u8]>,
    now: Instant,
}

struct Entry<P> {
    association: Association,
    path: Path,
    _place: P,
}

impl<P> std::fmt::Debug for DtlsFlows<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DtlsFlows").field("flows", &self.flows.len()).finish_non_exhaustive()
    }
}

impl<P> DtlsFlows<P> {
    /// Without associations. They are numbered from `first_flow` on. A handshake may take `handshake_timeout`; none when
    /// that is zero.
    pub fn new(
        now: Instant,
        identity: DtlsIdentity,
        mut handshake_timeout: Duration,
        first_flow: FlowId,
        crypto: &CryptoProvider,
    ) -> Option<Self> {
        cut_waits([&mut handshake_timeout]);
        Some(DtlsFlows {
            settings: association::settings(handshake_timeout)?,
            identity,
            cookies: Cookies::new(&crypto.bytes(), now),
            by_path: HashMap::new(),
            flows: HashMap::new(),
            next_flow: first_flow,
            timers: TimerQueue::default(),
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            drops: DropCounters::default(),
            buffer: vec![0; MAX_DATAGRAM].into(),
            now,
        })
    }

    /// Takes over another certificate, for associations that begin from now on.
    pub fn set_identity(&mut self, identity: DtlsIdentity) {
        self.identity = identity;
    }

    /// A datagram for which [`is_dtls`] holds, at a listening socket. `place` is asked when a client begins an
    /// association; without a place there is none.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        datagram: &[u8],
        place: impl FnOnce() -> Option<P>,
    ) {
        let now = self.clock(now);
        let path = Path { socket, remote };
        let known = self.by_path.get(&path).copied();
        let result = match (ClientHello::parse(datagram), known) {
            (Some(hello), _) => self.client_hello(now, path, &hello, datagram, place),
            (None, Some(flow)) => {
                self.with(flow, |association| association.handle_datagram(now, datagram));
                Ok(())
            }
            (None, None) => Err(DropReason::UnknownSource),
        };
        if let Err(reason) = result {
            self.drops.count(reason);
        }
    }

    fn client_hello(
        &mut self,
        now: Instant,
        path: Path,
        hello: &ClientHello<'_>,
        datagram: &[u8],
        place: impl FnOnce() -> Option<P>,
    ) -> Result<(), DropReason> {
        if !hello.speaks_dtls12 {
            self.push(path, WRONG_VERSION.to_vec());
            return Err(DropReason::NotRecognised);
        }
        if !self.cookies.is_ours(now, path.remote, hello) {
            let request = self.cookies.verify_request(now, path.remote, hello);
            self.push(path, request);
            return Ok(());
        }
        if let Some(flow) = self.by_path.get(&path).copied() {
            if self.flows[&flow].association.random == *hello.random {
                // The same again: our answer was lost.
                self.with(flow, |association| association.handle_datagram(now, datagram));
                return Ok(());
            }
            // The client lost its association and begins another one (RFC 6347 section 4.2.8).
            self.remove(flow);
        }
        let place = place().ok_or(DropReason::LimitReached)?;
        let cookie = hello.cookie.try_into().map_err(|_| DropReason::Malformed)?;
        let association = Association::new(now, &self.settings, &self.identity, *hello.random, cookie, datagram)
            .map_err(|Over| DropReason::Malformed)?;
        let flow = self.next_flow;
        self.next_flow = FlowId(flow.0.wrapping_add(1));
        self.flows.insert(flow, Entry { association, path, _place: place });
        self.by_path.insert(path, flow);
        self.with(flow, |_| Ok(()));
        Ok(())
    }

    /// Whether this is the number of one of our associations.
    pub fn contains(&self, flow: FlowId) -> bool {
        self.flows.contains_key(&flow)
    }

    /// Sends a frame to the client.
    pub fn send(&mut self, now: Instant, flow: FlowId, frame: &[u8]) {
        let now = self.clock(now);
        if frame.len() > MAX_RECORD_DATA {
            self.drops.count(DropReason::NoRoom);
        } else if self.flows.contains_key(&flow) {
            self.with(flow, |association| association.send(now, frame));
        } else {
            self.drops.count(DropReason::OutOfState);
        }
    }

    /// Ends an association whose owner doesn't need it any more. There is no event.
    pub fn close(&mut self, now: Instant, flow: FlowId) {
        self.clock(now);
        self.with(flow, |association| {
            association.close();
            Ok(())
        });
        self.forget(flow);
    }

    /// Call when `poll_timeout` is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock(now);
        while let Some(flow) = self.timers.pop_due(now) {
            self.with(flow, |association| association.handle_timeout(now));
        }
    }

    /// When `handle_timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    /// Writes the next datagram that is to be sent into `out`.
    pub fn poll_transmit(&mut self, out: &mut PacketBuf<'_>) -> Option<Transmit> {
        loop {
            let (transmit, datagram) = self.outgoing.pop_front()?;
            match out.extend_from_slice(&datagram) {
                Ok(()) => return Some(transmit),
                Err(_) => self.drops.count(DropReason::NoRoom),
            }
        }
    }

    /// The next thing that the owner has to know.
    pub fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.events.pop_front()
    }

    /// Associations, those whose handshake isn't done included.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// What was dropped, and why.
    pub fn drops(&self) -> &DropCounters {
        &self.drops
    }

    fn clock(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// Does something with an association, and takes out what it gives then.
    fn with(&mut self, flow: FlowId, act: impl FnOnce(&mut Association) -> Result<(), Over>) {
        let Some(Entry { association, path, .. }) = self.flows.get_mut(&flow) else { return };
        let (path, outgoing, events, drops) = (*path, &mut self.outgoing, &mut self.events, &mut self.drops);
        let acted = act(association);
        let drained = association.drain(&mut self.buffer, |given| match given {
            Given::Datagram(datagram) if outgoing.len() < MAX_OUTGOING => {
                outgoing.push_back((path.transmit(), datagram.to_vec()));
            }
            Given::Frame(frame) if events.len() < MAX_EVENTS => {
                events.push_back(DtlsEvent::Frame(flow, frame.to_vec()))
            }
            Given::Established => events.push_back(DtlsEvent::Opened { flow, remote: path.remote }),
            Given::Datagram(_) | Given::Frame(_) => drops.count(DropReason::LimitReached),
        });
        match acted.and(drained) {
            // An established association has nothing to wait for.
            Ok(due) if due > self.now + NOTHING_DUE => drop(self.timers.cancel(&flow)),
            Ok(due) => self.timers.set(flow, due.max(self.now + MIN_WAIT)),
            Err(Over) => self.remove(flow),
        }
    }

    /// An association is over.
    fn remove(&mut self, flow: FlowId) {
        if self.forget(flow) {
            self.events.push_back(DtlsEvent::Closed(flow));
        }
    }

    /// Frees everything; says whether the owner knows of it.
    fn forget(&mut self, flow: FlowId) -> bool {
        let Some(entry) = self.flows.remove(&flow) else { return false };
        self.by_path.remove(&entry.path);
        self.timers.cancel(&flow);
        entry.association.established
    }

    fn push(&mut self, path: Path, datagram: Vec<u8>) {
        if self.outgoing.len() < MAX_OUTGOING {
            self.outgoing.push_back((path.transmit(), datagram));
        } else {
            self.drops.count(DropReason::LimitReached);
        }
    }
}

impl Path {
    fn transmit(self) -> Transmit {
        Transmit::Datagram { socket: self.socket, destination: self.remote }
    }
}
