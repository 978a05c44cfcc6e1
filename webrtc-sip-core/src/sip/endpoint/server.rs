//! Server transactions of the endpoint: taking requests, answering them, refusing what can't be served (RFC 3261 section
//! 8.2).

use std::net::SocketAddr;
use std::time::Instant;

use super::event::{Ended, SipEvent};
use super::flows::Hop;
use super::transactions::{Server, merge_key, server_key};
use super::usage::Stage;
use super::{Endpoint, TimerKey, response_wire};
use crate::ids::TransactionId;
use crate::io::DropReason;
use crate::sip::transaction::{Effect, Effects, ServerTransaction, Timer};
use crate::sip::{HeaderName, Headers, Method, ParseError, Request, Response, Via};

impl Endpoint {
    /// A request arrived.
    pub(super) fn handle_request(&mut self, now: Instant, hop: Hop, source: SocketAddr, mut request: Request) {
        let Ok(mut via) = request.headers.top_via() else { return self.drops.count(DropReason::Malformed) };
        let reply = stamp(&mut request.headers, &mut via, hop, source);
        if request.method == Method::Ack {
            return self.handle_ack(now, &via, &request);
        }
        let key = server_key(&via, &request, &request.method);
        if let Some(id) = self.transactions.find_server(&key) {
            if let Some(server) = self.transactions.servers.get_mut(&id) {
                let effects = server.machine.handle_retransmission();
                self.run_server(now, id, effects);
            }
            return;
        }
        // An eighth is kept for requests of ours, so that calls can be ended whatever comes in.
        let max = self.config.limits.max_transactions;
        if self.transactions.len() >= max - max / 8 || self.events_full() {
            self.drops.count(DropReason::LimitReached);
            return self.respond_statelessly(now, reply, request.response(503));
        }
        let Some(socket) = self.socket_of(hop) else { return };
        let tagless = request.headers.to().is_ok_and(|to| to.tag().is_none());
        let merge_key = (tagless && request.method != Method::Cancel).then(|| merge_key(&request));
        let merged = merge_key.as_ref().is_some_and(|key| self.transactions.is_merged(key));
        let invite = request.method == Method::Invite;
        let server = Server {
            machine: ServerTransaction::start(invite, hop.is_reliable(), self.config.timers),
            request,
            wire: None,
            hop: reply,
            fallback: hop
                .is_reliable()
                .then(|| SocketAddr::new(source.ip(), via.port.unwrap_or_else(|| via.transport.default_port()))),
            socket,
            key,
            merge_key: merge_key.filter(|_| !merged),
            dialog: None,
        };
        let id = self.transactions.draw();
        self.transactions.insert_server(id, server);
        if merged {
            // Section 8.2.2.2: the same request by another path.
            return self.respond_with(now, id, 482);
        }
        self.dispatch(now, id, &via, source);
    }

    /// A new request, to be answered through its transaction.
    fn dispatch(&mut self, now: Instant, id: TransactionId, via: &Via, source: SocketAddr) {
        let Some(server) = self.transactions.servers.get(&id) else { return };
        let request = server.request.clone();
        if request.method == Method::Cancel {
            return self.handle_cancel(now, id, via, &request);
        }
        // Whatever stands in a BYE, the call is over.
        let checked = if request.method == Method::Bye { Ok(()) } else { self.capabilities.check(&request) };
        if let Err(rejection) = checked {
            let mut response = rejection.response;
            if let Some(dressed) = self.response(id, response.status) {
                for name in [HeaderName::To, HeaderName::Server] {
                    response.headers.remove(name.clone());
                    response.headers.copy(&dressed.headers, name);
                }
            }
            return self.respond(now, id, response);
        }
        let Ok(to) = request.headers.to() else { return };
        if let Some(tag) = to.tag() {
            let found = request.headers.call_id().ok().and_then(|call_id| self.usages.find(&call_id, tag));
            return match found {
                Some(dialog) => self.handle_in_dialog(now, dialog, id, request),
                None if request.method == Method::Options => self.answer_options(now, id),
                None => self.respond_with(now, id, 481),
            };
        }
        match request.method {
            Method::Invite if !matches!(request.uri.scheme(), "sip" | "sips" | "tel") => {
                self.respond_with(now, id, 416)
            }
            // A gateway forwards in effect, so that a loop through it has to end too (RFC 7332 section 4).
            Method::Invite if request.headers.max_forwards() == Ok(Some(0)) => self.respond_with(now, id, 483),
            Method::Invite => self.incoming_invite(now, id, request, source),
            Method::Options => self.answer_options(now, id),
            // Of a dialog, but without its tag.
            _ => self.respond_with(now, id, 481),
        }
    }

