//! The call flows of RFC 3665 section 3 between two endpoints.

use bytes::Bytes;

use super::link::*;
use crate::ids::DialogId;
use crate::io::FlowId;
use crate::sip::Headers;
use crate::sip::endpoint::*;

/// A call that is answered, and both of its dialogs.
fn answered(link: &mut Link, transport: Transport) -> (DialogId, DialogId) {
    let caller = link.call(transport);
    link.run(seconds(1));
    let called = link.incoming(1).unwrap();
    link.endpoints[1].ring(link.now, called, 180, None).unwrap();
    link.run(seconds(1));
    link.endpoints[1].answer(link.now, called, Bytes::from_static(b"answer")).unwrap();
    link.run(seconds(1));
    (caller, called)
}

/// RFC 3665 section 3.1.
#[test]
fn a_successful_call() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut link = Link::new(1);
        let (_, called) = answered(&mut link, transport);
        link.endpoints[1].bye(link.now, called, None).unwrap();
        link.run(seconds(60));
        assert_eq!(link.told(0), ["ringing 180", "answered answer", "ended by bye"]);
        assert_eq!(link.told(1), ["invite offer", "confirmed", "ended Local"]);
        assert_eq!(link.lines(0), ["INVITE", "ACK", "200"]);
        assert_eq!(link.lines(1), ["100", "180", "200", "BYE"]);
        link.assert_all_freed();
    }
}

/// RFC 3665 section 3.8.
#[test]
fn a_cancelled_call() {
    let mut link = Link::new(2);
    let caller = link.call(Transport::Udp);
    link.endpoints[0].cancel(link.now, caller, None).unwrap();
    link.run(seconds(60));
    assert_eq!(link.told(0), ["failed 487"]);
    assert_eq!(link.told(1), ["invite offer", "cancelled"]);
    assert_eq!(link.lines(0), ["INVITE", "CANCEL", "ACK"]);
    assert_eq!(link.lines(1), ["100", "200", "487"]);
    link.assert_all_freed();
}

/// RFC 3665 section 3.9.
#[test]
fn a_busy_callee() {
    let mut link = Link::new(3);
    link.call(Transport::Udp);
    link.run(seconds(1));
    let called = link.incoming(1).unwrap();
    link.endpoints[1].reject(link.now, called, 486, &Headers::new()).unwrap();
    link.run(seconds(60));
    assert_eq!(link.told(0), ["failed 486"]);
    assert_eq!(link.lines(0), ["INVITE", "ACK"]);
    link.assert_all_freed();
}

/// RFC 3665 section 3.10: nobody answers; the INVITE is cancelled when its time is over.
#[test]
fn a_call_that_rings_for_ever() {
    let mut impatient = config("192.0.2.1:5060");
    impatient.invite_expiry = seconds(20);
    let mut link = Link::with_configs(4, impatient, config("192.0.2.2:5060"));
    link.call(Transport::Udp);
    link.run(seconds(1));
    let called = link.incoming(1).unwrap();
    link.endpoints[1].ring(link.now, called, 180, None).unwrap();
    link.run(seconds(90));
    assert_eq!(link.told(0), ["ringing 180", "failed 408"]);
    assert_eq!(link.told(1), ["invite offer", "cancelled"]);
    assert!(was_answered(&link), "it rang");
    link.assert_all_freed();
}

/// Whether anything came from the far side of the call that failed.
fn was_answered(link: &Link) -> bool {
    let failures = link.events[0].iter().filter_map(|event| match event {
        SipEvent::Failed { failure, .. } => Some(failure.answered),
        _ => None,
    });
    failures.last().expect("it failed")
}

#[test]
fn a_call_that_nobody_hears() {
    let mut impatient = config("192.0.2.1:5060");
    impatient.invite_expiry = seconds(20);
    let mut link = Link::with_configs(4, impatient, config("192.0.2.2:5060"));
    link.muted[1] = true;
    link.call(Transport::Udp);
    link.run(seconds(90));
    assert_eq!(link.told(0), ["failed 408"]);
    assert!(!was_answered(&link));
}

