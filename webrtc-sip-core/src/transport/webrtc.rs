//! The transport of one WebRTC leg: ICE finds and keeps a path, DTLS authenticates the browser over it and yields the
//! SRTP keys. Once that is done an ICE restart changes the path and nothing else: there is no second DTLS handshake.
//!
//! ```text
//! set_remote ──► ICE checks ──► path selected ──► DTLS handshake ──► Connected
//!                    ▲                                                   │ no consent (RFC 7675)
//!                    └──────────────── restart ◄──── Disconnected ◄──────┘
//! ```
//!
//! The owner demultiplexes: STUN goes by user name fragment or transaction to [`WebRtcTransport::handle_stun`], the
//! rest by source address, and only from sources that [`WebRtcEvent::Source`] has named.

mod demux;
mod dtls;
mod ice;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::io::DropReason;
use crate::rtp::srtp::{SrtpKeys, SrtpProfile, keying_material};

use super::{DtlsRole, IceCredentials, WebRtcRemote};

pub use demux::PacketKind;
pub use dtls::{DtlsContext, DtlsContextError};
pub use ice::Route;

use dtls::{DtlsEndpoint, DtlsEvent, DtlsFailure, Fingerprints, HandshakeKeys};
use ice::{IceEndpoint, IceEvent};

/// How a transport starts.
#[derive(Clone, Debug)]
pub struct WebRtcConfig {
    /// Our ICE credentials, as written in our SDP.
    pub local: IceCredentials,
    /// ICE-lite (RFC 8445 section 2.5) or a full agent.
    pub ice_lite: bool,
    /// Whether we are the controlling agent.
    pub controlling: bool,
    /// Decides between two agents that both think they control (RFC 8445 section 7.3.1.1).
    pub tie_breaker: u64,
    /// Our addresses, one per socket and address family.
    pub candidates: Vec<SocketAddr>,
    /// How long the first path may take to be found.
    pub ice_timeout: Duration,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebRtcEvent {
    /// The browser proved with its ICE password that it sends from this address: DTLS and SRTP from there are for us.
    Source(Route),
    /// Path and keys are there: at first, after a restart, and after a loss of consent.
    Connected,
    /// No consent from the browser any more (RFC 7675). Nothing is sent until it is back.
    Disconnected,
    /// The browser ended the DTLS association.
    Closed,
    /// The transport can't work.
    Failed(WebRtcFailure),
}

/// Why a transport can't work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebRtcFailure {
    /// No path was found in time.
    Ice,
    /// The DTLS handshake failed or took too long.
    Dtls,
    /// The certificate isn't the signalled one, or no usable fingerprint was signalled (RFC 5763 section 6.7.1).
    Fingerprint,
}

/// The keys of both directions.
#[derive(Clone, Debug)]
pub struct MediaKeys {
    /// Of what we send.
    pub local: SrtpKeys,
    /// Of what the browser sends.
    pub remote: SrtpKeys,
}

enum Stage {
    /// The browser's fingerprints and role aren't known.
    New,
    /// Known, but there is no path yet, or no ClientHello.
    Waiting { role: DtlsRole },
    /// The handshake runs.
    Handshake(DtlsEndpoint),
    /// The keys are known. A transport that was restored from another instance has no DTLS state.
    Ready { dtls: Option<DtlsEndpoint> },
    /// Closed or failed; a last alert may wait to be sent.
    Over { dtls: Option<DtlsEndpoint> },
}

/// See the module's documentation.
pub struct WebRtcTransport {
    context: Arc<DtlsContext>,
    ice: IceEndpoint,
    stage: Stage,
    keys: Option<MediaKeys>,
    dtls_role: Option<DtlsRole>,
    fingerprints: Option<Fingerprints>,
    selected: Option<Route>,
    /// Where DTLS last came from. A lite agent gets the ClientHello before a pair is nominated, and answers there.
    heard_dtls_from: Option<Route>,
    path_up: bool,
    ice_timeout: Duration,
    ice_deadline: Option<Instant>,
    dtls_deadline: Option<Instant>,
    events: VecDeque<WebRtcEvent>,
    now: Instant,
}

impl std::fmt::Debug for WebRtcTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebRtcTransport")
            .field("selected", &self.selected)
            .field("path_up", &self.path_up)
            .field("ready", &self.is_ready())
            .finish_non_exhaustive()
    }
}

