//! What goes through an allocation (RFC 8656 sections 11 and 12).

use super::scene::*;
use crate::io::{DropReason, FlowId, SocketId, Transmit};
use crate::stun::{Attribute, Class, Message, Method};
use crate::turn::{ClientTransport, PeerPolicy, TurnConfig};

const PEER: &str = "203.0.113.5:9000";

fn ready() -> (Scene, Client, std::net::SocketAddr) {
    let mut scene = Scene::new(config());
    let mut client = Client::alice();
    let relayed = scene.allocate(&mut client);
    (scene, client, relayed)
}

fn socket_of(scene: &Scene, relayed: std::net::SocketAddr) -> SocketId {
    scene.relays.iter().find(|relay| relay.address == relayed).unwrap().socket
}

#[test]
fn send_and_data_indications_carry_datagrams() {
    let (mut scene, mut client, relayed) = ready();
    assert!(scene.send(client.path, &send_indication(address(PEER), b"too early")).is_none());
    scene.permit(&mut client, PEER);
    for data in [&b""[..], b"a", b"four", b"hello", &[0; 1200]] {
        let (transmit, bytes) = scene.send(client.path, &send_indication(address(PEER), data)).unwrap();
        let socket = socket_of(&scene, relayed);
        assert_eq!(transmit, Transmit::Datagram { socket, destination: address(PEER) });
        assert_eq!(bytes, data);

        let (transmit, bytes) = scene.peer_sends(relayed, PEER, data).unwrap();
        assert_eq!(transmit, Transmit::Datagram { socket: LISTENER, destination: address("198.51.100.7:4000") });
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
        assert_eq!(message.get(Attribute::DATA), Some(data));
        assert_eq!(message.xor_address(Attribute::XOR_PEER_ADDRESS).unwrap(), Some(address(PEER)));
    }
    let stats = scene.server.stats();
    assert_eq!((stats.sent.packets, stats.sent.bytes), (5, 1210));
    assert_eq!((stats.received.packets, stats.received.bytes), (5, 1210));
}

#[test]
fn channels_carry_datagrams() {
    let (mut scene, mut client, relayed) = ready();
    assert!(scene.send(client.path, &channel_data(0x4001, b"not bound")).is_none());
    scene.bind_channel(&mut client, 0x4001, PEER);
    for data in [&b""[..], b"a", b"four", b"hello", &[0; 1200]] {
        let (transmit, bytes) = scene.send(client.path, &channel_data(0x4001, data)).unwrap();
        let socket = socket_of(&scene, relayed);
        assert_eq!(transmit, Transmit::Datagram { socket, destination: address(PEER) });
        assert_eq!(bytes, data);
        let (_, bytes) = scene.peer_sends(relayed, PEER, data).unwrap();
        assert_eq!(bytes, channel_data(0x4001, data), "no padding in a datagram");
    }
    // Another port of the same peer has the permission but not the channel.
    let (_, bytes) = scene.peer_sends(relayed, "203.0.113.5:9001", b"x").unwrap();
    assert_eq!(Message::parse(&bytes).unwrap().method(), Method::DATA);
}

#[test]
fn channel_data_that_lies_about_its_length_is_dropped() {
    let (mut scene, mut client, _) = ready();
    scene.bind_channel(&mut client, 0x4001, PEER);
    let whole = channel_data(0x4001, b"hello");
    for end in 1..whole.len() {
        assert!(scene.send(client.path, &whole[..end]).is_none(), "{end}");
    }
    let padded = [&whole[..], &[0; 3]].concat();
    assert_eq!(scene.send(client.path, &padded).unwrap().1, b"hello");
    assert_eq!(scene.server.drops().get(DropReason::Malformed), whole.len() as u64 - 1);
}

#[test]
fn on_a_connection_channel_data_is_padded() {
    let mut scene = Scene::new(config());
    let flow = FlowId(5);
    scene.server.handle_flow_opened(scene.now, flow, address("198.51.100.7:4000"), ClientTransport::Tls);
    let mut client = Client { path: Path::Flow(flow), ..Client::alice() };
    let relayed = scene.allocate(&mut client);
    scene.bind_channel(&mut client, 0x4001, PEER);
    let (transmit, bytes) = scene.peer_sends(relayed, PEER, b"hello").unwrap();
    assert_eq!(transmit, Transmit::Stream(flow));
    assert_eq!(bytes, [&channel_data(0x4001, b"hello")[..], &[0; 3]].concat());
    assert_eq!(crate::turn::frame_len(&bytes), Ok(Some(bytes.len())));
}

