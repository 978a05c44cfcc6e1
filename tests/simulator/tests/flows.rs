//! Call flows that telephony engineers know by name, one by one.

use std::time::{Duration, Instant};

use serde_json::Value;
use simulator::{BrowserIndex, BrowserState, NodeIndex, PhoneBehaviour, PhoneIndex, PhoneState, World};
use webrtc_sip_core::codec::CodecKind::{Pcma, Pcmu};
use webrtc_sip_core::gateway::GatewayConfig;

const SECOND: Duration = Duration::from_secs(1);
const ANSWER: PhoneBehaviour = PhoneBehaviour::AnswerAfter(Duration::from_millis(500));

/// A gateway, users 1001 and 1002 signed in, and two phones.
struct Flow {
    world: World,
    node: NodeIndex,
    alice: BrowserIndex,
    bob: BrowserIndex,
    phones: [PhoneIndex; 2],
}

impl Flow {
    fn new(phone: PhoneBehaviour) -> Self {
        Flow::with_config(phone, GatewayConfig::default())
    }

    fn with_config(phone: PhoneBehaviour, config: GatewayConfig) -> Self {
        let mut world = World::new(Instant::now(), 11);
        let phones = [(); 2].map(|()| world.add_phone(phone, vec![Pcmu]));
        let node = world.add_node(1, config);
        let [alice, bob] = ["1001", "1002"].map(|user| world.add_browser(user, vec![Pcmu, Pcma]));
        world.connect(alice, node);
        world.connect(bob, node);
        world.run_for(SECOND);
        Flow { world, node, alice, bob, phones }
    }

    /// Alice and the first phone talk.
    fn talking() -> Self {
        let mut flow = Flow::new(ANSWER);
        flow.alice_calls("phone0");
        flow.world.run_for(3 * SECOND);
        assert_eq!(flow.phone_state(0), PhoneState::Talking);
        flow
    }

    fn alice_calls(&mut self, to: &str) {
        let (browser, now) = self.world.browser_mut(self.alice);
        browser.call(now, to);
    }

    fn phone_calls(&mut self, phone: usize, user: &str) {
        let gateway = self.world.node(self.node).sip_address();
        let (phone, now) = self.world.phone_mut(self.phones[phone]);
        phone.call(now, gateway, user);
    }

    fn hang_up(&mut self, browser: BrowserIndex) {
        let (browser, now) = self.world.browser_mut(browser);
        browser.hang_up(now);
    }

    fn answer(&mut self, browser: BrowserIndex) {
        let (browser, now) = self.world.browser_mut(browser);
        browser.answer(now);
    }

    fn phone_hangs_up(&mut self, phone: usize) {
        let (phone, now) = self.world.phone_mut(self.phones[phone]);
        phone.hang_up(now);
    }

    fn phone_state(&self, phone: usize) -> PhoneState {
        self.world.phone(self.phones[phone]).state()
    }

    fn ended(&self, browser: BrowserIndex) -> &[String] {
        &self.world.browser(browser).ended
    }

    /// Every SIP transaction is over, and nothing of any call is left anywhere.
    fn nothing_is_left(&mut self) {
        self.world.run_for(40 * SECOND);
        let node = self.world.node(self.node);
        let stats = node.gateway.stats();
        assert_eq!((stats.calls, stats.legs, stats.sip.dialogs, stats.sip.transactions), (0, 0, 0, 0), "{stats:?}");
        assert_eq!((node.media_ports(), node.shards()[0].stats().legs), (0, 0));
        for phone in self.phones {
            let phone = self.world.phone(phone);
            assert_eq!((phone.state(), phone.endpoint().stats().dialogs), (PhoneState::Idle, 0));
        }
    }
}

#[test]
fn a_busy_phone() {
    let mut flow = Flow::new(PhoneBehaviour::Refuse(486));
    flow.alice_calls("phone0");
    flow.world.run_for(SECOND);
    assert_eq!(flow.ended(flow.alice), ["busy"]);
    flow.nothing_is_left();
}

#[test]
fn nobody_answers_for_sixty_seconds() {
    let mut flow = Flow::new(PhoneBehaviour::RingForEver);
    flow.alice_calls("phone0");
    flow.world.run_for(59 * SECOND);
    assert_eq!(flow.world.browser(flow.alice).state(), BrowserState::Ringing);
    flow.world.run_for(2 * SECOND);
    assert_eq!(flow.ended(flow.alice), ["no_answer"]);
    assert_eq!(flow.phone_state(0), PhoneState::Idle, "the phone got a CANCEL");
    flow.nothing_is_left();
}

