//! [`Endpoint`]: a SIP user agent (RFC 3261) over UDP and byte streams.
//!
//! It owns transactions, dialogs and registrations and treats bodies as bytes. Messages come in by `handle_datagram` and
//! `handle_flow_data`, go out by `poll_transmit`; what happens is told by `poll_event`. Supported beyond RFC 3261: rport
//! (3581), 100rel for callers that require it (3262), UPDATE (3311), INFO (6086), Reason (3326), session timers (4028),
//! corrected INVITE transactions (6026), several digest algorithms (8760).
//!
//! Requests in a dialog go to the address in the first Route, or in the far side's Contact. The core asks no DNS here:
//! where a host name stands there, they go where the dialog's first request went (or came from).

mod client;
mod config;
mod event;
mod flows;
mod in_dialog;
mod modify;
mod output;
mod registration;
mod server;
mod session_timer;
mod snapshot;
mod transactions;
mod uac;
mod uas;
mod usage;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

pub use config::{EndpointConfig, EndpointLimits, SipSocketConfig};
pub use event::{
    Credentials, Destination, Ended, Failure, IncomingInvite, Invite, Register, SipError, SipEvent, Transport, Tried,
};
pub use snapshot::DialogSnapshot;

use crate::crypto::CryptoProvider;
use crate::ids::{DialogId, RegistrationId, TransactionId};
use crate::io::{DropCounters, DropReason, FlowId, PacketBuf, SocketId, Transmit};
use crate::rng::{Rng, Seed};
use crate::sip::transaction::Timer;
use crate::sip::validate::{self, Capabilities};
use crate::sip::{Message, Method, ParseError, Request, Response};
use crate::timer::TimerQueue;

use flows::{Flows, Hop};
use output::Output;
use registration::Registrations;
use transactions::Transactions;
use usage::Usages;

/// What stands in `Allow`.
const METHODS: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK";
/// Room that a message is given at first.
const TYPICAL_MESSAGE_BYTES: usize = 1024;

/// A SIP user agent, both client and server.
#[derive(Debug)]
pub struct Endpoint {
    config: EndpointConfig,
    rng: Rng,
    crypto: CryptoProvider,
    /// The latest `now` seen; earlier ones are taken for it.
    latest: Option<Instant>,
    flows: Flows,
    output: Output,
    events: VecDeque<SipEvent>,
    timers: TimerQueue<TimerKey>,
    transactions: Transactions,
    usages: Usages,
    registrations: Registrations,
    capabilities: Capabilities,
    drops: DropCounters,
    counters: Counters,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum TimerKey {
    Transaction(TransactionId, Timer),
    /// A re-INVITE that gets no final response.
    GiveUp(TransactionId),
    /// A flow that is idle, or takes too long to open.
    Flow(FlowId),
    Dialog(DialogId, DialogTimer),
    /// Time to register, again or anew.
    Register(RegistrationId),
}

/// What is due in a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum DialogTimer {
    /// The INVITE has gone unanswered for too long, or its CANCEL had no effect.
    Unanswered,
    /// Send the provisional response again, so that no proxy takes the call for dead (RFC 3261 section 13.3.1.1).
    KeepRinging,
    /// Send the 2xx again (RFC 3261 section 13.3.1.4).
    RepeatAnswer,
    /// No ACK came to the 2xx.
    NoAck,
    /// Send the reliable provisional response again (RFC 3262 section 3).
    RepeatProvisional,
    /// No PRACK came.
    NoPrack,
    /// The owner doesn't answer the far side's offer.
    OfferUnanswered,
    /// Try the re-INVITE again that met another (RFC 3261 section 14.1).
    Glare,
    /// Refresh the session (RFC 4028 section 10).
    Refresh,
    /// The session has expired.
    SessionExpired,
}

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counters {
    received: u64,
    sent: u64,
    stray_responses: u64,
}