#[test]
fn permissions_run_out_both_ways() {
    let (mut scene, mut client, relayed) = ready();
    scene.bind_channel(&mut client, 0x4001, PEER);
    scene.pass(seconds(299));
    assert!(scene.peer_sends(relayed, PEER, b"x").is_some());
    scene.pass(seconds(1));
    assert!(scene.peer_sends(relayed, PEER, b"x").is_none());
    assert!(scene.send(client.path, &channel_data(0x4001, b"x")).is_none());
    scene.permit(&mut client, PEER);
    scene.request(&mut client, Method::REFRESH, &[]);
    assert!(scene.send(client.path, &channel_data(0x4001, b"x")).is_some());
    scene.pass(seconds(299));
    scene.permit(&mut client, PEER);
    scene.pass(seconds(1));
    assert!(scene.send(client.path, &channel_data(0x4001, b"x")).is_none(), "the channel is over");
    let (_, bytes) = scene.peer_sends(relayed, PEER, b"x").unwrap();
    assert_eq!(Message::parse(&bytes).unwrap().method(), Method::DATA);
}

#[test]
fn strangers_are_not_heard() {
    let (mut scene, mut client, relayed) = ready();
    scene.permit(&mut client, PEER);
    assert!(scene.peer_sends(relayed, "203.0.113.6:9000", b"x").is_none());
    assert!(scene.peer_sends(relayed, "203.0.113.5:1", b"x").is_some(), "a permission covers all ports");
    assert!(scene.send(Path::Udp(address("198.51.100.7:4001")), &send_indication(address(PEER), b"x")).is_none());
    assert!(scene.send(client.path, &send_indication(address("203.0.113.6:9000"), b"x")).is_none());
    assert!(scene.send(client.path, &send_indication(address("[2001:db8::5]:9000"), b"x")).is_none());
}

#[test]
fn a_single_permitted_socket_is_reached_at_its_port_alone() {
    let exactly = ["10.0.0.5:7000".parse().unwrap()].into();
    let mut scene =
        Scene::new(TurnConfig { peers: PeerPolicy { allow_exactly: exactly, ..PeerPolicy::default() }, ..config() });
    let mut client = Client::alice();
    let relayed = scene.allocate(&mut client);
    assert_eq!(scene.permit(&mut client, "10.0.0.5:1").code(), 200, "a permission has no port");
    assert_eq!(scene.bind_channel(&mut client, 0x4001, "10.0.0.5:7001").code(), 403);
    assert_eq!(scene.bind_channel(&mut client, 0x4001, "10.0.0.5:7000").code(), 200);
    assert!(scene.send(client.path, &send_indication(address("10.0.0.5:7000"), b"x")).is_some());
    assert!(scene.send(client.path, &send_indication(address("10.0.0.5:7001"), b"x")).is_none());
    assert!(scene.peer_sends(relayed, "10.0.0.5:7000", b"x").is_some());
    assert!(scene.peer_sends(relayed, "10.0.0.5:22", b"x").is_none());
    scene.server.set_peers(PeerPolicy::default());
    assert!(scene.send(client.path, &send_indication(address("10.0.0.5:7000"), b"x")).is_none(), "at once");
}

#[test]
fn garbage_is_counted_and_answered_by_nothing() {
    let (mut scene, client, relayed) = ready();
    let valid = {
        let transaction = scene.transaction();
        scene.encode(&client, Method::REFRESH, &[(Attribute::LIFETIME, &[0, 0, 3, 0])], transaction)
    };
    let before = scene.server.stats();
    for end in 0..valid.len() {
        assert!(scene.send(client.path, &valid[..end]).is_none(), "{end}");
    }
    for first in [4u8, 20, 63, 128, 255] {
        assert!(scene.send(client.path, &[first; 40]).is_none());
    }
    for position in 0..valid.len() {
        let mut flipped = valid.clone();
        flipped[position] ^= 0x40;
        if let Some((_, answer)) = scene.send(client.path, &flipped) {
            assert_ne!(Response(answer).code(), 200, "byte {position}");
        }
    }
    assert_eq!(scene.server.stats().allocations, before.allocations);
    assert!(scene.peer_sends(relayed, PEER, &[0; 1400]).is_none());
}
