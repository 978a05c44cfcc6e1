//! The control plane: sign-ins, SIP, offer/answer and calls of one process.
//!
//! [`Gateway`] is fed with what clients, SIP peers and media shards send, and with answers to what it asked for. It
//! produces SIP packets ([`Gateway::poll_transmit`]) and [`GatewayEvent`]s for its shell to carry out. A few thousand
//! inputs a second are its world, so one thread is plenty.
//!
//! | file | subject |
//! |---|---|
//! | `client/` | links, sign-ins, JSON-RPC, notifications that wait for acknowledgement |
//! | `session` | the `session.*` methods |
//! | `calls` | the table of calls; carrying out what [`crate::call::Call`] decides |
//! | `browser_leg`, `sip_leg` | offer/answer and signalling of one leg |
//! | `sip_events`, `media_events` | what the SIP endpoint and the shards report |
//! | `routing` | where a dialled number leads |
//! | `hosts` | the addresses of the proxy and of the routes' targets |
//! | `snapshot` | calls outlive instances |
//! | `registrar` | registering users at the upstream proxy |
//! | `requests` | questions to the outside and their deadlines |

mod browser_leg;
mod calls;
mod client;
mod config;
mod hosts;
mod ice_servers;
mod interface;
mod leg;
mod media_events;
mod proxy;
mod registrar;
mod requests;
mod routing;
mod session;
mod sip_events;
mod sip_leg;
mod snapshot;
mod stats;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use serde_json::json;

use crate::call::{EndReason, Side};
use crate::crypto::CryptoProvider;
use crate::ids::{CallId, DialogId, LegId, LinkId, RegistrationId, RequestId, ShardId, SignInId};
use crate::io::{FlowId, PacketBuf, SocketId, Transmit};
use crate::media::MediaEvent;
use crate::rng::{Rng, Seed};
use crate::sip::endpoint::{Endpoint, EndpointConfig, SipSocketConfig};
use crate::sip::transaction::TimerValues;
use crate::timer::TimerQueue;

use client::rpc::RpcError;
use client::{ClientOutput, Clients};
use hosts::Hosts;
use leg::CallEntry;
use proxy::ProxyTrouble;
use registrar::Registration;
use requests::{Pending, Requests};

pub use config::{GatewayConfig, Route, RouteMatch, ShardAddresses, SipProxy, SipSocket, SipTarget};
pub use ice_servers::TurnAccess;
pub use interface::{
    Answer, CallRecord, GatewayEvent, Identity, IdentityError, MediaPorts, ProxyNews, Request, SipCredentials,
};
pub use snapshot::{CallSnapshot, RestoreError};
pub use stats::{CallCounters, GatewayStats};

/// The control plane of one process. See the module's documentation.
#[derive(Debug)]
pub struct Gateway {
    config: GatewayConfig,
    crypto: CryptoProvider,
    rng: Rng,
    /// The latest time that was passed in.
    now: Instant,
    /// A moment on both clocks.
    wall_clock: (Instant, SystemTime),
    clients: Clients,
    sip: Endpoint,
    calls: BTreeMap<CallId, CallEntry>,
    legs: HashMap<LegId, (CallId, Side)>,
    dialogs: HashMap<DialogId, LegId>,
    /// Our users' registrations at the proxy.
    registrations: BTreeMap<RegistrationId, Registration>,
    hosts: Hosts,
    proxy_trouble: ProxyTrouble,
    requests: Requests,
    /// One deadline a call.
    timers: TimerQueue<CallId>,
    events: VecDeque<GatewayEvent>,
    /// Counters; its gauges are filled in by `stats`.
    counters: GatewayStats,
    sign_ins_per_shard: BTreeMap<ShardId, usize>,
    snapshots: BTreeMap<CallId, snapshot::PendingSnapshot>,
    /// The sign-in that was just resumed, until what it missed is sent.
    replay: Option<SignInId>,
    draining: bool,
}

impl Gateway {
    /// A control plane at rest. `crypto` draws ICE passwords and tokens, `seed` everything that needn't be secret.
    pub fn new(
        now: Instant,
        wall_clock: SystemTime,
        config: GatewayConfig,
        crypto: CryptoProvider,
        seed: &Seed,
    ) -> Self {
        let config = config.with_waits_cut();
        let sockets = config
            .sip_sockets
            .iter()
            .map(|s| SipSocketConfig { socket: s.socket, bound: s.bound, advertised: s.advertised })
            .collect();
        let endpoint = EndpointConfig {
            sockets,
            user_agent: config.product.clone(),
            timers: TimerValues { t1: config.sip_t1, t2: config.sip_t1 * 8, t4: config.sip_t1 * 10 },
            ..EndpointConfig::default()
        };
        let mut gateway = Gateway {
            clients: Clients::new(&config, crypto.clone()),
            sip: Endpoint::new(endpoint, crypto.clone(), seed),
            hosts: Hosts::new(now, &config),
            proxy_trouble: ProxyTrouble::default(),
            config,
            crypto,
            rng: Rng::split(seed, "gateway"),
            now,
            wall_clock: (now, wall_clock),
            calls: BTreeMap::new(),
            legs: HashMap::new(),
            dialogs: HashMap::new(),
            registrations: BTreeMap::new(),
            requests: Requests::default(),
            timers: TimerQueue::default(),
            events: VecDeque::new(),
            counters: GatewayStats::default(),
            sign_ins_per_shard: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            replay: None,
            draining: false,
        };
        gateway.look_up_hosts(now);
        gateway
    }

