//! Third-party authorization (RFC 7635): access tokens in place of users and passwords.

use std::num::NonZeroUsize;

use super::scene::*;
use crate::stun::{Attribute, IntegrityAlgorithm, Key, Method};
use crate::turn::{AccessToken, AllocationEnd, MAX_REALM_LEN, Quota, Tenant, TokenAlgorithm, TokenKey, TurnConfig};

const ALWAYS: std::ops::RangeInclusive<u64> = 0..=u64::MAX;

fn north() -> TokenKey {
    TokenKey::new("north", TokenAlgorithm::A256Gcm, &[1; 32], ALWAYS).unwrap()
}

fn union() -> TokenKey {
    TokenKey::new("union", TokenAlgorithm::A128Gcm, &[2; 16], ALWAYS).unwrap()
}

/// Takes tokens of `north` and `union`, beside the usual users. Of `example.net`, tokens of `net` for `turn.example.net`.
fn config() -> TurnConfig {
    let mut config = super::scene::config();
    config.tenants.default.token_keys = vec![north(), union()];
    config.tenants.others = vec![Tenant {
        realm: "example.net".to_owned(),
        server_name: Some("turn.example.net".to_owned()),
        token_keys: vec![TokenKey::new("net", TokenAlgorithm::A256Gcm, &[3; 32], ALWAYS).unwrap()],
        ..Tenant::default()
    }];
    config
}

fn mac_key(byte: u8) -> Key {
    Key::from_bytes(&[byte; 20]).unwrap()
}

/// A client with a token, and the token.
fn holder(from: &str, key: &TokenKey, mac_key: Key, issued: u64, lifetime_seconds: u32) -> (Client, Vec<u8>) {
    let token = AccessToken { mac_key: mac_key.clone(), issued, lifetime_seconds };
    let client = Client { mac_key: Some(mac_key), ..Client::udp(from, key.id(), "") };
    (client, key.seal(REALM, [issued as u8; 12], &token))
}

fn allocate(scene: &mut Scene, client: &mut Client, token: &[u8]) -> Response {
    scene.request(client, Method::ALLOCATE, &[UDP, (Attribute::ACCESS_TOKEN, token)])
}

#[test]
fn strangers_are_told_for_whom_a_token_has_to_be() {
    let server_name = |config: TurnConfig, attributes: &[(Attribute, &[u8])]| {
        let challenge = Scene::new(config).once(&Client::alice(), Method::ALLOCATE, attributes);
        challenge.message().text(Attribute::THIRD_PARTY_AUTHORIZATION).unwrap().map(str::to_owned)
    };
    assert_eq!(server_name(config(), &[UDP]).as_deref(), Some(REALM));
    let net = [UDP, (Attribute::REALM, &b"example.net"[..])];
    assert_eq!(server_name(config(), &net).as_deref(), Some("turn.example.net"));
    assert_eq!(server_name(super::scene::config(), &[UDP]), None, "where no token is taken, nothing is said");
}

#[test]
fn strangers_are_told_as_long_as_the_names_are_short() {
    let first = bare(Method::ALLOCATE, &[UDP], false);
    let answered = |realm_len: usize, name_len: usize| {
        let (realm, server_name) = ("r".repeat(realm_len), Some("n".repeat(name_len)));
        let tenant = Tenant { realm, server_name, token_keys: vec![north()], ..Tenant::default() };
        let mut scene = Scene::new(TurnConfig { tenants: tenant.into(), ..config() });
        scene.exchange(Client::alice().path, &first).is_some()
    };
    for realm_len in [4usize, 17, 28, 52] {
        let room = MAX_REALM_LEN - 4 - realm_len.next_multiple_of(4);
        assert!(answered(realm_len, room) && !answered(realm_len, room + 1), "{realm_len}");
    }
}

