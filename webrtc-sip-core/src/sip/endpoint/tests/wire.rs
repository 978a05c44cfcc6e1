//! What other implementations send, and how it is answered.

use std::net::SocketAddr;

use bytes::Bytes;

use super::link::*;
use super::scripted::{Scripted, reply, request_text};
use crate::crypto::CryptoProvider;
use crate::io::{DropReason, FlowId, Transmit};
use crate::rng::Rng;
use crate::sip::auth::DigestServer;
use crate::sip::endpoint::*;
use crate::sip::{HeaderName, Method, Request};

fn call(script: &mut Scripted) -> (crate::ids::DialogId, Request) {
    let invite = Invite {
        destination: Destination { transport: Transport::Udp, address: script.peer },
        credentials: Some(Credentials { user: "alice".to_owned(), password: "secret".to_owned() }),
        ..Link::new(1).invitation(Transport::Udp)
    };
    let dialog = script.endpoint.invite(script.now, invite).unwrap();
    (dialog, script.requests().remove(0))
}

/// An incoming call that was answered, with our tag.
fn answered(script: &mut Scripted) -> (crate::ids::DialogId, String) {
    script.receive_text(&request_text("INVITE", "i", 1, "", ""));
    let Some(SipEvent::IncomingInvite(invite)) = script.events().pop() else { panic!("no call") };
    script.endpoint.answer(script.now, invite.dialog, Bytes::from_static(b"answer")).unwrap();
    let tag = script.responses().pop().unwrap().headers.to().unwrap().tag().unwrap().to_owned();
    script.receive_text(&request_text("ACK", "a", 1, &tag, ""));
    script.events();
    (invite.dialog, tag)
}

fn destination(sent: &[(Transmit, crate::sip::Message)]) -> SocketAddr {
    match sent[0].0 {
        Transmit::Datagram { destination, .. } | Transmit::Unfragmented { destination, .. } => destination,
        Transmit::Stream(flow) => panic!("{flow:?}"),
    }
}

#[test]
fn requests_that_cannot_be_served() {
    for (method, to_tag, extra, status) in [
        ("OPTIONS", "", "", 200),
        ("REGISTER", "", "", 405),
        ("REFER", "", "", 405),
        ("FROBNICATE", "", "", 501),
        ("BYE", "nobody", "", 481),
        ("INFO", "", "", 481),
        ("UPDATE", "nobody", "", 481),
        ("CANCEL", "", "", 481),
        ("INVITE", "nobody", "", 481),
        ("INVITE", "", "Require: nothingSupportsThis\r\n", 420),
        ("OPTIONS", "", "Require: nothingSupportsThis\r\n", 420),
    ] {
        let mut script = Scripted::new();
        script.receive_text(&request_text(method, "x", 1, to_tag, extra));
        let response = script.responses().remove(0);
        assert_eq!(response.status, status, "{method} {extra}");
        assert!(response.headers.to().unwrap().tag().is_some());
        assert_eq!(response.headers.contains(HeaderName::Unsupported), status == 420);
        if matches!(status, 200 | 405 | 501) {
            assert!(response.headers.allow().any(|method| method == Method::Invite));
        }
        assert!(script.events().is_empty());
        script.wait(seconds(60));
        assert_eq!(script.endpoint.stats().transactions, 0);
    }
}

/// RFC 3261 section 18.2.2 and RFC 3581.
#[test]
fn responses_go_where_the_via_says() {
    for (via, goes_to) in [
        ("SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKv", "192.0.2.7:5060"),
        ("SIP/2.0/UDP pc.example.com:5070;branch=z9hG4bKv", "192.0.2.7:5070"),
        ("SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKv;rport", "192.0.2.7:40000"),
        ("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKv", "192.0.2.7:5060"),
    ] {
        let mut script = Scripted::new();
        script.peer = "192.0.2.7:40000".parse().unwrap();
        let ours = "SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKo";
        script.receive_text(&request_text("OPTIONS", "o", 1, "", "").replace(ours, via));
        let sent = script.sent_to();
        assert_eq!(destination(&sent).to_string(), goes_to);
        let stamped = sent[0].1.headers().top_via().unwrap();
        assert_eq!(stamped.received().is_some(), !via.contains("192.0.2.7"));
        assert_eq!(stamped.rport(), via.contains("rport").then_some(40_000));
    }
}

