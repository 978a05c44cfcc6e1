//! INVITEs of theirs (RFC 3261 section 13.3, RFC 3262).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::event::{Destination, Ended, IncomingInvite, SipError, SipEvent};
use super::flows::Hop;
use super::usage::{Incoming, Path, Stage, Unacked, Usage};
use super::{DialogTimer, Endpoint, METHODS, response_wire};
use crate::ids::{DialogId, TransactionId};
use crate::sip::dialog::Dialog;
use crate::sip::{HeaderName, Headers, Method, Request, Response};

/// Reliable provisional responses that wait for the PRACK to an earlier one.
const MAX_WAITING_PROVISIONALS: usize = 8;
/// Pause between repetitions of a provisional response.
const KEEP_RINGING: Duration = Duration::from_secs(60);

impl Endpoint {
    /// An INVITE outside any dialog.
    pub(super) fn incoming_invite(&mut self, now: Instant, id: TransactionId, request: Request, source: SocketAddr) {
        if self.usages.len() >= self.config.limits.max_dialogs {
            self.drops.count(crate::io::DropReason::LimitReached);
            return self.respond_with(now, id, 503);
        }
        if let Some(status) = self.interval_too_small(&request.headers) {
            return self.refuse_interval(now, id, status);
        }
        let local_tag = self.rng.token(12);
        let (Ok(call_id), Ok(state)) = (request.headers.call_id(), Dialog::from_request(&request, &local_tag)) else {
            return self.respond_with(now, id, 400);
        };
        let (Ok(from), Ok(to)) = (request.headers.from(), request.headers.to()) else { return };
        let Some(server) = self.transactions.servers.get(&id) else { return };
        let (transport, flow) = match server.hop {
            Hop::Datagram { .. } => (super::Transport::Udp, None),
            Hop::Flow(flow) => (super::Transport::Tcp, Some(flow)),
        };
        let path = Path { destination: Destination { transport, address: source }, socket: server.socket, flow };
        let incoming = Incoming {
            transaction: id,
            reliable: request.headers.require().any(|tag| tag.eq_ignore_ascii_case("100rel")),
            rseq: 0,
            unpracked: None,
            waiting: Vec::new(),
            answer: None,
        };
        let mut usage = Usage::new(call_id, local_tag, path, Stage::Incoming(incoming));
        usage.contact_user = request.uri.user().map(|user| user.into_owned()).unwrap_or_default();
        usage.dialog = Some(state);
        usage.allows_update = request.headers.allow().any(|method| method == Method::Update);
        let dialog = self.usages.insert(usage);
        if let Some(server) = self.transactions.servers.get_mut(&id) {
            server.dialog = Some(dialog);
        }
        // Section 13.3.1: the caller may limit it further.
        let asked = request.headers.expires().ok().flatten().map(|seconds| Duration::from_secs(seconds.into()));
        let expiry = self.config.invite_expiry.min(asked.unwrap_or(Duration::MAX));
        self.set_dialog_timer(dialog, DialogTimer::Unanswered, now + expiry);
        self.respond_with(now, id, 100);
        self.push_event(SipEvent::IncomingInvite(Box::new(IncomingInvite {
            dialog,
            source,
            transport,
            request_uri: request.uri,
            from,
            to,
            p_asserted_identity: request.headers.p_asserted_identity().unwrap_or_default().into_iter().next(),
            content_type: request.headers.get(HeaderName::ContentType).map(str::to_owned),
            headers: request.headers,
            body: request.body,
        })));
    }

