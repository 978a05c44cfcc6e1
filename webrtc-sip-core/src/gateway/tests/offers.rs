//! Offers and answers with SIP peers of all kinds.

use serde_json::json;

use super::fixture::*;
use crate::call::EndReason;
use crate::media::{MediaCommand, MediaEvent, MediaFailure};
use crate::sip::Method;

/// RFC 3261 section 13.2.1: the answer came with a 183, and the 200 has none.
#[test]
fn a_call_that_is_answered_without_sdp_after_early_media() {
    let mut f = Fixture::new(config());
    f.sign_in(ALICE, "1001");
    f.call(ALICE, "phone");
    let invite = f.sent(Method::Invite);
    f.respond(&invite, 183, "other", &sdp(1, "inactive"));
    f.respond(&invite, 183, "phone", &sdp(1, "sendrecv"));
    f.respond(&invite, 200, "phone", "");
    assert_eq!(f.told(ALICE), ["call.ringing", "call.earlyMedia", "call.answered"]);
    assert!(f.requests(Method::Bye).is_empty());
}

#[test]
fn an_answer_without_any_sdp_ends_the_call() {
    let mut f = Fixture::new(config());
    f.sign_in(ALICE, "1001");
    f.call(ALICE, "phone");
    let invite = f.sent(Method::Invite);
    f.respond(&invite, 200, "phone", "");
    let bye = f.sent(Method::Bye);
    f.respond(&bye, 200, "phone", "");
    assert_eq!(f.told(ALICE), ["call.ended not_acceptable"]);
    f.nothing_is_left();
}

/// A first answer may hold (RFC 3725); the browser is told, and told again when that ends.
#[test]
fn a_peer_that_holds_from_the_start() {
    let mut f = Fixture::new(config());
    f.sign_in(ALICE, "1001");
    f.call(ALICE, "phone");
    let invite = f.sent(Method::Invite);
    f.respond(&invite, 200, "phone", &sdp(1, "sendonly"));
    assert_eq!(f.told(ALICE), ["call.answered", "call.held remote"]);
    let (call_id, tag) = dialog_of(&invite);
    f.phone("INVITE", 1, Some((&call_id, "phone", &tag)), "", &sdp(2, "sendrecv"));
    assert_eq!(f.told(ALICE), ["call.resumed remote"]);
    assert_eq!(direction_of(&f.response(200).body).0, "sendrecv");

    f.phone("INVITE", 1, None, "", &sdp(1, "inactive"));
    f.answer(ALICE);
    assert_eq!(f.told(ALICE), ["call.incoming", "call.answered", "call.held remote"]);
}

/// Who is held may answer `inactive`; that holds nobody.
#[test]
fn each_side_holds_and_resumes_in_any_order() {
    for answer in ["recvonly", "inactive"] {
        let (mut f, call, invite) = Fixture::talking();
        let (call_id, tag) = dialog_of(&invite);
        let dialog = Some((call_id.as_str(), "phone", tag.as_str()));
        f.told(ALICE);

        f.ask(ALICE, "call.hold", json!({ "callId": call }));
        let hold = f.sent(Method::Invite);
        assert_eq!(direction_of(&hold.body).0, "sendonly");
        f.respond(&hold, 200, "phone", &sdp(2, answer));
        assert_eq!(f.told(ALICE), ["call.held local"]);

        f.phone("INVITE", 1, dialog, "", &sdp(3, "sendonly"));
        assert_eq!(direction_of(&f.response(200).body).0, "inactive");
        f.phone("ACK", 1, dialog, "", "");
        assert_eq!(f.told(ALICE), ["call.held remote"]);

        f.ask(ALICE, "call.resume", json!({ "callId": call }));
        let resume = f.sent(Method::Invite);
        assert_eq!(direction_of(&resume.body).0, "sendrecv");
        f.respond(&resume, 200, "phone", &sdp(4, "sendonly"));
        assert_eq!(f.told(ALICE), ["call.resumed local"]);

        f.phone("INVITE", 2, dialog, "", &sdp(5, "sendrecv"));
        assert_eq!(direction_of(&f.response(200).body).0, "sendrecv");
        assert_eq!(f.told(ALICE), ["call.resumed remote"]);
    }
}

