//! The call flows of RFC 3665 section 3 between two endpoints.

use bytes::Bytes;

use super::link::*;
use crate::ids::DialogId;
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
    link.assert_all_freed();
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
