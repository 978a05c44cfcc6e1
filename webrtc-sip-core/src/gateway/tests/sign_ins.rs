//! Signing in and out, and how calls end.

use std::time::Duration;

use serde_json::json;

use super::fixture::*;
use crate::gateway::{Answer, GatewayConfig, Identity, SipProxy, TurnAccess};
use crate::ids::LinkId;
use crate::sip::Method;
use crate::timer::LONGEST_WAIT;

#[test]
fn waits_without_end_are_cut() {
    let forever = Duration::MAX;
    let proxy = with_proxy("192.0.2.7").proxy.map(|proxy| SipProxy { registration_lifetime: forever, ..proxy });
    let mut f = Fixture::new(GatewayConfig {
        sip_t1: forever,
        ring_timeout: forever,
        resume_window: forever,
        dead_after: forever,
        heartbeat: forever,
        sign_in_lifetime: forever,
        poll_wait: forever,
        media_recovery: forever,
        proxy,
        turn: Some(TurnAccess { urls: Vec::new(), secret: "s".to_owned(), lifetime: forever }),
        ..config()
    });
    f.sign_in(ALICE, "1001");
    let refreshed = f.ask(ALICE, "session.refresh", json!({}));
    assert_eq!(refreshed["result"]["expiresInMs"], LONGEST_WAIT.as_millis() as u64, "{refreshed}");
    f.phone("INVITE", 1, None, "", &sdp(1, "sendrecv"));
    f.offered(ALICE);
}

/// RFC 3262 section 3: the 200 waits for the PRACK, so there is no dialog that a BYE could end.
#[test]
fn hanging_up_before_the_prack() {
    let mut f = Fixture::new(config());
    f.sign_in(ALICE, "1001");
    f.phone("INVITE", 1, None, "Require: 100rel\r\n", &sdp(1, "sendrecv"));
    f.answer(ALICE);
    let (call, _) = f.offered(ALICE);
    f.ask(ALICE, "call.hangup", serde_json::json!({ "callId": call }));
    let refused = f.response(480);
    let tag = refused.headers.to().unwrap().tag().unwrap().to_owned();
    f.phone("ACK", 1, None, "", "");
    f.phone("PRACK", 2, Some(("incoming", "phone", &tag)), "RAck: 1 1 INVITE\r\n", "");
    assert!(f.requests(Method::Bye).is_empty());
    f.nothing_is_left();
}

#[test]
fn causes_in_a_reason_header_are_told() {
    for (header, reason) in [
        ("SIP;cause=200;text=\"Call completed elsewhere\"", "answered_elsewhere"),
        ("Q.850;cause=26", "answered_elsewhere"),
        ("SIP;cause=487", "cancelled"),
        ("", "cancelled"),
    ] {
        let mut f = Fixture::new(config());
        f.sign_in(ALICE, "1001");
        f.phone("INVITE", 1, None, "", &sdp(1, "sendrecv"));
        f.told(ALICE);
        let header = if header.is_empty() { String::new() } else { format!("Reason: {header}\r\n") };
        f.phone("CANCEL", 1, None, &header, "");
        assert_eq!(f.told(ALICE), [format!("call.ended {reason}")]);
    }
    for (status, rings, header, reason) in [
        (408, false, "", "unreachable"),
        (408, true, "", "no_answer"),
        (480, true, "", "no_answer"),
        (480, false, "Q.850;cause=17", "busy"),
        (500, false, "Q.850;cause=1", "not_found"),
        (503, false, "Q.850;cause=34", "too_many"),
        (503, false, "Q.850;cause=16", "unreachable"),
        (486, false, "Q.850;cause=41", "busy"),
    ] {
        let mut f = Fixture::new(config());
        f.sign_in(ALICE, "1001");
        f.call(ALICE, "phone");
        let invite = f.sent(Method::Invite);
        if rings {
            f.respond(&invite, 180, "phone", "");
        }
        f.told(ALICE);
        let mut failure = invite.response(status);
        if !header.is_empty() {
            failure.headers.push(crate::sip::HeaderName::Reason, header);
        }
        f.receive(failure);
        assert_eq!(f.told(ALICE), [format!("call.ended {reason}")], "{status} {header}");
    }
}

