//! What the SIP endpoint reports.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::call::{CallPhase, EndReason, Side};
use crate::ids::{CallId, DialogId, LegId};
use crate::media::DtmfDigit;
use crate::sip::endpoint::{Ended, Failure, IncomingInvite, SipEvent};
use crate::sip::{Headers, Reason};

use super::leg::Party;
use super::{Gateway, GatewayEvent};

const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;
/// For users who aren't signed in: whether there are such users isn't known here (RFC 3261 section 21.4.18).
const TEMPORARILY_UNAVAILABLE: u16 = 480;
const BUSY_HERE: u16 = 486;
/// Characters of a caller's number or name that are shown and kept.
const MAX_PARTY_CHARS: usize = 128;
const UNAVAILABLE: u16 = 503;

impl Gateway {
    pub(super) fn on_sip_event(&mut self, now: Instant, event: SipEvent) {
        match event {
            SipEvent::IncomingInvite(invite) => self.on_incoming_invite(now, *invite),
            // An early dialog that ended (RFC 6228) is none that rings.
            SipEvent::Ringing { status: 199, .. } => {}
            SipEvent::Ringing { dialog, body, .. } => self.with_dialog(dialog, |this, call, side| {
                this.callee_tried(call, side, true);
                let early = !body.is_empty() && this.take_answer(now, call, side, &body, false);
                this.with_call(now, call, |call| {
                    call.handle_ringing();
                    if early {
                        call.handle_early_media();
                    }
                });
            }),
            SipEvent::Answered { dialog, body } => self.with_dialog(dialog, |this, call, side| {
                this.callee_tried(call, side, true);
                if this.take_answer(now, call, side, &body, true) {
                    this.with_call(now, call, |call| call.handle_answered(now));
                } else {
                    // Answered, but with nothing that can be heard: hang up (RFC 3261 section 13.2.2.4).
                    let _ = this.sip.bye(now, dialog, None);
                    this.dialog_is_gone(call, side);
                    this.with_call(now, call, |call| call.handle_left(side, EndReason::NotAcceptable));
                }
            }),
            SipEvent::Confirmed { dialog, body } => self.with_dialog(dialog, |this, call, side| {
                this.on_acknowledged(now, call, side, &body);
            }),
            SipEvent::Failed { dialog, failure } => self.with_dialog(dialog, |this, call, side| {
                this.dialog_is_gone(call, side);
                this.callee_tried(call, side, failure.answered);
                if matches!(failure.status, 408 | 503) && this.try_next_address(now, call, side) {
                    return;
                }
                let rang = this.phase_of(call) >= Some(CallPhase::Ringing);
                this.with_call(now, call, |call| call.handle_left(side, reason_of_failure(&failure, rang)));
            }),
            SipEvent::Cancelled { dialog, reason } => {
                let elsewhere = reason.as_ref().is_some_and(is_answered_elsewhere);
                let reason = if elsewhere { EndReason::AnsweredElsewhere } else { EndReason::Cancelled };
                self.dialog_ended(now, dialog, reason);
            }
            SipEvent::Ended { dialog, reason } => self.dialog_ended(now, dialog, reason_of(&reason)),
            SipEvent::Reinvited { dialog, body } => {
                self.with_dialog(dialog, |this, call, side| this.on_reinvited(now, call, side, &body));
            }
            SipEvent::ReinviteAnswered { dialog, body } => {
                self.with_dialog(dialog, |this, call, side| this.on_reinvite_answered(now, call, side, &body));
            }
            SipEvent::ReinviteFailed { dialog, status } => {
                self.with_dialog(dialog, |this, call, side| this.on_reinvite_failed(now, call, side, status));
            }
            SipEvent::Info { dialog, content_type, body } => self.with_dialog(dialog, |this, call, side| {
                if let Some((digit, duration)) = dtmf_of_info(content_type.as_deref(), &body) {
                    this.on_dtmf(call, side, digit, duration);
                }
            }),
            SipEvent::Registered { registration, address, .. } => self.on_registered(registration, address),
            SipEvent::RegistrationFailed { registration, status, tried } => {
                self.on_registration_failed(registration, status, tried);
            }
            SipEvent::Unregistered { .. } => {}
            SipEvent::OpenFlow { flow, remote } => self.events.push_back(GatewayEvent::OpenFlow { flow, remote }),
            SipEvent::CloseFlow { flow } => self.events.push_back(GatewayEvent::CloseFlow { flow }),
        }
    }

    fn with_dialog(&mut self, dialog: DialogId, act: impl FnOnce(&mut Self, CallId, Side)) {
        let leg: Option<LegId> = self.dialogs.get(&dialog).copied();
        if let Some((call, side)) = leg.and_then(|leg| self.legs.get(&leg).copied()) {
            act(self, call, side);
        }
    }

    fn dialog_ended(&mut self, now: Instant, dialog: DialogId, reason: EndReason) {
        self.with_dialog(dialog, |this, call, side| {
            this.dialog_is_gone(call, side);
            this.with_call(now, call, |call| call.handle_left(side, reason));
        });
    }

    /// Nothing must be sent in this dialog any more.
    fn dialog_is_gone(&mut self, call: CallId, side: Side) {
        let sip = self.calls.get_mut(&call).and_then(|entry| entry.leg_mut(side).sip_mut());
        if let Some(dialog) = sip.and_then(|sip| sip.dialog.take()) {
            self.dialogs.remove(&dialog);
        }
    }

