//! INVITEs of ours (RFC 3261 sections 9.1 and 13.2).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::client::derived_request;
use super::event::{Credentials, Ended, Failure, Invite, SipEvent};
use super::flows::Hop;
use super::transactions::Owner;
use super::usage::{Calling, Cancel, Fork, MAX_FORKS, Path, Stage, Usage};
use super::{DialogTimer, Endpoint, METHODS, SipError, request_wire};
use crate::ids::{DialogId, TransactionId};
use crate::sip::dialog::Dialog;
use crate::sip::{CSeq, CallIdHeader, HeaderName, Method, NameAddr, Reason, Request, Response};

/// Header fields of an [`Invite`] that the endpoint writes itself.
const OWN_HEADERS: [HeaderName; 15] = [
    HeaderName::Via,
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::Contact,
    HeaderName::Route,
    HeaderName::RecordRoute,
    HeaderName::ContentType,
    HeaderName::Allow,
    HeaderName::Supported,
    HeaderName::UserAgent,
    HeaderName::SessionExpires,
    HeaderName::MinSe,
    HeaderName::Require,
];

impl Endpoint {
    /// Calls somebody. `Ringing`, `Answered` or `Failed` follow.
    ///
    /// # Errors
    /// [`SipError::LimitReached`], or [`SipError::NoSocket`] when no socket has the destination's address family.
    pub fn invite(&mut self, now: Instant, invite: Invite) -> Result<DialogId, SipError> {
        let now = self.clock(now);
        if self.usages.len() >= self.config.limits.max_dialogs {
            return Err(SipError::LimitReached);
        }
        let socket = self.socket_towards(invite.destination.address).ok_or(SipError::NoSocket)?.socket;
        let hop = self.hop_to(now, invite.destination, socket)?;
        let flow = if let Hop::Flow(flow) = hop { Some(flow) } else { None };
        let call_id = CallIdHeader(self.rng.token(24));
        let local_tag = self.rng.token(12);
        let request = self.invite_request(&invite, &call_id, &local_tag, hop);
        let calling = Calling {
            transaction: TransactionId(0),
            forks: Vec::new(),
            provisional: false,
            cancel: None,
            delayed_offer: invite.body.is_empty(),
        };
        let path = Path { destination: invite.destination, socket, flow };
        let mut usage = Usage::new(call_id, local_tag, path, Stage::Calling(calling));
        usage.contact_user = invite.contact_user;
        usage.credentials = invite.credentials.clone();
        usage.content_type = invite.content_type;
        usage.local_body = invite.body;
        let dialog = self.usages.insert(usage);
        match self.start_client(now, request, hop, Owner::Invite(dialog), invite.credentials) {
            Ok(transaction) => {
                self.succeed_transaction(Owner::Invite(dialog), TransactionId(0), transaction);
                self.set_dialog_timer(dialog, DialogTimer::Unanswered, now + self.config.invite_expiry);
                Ok(dialog)
            }
            Err(error) => {
                self.remove_usage(dialog);
                Err(error)
            }
        }
    }

    fn invite_request(&self, invite: &Invite, call_id: &CallIdHeader, local_tag: &str, hop: Hop) -> Request {
        let mut request = Request::new(Method::Invite, invite.request_uri.clone());
        let headers = &mut request.headers;
        for route in &invite.route {
            headers.push(HeaderName::Route, route);
        }
        headers.push(HeaderName::From, invite.from.clone().with_tag(local_tag));
        let mut to = invite.to.clone();
        to.params.remove("tag");
        headers.push(HeaderName::To, to);
        headers.push(HeaderName::CallId, call_id);
        headers.push(HeaderName::CSeq, CSeq { number: 1, method: Method::Invite });
        for (name, value) in invite.headers.iter().filter(|(name, _)| !OWN_HEADERS.contains(name)) {
            headers.push(name.clone(), value);
        }
        headers.push(HeaderName::Allow, METHODS);
        headers.push(HeaderName::Supported, "timer");
        if let Some(interval) = self.wanted_interval() {
            headers.push(HeaderName::SessionExpires, interval.as_secs());
        }
        if !invite.body.is_empty() {
            headers.push(HeaderName::ContentType, &invite.content_type);
            request.body = invite.body.clone();
        }
        let contact = self.contact(&invite.contact_user, hop);
        self.dress(&mut request, contact.as_ref());
        request
    }