impl WebRtcTransport {
    /// A transport that waits for the browser's parameters.
    pub fn new(now: Instant, context: Arc<DtlsContext>, config: &WebRtcConfig) -> Self {
        let ice = IceEndpoint::new(
            &config.local,
            config.ice_lite,
            config.controlling,
            config.tie_breaker,
            &config.candidates,
        );
        WebRtcTransport {
            context,
            ice,
            stage: Stage::New,
            keys: None,
            dtls_role: None,
            fingerprints: None,
            selected: None,
            heard_dtls_from: None,
            path_up: false,
            ice_timeout: config.ice_timeout,
            ice_deadline: None,
            dtls_deadline: None,
            events: VecDeque::new(),
            now,
        }
    }

    /// Goes on where another instance stopped: with its keys, without DTLS, on a path that the browser's ICE restart is
    /// about to open.
    pub fn restored(
        now: Instant,
        context: Arc<DtlsContext>,
        config: &WebRtcConfig,
        dtls_role: DtlsRole,
        fingerprints: &[(String, Vec<u8>)],
        keys: MediaKeys,
    ) -> Self {
        let mut transport = Self::new(now, context, config);
        transport.stage = Stage::Ready { dtls: None };
        transport.dtls_role = Some(dtls_role);
        transport.fingerprints = Fingerprints::strongest(fingerprints);
        transport.keys = Some(keys);
        transport
    }

    /// The browser's parameters; again with others for an ICE restart. Candidates that can't be used are left out.
    pub fn set_remote(&mut self, now: Instant, remote: &WebRtcRemote) {
        let now = self.advance(now);
        self.ice.set_remote(now, &remote.credentials);
        for candidate in &remote.candidates {
            // Why a candidate isn't used doesn't matter: the browser's own checks show where it is.
            let _ = self.ice.add_remote_candidate(now, candidate);
        }
        self.associate(remote);
        self.settle();
    }

    /// Another set of fingerprints than before means another certificate, and a new association (RFC 8842 section 3.2):
    /// a page that was loaded again, for example.
    fn associate(&mut self, remote: &WebRtcRemote) {
        let offered = Fingerprints::strongest(&remote.fingerprints);
        let same = offered.is_some() && offered == self.fingerprints;
        if same || matches!(self.stage, Stage::Over { .. }) {
            return;
        }
        let Some(offered) = offered else { return self.fail(WebRtcFailure::Fingerprint) };
        self.fingerprints = Some(offered);
        self.dtls_role = Some(remote.dtls_role);
        self.keys = None;
        self.heard_dtls_from = None;
        self.dtls_deadline = None;
        // It begins on a path that whoever has this certificate has proved.
        self.selected = None;
        self.ice_deadline = Some(self.now + self.ice_timeout);
        self.stage = Stage::Waiting { role: remote.dtls_role };
    }

    /// A value of `a=candidate` that the browser trickled (RFC 8838).
    pub fn add_remote_candidate(&mut self, now: Instant, candidate: &str) -> Result<(), DropReason> {
        let now = self.advance(now);
        let result = self.ice.add_remote_candidate(now, candidate);
        self.settle();
        result
    }

    /// New local credentials for an ICE restart (RFC 8445 section 9). It begins when the browser's new credentials or
    /// its first check arrive; until then, and until a new pair is selected, the old path is used.
    pub fn restart_ice(&mut self, local: IceCredentials) {
        self.ice.restart(local);
    }

    /// Whether checks with this local user name fragment are for this transport.
    pub fn accepts_ufrag(&self, ufrag: &str) -> bool {
        self.ice.accepts_ufrag(ufrag)
    }

    /// A STUN message that came in at `route.local` from `route.remote`.
    pub fn handle_stun(&mut self, now: Instant, route: Route, packet: &[u8]) -> Result<(), DropReason> {
        let now = self.advance(now);
        if matches!(self.stage, Stage::Over { .. }) {
            return Err(DropReason::OutOfState);
        }
        let result = self.ice.handle_stun(now, route, packet);
        self.settle();
        result
    }

