//! Whose packet is this? Hash look-ups only, whatever the number of legs.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use crate::io::SocketId;
use crate::stun::TransactionId;
use crate::transport::plain::PlainSockets;
use crate::transport::webrtc::Route;

use super::config::WebRtcSocket;

/// Index of a leg in its shard.
pub(super) type LegKey = usize;

/// Outstanding connectivity checks that are remembered, for all legs together. A full agent checks every 2.5 s, and
/// answers come within seconds.
const MAX_TRANSACTIONS: usize = 16_384;

/// What a socket is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum SocketUse {
    /// Shared by all WebRTC legs.
    WebRtc(Candidates),
    /// RTP of one plain leg.
    Rtp(LegKey),
    /// RTCP of one plain leg.
    Rtcp(LegKey),
    /// RTP and RTCP of one plain leg (RFC 5761).
    Muxed(LegKey),
}

/// The address that stands for a WebRTC socket, by family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidates {
    v4: Option<SocketAddr>,
    v6: Option<SocketAddr>,
}

impl Candidates {
    /// Our end of the path that a packet from `source` took.
    pub(super) fn towards(&self, source: SocketAddr) -> Option<SocketAddr> {
        if source.is_ipv4() { self.v4 } else { self.v6 }
    }
}

pub(super) struct Demux {
    sockets: HashMap<SocketId, SocketUse>,
    locals: Vec<(SocketAddr, SocketId)>,
    sources: HashMap<(SocketId, SocketAddr), LegKey>,
    ufrags: HashMap<String, LegKey>,
    transactions: HashMap<TransactionId, LegKey>,
    transaction_order: VecDeque<TransactionId>,
}

impl Demux {
    pub(super) fn new(webrtc_sockets: &[WebRtcSocket]) -> Self {
        let mut sockets = HashMap::new();
        let mut locals = Vec::new();
        for socket in webrtc_sockets {
            let first = |v4: bool| socket.candidates.iter().copied().find(|address| address.is_ipv4() == v4);
            let candidates = Candidates { v4: first(true), v6: first(false) };
            locals.extend([candidates.v4, candidates.v6].into_iter().flatten().map(|local| (local, socket.socket)));
            sockets.insert(socket.socket, SocketUse::WebRtc(candidates));
        }
        Demux {
            sockets,
            locals,
            sources: HashMap::new(),
            ufrags: HashMap::new(),
            transactions: HashMap::new(),
            transaction_order: VecDeque::new(),
        }
    }

    pub(super) fn socket_use(&self, socket: SocketId) -> Option<SocketUse> {
        self.sockets.get(&socket).copied()
    }

    /// Our addresses for ICE, one per socket and family.
    pub(super) fn local_candidates(&self) -> Vec<SocketAddr> {
        self.locals.iter().map(|(local, _)| *local).collect()
    }

    /// Socket and destination of an ICE route. There are a handful of sockets at most.
    pub(super) fn resolve(&self, route: Route) -> Option<(SocketId, SocketAddr)> {
        let (_, socket) = self.locals.iter().find(|(local, _)| *local == route.local)?;
        Some((*socket, route.remote))
    }

    pub(super) fn leg_of_source(&self, socket: SocketId, source: SocketAddr) -> Option<LegKey> {
        self.sources.get(&(socket, source)).copied()
    }

    pub(super) fn leg_of_ufrag(&self, ufrag: &str) -> Option<LegKey> {
        self.ufrags.get(ufrag).copied()
    }

    pub(super) fn leg_of_transaction(&self, transaction: &TransactionId) -> Option<LegKey> {
        self.transactions.get(transaction).copied()
    }

    pub(super) fn set_source(&mut self, socket: SocketId, source: SocketAddr, leg: LegKey) {
        self.sources.insert((socket, source), leg);
    }

    pub(super) fn remove_source(&mut self, socket: SocketId, source: SocketAddr, leg: LegKey) {
        if self.leg_of_source(socket, source) == Some(leg) {
            self.sources.remove(&(socket, source));
        }
    }

    /// Says no when another leg has this user name fragment: 128 random bits don't collide by accident.
    pub(super) fn set_ufrag(&mut self, ufrag: &str, leg: LegKey) -> bool {
        let free = self.leg_of_ufrag(ufrag).is_none_or(|owner| owner == leg);
        if free {
            self.ufrags.insert(ufrag.to_owned(), leg);
        }
        free
    }

    pub(super) fn remove_ufrag(&mut self, ufrag: &str, leg: LegKey) {
        if self.leg_of_ufrag(ufrag) == Some(leg) {
            self.ufrags.remove(ufrag);
        }
    }

    /// Remembers whose check this is, so that the answer finds its way; the oldest is forgotten.
    pub(super) fn set_transaction(&mut self, transaction: TransactionId, leg: LegKey) {
        if self.transactions.insert(transaction, leg).is_none() {
            self.transaction_order.push_back(transaction);
        }
        if self.transaction_order.len() > MAX_TRANSACTIONS
            && let Some(oldest) = self.transaction_order.pop_front()
        {
            self.transactions.remove(&oldest);
        }
    }

    /// Says no when one of the sockets is in use.
    pub(super) fn add_plain(&mut self, sockets: PlainSockets, leg: LegKey) -> bool {
        if self.sockets.contains_key(&sockets.rtp) || self.sockets.contains_key(&sockets.rtcp) {
            return false;
        }
        if sockets.rtp == sockets.rtcp {
            self.sockets.insert(sockets.rtp, SocketUse::Muxed(leg));
        } else {
            self.sockets.insert(sockets.rtp, SocketUse::Rtp(leg));
            self.sockets.insert(sockets.rtcp, SocketUse::Rtcp(leg));
        }
        true
    }

    pub(super) fn remove_plain(&mut self, sockets: PlainSockets) {
        self.sockets.remove(&sockets.rtp);
        self.sockets.remove(&sockets.rtcp);
    }

    /// Entries that belong to legs, for leak checks: sources, user name fragments, plain sockets.
    pub(super) fn entries(&self) -> usize {
        let webrtc = self.sockets.values().filter(|used| matches!(used, SocketUse::WebRtc(_))).count();
        self.sources.len() + self.ufrags.len() + self.sockets.len() - webrtc
    }
}