    /// Gives up an INVITE of ours that isn't answered: CANCEL goes out as soon as a provisional response allows it
    /// (section 9.1). `Failed` follows, also when an answer crosses the CANCEL; that call is then ended by BYE.
    ///
    /// # Errors
    /// [`SipError::UnknownDialog`]; [`SipError::WrongState`] when it is answered (use `bye`) or not ours.
    pub fn cancel(&mut self, now: Instant, dialog: DialogId, reason: Option<Reason>) -> Result<(), SipError> {
        let now = self.clock(now);
        let usage = self.usages.get_mut(dialog).ok_or(SipError::UnknownDialog)?;
        let Stage::Calling(calling) = &mut usage.stage else { return Err(SipError::WrongState) };
        if calling.cancel.is_none() {
            calling.cancel = Some(Cancel { reason, sent: false, status: None });
            self.send_cancel(now, dialog);
        }
        Ok(())
    }

    /// Sends the CANCEL if it is wanted, allowed and not sent.
    fn send_cancel(&mut self, now: Instant, dialog: DialogId) {
        let Some(Usage { stage: Stage::Calling(calling), .. }) = self.usages.get_mut(dialog) else { return };
        let transaction = calling.transaction;
        let Some(cancel) = calling.cancel.as_mut().filter(|cancel| calling.provisional && !cancel.sent) else { return };
        cancel.sent = true;
        let reason = cancel.reason.clone();
        // Without a final response within 64*T1 the INVITE is taken for cancelled (section 9.1).
        let give_up = now + self.config.timers.transaction_timeout();
        self.set_dialog_timer(dialog, DialogTimer::Unanswered, give_up);
        let Some(client) = self.transactions.clients.get(&transaction) else { return };
        let (hop, mut request) = (client.hop, derived_request(&client.request, Method::Cancel));
        let Ok(via) = request.headers.top_via() else { return };
        if let Some(reason) = reason {
            request.headers.push(HeaderName::Reason, reason);
        }
        self.dress(&mut request, None);
        // Refused only at the limit of transactions; the timer above still ends it.
        let _ = self.run_new_client(now, request, &via, hop, Owner::Nobody, None);
    }

    /// The INVITE took too long, or its CANCEL had no effect.
    pub(super) fn unanswered(&mut self, now: Instant, dialog: DialogId) {
        match self.usages.get_mut(dialog).map(|usage| &mut usage.stage) {
            Some(Stage::Calling(calling)) => match &calling.cancel {
                None => {
                    calling.cancel = Some(Cancel { reason: None, sent: false, status: Some(408) });
                    // If nobody has answered at all yet, timer B ends the transaction; this is for certainty.
                    self.set_dialog_timer(
                        dialog,
                        DialogTimer::Unanswered,
                        now + self.config.timers.transaction_timeout(),
                    );
                    self.send_cancel(now, dialog);
                }
                Some(cancel) => {
                    let (status, transaction) = (cancel.status.unwrap_or(487), calling.transaction);
                    let answered = calling.provisional;
                    self.remove_usage(dialog);
                    self.push_failed(dialog, status, None, answered);
                    self.remove_client(transaction);
                }
            },
            Some(Stage::Incoming(_)) => {
                let _ = self.refuse(now, dialog, 480, &crate::sip::Headers::new());
                self.end(dialog, Ended::Expired);
            }
            Some(Stage::Up) | None => {}
        }
    }

