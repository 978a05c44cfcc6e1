//! What strangers are answered over UDP is never much longer than what they sent, whatever they send.

use super::discovery::with_discovery;
use super::scene::*;
use crate::io::DropReason;
use crate::stun::{Attribute, Method};
use crate::turn::{MAX_AMPLIFICATION, MAX_REALM_LEN, Tenant, Tenants, TurnConfig};

const METHODS: [Method; 5] =
    [Method::BINDING, Method::ALLOCATE, Method::REFRESH, Method::CREATE_PERMISSION, Method::CHANNEL_BIND];

/// A tenant whose realm is so long.
fn realm(len: usize) -> Tenants {
    Tenant { realm: "r".repeat(len), ..Tenant::default() }.into()
}

/// Every kind of request that is answered without credentials: what succeeds, and 400, 401, 420 and 438.
fn requests() -> Vec<Vec<u8>> {
    let unknown: Vec<_> = (0x7000..0x7040).map(|number| (Attribute(number), &[][..])).collect();
    let integrity = (Attribute::MESSAGE_INTEGRITY, &[0; 20][..]);
    let names = [(Attribute::USERNAME, &b"alice"[..]), (Attribute::REALM, b"x"), (Attribute::NONCE, b"x")];
    let attributes: [&[(Attribute, &[u8])]; 12] = [
        &[],
        &[UDP],
        &unknown[..1],
        &unknown[..2],
        &unknown[..9],
        &unknown,
        &[integrity],
        &[names[0], names[1], names[2], integrity],
        &[(Attribute::CHANGE_REQUEST, &[0, 0, 0, 6])],
        &[(Attribute::RESPONSE_PORT, &[1, 1, 0, 0])],
        &[(Attribute::PADDING, &[])],
        &[(Attribute::PADDING, &[7; 1700])],
    ];
    let kinds = METHODS.iter().flat_map(|method| attributes.iter().map(move |attributes| (*method, *attributes)));
    kinds.flat_map(|(method, attributes)| [false, true].map(|last| bare(method, attributes, last))).collect()
}

#[test]
fn answers_to_strangers_are_bounded() {
    let answered = |realm_len: usize, source: &str, drains: bool| {
        let config = TurnConfig { tenants: realm(realm_len), max_refusals: 10_000, ..with_discovery() };
        let mut scene = Scene::new(config);
        if drains {
            scene.server.drain(Some(address("[2001:db8::1]:3478")));
        }
        let mut answered = 0;
        for request in requests() {
            let Some(answer) = scene.exchange(Path::Udp(address(source)), &request) else { continue };
            assert!(answer.0.len() <= MAX_AMPLIFICATION * request.len(), "{request:02x?} brings {answer:02x?}");
            answered += 1;
        }
        answered
    };
    let all = requests().len();
    for source in ["198.51.100.7:4000", "[2001:db8:9::7]:4000"] {
        for drains in [false, true] {
            // Bare requests of twenty bytes, which no client sends, leave room for twenty bytes of realm.
            assert!(answered(1, source, drains) == all && answered(20, source, drains) == all);
            assert!((all / 2..all).contains(&answered(48, source, drains)));
            assert!((1..all / 2).contains(&answered(500, source, drains)), "only long requests");
        }
    }
}

#[test]
fn the_first_request_of_a_client_is_answered_up_to_a_long_realm() {
    let first = bare(Method::ALLOCATE, &[UDP], false);
    let code = |realm_len: usize| {
        let mut scene = Scene::new(TurnConfig { tenants: realm(realm_len), ..config() });
        let answer = scene.exchange(Path::Udp(address("198.51.100.7:4000")), &first);
        assert_eq!(scene.server.drops().get(DropReason::Amplifying), u64::from(answer.is_none()));
        answer.map(|answer| answer.message().error_code().map(|(code, phrase)| (code, phrase.to_owned())).unwrap())
    };
    assert_eq!(code(11), Some((401, "Unauthenticated".to_owned())));
    assert_eq!(code(MAX_REALM_LEN), Some((401, String::new())), "without the phrase there is room");
    assert_eq!(code(MAX_REALM_LEN + 1), None);
}

#[test]
fn who_is_known_or_connected_gets_the_whole_answer() {
    let mut scene = Scene::new(TurnConfig { tenants: realm(120), ..config() });
    let flow = crate::io::FlowId(3);
    scene.server.handle_flow_opened(scene.now, flow, address("198.51.100.7:4000"), crate::turn::ClientTransport::Tcp);
    let answer = scene.exchange(Path::Flow(flow), &bare(Method::ALLOCATE, &[UDP], false)).unwrap();
    assert_eq!(answer.code(), 401);
}
