//! Client transactions of the endpoint: sending requests, taking responses, answering challenges.

use std::net::SocketAddr;
use std::time::Instant;

use super::event::Credentials;
use super::flows::Hop;
use super::transactions::{Client, Owner};
use super::{Endpoint, SipError, TimerKey, request_wire};
use crate::ids::TransactionId;
use crate::sip::auth::DigestClient;
use crate::sip::transaction::{ClientState, ClientTransaction, Effect, Effects, Timer};
use crate::sip::{CSeq, HeaderName, Method, Request, Response, SipUri, Uri, Via};

/// Challenges answered per request: one, one more from a proxy on the way, and one for a stale nonce.
const MAX_ATTEMPTS: u8 = 3;
/// Requests above this many bytes should not go by UDP (RFC 3261 section 18.1.1).
const MAX_UDP_REQUEST_BYTES: usize = 1_300;

impl Endpoint {
    /// Sends a request that has everything but its Via.
    pub(super) fn start_client(
        &mut self,
        now: Instant,
        request: Request,
        hop: Hop,
        owner: Owner,
        credentials: Option<Credentials>,
    ) -> Result<TransactionId, SipError> {
        self.start_attempt(now, request, hop, owner, credentials, 0)
    }

    fn start_attempt(
        &mut self,
        now: Instant,
        mut request: Request,
        hop: Hop,
        owner: Owner,
        credentials: Option<Credentials>,
        attempts: u8,
    ) -> Result<TransactionId, SipError> {
        let (hop, datagram_fallback) = self.hop_for_size(now, &request, hop);
        let via = self.new_via(hop).ok_or(SipError::NoSocket)?;
        request.headers.push_front(HeaderName::Via, &via);
        let id = self.run_new_client(now, request, &via, hop, owner, credentials)?;
        if let Some(client) = self.transactions.clients.get_mut(&id) {
            client.attempts = attempts;
            client.datagram_fallback = datagram_fallback;
        }
        Ok(id)
    }

    /// Sends a request whose top Via is `via`.
    pub(super) fn run_new_client(
        &mut self,
        now: Instant,
        request: Request,
        via: &Via,
        hop: Hop,
        owner: Owner,
        credentials: Option<Credentials>,
    ) -> Result<TransactionId, SipError> {
        if self.transactions.len() >= self.config.limits.max_transactions {
            return Err(SipError::LimitReached);
        }
        let invite = request.method == Method::Invite;
        let (machine, effects) = ClientTransaction::start(invite, hop.is_reliable(), self.config.timers);
        let id = self.transactions.draw();
        let remote = self.flow_remote(hop);
        let wire = request_wire(&request);
        let client = Client {
            machine,
            request,
            wire,
            hop,
            remote,
            reused: self.is_reusable(hop),
            datagram_fallback: None,
            owner,
            credentials,
            attempts: 0,
            digest: None,
            acks: Vec::new(),
        };
        self.add_client(now, id, via, client);
        self.run_client(now, id, effects, None);
        Ok(id)
    }

    fn add_client(&mut self, now: Instant, id: TransactionId, via: &Via, client: Client) {
        if client.request.method == Method::Invite && matches!(client.owner, Owner::Modify(_)) {
            self.timers.set(TimerKey::GiveUp(id), now + self.config.invite_expiry);
        }
        self.transactions.insert_client(id, via.branch().unwrap_or_default(), client);
    }

    fn flow_remote(&self, hop: Hop) -> Option<SocketAddr> {
        match hop {
            Hop::Flow(flow) => self.flows.remote(flow),
            Hop::Datagram { .. } => None,
        }
    }

