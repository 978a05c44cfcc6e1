//! Whole calls: each a signed-in browser and the phone that it calls, both with media, all served from one loop that
//! ticks every millisecond. Packets of different calls are spread evenly over 20 ms.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::json;
use webrtc_sip_core::codec::CodecKind;
use webrtc_sip_core::sip::Headers;
use webrtc_sip_core::sip::endpoint::SipEvent;

use crate::browser::BrowserKind;
use crate::call_media::CallMedia;
use crate::phones::Phones;
use crate::process::GatewayProcess;
use crate::signalling::{Connector, Said, SignedIn, Way};
use crate::speech::Speech;

const TICK: Duration = Duration::from_millis(1);
/// Ticks between two packets of a call, and so the number of groups that calls are spread over.
const GROUPS: u64 = 20;
/// New calls a second.
const CALL_RATE: u32 = 50;
const SET_UP_TIMEOUT: Duration = Duration::from_secs(20);
/// Longer than any jitter buffer holds packets.
const DRAIN: Duration = Duration::from_millis(400);

/// Which codecs a load uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codecs {
    /// Of browsers.
    pub browser: CodecKind,
    /// Of phones.
    pub phone: CodecKind,
}

/// What was sent and heard by all calls together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets that browsers and phones sent.
    pub sent: u64,
    /// Packets that they heard.
    pub heard: u64,
    /// Holes in the sequence numbers of what was heard.
    pub missing: u64,
    /// Packets that couldn't be read.
    pub refused: u64,
}

impl Totals {
    /// What came after `before`.
    pub fn since(&self, before: &Totals) -> Totals {
        Totals {
            sent: self.sent - before.sent,
            heard: self.heard - before.heard,
            missing: self.missing.saturating_sub(before.missing),
            refused: self.refused - before.refused,
        }
    }
}

/// Browsers and phones in calls over one gateway.
pub struct Load {
    kind: BrowserKind,
    codecs: Codecs,
    phones: Phones,
    calls: Vec<Call>,
    events: VecDeque<SipEvent>,
    browser_speech: Speech,
    phone_speech: Speech,
    next_tick: Instant,
    tick: u64,
    speaking: bool,
}

struct Call {
    client: SignedIn,
    id: Option<String>,
    media: Option<CallMedia>,
}

impl Load {
    /// Signs `count` users in, each at its browser. `phones` is where the gateway sends its calls to.
    pub fn new(gateway: &GatewayProcess, phones: Phones, codecs: Codecs, count: usize) -> Self {
        let connector = Connector::new(gateway);
        let call = |user| Call { client: connector.sign_in(Way::WebSocket, user), id: None, media: None };
        Load {
            kind: BrowserKind::new(&[codecs.browser]),
            codecs,
            phones,
            calls: (0..count).map(call).collect(),
            events: VecDeque::new(),
            browser_speech: Speech::of_browser(codecs.browser),
            phone_speech: Speech::of_phone(codecs.phone),
            next_tick: Instant::now(),
            tick: 0,
            speaking: false,
        }
    }

    /// Sets up calls of the first `count` users and waits until media could flow in all of them.
    pub fn set_up(&mut self, count: usize) {
        let pause = Duration::from_secs(1) / CALL_RATE;
        for index in 0..count {
            self.create(index);
            self.run_for(pause);
        }
        let deadline = Instant::now() + SET_UP_TIMEOUT;
        while !self.calls[..count].iter().all(|call| call.media.as_ref().is_some_and(CallMedia::is_up)) {
            let up = self.calls.iter().filter(|call| call.media.as_ref().is_some_and(CallMedia::is_up)).count();
            assert!(Instant::now() < deadline, "only {up} of {count} calls came up");
            self.step();
        }
    }

    fn create(&mut self, index: usize) {
        let mut media = CallMedia::new(Instant::now(), &self.kind, self.codecs.phone, index as u32 + 1);
        let offer = media.browser.offer();
        let call = &mut self.calls[index];
        call.media = Some(media);
        call.client.request("call.create", json!({"to": format!("9{index}"), "sdp": offer}));
    }