/// Figures for operators and tests. The gauges are 0 when everything has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStats {
    /// Transactions now, of both directions.
    pub transactions: usize,
    /// Dialogs now, and INVITEs on their way to one.
    pub dialogs: usize,
    /// Registrations now.
    pub registrations: usize,
    /// Byte streams now, open and opening.
    pub flows: usize,
    /// Deadlines now.
    pub timers: usize,
    /// Well-formed messages received in total.
    pub messages_received: u64,
    /// Messages given to `poll_transmit` in total; a byte stream's counts once per piece.
    pub messages_sent: u64,
    /// Responses that belong to no transaction, in total.
    pub stray_responses: u64,
    /// What was dropped.
    pub drops: DropCounters,
}

impl Endpoint {
    /// An endpoint with nothing going on. Tags, branches and Call-IDs come from `seed`, client nonces from `crypto`.
    pub fn new(config: EndpointConfig, crypto: CryptoProvider, seed: &Seed) -> Self {
        let limits = config.limits;
        Endpoint {
            config: config.with_waits_cut(),
            rng: Rng::split(seed, "sip"),
            crypto,
            latest: None,
            flows: Flows::default(),
            output: Output::new(limits.max_pending_messages, limits.max_pending_bytes),
            events: VecDeque::new(),
            timers: TimerQueue::default(),
            transactions: Transactions::default(),
            usages: Usages::default(),
            registrations: Registrations::default(),
            capabilities: Capabilities {
                methods: METHODS.split(", ").filter_map(Method::parse).collect(),
                extensions: vec!["timer", "100rel"],
                body_types: vec!["application/sdp", "application/dtmf-relay", "application/dtmf"],
            },
            drops: DropCounters::default(),
            counters: Counters::default(),
        }
    }

