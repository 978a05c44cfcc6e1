//! A proxy that is known by its name.

use super::fixture::*;
use crate::gateway::{GatewayConfig, ProxyNews};
use crate::ids::LinkId;
use crate::sip::{HeaderName, Method};

const PROXY: &str = "proxy.example.org";

fn goes_to(f: &Fixture) -> String {
    f.destination.expect("something was sent").ip().to_string()
}

#[test]
fn a_name_that_resolves_late() {
    let mut f = Fixture::new(with_proxy(PROXY));
    f.sign_in(ALICE, "1001");
    f.call(ALICE, "555");
    assert_eq!(f.told(ALICE), ["call.ended unreachable"]);
    // A look-up fails, another is never answered.
    f.resolve(&[]);
    f.stay(11 * SECOND);
    assert_eq!(f.questions.len(), 1, "it is tried again");
    f.questions.clear();
    f.stay(21 * SECOND);
    assert!(f.requests(Method::Register).is_empty());
    f.resolve(&["192.0.2.7"]);
    let register = f.sent(Method::Register);
    f.respond(&register, 200, "registrar", "");
    assert_eq!(f.gateway.stats().registrations, 1);
}

#[test]
fn every_address_of_a_host_is_trusted_and_stays_so() {
    let mut f = Fixture::new(with_proxy(PROXY));
    f.sign_in(ALICE, "1001");
    f.resolve(&["192.0.2.8", "192.0.2.7"]);
    f.phone("INVITE", 1, None, "", &sdp(1, "sendrecv"));
    assert_eq!(f.told(ALICE), ["call.incoming"]);
    assert_eq!(f.gateway.stats().refused_sources, 0);

    let mut f = Fixture::new(with_proxy(PROXY));
    f.resolve(&["192.0.2.8"]);
    f.phone("INVITE", 1, None, "", &sdp(1, "sendrecv"));
    f.response(403);
    f.wait(61 * SECOND);
    f.resolve(&[]);
    assert!(f.gateway.hosts.contain("192.0.2.8".parse().unwrap()), "a failed look-up takes nothing away");
}

/// RFC 3263 section 4.3.
#[test]
fn a_call_goes_to_the_next_address_when_one_fails() {
    let mut f = Fixture::new(with_proxy(PROXY));
    f.resolve(&["2001:db8::1", "192.0.2.7", "192.0.2.8"]);
    f.sign_in(ALICE, "1001");
    f.sip.clear();
    f.call(ALICE, "555");
    let first = f.sent(Method::Invite);
    assert_eq!(goes_to(&f), "192.0.2.7", "there is no socket for the first");
    f.respond(&first, 503, "busy", "");
    let second = f.sent(Method::Invite);
    assert_eq!(goes_to(&f), "192.0.2.8");
    assert_ne!(first.headers.call_id().unwrap(), second.headers.call_id().unwrap());
    f.respond(&second, 200, "phone", &sdp(1, "sendrecv"));
    assert_eq!(f.told(ALICE), ["call.answered"]);

    f.sip.clear();
    f.call(ALICE, "555");
    let first = f.sent(Method::Invite);
    f.respond(&first, 180, "phone", "");
    f.respond(&first, 503, "phone", "");
    assert!(f.requests(Method::Invite).is_empty(), "a phone that rang has been found");
    assert_eq!(f.told(ALICE), ["call.ringing", "call.ended unreachable"]);
}

#[test]
fn a_registration_goes_to_the_next_address_when_one_fails() {
    let mut f = Fixture::new(with_proxy(PROXY));
    f.resolve(&["192.0.2.7", "192.0.2.8"]);
    f.sign_in(ALICE, "1001");
    assert_eq!(goes_to(&f), "192.0.2.7");
    let register = f.sent(Method::Register);
    f.respond(&register, 503, "registrar", "");
    assert_eq!(f.gateway.stats().failed_registrations, 1);
    f.stay(31 * SECOND);
    assert_eq!(goes_to(&f), "192.0.2.8");
    let register = f.sent(Method::Register);
    f.respond(&register, 200, "registrar", "");
    assert_eq!(f.gateway.stats().registrations, 1);
}

