//! ICE (RFC 8445) of one leg: the agent of the `is` crate, with what it leaves to its user.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac as _};
use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceConnectionState, IceCreds, Protocol, Sha1HmacProvider};
use sha1::Sha1;
use smallvec::SmallVec;

use crate::io::DropReason;
use crate::transport::IceCredentials;

/// Addresses that one browser may send from until its next ICE restart. A browser has a handful; each costs memory.
const MAX_SOURCES: usize = 32;
/// Remote candidates taken from signalling until the next ICE restart.
const MAX_REMOTE_CANDIDATES: usize = 64;
/// RFC 7675 section 5.1: consent ends this long after the last answer. A lite agent never asks; the other side's own
/// checks, every 5 s at most, stand in for answers.
const CONSENT_EXPIRY: Duration = Duration::from_secs(30);
/// Candidate pairs of the full agent (RFC 8445 section 6.1.2.5 has 100 as the default).
const MAX_CANDIDATE_PAIRS: usize = 64;

/// Where to send: our candidate address and the other side's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Our address, one of those the transport was made with.
    pub local: SocketAddr,
    /// The other side's address.
    pub remote: SocketAddr,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IceEvent {
    /// The other side proved with its password that it sends from this address.
    Source(Route),
    /// Packets go this way from now on.
    Selected(Route),
    /// A pair works: at first, after a restart, or after a loss of consent.
    Connected,
    /// No consent any more (RFC 7675 section 5.1).
    Disconnected,
}

/// A STUN message to send.
pub(super) struct IceTransmit {
    pub(super) route: Route,
    pub(super) message: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct HmacSha1;

impl Sha1HmacProvider for HmacSha1 {
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
        payloads.iter().for_each(|payload| mac.update(payload));
        mac.finalize().into_bytes().into()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    /// There was none yet.
    Never,
    /// In use, with consent.
    Up,
    /// In use until another one is found.
    Checking,
    /// Without consent.
    Lost,
}

/// An address that the other side proved to send from.
#[derive(Clone, Copy, Debug)]
struct Source {
    route: Route,
    /// Whether it may be used, as the controlling side says by USE-CANDIDATE.
    nominated: bool,
}

pub(super) struct IceEndpoint {
    agent: IceAgent,
    locals: SmallVec<[SocketAddr; 2]>,
    sources: SmallVec<[Source; 4]>,
    candidates_taken: usize,
    /// Credentials of a restart that begins with the other side's answer, or with its first check.
    restart: Option<IceCredentials>,
    path: Path,
    last_heard: Option<Instant>,
    expired: Option<IceEvent>,
    next_timeout: Option<Instant>,
}

impl IceEndpoint {
    pub(super) fn new(
        local: &IceCredentials,
        lite: bool,
        controlling: bool,
        tie_breaker: u64,
        candidates: &[SocketAddr],
    ) -> Self {
        let mut agent = IceAgent::with_hmac(agent_credentials(local), &HmacSha1);
        agent.set_ice_lite(lite);
        // A lite agent is controlled unless both are lite (RFC 8445 section 6.1.1).
        agent.set_controlling(controlling);
        agent.set_control_tie_breaker(tie_breaker);
        agent.set_max_candidate_pairs(MAX_CANDIDATE_PAIRS);
        // RFC 7675 section 5.1: consent is asked for every 5 s and ends after 30 s; twice as eager finds a dead path
        // in half the time.
        agent.set_max_stun_rto(Duration::from_millis(2500));
        let mut locals = SmallVec::new();
        for address in candidates {
            let Ok(candidate) = Candidate::host(*address, Protocol::Udp) else { continue };
            if agent.add_local_candidate(candidate).is_some() {
                locals.push(*address);
            }
        }
        IceEndpoint {
            agent,
            locals,
            sources: SmallVec::new(),
            candidates_taken: 0,
            restart: None,
            path: Path::Never,
            last_heard: None,
            expired: None,
            next_timeout: None,
        }
    }

    pub(super) fn lite(&self) -> bool {
        self.agent.ice_lite()
    }

