//! The control plane.

use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use crate::ids::{LinkId, RequestId};
use crate::io::{FlowId, PacketBuf, SocketId, Transmit};
use crate::media::MediaEvent;

mod config;
mod interface;

pub use config::{GatewayConfig, IpNetwork, Route, RouteMatch, ShardAddresses, SipProxy, SipSocket, SipTarget};
pub use interface::{Answer, CallRecord, GatewayEvent, Identity, IdentityError, MediaPorts, Request, SipCredentials};

/// The control plane of one process. See the module's documentation.
#[derive(Debug)]
pub struct Gateway {
    config: GatewayConfig,
}

impl Gateway {
    /// A control plane at rest.
    pub fn new(
        now: Instant,
        wall_clock: SystemTime,
        config: GatewayConfig,
        crypto: crate::crypto::CryptoProvider,
        seed: &crate::rng::Seed,
    ) -> Self {
        let _ = (now, wall_clock, crypto, seed);
        Gateway { config }
    }

    /// Wall-clock time, again whenever it is corrected and at least once a minute.
    pub fn handle_wall_clock(&mut self, now: Instant, wall_clock: SystemTime) {
        let _ = (now, wall_clock);
    }

    /// A datagram from one of the SIP sockets.
    pub fn handle_sip_datagram(&mut self, now: Instant, socket: SocketId, source: SocketAddr, datagram: &[u8]) {
        let _ = (now, socket, source, datagram);
    }

    /// A byte stream for SIP was accepted, or one that the core asked for is open.
    pub fn handle_flow_opened(&mut self, now: Instant, flow: FlowId, local: SocketAddr, remote: SocketAddr) {
        let _ = (now, flow, local, remote);
    }

    /// Bytes from a SIP byte stream, cut anywhere.
    pub fn handle_flow_data(&mut self, now: Instant, flow: FlowId, bytes: &[u8]) {
        let _ = (now, flow, bytes);
    }

    /// A SIP byte stream is closed, or couldn't be opened.
    pub fn handle_flow_closed(&mut self, now: Instant, flow: FlowId) {
        let _ = (now, flow);
    }

    /// A client opened a WebSocket. A link that sends a message without this is an HTTP request, which ends with its
    /// response.
    pub fn handle_websocket_opened(&mut self, now: Instant, link: LinkId) {
        let _ = (now, link);
    }

    /// A message from a client: a WebSocket text message, or the body of `POST /v1/rpc` with its bearer token.
    pub fn handle_client_message(&mut self, now: Instant, link: LinkId, bearer: Option<&str>, text: &[u8]) {
        let _ = (now, link, bearer, text);
    }

    /// `GET /v1/events?after=N` with its bearer token. Answered by one `ClientSend` or `ClientClose`.
    pub fn handle_client_poll(&mut self, now: Instant, link: LinkId, bearer: Option<&str>, after: u64) {
        let _ = (now, link, bearer, after);
    }

    /// The client closed its WebSocket, or gave up an HTTP request.
    pub fn handle_link_closed(&mut self, now: Instant, link: LinkId) {
        let _ = (now, link);
    }

    /// A report of a media shard.
    pub fn handle_media_event(&mut self, now: Instant, event: MediaEvent) {
        let _ = (now, event);
    }

    /// The answer to a `GatewayEvent::Request`.
    pub fn handle_answer(&mut self, now: Instant, id: RequestId, answer: Answer) {
        let _ = (now, id, answer);
    }

    /// Stop taking sign-ins and calls; calls in progress go on. `GatewayEvent::Drained` follows when none is left.
    pub fn handle_drain(&mut self, now: Instant) {
        let _ = now;
    }

    /// End everything now: calls get BYE, clients `call.ended`.
    pub fn handle_shutdown(&mut self, now: Instant) {
        let _ = now;
    }

    /// Call when `poll_timeout` is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// SIP bytes to send. One datagram, or a piece of a stream. The buffer needs room for 65,535 bytes.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut PacketBuf<'_>) -> Option<Transmit> {
        let _ = (now, out);
        None
    }

    /// The next thing for the shell to do.
    pub fn poll_event(&mut self) -> Option<GatewayEvent> {
        None
    }

    /// When `handle_timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The configuration in force.
    pub fn config(&self) -> &GatewayConfig {
        &self.config
    }
}