#[test]
fn a_proxy_that_cannot_be_reached_is_reported_once_and_so_is_its_return() {
    let mut f = Fixture::new(with_proxy(PROXY));
    f.sign_in(ALICE, "1001");
    // There is no socket for IPv6.
    for found in [&[][..], &["2001:db8::7"], &[]] {
        f.resolve(found);
        f.stay(11 * SECOND);
    }
    assert_eq!(std::mem::take(&mut f.proxy), [ProxyNews::Unresolved]);
    let stats = f.gateway.stats();
    assert!(stats.proxy_unreachable && stats.failed_proxy_lookups == 3, "{stats:?}");
    f.resolve(&["192.0.2.7"]);
    assert_eq!(std::mem::take(&mut f.proxy), [ProxyNews::Resolved]);

    // The registration isn't answered, neither are calls; then one is, if only by a refusal.
    f.stay(33 * SECOND);
    f.call(ALICE, "555");
    f.call(ALICE, "556");
    f.stay(33 * SECOND);
    assert_eq!(std::mem::take(&mut f.proxy), [ProxyNews::Silent(peer())]);
    let stats = f.gateway.stats();
    assert!(stats.proxy_unreachable && stats.unanswered_registrations > 0, "{stats:?}");
    f.call(ALICE, "555");
    let invite = f.sent(Method::Invite);
    f.respond(&invite, 503, "proxy", "");
    assert_eq!(std::mem::take(&mut f.proxy), [ProxyNews::Answers(peer())]);
    assert!(!f.gateway.stats().proxy_unreachable);

    // Known addresses stay when the name server is down.
    f.stay(61 * SECOND);
    f.proxy.clear();
    f.resolve(&[]);
    assert!(f.proxy.is_empty() && f.gateway.stats().failed_proxy_lookups > 3);
}

#[test]
fn a_proxy_that_moves_is_not_blamed_for_where_it_was() {
    let mut f = Fixture::new(with_proxy(PROXY));
    f.resolve(&["192.0.2.7"]);
    f.wait(59 * SECOND);
    f.sign_in(ALICE, "1001");
    f.sent(Method::Register);
    f.stay(2 * SECOND);
    f.resolve(&["192.0.2.8"]);
    // What went to the first address isn't answered.
    f.stay(33 * SECOND);
    let stats = f.gateway.stats();
    assert!(stats.unanswered_registrations == 1 && !stats.proxy_unreachable, "{stats:?}");
    f.sip.clear();
    f.stay(30 * SECOND);
    assert_eq!(goes_to(&f), "192.0.2.8");
    let register = f.sent(Method::Register);
    f.respond(&register, 200, "registrar", "");
    assert_eq!(f.gateway.stats().registrations, 1);
    assert!(f.proxy.is_empty(), "{:?}", f.proxy);
}

#[test]
fn a_proxy_with_one_address_that_answers_is_reachable() {
    let mut f = Fixture::new(with_proxy(PROXY));
    f.resolve(&["192.0.2.8", "192.0.2.7"]);
    f.sign_in(ALICE, "1001");
    f.stay(33 * SECOND);
    assert_eq!(f.proxy, [ProxyNews::Silent("192.0.2.8:5060".parse().unwrap())]);
    assert!(!f.gateway.stats().proxy_unreachable);
    f.stay(31 * SECOND);
    let register = f.sent(Method::Register);
    f.respond(&register, 200, "registrar", "");
    // Another user begins at the first address again, and that is no news.
    f.sign_in(LinkId(2), "1002");
    f.stay(33 * SECOND);
    assert_eq!(f.proxy.len(), 1);
}

/// A user's credentials at the proxy are nobody else's business.
#[test]
fn only_the_proxy_is_answered_when_it_asks_who_calls() {
    let mut f = Fixture::new(GatewayConfig { routes: config().routes, ..with_proxy("192.0.2.8") });
    f.sign_in(ALICE, "1001");
    for (number, answered) in [("555", true), ("phone", false)] {
        f.sip.clear();
        f.call(ALICE, number);
        let invite = f.sent(Method::Invite);
        let mut challenge = invite.response(401);
        challenge.headers.push(HeaderName::WwwAuthenticate, "Digest realm=\"r\", nonce=\"n\", algorithm=MD5");
        f.receive(challenge);
        let again = f.requests(Method::Invite);
        assert_eq!(again.iter().any(|invite| invite.headers.contains(HeaderName::Authorization)), answered, "{number}");
    }
}