    /// Time never goes back (architecture: an earlier `now` is clamped).
    fn clock(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// Wall-clock time, again whenever it is corrected and at least once a minute.
    pub fn handle_wall_clock(&mut self, now: Instant, wall_clock: SystemTime) {
        self.wall_clock = (self.clock(now), wall_clock);
    }

    fn wall_clock_now(&self) -> SystemTime {
        let (at, wall_clock) = self.wall_clock;
        wall_clock + self.now.saturating_duration_since(at)
    }

    // SIP

    /// A datagram from one of the SIP sockets.
    pub fn handle_sip_datagram(&mut self, now: Instant, socket: SocketId, source: SocketAddr, datagram: &[u8]) {
        let now = self.clock(now);
        self.sip.handle_datagram(now, socket, source, datagram);
        self.drain_sip(now);
    }

    /// A byte stream for SIP was accepted, or one that the core asked for is open.
    pub fn handle_flow_opened(&mut self, now: Instant, flow: FlowId, local: SocketAddr, remote: SocketAddr) {
        let now = self.clock(now);
        self.sip.handle_flow_opened(now, flow, local, remote);
        self.drain_sip(now);
    }

    /// Bytes from a SIP byte stream, cut anywhere.
    pub fn handle_flow_data(&mut self, now: Instant, flow: FlowId, bytes: &[u8]) {
        let now = self.clock(now);
        self.sip.handle_flow_data(now, flow, bytes);
        self.drain_sip(now);
    }

    /// A SIP byte stream is closed, or couldn't be opened.
    pub fn handle_flow_closed(&mut self, now: Instant, flow: FlowId) {
        let now = self.clock(now);
        self.sip.handle_flow_closed(now, flow);
        self.drain_sip(now);
    }

    fn drain_sip(&mut self, now: Instant) {
        while let Some(event) = self.sip.poll_event() {
            self.on_sip_event(now, event);
        }
    }

    // Clients

    /// A client opened a WebSocket. A link that sends a message without this is an HTTP request, which ends with its
    /// response.
    pub fn handle_websocket_opened(&mut self, now: Instant, link: LinkId) {
        let now = self.clock(now);
        self.clients.open_websocket(now, link);
    }

    /// A message from a client: a WebSocket text message, or the body of `POST /v1/rpc` with its bearer token.
    pub fn handle_client_message(&mut self, now: Instant, link: LinkId, bearer: Option<&str>, text: &[u8]) {
        let now = self.clock(now);
        self.on_client_message(now, link, bearer, text);
        self.drain_sip(now);
    }

    /// `GET /v1/events?after=N` with its bearer token. Answered by one `ClientSend` or `ClientClose`.
    pub fn handle_client_poll(&mut self, now: Instant, link: LinkId, bearer: Option<&str>, after: u64) {
        let now = self.clock(now);
        match self.clients.authorise(now, link, bearer) {
            Ok(sign_in) => self.clients.poll(now, link, sign_in, after),
            Err(error) => {
                self.counters.unauthorized += u64::from(error == RpcError::NotSignedIn);
                let status = if error == RpcError::NotSignedIn { 401 } else { 429 };
                self.clients.refuse(link, status, error);
            }
        }
    }

    /// The client closed its WebSocket, or gave up an HTTP request.
    pub fn handle_link_closed(&mut self, now: Instant, link: LinkId) {
        self.clock(now);
        self.clients.close_link(link);
    }

    // Media and the outside

    /// A report of a media shard.
    pub fn handle_media_event(&mut self, now: Instant, event: MediaEvent) {
        let now = self.clock(now);
        self.on_media_event(now, event);
        self.drain_sip(now);
    }

    /// The answer to a `GatewayEvent::Request`.
    pub fn handle_answer(&mut self, now: Instant, id: RequestId, answer: Answer) {
        let now = self.clock(now);
        match self.requests.close(id) {
            Some(pending) => self.on_answer(now, pending, Some(answer)),
            // Nobody waits any more, but ports that nobody knows of would never be given back.
            None => {
                if let Answer::MediaPorts(Some(ports)) = answer {
                    self.release_ports(ports);
                }
            }
        }
        self.drain_sip(now);
    }

    /// An answer, or none when the deadline has passed.
    fn on_answer(&mut self, now: Instant, pending: Pending, answer: Option<Answer>) {
        match pending {
            Pending::SignIn { link, rpc_id, on_websocket } => {
                let identity = match answer {
                    Some(Answer::Identity(identity)) => identity,
                    _ => Err(IdentityError::Unavailable),
                };
                self.finish_sign_in(now, link, rpc_id, on_websocket, identity);
            }
            Pending::Ports { call, side, .. } => {
                let ports = match answer {
                    Some(Answer::MediaPorts(ports)) => ports,
                    _ => None,
                };
                self.on_media_ports(now, call, side, ports);
            }
            Pending::MediaAddress { call, side, rtp_port, rtcp_port } => {
                let rtp = first_address(answer).map(|ip| SocketAddr::new(ip, rtp_port));
                self.on_media_address(call, side, rtp, rtcp_port);
            }
            // Only its deadline brings it here.
            Pending::LegSnapshot { call } => self.give_up_snapshot(call),
            Pending::Host { host } => self.on_host_addresses(now, &host, answer),
        }
    }

    /// Replaces what browsers are told of TURN, from the next sign-in on.
    pub fn handle_turn_access(&mut self, now: Instant, turn: Option<TurnAccess>) {
        self.clock(now);
        self.config.turn = turn;
    }

    // Ending

    /// Stops taking sign-ins and calls; calls in progress go on. `GatewayEvent::Drained` follows when none is left, each time
    /// that this is asked for.
    pub fn handle_drain(&mut self, now: Instant) {
        self.clock(now);
        if !std::mem::replace(&mut self.draining, true) {
            for sign_in in self.clients.ids() {
                let params = json!({ "text": "This server is being taken out of service." });
                self.clients.notify(sign_in, "server.draining", params);
            }
        }
        if self.is_drained() {
            self.events.push_back(GatewayEvent::Drained);
        }
    }

    /// Takes sign-ins and calls again.
    pub fn handle_undrain(&mut self, now: Instant) {
        self.clock(now);
        self.draining = false;
    }

    /// It is draining, and nobody is in a call.
    pub fn is_drained(&self) -> bool {
        self.draining && self.calls.is_empty()
    }

    /// Ends everything now: calls get BYE, clients `call.ended`. Go on polling until there is no output.
    pub fn handle_shutdown(&mut self, now: Instant) {
        let now = self.clock(now);
        self.handle_drain(now);
        let calls: Vec<CallId> = self.calls.keys().copied().collect();
        for call in calls {
            self.with_call(now, call, |call| call.handle_gateway_end(EndReason::ServerShutdown));
        }
        for sign_in in self.clients.ids() {
            self.end_sign_in(now, sign_in, EndReason::ServerShutdown, Some((503, RpcError::Unavailable)));
        }
        self.drain_sip(now);
    }

    // Time and output

    /// Call when `poll_timeout` is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock(now);
        self.sip.handle_timeout(now);
        self.drain_sip(now);
        while let Some(event) = self.clients.handle_timeout(now) {
            self.on_client_event(now, event);
        }
        while let Some(pending) = self.requests.pop_overdue(now) {
            self.on_answer(now, pending, None);
        }
        while let Some(call) = self.timers.pop_due(now) {
            self.on_call_timer(now, call);
        }
        self.look_up_hosts(now);
        self.drain_sip(now);
    }