/// RFC 3261 section 14.1: our re-INVITE met theirs. What is sent in the end is a new offer, not the old one.
#[test]
fn an_offer_that_was_overtaken_is_made_anew() {
    let (mut f, call, invite) = Fixture::talking();
    let (call_id, tag) = dialog_of(&invite);
    let dialog = Some((call_id.as_str(), "phone", tag.as_str()));
    f.ask(ALICE, "call.hold", json!({ "callId": call }));
    let first = f.sent(Method::Invite);
    f.respond(&first, 491, "phone", "");
    f.phone("INVITE", 1, dialog, "", &sdp(2, "sendrecv"));
    let answered = f.response(200);
    f.phone("ACK", 1, dialog, "", "");
    f.sip.clear();
    f.wait(5 * SECOND);
    let second = f.sent(Method::Invite);
    let versions = [&first.body, &answered.body, &second.body].map(|body| direction_of(body).1);
    assert!(versions[0] <= versions[1] && versions[1] <= versions[2], "{versions:?}");
    f.commands.clear();
    f.respond(&second, 200, "phone", &sdp(3, "recvonly"));
    let applied = f.commands.iter().any(|command| matches!(command, MediaCommand::SetAudio { .. }));
    assert!(applied, "the answer counts");

    f.ask(ALICE, "call.resume", json!({ "callId": call }));
    assert_eq!(direction_of(&f.sent(Method::Invite).body).0, "sendrecv", "further offers go out");
}

/// Offer in the 200, answer in the ACK, and a hold in between that has to wait for it.
#[test]
fn a_hold_before_the_ack_of_a_delayed_offer() {
    let mut f = Fixture::new(config());
    f.sign_in(ALICE, "1001");
    f.phone("INVITE", 1, None, "", "");
    assert!(f.answer(ALICE)["error"].is_null());
    let answered = f.response(200);
    let tag = answered.headers.to().unwrap().tag().unwrap().to_owned();
    assert_eq!(direction_of(&answered.body).0, "sendrecv");
    let (call, _) = f.offered(ALICE);
    f.ask(ALICE, "call.hold", json!({ "callId": call }));
    f.phone("ACK", 1, Some(("incoming", "phone", &tag)), "", &sdp(1, "sendrecv"));
    f.wait(2 * SECOND);
    assert_eq!(direction_of(&f.sent(Method::Invite).body).0, "sendonly");
}

#[test]
fn an_ack_without_the_answer_that_it_owes() {
    let mut f = Fixture::new(config());
    f.sign_in(ALICE, "1001");
    f.phone("INVITE", 1, None, "", "");
    f.answer(ALICE);
    let tag = f.response(200).headers.to().unwrap().tag().unwrap().to_owned();
    f.told(ALICE);
    f.phone("ACK", 1, Some(("incoming", "phone", &tag)), "", "");
    assert_eq!(f.told(ALICE), ["call.ended not_acceptable"]);
    let bye = f.sent(Method::Bye);
    f.respond(&bye, 200, "phone", "");
    f.nothing_is_left();
}

/// A re-INVITE without an offer gets one in its 200; if the ACK has no answer, what was agreed stands.
#[test]
fn a_reinvite_without_an_offer() {
    for answer in ["", "recvonly"] {
        let (mut f, call, invite) = Fixture::talking();
        let (call_id, tag) = dialog_of(&invite);
        let dialog = Some((call_id.as_str(), "phone", tag.as_str()));
        f.phone("INVITE", 1, dialog, "", "");
        assert_eq!(direction_of(&f.response(200).body).0, "sendrecv");
        let body = if answer.is_empty() { String::new() } else { sdp(2, answer) };
        f.phone("ACK", 1, dialog, "", &body);
        assert_eq!(f.gateway.stats().calls, 1);
        f.ask(ALICE, "call.hold", json!({ "callId": call }));
        assert_eq!(direction_of(&f.sent(Method::Invite).body).0, "sendonly", "further offers go out");
    }
}

/// The look-up of a host name that a later description doesn't have any more changes nothing.
#[test]
fn media_at_a_host_name_that_moved_on() {
    let mut f = Fixture::new(config());
    f.sign_in(ALICE, "1001");
    f.call(ALICE, "phone");
    let invite = f.sent(Method::Invite);
    let named = sdp(1, "sendrecv").replace("c=IN IP4 192.0.2.7", "c=IN IP4 media.example.org");
    f.respond(&invite, 183, "phone", &named);
    f.respond(&invite, 200, "phone", &sdp(2, "sendrecv"));
    f.commands.clear();
    f.resolve(&["192.0.2.99"]);
    assert!(f.commands.is_empty(), "{:?}", f.commands);
}

#[test]
fn media_without_a_path_are_counted() {
    for (reason, count) in [(MediaFailure::IceFailed, 1), (MediaFailure::DtlsFailed, 0)] {
        let (mut f, _, _) = Fixture::talking();
        let leg = f.commands.iter().find_map(|command| match command {
            MediaCommand::AddWebRtcLeg(config) => Some(config.leg),
            _ => None,
        });
        let failed = MediaEvent::Failed { leg: leg.expect("Alice has one"), reason };
        f.gateway.handle_media_event(f.now, failed);
        f.drain();
        assert_eq!((f.gateway.stats().failed_ice, f.ended[0].reason), (count, EndReason::MediaFailed));
    }
}
