//! re-INVITE (RFC 3261 section 14) and UPDATE (RFC 3311), both ways.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::event::{Ended, SipError, SipEvent};
use super::transactions::Owner;
use super::usage::{Modifying, Stage, Usage};
use super::{DialogTimer, Endpoint};
use crate::ids::{DialogId, TransactionId};
use crate::sip::{HeaderName, Method, Request, Response};

impl Endpoint {
    /// Sends a new offer (hold, resume, media change), or with an empty body asks for one. `ReinviteAnswered` or
    /// `ReinviteFailed` follows. It waits while another INVITE of this dialog has to be finished, and is tried again
    /// after a pause when it met one of the far side's (491, section 14.1).
    ///
    /// # Errors
    /// [`SipError::UnknownDialog`]; [`SipError::WrongState`] when the call isn't answered, or an offer of either side is
    /// unanswered; [`SipError::LimitReached`].
    pub fn reinvite(&mut self, now: Instant, dialog: DialogId, body: Bytes) -> Result<(), SipError> {
        let now = self.clock(now);
        let usage = self.usages.get_mut(dialog).ok_or(SipError::UnknownDialog)?;
        let busy = usage.modifying.as_ref().is_some_and(|modifying| !modifying.refresh)
            || usage.modified.is_some()
            || usage.postponed.is_some()
            || usage.awaiting_acknowledge.is_some()
            || usage.bye_after_ack.is_some();
        if !matches!(usage.stage, Stage::Up) || busy {
            return Err(SipError::WrongState);
        }
        if usage.unacked.is_some() || usage.modifying.is_some() {
            usage.postponed = Some(body);
            self.set_dialog_timer(dialog, DialogTimer::Glare, now + self.config.timers.t1);
            return Ok(());
        }
        self.send_reinvite(now, dialog, body, false)
    }

    pub(super) fn send_reinvite(
        &mut self,
        now: Instant,
        dialog: DialogId,
        body: Bytes,
        refresh: bool,
    ) -> Result<(), SipError> {
        let usage = self.usages.get(dialog).ok_or(SipError::UnknownDialog)?;
        let offer = Some((usage.content_type.clone(), body.clone()));
        let transaction = self.request_in_dialog(now, dialog, Method::Invite, offer, Owner::Modify(dialog))?;
        if let Some(usage) = self.usages.get_mut(dialog) {
            usage.modifying = Some(Modifying { transaction, refresh, body });
        }
        Ok(())
    }

    /// A 491 or an unfinished INVITE delayed our re-INVITE; now it may go.
    pub(super) fn retry_after_glare(&mut self, now: Instant, dialog: DialogId) {
        let t1 = self.config.timers.t1;
        let Some(usage) = self.usages.get_mut(dialog) else { return };
        if usage.unacked.is_some() || usage.modified.is_some() || usage.modifying.is_some() {
            return self.set_dialog_timer(dialog, DialogTimer::Glare, now + t1);
        }
        let Some(body) = usage.postponed.take() else { return };
        if self.send_reinvite(now, dialog, body, false).is_err() {
            self.push_event(SipEvent::ReinviteFailed { dialog, status: 503 });
        }
    }

    /// 2xx to our re-INVITE.
    pub(super) fn modify_accepted(
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
        let Some(usage) = self.usages.get_mut(dialog) else { return };
        let Some(modifying) = usage.modifying.take_if(|modifying| modifying.transaction == transaction) else { return };
        self.target_refreshed(dialog, &response.headers);
        let cseq = response.headers.cseq().map_or(0, |cseq| cseq.number);
        let Some(Usage { dialog: Some(state), path, .. }) = self.usages.get(dialog) else { return };
        if modifying.body.is_empty() {
            if let Some(usage) = self.usages.get_mut(dialog) {
                usage.awaiting_acknowledge = Some((transaction, cseq));
            }
        } else {
            let (state, path) = (state.clone(), *path);
            self.send_ack(now, transaction, &state, path, cseq, None);
            if let Some(usage) = self.usages.get_mut(dialog) {
                usage.local_body = modifying.body;
            }
        }
        self.start_session_timer_as_uac(now, dialog, &response.headers);
        // The answer to a refresh repeats what was agreed (RFC 4028 section 7.4), so its owner needn't hear of it.
        if !modifying.refresh {
            self.push_event(SipEvent::ReinviteAnswered { dialog, body: response.body.clone() });
        }
    }

    /// Failure of our re-INVITE: the dialog stays as it was (section 14.1), unless it is gone over there.
    pub(super) fn modify_failed(&mut self, now: Instant, dialog: DialogId, transaction: TransactionId, status: u16) {
        let Some(usage) = self.usages.get_mut(dialog) else { return };
        let Some(modifying) = usage.modifying.take_if(|modifying| modifying.transaction == transaction) else { return };
        let we_called = usage.we_called;
        match status {
            408 | 481 => {
                self.hang_up(now, dialog, None);
                self.end_answered(now, dialog, Ended::Lost { status });
            }
            491 if modifying.refresh => {
                self.set_dialog_timer(dialog, DialogTimer::Refresh, now + Duration::from_secs(2));
            }
            491 => {
                usage.postponed = Some(modifying.body);
                // Section 14.1: who made the Call-ID waits 2.1 to 4 s, the other side 0 to 2 s, in steps of 10 ms.
                let steps = if we_called { 210 + self.rng.below(191) } else { self.rng.below(201) };
                self.set_dialog_timer(dialog, DialogTimer::Glare, now + Duration::from_millis(10 * steps));
            }
            _ if modifying.refresh => {}
            _ => self.push_event(SipEvent::ReinviteFailed { dialog, status }),
        }
    }

