//! The table of calls: making them, carrying out what [`Call`] decides, freeing what they held.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::call::{Call, CallAction, CallPhase, EndReason, EndedBy, Ending, Side, Warning};
use crate::ids::{CallId, LegId, ShardId, SignInId};
use crate::media::MediaCommand;

use super::client::rpc::{self, Method, RpcError};
use super::leg::{CallEntry, Leg, LegKind, Party};
use super::routing::{self, Target};
use super::session::millis;
use super::{CallRecord, Gateway, GatewayEvent, MediaPorts};

/// How long a shard has to report that an ended call's media are gone, before they are taken for gone.
const MEDIA_REMOVAL: Duration = Duration::from_secs(5);

impl Gateway {
    // Making calls

    /// `call.create`.
    pub(super) fn create_call(
        &mut self,
        now: Instant,
        sign_in: SignInId,
        params: rpc::Create,
    ) -> Result<Value, RpcError> {
        let user = self.clients.get(sign_in).ok_or(RpcError::NotSignedIn)?;
        if self.draining {
            return Err(RpcError::Unavailable);
        }
        if user.calls.len() >= self.config.max_calls_per_sign_in || self.calls.len() >= self.config.max_calls {
            return Err(RpcError::TooMany);
        }
        let shard = user.shard;
        let from = self.party_of(sign_in);
        let target = routing::find(&self.config, &params.to, |user| self.clients.by_user(user))?;
        let (caller, remote, answer) = self.answer_browser_leg(sign_in, shard, &params.sdp)?;
        let callee = match &target {
            Target::User(callee) => self.browser_leg(*callee, shard),
            Target::Sip { request_uri, next_hop } => self.outbound_sip_leg(request_uri.clone(), next_hop),
        };
        let to = match &target {
            Target::User(callee) => self.party_of(*callee),
            Target::Sip { .. } => Party { number: params.to.trim().to_owned(), display_name: None },
        };
        let caller_id = caller.id;
        let call = self.insert_call(now, shard, [caller, callee], from, to);
        self.counters.outgoing.begin();
        self.start_browser_media(call, Side::Caller, remote);
        match target {
            Target::User(_) => self.offer_to_browser(now, call),
            Target::Sip { .. } => self.call_sip(now, call),
        }
        Ok(json!({ "callId": client_call_id(caller_id), "sdp": answer }))
    }

    /// Adds a call to the table, and to those of each browser's sign-in.
    pub(super) fn insert_call(
        &mut self,
        now: Instant,
        shard: ShardId,
        legs: [Leg; 2],
        from: Party,
        to: Party,
    ) -> CallId {
        let id = loop {
            let id = CallId(self.rng.u64());
            if !self.calls.contains_key(&id) {
                break id;
            }
        };
        let call = Call::new(now, self.config.ring_timeout, self.config.media_recovery);
        self.insert_entry(id, CallEntry::new(call, shard, legs, from, to));
        id
    }

    pub(super) fn insert_entry(&mut self, id: CallId, entry: CallEntry) {
        for (leg, side) in entry.legs.iter().zip(Side::BOTH) {
            self.legs.insert(leg.id, (id, side));
            if let Some(browser) = leg.browser()
                && let Some(sign_in) = self.clients.get_mut(browser.sign_in)
            {
                sign_in.calls.push(leg.id);
            }
        }
        self.calls.insert(id, entry);
        self.set_call_timer(id);
    }

    pub(super) fn draw_leg_id(&mut self) -> LegId {
        loop {
            let id = LegId(self.rng.u64());
            if !self.legs.contains_key(&id) {
                return id;
            }
        }
    }

    pub(super) fn party_of(&self, sign_in: SignInId) -> Party {
        self.clients.get(sign_in).map_or_else(Party::default, |sign_in| Party {
            number: sign_in.identity.user.clone(),
            display_name: sign_in.identity.display_name.clone(),
        })
    }

    // The client's side of its calls