    /// Section 11.2.
    pub(super) fn answer_options(&mut self, now: Instant, id: TransactionId) {
        let Some(mut response) = self.response(id, 200) else { return };
        self.capabilities.push_allow(&mut response.headers);
        self.capabilities.push_accept(&mut response.headers);
        self.capabilities.push_supported(&mut response.headers);
        self.respond(now, id, response);
    }

    /// Section 9.2. The CANCEL has its INVITE's branch.
    fn handle_cancel(&mut self, now: Instant, id: TransactionId, via: &Via, cancel: &Request) {
        let found = self.transactions.find_server(&server_key(via, cancel, &Method::Invite));
        let Some((invite, server)) = found.and_then(|id| Some((id, self.transactions.servers.get(&id)?))) else {
            return self.respond_with(now, id, 481);
        };
        let (pending, dialog) = (server.machine.can_respond(), server.dialog);
        let local_tag = dialog.and_then(|dialog| self.usages.get(dialog)).map(|usage| usage.local_tag.clone());
        if let Some(mut response) = self.response(id, 200) {
            if let Some((to, tag)) = response.headers.to().ok().zip(local_tag) {
                // The same To tag as the response to the INVITE has (section 9.2).
                response.headers.set(HeaderName::To, to.with_tag(&tag));
            }
            self.respond(now, id, response);
        }
        if !pending {
            return;
        }
        let Some(dialog) = dialog else { return };
        match self.usages.get_mut(dialog).map(|usage| (&usage.stage, &mut usage.modified)) {
            Some((Stage::Incoming(_), _)) => {
                let reason = cancel.headers.reasons().next();
                let _ = self.refuse(now, dialog, 487, &Headers::new());
                if self.remove_usage(dialog).is_some() {
                    self.push_event(SipEvent::Cancelled { dialog, reason });
                }
            }
            // A re-INVITE: only that is over.
            Some((_, modified)) => {
                *modified = None;
                self.respond_with(now, invite, 487);
            }
            None => {}
        }
    }

    /// An ACK: to a failure it belongs to the transaction, to a 2xx to the dialog.
    fn handle_ack(&mut self, now: Instant, via: &Via, ack: &Request) {
        let key = server_key(via, ack, &Method::Invite);
        let found = self.transactions.find_server(&key);
        if let Some((id, server)) = found.and_then(|id| Some((id, self.transactions.servers.get_mut(&id)?))) {
            let effects = server.machine.handle_ack();
            if !effects.is_empty() {
                return self.run_server(now, id, effects);
            }
        }
        let (Ok(call_id), Ok(to)) = (ack.headers.call_id(), ack.headers.to()) else { return };
        match to.tag().and_then(|tag| self.usages.find(&call_id, tag)) {
            Some(dialog) => self.handle_ack_in_dialog(now, dialog, ack),
            None => self.drops.count(DropReason::OutOfState),
        }
    }

    /// A response to a transaction's request, with a To tag.
    pub(super) fn response(&mut self, id: TransactionId, status: u16) -> Option<Response> {
        let server = self.transactions.servers.get(&id)?;
        let mut response = server.request.response(status);
        if status > 100 {
            let tag = server.dialog.and_then(|dialog| self.usages.get(dialog)).map(|usage| usage.local_tag.clone());
            if let Some(to) = response.headers.to().ok().filter(|to| to.tag().is_none()) {
                let tag = tag.unwrap_or_else(|| self.rng.token(12));
                response.headers.set(HeaderName::To, to.with_tag(&tag));
            }
            response.headers.push(HeaderName::Server, &self.config.user_agent);
        }
        Some(response)
    }

