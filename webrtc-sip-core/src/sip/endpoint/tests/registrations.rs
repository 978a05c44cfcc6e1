//! RFC 3665 section 2, and what registrars do besides.

use std::time::Duration;

use super::link::{address, config, seconds, uri};
use super::scripted::{Scripted, reply};
use crate::crypto::CryptoProvider;
use crate::sip::auth::DigestServer;
use crate::sip::endpoint::*;
use crate::sip::{HeaderName, Request};

fn registration(expires: u64) -> Register {
    Register {
        destination: Destination { transport: Transport::Udp, address: "192.0.2.7:5060".parse().unwrap() },
        registrar: uri("sip:biloxi.example.com"),
        aor: address("Bob <sip:bob@biloxi.example.com>"),
        contact_user: "bob".to_owned(),
        expires: seconds(expires),
        credentials: Some(Credentials { user: "bob".to_owned(), password: "zanzibar".to_owned() }),
    }
}

fn accept(script: &mut Scripted, request: &Request, expires: u32) {
    let mut response = reply(request, 200, "r");
    response.headers.remove(HeaderName::Contact);
    response.headers.push(HeaderName::Contact, "<sip:bob@198.51.100.1>;expires=5");
    let ours = request.headers.get(HeaderName::Contact).unwrap();
    response.headers.push(HeaderName::Contact, format_args!("{ours};expires={expires}"));
    script.receive(response);
}

fn texts(events: &[SipEvent]) -> Vec<String> {
    let text = |event: &SipEvent| match event {
        SipEvent::Registered { expires, .. } => format!("registered {}", expires.as_secs()),
        SipEvent::RegistrationFailed { status, .. } => format!("failed {status}"),
        SipEvent::Unregistered { .. } => "unregistered".to_owned(),
        other => format!("{other:?}"),
    };
    events.iter().map(text).collect()
}

#[test]
fn with_digest_refreshed_and_removed() {
    let mut script = Scripted::new();
    let mut registrar = DigestServer::new(script.now, "atlanta.example.com", CryptoProvider::seeded(&[9; 32]));
    let id = script.endpoint.register(script.now, registration(3600)).unwrap();
    let first = script.requests().remove(0);
    assert_eq!(first.uri.to_string(), "sip:biloxi.example.com");
    let mut challenge = reply(&first, 401, "r");
    for offered in registrar.challenges(script.now, false) {
        challenge.headers.push(HeaderName::WwwAuthenticate, offered);
    }
    script.receive(challenge);
    let second = script.requests().remove(0);
    let given = second.headers.credentials(HeaderName::Authorization).next().unwrap();
    assert_eq!(registrar.verify(script.now, &second.method, &given, Some("zanzibar")), Ok(()));
    assert_eq!(second.headers.call_id(), first.headers.call_id());
    assert_eq!(second.headers.cseq().unwrap().number, 2);
    assert_ne!(second.headers.top_via(), first.headers.top_via());
    accept(&mut script, &second, 600);
    assert_eq!(texts(&script.events()), ["registered 600"]);

    // The refresh comes in time to be repeated, and not much earlier.
    script.wait(seconds(450));
    assert!(script.requests().is_empty());
    script.wait(seconds(65));
    let refresh = script.requests().remove(0);
    assert_eq!((refresh.headers.cseq().unwrap().number, refresh.headers.expires()), (3, Ok(Some(3600))));

    // Removal waits for the answer to that.
    script.endpoint.unregister(script.now, id).unwrap();
    assert!(script.requests().is_empty());
    accept(&mut script, &refresh, 600);
    let removal = script.requests().remove(0);
    assert_eq!(removal.headers.expires(), Ok(Some(0)));
    script.receive(reply(&removal, 200, "r"));
    assert_eq!(texts(&script.events()), ["unregistered"]);
    assert_eq!(script.endpoint.unregister(script.now, id), Err(SipError::UnknownRegistration));
    script.wait(seconds(60));
    let stats = script.endpoint.stats();
    assert_eq!((stats.registrations, stats.transactions, stats.timers), (0, 0, 0));
}

