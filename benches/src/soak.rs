//! Thousands of short calls over one gateway, in both directions, ended in every way that a call can end. Most have
//! signalling only; every fiftieth has ICE, DTLS and sound.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use webrtc_sip_core::codec::CodecKind;
use webrtc_sip_core::ids::DialogId;
use webrtc_sip_core::sip::Headers;
use webrtc_sip_core::sip::endpoint::SipEvent;

use crate::browser::BrowserKind;
use crate::call_media::CallMedia;
use crate::phones::Phones;
use crate::process::GatewayProcess;
use crate::signalling::{Connector, Said, SignedIn, Way};
use crate::speech::Speech;

const TICK: Duration = Duration::from_millis(1);
/// How long an answered call without sound lasts, and how long a caller waits before giving up.
const SHORT: Duration = Duration::from_millis(150);
/// A call with sound lasts until each side has spoken and heard so many packets, of 20 ms.
const PACKETS: u64 = 50;
/// One call in so many has sound.
const MEDIA_EVERY: usize = 50;
/// A call that isn't over by then counts as lost.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
const HEARTBEAT: Duration = Duration::from_secs(4);
const PHONE_CODEC: CodecKind = CodecKind::Pcmu;

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Plan {
    /// A phone calls, the user answers, the phone hangs up.
    PhoneCallsPhoneEnds,
    /// A phone calls, the user answers and hangs up.
    PhoneCallsUserEnds,
    /// A phone calls and gives up while it rings.
    PhoneCancels,
    /// A phone calls, the user declines.
    UserDeclines,
    /// The user calls, the phone answers, the user hangs up.
    UserCallsUserEnds,
    /// The user calls, the phone answers and hangs up.
    UserCallsPhoneEnds,
    /// The user calls and gives up while it rings.
    UserCancels,
    /// The user calls a phone that is busy.
    PhoneIsBusy,
}

impl Plan {
    const ALL: [Plan; 8] = [
        Plan::PhoneCallsPhoneEnds,
        Plan::UserCallsUserEnds,
        Plan::PhoneCancels,
        Plan::UserCancels,
        Plan::PhoneCallsUserEnds,
        Plan::UserCallsPhoneEnds,
        Plan::UserDeclines,
        Plan::PhoneIsBusy,
    ];

    fn phone_calls(self) -> bool {
        matches!(self, Plan::PhoneCallsPhoneEnds | Plan::PhoneCallsUserEnds | Plan::PhoneCancels | Plan::UserDeclines)
    }

    fn is_answered(self) -> bool {
        use Plan::*;
        matches!(self, PhoneCallsPhoneEnds | PhoneCallsUserEnds | UserCallsUserEnds | UserCallsPhoneEnds)
    }

    /// `reason` in the user's `call.ended`.
    fn expected_reason(self) -> &'static str {
        match self {
            Plan::PhoneCancels | Plan::UserCancels => "cancelled",
            Plan::UserDeclines => "rejected",
            Plan::PhoneIsBusy => "busy",
            _ => "hangup",
        }
    }
}

struct Call {
    plan: Plan,
    started: Instant,
    media: CallMedia,
    has_sound: bool,
    dialog: Option<DialogId>,
    id: Option<String>,
    /// When it is up (or rings), somebody ends it a while later.
    ends_at: Option<Instant>,
    /// Why it ended, as the user was told.
    reason: Option<String>,
    dialog_over: bool,
}

impl Call {
    /// Packets that each side has spoken, and that each has heard.
    fn packets(&self) -> (u64, u64) {
        (self.media.sent / 2, self.media.browser.hearing.packets.min(self.media.phone.hearing.packets))
    }
}

struct User {
    client: SignedIn,
    call: Option<Call>,
    heartbeat_at: Instant,
}

/// What became of the calls.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Calls that went as planned.
    pub as_planned: usize,
    /// Those of them that had sound.
    pub with_sound: usize,
    /// What went wrong, and how often.
    pub faults: BTreeMap<String, usize>,
}

/// The calls of some users over one gateway.
pub struct Soak<'a> {
    gateway: &'a GatewayProcess,
    phones: Phones,
    kind: BrowserKind,
    users: Vec<User>,
    free: VecDeque<usize>,
    by_dialog: HashMap<DialogId, usize>,
    events: VecDeque<SipEvent>,
    browser_speech: Speech,
    phone_speech: Speech,
    started: usize,
    tick: u64,
    /// What became of the calls so far.
    pub outcome: Outcome,
}

impl<'a> Soak<'a> {
    /// Signs the users in.
    pub fn new(gateway: &'a GatewayProcess, phones: Phones, users: usize) -> Self {
        let connector = Connector::new(gateway);
        let now = Instant::now();
        let user = |number| User {
            client: connector.sign_in(Way::WebSocket, number),
            call: None,
            heartbeat_at: now + HEARTBEAT * number as u32 / users as u32,
        };
        Soak {
            gateway,
            phones,
            kind: BrowserKind::new(&[CodecKind::Opus, PHONE_CODEC]),
            users: (0..users).map(user).collect(),
            free: (0..users).collect(),
            by_dialog: HashMap::new(),
            events: VecDeque::new(),
            browser_speech: Speech::of_browser(CodecKind::Opus),
            phone_speech: Speech::of_phone(PHONE_CODEC),
            started: 0,
            tick: 0,
            outcome: Outcome::default(),
        }
    }

