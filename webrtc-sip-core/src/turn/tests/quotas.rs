//! What users, tenants and everybody may use, over one server and over several.

use std::num::{NonZeroU64, NonZeroUsize};

use super::scene::*;
use crate::io::DropReason;
use crate::stun::{Attribute, Method};
use crate::turn::{Quota, Tenant, Tenants, TurnConfig, time_limited_credentials};

const PEER: &str = "203.0.113.5:1000";
const CHANNEL: u16 = 0x4000;

fn allocations(most: usize) -> Quota {
    Quota { allocations: NonZeroUsize::new(most), bytes_per_second: None }
}

fn bandwidth(most: u64) -> Quota {
    Quota { allocations: None, bytes_per_second: NonZeroU64::new(most) }
}

/// Two tenants with `alice` and `bob`.
fn two_tenants(everybody: Quota, tenant: Quota, user: Quota) -> TurnConfig {
    let config = config();
    let default = Tenant { quota: tenant, user_quota: user, ..config.tenants.default };
    let others = vec![Tenant { realm: "example.net".to_owned(), ..default.clone() }];
    TurnConfig { tenants: Tenants { default, others, quota: everybody }, ..config }
}

/// User `name` of a tenant at a port.
fn client(realm: &str, name: &str, port: u16) -> Client {
    let password = if name == "alice" { "wonder" } else { "builder" };
    let from = format!("198.51.100.7:{port}");
    Client { realm: realm.to_owned(), ..Client::udp(&from, name, password) }
}

/// How far each of `who` gets, one allocation after the other.
fn allocate(scene: &mut Scene, who: &[(&str, &str)]) -> Vec<u16> {
    let codes = who.iter().enumerate().map(|(at, (realm, name))| {
        let mut client = client(realm, name, 5000 + at as u16);
        scene.request(&mut client, Method::ALLOCATE, &[UDP]).code()
    });
    codes.collect()
}

#[test]
fn allocations_of_a_user_a_tenant_and_everybody_are_limited() {
    let (org, net) = ("example.org", "example.net");
    let none = Quota::default();
    for (everybody, tenant, user, expected) in [
        (none, none, allocations(1), [200, 486, 200, 200, 200]),
        (none, allocations(2), none, [200, 200, 486, 200, 200]),
        (allocations(4), none, none, [200, 200, 200, 200, 486]),
        (none, none, none, [200, 200, 200, 200, 200]),
    ] {
        let mut scene = Scene::new(two_tenants(everybody, tenant, user));
        let who = [(org, "alice"), (org, "alice"), (org, "bob"), (net, "alice"), (net, "bob")];
        assert_eq!(allocate(&mut scene, &who), expected, "{everybody:?} {tenant:?} {user:?}");
        let refused = expected.iter().filter(|code| **code == 486).count();
        assert_eq!(scene.server.stats().over_quota, refused as u64);
    }
}

#[test]
fn a_place_is_free_again_when_its_allocation_is_over() {
    let mut scene = Scene::new(two_tenants(Quota::default(), Quota::default(), allocations(1)));
    let mut first = client(REALM, "alice", 1);
    let mut second = client(REALM, "alice", 2);
    scene.allocate(&mut first);
    assert_eq!(scene.request(&mut second, Method::ALLOCATE, &[UDP]).code(), 486);
    assert_eq!(scene.request(&mut first, Method::REFRESH, &[(Attribute::LIFETIME, &[0; 4])]).code(), 200);
    scene.allocate(&mut second);
    scene.pass(seconds(601));
    scene.binds = false;
    assert_eq!(scene.request(&mut first, Method::ALLOCATE, &[UDP]).code(), 508, "no socket could be bound");
    scene.binds = true;
    scene.allocate(&mut first);
}

#[test]
fn a_request_that_waits_for_its_socket_has_its_place_already() {
    let mut scene = Scene::new(two_tenants(Quota::default(), Quota::default(), allocations(1)));
    let mut first = client(REALM, "alice", 1);
    first.nonce = scene.once(&first, Method::ALLOCATE, &[UDP]).text(Attribute::NONCE);
    let transaction = scene.transaction();
    let waiting = scene.encode(&first, Method::ALLOCATE, &[UDP], transaction);
    assert!(scene.send(first.path, &waiting).is_none());
    assert_eq!(scene.once(&client(REALM, "alice", 2), Method::ALLOCATE, &[UDP]).code(), 401);
    let mut second = client(REALM, "alice", 2);
    assert_eq!(scene.request(&mut second, Method::ALLOCATE, &[UDP]).code(), 486);
}

#[test]
fn a_user_with_time_limited_credentials_is_one_user() {
    let mut scene = Scene::new(two_tenants(Quota::default(), Quota::default(), allocations(2)));
    let codes = (0..3).map(|at| {
        let (user, password) = time_limited_credentials("new secret", "carol", START + 60 + at);
        let mut client = Client::udp(&format!("198.51.100.7:{at}"), &user, &password);
        scene.request(&mut client, Method::ALLOCATE, &[UDP]).code()
    });
    assert_eq!(codes.collect::<Vec<_>>(), [200, 200, 486]);
}