#[test]
fn a_browser_declines() {
    let mut flow = Flow::new(ANSWER);
    flow.phone_calls(0, "1001");
    flow.world.run_for(SECOND);
    flow.hang_up(flow.alice);
    flow.world.run_for(SECOND);
    assert_eq!(flow.ended(flow.alice), ["rejected"]);
    assert_eq!(flow.phone_state(0), PhoneState::Idle);
    flow.nothing_is_left();
}

#[test]
fn a_number_that_nobody_has() {
    let mut flow = Flow::new(ANSWER);
    flow.alice_calls("0800");
    flow.phone_calls(0, "1009");
    flow.world.run_for(SECOND);
    assert_eq!(flow.world.browser(flow.alice).errors, ["unroutable"]);
    assert_eq!(flow.phone_state(0), PhoneState::Idle, "the phone is refused");
    flow.nothing_is_left();
}

/// RFC 3261 section 9.1: whoever cancels may get a 2xx all the same, and has to end what that began.
#[test]
fn a_cancel_crosses_the_answer() {
    let mut reasons = Vec::new();
    for tenths_of_ms in (4950..5150).step_by(5) {
        let mut flow = Flow::new(ANSWER);
        flow.alice_calls("phone0");
        flow.world.run_for(Duration::from_micros(tenths_of_ms * 100));
        flow.hang_up(flow.alice);
        flow.world.run_for(SECOND);
        reasons.extend_from_slice(flow.ended(flow.alice));
        assert_eq!(flow.phone_state(0), PhoneState::Idle, "{tenths_of_ms}");
        flow.nothing_is_left();
    }
    assert_eq!(reasons.len(), 40, "each call ended once");
    assert!(reasons.contains(&"cancelled".to_owned()) && reasons.contains(&"hangup".to_owned()));
}

#[test]
fn a_bye_crosses_a_bye() {
    for tenths_of_ms in (30..80).step_by(5) {
        let mut flow = Flow::talking();
        flow.hang_up(flow.alice);
        flow.world.run_for(Duration::from_micros(tenths_of_ms * 100));
        flow.phone_hangs_up(0);
        flow.world.run_for(SECOND);
        assert_eq!(flow.ended(flow.alice), ["hangup"]);
        flow.nothing_is_left();
    }
}

/// RFC 3261 section 14.1: both offers are refused with 491, and both come again after different times.
#[test]
fn both_hold_at_the_same_time() {
    let mut flow = Flow::talking();
    flow.world.browser_mut(flow.alice).0.hold(true);
    // The browser's request takes 5 ms to the gateway, the re-INVITEs 1 ms each way.
    flow.world.run_for(Duration::from_millis(5));
    let (phone, now) = flow.world.phone_mut(flow.phones[0]);
    phone.hold(now, true);
    flow.world.run_for(10 * SECOND);
    let (browser, phone) = (flow.world.browser(flow.alice), flow.world.phone(flow.phones[0]));
    assert!(browser.holds() && browser.is_held() && phone.holds() && phone.is_held());
    let before = (browser.heard(), phone.heard());
    flow.world.run_for(SECOND);
    let (browser, phone) = (flow.world.browser(flow.alice), flow.world.phone(flow.phones[0]));
    assert_eq!((browser.heard(), phone.heard()), before, "nobody hears anything");
    flow.hang_up(flow.alice);
    flow.nothing_is_left();
}

#[test]
fn two_phones_call_the_same_browser_at_once() {
    let mut flow = Flow::new(ANSWER);
    flow.phone_calls(0, "1001");
    flow.phone_calls(1, "1001");
    flow.world.run_for(SECOND);
    assert_eq!(flow.ended(flow.alice), ["busy"]);
    flow.answer(flow.alice);
    flow.world.run_for(SECOND);
    let states = [0, 1].map(|phone| flow.phone_state(phone));
    assert!(states.contains(&PhoneState::Talking) && states.contains(&PhoneState::Idle), "{states:?}");
    flow.hang_up(flow.alice);
    flow.nothing_is_left();
}

#[test]
fn two_browsers_call_each_other_at_once() {
    let mut flow = Flow::new(ANSWER);
    flow.alice_calls("1002");
    let (bob, now) = flow.world.browser_mut(flow.bob);
    bob.call(now, "1001");
    flow.world.run_for(SECOND);
    // Each of them is busy with calling: one call that they made, and one that they were offered.
    for browser in [flow.alice, flow.bob] {
        assert_eq!(flow.ended(browser), ["busy", "busy"]);
    }
    flow.nothing_is_left();
}

