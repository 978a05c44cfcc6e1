//! Servers that share a listening address: what a client shows to another one than made it.

use super::scene::*;
use crate::stun::{Attribute, Method};

const PAIR: (Attribute, &[u8]) = (Attribute::EVEN_PORT, &[0x80]);

fn scene() -> Scene {
    Scene::with_servers(config(), 2)
}

/// Reserves a port with the first server: its number and its token.
fn reserve(scene: &mut Scene) -> (u16, Vec<u8>) {
    let first = scene.request(&mut Client::alice(), Method::ALLOCATE, &[UDP, PAIR]);
    let token = first.message().get(Attribute::RESERVATION_TOKEN).expect("the port above is reserved").to_vec();
    (first.relayed().port() + 1, token)
}

fn claim(scene: &mut Scene, port: u16, token: &[u8]) -> Response {
    let mut alice = Client::udp(&format!("198.51.100.7:{port}"), "alice", "wonder");
    scene.request(&mut alice, Method::ALLOCATE, &[UDP, (Attribute::RESERVATION_TOKEN, token)])
}

#[test]
fn a_port_reserved_by_one_server_is_had_from_another() {
    let mut scene = scene();
    let (reserved, token) = reserve(&mut scene);
    scene.go_to(1);
    let mut bob = Client::udp("198.51.100.7:4002", "bob", "builder");
    let with_token: Attributes<'_> = &[UDP, (Attribute::RESERVATION_TOKEN, &token)];
    assert_eq!(scene.request(&mut bob, Method::ALLOCATE, with_token).code(), 508, "it isn't bob's");
    let second = claim(&mut scene, 4003, &token);
    assert_eq!((second.code(), second.relayed().port()), (200, reserved));
    assert_eq!(second.message().get(Attribute::ADDRESS_ERROR_CODE), None);
    assert_eq!(scene.each(|server| (server.stats().reservations, server.stats().allocations)), [(0, 1), (0, 1)]);
    assert_eq!(claim(&mut scene, 4004, &token).code(), 508, "it is had once");
    let peer = "203.0.113.1:1000";
    let mut alice = Client::udp("198.51.100.7:4003", "alice", "wonder");
    assert_eq!(scene.permit(&mut alice, peer).code(), 200);
    assert!(scene.peer_sends(second.relayed(), peer, b"data").is_some(), "it came along");
    scene.pass(seconds(3600));
    assert!(scene.relays.is_empty());
    assert_eq!(scene.each(|server| server.poll_timeout()), [None, None]);
}

#[test]
fn a_reserved_port_is_not_lost_on_the_way() {
    let mut scene = scene();
    let (reserved, token) = reserve(&mut scene);
    scene.go_to(1);
    scene.loses_answers = true;
    assert_eq!(claim(&mut scene, 4003, &token).code(), 508);
    scene.loses_answers = false;
    assert_eq!(claim(&mut scene, 4004, &token).relayed().port(), reserved);
}

#[test]
fn a_port_that_was_given_away_and_given_back_still_expires() {
    let mut scene = scene();
    let (_, token) = reserve(&mut scene);
    scene.go_to(1);
    scene.loses_answers = true;
    claim(&mut scene, 4003, &token);
    scene.pass(seconds(30));
    assert_eq!((scene.relays.len(), scene.each(|server| server.stats().reservations)), (1, vec![0, 0]));
}

#[test]
fn a_token_of_no_server_is_refused() {
    let mut scene = scene();
    assert_eq!(claim(&mut scene, 4003, &[9; 8]).code(), 508);
    assert_eq!(scene.server.stats().pending, 0);
}