    /// Section 18.1.1: what is too long for a datagram goes by TCP, if that is configured.
    fn hop_for_size(
        &mut self,
        now: Instant,
        request: &Request,
        hop: Hop,
    ) -> (Hop, Option<(crate::io::SocketId, SocketAddr)>) {
        let Hop::Datagram { socket, remote } = hop else { return (hop, None) };
        // The Via to come adds about a hundred bytes.
        if !self.config.large_requests_by_tcp || request_wire(request).len() + 100 <= MAX_UDP_REQUEST_BYTES {
            return (hop, None);
        }
        match self.flow_to(now, remote) {
            Ok(flow) => (Hop::Flow(flow), Some((socket, remote))),
            Err(_) => (hop, None),
        }
    }

    /// Does what a client transaction's machine says.
    pub(super) fn run_client(
        &mut self,
        now: Instant,
        id: TransactionId,
        effects: Effects,
        response: Option<&Response>,
    ) {
        for effect in effects {
            match effect {
                Effect::Transmit => {
                    if let Some(client) = self.transactions.clients.get(&id) {
                        let (hop, wire) = (client.hop, client.wire.clone());
                        self.send(now, hop, wire);
                    }
                }
                Effect::Acknowledge => self.acknowledge_failure(now, id, response),
                Effect::Deliver => {
                    if let Some(response) = response {
                        self.deliver(now, id, response);
                    }
                }
                Effect::Set(timer, after) => self.timers.set(TimerKey::Transaction(id, timer), now + after),
                Effect::Stop(timer) => drop(self.timers.cancel(&TimerKey::Transaction(id, timer))),
                Effect::TimedOut => self.fail(now, id, 408, None),
                Effect::Terminate => self.remove_client(id),
            }
        }
    }

    pub(super) fn remove_client(&mut self, id: TransactionId) {
        self.transactions.remove_client(id);
        self.timers.cancel(&TimerKey::GiveUp(id));
        for timer in [Timer::A, Timer::B, Timer::D, Timer::E, Timer::F, Timer::K, Timer::M] {
            self.timers.cancel(&TimerKey::Transaction(id, timer));
        }
    }

    /// A response arrived.
    pub(super) fn handle_response(&mut self, now: Instant, response: Response) {
        let found = response.headers.top_via().ok().zip(response.headers.cseq().ok());
        let id = found.and_then(|(via, cseq)| self.transactions.find_client(via.branch()?, &cseq.method));
        let Some((id, client)) = id.and_then(|id| Some((id, self.transactions.clients.get_mut(&id)?))) else {
            self.counters.stray_responses += 1;
            return;
        };
        let effects = client.machine.handle_response(response.status);
        self.run_client(now, id, effects, Some(&response));
    }

    /// The ACK to a failure, hop by hop (section 17.1.1.3); made once, then repeated.
    fn acknowledge_failure(&mut self, now: Instant, id: TransactionId, response: Option<&Response>) {
        let Some(client) = self.transactions.clients.get_mut(&id) else { return };
        if client.acks.is_empty() {
            let Some(response) = response else { return };
            let mut ack = derived_request(&client.request, Method::Ack);
            ack.headers.remove(HeaderName::To);
            ack.headers.copy(&response.headers, HeaderName::To);
            client.acks.push((String::new(), client.hop, request_wire(&ack)));
        }
        let remote = client.remote;
        if let Some((_, hop, wire)) = client.acks.first().cloned() {
            self.send_along(now, hop, remote, wire);
        }
    }

    /// A response goes to whoever owns the transaction.
    fn deliver(&mut self, now: Instant, id: TransactionId, response: &Response) {
        let Some(owner) = self.transactions.clients.get(&id).map(|client| client.owner) else { return };
        let challenged = matches!(response.status, 401 | 407) && !self.gave_up(owner);
        if challenged && self.answer_challenge(now, id, response) {
            return;
        }
        match (owner, response.status) {
            (Owner::Invite(dialog), ..200) => self.invite_provisional(now, dialog, id, response),
            (Owner::Invite(dialog), 200..300) => self.invite_accepted(now, dialog, id, response),
            (Owner::Modify(dialog), 200..300) => self.modify_accepted(now, dialog, id, response),
            (Owner::InDialog(dialog), 200..300) => self.request_accepted(now, dialog, response),
            (Owner::Register(registration), 200..300) => self.register_accepted(now, registration, id, response),
            (_, ..300) => {}
            (_, status) => self.fail(now, id, status, Some(response)),
        }
    }

