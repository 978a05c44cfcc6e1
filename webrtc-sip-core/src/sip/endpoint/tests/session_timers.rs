//! RFC 4028 between two endpoints, and snapshots (whose session timers go on).

use bytes::Bytes;

use super::link::*;
use super::scripted::{Scripted, reply, request_text};
use crate::ids::DialogId;
use crate::sip::endpoint::*;
use crate::sip::{HeaderName, Message};

fn timed(interval: u64) -> Link {
    let with_timer = |address| EndpointConfig { session_interval: Some(seconds(interval)), ..config(address) };
    Link::with_configs(20, with_timer("192.0.2.1:5060"), config("192.0.2.2:5060"))
}

fn answered(link: &mut Link) -> (DialogId, DialogId) {
    let caller = link.call(Transport::Udp);
    link.run(seconds(1));
    let called = link.incoming(1).unwrap();
    link.endpoints[1].answer(link.now, called, Bytes::from_static(b"answer")).unwrap();
    link.run(seconds(1));
    (caller, called)
}

#[test]
fn a_session_lives_while_it_is_refreshed() {
    let mut link = timed(100);
    let (caller, _) = answered(&mut link);
    link.run(seconds(1000));
    assert_eq!(link.told(0), ["answered answer"]);
    assert_eq!(link.told(1), ["invite offer", "confirmed"]);
    let updates = link.parsed(0, "UPDATE");
    assert!((19..=21).contains(&updates.len()), "{}", updates.len());
    assert_eq!(updates[0].headers().get(HeaderName::SessionExpires), Some("100;refresher=uac"));
    link.endpoints[0].bye(link.now, caller, None).unwrap();
    link.run(seconds(60));
    link.assert_all_freed();
}

#[test]
fn a_session_without_its_far_side_ends() {
    let mut link = timed(100);
    answered(&mut link);
    link.muted = [true; 2];
    link.run(seconds(300));
    // The refresher hears nothing for 32 s; the other side gives up a third before the end.
    assert_eq!(link.told(0).last().unwrap(), "ended SessionExpired");
    assert_eq!(link.told(1).last().unwrap(), "ended SessionExpired");
    link.run(seconds(60));
    link.assert_all_freed();
}

#[test]
fn an_interval_that_is_too_small() {
    let mut script = Scripted::new();
    let extra = "Supported: timer\r\nSession-Expires: 60\r\n";
    script.receive_text(&request_text("INVITE", "1", 1, "", extra));
    let response = script.responses().remove(0);
    assert_eq!((response.status, response.headers.min_se()), (422, Ok(Some(90))));
    assert_eq!(script.endpoint.stats().dialogs, 0);
}

/// RFC 4028 section 7.4.
#[test]
fn a_longer_interval_is_taken() {
    let mut config = config("192.0.2.1:5060");
    config.session_interval = Some(seconds(90));
    let mut script = Scripted::with_config(config);
    let link = Link::new(1);
    let invite = Invite {
        destination: Destination { transport: Transport::Udp, address: script.peer },
        ..link.invitation(Transport::Udp)
    };
    script.endpoint.invite(script.now, invite).unwrap();
    let request = script.requests().remove(0);
    let mut refusal = reply(&request, 422, "b");
    refusal.headers.push(HeaderName::MinSe, 1800);
    script.receive(refusal);
    let again = script.requests().pop().unwrap();
    assert_eq!(again.headers.session_expires().unwrap().unwrap().interval, 1800);
    assert_eq!(again.headers.cseq().unwrap().number, 2);
    assert!(script.events().is_empty());
}