    /// SIP bytes to send: one datagram, or a piece of a stream. The buffer needs room for 65,535 bytes.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut PacketBuf<'_>) -> Option<Transmit> {
        let now = self.clock(now);
        self.sip.poll_transmit(now, out)
    }

    /// The next thing for the shell to do.
    pub fn poll_event(&mut self) -> Option<GatewayEvent> {
        if let Some(output) = self.clients.poll_output() {
            return Some(match output {
                ClientOutput::Send { link, text } => GatewayEvent::ClientSend { link, text },
                ClientOutput::Close { link, status, text } => GatewayEvent::ClientClose { link, status, text },
            });
        }
        self.events.pop_front()
    }

    /// When `handle_timeout` is due; a time that has passed while output is pending.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.events.is_empty() || self.clients.output_count() > 0 {
            return Some(self.now);
        }
        [
            self.sip.poll_timeout(),
            self.clients.poll_timeout(),
            self.requests.next_deadline(),
            self.timers.next_deadline(),
            self.hosts.due,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The configuration in force.
    pub fn config(&self) -> &GatewayConfig {
        &self.config
    }

    /// Every call, also those that are over but whose media aren't freed yet.
    pub fn calls(&self) -> impl Iterator<Item = CallId> + '_ {
        self.calls.keys().copied()
    }

    /// Figures for whoever exports them.
    pub fn stats(&self) -> GatewayStats {
        GatewayStats {
            sign_ins: self.clients.len() as u64,
            links: self.clients.link_count() as u64,
            calls: self.calls.len() as u64,
            legs: self.legs.len() as u64,
            requests: self.requests.len() as u64,
            timers: (self.timers.len() + self.clients.timer_count() + self.requests.len()) as u64,
            registrations: self.registrations.values().filter(|registration| registration.stands()).count() as u64,
            proxy_unreachable: self.proxy_is_unreachable(),
            sip: self.sip.stats(),
            ..self.counters.clone()
        }
    }
}

fn first_address(answer: Option<Answer>) -> Option<std::net::IpAddr> {
    match answer {
        Some(Answer::Addresses(addresses)) => addresses.into_iter().next(),
        _ => None,
    }
}
