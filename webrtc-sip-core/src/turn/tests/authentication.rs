//! RFC 8489 section 9.2 and the credentials of RFC 8656.

use super::scene::*;
use crate::stun::{Attribute, IntegrityAlgorithm, Method, PasswordAlgorithm};
use crate::turn::{TurnConfig, time_limited_credentials};

fn scene() -> Scene {
    Scene::new(config())
}

#[test]
fn binding_needs_no_credentials() {
    let mut scene = scene();
    let response = scene.once(&Client::alice(), Method::BINDING, &[]);
    assert_eq!(response.code(), 200);
    let mapped = response.message().xor_address(Attribute::XOR_MAPPED_ADDRESS).unwrap();
    assert_eq!(mapped, Some(address("198.51.100.7:4000")));
}

#[test]
fn the_first_request_is_challenged_and_the_second_succeeds() {
    let mut scene = scene();
    let mut client = Client::alice();
    let challenge = scene.once(&client, Method::ALLOCATE, &[UDP]);
    assert_eq!(challenge.code(), 401);
    assert_eq!(challenge.text(Attribute::REALM), REALM);
    assert!(challenge.message().get(Attribute::PASSWORD_ALGORITHMS).is_some());
    assert!(challenge.0.len() <= 160, "no great amplifier: {}", challenge.0.len());
    assert_eq!(scene.server.stats().allocations, 0);
    client.nonce = challenge.text(Attribute::NONCE);
    let response = scene.once(&client, Method::ALLOCATE, &[UDP]);
    assert_eq!(response.code(), 200);
    assert!(response.message().verify_integrity(IntegrityAlgorithm::Sha1, &client.key()));
}

#[test]
fn each_pair_of_hashes_works() {
    for algorithm in [IntegrityAlgorithm::Sha1, IntegrityAlgorithm::Sha256] {
        for password_algorithm in [None, Some(PasswordAlgorithm::Md5), Some(PasswordAlgorithm::Sha256)] {
            let mut scene = scene();
            let mut client = Client { algorithm, password_algorithm, ..Client::alice() };
            let response = scene.request(&mut client, Method::ALLOCATE, &[UDP]);
            assert_eq!(response.code(), 200, "{algorithm:?} {password_algorithm:?}");
            assert!(response.message().verify_integrity(algorithm, &client.key()));
        }
    }
}

#[test]
fn wrong_credentials_are_refused() {
    let mut scene = scene();
    for (user, password) in [("alice", "wrong"), ("nobody", "wonder"), ("", "wonder"), ("1699999999:alice", "x")] {
        let mut client = Client::udp("198.51.100.7:4000", user, password);
        assert_eq!(scene.request(&mut client, Method::ALLOCATE, &[UDP]).code(), 401, "{user}");
    }
    assert_eq!(scene.server.stats().allocations, 0);
}

#[test]
fn a_client_that_was_lied_to_about_password_algorithms_is_refused() {
    let mut scene = scene();
    let mut client = Client::alice();
    client.nonce = scene.once(&client, Method::ALLOCATE, &[UDP]).text(Attribute::NONCE);
    for attributes in [
        &[UDP, (Attribute::PASSWORD_ALGORITHM, &[0, 1, 0, 0][..])][..],
        &[UDP, (Attribute::PASSWORD_ALGORITHMS, &[0, 1, 0, 0]), (Attribute::PASSWORD_ALGORITHM, &[0, 1, 0, 0])],
        &[UDP, (Attribute::PASSWORD_ALGORITHMS, &[0, 2, 0, 0, 0, 1, 0, 0])],
        &[
            UDP,
            (Attribute::PASSWORD_ALGORITHMS, &[0, 2, 0, 0, 0, 1, 0, 0]),
            (Attribute::PASSWORD_ALGORITHM, &[0, 3, 0, 0]),
        ],
    ] {
        assert_eq!(scene.once(&client, Method::ALLOCATE, attributes).code(), 400, "{attributes:?}");
    }
}

#[test]
fn a_nonce_grows_stale_and_is_nobody_elses() {
    let mut scene = scene();
    let mut client = Client::alice();
    scene.allocate(&mut client);
    let mut other = Client { path: Path::Udp(address("198.51.100.8:4000")), ..client.clone() };
    assert_eq!(scene.once(&other, Method::ALLOCATE, &[UDP]).code(), 438);
    assert_eq!(scene.request(&mut other, Method::ALLOCATE, &[UDP]).code(), 200);
    scene.pass(seconds(500));
    assert_eq!(scene.request(&mut client, Method::REFRESH, &[(Attribute::LIFETIME, &[0, 0, 14, 16])]).code(), 200);
    scene.pass(seconds(3_200));
    let stale = scene.once(&client, Method::REFRESH, &[]);
    assert_eq!(stale.code(), 438);
    client.nonce = stale.text(Attribute::NONCE);
    assert_eq!(scene.once(&client, Method::REFRESH, &[]).code(), 200);
}

#[test]
fn time_limited_credentials_work_with_each_secret_until_they_run_out() {
    for secret in ["old secret", "new secret"] {
        let mut scene = scene();
        let (user, password) = time_limited_credentials(secret, "carol", START + 60);
        let mut client = Client::udp("198.51.100.7:4000", &user, &password);
        scene.allocate(&mut client);
        scene.pass(seconds(61));
        assert_eq!(scene.request(&mut client, Method::REFRESH, &[]).code(), 200, "a call outlives its credentials");
        let mut late = Client::udp("198.51.100.7:4001", &user, &password);
        assert_eq!(scene.request(&mut late, Method::ALLOCATE, &[UDP]).code(), 401);
    }
}

#[test]
fn an_allocation_belongs_to_who_made_it() {
    let mut scene = scene();
    let mut alice = Client::alice();
    scene.allocate(&mut alice);
    let mut bob = Client { user: "bob".to_owned(), password: "builder".to_owned(), ..alice.clone() };
    assert_eq!(scene.request(&mut bob, Method::REFRESH, &[]).code(), 441);
    assert_eq!(scene.permit(&mut bob, "203.0.113.5:1").code(), 441);
}

#[test]
fn one_network_of_strangers_gets_so_many_answers_a_second() {
    let mut scene = Scene::new(TurnConfig { max_refusals: 5, ..config() });
    let answered = |scene: &mut Scene| {
        let tries = (0..20u8).map(|last| Client::udp(&format!("198.51.100.{last}:4000"), "x", "x"));
        let tries: Vec<_> = tries.collect();
        let mut answered = 0;
        for client in tries {
            let transaction = scene.transaction();
            let bytes = scene.encode(&client, Method::ALLOCATE, &[UDP], transaction);
            answered += usize::from(scene.exchange(client.path, &bytes).is_some());
        }
        answered
    };
    assert_eq!(answered(&mut scene), 5);
    scene.pass(seconds(1));
    assert_eq!(answered(&mut scene), 5);
    assert_eq!(scene.server.drops().get(crate::io::DropReason::LimitReached), 30);
}