#[test]
fn the_refresher_is_chosen_by_the_table() {
    for (asked, knows, settled) in [
        ("Session-Expires: 1800", true, Some("1800;refresher=uac")),
        ("Session-Expires: 1800;refresher=uas", true, Some("1800;refresher=uas")),
        ("Session-Expires: 1800", false, Some("1800;refresher=uas")),
        ("Subject: none", true, None),
    ] {
        let mut script = Scripted::new();
        let supported = if knows { "Supported: timer\r\n" } else { "" };
        script.receive_text(&request_text("INVITE", "1", 1, "", &format!("{asked}\r\n{supported}")));
        let Some(SipEvent::IncomingInvite(invite)) = script.events().pop() else { panic!("no call") };
        script.endpoint.answer(script.now, invite.dialog, Bytes::from_static(b"answer")).unwrap();
        let response = script.responses().pop().unwrap();
        assert_eq!(response.headers.get(HeaderName::SessionExpires), settled, "{asked}");
        let required = response.headers.require().any(|tag| tag == "timer");
        assert_eq!(required, settled == Some("1800;refresher=uac"), "{asked}");
    }
}

/// A far side without UPDATE is refreshed by re-INVITE with the same body.
#[test]
fn a_refresh_by_reinvite_tells_nobody() {
    let mut script = Scripted::new();
    script.receive_text(&request_text(
        "INVITE",
        "1",
        1,
        "",
        "Session-Expires: 90;refresher=uas\r\nSupported: timer\r\n",
    ));
    let Some(SipEvent::IncomingInvite(invite)) = script.events().pop() else { panic!("no call") };
    script.endpoint.answer(script.now, invite.dialog, Bytes::from_static(b"answer")).unwrap();
    let tag = script.responses().pop().unwrap().headers.to().unwrap().tag().unwrap().to_owned();
    script.receive_text(&request_text("ACK", "2", 1, &tag, ""));
    script.wait(seconds(45));
    let refresh = script.requests().remove(0);
    assert_eq!((refresh.method.as_str(), refresh.body.as_ref()), ("INVITE", &b"answer"[..]));
    let mut response = refresh.response(200);
    response.headers.push(HeaderName::Contact, "<sip:carol@192.0.2.7>");
    response.headers.push(HeaderName::SessionExpires, "90;refresher=uac");
    script.receive(response);
    assert_eq!(script.requests().remove(0).method.as_str(), "ACK");
    let events = script.events();
    assert!(matches!(events[..], [SipEvent::Confirmed { .. }]), "{events:?}");
    script.wait(seconds(45));
    assert_eq!(script.requests().len(), 1);
}

/// The dialog goes on from another endpoint.
#[test]
fn a_dialog_outlives_its_endpoint() {
    let mut link = timed(100);
    let (caller, _) = answered(&mut link);
    let snapshot = link.endpoints[0].dialog_snapshot(link.now, caller).unwrap();
    let json = serde_json::to_string(&snapshot).unwrap();
    let mut other = Link::new(21).endpoints.remove(0);
    let restored: DialogSnapshot = serde_json::from_str(&json).unwrap();
    let dialog = other.restore_dialog(link.now, restored.clone(), None).unwrap();
    assert_eq!(other.restore_dialog(link.now, restored.clone(), None), Err(SipError::BadSnapshot));
    let newer = DialogSnapshot { version: 2, ..restored };
    assert_eq!(other.restore_dialog(link.now, newer, None), Err(SipError::BadSnapshot));
    link.endpoints[0] = other;
    link.run(seconds(1));
    link.endpoints[0].reinvite(link.now, dialog, Bytes::from_static(b"again")).unwrap();
    link.run(seconds(1));
    let called = link.incoming(1).unwrap();
    link.endpoints[1].answer_reinvite(link.now, called, 200, Bytes::from_static(b"yes")).unwrap();
    link.run(seconds(300));
    assert_eq!(link.told(0).last().unwrap(), "reinvite answered yes");
    link.endpoints[1].bye(link.now, called, None).unwrap();
    link.run(seconds(60));
    assert_eq!(link.told(0).last().unwrap(), "ended by bye");
    let numbers: Vec<_> = link.messages.iter().filter(|(from, _)| *from == 0).collect();
    let requests = numbers.iter().filter_map(|(_, bytes)| match Message::parse(bytes) {
        Ok(Message::Request(request)) if request.method.as_str() != "ACK" => {
            Some(request.headers.cseq().unwrap().number)
        }
        _ => None,
    });
    let numbers: Vec<_> = requests.collect();
    assert!(numbers.is_sorted() && numbers[1] > 100, "{numbers:?}");
    link.assert_all_freed();
}