    /// 1xx to the first INVITE.
    pub(super) fn invite_provisional(
        &mut self,
        now: Instant,
        dialog: DialogId,
        transaction: TransactionId,
        response: &Response,
    ) {
        let Some(usage) = self.usages.get_mut(dialog) else { return };
        let Stage::Calling(calling) = &mut usage.stage else { return };
        if calling.transaction != transaction {
            return;
        }
        calling.provisional = true;
        usage.allows_update |= response.headers.allow().any(|method| method == Method::Update);
        if response.status == 100 || calling.cancel.is_some() {
            return self.send_cancel(now, dialog);
        }
        // A To tag makes an early dialog (section 12.1); one per fork.
        let tag = response.headers.to_tag();
        let room = calling.forks.len() < MAX_FORKS;
        let known = calling.forks.iter_mut().find(|fork| tag.as_deref() == Some(fork.dialog.remote_tag()));
        match known {
            Some(fork) if !response.body.is_empty() => fork.body = response.body.clone(),
            None if tag.is_some() && room => {
                let request = self.transactions.clients.get(&transaction).map(|client| &client.request);
                let early = request.and_then(|request| Dialog::from_response(request, response).ok());
                calling.forks.extend(early.map(|dialog| Fork { dialog, body: response.body.clone() }));
            }
            Some(_) | None => {}
        }
        // A far side that rings without end doesn't fill the queue.
        if self.events_full() {
            return self.drops.count(crate::io::DropReason::LimitReached);
        }
        self.push_event(SipEvent::Ringing { dialog, status: response.status, body: response.body.clone() });
    }

    /// 2xx to the first INVITE: the first one makes the dialog, later ones of other forks get ACK and BYE, and those that
    /// come again get their ACK again (section 13.2.2.4).
    pub(super) fn invite_accepted(
        &mut self,
        now: Instant,
        dialog: DialogId,
        transaction: TransactionId,
        response: &Response,
    ) {
        let tag = response.headers.to_tag().unwrap_or_default();
        if self.repeat_ack(now, transaction, &tag) {
            return;
        }
        let Some(client) = self.transactions.clients.get(&transaction) else { return };
        let Ok(mut made) = Dialog::from_response(&client.request, response) else { return };
        let usage = self.usages.get_mut(dialog);
        match usage {
            Some(usage) if matches!(&usage.stage, Stage::Calling(c) if c.transaction == transaction) => {
                let Stage::Calling(calling) = &mut usage.stage else { return };
                if let Some(cancel) = calling.cancel.take() {
                    let path = usage.path;
                    self.remove_usage(dialog);
                    self.push_failed(dialog, cancel.status.unwrap_or(487), None, true);
                    return self.turn_away(now, transaction, made, path, cancel.reason);
                }
                let mut body = response.body.clone();
                if let Some(fork) = calling.forks.iter_mut().find(|fork| fork.dialog.remote_tag() == tag) {
                    made.remote_cseq = fork.dialog.remote_cseq;
                    made.local_cseq = made.local_cseq.max(fork.dialog.local_cseq);
                    // Section 13.2.1: who answered the offer in a reliable provisional response doesn't in the 2xx. Many
                    // do so after unreliable ones too.
                    if body.is_empty() && !calling.delayed_offer {
                        body = std::mem::take(&mut fork.body);
                    }
                }
                self.invite_won(now, dialog, transaction, made, response, body);
            }
            // The same 2xx again, while `acknowledge` is awaited.
            Some(usage) if usage.dialog.as_ref().is_some_and(|dialog| dialog.remote_tag() == tag) => {}
            other => {
                let path = other.map(|usage| usage.path);
                let path = path.or_else(|| self.path_of(transaction));
                if let Some(path) = path {
                    self.turn_away(now, transaction, made, path, None);
                }
            }
        }
    }

    fn invite_won(
        &mut self,
        now: Instant,
        dialog: DialogId,
        transaction: TransactionId,
        made: Dialog,
        response: &Response,
        body: Bytes,
    ) {
        let Some(usage) = self.usages.get_mut(dialog) else { return };
        let Stage::Calling(calling) = std::mem::replace(&mut usage.stage, Stage::Up) else { return };
        usage.allows_update |= response.headers.allow().any(|method| method == Method::Update);
        let (path, cseq) = (usage.path, made.local_cseq);
        if calling.delayed_offer {
            usage.awaiting_acknowledge = Some((transaction, cseq));
            usage.dialog = Some(made);
        } else {
            usage.dialog = Some(made.clone());
            self.send_ack(now, transaction, &made, path, cseq, None);
        }
        self.stop_dialog_timer(dialog, DialogTimer::Unanswered);
        self.start_session_timer_as_uac(now, dialog, &response.headers);
        self.push_event(SipEvent::Answered { dialog, body });
    }