    /// Speaks in all calls, for this long.
    pub fn talk(&mut self, time: Duration) {
        self.speaking = true;
        self.run_for(time);
        self.speaking = false;
    }

    /// Waits until what is under way has arrived.
    pub fn settle(&mut self) {
        self.run_for(DRAIN);
    }

    /// Ends all calls and waits until the phones have no dialog left.
    pub fn hang_up(&mut self) {
        for call in &mut self.calls {
            call.media = None;
            if let Some(id) = call.id.take() {
                call.client.request("call.hangup", json!({ "callId": id }));
            }
        }
        let deadline = Instant::now() + SET_UP_TIMEOUT;
        while self.phones.endpoint.stats().dialogs > 0 {
            assert!(Instant::now() < deadline, "{} dialogs are left", self.phones.endpoint.stats().dialogs);
            self.step();
        }
        self.settle();
    }

    /// Sums over all calls.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for media in self.calls.iter().filter_map(|call| call.media.as_ref()) {
            totals.sent += media.sent;
            for hearing in [media.browser.hearing, media.phone.hearing] {
                totals.heard += hearing.packets;
                totals.missing += hearing.missing;
                totals.refused += hearing.refused;
            }
        }
        totals
    }

    /// Serves everything for this long.
    pub fn run_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.step();
        }
    }

    /// Waits for the next millisecond and does what is due in it.
    fn step(&mut self) {
        let now = Instant::now();
        self.next_tick += TICK;
        match self.next_tick.checked_duration_since(now) {
            Some(wait) => std::thread::sleep(wait),
            // Somebody else had the processor for longer than a call may be late: go on from here.
            None if now - self.next_tick > Duration::from_millis(500) => self.next_tick = now,
            None => {}
        }
        self.tick += 1;
        let now = Instant::now();
        self.serve_phones(now);
        for index in 0..self.calls.len() {
            let due = index as u64 % GROUPS == self.tick % GROUPS;
            let call = &mut self.calls[index];
            let Some(media) = call.media.as_mut() else {
                if due {
                    self.serve_client(now, index);
                }
                continue;
            };
            if due || !media.is_up() {
                if due && self.speaking {
                    media.speak(&self.browser_speech, &self.phone_speech);
                }
                media.listen(now);
                self.serve_client(now, index);
            }
        }
    }

    fn serve_client(&mut self, now: Instant, index: usize) {
        let call = &mut self.calls[index];
        if self.tick % 4_000 == index as u64 % 4_000 {
            call.client.heartbeat();
        }
        while let Some(said) = call.client.poll() {
            let Some(media) = call.media.as_mut() else { continue };
            match said {
                Said::Response(_, Ok(result)) => {
                    if let Some(sdp) = result["sdp"].as_str() {
                        call.id = result["callId"].as_str().map(str::to_owned);
                        media.browser.handle_answer(now, sdp).expect("the gateway's answer fits");
                    }
                }
                Said::Response(_, Err(reason)) => panic!("a request was refused: {reason}"),
                Said::Notification(method, params) => match method.as_str() {
                    "call.answered" => media.answered = true,
                    "call.ended" => panic!("a call ended by itself: {params}"),
                    _ => {}
                },
            }
        }
    }

    fn serve_phones(&mut self, now: Instant) {
        self.phones.step(now, &mut self.events);
        while let Some(event) = self.events.pop_front() {
            let SipEvent::IncomingInvite(invite) = event else { continue };
            let number = invite.request_uri.user().and_then(|user| user.strip_prefix('9')?.parse().ok());
            let media = number.and_then(|index: usize| self.calls.get_mut(index)?.media.as_mut());
            // Both fail only when the caller is gone already.
            let _ = match media.and_then(|media| media.phone.answer(&invite.body)) {
                Some(answer) => self.phones.endpoint.answer(now, invite.dialog, answer.into()),
                None => self.phones.endpoint.reject(now, invite.dialog, 488, &Headers::default()),
            };
        }
        self.phones.flush(now);
    }
}