    /// A request failed for good: by a response, by silence (408) or with its transport (503).
    fn fail(&mut self, now: Instant, id: TransactionId, status: u16, response: Option<&Response>) {
        match self.transactions.clients.get(&id).map(|client| client.owner) {
            Some(Owner::Invite(dialog)) => self.invite_failed(now, dialog, id, status, response),
            Some(Owner::Modify(dialog)) => self.modify_failed(now, dialog, id, status),
            Some(Owner::InDialog(dialog)) => self.request_failed(now, dialog, id, status),
            Some(Owner::Register(registration)) => self.register_failed(now, registration, id, status, response),
            Some(Owner::Nobody) | None => {}
        }
    }

    /// A provisional response came and nothing more: in that state an INVITE has no timer of its own.
    pub(super) fn give_up(&mut self, now: Instant, id: TransactionId) {
        let Some(client) = self.transactions.clients.get_mut(&id) else { return };
        if matches!(client.machine.state(), ClientState::Calling | ClientState::Proceeding) {
            let effects = client.machine.abandon();
            self.fail(now, id, 408, None);
            self.run_client(now, id, effects, None);
        }
    }

    /// The byte stream of a client transaction is gone.
    pub(super) fn client_transport_failed(&mut self, now: Instant, id: TransactionId) {
        let Some(client) = self.transactions.clients.get_mut(&id) else { return };
        match (client.machine.state(), client.datagram_fallback.take()) {
            (ClientState::Calling | ClientState::Trying, Some((socket, remote))) => {
                self.go_on_over(now, id, Hop::Datagram { socket, remote });
            }
            // A byte stream that had been idle was closed just as it was used again: that says nothing about the far
            // side, so a fresh one is tried.
            (ClientState::Calling | ClientState::Trying, None) if client.reused => {
                client.reused = false;
                let fresh = client.remote.and_then(|remote| self.flow_to(now, remote).ok());
                match fresh {
                    Some(flow) => self.go_on_over(now, id, Hop::Flow(flow)),
                    None => self.client_transport_failed(now, id),
                }
            }
            (ClientState::Calling | ClientState::Trying, None) => {
                let effects = client.machine.abandon();
                self.fail(now, id, 503, None);
                self.run_client(now, id, effects, None);
            }
            // The far side may still answer, over a new byte stream (section 18.2.2); else a timer ends it.
            _ => {}
        }
    }

    /// Sends a request that nobody answered again, over another route.
    fn go_on_over(&mut self, now: Instant, id: TransactionId, hop: Hop) {
        let Some(mut client) = self.transactions.remove_client(id) else { return };
        self.remove_client(id);
        let Some(via) = self.new_via(hop) else { return };
        client.request.headers.set_first(HeaderName::Via, &via);
        let invite = client.request.method == Method::Invite;
        let (machine, effects) = ClientTransaction::start(invite, hop.is_reliable(), self.config.timers);
        client.wire = request_wire(&client.request);
        let client = Client { machine, hop, remote: self.flow_remote(hop), ..client };
        self.add_client(now, id, &via, client);
        self.run_client(now, id, effects, None);
    }