#[test]
fn the_same_request_by_two_paths() {
    let mut script = Scripted::new();
    script.receive_text(&request_text("INVITE", "1", 1, "", ""));
    script.receive_text(&request_text("INVITE", "2", 1, "", ""));
    assert_eq!(script.statuses(), [100, 482]);
    assert_eq!(script.events().len(), 1);
    // A retransmission of either is only answered again.
    script.receive_text(&request_text("INVITE", "1", 1, "", ""));
    script.receive_text(&request_text("INVITE", "2", 1, "", ""));
    assert_eq!(script.statuses(), [100, 482]);
    assert!(script.events().is_empty());
}

/// RFC 2543: no magic cookie, so that the headers identify the transaction (RFC 3261 section 17.2.3).
#[test]
fn an_old_far_side() {
    let mut script = Scripted::new();
    let old = |method: &str, to_tag: &str| request_text(method, "x", 1, to_tag, "").replace("z9hG4bKx", "1");
    script.receive_text(&old("INVITE", ""));
    script.receive_text(&old("INVITE", ""));
    assert_eq!(script.statuses(), [100, 100]);
    let Some(SipEvent::IncomingInvite(invite)) = script.events().pop() else { panic!("no call") };
    script.endpoint.reject(script.now, invite.dialog, 486, &crate::sip::Headers::new()).unwrap();
    let tag = script.responses().remove(0).headers.to().unwrap().tag().unwrap().to_owned();
    script.receive_text(&old("ACK", &tag));
    script.wait(seconds(4));
    assert!(script.statuses().is_empty());
    script.wait(seconds(2));
    assert_eq!(script.endpoint.stats().transactions, 0);
}

/// RFC 3261 section 13.2.1: each fork's provisional answer stands for its own 2xx.
#[test]
fn an_answer_that_came_early_only() {
    let mut script = Scripted::new();
    let (_, invite) = call(&mut script);
    for (tag, body) in [("one", "first"), ("two", "second"), ("one", "")] {
        let mut early = reply(&invite, 183, tag);
        early.body = Bytes::from_static(body.as_bytes());
        script.receive(early);
    }
    script.events();
    script.receive(reply(&invite, 200, "one"));
    let Some(SipEvent::Answered { body, .. }) = script.events().pop() else { panic!("not answered") };
    assert_eq!(body, "first");
}

/// RFC 3261 section 13.2.2.4: the first 2xx wins, the others get ACK and BYE.
#[test]
fn a_forked_call_is_answered_twice() {
    let mut script = Scripted::new();
    let (dialog, invite) = call(&mut script);
    script.receive(reply(&invite, 180, "one"));
    script.receive(reply(&invite, 180, "two"));
    script.receive(reply(&invite, 200, "two"));
    script.receive(reply(&invite, 200, "one"));
    script.receive(reply(&invite, 200, "two"));
    script.receive(reply(&invite, 200, "one"));
    let sent: Vec<_> = script
        .requests()
        .iter()
        .map(|request| format!("{} {}", request.method, request.headers.to().unwrap().tag().unwrap()))
        .collect();
    assert_eq!(sent, ["ACK two", "ACK one", "BYE one", "ACK two", "ACK one"]);
    let events = script.events();
    assert_eq!(events.iter().filter(|event| matches!(event, SipEvent::Answered { .. })).count(), 1);
    script.endpoint.bye(script.now, dialog, None).unwrap();
    assert_eq!(script.requests()[0].headers.to().unwrap().tag(), Some("two"));
    script.wait(seconds(60));
    assert_eq!(script.endpoint.stats().timers, 0);
}