    pub(super) fn controlling(&self) -> bool {
        self.agent.controlling()
    }

    pub(super) fn local_credentials(&self) -> IceCredentials {
        let credentials = self.agent.local_credentials();
        IceCredentials { ufrag: credentials.ufrag.clone(), password: credentials.pass.clone() }
    }

    pub(super) fn remote_credentials(&self) -> Option<IceCredentials> {
        let credentials = self.agent.remote_credentials()?;
        Some(IceCredentials { ufrag: credentials.ufrag.clone(), password: credentials.pass.clone() })
    }

    /// Whether this address was proved to be the other side's since the last restart or before it.
    pub(super) fn knows(&self, route: Route) -> bool {
        self.sources.iter().any(|source| source.route == route)
    }

    /// Whether a lite agent was told that it may send here. A full agent finds out by itself what works.
    pub(super) fn may_follow(&self, route: Route) -> bool {
        self.lite() && self.sources.iter().any(|source| source.nominated && source.route == route)
    }

    #[cfg(test)]
    pub(super) fn sources(&self) -> Vec<Route> {
        self.sources.iter().map(|source| source.route).collect()
    }

    /// Whether there is consent, as far as we know.
    pub(super) fn may_send(&self) -> bool {
        self.path != Path::Lost
    }

    /// The user name fragments that checks for this leg carry: the current one, and that of a pending restart.
    pub(super) fn accepts_ufrag(&self, ufrag: &str) -> bool {
        self.agent.local_credentials().ufrag == ufrag || self.restart.as_ref().is_some_and(|new| new.ufrag == ufrag)
    }

    /// Keeps the new credentials until the other side's arrive; the path in use goes on meanwhile (RFC 8445 section 9).
    pub(super) fn restart(&mut self, local: IceCredentials) {
        self.restart = Some(local);
    }

    pub(super) fn set_remote(&mut self, now: Instant, remote: &IceCredentials) {
        let changed = self.agent.remote_credentials().is_some_and(|known| *known != agent_credentials(remote));
        if let Some(local) = self.restart.take() {
            self.begin_restart(&local);
        } else if changed {
            let local = self.local_credentials();
            self.begin_restart(&local);
        }
        self.agent.set_remote_credentials(agent_credentials(remote));
        self.run(now);
    }

    fn begin_restart(&mut self, local: &IceCredentials) {
        self.agent.ice_restart(agent_credentials(local), true);
        self.candidates_taken = 0;
        // The old addresses stay known, so that media on the old path is heard until the new one is chosen; without a
        // bound a browser that restarts for ever would grow the list.
        let surplus = self.sources.len().saturating_sub(MAX_SOURCES / 2);
        self.sources.drain(..surplus);
        self.sources.iter_mut().for_each(|source| source.nominated = false);
    }

    /// A value of `a=candidate`. What can't be used (TCP, mDNS names, components other than 1) is left out: the other
    /// side's checks reveal its address anyway.
    pub(super) fn add_remote_candidate(&mut self, now: Instant, candidate: &str) -> Result<(), DropReason> {
        if self.candidates_taken >= MAX_REMOTE_CANDIDATES {
            return Err(DropReason::LimitReached);
        }
        let candidate = Candidate::from_sdp_string(candidate.trim()).map_err(|_| DropReason::Malformed)?;
        if candidate.proto() != Protocol::Udp || candidate.addr().ip().is_unspecified() {
            return Err(DropReason::NotRecognised);
        }
        self.candidates_taken += 1;
        self.agent.add_remote_candidate(candidate);
        self.run(now);
        Ok(())
    }