#[test]
fn a_token_does_what_a_password_does() {
    let mut scene = Scene::new(config());
    for (at, key) in [north(), union()].iter().enumerate() {
        let (mut client, token) = holder(&format!("198.51.100.7:{at}"), key, mac_key(7), START, 600);
        let response = allocate(&mut scene, &mut client, &token);
        assert_eq!(response.code(), 200);
        assert!(response.message().verify_integrity(IntegrityAlgorithm::Sha1, &client.key()));
        assert_eq!(scene.permit(&mut client, "203.0.113.5:1").code(), 200, "later requests go without it");
        assert_eq!(scene.bind_channel(&mut client, 0x4000, "203.0.113.5:1").code(), 200);
    }
    scene.allocate(&mut Client::alice());
}

#[test]
fn a_client_may_sign_with_sha256_or_as_coturn_with_a_part_of_the_key() {
    let (client, token) = holder("198.51.100.7:1", &north(), mac_key(7), START, 600);
    let part = Key::from_bytes(&client.key()[..16]);
    for mut client in
        [Client { algorithm: IntegrityAlgorithm::Sha256, ..client.clone() }, Client { mac_key: part, ..client.clone() }]
    {
        let response = allocate(&mut Scene::new(config()), &mut client, &token);
        assert_eq!(response.code(), 200);
        assert!(response.message().verify_integrity(client.algorithm, &client.key()));
    }
}

#[test]
fn a_token_that_is_no_good_is_answered_401() {
    let from = "198.51.100.7:1";
    let (good, token) = holder(from, &north(), mac_key(7), START, 600);
    let other_server = north().seal(
        "example.com",
        [1; 12],
        &AccessToken { mac_key: mac_key(7), issued: START, lifetime_seconds: 600 },
    );
    let past = TokenKey::new("north", TokenAlgorithm::A256Gcm, &[1; 32], 0..=START - 1).unwrap();
    let mut with_past_key = config();
    with_past_key.tenants.default.token_keys = vec![past];
    for (what, config, client, token) in [
        ("unknown key", config(), Client { user: "south".to_owned(), ..good.clone() }, token.clone()),
        ("other key", config(), Client { user: "union".to_owned(), ..good.clone() }, token.clone()),
        ("other tenant's key", config(), Client { user: "net".to_owned(), ..good.clone() }, token.clone()),
        ("not of this realm", config(), Client { realm: "example.net".to_owned(), ..good.clone() }, token.clone()),
        ("other server", config(), good.clone(), other_server),
        ("key out of its time", with_past_key, good.clone(), token.clone()),
        ("too old", config(), good.clone(), holder(from, &north(), mac_key(7), START - 605, 600).1),
        ("too early", config(), good.clone(), holder(from, &north(), mac_key(7), START + 605, 600).1),
        ("cut", config(), good.clone(), token[..token.len() - 1].to_vec()),
        ("empty", config(), good.clone(), Vec::new()),
        ("seen, but not the key in it", config(), Client { mac_key: Some(mac_key(8)), ..good.clone() }, token.clone()),
    ] {
        let mut client = client;
        let refused = allocate(&mut Scene::new(config), &mut client, &token);
        assert_eq!(refused.code(), 401, "{what}");
    }
    let no_tokens = super::scene::config();
    assert_eq!(allocate(&mut Scene::new(no_tokens), &mut good.clone(), &token).code(), 401);
    assert_eq!(allocate(&mut Scene::new(config()), &mut good.clone(), &token).code(), 200);
}

#[test]
fn a_request_seen_on_the_way_is_useless_elsewhere() {
    let mut scene = Scene::new(config());
    let (mut client, token) = holder("198.51.100.7:1", &north(), mac_key(7), START, 600);
    client.nonce = scene.once(&client, Method::ALLOCATE, &[UDP]).text(Attribute::NONCE);
    let transaction = scene.transaction();
    let seen = scene.encode(&client, Method::ALLOCATE, &[UDP, (Attribute::ACCESS_TOKEN, &token)], transaction);
    let replayed = scene.exchange(Path::Udp(address("198.51.100.66:1")), &seen).unwrap();
    assert_eq!(replayed.code(), 438);
    assert_eq!(scene.exchange(client.path, &seen).unwrap().code(), 200);
}