    /// A datagram arrived.
    pub fn handle_datagram(&mut self, now: Instant, socket: SocketId, source: SocketAddr, bytes: &[u8]) {
        let now = self.clock(now);
        if self.advertised(socket).is_none() {
            return self.drops.count(DropReason::UnknownSource);
        }
        // Keep-alives: CRLFs (RFC 5626 section 3.5.1), and the lone zeros of some NAT traversal.
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return;
        }
        let hop = Hop::Datagram { socket, remote: source };
        self.handle_message(now, hop, source, Message::parse(bytes));
    }

    /// A whole message was cut out of a byte stream.
    fn handle_frame(&mut self, now: Instant, flow: FlowId, remote: SocketAddr, bytes: &[u8]) {
        self.handle_message(now, Hop::Flow(flow), remote, Message::parse(bytes));
    }

    fn handle_message(&mut self, now: Instant, hop: Hop, source: SocketAddr, parsed: Result<Message, ParseError>) {
        match parsed {
            Ok(Message::Request(request)) => {
                self.counters.received += 1;
                self.handle_request(now, hop, source, request);
            }
            Ok(Message::Response(response)) if validate::response(&response).is_err() => {
                self.drops.count(DropReason::Malformed);
            }
            Ok(Message::Response(response)) => {
                self.counters.received += 1;
                self.handle_response(now, response);
            }
            Err(error) => {
                self.drops.count(DropReason::Malformed);
                self.refuse_malformed(now, hop, source, error);
            }
        }
    }

    /// Deadlines have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock(now);
        while let Some(key) = self.timers.pop_due(now) {
            match key {
                TimerKey::Transaction(id, timer) => self.transaction_timer(now, id, timer),
                TimerKey::GiveUp(id) => self.give_up(now, id),
                TimerKey::Flow(flow) => self.expire_flow(now, flow),
                TimerKey::Dialog(dialog, timer) => self.dialog_timer(now, dialog, timer),
                TimerKey::Register(registration) => self.registration_due(now, registration),
            }
        }
    }

    fn transaction_timer(&mut self, now: Instant, id: TransactionId, timer: Timer) {
        if let Some(client) = self.transactions.clients.get_mut(&id) {
            let effects = client.machine.handle_timer(timer);
            self.run_client(now, id, effects, None);
        } else if let Some(server) = self.transactions.servers.get_mut(&id) {
            let effects = server.machine.handle_timer(timer);
            self.run_server(now, id, effects);
        }
    }

    fn dialog_timer(&mut self, now: Instant, dialog: DialogId, timer: DialogTimer) {
        match timer {
            DialogTimer::Unanswered => self.unanswered(now, dialog),
            DialogTimer::KeepRinging => self.keep_ringing(now, dialog),
            DialogTimer::RepeatAnswer => self.repeat_answer(now, dialog),
            DialogTimer::NoAck => self.no_ack(now, dialog),
            DialogTimer::RepeatProvisional => self.repeat_provisional(now, dialog),
            DialogTimer::NoPrack => self.no_prack(now, dialog),
            DialogTimer::OfferUnanswered => self.refuse_modification(now, dialog, 504),
            DialogTimer::Glare => self.retry_after_glare(now, dialog),
            DialogTimer::Refresh => self.refresh_session(now, dialog),
            DialogTimer::SessionExpired => self.session_expired(now, dialog),
        }
    }

    /// When `handle_timeout` is next due; the time of the latest input while output or events wait.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.output.is_empty() && self.events.is_empty() { self.timers.next_deadline() } else { self.latest }
    }

    /// Writes the next message to send. A byte stream's message may come in pieces, in order.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut PacketBuf<'_>) -> Option<Transmit> {
        self.clock(now);
        let route = self.output.pop(out, &mut self.drops)?;
        self.counters.sent += 1;
        Some(route)
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<SipEvent> {
        self.events.pop_front()
    }

    /// Figures.
    pub fn stats(&self) -> EndpointStats {
        EndpointStats {
            transactions: self.transactions.len(),
            dialogs: self.usages.len(),
            registrations: self.registrations.len(),
            flows: self.flows.len(),
            timers: self.timers.len(),
            messages_received: self.counters.received,
            messages_sent: self.counters.sent,
            stray_responses: self.counters.stray_responses,
            drops: self.drops.clone(),
        }
    }

    fn clock(&mut self, now: Instant) -> Instant {
        let now = self.latest.map_or(now, |latest| latest.max(now));
        self.latest = Some(now);
        now
    }

    /// Events that end or confirm something are never refused: they are bounded by the tables they come from.
    fn push_event(&mut self, event: SipEvent) {
        self.events.push_back(event);
    }

    fn events_full(&self) -> bool {
        self.events.len() >= self.config.limits.max_pending_events
    }

    fn set_dialog_timer(&mut self, dialog: DialogId, timer: DialogTimer, at: Instant) {
        self.timers.set(TimerKey::Dialog(dialog, timer), at);
    }

    fn stop_dialog_timer(&mut self, dialog: DialogId, timer: DialogTimer) {
        self.timers.cancel(&TimerKey::Dialog(dialog, timer));
    }

    /// Forgets a dialog and its deadlines.
    fn remove_usage(&mut self, dialog: DialogId) -> Option<usage::Usage> {
        let usage = self.usages.remove(dialog)?;
        for timer in [
            DialogTimer::Unanswered,
            DialogTimer::KeepRinging,
            DialogTimer::RepeatAnswer,
            DialogTimer::NoAck,
            DialogTimer::RepeatProvisional,
            DialogTimer::NoPrack,
            DialogTimer::OfferUnanswered,
            DialogTimer::Glare,
            DialogTimer::Refresh,
            DialogTimer::SessionExpired,
        ] {
            self.stop_dialog_timer(dialog, timer);
        }
        Some(usage)
    }

    /// Forgets a dialog and says why.
    fn end(&mut self, dialog: DialogId, reason: Ended) {
        if self.remove_usage(dialog).is_some() {
            self.push_event(SipEvent::Ended { dialog, reason });
        }
    }
}

fn request_wire(request: &Request) -> Bytes {
    let mut out = Vec::with_capacity(TYPICAL_MESSAGE_BYTES);
    request.write(&mut out);
    out.into()
}

fn response_wire(response: &Response) -> Bytes {
    let mut out = Vec::with_capacity(TYPICAL_MESSAGE_BYTES);
    response.write(&mut out);
    out.into()
}