    /// Sends the ACK to a 2xx that held an offer, with the answer to it. To follow `Answered` and `ReinviteAnswered` when
    /// the INVITE had no body (section 13.2.2.4).
    ///
    /// # Errors
    /// [`SipError::UnknownDialog`]; [`SipError::WrongState`] when no ACK is due.
    pub fn acknowledge(&mut self, now: Instant, dialog: DialogId, body: Bytes) -> Result<(), SipError> {
        let now = self.clock(now);
        let usage = self.usages.get_mut(dialog).ok_or(SipError::UnknownDialog)?;
        let (transaction, cseq) = usage.awaiting_acknowledge.take().ok_or(SipError::WrongState)?;
        usage.local_body = body.clone();
        let (path, content_type) = (usage.path, usage.content_type.clone());
        let state = usage.dialog.clone().ok_or(SipError::WrongState)?;
        self.send_ack(now, transaction, &state, path, cseq, Some((body, content_type)));
        Ok(())
    }

    /// Sends the ACK to a 2xx and keeps it for when the 2xx comes again.
    pub(super) fn send_ack(
        &mut self,
        now: Instant,
        transaction: TransactionId,
        dialog: &Dialog,
        path: Path,
        cseq: u32,
        body: Option<(Bytes, String)>,
    ) {
        let mut ack = dialog.ack(cseq);
        if let Some(client) = self.transactions.clients.get(&transaction) {
            // Section 22.1: an ACK can't be challenged, so it carries what its INVITE carried.
            ack.headers.copy(&client.request.headers, HeaderName::Authorization);
            ack.headers.copy(&client.request.headers, HeaderName::ProxyAuthorization);
        }
        if let Some((body, content_type)) = body {
            ack.headers.push(HeaderName::ContentType, content_type);
            ack.body = body;
        }
        self.dress(&mut ack, None);
        let Ok(hop) = self.hop_in_dialog(now, dialog.next_hop(), path) else { return };
        let Some(via) = self.new_via(hop) else { return };
        ack.headers.push_front(HeaderName::Via, via);
        let wire = request_wire(&ack);
        self.send(now, hop, wire.clone());
        let client = self.transactions.clients.get_mut(&transaction);
        if let Some(client) = client.filter(|client| client.acks.len() < MAX_FORKS) {
            client.acks.push((dialog.remote_tag().to_owned(), hop, wire));
        }
    }

    /// Sends the ACK again that this tag's 2xx got; also swallows forks past the limit.
    pub(super) fn repeat_ack(&mut self, now: Instant, transaction: TransactionId, tag: &str) -> bool {
        let Some(client) = self.transactions.clients.get(&transaction) else { return true };
        let found = client.acks.iter().find(|(known, ..)| known == tag).cloned();
        let full = client.acks.len() >= MAX_FORKS;
        let remote = client.remote;
        match found {
            Some((_, hop, wire)) => {
                self.send_along(now, hop, remote, wire);
                true
            }
            None => full,
        }
    }

    /// Accepts and ends at once a dialog that nobody wants.
    fn turn_away(
        &mut self,
        now: Instant,
        transaction: TransactionId,
        mut dialog: Dialog,
        path: Path,
        reason: Option<Reason>,
    ) {
        let credentials = self.transactions.clients.get(&transaction).and_then(|client| client.credentials.clone());
        let cseq = dialog.local_cseq;
        self.send_ack(now, transaction, &dialog, path, cseq, None);
        self.send_bye(now, &mut dialog, path, credentials, reason);
    }

    /// The way that a transaction's request went, for forks whose dialog is gone.
    fn path_of(&self, transaction: TransactionId) -> Option<Path> {
        let client = self.transactions.clients.get(&transaction)?;
        let socket = self.socket_of(client.hop)?;
        let (address, flow) = match client.hop {
            Hop::Datagram { remote, .. } => (remote, None),
            Hop::Flow(flow) => (client.remote?, Some(flow)),
        };
        let destination = super::Destination { transport: client.hop.transport(), address };
        Some(Path { destination, socket, flow })
    }