    /// The `call.*` methods.
    pub(super) fn on_call_method(
        &mut self,
        now: Instant,
        sign_in: SignInId,
        method: Method,
    ) -> Result<Value, RpcError> {
        match method {
            Method::Create(params) => return self.create_call(now, sign_in, params),
            Method::Answer(params) => {
                let (call, side) = self.find_call(sign_in, &params.call_id)?;
                self.browser_answers(now, call, side, &params.sdp)?;
            }
            Method::Reject(params) => {
                let (call, side) = self.find_call(sign_in, &params.call_id)?;
                if side != Side::Callee || self.phase_of(call) >= Some(CallPhase::Answered) {
                    return Err(RpcError::WrongState);
                }
                self.with_call(now, call, |call| call.handle_left(side, params.reason.into()));
            }
            Method::HangUp(params) => {
                let (call, side) = self.find_call(sign_in, &params.call_id)?;
                self.with_call(now, call, |call| call.handle_left(side, EndReason::Hangup));
            }
            Method::Update(params) => {
                let (call, side) = self.find_call(sign_in, &params.call_id)?;
                let sdp = self.update_browser_leg(now, call, side, &params.sdp)?;
                return Ok(json!({ "sdp": sdp }));
            }
            Method::Candidate(params) => {
                let (call, side) = self.find_call(sign_in, &params.call_id)?;
                self.add_candidate(call, side, params.candidate)?;
            }
            Method::Hold(params) => self.hold(now, sign_in, &params.call_id, true)?,
            Method::Unhold(params) => self.hold(now, sign_in, &params.call_id, false)?,
            Method::Dtmf(params) => {
                let (call, side) = self.find_call(sign_in, &params.call_id)?;
                self.send_dtmf(call, side.other(), &params)?;
            }
            Method::SignIn(_) | Method::Resume(_) | Method::Refresh | Method::Heartbeat(_) | Method::SignOut => {
                return Err(RpcError::UnknownMethod);
            }
        }
        Ok(json!({}))
    }

    fn hold(&mut self, now: Instant, sign_in: SignInId, call_id: &str, held: bool) -> Result<(), RpcError> {
        let (call, side) = self.find_call(sign_in, call_id)?;
        if self.phase_of(call) != Some(CallPhase::Answered) {
            return Err(RpcError::WrongState);
        }
        self.with_call(now, call, |call| {
            call.handle_hold(side, held);
        });
        Ok(())
    }

    /// A client is gone or signs out.
    pub(super) fn client_leaves(&mut self, now: Instant, leg: LegId, reason: EndReason) {
        if let Some((call, side)) = self.legs.get(&leg).copied() {
            self.with_call(now, call, |call| call.handle_left(side, reason));
        }
    }

    /// A call of this sign-in, by the id that its client knows it by.
    fn find_call(&self, sign_in: SignInId, call_id: &str) -> Result<(CallId, Side), RpcError> {
        let leg = u64::from_str_radix(call_id, 16).map(LegId).map_err(|_| RpcError::UnknownCall)?;
        let user = self.clients.get(sign_in).ok_or(RpcError::NotSignedIn)?;
        if !user.calls.contains(&leg) {
            return Err(RpcError::UnknownCall);
        }
        self.legs.get(&leg).copied().ok_or(RpcError::UnknownCall)
    }

    /// A call as told to a client that resumes.
    pub(super) fn describe_call(&self, leg: LegId) -> Option<Value> {
        let (call, side) = *self.legs.get(&leg)?;
        let entry = self.calls.get(&call)?;
        let state = match (entry.call.phase(), side) {
            (CallPhase::Calling, Side::Caller) => "calling",
            (CallPhase::Ringing, Side::Caller) => "ringing",
            (CallPhase::EarlyMedia, Side::Caller) => "earlyMedia",
            (CallPhase::Answered, _) => "answered",
            (CallPhase::Ended, _) => return None,
            (_, Side::Callee) => "incoming",
        };
        Some(json!({
            "callId": client_call_id(leg),
            "state": state,
            "direction": match side { Side::Caller => "outgoing", Side::Callee => "incoming" },
            "from": entry.from.number,
            "to": entry.to.number,
            "held": entry.call.is_held_by(side),
            "heldByRemote": entry.call.is_held_by(side.other()),
        }))
    }

    /// Tells the browser on this side of a call something; does nothing for a SIP leg.
    pub(super) fn notify_leg(&mut self, call: CallId, side: Side, method: &str, mut params: Value) {
        let Some(leg) = self.calls.get(&call).map(|entry| entry.leg(side)) else { return };
        let Some(browser) = leg.browser() else { return };
        params["callId"] = client_call_id(leg.id).into();
        self.clients.notify(browser.sign_in, method, params);
    }

