//! STUN Binding and NAT behaviour discovery (RFC 5780 section 6).

use super::scene::*;
use crate::io::{DropReason, FlowId, SocketId, Transmit};
use crate::stun::{Attribute, Method};
use crate::turn::{ClientTransport, Discovery, Listener, TurnConfig};

const CLIENT: &str = "198.51.100.7:4000";

/// Two addresses with two ports: sockets 1 and 2, 3 and 4.
fn discovery() -> Discovery {
    let listener = |socket, text| Listener { socket: SocketId(socket), address: address(text) };
    Discovery {
        sockets: [
            [listener(1, "192.0.2.1:3478"), listener(2, "192.0.2.1:3479")],
            [listener(3, "192.0.2.2:3478"), listener(4, "192.0.2.2:3479")],
        ],
    }
}

pub(super) fn with_discovery() -> TurnConfig {
    let discovery = discovery();
    TurnConfig { listeners: discovery.sockets.concat(), discovery: Some(discovery), ..config() }
}

fn change(flags: u8) -> [u8; 4] {
    [0, 0, 0, flags]
}

fn binding(scene: &mut Scene, socket: u32, attributes: Attributes<'_>) -> Option<(Transmit, Response)> {
    let path = Path::UdpAt(SocketId(socket), address(CLIENT));
    let (transmit, bytes) = scene.send(path, &bare(Method::BINDING, attributes, false))?;
    Some((transmit, Response(bytes)))
}

/// Section 6.1: where a request comes, what it wants to be changed, and where the answer leaves.
#[test]
fn answers_leave_from_where_they_are_wanted() {
    let from = |socket: u32| discovery().sockets.concat()[socket as usize - 1].address;
    for (at, flags, leaves, other) in [
        (1, 0, 1, 4),
        (1, 2, 2, 4),
        (1, 4, 3, 4),
        (1, 6, 4, 4),
        (2, 2, 1, 3),
        (2, 4, 4, 3),
        (3, 0, 3, 2),
        (3, 4, 1, 2),
        (4, 6, 1, 1),
        (4, 0xf9, 4, 1),
    ] {
        let mut scene = Scene::new(with_discovery());
        let (transmit, answer) = binding(&mut scene, at, &[(Attribute::CHANGE_REQUEST, &change(flags))]).unwrap();
        assert_eq!(transmit, Transmit::Datagram { socket: SocketId(leaves), destination: address(CLIENT) });
        let message = answer.message();
        assert_eq!(message.xor_address(Attribute::XOR_MAPPED_ADDRESS), Ok(Some(address(CLIENT))));
        assert_eq!(message.address(Attribute::MAPPED_ADDRESS), Ok(Some(address(CLIENT))));
        assert_eq!(message.address(Attribute::RESPONSE_ORIGIN), Ok(Some(from(leaves))));
        assert_eq!(message.address(Attribute::OTHER_ADDRESS), Ok(Some(from(other))));
    }
}

#[test]
fn answers_go_to_the_port_and_have_the_padding_that_are_wanted() {
    let mut scene = Scene::new(with_discovery());
    let (transmit, _) = binding(&mut scene, 1, &[(Attribute::RESPONSE_PORT, &[0x12, 0x34, 0, 0])]).unwrap();
    assert_eq!(destination(transmit), address("198.51.100.7:4660"));
    for (asked, given) in [(0, 0), (5, 5), (1500, 1500), (3000, 1500)] {
        let (transmit, answer) = binding(&mut scene, 1, &[(Attribute::PADDING, &vec![7; asked])]).unwrap();
        assert_eq!(answer.message().get(Attribute::PADDING).map(<[u8]>::len), Some(given));
        assert_eq!(destination(transmit), address(CLIENT));
    }
    let bad: [Attributes<'_>; 5] = [
        &[(Attribute::RESPONSE_PORT, &[0x12, 0x34, 0, 0]), (Attribute::PADDING, &[0; 100])],
        &[(Attribute::RESPONSE_PORT, &[0, 0, 0, 0])],
        &[(Attribute::RESPONSE_PORT, &[1])],
        &[(Attribute::CHANGE_REQUEST, &[])],
        &[(Attribute::CHANGE_REQUEST, &[0; 8])],
    ];
    for attributes in bad {
        let (transmit, answer) = binding(&mut scene, 2, attributes).unwrap();
        assert_eq!(answer.code(), 400, "{attributes:?}");
        assert_eq!(transmit, Transmit::Datagram { socket: SocketId(2), destination: address(CLIENT) });
    }
}

/// Section 6.1: without a second address, and in a connection, nothing can be changed.
#[test]
fn what_cannot_be_changed_is_unknown() {
    let asked: [(Attribute, &[u8]); 3] = [
        (Attribute::CHANGE_REQUEST, &[0; 4]),
        (Attribute::RESPONSE_PORT, &[1, 1, 0, 0]),
        (Attribute::PADDING, &[0; 8]),
    ];
    for asked in asked {
        let mut scene = Scene::new(config());
        let (_, answer) = binding(&mut scene, 1, &[asked]).unwrap();
        assert_eq!(answer.code(), 420);
        assert_eq!(answer.message().get(Attribute::UNKNOWN_ATTRIBUTES), Some(&asked.0.0.to_be_bytes()[..]));

        let mut scene = Scene::new(with_discovery());
        let flow = FlowId(3);
        scene.server.handle_flow_opened(scene.now, flow, address(CLIENT), ClientTransport::Tcp);
        let answer = scene.exchange(Path::Flow(flow), &bare(Method::BINDING, &[asked], false)).unwrap();
        assert_eq!(answer.code(), 420);
    }
    let mut scene = Scene::new(config());
    let (_, answer) = binding(&mut scene, 1, &[]).unwrap();
    assert!(answer.message().get(Attribute::OTHER_ADDRESS).is_none());
}

#[test]
fn one_network_discovers_only_so_much_a_second() {
    let mut scene = Scene::new(TurnConfig { max_refusals: 5, ..with_discovery() });
    let flags = change(6);
    let asked = [(Attribute::CHANGE_REQUEST, &flags[..])];
    let answered = (0..20).filter(|_| binding(&mut scene, 1, &asked).is_some()).count();
    assert_eq!((answered, scene.server.drops().get(DropReason::LimitReached)), (5, 15));
    assert!(binding(&mut scene, 1, &[]).is_some(), "a plain Binding request is no burden");
    scene.pass(seconds(1));
    assert!(binding(&mut scene, 1, &asked).is_some());
}

#[test]
fn each_socket_serves_allocations_too() {
    let mut scene = Scene::new(with_discovery());
    let mut client = Client { path: Path::UdpAt(SocketId(4), address(CLIENT)), ..Client::alice() };
    let relayed = scene.allocate(&mut client);
    scene.permit(&mut client, "203.0.113.5:1");
    let (transmit, _) = scene.peer_sends(relayed, "203.0.113.5:1", b"x").unwrap();
    assert_eq!(transmit, Transmit::Datagram { socket: SocketId(4), destination: address(CLIENT) });
}