#[test]
fn a_byte_stream_that_closes_fails_the_request_on_it() {
    let mut link = Link::new(5);
    link.call(Transport::Tcp);
    link.collect();
    let flow = link.flows_of(0)[0];
    link.endpoints[0].handle_flow_closed(link.now, flow);
    link.run(seconds(60));
    assert_eq!(link.told(0), ["failed 503"]);
    assert_eq!(link.parsed(0, "INVITE").len(), 0);
}

#[test]
fn hold_and_resume_from_both_sides() {
    let mut link = Link::new(6);
    let (caller, called) = answered(&mut link, Transport::Udp);
    link.endpoints[0].reinvite(link.now, caller, Bytes::from_static(b"hold")).unwrap();
    assert_eq!(link.endpoints[0].reinvite(link.now, caller, Bytes::new()), Err(SipError::WrongState));
    link.run(seconds(1));
    link.endpoints[1].answer_reinvite(link.now, called, 200, Bytes::from_static(b"held")).unwrap();
    link.run(seconds(1));
    link.endpoints[1].reinvite(link.now, called, Bytes::from_static(b"other hold")).unwrap();
    link.run(seconds(1));
    link.endpoints[0].answer_reinvite(link.now, caller, 488, Bytes::new()).unwrap();
    link.run(seconds(1));
    link.endpoints[0].info(link.now, caller, "application/dtmf-relay", Bytes::from_static(b"Signal=5")).unwrap();
    link.run(seconds(1));
    link.endpoints[0].bye(link.now, caller, None).unwrap();
    link.run(seconds(60));
    assert_eq!(link.told(0)[2..], ["reinvite answered held", "reinvited other hold", "ended Local"]);
    let called = ["reinvited hold", "confirmed", "reinvite failed 488", "info Signal=5", "ended by bye"];
    assert_eq!(link.told(1)[2..], called);
    link.assert_all_freed();
}

/// RFC 3261 section 14.1: both yield, and one comes first; the other's offer is out of date by then.
#[test]
fn two_offers_meet() {
    let mut link = Link::new(7);
    let (caller, called) = answered(&mut link, Transport::Udp);
    link.endpoints[0].reinvite(link.now, caller, Bytes::from_static(b"a")).unwrap();
    link.endpoints[1].reinvite(link.now, called, Bytes::from_static(b"b")).unwrap();
    link.run_with(seconds(10), |link| {
        for (index, dialog) in [caller, called].into_iter().enumerate() {
            let _ = link.endpoints[index].answer_reinvite(link.now, dialog, 200, Bytes::from_static(b"yes"));
        }
    });
    assert_eq!(link.lines(0).iter().filter(|line| **line == "491").count(), 1);
    assert_eq!(link.lines(1).iter().filter(|line| **line == "491").count(), 1);
    assert!(link.told(1).contains(&"reinvite answered yes".to_owned()), "{:?}", link.told(1));
    assert!(link.told(0).contains(&"reinvite failed 491".to_owned()), "{:?}", link.told(0));
    link.endpoints[0].reinvite(link.now, caller, Bytes::from_static(b"c")).unwrap();
    link.run_with(seconds(10), |link| {
        let _ = link.endpoints[1].answer_reinvite(link.now, called, 200, Bytes::from_static(b"yes"));
    });
    assert!(link.told(0).contains(&"reinvite answered yes".to_owned()), "{:?}", link.told(0));
    link.endpoints[0].bye(link.now, caller, None).unwrap();
    link.run(seconds(60));
    link.assert_all_freed();
}