#[test]
fn a_proxy_challenges_call_and_bye() {
    let mut script = Scripted::new();
    let mut proxy = DigestServer::new(script.now, "example.com", CryptoProvider::seeded(&[9; 32]));
    let (dialog, invite) = call(&mut script);
    let challenged = |script: &mut Scripted, request: &Request, proxy: &DigestServer| {
        let mut challenge = reply(request, 407, "p");
        challenge.headers.push(HeaderName::ProxyAuthenticate, &proxy.challenges(script.now, false)[0]);
        script.receive(challenge);
        script.requests()
    };
    let mut sent = challenged(&mut script, &invite, &proxy);
    let again = sent.pop().unwrap();
    assert_eq!(sent[0].method, Method::Ack);
    assert_eq!(sent[0].headers.top_via(), invite.headers.top_via());
    assert_eq!((again.headers.call_id(), again.headers.from()), (invite.headers.call_id(), invite.headers.from()));
    assert_eq!(again.headers.cseq().unwrap().number, 2);
    let given = again.headers.credentials(HeaderName::ProxyAuthorization).next().unwrap();
    assert_eq!(proxy.verify(script.now, &again.method, &given, Some("secret")), Ok(()));
    script.receive(reply(&again, 200, "b"));
    let ack = script.requests().remove(0);
    assert!(ack.headers.contains(HeaderName::ProxyAuthorization));
    assert_eq!(ack.headers.cseq().unwrap().number, 2);

    script.endpoint.bye(script.now, dialog, None).unwrap();
    let bye = script.requests().remove(0);
    let bye = challenged(&mut script, &bye, &proxy).pop().unwrap();
    assert_eq!((bye.method.clone(), bye.headers.cseq().unwrap().number), (Method::Bye, 4));
    let given = bye.headers.credentials(HeaderName::ProxyAuthorization).next().unwrap();
    assert_eq!(proxy.verify(script.now, &bye.method, &given, Some("secret")), Ok(()));
}

#[test]
fn a_redirection_is_reported() {
    let mut script = Scripted::new();
    let (_, invite) = call(&mut script);
    let mut response = invite.response(302);
    response.headers.push(HeaderName::Contact, "<sip:a@h>;q=0.1, <sip:b@h>;q=0.7, <sip:c@h>");
    response.headers.push(HeaderName::Reason, "Q.850;cause=17");
    script.receive(response);
    let Some(SipEvent::Failed { failure, .. }) = script.events().pop() else { panic!("not failed") };
    let contacts: Vec<_> = failure.contacts.iter().map(|contact| contact.uri.to_string()).collect();
    assert_eq!((failure.status, failure.reason.unwrap().cause), (302, Some(17)));
    assert_eq!(contacts, ["sip:c@h", "sip:b@h", "sip:a@h"]);
}

#[test]
fn requests_in_a_dialog() {
    let mut script = Scripted::new();
    let (_, tag) = answered(&mut script);
    script.receive_text(&request_text("OPTIONS", "1", 2, &tag, ""));
    script.receive_text(&request_text("INFO", "2", 3, &tag, ""));
    // Out of order (section 12.2.2), and of somebody else.
    script.receive_text(&request_text("INFO", "3", 2, &tag, ""));
    script.receive_text(&request_text("INFO", "4", 4, &tag, "").replace("tag=c", "tag=d"));
    script.receive_text(
        &request_text("UPDATE", "5", 5, &tag, "")
            .replace("Contact: <sip:carol@192.0.2.7>", "Contact: <sip:carol@192.0.2.8:5080>"),
    );
    assert_eq!(script.statuses(), [200, 200, 500, 481, 200]);
    assert!(matches!(script.events()[..], [SipEvent::Info { .. }]));
    script.receive_text(&request_text("BYE", "6", 6, &tag, "Reason: Q.850;cause=16\r\n"));
    assert_eq!(script.statuses(), [200]);
    let events = script.events();
    assert!(matches!(&events[..], [SipEvent::Ended { reason: Ended::Bye(Some(_)), .. }]), "{events:?}");
}

#[test]
fn the_target_moves_with_an_update() {
    let mut script = Scripted::new();
    let (dialog, tag) = answered(&mut script);
    let moved = "Contact: <sip:carol@192.0.2.8:5080>";
    script.receive_text(&request_text("UPDATE", "5", 5, &tag, "").replace("Contact: <sip:carol@192.0.2.7>", moved));
    script.sent_to();
    script.endpoint.bye(script.now, dialog, None).unwrap();
    assert_eq!(destination(&script.sent_to()).to_string(), "192.0.2.8:5080");
}

