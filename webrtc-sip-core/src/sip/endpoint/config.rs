//! [`EndpointConfig`]: sockets, timers and limits of an endpoint.

use std::net::SocketAddr;
use std::time::Duration;

use crate::io::SocketId;
use crate::sip::transaction::TimerValues;
use crate::timer::cut_waits;

/// What an [`super::Endpoint`] needs to know. Only `sockets` has no usable default.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// The UDP sockets, each with the TCP listener of the same address where there is one. The first of the right
    /// address family is used for requests to somewhere new.
    pub sockets: Vec<SipSocketConfig>,
    /// The product in `User-Agent` and `Server`.
    pub user_agent: String,
    /// T1, T2 and T4.
    pub timers: TimerValues,
    /// How long an INVITE may stay unanswered, in either direction. Ours is then cancelled and fails with 408; an
    /// incoming one is answered 480 (RFC 3261 section 13.3.1.1 leaves the length open).
    pub invite_expiry: Duration,
    /// The session interval to ask for (RFC 4028); none asks for none but still does what the far side asks. Not
    /// below 90 s (section 5).
    pub session_interval: Option<Duration>,
    /// Whether a request of more than 1,300 bytes for a UDP destination goes by TCP (RFC 3261 section 18.1.1). Needs a
    /// far side that listens there; when the connection fails the request goes by UDP after all.
    pub large_requests_by_tcp: bool,
    /// How long an unused byte stream stays open.
    pub flow_idle: Duration,
    /// What the endpoint may hold.
    pub limits: EndpointLimits,
}

impl EndpointConfig {
    pub(super) fn with_waits_cut(mut self) -> Self {
        let TimerValues { t1, t2, t4 } = &mut self.timers;
        cut_waits([t1, t2, t4, &mut self.invite_expiry, &mut self.flow_idle]);
        self
    }
}

impl Default for EndpointConfig {
    fn default() -> Self {
        EndpointConfig {
            sockets: Vec::new(),
            user_agent: "webrtc-sip".to_owned(),
            timers: TimerValues::default(),
            invite_expiry: Duration::from_secs(180),
            session_interval: None,
            large_requests_by_tcp: false,
            flow_idle: Duration::from_secs(3600),
            limits: EndpointLimits::default(),
        }
    }
}

/// What an endpoint may hold at once. A request past a limit is answered 503, or dropped and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointLimits {
    /// Transactions, both directions together.
    pub max_transactions: usize,
    /// Dialogs and INVITEs on their way to one.
    pub max_dialogs: usize,
    /// Registrations.
    pub max_registrations: usize,
    /// Byte streams, open and opening.
    pub max_flows: usize,
    /// Messages that wait for one byte stream to open.
    pub max_waiting_per_flow: usize,
    /// Messages that wait to be polled.
    pub max_pending_messages: usize,
    /// Bytes that wait to be polled.
    pub max_pending_bytes: usize,
    /// Events that wait to be polled. Past it, requests that would add one are refused.
    pub max_pending_events: usize,
}

impl Default for EndpointLimits {
    fn default() -> Self {
        EndpointLimits {
            max_transactions: 100_000,
            max_dialogs: 40_000,
            max_registrations: 20_000,
            max_flows: 4_096,
            max_waiting_per_flow: 64,
            max_pending_messages: 50_000,
            max_pending_bytes: 64 * 1024 * 1024,
            max_pending_events: 50_000,
        }
    }
}

/// One bound address for SIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SipSocketConfig {
    /// The datagram socket.
    pub socket: SocketId,
    /// What it is bound to.
    pub bound: SocketAddr,
    /// What others are told in Via and Contact.
    pub advertised: SocketAddr,
}