    /// Tells the caller that it rings (180) or that there is early media (183 with an SDP body). Sent reliably when the
    /// caller requires 100rel (RFC 3262).
    ///
    /// # Errors
    /// [`SipError::UnknownDialog`]; [`SipError::WrongState`] when it is answered or not theirs; [`SipError::Status`] when
    /// it isn't 101 to 199; [`SipError::LimitReached`] when too many wait for a PRACK.
    pub fn ring(&mut self, now: Instant, dialog: DialogId, status: u16, body: Option<Bytes>) -> Result<(), SipError> {
        let now = self.clock(now);
        if !(101..200).contains(&status) {
            return Err(SipError::Status);
        }
        let body = body.unwrap_or_default();
        let incoming = self.incoming_mut(dialog)?;
        if incoming.reliable && incoming.unpracked.is_some() {
            if incoming.waiting.len() >= MAX_WAITING_PROVISIONALS {
                return Err(SipError::LimitReached);
            }
            incoming.waiting.push((status, body));
            return Ok(());
        }
        self.send_provisional(now, dialog, status, body);
        Ok(())
    }

    fn incoming_mut(&mut self, dialog: DialogId) -> Result<&mut Incoming, SipError> {
        match self.usages.get_mut(dialog).map(|usage| &mut usage.stage) {
            Some(Stage::Incoming(incoming)) => Ok(incoming),
            Some(_) => Err(SipError::WrongState),
            None => Err(SipError::UnknownDialog),
        }
    }

    fn send_provisional(&mut self, now: Instant, dialog: DialogId, status: u16, body: Bytes) {
        let Ok(incoming) = self.incoming_mut(dialog) else { return };
        let (id, reliable) = (incoming.transaction, incoming.reliable);
        let Some(mut response) = self.dialog_response(dialog, id, status, body) else { return };
        if !reliable {
            self.set_dialog_timer(dialog, DialogTimer::KeepRinging, now + KEEP_RINGING);
            return self.respond(now, id, response);
        }
        let first = self.rng.below(1 << 16) as u32 + 1;
        let t1 = self.config.timers.t1;
        let Some(server) = self.transactions.servers.get(&id) else { return };
        let (hop, fallback) = (server.hop, server.fallback);
        let Ok(incoming) = self.incoming_mut(dialog) else { return };
        incoming.rseq = if incoming.rseq == 0 { first } else { incoming.rseq + 1 };
        response.headers.push(HeaderName::Require, "100rel");
        response.headers.push(HeaderName::RSeq, incoming.rseq);
        let unpracked = Unacked { number: incoming.rseq, wire: response_wire(&response), hop, fallback, interval: t1 };
        incoming.unpracked = Some(unpracked);
        self.set_dialog_timer(dialog, DialogTimer::RepeatProvisional, now + t1);
        self.set_dialog_timer(dialog, DialogTimer::NoPrack, now + self.config.timers.transaction_timeout());
        self.respond(now, id, response);
    }

    /// Section 13.3.1.1: every minute. Reliable ones don't need it before a proxy's timer C, which is over three minutes.
    pub(super) fn keep_ringing(&mut self, now: Instant, dialog: DialogId) {
        let Ok(incoming) = self.incoming_mut(dialog) else { return };
        let id = incoming.transaction;
        self.set_dialog_timer(dialog, DialogTimer::KeepRinging, now + KEEP_RINGING);
        if let Some(server) = self.transactions.servers.get_mut(&id) {
            let effects = server.machine.handle_retransmission();
            self.run_server(now, id, effects);
        }
    }

    /// RFC 3262 section 3: as the 2xx, but without a ceiling.
    pub(super) fn repeat_provisional(&mut self, now: Instant, dialog: DialogId) {
        let Ok(incoming) = self.incoming_mut(dialog) else { return };
        let Some(unpracked) = &mut incoming.unpracked else { return };
        unpracked.interval *= 2;
        let next = now + unpracked.interval;
        let (hop, fallback, wire) = (unpracked.hop, unpracked.fallback, unpracked.wire.clone());
        self.set_dialog_timer(dialog, DialogTimer::RepeatProvisional, next);
        self.send_along(now, hop, fallback, wire);
    }