#[test]
fn a_wrong_password_is_not_tried_for_ever() {
    let mut script = Scripted::new();
    let registrar = DigestServer::new(script.now, "atlanta.example.com", CryptoProvider::seeded(&[9; 32]));
    script.endpoint.register(script.now, registration(3600)).unwrap();
    for attempt in 0..2 {
        let request = script.requests().remove(0);
        assert_eq!(request.headers.contains(HeaderName::Authorization), attempt > 0);
        let mut challenge = reply(&request, 401, "r");
        challenge.headers.push(HeaderName::WwwAuthenticate, &registrar.challenges(script.now, false)[1]);
        script.receive(challenge);
    }
    assert!(script.requests().is_empty());
    assert_eq!(texts(&script.events()), ["failed 401"]);
    // Tried again after a pause of 15 to 30 s.
    script.wait(Duration::from_millis(14_999));
    assert!(script.requests().is_empty());
    script.wait(seconds(16));
    assert!(!script.requests().is_empty());
}

#[test]
fn a_longer_interval_is_taken() {
    let mut script = Scripted::new();
    script.endpoint.register(script.now, registration(60)).unwrap();
    let request = script.requests().remove(0);
    let mut response = reply(&request, 423, "r");
    response.headers.push(HeaderName::MinExpires, 300);
    script.receive(response);
    let request = script.requests().remove(0);
    assert_eq!(request.headers.expires(), Ok(Some(300)));
    accept(&mut script, &request, 300);
    assert_eq!(texts(&script.events()), ["registered 300"]);
}

#[test]
fn pauses_grow_while_nobody_answers() {
    let mut script = Scripted::new();
    let id = script.endpoint.register(script.now, registration(60)).unwrap();
    script.wait(seconds(3 * 3600));
    let failures = texts(&script.events());
    assert!(failures.iter().all(|text| text == "failed 408"), "{failures:?}");
    assert!((8..20).contains(&failures.len()), "{}", failures.len());
    script.endpoint.unregister(script.now, id).unwrap();
    script.wait(seconds(120));
    assert_eq!(texts(&script.events()).last().map(String::as_str), Some("unregistered"));
    assert_eq!(script.endpoint.stats().timers, 0);
}

#[test]
fn a_registrar_may_ask_for_a_pause() {
    let mut script = Scripted::new();
    script.endpoint.register(script.now, registration(60)).unwrap();
    let request = script.requests().remove(0);
    let mut response = reply(&request, 503, "r");
    response.headers.push(HeaderName::RetryAfter, "120 (in maintenance)");
    script.receive(response);
    script.wait(seconds(119));
    assert!(script.requests().is_empty());
    script.wait(seconds(2));
    assert!(!script.requests().is_empty());
}

/// What was tried, of the failures.
fn tried(events: &[SipEvent]) -> Vec<Option<Tried>> {
    let tried = |event: &SipEvent| match event {
        SipEvent::RegistrationFailed { tried, .. } => Some(*tried),
        _ => None,
    };
    events.iter().filter_map(tried).collect()
}

#[test]
fn a_failure_is_of_the_address_that_the_request_went_to() {
    let mut script = Scripted::new();
    let id = script.endpoint.register(script.now, registration(60)).unwrap();
    let [first, second] = ["192.0.2.7:5060", "192.0.2.8:5060"].map(|address| address.parse().unwrap());
    script.endpoint.redirect_registration(id, second).unwrap();
    let request = script.requests().remove(0);
    script.receive(reply(&request, 500, "r"));
    script.wait(seconds(63));
    let [refused, silent] =
        [(first, true), (second, false)].map(|(address, answered)| Some(Tried { address, answered }));
    assert_eq!(tried(&script.events()), [refused, silent]);
}

#[test]
fn what_is_never_sent_is_tried_nowhere() {
    let mut config = config("192.0.2.1:5060");
    config.limits.max_transactions = 0;
    let mut script = Scripted::with_config(config);
    script.endpoint.register(script.now, registration(60)).unwrap();
    assert!(script.requests().is_empty());
    assert_eq!(tried(&script.events()), [None]);
}
