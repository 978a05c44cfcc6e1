//! Requests inside a dialog (RFC 3261 sections 12.2 and 15, RFC 6086).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::event::{Ended, SipError, SipEvent};
use super::transactions::Owner;
use super::usage::Stage;
use super::{DialogTimer, Endpoint};
use crate::ids::{DialogId, TransactionId};
use crate::io::DropReason;
use crate::sip::{HeaderName, Headers, Method, Reason, Request, Response};

impl Endpoint {
    /// A request whose To tag and Call-ID are a dialog's.
    pub(super) fn handle_in_dialog(&mut self, now: Instant, dialog: DialogId, id: TransactionId, request: Request) {
        if let Some(server) = self.transactions.servers.get_mut(&id) {
            server.dialog = Some(dialog);
        }
        let tag = request.headers.from_tag().unwrap_or_default();
        let cseq = request.headers.cseq().map_or(0, |cseq| cseq.number);
        let Some(usage) = self.usages.get_mut(dialog) else { return self.respond_with(now, id, 481) };
        let Some(state) = usage.dialog_with(&tag) else { return self.respond_with(now, id, 481) };
        if !state.accept_cseq(cseq) {
            // Section 12.2.2.
            return self.respond_with(now, id, 500);
        }
        match request.method {
            Method::Bye => self.handle_bye(now, dialog, id, &request),
            Method::Invite => self.handle_reinvite(now, dialog, id, &tag, request),
            Method::Update => self.handle_update(now, dialog, id, &tag, request),
            Method::Prack => self.handle_prack(now, dialog, id, &request),
            Method::Info => {
                self.respond_with(now, id, 200);
                let content_type = request.headers.get(HeaderName::ContentType).map(str::to_owned);
                self.push_event(SipEvent::Info { dialog, content_type, body: request.body });
            }
            Method::Options => self.answer_options(now, id),
            _ => self.respond_with(now, id, 405),
        }
    }

    fn handle_bye(&mut self, now: Instant, dialog: DialogId, id: TransactionId, bye: &Request) {
        let reason = bye.headers.reasons().next();
        match self.usages.get(dialog).map(|usage| &usage.stage) {
            Some(Stage::Up) => {
                self.respond_with(now, id, 200);
                self.end_answered(now, dialog, Ended::Bye(reason));
            }
            // A caller may end an early dialog so (section 15).
            Some(Stage::Incoming(_)) => {
                self.respond_with(now, id, 200);
                let _ = self.refuse(now, dialog, 487, &Headers::new());
                if self.remove_usage(dialog).is_some() {
                    self.push_event(SipEvent::Cancelled { dialog, reason });
                }
            }
            // A called side may not (section 15); it answers the INVITE.
            Some(Stage::Calling(_)) | None => self.respond_with(now, id, 481),
        }
    }

    /// The ACK to our 2xx.
    pub(super) fn handle_ack_in_dialog(&mut self, now: Instant, dialog: DialogId, ack: &Request) {
        let cseq = ack.headers.cseq().map_or(0, |cseq| cseq.number);
        let Some(usage) = self.usages.get_mut(dialog) else { return };
        if usage.unacked.as_ref().map(|unacked| unacked.number) != Some(cseq) {
            return self.drops.count(DropReason::OutOfState);
        }
        usage.unacked = None;
        let bye = usage.bye_after_ack.take();
        self.stop_dialog_timer(dialog, DialogTimer::RepeatAnswer);
        self.stop_dialog_timer(dialog, DialogTimer::NoAck);
        if let Some(reason) = bye {
            self.hang_up(now, dialog, reason);
            return self.end_answered(now, dialog, Ended::Local);
        }
        self.push_event(SipEvent::Confirmed { dialog, body: ack.body.clone() });
    }

    /// Hangs up an answered call. `Ended` with [`Ended::Local`] follows: at once, or where our 2xx has no ACK yet when
    /// that comes (section 15 forbids BYE before).
    ///
    /// # Errors
    /// [`SipError::UnknownDialog`]; [`SipError::WrongState`] when it isn't answered (use `cancel` or `reject`).
    pub fn bye(&mut self, now: Instant, dialog: DialogId, reason: Option<Reason>) -> Result<(), SipError> {
        let now = self.clock(now);
        let usage = self.usages.get_mut(dialog).ok_or(SipError::UnknownDialog)?;
        if !matches!(usage.stage, Stage::Up) {
            return Err(SipError::WrongState);
        }
        if usage.unacked.is_some() {
            usage.bye_after_ack = Some(reason);
            return Ok(());
        }
        self.hang_up(now, dialog, reason);
        self.end_answered(now, dialog, Ended::Local);
        Ok(())
    }