    /// Makes `count` calls, `rate` a second at most, and waits for the last to end.
    pub fn run(&mut self, count: usize, rate: f64) {
        let begin = Instant::now();
        let first = self.started;
        while self.started < first + count || self.free.len() < self.users.len() {
            let due = ((begin.elapsed().as_secs_f64() * rate) as usize).min(count);
            while self.started < first + due
                && let Some(user) = self.free.pop_front()
            {
                self.begin(user);
            }
            self.step();
        }
    }

    /// Serves the users while nobody calls.
    pub fn rest(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.step();
        }
    }

    fn begin(&mut self, index: usize) {
        let now = Instant::now();
        let number = self.started;
        self.started += 1;
        let has_sound = number.is_multiple_of(MEDIA_EVERY);
        let mut plan = Plan::ALL[number % Plan::ALL.len()];
        if has_sound {
            let answered = Plan::ALL.into_iter().filter(|plan| plan.is_answered());
            plan = answered.cycle().nth(number / MEDIA_EVERY % 4).unwrap_or(plan);
        }
        let mut media = CallMedia::new(now, &self.kind, PHONE_CODEC, number as u32 + 1);
        let mut dialog = None;
        if plan.phone_calls() {
            let offer = media.phone.offer();
            dialog = self.phones.call(now, self.gateway.sip, &format!("u{index}"), &offer);
            if let Some(dialog) = dialog {
                self.by_dialog.insert(dialog, index);
            }
        } else {
            let params = json!({"to": format!("9{index}"), "sdp": media.browser.offer()});
            self.users[index].client.request("call.create", params);
        }
        let call = Call {
            plan,
            started: now,
            media,
            has_sound,
            dialog,
            id: None,
            ends_at: None,
            reason: None,
            dialog_over: false,
        };
        self.users[index].call = Some(call);
    }

    fn step(&mut self) {
        std::thread::sleep(TICK);
        self.tick += 1;
        let now = Instant::now();
        self.serve_phones(now);
        for index in 0..self.users.len() {
            let user = &mut self.users[index];
            if user.heartbeat_at <= now {
                user.heartbeat_at = now + HEARTBEAT;
                user.client.heartbeat();
            }
            // Those without a call have nothing to hear but answers to heartbeats.
            if user.call.is_some() || (self.tick + index as u64).is_multiple_of(64) {
                self.serve_user(now, index);
            }
        }
        self.phones.flush(now);
    }

    // The users

    fn serve_user(&mut self, now: Instant, index: usize) {
        while let Some(said) = self.users[index].client.poll() {
            match said {
                Said::Response(_, Ok(result)) => self.on_response(now, index, &result),
                Said::Response(_, Err(reason)) => self.fault(format!("a request was refused: {reason}")),
                Said::Notification(method, params) => self.on_notification(now, index, &method, &params),
            }
        }
        self.serve_call(now, index);
    }

    fn on_response(&mut self, now: Instant, index: usize, result: &Value) {
        let Some(call) = self.users[index].call.as_mut() else { return };
        let Some(sdp) = result["sdp"].as_str() else { return };
        call.id = result["callId"].as_str().map(str::to_owned);
        if call.media.browser.handle_answer(now, sdp).is_err() {
            self.fault("the gateway's answer doesn't fit".to_owned());
        }
    }

    fn on_notification(&mut self, now: Instant, index: usize, method: &str, params: &Value) {
        let User { client, call: Some(call), .. } = &mut self.users[index] else { return };
        match method {
            "call.incoming" => {
                let id = params["callId"].as_str().unwrap_or_default();
                call.id = Some(id.to_owned());
                match call.plan {
                    Plan::UserDeclines => drop(client.request("call.reject", json!({ "callId": id }))),
                    Plan::PhoneCancels => call.ends_at = Some(now + SHORT),
                    _ => match call.media.browser.answer(now, params["sdp"].as_str().unwrap_or_default()) {
                        Ok(sdp) => drop(client.request("call.answer", json!({"callId": id, "sdp": sdp}))),
                        Err(error) => self.fault(format!("the gateway's offer: {error}")),
                    },
                }
            }
            "call.answered" if !call.has_sound => call.ends_at = Some(now + SHORT),
            "call.ringing" if call.plan == Plan::UserCancels => call.ends_at = Some(now + SHORT),
            "call.ended" => {
                call.reason = params["reason"].as_str().map(str::to_owned);
                if call.plan == Plan::UserCancels && call.dialog.is_none() {
                    call.dialog_over = true;
                }
            }
            _ => {}
        }
    }

    fn serve_call(&mut self, now: Instant, index: usize) {
        let User { client, call: Some(call), .. } = &mut self.users[index] else { return };
        if call.has_sound && call.reason.is_none() {
            let due = (self.tick + index as u64).is_multiple_of(20);
            if due || !call.media.is_up() {
                call.media.listen(now);
            }
            if due && call.media.is_up() {
                call.media.speak(&self.browser_speech, &self.phone_speech);
            }
            let (spoken, heard) = call.packets();
            if spoken.min(heard) >= PACKETS {
                call.ends_at.get_or_insert(now);
            }
        }
        if call.ends_at.is_some_and(|at| at <= now) {
            call.ends_at = Some(now + CALL_TIMEOUT);
            let hang_up = json!({ "callId": call.id });
            // What is refused here shows in a call that doesn't end as planned.
            match (call.plan, call.dialog) {
                (Plan::PhoneCallsPhoneEnds | Plan::UserCallsPhoneEnds, Some(dialog)) => {
                    let _ = self.phones.endpoint.bye(now, dialog, None);
                }
                (Plan::PhoneCancels, Some(dialog)) => drop(self.phones.endpoint.cancel(now, dialog, None)),
                _ => drop(client.request("call.hangup", hang_up)),
            }
        }
        let over = call.reason.is_some() && call.dialog_over;
        if over || now > call.started + CALL_TIMEOUT {
            self.finish(index, over);
        }
    }

    fn finish(&mut self, index: usize, over: bool) {
        let Some(call) = self.users[index].call.take() else { return };
        if let Some(dialog) = call.dialog {
            self.by_dialog.remove(&dialog);
        }
        self.free.push_back(index);
        let plan = call.plan;
        let (spoken, heard) = call.packets();
        if !over {
            let (reason, dialog_over, sound) = (&call.reason, call.dialog_over, spoken.min(heard) >= PACKETS);
            return self.fault(format!("{plan:?} didn't end: {reason:?}, dialog over: {dialog_over}, sound: {sound}"));
        }
        let reason = call.reason.unwrap_or_default();
        if reason != plan.expected_reason() {
            return self.fault(format!("{plan:?} ended as {reason}"));
        }
        if call.has_sound {
            let refused = call.media.browser.hearing.refused + call.media.phone.hearing.refused;
            if refused > 0 || heard < spoken - spoken / 4 {
                return self
                    .fault(format!("{plan:?}: of {spoken} packets {heard} were heard, {refused} couldn't be read"));
            }
            self.outcome.with_sound += 1;
        }
        self.outcome.as_planned += 1;
    }

    fn fault(&mut self, what: String) {
        *self.outcome.faults.entry(what).or_default() += 1;
    }

    // The phones

    fn serve_phones(&mut self, now: Instant) {
        self.phones.step(now, &mut self.events);
        while let Some(event) = self.events.pop_front() {
            match event {
                SipEvent::IncomingInvite(invite) => {
                    let user = invite.request_uri.user().and_then(|user| user.strip_prefix('9')?.parse().ok());
                    self.on_invite(now, user, invite.dialog, &invite.body);
                }
                SipEvent::Answered { dialog, body } => {
                    if let Some(call) = self.call_of(dialog) {
                        call.media.phone.handle_answer(&body);
                        if !call.has_sound {
                            call.ends_at = Some(now + SHORT);
                        }
                        call.media.answered = true;
                    }
                }
                SipEvent::Failed { dialog, .. }
                | SipEvent::Cancelled { dialog, .. }
                | SipEvent::Ended { dialog, .. } => {
                    if let Some(call) = self.call_of(dialog) {
                        call.dialog_over = true;
                    }
                }
                _ => {}
            }
        }
    }

    fn call_of(&mut self, dialog: DialogId) -> Option<&mut Call> {
        let user = *self.by_dialog.get(&dialog)?;
        self.users[user].call.as_mut().filter(|call| call.dialog == Some(dialog))
    }

    fn on_invite(&mut self, now: Instant, user: Option<usize>, dialog: DialogId, offer: &[u8]) {
        let known = user.and_then(|user| Some((user, self.users.get_mut(user)?.call.as_mut()?)));
        let Some((user, call)) = known else {
            let _ = self.phones.endpoint.reject(now, dialog, 404, &Headers::default());
            return self.fault("an INVITE for nobody".to_owned());
        };
        call.dialog = Some(dialog);
        self.by_dialog.insert(dialog, user);
        let endpoint = &mut self.phones.endpoint;
        // What fails here shows in a call that doesn't end as planned.
        let _ = match (call.plan, call.media.phone.answer(offer)) {
            (Plan::PhoneIsBusy, _) => endpoint.reject(now, dialog, 486, &Headers::default()),
            (Plan::UserCancels, _) => endpoint.ring(now, dialog, 180, None),
            (_, Some(answer)) => {
                call.media.answered = true;
                endpoint.answer(now, dialog, answer.into())
            }
            (_, None) => endpoint.reject(now, dialog, 488, &Headers::default()),
        };
    }
}