/// A host name in Contact: back to where the dialog came from.
#[test]
fn a_contact_that_needs_dns() {
    let mut script = Scripted::new();
    let invite = request_text("INVITE", "i", 1, "", "");
    script.receive_text(&invite.replace("Contact: <sip:carol@192.0.2.7>", "Contact: <sip:carol@phone.invalid>"));
    let Some(SipEvent::IncomingInvite(invite)) = script.events().pop() else { panic!("no call") };
    script.endpoint.answer(script.now, invite.dialog, Bytes::from_static(b"answer")).unwrap();
    let tag = script.responses().pop().unwrap().headers.to().unwrap().tag().unwrap().to_owned();
    script.receive_text(&request_text("ACK", "a", 1, &tag, ""));
    script.endpoint.bye(script.now, invite.dialog, None).unwrap();
    let sent = script.sent_to();
    assert_eq!(destination(&sent), script.peer);
    let crate::sip::Message::Request(bye) = &sent[0].1 else { panic!("no request") };
    assert_eq!(bye.uri.to_string(), "sip:carol@phone.invalid");
}

#[test]
fn a_dialog_that_is_gone_over_there() {
    let mut script = Scripted::new();
    let (dialog, _) = answered(&mut script);
    script.endpoint.info(script.now, dialog, "application/dtmf-relay", Bytes::from_static(b"Signal=1")).unwrap();
    let info = script.requests().remove(0);
    script.receive(info.response(481));
    assert_eq!(script.requests()[0].method, Method::Bye);
    let events = script.events();
    assert!(matches!(&events[..], [SipEvent::Ended { reason: Ended::Lost { status: 481 }, .. }]), "{events:?}");
}

#[test]
fn an_early_dialog_is_ended_by_its_caller() {
    let mut script = Scripted::new();
    script.receive_text(&request_text("INVITE", "i", 1, "", ""));
    let Some(SipEvent::IncomingInvite(invite)) = script.events().pop() else { panic!("no call") };
    script.endpoint.ring(script.now, invite.dialog, 180, None).unwrap();
    let tag = script.responses().pop().unwrap().headers.to().unwrap().tag().unwrap().to_owned();
    script.receive_text(&request_text("BYE", "b", 2, &tag, ""));
    assert_eq!(script.statuses(), [200, 487]);
    assert!(matches!(script.events()[..], [SipEvent::Cancelled { .. }]));
}

#[test]
fn limits_are_kept() {
    let mut config = config("192.0.2.1:5060");
    config.limits.max_dialogs = 2;
    config.limits.max_transactions = 4;
    config.limits.max_flows = 1;
    let mut script = Scripted::with_config(config);
    for number in 0..6 {
        let text = request_text("INVITE", &number.to_string(), 1, "", "");
        script.receive_text(&text.replace("Call-ID: call", &format!("Call-ID: {number}")));
    }
    assert_eq!(script.statuses(), [100, 100, 503, 503, 503, 503]);
    let stats = script.endpoint.stats();
    assert_eq!((stats.dialogs, stats.transactions), (2, 4));
    assert_eq!(stats.drops.get(DropReason::LimitReached), 4);
    let remote = "192.0.2.9:1000".parse().unwrap();
    for flow in 0..3 {
        script.endpoint.handle_flow_opened(script.now, FlowId(flow), "192.0.2.1:5060".parse().unwrap(), remote);
    }
    assert_eq!(script.endpoint.stats().flows, 1);
    let closed = script.events().iter().filter(|event| matches!(event, SipEvent::CloseFlow { .. })).count();
    assert_eq!(closed, 2);
}