    /// Sends the BYE of an answered dialog, and the ACK that is still owed.
    pub(super) fn hang_up(&mut self, now: Instant, dialog: DialogId, reason: Option<Reason>) {
        let Some(usage) = self.usages.get_mut(dialog) else { return };
        let owed = usage.awaiting_acknowledge.take();
        let (path, credentials) = (usage.path, usage.credentials.clone());
        let Some(mut state) = usage.dialog.clone() else { return };
        if let Some((transaction, cseq)) = owed {
            self.send_ack(now, transaction, &state, path, cseq, None);
        }
        self.send_bye(now, &mut state, path, credentials, reason);
    }

    /// Sends an INFO (RFC 6086), for example DTMF.
    ///
    /// # Errors
    /// [`SipError::UnknownDialog`]; [`SipError::WrongState`] when there is no dialog yet; limits.
    pub fn info(&mut self, now: Instant, dialog: DialogId, content_type: &str, body: Bytes) -> Result<(), SipError> {
        let now = self.clock(now);
        let body = Some((content_type.to_owned(), body));
        self.request_in_dialog(now, dialog, Method::Info, body, Owner::InDialog(dialog)).map(drop)
    }

    /// Sends a request in a dialog.
    pub(super) fn request_in_dialog(
        &mut self,
        now: Instant,
        dialog: DialogId,
        method: Method,
        body: Option<(String, Bytes)>,
        owner: Owner,
    ) -> Result<TransactionId, SipError> {
        let usage = self.usages.get_mut(dialog).ok_or(SipError::UnknownDialog)?;
        let (path, credentials, user) = (usage.path, usage.credentials.clone(), usage.contact_user.clone());
        let timer = usage.timer;
        let state = usage.dialog.as_mut().ok_or(SipError::WrongState)?;
        let refreshes = matches!(method, Method::Invite | Method::Update);
        let mut request = state.request(method);
        let next_hop = state.next_hop().clone();
        let hop = self.hop_in_dialog(now, &next_hop, path)?;
        if let Some((content_type, body)) = body.filter(|(_, body)| !body.is_empty()) {
            request.headers.push(HeaderName::ContentType, content_type);
            request.body = body;
        }
        if refreshes {
            self.add_session_headers(&mut request, timer);
        }
        let contact = self.contact(&user, hop).filter(|_| refreshes);
        self.dress(&mut request, contact.as_ref());
        self.start_client(now, request, hop, owner, credentials)
    }

    /// 2xx to an INFO or to an UPDATE without a body.
    pub(super) fn request_accepted(&mut self, now: Instant, dialog: DialogId, response: &Response) {
        if response.headers.cseq().is_ok_and(|cseq| cseq.method == Method::Update) {
            self.target_refreshed(dialog, &response.headers);
            self.start_session_timer_as_uac(now, dialog, &response.headers);
        }
    }

    /// Section 12.2.1.2: 481 and 408, and silence, mean that the dialog is gone over there.
    pub(super) fn request_failed(&mut self, now: Instant, dialog: DialogId, id: TransactionId, status: u16) {
        let Some(usage) = self.usages.get_mut(dialog).filter(|usage| matches!(usage.stage, Stage::Up)) else { return };
        if matches!(status, 408 | 481) {
            self.hang_up(now, dialog, None);
            return self.end_answered(now, dialog, Ended::Lost { status });
        }
        let client = self.transactions.clients.get(&id);
        if client.is_some_and(|client| client.request.method == Method::Update) {
            // The refresh is refused; a re-INVITE may not be.
            usage.allows_update = false;
            self.set_dialog_timer(dialog, DialogTimer::Refresh, now + Duration::from_secs(5));
        }
    }

    /// Takes the far side's new Contact.
    pub(super) fn target_refreshed(&mut self, dialog: DialogId, headers: &Headers) {
        if let Some(state) = self.usages.get_mut(dialog).and_then(|usage| usage.dialog.as_mut()) {
            state.refresh_target(headers);
        }
    }
}
