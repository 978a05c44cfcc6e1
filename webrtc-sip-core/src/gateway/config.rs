//! Configuration of the control plane: every limit has a name, a unit and a default.

use std::net::SocketAddr;
use std::time::Duration;

use crate::codec::CodecKind;
use crate::ids::ShardId;
use crate::io::SocketId;
use crate::net::IpNetwork;
use crate::timer::cut_waits;

use super::TurnAccess;

/// What a [`super::Gateway`] needs to know. Everything has a default but the sockets and the certificate.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// The UDP sockets for SIP, and the addresses that Via and Contact advertise for them.
    pub sip_sockets: Vec<SipSocket>,
    /// The media shards that sign-ins are spread over.
    pub shards: Vec<ShardAddresses>,
    /// Whether our ICE agents are lite (RFC 8445 section 2.5), as fits a gateway with addresses that browsers can reach.
    pub ice_lite: bool,
    /// SHA-256 fingerprint of the DTLS certificate that every shard presents.
    pub certificate_fingerprint: [u8; 32],
    /// Where calls go that aren't for a signed-in user, first match first.
    pub routes: Vec<Route>,
    /// The upstream SIP proxy: users register there, and calls go and come through it.
    pub proxy: Option<SipProxy>,
    /// The TURN server that sign-ins are told about.
    pub turn: Option<TurnAccess>,
    /// Networks that SIP is taken from besides the proxy and the routes' targets.
    pub trusted: Vec<IpNetwork>,
    /// Codecs offered to and accepted from browsers, in order of preference.
    pub browser_codecs: Vec<CodecKind>,
    /// Codecs offered to and accepted from SIP peers, in order of preference.
    pub sip_codecs: Vec<CodecKind>,
    /// The product name in SIP's `User-Agent` and `Server`.
    pub product: String,
    /// Domain of our users' addresses where no proxy is configured, and the host in `From`.
    pub domain: String,
    /// Under which path clients find this instance once they are signed in, relative to the URL that they signed in at.
    pub client_path: Option<String>,
    /// Timer T1 of SIP (RFC 3261 section 17.1.1.1); T2 and T4 keep their ratio to it.
    pub sip_t1: Duration,
    /// How long a call may ring.
    pub ring_timeout: Duration,
    /// How long a client may be gone before its calls end and its sign-in is over.
    pub resume_window: Duration,
    /// A link that is silent for longer is dead.
    pub dead_after: Duration,
    /// How often a client should send a heartbeat.
    pub heartbeat: Duration,
    /// How long a sign-in lasts without `session.refresh`.
    pub sign_in_lifetime: Duration,
    /// How long a long poll waits.
    pub poll_wait: Duration,
    /// How long a lost media path may stay lost before its call ends.
    pub media_recovery: Duration,
    /// Sign-ins at once.
    pub max_sign_ins: usize,
    /// WebSockets at once, signed in or not.
    pub max_websockets: usize,
    /// Calls at once.
    pub max_calls: usize,
    /// Calls at once per sign-in.
    pub max_calls_per_sign_in: usize,
    /// Notifications kept for a client that isn't connected.
    pub max_pending_notifications: usize,
    /// Bytes of one client message.
    pub max_client_message_bytes: usize,
}

impl GatewayConfig {
    pub(super) fn with_waits_cut(mut self) -> Self {
        cut_waits([
            &mut self.sip_t1,
            &mut self.ring_timeout,
            &mut self.resume_window,
            &mut self.dead_after,
            &mut self.heartbeat,
            &mut self.sign_in_lifetime,
            &mut self.poll_wait,
            &mut self.media_recovery,
        ]);
        cut_waits(self.turn.as_mut().map(|turn| &mut turn.lifetime));
        cut_waits(self.proxy.as_mut().map(|proxy| &mut proxy.registration_lifetime));
        self
    }
}

impl Default for GatewayConfig {
    fn default() -> Self {
        GatewayConfig {
            sip_sockets: Vec::new(),
            shards: Vec::new(),
            ice_lite: true,
            certificate_fingerprint: [0; 32],
            routes: Vec::new(),
            proxy: None,
            turn: None,
            trusted: Vec::new(),
            browser_codecs: vec![CodecKind::Opus, CodecKind::Pcmu, CodecKind::Pcma],
            sip_codecs: vec![CodecKind::Pcmu, CodecKind::Pcma, CodecKind::Opus],
            product: concat!("webrtc-sip-gateway/", env!("CARGO_PKG_VERSION")).to_owned(),
            domain: "localhost".to_owned(),
            client_path: None,
            sip_t1: Duration::from_millis(500),
            ring_timeout: Duration::from_secs(60),
            resume_window: Duration::from_secs(30),
            dead_after: Duration::from_secs(10),
            heartbeat: Duration::from_secs(4),
            sign_in_lifetime: Duration::from_secs(12 * 3600),
            poll_wait: Duration::from_secs(25),
            media_recovery: Duration::from_secs(30),
            max_sign_ins: 10_000,
            max_websockets: 20_000,
            max_calls: 10_000,
            max_calls_per_sign_in: 10,
            max_pending_notifications: 256,
            max_client_message_bytes: 64 * 1024,
        }
    }
}

impl GatewayConfig {
    /// Whether `ip` lies in one of the trusted networks.
    pub fn trusts(&self, ip: std::net::IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(ip))
    }
}

/// One bound UDP socket (and TCP listener of the same address) for SIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SipSocket {
    /// The datagram socket.
    pub socket: SocketId,
    /// What it is bound to.
    pub bound: SocketAddr,
    /// What others are told (Via, Contact).
    pub advertised: SocketAddr,
}

/// One media shard and how browsers reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardAddresses {
    /// Which.
    pub shard: ShardId,
    /// Host candidates (RFC 8445 section 5.1.1.1) of its WebRTC socket or sockets, most preferred first.
    pub candidates: Vec<SocketAddr>,
}

/// Sends some numbers to a SIP peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Which numbers.
    pub matches: RouteMatch,
    /// Where to.
    pub target: SipTarget,
}

/// Which numbers a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteMatch {
    /// These and no others.
    Exactly(Vec<String>),
    /// Those that begin so; the empty prefix takes all.
    Prefix(String),
}

/// A SIP next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipTarget {
    /// Host name or address, IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TCP instead of UDP.
    pub tcp: bool,
}

/// The upstream SIP proxy and registrar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipProxy {
    /// Where.
    pub target: SipTarget,
    /// The domain of our users' addresses of record.
    pub domain: String,
    /// How long a registration is asked to last.
    pub registration_lifetime: Duration,
}