    /// Answers with nothing but a status.
    pub(super) fn respond_with(&mut self, now: Instant, id: TransactionId, status: u16) {
        if let Some(response) = self.response(id, status) {
            self.respond(now, id, response);
        }
    }

    /// Answers.
    pub(super) fn respond(&mut self, now: Instant, id: TransactionId, response: Response) {
        let Some(server) = self.transactions.servers.get_mut(&id) else { return };
        let effects = server.machine.respond(response.status);
        if effects.is_empty() {
            return self.drops.count(DropReason::OutOfState);
        }
        if response.status >= 200 {
            server.request.body.clear();
        }
        server.wire = Some(response_wire(&response));
        self.run_server(now, id, effects);
    }

    /// Does what a server transaction's machine says.
    pub(super) fn run_server(&mut self, now: Instant, id: TransactionId, effects: Effects) {
        for effect in effects {
            match effect {
                Effect::Transmit => {
                    let Some(server) = self.transactions.servers.get(&id) else { return };
                    if let Some(wire) = server.wire.clone() {
                        let (hop, fallback) = (server.hop, server.fallback);
                        self.send_along(now, hop, fallback, wire);
                    }
                }
                Effect::Set(timer, after) => self.timers.set(TimerKey::Transaction(id, timer), now + after),
                Effect::Stop(timer) => drop(self.timers.cancel(&TimerKey::Transaction(id, timer))),
                Effect::Terminate => {
                    self.transactions.remove_server(id);
                    for timer in [Timer::G, Timer::H, Timer::I, Timer::J, Timer::L] {
                        self.timers.cancel(&TimerKey::Transaction(id, timer));
                    }
                }
                // No ACK came to a failure: nobody has to hear of it. The others are a client's.
                Effect::TimedOut | Effect::Deliver | Effect::Acknowledge => {}
            }
        }
    }

    /// A request that can't be read, but whose sender can be told.
    pub(super) fn refuse_malformed(&mut self, now: Instant, hop: Hop, source: SocketAddr, error: ParseError) {
        let ParseError::Rejected(rejection) = error else { return };
        let mut response = rejection.response;
        let Ok(mut via) = response.headers.top_via() else { return };
        let reply = stamp(&mut response.headers, &mut via, hop, source);
        self.respond_statelessly(now, reply, response);
    }

    /// Answers without keeping anything (section 8.2.7).
    fn respond_statelessly(&mut self, now: Instant, hop: Hop, mut response: Response) {
        if let Some(to) = response.headers.to().ok().filter(|to| to.tag().is_none()) {
            let tag = self.rng.token(12);
            response.headers.set(HeaderName::To, to.with_tag(&tag));
        }
        response.headers.push(HeaderName::Server, &self.config.user_agent);
        self.send(now, hop, response_wire(&response));
    }

    /// A dialog's transaction is over before its answer: it is refused so that the far side doesn't wait.
    pub(super) fn refuse_modification(&mut self, now: Instant, dialog: crate::ids::DialogId, status: u16) {
        if let Some(id) = self.usages.get_mut(dialog).and_then(|usage| usage.modified.take()) {
            self.respond_with(now, id, status);
        }
    }

    /// Ends an answered dialog, refusing what is still open in it.
    pub(super) fn end_answered(&mut self, now: Instant, dialog: crate::ids::DialogId, reason: Ended) {
        self.refuse_modification(now, dialog, 487);
        self.end(dialog, reason);
    }
}

/// Notes in the top Via where the message came from, and says where its responses go (sections 18.2.1 and 18.2.2, RFC
/// 3581 section 4).
fn stamp(headers: &mut Headers, via: &mut Via, hop: Hop, source: SocketAddr) -> Hop {
    let ip = source.ip().to_canonical();
    let wants_rport = via.wants_rport();
    if wants_rport {
        via.set_rport(source.port());
    }
    if wants_rport || via.host.ip() != Some(ip) {
        via.set_received(ip);
    }
    headers.set_first(HeaderName::Via, &*via);
    match hop {
        Hop::Datagram { socket, remote } if !wants_rport => {
            let port = via.port.unwrap_or_else(|| via.transport.default_port());
            Hop::Datagram { socket, remote: SocketAddr::new(remote.ip(), port) }
        }
        other => other,
    }
}