    /// 300 to 699 to the first INVITE, or silence.
    pub(super) fn invite_failed(
        &mut self,
        now: Instant,
        dialog: DialogId,
        transaction: TransactionId,
        status: u16,
        response: Option<&Response>,
    ) {
        let Some(usage) = self.usages.get_mut(dialog) else { return };
        let Stage::Calling(calling) = &mut usage.stage else { return };
        if calling.transaction != transaction {
            return;
        }
        // After `cancel` whatever failure comes means that it was cancelled.
        let reported = calling.cancel.as_ref().map(|cancel| cancel.status.unwrap_or(487));
        let answered = calling.provisional || response.is_some();
        if status == 422 && reported.is_none() && self.retry_with_longer_interval(now, dialog, transaction, response) {
            return;
        }
        self.remove_usage(dialog);
        match reported {
            Some(status) => self.push_failed(dialog, status, None, answered),
            None => self.push_failed(dialog, status, response, answered),
        }
    }

    fn push_failed(&mut self, dialog: DialogId, status: u16, response: Option<&Response>, answered: bool) {
        let failure = Box::new(failure(status, response, answered));
        self.push_event(SipEvent::Failed { dialog, failure });
    }

    /// Whether a challenge is no longer worth an answer.
    pub(super) fn gave_up(&self, owner: Owner) -> bool {
        match owner {
            Owner::Invite(dialog) => match self.usages.get(dialog).map(|usage| &usage.stage) {
                Some(Stage::Calling(calling)) => calling.cancel.is_some(),
                _ => true,
            },
            _ => false,
        }
    }

    /// A request was sent again as another transaction.
    pub(super) fn succeed_transaction(&mut self, owner: Owner, old: TransactionId, new: TransactionId) {
        match owner {
            Owner::Invite(dialog) => {
                let Some(Usage { stage: Stage::Calling(calling), .. }) = self.usages.get_mut(dialog) else { return };
                if calling.transaction == old {
                    calling.transaction = new;
                    calling.forks.clear();
                    calling.provisional = false;
                }
            }
            Owner::Modify(dialog) => {
                let modifying = self.usages.get_mut(dialog).and_then(|usage| usage.modifying.as_mut());
                if let Some(modifying) = modifying.filter(|modifying| modifying.transaction == old) {
                    modifying.transaction = new;
                }
            }
            Owner::Register(registration) => self.succeed_register(registration, old, new),
            Owner::InDialog(_) | Owner::Nobody => {}
        }
    }

    /// Sends a BYE; whatever comes of it, the dialog is over (section 15.1.1).
    pub(super) fn send_bye(
        &mut self,
        now: Instant,
        dialog: &mut Dialog,
        path: Path,
        credentials: Option<Credentials>,
        reason: Option<Reason>,
    ) {
        let mut bye = dialog.request(Method::Bye);
        if let Some(reason) = reason {
            bye.headers.push(HeaderName::Reason, reason);
        }
        self.dress(&mut bye, None);
        if let Ok(hop) = self.hop_in_dialog(now, dialog.next_hop(), path) {
            // At the limit of transactions the far side's session timer has to notice.
            let _ = self.start_client(now, bye, hop, Owner::Nobody, credentials);
        }
    }
}

fn failure(status: u16, response: Option<&Response>, answered: bool) -> Failure {
    let headers = response.map(|response| &response.headers);
    let mut contacts = match headers.filter(|_| (300..400).contains(&status)) {
        Some(headers) => headers.contacts().unwrap_or_default(),
        None => Vec::new(),
    };
    // Section 20.10: by q, the highest first; without one it counts as 1.
    let q = |contact: &NameAddr| contact.params.get("q").and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0);
    contacts.sort_by(|a, b| q(b).total_cmp(&q(a)));
    Failure {
        status,
        answered,
        reason_phrase: match response {
            Some(response) => response.reason.clone(),
            None => crate::sip::reason_phrase(status).to_owned(),
        },
        retry_after: headers
            .and_then(|headers| headers.retry_after().ok().flatten())
            .map(|seconds| Duration::from_secs(seconds.into())),
        reason: headers.and_then(|headers| headers.reasons().next()),
        contacts,
    }
}
