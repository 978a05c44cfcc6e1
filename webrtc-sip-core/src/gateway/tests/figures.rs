//! What is counted.

use serde_json::json;

use super::fixture::*;
use crate::gateway::CallCounters;
use crate::ids::LinkId;
use crate::sip::Method;

/// Alice calls the phone, which answers; the call.
fn talk(f: &mut Fixture) -> String {
    let call = f.call(ALICE, "phone");
    let invite = f.sent(Method::Invite);
    f.respond(&invite, 200, "phone", &sdp(1, "sendrecv"));
    call
}

#[test]
fn calls_are_counted_now_at_most_at_once_and_in_all() {
    let mut f = Fixture::new(config());
    f.sign_in(ALICE, "1001");
    let first = talk(&mut f);
    talk(&mut f);
    f.ask(ALICE, "call.hangup", json!({ "callId": first }));
    // Opus with the browser, G.711 with the phone.
    let of_alice = |f: &Fixture| {
        let stats = f.gateway.stats();
        [stats.outgoing, stats.audio, stats.transcoding]
    };
    assert_eq!(of_alice(&f), [CallCounters { current: 1, peak: 2, total: 2 }; 3]);
    talk(&mut f);
    assert_eq!(of_alice(&f), [CallCounters { current: 2, peak: 2, total: 3 }; 3]);
    assert_eq!(f.gateway.stats().incoming, CallCounters::default());
    f.phone("INVITE", 1, None, "", &sdp(1, "sendrecv"));
    assert_eq!(f.gateway.stats().incoming, CallCounters { current: 1, peak: 1, total: 1 });
    assert_eq!(f.gateway.stats().audio.total, 3, "not before it is answered");
}

#[test]
fn a_client_that_signs_out_of_calls_is_counted_once() {
    let mut f = Fixture::new(config());
    f.sign_in(ALICE, "1001");
    talk(&mut f);
    talk(&mut f);
    f.ask(ALICE, "session.signOut", json!({}));
    assert_eq!(f.gateway.stats().dropped_on_sign_out, 1);
    f.sign_in(LinkId(2), "1002");
    f.ask(LinkId(2), "session.signOut", json!({}));
    assert_eq!(f.gateway.stats().dropped_on_sign_out, 1, "there was no call");
}

#[test]
fn a_registration_is_counted_when_it_begins_to_stand() {
    let mut f = Fixture::new(with_proxy("192.0.2.7"));
    f.sign_in(ALICE, "1001");
    let counted = |f: &Fixture| [f.gateway.stats().registrations, f.gateway.stats().successful_registrations];
    assert_eq!(counted(&f), [0, 0]);
    // So long that the refresh of what stands, or another attempt after the pause, is on its way.
    for (status, expected, wait) in [(200, [1, 1], 511), (200, [1, 1], 511), (500, [0, 1], 31), (200, [1, 2], 0)] {
        let register = f.sent(Method::Register);
        f.respond(&register, status, "registrar", "");
        assert_eq!(counted(&f), expected);
        f.stay(wait * SECOND);
    }
}