/// RFC 3261 section 13.2.2.4: offer in the 2xx, answer in the ACK.
#[test]
fn a_delayed_offer() {
    let mut link = Link::new(8);
    let invite = Invite { body: Bytes::new(), ..link.invitation(Transport::Udp) };
    let caller = link.endpoints[0].invite(link.now, invite).unwrap();
    link.run(seconds(1));
    let called = link.incoming(1).unwrap();
    link.endpoints[1].answer(link.now, called, Bytes::from_static(b"offer")).unwrap();
    // The 2xx is repeated meanwhile, and absorbed.
    link.run(seconds(3));
    link.endpoints[0].acknowledge(link.now, caller, Bytes::from_static(b"answer")).unwrap();
    assert_eq!(link.endpoints[0].acknowledge(link.now, caller, Bytes::new()), Err(SipError::WrongState));
    link.run(seconds(1));
    assert_eq!(link.told(0), ["answered offer"]);
    assert_eq!(link.told(1), ["invite ", "confirmed answer"]);
    link.endpoints[1].bye(link.now, called, None).unwrap();
    link.run(seconds(60));
    link.assert_all_freed();
}

/// RFC 3261 section 13.3.1.4, and section 15 for the BYE that has to wait.
#[test]
fn no_ack_comes() {
    for hang_up in [false, true] {
        let mut link = Link::new(9);
        link.call(Transport::Udp);
        link.run(seconds(1));
        let called = link.incoming(1).unwrap();
        link.muted[0] = true;
        link.endpoints[1].answer(link.now, called, Bytes::from_static(b"answer")).unwrap();
        link.run(seconds(1));
        if hang_up {
            link.endpoints[1].bye(link.now, called, None).unwrap();
        }
        link.run(seconds(20));
        assert!(!link.lines(1).contains(&"BYE"));
        link.run(seconds(100));
        assert_eq!(link.told(1), ["invite offer", "ended NoAck"]);
        assert_eq!(link.told(0), ["answered answer", "ended by bye"]);
        // 500 ms, 1 s, 2 s, then every 4 s until 32 s.
        assert_eq!(link.lines(1).iter().filter(|line| **line == "200").count(), 11);
        link.assert_all_freed();
    }
}

#[test]
fn a_bye_waits_for_the_ack() {
    let mut link = Link::new(10);
    link.call(Transport::Udp);
    link.run(seconds(1));
    let called = link.incoming(1).unwrap();
    link.endpoints[1].answer(link.now, called, Bytes::from_static(b"answer")).unwrap();
    link.endpoints[1].bye(link.now, called, None).unwrap();
    link.run(seconds(60));
    assert_eq!(link.lines(0), ["INVITE", "ACK", "200"]);
    assert_eq!(link.told(1), ["invite offer", "ended Local"]);
    link.assert_all_freed();
}

/// A 2xx that crosses the CANCEL is acknowledged and ended (RFC 3261 section 9.1).
#[test]
fn an_answer_crosses_the_cancel() {
    let mut link = Link::new(11);
    let caller = link.call(Transport::Udp);
    link.run(seconds(1));
    let called = link.incoming(1).unwrap();
    link.endpoints[1].answer(link.now, called, Bytes::from_static(b"answer")).unwrap();
    link.endpoints[0].cancel(link.now, caller, None).unwrap();
    link.run(seconds(60));
    assert_eq!(link.told(0), ["failed 487"]);
    assert_eq!(link.told(1), ["invite offer", "confirmed", "ended by bye"]);
    assert_eq!(link.lines(0), ["INVITE", "CANCEL", "ACK", "BYE"]);
    link.assert_all_freed();
}

/// Nobody is there at all: timer B.
#[test]
fn an_unreachable_callee() {
    let mut link = Link::new(12);
    link.muted[0] = true;
    link.call(Transport::Udp);
    link.run(seconds(60));
    assert_eq!(link.told(0), ["failed 408"]);
    assert_eq!(link.lines(0).len(), 7);
    link.assert_all_freed();
    let mut link = Link::new(12);
    link.streams = false;
    link.call(Transport::Tcp);
    link.run(seconds(60));
    assert_eq!(link.told(0), ["failed 503"]);
    link.assert_all_freed();
}