#[test]
fn an_allocation_lasts_no_longer_than_its_token() {
    let mut scene = Scene::new(config());
    let (mut client, token) = holder("198.51.100.7:1", &north(), mac_key(7), START - 100, 300);
    assert_eq!(allocate(&mut scene, &mut client, &token).lifetime(), 205);
    scene.pass(seconds(100));
    let refreshed = scene.request(&mut client, Method::REFRESH, &[(Attribute::LIFETIME, &3600u32.to_be_bytes())]);
    assert_eq!((refreshed.code(), refreshed.lifetime()), (200, 105));
    scene.pass(seconds(105));
    assert_eq!(scene.ended(), [AllocationEnd::Expired]);
}

#[test]
fn a_token_follows_another() {
    let mut scene = Scene::new(config());
    let (mut first, token) = holder("198.51.100.7:1", &north(), mac_key(7), START, 300);
    assert_eq!(allocate(&mut scene, &mut first, &token).code(), 200);
    scene.pass(seconds(200));
    let (mut second, token) = holder("198.51.100.7:1", &union(), mac_key(8), START + 200, 700);
    let refreshed = scene.request(&mut second, Method::REFRESH, &[(Attribute::ACCESS_TOKEN, &token)]);
    assert_eq!((refreshed.code(), refreshed.lifetime()), (200, 600));
    assert_eq!(scene.permit(&mut second, "203.0.113.5:1").code(), 200);
    assert_eq!(scene.permit(&mut first, "203.0.113.5:1").code(), 401, "the first one's key is of the past");
    scene.pass(seconds(300));
    assert_eq!(scene.server.stats().allocations, 1, "it outlives the first token");
}

/// Whoever has a token of the realm and has seen a ticket could take the allocation along otherwise.
#[test]
fn a_ticket_goes_with_the_token_that_it_was_given_for() {
    let mut scene = Scene::new(config());
    let (mut first, token) = holder("198.51.100.7:1", &north(), mac_key(7), START, 300);
    let attributes: Attributes<'_> = &[UDP, (Attribute::ACCESS_TOKEN, &token), (Attribute::MOBILITY_TICKET, &[])];
    let ticket = scene.request(&mut first, Method::ALLOCATE, attributes).ticket();
    for (key, code) in [(8, 441), (7, 200)] {
        let (mut other, token) = holder("198.51.100.8:1", &north(), mac_key(key), START, 600);
        let shown: Attributes<'_> = &[(Attribute::ACCESS_TOKEN, &token), (Attribute::MOBILITY_TICKET, &ticket)];
        assert_eq!(scene.request(&mut other, Method::REFRESH, shown).code(), code);
        let of_first = scene.request(&mut first, Method::REFRESH, &[]).code();
        assert_eq!(of_first, 200, "it has lost nothing");
    }
}

#[test]
fn tokens_and_users_keep_to_themselves() {
    let mut scene = Scene::new(config());
    let (mut holder, token) = holder("198.51.100.7:4000", &north(), mac_key(7), START, 600);
    assert_eq!(allocate(&mut scene, &mut holder, &token).code(), 200);
    assert_eq!(scene.permit(&mut Client::alice(), "203.0.113.5:1").code(), 441);
    let mut scene = Scene::new(config());
    scene.allocate(&mut Client::alice());
    assert_eq!(scene.request(&mut holder, Method::REFRESH, &[(Attribute::ACCESS_TOKEN, &token)]).code(), 441);
}

#[test]
fn tokens_name_nobody_and_count_for_their_tenant() {
    let mut config = config();
    let most = |count| Quota { allocations: NonZeroUsize::new(count), bytes_per_second: None };
    config.tenants.default.user_quota = most(1);
    config.tenants.default.quota = most(3);
    let mut scene = Scene::new(config);
    let codes = (0..4).map(|at| {
        let (mut client, token) = holder(&format!("198.51.100.7:{at}"), &north(), mac_key(7), START, 600);
        allocate(&mut scene, &mut client, &token).code()
    });
    assert_eq!(codes.collect::<Vec<_>>(), [200, 200, 200, 486]);
}