#[test]
fn a_byte_stream_that_talks_nonsense_is_closed() {
    let mut script = Scripted::new();
    let (local, remote) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.9:1000".parse().unwrap());
    script.endpoint.handle_flow_opened(script.now, FlowId(1), local, remote);
    script.endpoint.handle_flow_data(script.now, FlowId(1), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(matches!(script.events()[..], [SipEvent::CloseFlow { flow: FlowId(1) }]));
    // A silent one is closed too.
    script.endpoint.handle_flow_opened(script.now, FlowId(2), local, remote);
    script.wait(seconds(33));
    assert!(matches!(script.events()[..], [SipEvent::CloseFlow { flow: FlowId(2) }]));
    assert_eq!(script.endpoint.stats().flows, 0);
    assert_eq!(script.endpoint.stats().timers, 0);
}

/// Messages with bytes changed, cut and swapped, at an endpoint with calls in every state.
#[test]
fn garbage_does_no_harm() {
    let mut rng = Rng::split(&[5; 32], "garbage");
    let mut script = Scripted::new();
    let (_, tag) = answered(&mut script);
    let (_, invite) = call(&mut script);
    let seeds = [
        request_text("INVITE", "g", 9, "", "Require: 100rel\r\nSession-Expires: 90\r\nSupported: timer\r\n"),
        request_text("INVITE", "h", 10, &tag, ""),
        request_text("BYE", "j", 8, &tag, ""),
        request_text("CANCEL", "g", 9, "", ""),
        request_text("ACK", "k", 1, &tag, ""),
        request_text("PRACK", "l", 11, &tag, "RAck: 1 9 INVITE\r\n"),
        request_text("UPDATE", "m", 12, &tag, ""),
        String::from_utf8(crate::sip::Message::from(reply(&invite, 180, "e")).to_bytes()).unwrap(),
        String::from_utf8(crate::sip::Message::from(reply(&invite, 200, "e")).to_bytes()).unwrap(),
        String::from_utf8(crate::sip::Message::from(reply(&invite, 401, "e")).to_bytes()).unwrap(),
    ];
    for _ in 0..20_000 {
        let mut bytes = seeds[rng.below(seeds.len() as u64) as usize].clone().into_bytes();
        for _ in 0..rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            match rng.below(3) {
                0 => bytes[at] = rng.u32() as u8,
                1 => bytes.truncate(at.max(1)),
                _ => drop(bytes.remove(at)),
            }
            if bytes.is_empty() {
                break;
            }
        }
        script.endpoint.handle_datagram(script.now, SOCKET, script.peer, &bytes);
        if rng.chance(0.05) {
            script.wait(std::time::Duration::from_millis(rng.below(2000)));
            script.events();
            let mut storage = [0; 65_536];
            while script.endpoint.poll_transmit(script.now, &mut crate::io::PacketBuf::empty(&mut storage, 0)).is_some()
            {
            }
        }
    }
    script.wait(seconds(600));
    let stats = script.endpoint.stats();
    assert!(stats.dialogs <= 2 && stats.transactions == 0, "only answered calls may be left: {stats:?}");
    assert!(stats.drops.get(DropReason::Malformed) > 1000);
}

/// A challenge isn't answered, and no other failure reported, once the call is given up.
#[test]
fn a_cancelled_call_is_not_tried_again() {
    let mut script = Scripted::new();
    let registrar = DigestServer::new(script.now, "example.com", CryptoProvider::seeded(&[9; 32]));
    let (dialog, invite) = call(&mut script);
    script.receive(reply(&invite, 180, "b"));
    script.endpoint.cancel(script.now, dialog, None).unwrap();
    assert_eq!(script.endpoint.bye(script.now, dialog, None), Err(SipError::WrongState));
    let cancel = script.requests().remove(0);
    assert_eq!((cancel.method.clone(), cancel.headers.top_via()), (Method::Cancel, invite.headers.top_via()));
    assert_eq!(cancel.headers.cseq().unwrap().number, 1);
    let mut challenge = reply(&invite, 401, "b");
    challenge.headers.push(HeaderName::WwwAuthenticate, &registrar.challenges(script.now, false)[0]);
    script.receive(challenge);
    let sent: Vec<_> = script.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(sent, [Method::Ack]);
    let Some(SipEvent::Failed { failure, .. }) = script.events().pop() else { panic!("not failed") };
    assert_eq!(failure.status, 487);
}
