//! Realm by realm: whom a request is for, and what tenants can't do to each other.

use super::scene::*;
use crate::stun::{Attribute, Method};
use crate::turn::{Tenant, TurnConfig};

const NET: &str = "example.net";
const ORG_ORIGIN: &[u8] = b"https://phone.example.org";
const NET_ORIGIN: &[u8] = b"https://phone.example.net";

/// `alice` has another password in each of two tenants; `bob` is only in the first, `carol` only in the second.
fn config() -> TurnConfig {
    let mut config = super::scene::config();
    config.tenants.default.origins = vec!["https://phone.example.org".to_owned()];
    let user = |name: &str, password: &str| (name.to_owned(), password.to_owned());
    config.tenants.others = vec![Tenant {
        realm: NET.to_owned(),
        origins: vec!["https://phone.example.net".to_owned(), "http://localhost:8080".to_owned()],
        users: vec![user("alice", "glass"), user("carol", "carrel")],
        secrets: vec!["net secret".to_owned()],
        ..Tenant::default()
    }];
    config
}

fn client(realm: &str, user: &str, password: &str) -> Client {
    Client { realm: realm.to_owned(), ..Client::udp("198.51.100.7:4000", user, password) }
}

#[test]
fn the_realm_is_that_of_the_origin_or_the_one_that_is_named_or_the_first() {
    let origin = |value| (Attribute::ORIGIN, value);
    let realm = |value| (Attribute::REALM, value);
    for (attributes, expected) in [
        (&[][..], REALM),
        (&[origin(NET_ORIGIN)], NET),
        (&[origin(b"http://localhost:8080")], NET),
        (&[origin(ORG_ORIGIN)], REALM),
        (&[origin(b"https://elsewhere.example")], REALM),
        (&[origin(b"https://elsewhere.example"), origin(NET_ORIGIN)], NET),
        (&[origin(b"\xff")], REALM),
        (&[realm(NET.as_bytes())], NET),
        (&[realm(b"example.com")], REALM),
        (&[realm(b"\xff")], REALM),
        (&[realm(NET.as_bytes()), origin(ORG_ORIGIN)], REALM),
        (&[realm(NET.as_bytes()), origin(b"https://elsewhere.example")], NET),
    ] {
        let mut scene = Scene::new(config());
        let challenge = scene.once(&Client::alice(), Method::ALLOCATE, &[&[UDP], attributes].concat());
        assert_eq!((challenge.code(), challenge.text(Attribute::REALM).as_str()), (401, expected), "{attributes:?}");
    }
}

#[test]
fn credentials_are_good_in_their_tenant_only() {
    for (realm, user, password, expected) in [
        (REALM, "alice", "wonder", 200),
        (NET, "alice", "glass", 200),
        (NET, "alice", "wonder", 401),
        (REALM, "alice", "glass", 401),
        (REALM, "bob", "builder", 200),
        (NET, "bob", "builder", 401),
        (NET, "carol", "carrel", 200),
        (REALM, "carol", "carrel", 401),
        ("example.com", "alice", "wonder", 401),
    ] {
        let mut scene = Scene::new(config());
        let mut client = client(realm, user, password);
        assert_eq!(scene.request(&mut client, Method::ALLOCATE, &[UDP]).code(), expected, "{realm} {user} {password}");
    }
    for (realm, secret, expected) in
        [(NET, "net secret", 200), (REALM, "net secret", 401), (REALM, "new secret", 200), (NET, "new secret", 401)]
    {
        let mut scene = Scene::new(config());
        let (user, password) = crate::turn::time_limited_credentials(secret, "dora", START + 60);
        let mut client = client(realm, &user, &password);
        assert_eq!(scene.request(&mut client, Method::ALLOCATE, &[UDP]).code(), expected, "{realm} {secret}");
    }
}

#[test]
fn an_origin_of_another_tenant_makes_good_credentials_useless() {
    let mut scene = Scene::new(config());
    let mut alice = Client::alice();
    let refused = scene.request(&mut alice, Method::ALLOCATE, &[UDP, (Attribute::ORIGIN, NET_ORIGIN)]);
    assert_eq!((refused.code(), refused.text(Attribute::REALM).as_str()), (401, NET));
    assert_eq!(scene.request(&mut alice, Method::ALLOCATE, &[UDP, (Attribute::ORIGIN, ORG_ORIGIN)]).code(), 200);
    assert_eq!(scene.request(&mut alice, Method::REFRESH, &[]).code(), 200, "later requests need no origin");
}

#[test]
fn a_namesake_in_another_tenant_cannot_touch_an_allocation() {
    let mut scene = Scene::new(config());
    let mut ours = Client::alice();
    scene.allocate(&mut ours);
    let mut theirs = client(NET, "alice", "glass");
    assert_eq!(scene.request(&mut theirs, Method::REFRESH, &[(Attribute::LIFETIME, &[0; 4])]).code(), 441);
    assert_eq!(scene.permit(&mut theirs, "203.0.113.5:1").code(), 441);
    assert_eq!(scene.bind_channel(&mut theirs, 0x4000, "203.0.113.5:1").code(), 441);
    assert_eq!(scene.request(&mut theirs, Method::ALLOCATE, &[UDP]).code(), 437);
    assert_eq!(scene.server.stats().allocations, 1);
    let summary = scene.server.allocations(scene.now).next().unwrap();
    assert_eq!((&*summary.realm, &*summary.user), (REALM, "alice"));
}

#[test]
fn a_port_reserved_in_one_tenant_is_not_for_another() {
    let mut scene = Scene::new(config());
    let first = scene.request(&mut Client::alice(), Method::ALLOCATE, &[UDP, (Attribute::EVEN_PORT, &[0x80])]);
    let token = first.message().get(Attribute::RESERVATION_TOKEN).unwrap().to_vec();
    let mut theirs = client(NET, "alice", "glass");
    theirs.path = Path::Udp(address("198.51.100.7:4001"));
    let refused = scene.request(&mut theirs, Method::ALLOCATE, &[UDP, (Attribute::RESERVATION_TOKEN, &token)]);
    assert_eq!(refused.code(), 508);
}

#[test]
fn tenants_are_taken_over_while_allocations_stay() {
    let mut scene = Scene::new(config());
    let mut ours = Client::alice();
    scene.allocate(&mut ours);
    let default = Tenant { users: Vec::new(), ..config().tenants.default };
    scene.server.set_tenants(&default.into());
    assert_eq!(scene.request(&mut ours, Method::REFRESH, &[]).code(), 200, "a call outlives its credentials");
    assert_eq!(scene.request(&mut client(NET, "carol", "carrel"), Method::ALLOCATE, &[UDP]).code(), 401);
    let mut late = Client::udp("198.51.100.7:4001", "alice", "wonder");
    assert_eq!(scene.request(&mut late, Method::ALLOCATE, &[UDP]).code(), 401);
}