    // Carrying out decisions

    pub(super) fn phase_of(&self, call: CallId) -> Option<CallPhase> {
        self.calls.get(&call).map(|entry| entry.call.phase())
    }

    /// Tells a call something and carries out what it decides.
    pub(super) fn with_call(&mut self, now: Instant, id: CallId, tell: impl FnOnce(&mut Call)) {
        if let Some(entry) = self.calls.get_mut(&id) {
            tell(&mut entry.call);
            self.run_actions(now, id);
        }
    }

    fn run_actions(&mut self, now: Instant, id: CallId) {
        while let Some(action) = self.calls.get_mut(&id).and_then(|entry| entry.call.poll_action()) {
            self.run_action(now, id, action);
        }
        self.set_call_timer(id);
    }

    fn run_action(&mut self, now: Instant, id: CallId, action: CallAction) {
        match action {
            CallAction::TellRinging => {
                self.notify_leg(id, Side::Caller, "call.ringing", json!({}));
                self.ring_sip(now, id, Side::Caller);
            }
            CallAction::ConnectEarly => {
                self.bridge(id);
                self.notify_leg(id, Side::Caller, "call.earlyMedia", json!({}));
            }
            CallAction::Connect => {
                self.count_audio(id);
                self.bridge(id);
                self.answer_sip(now, id, Side::Caller);
                for side in Side::BOTH {
                    let codec = self.codec_of(id, side);
                    self.notify_leg(id, side, "call.answered", json!({ "codec": codec }));
                }
                self.hold_from_the_start(id);
            }
            CallAction::Hold { by, held } => self.tell_hold(now, id, by, held),
            CallAction::Warn { about, warning } => self.warn(id, about, warning),
            CallAction::EndLeg { side, ending } => self.end_leg(now, id, side, ending),
            CallAction::Finished { ending } => self.finish_call(now, id, ending),
        }
    }

    /// A SIP peer's first offer or answer may hold us already, as third-party call control does it (RFC 3725).
    fn hold_from_the_start(&mut self, id: CallId) {
        let Some(entry) = self.calls.get_mut(&id) else { return };
        for side in Side::BOTH {
            if entry.leg(side).sip().is_some_and(|sip| sip.remote_hold) {
                entry.call.handle_hold(side, true);
            }
        }
    }

    fn tell_hold(&mut self, now: Instant, id: CallId, by: Side, held: bool) {
        let method = if held { "call.held" } else { "call.resumed" };
        self.notify_leg(id, by, method, json!({ "by": "local" }));
        self.notify_leg(id, by.other(), method, json!({ "by": "remote" }));
        self.apply_audio(id, by);
        self.hold_sip(now, id, by.other(), held);
    }

    fn warn(&mut self, id: CallId, about: Side, warning: Warning) {
        let reason = match warning {
            Warning::MediaLost => "media_disconnected",
            Warning::MediaRestored => "media_restored",
        };
        for side in Side::BOTH {
            let who = if side == about { "local" } else { "remote" };
            self.notify_leg(id, side, "call.warning", json!({ "reason": reason, "side": who }));
        }
    }

