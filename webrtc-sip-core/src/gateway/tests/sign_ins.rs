//! Signing in and out, and how calls end.

use super::fixture::*;
use crate::sip::Method;

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