    pub(super) fn no_prack(&mut self, now: Instant, dialog: DialogId) {
        // RFC 3262 section 3: a 5xx.
        let _ = self.refuse(now, dialog, 504, &Headers::new());
        self.end(dialog, Ended::NoPrack);
    }

    /// PRACK (RFC 3262 section 3).
    pub(super) fn handle_prack(&mut self, now: Instant, dialog: DialogId, id: TransactionId, request: &Request) {
        let Ok(incoming) = self.incoming_mut(dialog) else { return self.respond_with(now, id, 481) };
        let expected = incoming.unpracked.as_ref().map(|unpracked| unpracked.number);
        let invite = incoming.transaction;
        let invite = self.transactions.servers.get(&invite);
        let invite = invite.and_then(|server| server.request.headers.cseq().ok());
        let given = request.headers.rack().ok().flatten().map(|rack| (Some(rack.rseq), Some(rack.cseq)));
        if expected.is_none() || given != Some((expected, invite)) {
            return self.respond_with(now, id, 481);
        }
        let Ok(incoming) = self.incoming_mut(dialog) else { return };
        incoming.unpracked = None;
        let answer = incoming.answer.take();
        let next = if incoming.waiting.is_empty() { None } else { Some(incoming.waiting.remove(0)) };
        self.stop_dialog_timer(dialog, DialogTimer::RepeatProvisional);
        self.stop_dialog_timer(dialog, DialogTimer::NoPrack);
        self.respond_with(now, id, 200);
        match (answer, next) {
            (Some(body), _) => self.send_answer(now, dialog, body),
            (None, Some((status, body))) => self.send_provisional(now, dialog, status, body),
            (None, None) => {}
        }
    }

    /// Takes the call. The 2xx is sent again until its ACK comes (`Confirmed`); without one in 32 s the call is ended
    /// (RFC 3261 section 13.3.1.4).
    ///
    /// # Errors
    /// [`SipError::UnknownDialog`]; [`SipError::WrongState`] when it is answered or not theirs.
    pub fn answer(&mut self, now: Instant, dialog: DialogId, body: Bytes) -> Result<(), SipError> {
        let now = self.clock(now);
        let incoming = self.incoming_mut(dialog)?;
        if incoming.answer.is_some() {
            return Err(SipError::WrongState);
        }
        if incoming.unpracked.is_some() {
            // RFC 3262 section 3: not before the PRACK, if the reliable response had an SDP body. Ours always waits.
            incoming.answer = Some(body);
            incoming.waiting.clear();
        } else {
            self.send_answer(now, dialog, body);
        }
        Ok(())
    }

    fn send_answer(&mut self, now: Instant, dialog: DialogId, body: Bytes) {
        let Ok(incoming) = self.incoming_mut(dialog) else { return };
        let id = incoming.transaction;
        let Some(mut response) = self.dialog_response(dialog, id, 200, body.clone()) else { return };
        self.start_session_timer_as_uas(now, dialog, id, &mut response);
        if let Some(usage) = self.usages.get_mut(dialog) {
            usage.stage = Stage::Up;
            usage.local_body = body;
        }
        self.stop_dialog_timer(dialog, DialogTimer::Unanswered);
        self.stop_dialog_timer(dialog, DialogTimer::KeepRinging);
        self.respond_until_ack(now, dialog, id, response);
    }

    /// Sends a 2xx to INVITE, and again until its ACK comes.
    pub(super) fn respond_until_ack(&mut self, now: Instant, dialog: DialogId, id: TransactionId, response: Response) {
        let Some(server) = self.transactions.servers.get(&id) else { return };
        let t1 = self.config.timers.t1;
        let number = server.request.headers.cseq().map_or(0, |cseq| cseq.number);
        let (hop, fallback) = (server.hop, server.fallback);
        let unacked = Unacked { number, wire: response_wire(&response), hop, fallback, interval: t1 };
        if let Some(usage) = self.usages.get_mut(dialog) {
            usage.unacked = Some(unacked);
        }
        self.set_dialog_timer(dialog, DialogTimer::RepeatAnswer, now + t1);
        self.set_dialog_timer(dialog, DialogTimer::NoAck, now + self.config.timers.transaction_timeout());
        self.respond(now, id, response);
    }