    /// The codec in which a side's media are sent, by its common name.
    pub(super) fn codec_of(&self, id: CallId, side: Side) -> Option<&'static str> {
        let audio = self.calls.get(&id)?.leg(side).audio.as_ref()?;
        Some(audio.format.codec.encoding_name())
    }

    pub(super) fn count_audio(&mut self, id: CallId) {
        if let Some(entry) = self.calls.get_mut(&id).filter(|entry| !entry.audio_counted) {
            entry.audio_counted = true;
            self.counters.audio.begin();
        }
    }

    // The end

    fn end_leg(&mut self, now: Instant, id: CallId, side: Side, ending: Ending) {
        let Some(entry) = self.calls.get(&id) else { return };
        let leg = entry.leg(side);
        let leg_id = leg.id;
        let duration = entry.call.answered_at().map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        match &leg.kind {
            LegKind::Browser(browser) => {
                let sign_in = browser.sign_in;
                let by = match ending.by {
                    EndedBy::Side(by) if by == side => "local",
                    EndedBy::Side(_) => "remote",
                    EndedBy::Gateway => "gateway",
                };
                let params = json!({
                    "reason": ending.reason.name(),
                    "text": ending.reason.text(),
                    "sipStatus": ending.reason.sip_status(),
                    "q850Cause": ending.reason.q850_cause(),
                    "by": by,
                    "durationMs": millis(duration),
                });
                self.notify_leg(id, side, "call.ended", params);
                if let Some(sign_in) = self.clients.get_mut(sign_in) {
                    sign_in.calls.retain(|call| *call != leg_id);
                }
            }
            LegKind::Sip(_) => self.end_sip(now, id, side, ending),
        }
        if self.calls.get(&id).is_some_and(|entry| entry.leg(side).has_media) {
            self.media_command(id, MediaCommand::RemoveLeg { leg: leg_id });
        } else {
            self.legs.remove(&leg_id);
        }
    }

    /// Both legs are told; what is left are the media.
    fn finish_call(&mut self, now: Instant, id: CallId, ending: Ending) {
        if let Some(entry) = self.calls.get_mut(&id) {
            entry.ended = Some((ending, now));
            self.forget_if_free(id);
        }
    }

    /// A shard has freed a leg, or isn't expected to any more.
    pub(super) fn leg_is_free(&mut self, id: CallId, side: Side) {
        let Some(entry) = self.calls.get_mut(&id) else { return };
        let leg = entry.leg_mut(side);
        leg.has_media = false;
        let leg_id = leg.id;
        let ports = leg.sip_mut().and_then(|sip| sip.ports.take());
        if let Some(ports) = ports {
            self.release_ports(ports);
        }
        self.legs.remove(&leg_id);
        self.forget_if_free(id);
    }

    pub(super) fn release_ports(&mut self, ports: MediaPorts) {
        let MediaPorts { shard, rtp, rtcp, .. } = ports;
        self.events.push_back(GatewayEvent::ReleaseMediaPorts { shard, rtp, rtcp });
    }

    /// Takes a call that is over out of the table once its media are gone.
    fn forget_if_free(&mut self, id: CallId) {
        let Some(entry) = self.calls.get(&id) else { return };
        let Some((ending, ended_at)) = entry.ended else { return };
        if entry.legs.iter().any(|leg| leg.has_media) {
            return;
        }
        let Some(entry) = self.calls.remove(&id) else { return };
        self.timers.cancel(&id);
        let is_outgoing = entry.leg(Side::Caller).browser().is_some();
        if is_outgoing {
            self.counters.outgoing.end()
        } else {
            self.counters.incoming.end()
        }
        if entry.audio_counted {
            self.counters.audio.end();
        }
        if entry.transcoding {
            self.counters.transcoding.end();
        }
        let since = |start: Instant| ended_at.saturating_duration_since(start);
        self.events.push_back(GatewayEvent::CallEnded(Box::new(CallRecord {
            call: id,
            from: entry.from.number,
            to: entry.to.number,
            duration: since(entry.call.started_at()),
            talk_time: entry.call.answered_at().map(since),
            reason: ending.reason,
            legs: entry.legs.map(|leg| leg.stats),
        })));
        if self.is_drained() {
            self.events.push_back(GatewayEvent::Drained);
        }
    }

    // Time

    fn set_call_timer(&mut self, id: CallId) {
        let Some(entry) = self.calls.get(&id) else { return };
        let deadline = match entry.ended {
            Some((_, at)) => Some(at + MEDIA_REMOVAL),
            None => entry.call.poll_timeout(),
        };
        match deadline {
            Some(deadline) => self.timers.set(id, deadline),
            None => {
                self.timers.cancel(&id);
            }
        }
    }

    pub(super) fn on_call_timer(&mut self, now: Instant, id: CallId) {
        if self.calls.get(&id).is_some_and(|entry| entry.ended.is_some()) {
            for side in Side::BOTH {
                self.leg_is_free(id, side);
            }
        } else {
            self.with_call(now, id, |call| call.handle_timeout(now));
        }
    }

    pub(super) fn media_command(&mut self, id: CallId, command: MediaCommand) {
        if let Some(entry) = self.calls.get(&id) {
            self.events.push_back(GatewayEvent::Media { shard: entry.shard, command });
        }
    }
}

/// The id by which a client knows its leg of a call.
pub(super) fn client_call_id(leg: LegId) -> String {
    format!("{:016x}", leg.0)
}
