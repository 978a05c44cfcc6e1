//! RFC 3264 sections 5.1, 6.1, 8.4: every direction against every direction, as answerer and as offerer.

use super::*;

use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};

/// What is offered, what the answerer wants, what it answers.
const TABLE: [(Direction, Direction, Direction); 16] = [
    (SendRecv, SendRecv, SendRecv),
    (SendRecv, SendOnly, SendOnly),
    (SendRecv, RecvOnly, RecvOnly),
    (SendRecv, Inactive, Inactive),
    (SendOnly, SendRecv, RecvOnly),
    (SendOnly, SendOnly, Inactive),
    (SendOnly, RecvOnly, RecvOnly),
    (SendOnly, Inactive, Inactive),
    (RecvOnly, SendRecv, SendOnly),
    (RecvOnly, SendOnly, SendOnly),
    (RecvOnly, RecvOnly, Inactive),
    (RecvOnly, Inactive, Inactive),
    (Inactive, SendRecv, Inactive),
    (Inactive, SendOnly, Inactive),
    (Inactive, RecvOnly, Inactive),
    (Inactive, Inactive, Inactive),
];

fn written_direction(text: &str) -> Direction {
    let found: Vec<Direction> = lines(text, "a=").into_iter().filter_map(Direction::from_name).collect();
    assert_eq!(found.len(), 1, "one direction in {text}");
    found[0]
}

#[test]
fn a_plain_rtp_answer_follows_the_table() {
    for (offered, wanted, answered) in TABLE {
        let mut negotiator = sip();
        negotiator.set_direction(wanted);
        let (answer, agreed) = negotiator.answer(plain("0", &[offered.name()])).unwrap();
        assert_eq!(written_direction(&answer), answered, "{offered:?} {wanted:?}");
        assert_eq!((agreed.audio.send, agreed.audio.receive), (answered.sends(), answered.receives()));
        assert_eq!(agreed.remote_hold, !offered.receives());
    }
}

#[test]
fn both_sides_of_an_exchange_see_the_same_flow() {
    for (offered, wanted, answered) in TABLE {
        let (mut caller, mut callee) = (sip(), sip());
        caller.set_direction(offered);
        callee.set_direction(wanted);
        let (offer, pending) = caller.offer();
        let (answer, callee_agreed) = callee.answer(offer.as_bytes()).unwrap();
        let caller_agreed = caller.accept_answer(pending, answer.as_bytes()).unwrap().audio;
        assert_eq!(written_direction(&offer), offered);
        assert_eq!(caller_agreed.send, callee_agreed.audio.receive, "{offered:?} {wanted:?}");
        assert_eq!(caller_agreed.receive, callee_agreed.audio.send, "{offered:?} {wanted:?}");
        assert_eq!(callee_agreed.audio.send, answered.sends());

        let (mut caller, mut callee) = (webrtc(), webrtc());
        caller.set_direction(offered);
        callee.set_direction(wanted);
        let (offer, pending) = caller.offer(None);
        let (answer, callee_agreed) = callee.answer(&offer, ice(9)).unwrap();
        let caller_agreed = caller.accept_answer(pending, &answer).unwrap().audio;
        assert_eq!(written_direction(&answer), answered);
        assert_eq!(caller_agreed.send, callee_agreed.audio.receive, "{offered:?} {wanted:?}");
        assert_eq!(caller_agreed.receive, callee_agreed.audio.send, "{offered:?} {wanted:?}");
    }
}

#[test]
fn an_answer_that_takes_more_than_was_offered_is_cut_back() {
    for offered in Direction::ALL {
        for answered in Direction::ALL {
            let mut negotiator = sip();
            negotiator.set_direction(offered);
            let (_, pending) = negotiator.offer();
            let agreed = negotiator.accept_answer(pending, plain("0", &[answered.name()])).unwrap();
            assert_eq!(agreed.audio.send, offered.sends() && answered.receives());
            assert_eq!(agreed.audio.receive, offered.receives() && answered.sends());
        }
    }
}

#[test]
fn a_section_inherits_the_direction_of_the_session_level_and_overrules_it() {
    let held = "v=0\nc=IN IP4 198.51.100.1\na=sendonly\nm=audio 4000 RTP/AVP 0\n";
    let (answer, agreed) = sip().answer(held.as_bytes()).unwrap();
    assert_eq!((written_direction(&answer), agreed.remote_hold), (RecvOnly, true));
    let overruled = format!("{held}a=sendrecv\n");
    let (answer, agreed) = sip().answer(overruled.as_bytes()).unwrap();
    assert_eq!((written_direction(&answer), agreed.remote_hold), (SendRecv, false));
}

#[test]
fn an_address_of_zeros_holds_without_a_direction() {
    for address in ["IP4 0.0.0.0", "IP6 ::", "IP6 held.invalid"] {
        let offer = format!("v=0\r\nc=IN {address}\r\nm=audio 4000 RTP/AVP 0\r\n");
        let (answer, agreed) = sip().answer(offer.as_bytes()).unwrap();
        assert_eq!(agreed.remote, RemoteMedia::Nowhere);
        assert_eq!(written_direction(&answer), RecvOnly);
        assert!(agreed.remote_hold && !agreed.audio.send && agreed.audio.receive);
    }
}

#[test]
fn both_sides_can_hold_and_each_resumes_for_itself() {
    let mut negotiator = sip();
    let held = |negotiator: &mut SipNegotiator, theirs: &str| {
        let (answer, agreed) = negotiator.answer(plain("0", &[theirs])).unwrap();
        (written_direction(&answer), agreed.remote_hold)
    };
    assert_eq!(held(&mut negotiator, "sendrecv"), (SendRecv, false));
    negotiator.set_direction(SendOnly);
    let (offer, pending) = negotiator.offer();
    assert_eq!(written_direction(&offer), SendOnly);
    let agreed = negotiator.accept_answer(pending, plain("0", &["recvonly"])).unwrap();
    assert!(agreed.audio.send && !agreed.audio.receive && !agreed.remote_hold);
    // The far side holds too, then we resume, then it does.
    assert_eq!(held(&mut negotiator, "sendonly"), (Inactive, true));
    negotiator.set_direction(SendRecv);
    let (offer, pending) = negotiator.offer();
    assert_eq!(written_direction(&offer), SendRecv);
    let agreed = negotiator.accept_answer(pending, plain("0", &["sendonly"])).unwrap();
    assert!(!agreed.audio.send && agreed.audio.receive && agreed.remote_hold);
    assert_eq!(held(&mut negotiator, "sendrecv"), (SendRecv, false));
}

#[test]
fn an_answer_to_our_hold_leaves_the_far_sides_hold_as_it_was() {
    let mut negotiator = sip();
    assert!(negotiator.answer(plain("0", &["sendonly"])).unwrap().1.remote_hold);
    negotiator.set_direction(Inactive);
    let (_, pending) = negotiator.offer();
    assert!(negotiator.accept_answer(pending, plain("0", &["inactive"])).unwrap().remote_hold);
}