    pub(super) fn handle_stun(&mut self, now: Instant, route: Route, packet: &[u8]) -> Result<(), DropReason> {
        let message = StunMessage::parse(packet).map_err(|_| DropReason::Malformed)?;
        let fits = |ufrag: &str| message.split_username().is_some_and(|(local, _)| local == ufrag);
        if let Some(new) = self.restart.take_if(|new| fits(&new.ufrag) && verifies(&message, &new.password)) {
            self.begin_restart(&new);
        }
        let destination = self.canonical_local(route.local).ok_or(DropReason::UnknownSource)?;
        let route = Route { local: destination, remote: route.remote };
        if !self.knows(route) && self.sources.len() >= MAX_SOURCES {
            return Err(DropReason::LimitReached);
        }
        let nominates = message.use_candidate();
        let packet = StunPacket { proto: Protocol::Udp, source: route.remote, destination, message };
        if !self.agent.handle_packet(now, packet) {
            return Err(DropReason::AuthenticationFailed);
        }
        match self.sources.iter_mut().find(|source| source.route == route) {
            Some(source) => source.nominated |= nominates,
            None => self.sources.push(Source { route, nominated: nominates }),
        }
        self.last_heard = Some(now);
        // Answers and nominations come out at once, not at the next timer: Firefox waits for them.
        self.run(now);
        Ok(())
    }

    fn canonical_local(&self, local: SocketAddr) -> Option<SocketAddr> {
        self.locals.iter().copied().find(|known| *known == local)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.next_timeout.is_none_or(|at| at <= now) {
            self.run(now);
        }
        if self.consent_end().is_some_and(|at| at <= now) {
            self.expired = self.path_lost();
        }
    }

    fn run(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
        self.next_timeout = self.agent.poll_timeout();
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let consent_end = self.consent_end();
        self.next_timeout.map_or(consent_end, |next| Some(consent_end.map_or(next, |end| end.min(next))))
    }

    /// When silence has lasted too long, whatever the agent thinks: it waits without limit for candidates that never
    /// come after a restart.
    fn consent_end(&self) -> Option<Instant> {
        let in_use = matches!(self.path, Path::Up | Path::Checking);
        self.last_heard.filter(|_| in_use).map(|heard| heard + CONSENT_EXPIRY)
    }

    pub(super) fn poll_transmit(&mut self) -> Option<IceTransmit> {
        let transmit = self.agent.poll_transmit()?;
        self.next_timeout = self.agent.poll_timeout();
        let route = Route { local: transmit.source, remote: transmit.destination };
        Some(IceTransmit { route, message: transmit.contents.into() })
    }

    pub(super) fn poll_event(&mut self) -> Option<IceEvent> {
        if let Some(expired) = self.expired.take() {
            return Some(expired);
        }
        loop {
            match self.agent.poll_event()? {
                IceAgentEvent::DiscoveredRecv { source, .. } => {
                    let known = self.sources.iter().rev().find(|known| known.route.remote == source);
                    if let Some(known) = known {
                        return Some(IceEvent::Source(known.route));
                    }
                }
                IceAgentEvent::NominatedSend { source, destination, .. } => {
                    return Some(IceEvent::Selected(Route { local: source, remote: destination }));
                }
                IceAgentEvent::IceConnectionStateChange(state) => {
                    if let Some(event) = self.state_changed(state) {
                        return Some(event);
                    }
                }
                IceAgentEvent::IceRestart(_) => {}
            }
        }
    }

    fn state_changed(&mut self, state: IceConnectionState) -> Option<IceEvent> {
        match state {
            IceConnectionState::Connected | IceConnectionState::Completed if self.path != Path::Up => {
                self.path = Path::Up;
                Some(IceEvent::Connected)
            }
            // A restart begins, or another pair is looked for: the next connected state is news.
            IceConnectionState::Checking if self.path == Path::Up => {
                self.path = Path::Checking;
                None
            }
            IceConnectionState::Disconnected => self.path_lost(),
            _ => None,
        }
    }

    fn path_lost(&mut self) -> Option<IceEvent> {
        let had_one = matches!(self.path, Path::Up | Path::Checking);
        had_one.then(|| {
            self.path = Path::Lost;
            IceEvent::Disconnected
        })
    }
}

fn verifies(message: &StunMessage<'_>, password: &str) -> bool {
    message.verify(password.as_bytes(), |key, payloads| HmacSha1.sha1_hmac(key, payloads))
}

fn agent_credentials(credentials: &IceCredentials) -> IceCreds {
    IceCreds { ufrag: credentials.ufrag.clone(), pass: credentials.password.clone() }
}