/// RFC 3261 section 18.1.1.
#[test]
fn a_long_request_goes_by_tcp_where_it_can() {
    for streams in [true, false] {
        let mut careful = config("192.0.2.1:5060");
        careful.large_requests_by_tcp = true;
        let mut link = Link::with_configs(13, careful, config("192.0.2.2:5060"));
        link.streams = streams;
        let invite = Invite { body: Bytes::from(vec![b'x'; 1400]), ..link.invitation(Transport::Udp) };
        link.endpoints[0].invite(link.now, invite).unwrap();
        link.run(seconds(1));
        let transport = link.events[1].iter().find_map(|event| match event {
            SipEvent::IncomingInvite(invite) => Some(invite.transport),
            _ => None,
        });
        assert_eq!(transport, Some(if streams { Transport::Tcp } else { Transport::Udp }));
    }
}

/// RFC 3262, because the caller requires it.
#[test]
fn provisional_responses_are_reliable_where_required() {
    let mut link = Link::new(14);
    link.call(Transport::Udp);
    link.collect();
    let (_, invite) = link.messages.remove(0);
    let invite = String::from_utf8(invite).unwrap().replace("Supported: timer", "Require: 100rel");
    let mut link = Link::new(14);
    let source = link.addresses[0];
    link.endpoints[1].handle_datagram(link.now, SOCKET, source, invite.as_bytes());
    link.collect();
    let called = link.incoming(1).unwrap();
    link.endpoints[1].ring(link.now, called, 183, Some(Bytes::from_static(b"early"))).unwrap();
    link.endpoints[1].ring(link.now, called, 180, None).unwrap();
    link.run(seconds(2));
    // Repeated, and the second one waits.
    assert_eq!(link.lines(1), ["100", "183", "183", "183"]);
    let early = link.parsed(1, "183").remove(0);
    assert!(early.headers().require().any(|tag| tag == "100rel"));
    let rseq = early.headers().rseq().unwrap().unwrap();
    let to = early.headers().to().unwrap();
    let from = early.headers().from().unwrap();
    let prack = |rseq: u32, cseq: u32, branch: &str| {
        format!(
            "PRACK sip:bob@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch}\r\n\
             From: {from}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {cseq} PRACK\r\nRAck: {rseq} 1 INVITE\r\n\r\n",
            early.headers().call_id().unwrap()
        )
    };
    link.endpoints[1].handle_datagram(link.now, SOCKET, source, prack(rseq + 7, 2, "p1").as_bytes());
    link.endpoints[1].handle_datagram(link.now, SOCKET, source, prack(rseq, 3, "p2").as_bytes());
    link.endpoints[1].answer(link.now, called, Bytes::from_static(b"answer")).unwrap();
    link.collect();
    assert_eq!(link.lines(1)[4..], ["481", "200", "180"]);
    link.endpoints[1].handle_datagram(link.now, SOCKET, source, prack(rseq + 1, 4, "p3").as_bytes());
    link.collect();
    assert_eq!(link.lines(1)[7..], ["200", "200"]);
    link.run(seconds(200));
    assert_eq!(link.told(1), ["invite offer", "ended NoAck"]);
    link.assert_all_freed();
}

/// An idle byte stream that closes just as it is used again is replaced.
#[test]
fn a_reused_byte_stream_was_closed_meanwhile() {
    let mut link = Link::new(15);
    let (_, called) = answered(&mut link, Transport::Tcp);
    link.endpoints[1].bye(link.now, called, None).unwrap();
    link.run(seconds(40));
    let old = link.flows_of(0);
    link.close(1, link.flows_of(1)[0]);
    link.endpoints[1].handle_flow_closed(link.now, FlowId(1));
    link.call(Transport::Tcp);
    link.run(seconds(1));
    assert_eq!(link.told(1).last().map(String::as_str), Some("invite offer"));
    assert_ne!(link.flows_of(0), old);
}