#[test]
fn the_response_comes_before_what_it_brings() {
    let mut f = Fixture::new(config());
    f.sign_in(ALICE, "1001");
    f.sign_in(LinkId(2), "1002");
    f.messages.clear();
    f.call(ALICE, "1002");
    let alice = f.messages.iter().filter(|(link, _)| *link == ALICE);
    let first: Vec<bool> = alice.map(|(_, message)| message["result"].is_object()).collect();
    assert_eq!(first, [true, false], "the answer, then that it rings");
}

/// The user's password is checked while the gateway stops.
#[test]
fn nobody_signs_in_once_the_gateway_drains() {
    let mut f = Fixture::new(config());
    f.slow_directory = true;
    f.gateway.handle_websocket_opened(f.now, ALICE);
    f.ask(ALICE, "session.signIn", json!({ "user": "1001", "password": "x" }));
    let (id, _) = f.questions.pop().unwrap();
    f.gateway.handle_shutdown(f.now);
    let identity = Identity { user: "1001".into(), display_name: None, sip_credentials: None };
    f.gateway.handle_answer(f.now, id, Answer::Identity(Ok(identity)));
    f.drain();
    assert_eq!(f.messages.last().unwrap().1["error"]["data"]["reason"], "unavailable");
    assert_eq!(f.gateway.stats().sign_ins, 0);
}

#[test]
fn a_gateway_that_is_back_in_service_takes_sign_ins_and_calls_and_can_drain_again() {
    let (mut f, call, _) = Fixture::talking();
    let mut drained = 0;
    for last in [false, true] {
        f.gateway.handle_drain(f.now);
        f.drain();
        assert_eq!(f.messages.last().unwrap().1["method"], "server.draining");
        f.gateway.handle_websocket_opened(f.now, LinkId(2));
        let refused = f.ask(LinkId(2), "session.signIn", json!({ "user": "1002", "password": "x" }));
        assert_eq!(refused["error"]["data"]["reason"], "unavailable");
        assert!(!f.gateway.is_drained(), "Alice still talks");
        if last {
            f.ask(ALICE, "call.hangup", json!({ "callId": call }));
            drained = f.drained;
            assert!(f.gateway.is_drained());
        }
        f.gateway.handle_undrain(f.now);
        assert!(!f.gateway.is_drained());
    }
    assert_eq!(drained, 1);
    f.sign_in(LinkId(2), "1002");
    let second = f.call(ALICE, "1002");
    f.ask(ALICE, "call.hangup", json!({ "callId": second }));
    assert_eq!(f.drained, 1, "nobody asked any more");
    for count in [2, 3] {
        f.gateway.handle_drain(f.now);
        f.drain();
        assert_eq!(f.drained, count, "each who asks is told");
    }
}

#[test]
fn a_full_gateway_takes_back_who_reloads_the_page() {
    let mut f = Fixture::new(GatewayConfig { max_sign_ins: 1, ..config() });
    f.sign_in(ALICE, "1001");
    f.gateway.handle_websocket_opened(f.now, LinkId(2));
    let refused = f.ask(LinkId(2), "session.signIn", json!({ "user": "1002", "password": "x" }));
    assert_eq!(refused["error"]["data"]["reason"], "too_many");
    f.sign_in(LinkId(3), "1001");
    assert_eq!((f.gateway.stats().sign_ins, f.gateway.stats().double_sign_ins), (1, 1));
}

#[test]
fn a_user_who_signs_in_again_stays_registered() {
    let mut f = Fixture::new(with_proxy("192.0.2.7"));
    f.sign_in(ALICE, "1001");
    let register = f.sent(Method::Register);
    f.respond(&register, 200, "registrar", "");
    f.sign_in(LinkId(2), "1001");
    assert!(f.requests(Method::Register).is_empty(), "a removal might arrive after the renewal");
    f.ask(LinkId(2), "session.signOut", json!({}));
    assert_eq!(f.sent(Method::Register).headers.get(crate::sip::HeaderName::Expires), Some("0"));
}

#[test]
fn two_snapshots_at_once() {
    let (mut f, ..) = Fixture::talking();
    let call = f.gateway.calls().next().unwrap();
    f.gateway.snapshot_call(f.now, call);
    f.gateway.snapshot_call(f.now, call);
    f.drain();
    assert_eq!(f.gateway.stats().requests, 2, "one question for each leg");
}