    /// Sends the request again with an answer to the challenge; false when that can't be done or didn't help.
    fn answer_challenge(&mut self, now: Instant, id: TransactionId, response: &Response) -> bool {
        let Some(client) = self.transactions.clients.get_mut(&id) else { return false };
        let Some(credentials) = client.credentials.clone().filter(|_| client.attempts < MAX_ATTEMPTS) else {
            return false;
        };
        let (hop, remote, owner, attempts) = (client.hop, client.remote, client.owner, client.attempts);
        let mut request = client.request.clone();
        let digest = client.digest.take();
        let mut digest =
            digest.unwrap_or_else(|| DigestClient::new(&credentials.user, &credentials.password, self.crypto.clone()));
        if digest.handle_challenge(response, &request).is_err() {
            return false;
        }
        digest.authorize(&mut request);
        request.headers.remove_first(HeaderName::Via);
        let Ok(cseq) = request.headers.cseq() else { return false };
        let number = self.next_cseq(owner, cseq.number);
        request.headers.set(HeaderName::CSeq, CSeq { number, method: request.method.clone() });
        // The first hop may have closed its byte stream with the challenge.
        let hop = match (hop, remote) {
            (Hop::Flow(_), Some(remote)) => self.flow_to(now, remote).map(Hop::Flow).unwrap_or(hop),
            _ => hop,
        };
        match self.start_attempt(now, request, hop, owner, Some(credentials), attempts + 1) {
            Ok(successor) => {
                if let Some(client) = self.transactions.clients.get_mut(&successor) {
                    client.digest = Some(digest);
                }
                self.succeed_transaction(owner, id, successor);
                true
            }
            Err(_) => false,
        }
    }

    /// The CSeq of a repeated request (section 8.1.3.5): one more, and one more than any other of the dialog.
    fn next_cseq(&mut self, owner: Owner, used: u32) -> u32 {
        let dialog = match owner {
            Owner::Modify(dialog) | Owner::InDialog(dialog) => self.usages.get_mut(dialog),
            Owner::Register(registration) => return self.next_register_cseq(registration, used),
            Owner::Invite(_) | Owner::Nobody => None,
        };
        match dialog.and_then(|usage| usage.dialog.as_mut()) {
            Some(dialog) => {
                dialog.local_cseq = dialog.local_cseq.max(used).saturating_add(1);
                dialog.local_cseq
            }
            None => used.saturating_add(1),
        }
    }

    /// Completes a request of ours: Max-Forwards, Contact and what else every request carries.
    pub(super) fn dress(&self, request: &mut Request, contact: Option<&Uri>) {
        let headers = &mut request.headers;
        if !headers.contains(HeaderName::MaxForwards) {
            headers.push(HeaderName::MaxForwards, 70);
        }
        if let Some(contact) = contact {
            headers.set(HeaderName::Contact, format_args!("<{contact}>"));
        }
        headers.set(HeaderName::UserAgent, &self.config.user_agent);
    }

    /// Our Contact for messages on this route.
    pub(super) fn contact(&self, user: &str, hop: Hop) -> Option<Uri> {
        let advertised = self.advertised(self.socket_of(hop)?)?;
        let mut uri = SipUri::new(advertised.ip().into(), Some(advertised.port()));
        if !user.is_empty() {
            uri.set_user(Some(user));
        }
        if hop.is_reliable() {
            uri.set_param("transport", Some("tcp"));
        }
        Some(uri.into())
    }
}

/// ACK to a failure and CANCEL repeat their INVITE's identity (sections 9.1 and 17.1.1.3): its top Via alone, Request-URI,
/// From, To, Call-ID, CSeq number and Route.
pub(super) fn derived_request(invite: &Request, method: Method) -> Request {
    let mut request = Request::new(method.clone(), invite.uri.clone());
    let headers = &mut request.headers;
    if let Some(via) = invite.headers.get(HeaderName::Via) {
        headers.push(HeaderName::Via, via);
    }
    headers.push(HeaderName::MaxForwards, 70);
    for name in [HeaderName::Route, HeaderName::From, HeaderName::To, HeaderName::CallId] {
        headers.copy(&invite.headers, name);
    }
    if let Ok(cseq) = invite.headers.cseq() {
        headers.push(HeaderName::CSeq, CSeq { number: cseq.number, method });
    }
    request
}