#[test]
fn servers_that_count_together_share_every_limit() {
    let config = TurnConfig { max_refusals: 5, ..two_tenants(Quota::default(), Quota::default(), allocations(2)) };
    let mut scene = Scene::with_servers(config, 2);
    assert_eq!(allocate(&mut scene, &[(REALM, "alice")]), [200]);
    scene.go_to(1);
    assert_eq!(allocate(&mut scene, &[(REALM, "alice"), (REALM, "alice")]), [200, 486]);
    scene.pass(seconds(601));
    assert_eq!(allocate(&mut scene, &[(REALM, "alice"), (REALM, "alice"), (REALM, "alice")]), [200, 200, 486]);

    scene.pass(seconds(1));
    let mut answered = [0, 0];
    for at in 0..20 {
        scene.go_to(at % 2);
        let transaction = scene.transaction();
        let stranger = client(REALM, "alice", 9000);
        let bytes = scene.encode(&stranger, Method::ALLOCATE, &[UDP], transaction);
        answered[usize::from(at % 2)] += usize::from(scene.exchange(stranger.path, &bytes).is_some());
    }
    assert_eq!(answered, [3, 2]);
}

#[test]
fn the_ledger_forgets_who_has_nothing() {
    let mut scene = Scene::with_servers(config(), 2);
    let ledger = scene.server.ledger.clone();
    allocate(&mut scene, &[(REALM, "alice"), (REALM, "bob")]);
    scene.go_to(1);
    allocate(&mut scene, &[(REALM, "alice")]);
    assert_eq!(ledger.len(), 4, "two users, a tenant, everybody");
    scene.pass(seconds(601));
    assert_eq!(ledger.len(), 0);
}

/// A client with an allocation and a channel to [`PEER`].
fn talking(scene: &mut Scene, realm: &str, name: &str, port: u16) -> Client {
    let mut client = client(realm, name, port);
    scene.allocate(&mut client);
    assert_eq!(scene.bind_channel(&mut client, CHANNEL, PEER).code(), 200);
    client
}

/// How many of `count` packets of 100 bytes pass to the peer.
fn sent(scene: &mut Scene, client: &Client, count: usize) -> usize {
    let packet = channel_data(CHANNEL, &[0; 100]);
    (0..count).filter(|_| scene.send(client.path, &packet).is_some()).count()
}

#[test]
fn bandwidth_is_limited_each_way_and_drops_are_counted() {
    let mut scene = Scene::new(two_tenants(Quota::default(), Quota::default(), bandwidth(1000)));
    let alice = talking(&mut scene, REALM, "alice", 1);
    assert_eq!(sent(&mut scene, &alice, 25), 10);
    assert_eq!(scene.server.drops().get(DropReason::OverQuota), 15);
    let relayed = scene.server.allocations(scene.now).next().unwrap().relayed[0];
    let received = (0..25).filter(|_| scene.peer_sends(relayed, PEER, &[0; 100]).is_some()).count();
    assert_eq!(received, 10, "the other direction has a limit of its own");
    let indication = send_indication(address(PEER), &[0; 100]);
    assert!(scene.send(alice.path, &indication).is_none(), "a Send indication counts like a channel");
    let traffic = scene.server.allocations(scene.now).next().unwrap();
    assert_eq!((traffic.sent.bytes, traffic.received.bytes), (1000, 1000), "what was dropped isn't relayed");
    scene.pass(seconds(1));
    assert_eq!(sent(&mut scene, &alice, 25), 10);
}

#[test]
fn bandwidth_is_shared_by_a_user_a_tenant_and_everybody() {
    let none = Quota::default();
    let net = "example.net";
    // Packets that pass of: alice, alice's second allocation, bob of the same tenant, alice of the other one.
    for (everybody, tenant, user, expected) in [
        (none, none, bandwidth(1000), [10, 0, 10, 10]),
        (none, bandwidth(1000), none, [10, 0, 0, 10]),
        (bandwidth(1000), none, none, [10, 0, 0, 0]),
        (bandwidth(2500), bandwidth(1500), bandwidth(1000), [10, 0, 5, 10]),
        (none, none, none, [50, 50, 50, 50]),
    ] {
        let mut scene = Scene::new(two_tenants(everybody, tenant, user));
        let who = [(REALM, "alice", 1), (REALM, "alice", 2), (REALM, "bob", 3), (net, "alice", 4)];
        let clients = who.map(|(realm, name, port)| talking(&mut scene, realm, name, port));
        let passed = clients.map(|client| sent(&mut scene, &client, 50));
        assert_eq!(passed, expected, "{everybody:?} {tenant:?} {user:?}");
    }
}

#[test]
fn bandwidth_is_shared_by_servers_that_count_together() {
    let mut scene = Scene::with_servers(two_tenants(Quota::default(), Quota::default(), bandwidth(1000)), 2);
    let here = talking(&mut scene, REALM, "alice", 1);
    assert_eq!(sent(&mut scene, &here, 6), 6);
    scene.go_to(1);
    let there = talking(&mut scene, REALM, "alice", 2);
    assert_eq!(sent(&mut scene, &there, 20), 4);
}