    /// A DTLS datagram. Refused unless ICE has validated its source.
    pub fn handle_dtls(&mut self, now: Instant, route: Route, packet: &[u8]) -> Result<(), DropReason> {
        let now = self.advance(now);
        if !self.ice.knows(route) {
            return Err(DropReason::UnknownSource);
        }
        self.start_handshake(DtlsRole::Server);
        let dtls = match &mut self.stage {
            Stage::Handshake(dtls) | Stage::Ready { dtls: Some(dtls) } => dtls,
            _ => return Err(DropReason::OutOfState),
        };
        let result = dtls.handle_packet(now, packet);
        if result.is_ok() {
            self.heard_dtls_from = Some(route);
        }
        self.settle();
        result
    }

    /// Says close_notify where there is an association. Drain `poll_transmit` afterwards.
    pub fn close(&mut self, now: Instant) {
        self.advance(now);
        if let Stage::Handshake(dtls) | Stage::Ready { dtls: Some(dtls) } = &mut self.stage {
            dtls.close();
        }
        self.end();
    }

    /// Call when `poll_timeout` is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        if matches!(self.stage, Stage::Over { .. }) {
            return;
        }
        self.ice.handle_timeout(now);
        if let Stage::Handshake(dtls) | Stage::Ready { dtls: Some(dtls) } = &mut self.stage {
            dtls.handle_timeout(now);
        }
        self.settle();
        if self.dtls_deadline.is_some_and(|at| at <= now) {
            self.fail(WebRtcFailure::Dtls);
        }
        if self.ice_deadline.is_some_and(|at| at <= now) {
            self.fail(WebRtcFailure::Ice);
        }
    }

    /// When `handle_timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let dtls = match &self.stage {
            Stage::Handshake(dtls) | Stage::Ready { dtls: Some(dtls) } => dtls.poll_timeout(),
            Stage::Over { .. } => return None,
            _ => None,
        };
        [self.ice.poll_timeout(), dtls, self.ice_deadline, self.dtls_deadline].into_iter().flatten().min()
    }

    /// The next STUN or DTLS datagram to send, and where.
    pub fn poll_transmit(&mut self) -> Option<(Route, Vec<u8>)> {
        if let Some(transmit) = self.ice.poll_transmit() {
            return Some((transmit.route, transmit.message));
        }
        let dtls = match &mut self.stage {
            Stage::Handshake(dtls) | Stage::Ready { dtls: Some(dtls) } | Stage::Over { dtls: Some(dtls) } => dtls,
            _ => return None,
        };
        let route = self.selected.or(self.heard_dtls_from)?;
        dtls.poll_transmit().map(|packet| (route, packet))
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<WebRtcEvent> {
        self.events.pop_front()
    }

    /// The keys, once the handshake is done.
    pub fn keys(&self) -> Option<&MediaKeys> {
        self.keys.as_ref()
    }

    /// Our side of the handshake, once it is negotiated.
    pub fn dtls_role(&self) -> Option<DtlsRole> {
        self.dtls_role
    }

    /// The fingerprints that the browser's certificate is held to, once they are known.
    pub fn fingerprints(&self) -> Vec<(String, Vec<u8>)> {
        self.fingerprints.as_ref().map(Fingerprints::to_offered).unwrap_or_default()
    }

    /// The ICE credentials in force: ours, and the browser's once known.
    pub fn ice_credentials(&self) -> (IceCredentials, Option<IceCredentials>) {
        (self.ice.local_credentials(), self.ice.remote_credentials())
    }

    /// Whether we are a lite agent.
    pub fn ice_lite(&self) -> bool {
        self.ice.lite()
    }

    /// Whether we are the controlling agent now; a conflict of roles may have changed it (RFC 8445 section 7.3.1.1).
    pub fn controlling(&self) -> bool {
        self.ice.controlling()
    }

    /// Whether media from this source is the browser's.
    pub fn knows(&self, route: Route) -> bool {
        self.ice.knows(route)
    }

    /// Authentic media came this way. A browser sends on the pair that it selected, so a lite agent answers there at
    /// once when a NAT has moved it, rather than when the old pair is given up. Says whether the route changed.
    pub fn heard_media(&mut self, route: Route) -> bool {
        let follows = self.selected.is_some_and(|selected| selected != route) && self.ice.may_follow(route);
        if follows {
            self.selected = Some(route);
        }
        follows
    }

    #[cfg(test)]
    fn sources(&self) -> Vec<Route> {
        self.ice.sources()
    }

    /// Where media may be sent now; none before there is a path and after consent is lost (RFC 7675 section 5.1).
    pub fn media_route(&self) -> Option<Route> {
        self.selected.filter(|_| self.is_ready() && self.ice.may_send())
    }

    fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready { .. })
    }

    fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// Takes in what ICE and DTLS have to say, until neither has anything new.
    fn settle(&mut self) {
        while let Some(event) = self.ice.poll_event() {
            self.absorb_ice(event);
        }
        loop {
            let event = match &mut self.stage {
                Stage::Handshake(dtls) | Stage::Ready { dtls: Some(dtls) } => dtls.poll_event(),
                _ => None,
            };
            match event {
                Some(DtlsEvent::Ready(keys)) => self.become_ready(&keys),
                Some(DtlsEvent::Closed) => {
                    self.end();
                    self.events.push_back(WebRtcEvent::Closed);
                }
                Some(DtlsEvent::Failed(DtlsFailure::Handshake)) => self.fail(WebRtcFailure::Dtls),
                Some(DtlsEvent::Failed(DtlsFailure::Fingerprint)) => self.fail(WebRtcFailure::Fingerprint),
                None => break,
            }
        }
    }

    fn absorb_ice(&mut self, event: IceEvent) {
        match event {
            IceEvent::Source(route) => self.events.push_back(WebRtcEvent::Source(route)),
            IceEvent::Selected(route) => {
                self.selected = Some(route);
                if matches!(self.stage, Stage::Waiting { .. } | Stage::Handshake(_)) && self.dtls_deadline.is_none() {
                    self.dtls_deadline = Some(self.now + self.context.handshake_timeout());
                }
                self.start_handshake(DtlsRole::Client);
            }
            IceEvent::Connected => {
                self.ice_deadline = None;
                self.path_up = true;
                self.announce_connected();
            }
            IceEvent::Disconnected => {
                self.path_up = false;
                if self.is_ready() {
                    self.events.push_back(WebRtcEvent::Disconnected);
                }
            }
        }
    }

    /// A client starts when there is a path, a server with the first datagram.
    fn start_handshake(&mut self, as_role: DtlsRole) {
        match std::mem::replace(&mut self.stage, Stage::New) {
            Stage::Waiting { role } if role == as_role => {
                let Some(fingerprints) = self.fingerprints.clone() else { return };
                self.stage = Stage::Handshake(DtlsEndpoint::new(&self.context, role, fingerprints, self.now));
            }
            other => self.stage = other,
        }
    }

    fn become_ready(&mut self, handshake: &HandshakeKeys) {
        let Stage::Handshake(dtls) = std::mem::replace(&mut self.stage, Stage::New) else { return };
        let client = dtls.role() == DtlsRole::Client;
        let keys = srtp_profile(handshake.profile)
            .and_then(|profile| keying_material(profile, &handshake.material, client).ok());
        self.stage = Stage::Ready { dtls: Some(dtls) };
        let Some((local, remote)) = keys else { return self.fail(WebRtcFailure::Dtls) };
        self.keys = Some(MediaKeys { local, remote });
        self.dtls_deadline = None;
        self.announce_connected();
    }

    fn announce_connected(&mut self) {
        if self.path_up && self.is_ready() {
            self.events.push_back(WebRtcEvent::Connected);
        }
    }

    fn fail(&mut self, failure: WebRtcFailure) {
        if !matches!(self.stage, Stage::Over { .. }) {
            self.end();
            self.events.push_back(WebRtcEvent::Failed(failure));
        }
    }

    fn end(&mut self) {
        let dtls = match std::mem::replace(&mut self.stage, Stage::New) {
            Stage::Handshake(dtls) => Some(dtls),
            Stage::Ready { dtls } | Stage::Over { dtls } => dtls,
            Stage::New | Stage::Waiting { .. } => None,
        };
        self.stage = Stage::Over { dtls };
        self.ice_deadline = None;
        self.dtls_deadline = None;
    }
}

fn srtp_profile(profile: dimpl::SrtpProfile) -> Option<SrtpProfile> {
    match profile {
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => Some(SrtpProfile::Aes128CmSha1_80),
        dimpl::SrtpProfile::AEAD_AES_128_GCM => Some(SrtpProfile::AeadAes128Gcm),
        dimpl::SrtpProfile::AEAD_AES_256_GCM => Some(SrtpProfile::AeadAes256Gcm),
        _ => None,
    }
}