    /// A call from SIP to one of our users.
    fn on_incoming_invite(&mut self, now: Instant, invite: IncomingInvite) {
        let refuse = |this: &mut Self, status: u16| {
            let _ = this.sip.reject(now, invite.dialog, status, &Headers::default());
        };
        if !self.is_trusted_source(invite.source) {
            self.counters.refused_sources += 1;
            return refuse(self, FORBIDDEN);
        }
        if self.draining || self.calls.len() >= self.config.max_calls {
            return refuse(self, UNAVAILABLE);
        }
        let Some(number) = invite.request_uri.user() else { return refuse(self, NOT_FOUND) };
        let Some(callee) = self.clients.by_user(&number) else { return refuse(self, TEMPORARILY_UNAVAILABLE) };
        let Some(user) = self.clients.get(callee) else { return refuse(self, TEMPORARILY_UNAVAILABLE) };
        if user.calls.len() >= self.config.max_calls_per_sign_in {
            return refuse(self, BUSY_HERE);
        }
        let shard = user.shard;
        let to = self.party_of(callee);
        let from = Party {
            number: shorten(invite.from.uri.user().map_or_else(|| invite.from.uri.to_string(), Into::into)),
            display_name: invite.from.display_name.map(shorten),
        };
        let offer = Some(invite.body).filter(|body| !body.is_empty());
        let caller = self.inbound_sip_leg(invite.dialog, offer);
        let callee = self.browser_leg(callee, shard);
        let call = self.insert_call(now, shard, [caller, callee], from, to);
        self.counters.incoming.begin();
        self.request_ports(now, call, Side::Caller, invite.source);
    }

    /// SIP is taken from the proxy, the routes' targets and trusted networks only.
    fn is_trusted_source(&self, source: SocketAddr) -> bool {
        self.config.trusts(source.ip()) || self.hosts.contain(source.ip())
    }
}

fn shorten(text: String) -> String {
    match text.char_indices().nth(MAX_PARTY_CHARS) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

/// A key pressed by INFO, as PBXs send it that know no RFC 4733: `Signal=5` and `Duration=160` (milliseconds) in an
/// `application/dtmf-relay`, or the bare key in an `application/dtmf`.
fn dtmf_of_info(content_type: Option<&str>, body: &[u8]) -> Option<(DtmfDigit, Duration)> {
    const USUAL_MS: u64 = 250;
    let text = std::str::from_utf8(body).ok()?;
    let field = |name: &str| {
        let matching =
            text.lines().filter_map(|line| line.split_once('=')).find(|(n, _)| n.trim().eq_ignore_ascii_case(name));
        matching.map(|(_, value)| value.trim())
    };
    let (key, duration_ms) = match content_type?.split(';').next()?.trim().to_ascii_lowercase().as_str() {
        "application/dtmf-relay" => (field("signal")?, field("duration").and_then(|ms| ms.parse().ok())),
        "application/dtmf" => (text.trim(), None),
        _ => return None,
    };
    let mut keys = key.chars();
    let digit = keys.next().and_then(DtmfDigit::from_char).filter(|_| keys.next().is_none())?;
    Some((digit, Duration::from_millis(duration_ms.unwrap_or(USUAL_MS).min(6000))))
}

/// What the failure of an INVITE means. A Q.850 cause says more than a status that stands for many things (RFC 3326).
fn reason_of_failure(failure: &Failure, rang: bool) -> EndReason {
    match EndReason::from_sip_status(failure.status) {
        // A proxy that gives up ringing says so too (RFC 3261 section 16.8).
        EndReason::Unreachable if failure.status == 408 && rang => EndReason::NoAnswer,
        reason @ (EndReason::NoAnswer | EndReason::Unreachable | EndReason::Failure) => {
            failure.reason.as_ref().and_then(reason_of_cause).unwrap_or(reason)
        }
        reason => reason,
    }
}

fn reason_of_cause(reason: &Reason) -> Option<EndReason> {
    let cause = reason.cause.filter(|_| reason.protocol.eq_ignore_ascii_case("Q.850"))?;
    EndReason::from_q850_cause(cause)
}

/// Another phone took the call (RFC 3326 section 2; cause 26 is non-selected user clearing).
fn is_answered_elsewhere(reason: &Reason) -> bool {
    match reason.protocol.to_ascii_uppercase().as_str() {
        "SIP" => reason.cause == Some(200),
        "Q.850" => reason.cause == Some(26),
        _ => false,
    }
}

/// What the end of a dialog means for its call.
fn reason_of(ended: &Ended) -> EndReason {
    match ended {
        Ended::Bye(Some(reason)) if is_answered_elsewhere(reason) => EndReason::AnsweredElsewhere,
        Ended::Bye(Some(reason)) => reason_of_cause(reason).unwrap_or(EndReason::Hangup),
        Ended::SessionExpired | Ended::Lost { .. } => EndReason::SessionExpired,
        Ended::NoAck | Ended::NoPrack => EndReason::Unreachable,
        Ended::Expired => EndReason::NoAnswer,
        _ => EndReason::Hangup,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_by_info_are_read() {
        let read = |content_type, body: &str| {
            dtmf_of_info(Some(content_type), body.as_bytes()).map(|(digit, time)| (digit.to_char(), time.as_millis()))
        };
        assert_eq!(read("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"), Some(('5', 160)));
        assert_eq!(read("Application/DTMF-Relay;x=y", "signal = #\n"), Some(('#', 250)));
        assert_eq!(read("application/dtmf", "*\r\n"), Some(('*', 250)));
        assert_eq!(read("application/dtmf-relay", "Signal=55"), None);
        assert_eq!(read("application/dtmf-relay", "Duration=160"), None);
        assert_eq!(read("text/plain", "5"), None);
        assert_eq!(dtmf_of_info(Some("application/dtmf"), &[0xff]), None);
    }
}
