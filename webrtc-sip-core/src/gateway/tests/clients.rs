//! What clients are told of their calls.

use serde_json::{Value, json};

use super::fixture::*;
use crate::ids::{LegId, LinkId};
use crate::media::{LegStats, MediaEvent};
use crate::sip::Method;

/// Alice's client after these counts of packets received and lost: the `lossPercent` and `packetsLost` that it is told.
fn told_loss(f: &mut Fixture, leg: LegId, packets_received: u64, packets_lost: u64) -> (Value, Value) {
    let stats = LegStats { packets_received, packets_lost, ..LegStats::default() };
    f.gateway.handle_media_event(f.now, MediaEvent::Stats { leg, stats });
    f.drain();
    let (_, told) = f.messages.iter().rev().find(|(_, m)| m["method"] == "call.stats").expect("figures are told");
    (told["params"]["lossPercent"].clone(), told["params"]["packetsLost"].clone())
}

#[test]
fn loss_is_what_was_lost_since_the_last_report() {
    let (mut f, call, _) = Fixture::talking();
    let leg = LegId(u64::from_str_radix(&call, 16).unwrap());
    assert_eq!(told_loss(&mut f, leg, 0, 0), (Value::Null, json!(0)));
    assert_eq!(told_loss(&mut f, leg, 150, 50), (json!(25.0), json!(50)));
    assert_eq!(told_loss(&mut f, leg, 400, 50), (json!(0.0), json!(50)));
    assert_eq!(told_loss(&mut f, leg, 698, 51), (json!(0.3), json!(51)));
    // Late packets arrive after all.
    assert_eq!(told_loss(&mut f, leg, 700, 49), (json!(0.0), json!(49)));
}

#[test]
fn a_client_that_resumes_is_told_of_its_calls() {
    let mut f = Fixture::new(config());
    let token = f.sign_in(ALICE, "1001");
    let call = f.call(ALICE, "phone");
    let invite = f.sent(Method::Invite);
    f.respond(&invite, 183, "phone", &sdp(1, "sendrecv"));
    let resume = |f: &mut Fixture, link: u64| {
        f.gateway.handle_websocket_opened(f.now, LinkId(link));
        let resumed = f.ask(LinkId(link), "session.resume", json!({ "token": token, "after": 0 }));
        resumed["result"]["calls"][0].clone()
    };
    let expected = |state: &str, held_by_remote: bool| {
        json!({ "callId": call, "state": state, "direction": "outgoing", "from": "1001", "to": "phone",
                "held": false, "heldByRemote": held_by_remote })
    };
    assert_eq!(resume(&mut f, 71), expected("earlyMedia", false));
    f.respond(&invite, 200, "phone", &sdp(1, "sendonly"));
    assert_eq!(resume(&mut f, 72), expected("answered", true));
}