    /// A re-INVITE of theirs (section 14.2).
    pub(super) fn handle_reinvite(
        &mut self,
        now: Instant,
        dialog: DialogId,
        id: TransactionId,
        tag: &str,
        request: Request,
    ) {
        if self.usages.get(dialog).is_some_and(|usage| usage.unacked.is_some()) {
            return self.refuse_for_now(now, id);
        }
        self.take_offer(now, dialog, id, tag, request);
    }

    /// An UPDATE (RFC 3311 section 5.2): with a body a new offer, without one a refresh of session timer and target.
    pub(super) fn handle_update(
        &mut self,
        now: Instant,
        dialog: DialogId,
        id: TransactionId,
        tag: &str,
        request: Request,
    ) {
        if request.body.is_empty() {
            if let Some(min) = self.interval_too_small(&request.headers) {
                return self.refuse_interval(now, id, min);
            }
            self.refresh_target_of(dialog, tag, &request);
            let Some(mut response) = self.dialog_response(dialog, id, 200, Bytes::new()) else { return };
            self.start_session_timer_as_uas(now, dialog, id, &mut response);
            return self.respond(now, id, response);
        }
        self.take_offer(now, dialog, id, tag, request);
    }

    fn take_offer(&mut self, now: Instant, dialog: DialogId, id: TransactionId, tag: &str, request: Request) {
        let Some(usage) = self.usages.get(dialog) else { return };
        if usage.modifying.is_some() || usage.awaiting_acknowledge.is_some() {
            return self.respond_with(now, id, 491);
        }
        // An offer inside an early dialog would need an answered one before it, and nobody here makes those.
        if !matches!(usage.stage, Stage::Up) || usage.modified.is_some() {
            return self.refuse_for_now(now, id);
        }
        if let Some(min) = self.interval_too_small(&request.headers) {
            return self.refuse_interval(now, id, min);
        }
        self.refresh_target_of(dialog, tag, &request);
        if request.method == Method::Invite {
            self.respond_with(now, id, 100);
        }
        if let Some(usage) = self.usages.get_mut(dialog) {
            usage.modified = Some(id);
            if usage.postponed.take().is_some() {
                self.stop_dialog_timer(dialog, DialogTimer::Glare);
                self.push_event(SipEvent::ReinviteFailed { dialog, status: 491 });
            }
        }
        self.set_dialog_timer(dialog, DialogTimer::OfferUnanswered, now + self.config.timers.transaction_timeout());
        self.push_event(SipEvent::Reinvited { dialog, body: request.body });
    }

    fn refresh_target_of(&mut self, dialog: DialogId, tag: &str, request: &Request) {
        if let Some(state) = self.usages.get_mut(dialog).and_then(|usage| usage.dialog_with(tag)) {
            state.refresh_target(&request.headers);
        }
    }

    /// 500 with Retry-After: an earlier offer isn't done with (section 14.2, RFC 3311 section 5.2).
    fn refuse_for_now(&mut self, now: Instant, id: TransactionId) {
        let seconds = self.rng.below(11);
        let Some(mut response) = self.response(id, 500) else { return };
        response.headers.push(HeaderName::RetryAfter, seconds);
        self.respond(now, id, response);
    }

    /// Answers `Reinvited`, which has 32 s for it (64*T1): 200 with the answer (or, where the re-INVITE had no body, the
    /// offer), or a failure such as 488.
    ///
    /// # Errors
    /// [`SipError::UnknownDialog`]; [`SipError::WrongState`] when there is nothing to answer (the far side may have
    /// cancelled it); [`SipError::Status`] when it is neither 200 nor 300 to 699.
    pub fn answer_reinvite(
        &mut self,
        now: Instant,
        dialog: DialogId,
        status: u16,
        body: Bytes,
    ) -> Result<(), SipError> {
        let now = self.clock(now);
        if status != 200 && !(300..700).contains(&status) {
            return Err(SipError::Status);
        }
        let usage = self.usages.get_mut(dialog).ok_or(SipError::UnknownDialog)?;
        let id = usage.modified.take().ok_or(SipError::WrongState)?;
        self.stop_dialog_timer(dialog, DialogTimer::OfferUnanswered);
        if status != 200 {
            self.respond_with(now, id, status);
            return Ok(());
        }
        if let Some(usage) = self.usages.get_mut(dialog) {
            usage.local_body = body.clone();
        }
        let Some(mut response) = self.dialog_response(dialog, id, 200, body) else { return Ok(()) };
        self.start_session_timer_as_uas(now, dialog, id, &mut response);
        let invite = self.transactions.servers.get(&id).is_some_and(|s| s.request.method == Method::Invite);
        if invite {
            self.respond_until_ack(now, dialog, id, response);
        } else {
            self.respond(now, id, response);
        }
        Ok(())
    }
}
