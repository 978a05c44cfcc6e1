//! What the SIP endpoint reports.

use std::net::SocketAddr;
use std::time::Instant;

use crate::call::{EndReason, Side};
use crate::ids::{CallId, DialogId, LegId};
use crate::sip::Headers;
use crate::sip::endpoint::{Ended, IncomingInvite, SipEvent};

use super::leg::Party;
use super::{Gateway, GatewayEvent};

const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;
const BUSY_HERE: u16 = 486;
const UNAVAILABLE: u16 = 503;

impl Gateway {
    pub(super) fn on_sip_event(&mut self, now: Instant, event: SipEvent) {
        match event {
            SipEvent::IncomingInvite(invite) => self.on_incoming_invite(now, *invite),
            SipEvent::Ringing { dialog, body, .. } => self.with_dialog(dialog, |this, call, side| {
                let early = !body.is_empty() && this.take_answer(now, call, side, &body, false);
                this.with_call(now, call, |call| {
                    call.handle_ringing();
                    if early {
                        call.handle_early_media();
                    }
                });
            }),
            SipEvent::Answered { dialog, body } => self.with_dialog(dialog, |this, call, side| {
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
                if !body.is_empty() {
                    this.take_answer(now, call, side, &body, true);
                }
            }),
            SipEvent::Failed { dialog, failure } => self.with_dialog(dialog, |this, call, side| {
                this.dialog_is_gone(call, side);
                this.with_call(now, call, |call| call.handle_left(side, EndReason::from_sip_status(failure.status)));
            }),
            SipEvent::Cancelled { dialog, .. } => self.dialog_ended(now, dialog, EndReason::Cancelled),
            SipEvent::Ended { dialog, reason } => self.dialog_ended(now, dialog, reason_of(&reason)),
            SipEvent::Reinvited { dialog, body } => {
                self.with_dialog(dialog, |this, call, side| this.on_reinvited(now, call, side, &body));
            }
            SipEvent::ReinviteAnswered { dialog, body } => {
                self.with_dialog(dialog, |this, call, side| this.on_reinvite_answered(now, call, side, &body));
            }
            SipEvent::ReinviteFailed { dialog, .. } => {
                self.with_dialog(dialog, |this, call, side| this.on_reinvite_failed(now, call, side));
            }
            SipEvent::Info { .. } => {}
            SipEvent::Registered { registration, .. } => self.on_registered(registration),
            SipEvent::RegistrationFailed { registration, .. } => self.on_registration_failed(registration),
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
        let number = invite.request_uri.user().unwrap_or_default();
        let Some(callee) = self.clients.by_user(&number) else { return refuse(self, NOT_FOUND) };
        let Some(user) = self.clients.get(callee) else { return refuse(self, NOT_FOUND) };
        if user.calls.len() >= self.config.max_calls_per_sign_in {
            return refuse(self, BUSY_HERE);
        }
        let shard = user.shard;
        let to = self.party_of(callee);
        let from = Party {
            number: invite.from.uri.user().map_or_else(|| invite.from.uri.to_string(), Into::into),
            display_name: invite.from.display_name,
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
        let ip = source.ip().to_canonical();
        self.config.trusts(ip)
            || self.proxy_address.is_some_and(|proxy| proxy.ip().to_canonical() == ip)
            || self.config.routes.iter().any(|route| route.target.host.parse() == Ok(ip))
    }
}

/// What the end of a dialog means for its call.
fn reason_of(ended: &Ended) -> EndReason {
    match ended {
        Ended::SessionExpired | Ended::Lost { .. } => EndReason::SessionExpired,
        Ended::NoAck | Ended::NoPrack => EndReason::Unreachable,
        Ended::Expired => EndReason::NoAnswer,
        _ => EndReason::Hangup,
    }
}