    /// Section 13.3.1.4: doubling up to T2, also over reliable transports.
    pub(super) fn repeat_answer(&mut self, now: Instant, dialog: DialogId) {
        let t2 = self.config.timers.t2;
        let Some(unacked) = self.usages.get_mut(dialog).and_then(|usage| usage.unacked.as_mut()) else { return };
        unacked.interval = (unacked.interval * 2).min(t2);
        let next = now + unacked.interval;
        let (hop, fallback, wire) = (unacked.hop, unacked.fallback, unacked.wire.clone());
        self.set_dialog_timer(dialog, DialogTimer::RepeatAnswer, next);
        self.send_along(now, hop, fallback, wire);
    }

    pub(super) fn no_ack(&mut self, now: Instant, dialog: DialogId) {
        self.hang_up(now, dialog, None);
        self.end_answered(now, dialog, Ended::NoAck);
    }

    /// Refuses the call: 3xx to 6xx, with more header fields (`Reason`, `Retry-After`, `Contact`, `Warning` ...). `Ended`
    /// with [`Ended::Local`] follows.
    ///
    /// # Errors
    /// [`SipError::UnknownDialog`]; [`SipError::WrongState`] when it is answered or not theirs; [`SipError::Status`].
    pub fn reject(&mut self, now: Instant, dialog: DialogId, status: u16, headers: &Headers) -> Result<(), SipError> {
        let now = self.clock(now);
        self.incoming_mut(dialog)?;
        self.refuse(now, dialog, status, headers)?;
        self.end(dialog, Ended::Local);
        Ok(())
    }

    /// Sends a failure response to the INVITE; the dialog is the caller's to end.
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        dialog: DialogId,
        status: u16,
        headers: &Headers,
    ) -> Result<(), SipError> {
        if !(300..700).contains(&status) {
            return Err(SipError::Status);
        }
        let id = self.incoming_mut(dialog)?.transaction;
        if let Some(mut response) = self.response(id, status) {
            const ECHOED: [HeaderName; 5] =
                [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];
            for (name, value) in headers.iter().filter(|(name, _)| !ECHOED.contains(name)) {
                response.headers.push(name.clone(), value);
            }
            self.respond(now, id, response);
        }
        Ok(())
    }

    /// A response that makes or keeps a dialog (section 12.1.1): with Record-Route, Contact, Allow and Supported.
    pub(super) fn dialog_response(
        &mut self,
        dialog: DialogId,
        id: TransactionId,
        status: u16,
        body: Bytes,
    ) -> Option<Response> {
        let mut response = self.response(id, status)?;
        let server = self.transactions.servers.get(&id)?;
        let (hop, socket, routes) = (server.hop, server.socket, &server.request.headers);
        response.headers.copy(routes, HeaderName::RecordRoute);
        let usage = self.usages.get(dialog)?;
        if status < 300 {
            // The byte stream may be gone; its socket still stands for us.
            let advertised = self.advertised(socket)?;
            let contact = self.contact(&usage.contact_user, hop).or_else(|| {
                let uri = crate::sip::SipUri::new(advertised.ip().into(), Some(advertised.port()));
                Some(uri.with_user(&usage.contact_user).with_param("transport", Some("tcp")).into())
            })?;
            response.headers.push(HeaderName::Contact, format_args!("<{contact}>"));
            response.headers.push(HeaderName::Allow, METHODS);
            response.headers.push(HeaderName::Supported, "timer");
        }
        if !body.is_empty() {
            response.headers.push(HeaderName::ContentType, &usage.content_type);
            response.body = body;
        }
        Some(response)
    }
}