#[test]
fn the_same_user_signs_in_elsewhere_during_a_call() {
    let mut flow = Flow::talking();
    let elsewhere = flow.world.add_browser("1001", vec![Pcmu]);
    flow.world.connect(elsewhere, flow.node);
    flow.world.run_for(SECOND);
    let browser = flow.world.browser(flow.alice);
    assert!(browser.notified.contains(&"session.displaced".to_owned()));
    assert!(!browser.is_signed_in() && !browser.is_linked());
    assert_eq!(browser.ended_wrongly().count(), 0);
    assert_eq!(flow.phone_state(0), PhoneState::Idle);
    // Who calls now reaches the new place.
    flow.phone_calls(1, "1001");
    flow.world.run_for(SECOND);
    assert_eq!(flow.world.browser(elsewhere).state(), BrowserState::Incoming);
    flow.hang_up(elsewhere);
    flow.nothing_is_left();
}

#[test]
fn a_user_signs_out_during_a_call() {
    let mut flow = Flow::talking();
    flow.world.browser_mut(flow.alice).0.sign_out();
    flow.world.run_for(SECOND);
    assert_eq!(flow.ended(flow.alice), ["hangup"]);
    assert!(!flow.world.browser(flow.alice).is_signed_in());
    assert_eq!(flow.world.node(flow.node).gateway.stats().dropped_on_sign_out, 1);
    flow.nothing_is_left();
}

#[test]
fn a_sign_in_expires_during_a_call() {
    let lifetime = 90 * SECOND;
    let config = GatewayConfig { sign_in_lifetime: lifetime, ..GatewayConfig::default() };
    let mut flow = Flow::with_config(ANSWER, config);
    flow.alice_calls("phone0");
    flow.world.run_for(31 * SECOND);
    assert!(flow.world.browser(flow.alice).notified.contains(&"session.expiring".to_owned()));
    assert_eq!(flow.phone_state(0), PhoneState::Talking);
    flow.world.run_for(60 * SECOND);
    assert_eq!(flow.ended(flow.alice), ["hangup"]);
    assert!(!flow.world.browser(flow.alice).is_linked());
    assert_eq!(flow.phone_state(0), PhoneState::Idle);
    flow.nothing_is_left();
}

#[test]
fn a_client_without_websocket_is_called_and_declines() {
    let mut flow = Flow::new(ANSWER);
    let sign_in = r#"{"jsonrpc":"2.0","id":1,"method":"session.signIn","params":{"user":"1003","password":"1003"}}"#;
    let request = flow.world.post(flow.node, None, sign_in);
    let signed_in = respond(&mut flow, request);
    let token = signed_in["result"]["token"].as_str().expect("there is a token").to_owned();

    let poll = flow.world.poll(flow.node, &token, 0);
    flow.world.run_for(SECOND);
    assert_eq!(flow.world.response(poll), None, "a poll waits");
    flow.phone_calls(0, "1003");
    let events = respond(&mut flow, poll);
    let incoming = &events["events"][0];
    assert_eq!(incoming["method"], "call.incoming");

    let poll = flow.world.poll(flow.node, &token, 1);
    let reject = serde_json::json!({
        "jsonrpc": "2.0", "id": 2, "method": "call.reject", "params": {"callId": incoming["params"]["callId"]},
    });
    let request = flow.world.post(flow.node, Some(&token), &reject.to_string());
    assert_eq!(respond(&mut flow, request)["result"], serde_json::json!({}));
    let events = respond(&mut flow, poll);
    assert_eq!(events["events"][0]["method"], "call.ended");
    assert_eq!(events["events"][0]["params"]["reason"], "rejected");
    assert_eq!(flow.phone_state(0), PhoneState::Idle);

    // An empty poll is answered in the end, and a client that stays away loses its sign-in.
    let poll = flow.world.poll(flow.node, &token, 2);
    flow.world.run_for(26 * SECOND);
    assert_eq!(flow.world.response(poll), Some(r#"{"events":[]}"#));
    flow.nothing_is_left();
    assert_eq!(flow.world.node(flow.node).gateway.stats().sign_ins, 2, "only the two at the WebSockets are left");
}

fn respond(flow: &mut Flow, request: webrtc_sip_core::ids::LinkId) -> Value {
    let answered = flow.world.run_until(SECOND, |world| world.response(request).is_some());
    assert!(answered, "the request is answered");
    serde_json::from_str(flow.world.response(request).expect("it is there")).expect("it is JSON")
}
