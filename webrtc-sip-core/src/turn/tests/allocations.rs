//! Allocate, Refresh, CreatePermission, ChannelBind (RFC 8656 sections 7 to 12).

use super::scene::*;
use crate::ids::AllocationId;
use crate::io::{FlowId, PacketBuf, Transmit};
use crate::stun::{Attribute, Class, MessageWriter, Method, TransactionId};
use crate::turn::{AllocationEnd, ClientTransport, Family, TurnConfig, TurnEvent};

fn scene() -> Scene {
    Scene::new(config())
}

const V4: (Attribute, &[u8]) = (Attribute::REQUESTED_ADDRESS_FAMILY, &[1, 0, 0, 0]);
const V6: (Attribute, &[u8]) = (Attribute::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0]);
const AND_V6: (Attribute, &[u8]) = (Attribute::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);
const EVEN: (Attribute, &[u8]) = (Attribute::EVEN_PORT, &[0]);
const PAIR: (Attribute, &[u8]) = (Attribute::EVEN_PORT, &[0x80]);
const TOKEN: (Attribute, &[u8]) = (Attribute::RESERVATION_TOKEN, &[1; 8]);

/// Section 7.2: what is asked for, and the code that answers it.
#[test]
fn allocate_requests_are_checked() {
    let cases: &[(Attributes<'_>, u16)] = &[
        (&[UDP], 200),
        (&[], 400),
        (&[(Attribute::REQUESTED_TRANSPORT, &[17])], 400),
        (&[(Attribute::REQUESTED_TRANSPORT, &[6, 0, 0, 0])], 400),
        (&[(Attribute::REQUESTED_TRANSPORT, &[132, 0, 0, 0])], 442),
        (&[UDP, V4], 200),
        (&[UDP, V6], 200),
        (&[UDP, (Attribute::REQUESTED_ADDRESS_FAMILY, &[3, 0, 0, 0])], 440),
        (&[UDP, (Attribute::REQUESTED_ADDRESS_FAMILY, &[1])], 400),
        (&[UDP, AND_V6], 200),
        (&[UDP, V4, AND_V6], 400),
        (&[UDP, (Attribute::ADDITIONAL_ADDRESS_FAMILY, &[1, 0, 0, 0])], 400),
        (&[UDP, EVEN], 200),
        (&[UDP, PAIR], 200),
        (&[UDP, PAIR, AND_V6], 400),
        (&[UDP, (Attribute::EVEN_PORT, &[])], 400),
        (&[UDP, EVEN, TOKEN], 400),
        (&[UDP, TOKEN, V4], 400),
        (&[UDP, TOKEN], 508),
        (&[UDP, (Attribute::RESERVATION_TOKEN, &[1])], 400),
        (&[UDP, (Attribute::LIFETIME, &[0, 0])], 400),
        (&[UDP, (Attribute::DONT_FRAGMENT, &[])], 420),
        (&[UDP, (Attribute(0x7abc), &[])], 420),
        (&[UDP, (Attribute(0xfabc), &[])], 200),
    ];
    for (attributes, code) in cases {
        let mut scene = scene();
        let response = scene.request(&mut Client::alice(), Method::ALLOCATE, attributes);
        assert_eq!(response.code(), *code, "{attributes:?}");
    }
}

/// Section 7.2 and 11.2.
#[test]
fn what_must_not_be_fragmented_is_sent_so_where_the_owner_can() {
    let indication = |attributes: Attributes<'_>| {
        let mut slot = [0; 100];
        let mut packet = PacketBuf::empty(&mut slot, 0);
        let mut writer =
            MessageWriter::new(&mut packet, Class::Indication, Method::SEND, TransactionId([9; 12])).unwrap();
        writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, address("203.0.113.1:1000")).unwrap();
        for (attribute, value) in attributes {
            writer.put(*attribute, value).unwrap();
        }
        writer.put(Attribute::DATA, b"data").unwrap();
        packet.as_slice().to_vec()
    };
    for dont_fragment in [false, true] {
        let mut scene = Scene::new(TurnConfig { dont_fragment, ..config() });
        let mut client = Client::alice();
        let asked = scene.request(&mut client, Method::ALLOCATE, &[UDP, (Attribute::DONT_FRAGMENT, &[])]);
        assert_eq!(asked.code(), if dont_fragment { 200 } else { 420 });
        if !dont_fragment {
            scene.allocate(&mut client);
        }
        assert_eq!(scene.permit(&mut client, "203.0.113.1:1").code(), 200);
        let usual = scene.send(client.path, &indication(&[])).expect("it is sent").0;
        let Transmit::Datagram { socket, destination } = usual else { panic!("{usual:?}") };
        let whole = scene.send(client.path, &indication(&[(Attribute::DONT_FRAGMENT, &[])]));
        let expected = dont_fragment.then_some((Transmit::Unfragmented { socket, destination }, b"data".to_vec()));
        assert_eq!(whole, expected);
    }
}

#[test]
fn unknown_attributes_are_named() {
    let mut scene = scene();
    let response = scene.request(&mut Client::alice(), Method::ALLOCATE, &[UDP, (Attribute(0x7abc), &[])]);
    assert_eq!(response.message().get(Attribute::UNKNOWN_ATTRIBUTES), Some(&[0x7a, 0xbc][..]));
}

#[test]
fn lifetimes_are_kept_within_limits() {
    for (wanted, given) in [(0, 600), (1, 600), (601, 601), (3600, 3600), (100_000, 3600)] {
        let mut scene = scene();
        let wanted = u32::to_be_bytes(wanted);
        let response = scene.request(&mut Client::alice(), Method::ALLOCATE, &[UDP, (Attribute::LIFETIME, &wanted)]);
        assert_eq!(response.lifetime(), given);
    }
}

#[test]
fn a_repeated_request_gets_the_same_answer_and_another_one_none() {
    let mut scene = scene();
    let mut client = Client::alice();
    client.nonce = scene.once(&client, Method::ALLOCATE, &[UDP]).text(Attribute::NONCE);
    let transaction = scene.transaction();
    let bytes = scene.encode(&client, Method::ALLOCATE, &[UDP, PAIR], transaction);
    let first = scene.exchange(client.path, &bytes).unwrap();
    let again = scene.exchange(client.path, &bytes).unwrap();
    assert_eq!(first.0, again.0);
    assert_eq!(scene.server.stats().allocated, 1);
    assert_eq!(scene.once(&client, Method::ALLOCATE, &[UDP]).code(), 437);
}

#[test]
fn an_allocation_ends_when_it_is_not_refreshed() {
    let mut scene = scene();
    let mut client = Client::alice();
    scene.allocate(&mut client);
    scene.pass(seconds(599));
    assert_eq!(scene.request(&mut client, Method::REFRESH, &[]).lifetime(), 600);
    scene.pass(seconds(599));
    assert_eq!(scene.server.stats().allocations, 1);
    scene.pass(seconds(1));
    assert_eq!(scene.ended(), [AllocationEnd::Expired]);
    assert!(scene.relays.is_empty(), "its socket is closed");
    assert_eq!(scene.request(&mut client, Method::REFRESH, &[]).code(), 437);
    assert_eq!(scene.server.poll_timeout(), None);
}

#[test]
fn a_client_gives_its_allocation_back() {
    let mut scene = scene();
    let mut client = Client::alice();
    scene.allocate(&mut client);
    let response = scene.request(&mut client, Method::REFRESH, &[(Attribute::LIFETIME, &[0; 4])]);
    assert_eq!((response.code(), response.lifetime()), (200, 0));
    assert_eq!(scene.ended(), [AllocationEnd::Released]);
    scene.allocate(&mut client);
}

#[test]
fn both_families_at_once() {
    let mut scene = scene();
    let response = scene.request(&mut Client::alice(), Method::ALLOCATE, &[UDP, AND_V6]);
    let relayed = response.message().attributes().filter(|(kind, _)| *kind == Attribute::XOR_RELAYED_ADDRESS).count();
    assert_eq!((relayed, scene.relays.len()), (2, 2));
    let refresh =
        |scene: &mut Scene, client: &mut Client, family| scene.request(client, Method::REFRESH, &[family]).code();
    let mut only_v4 = Client::udp("198.51.100.9:1", "bob", "builder");
    scene.allocate(&mut only_v4);
    assert_eq!(refresh(&mut scene, &mut only_v4, V4), 200);
    assert_eq!(refresh(&mut scene, &mut only_v4, V6), 443);
}

#[test]
fn a_family_that_is_not_configured_is_refused() {
    let mut scene = Scene::new(TurnConfig { families: vec![Family::V6], ..config() });
    assert_eq!(scene.request(&mut Client::alice(), Method::ALLOCATE, &[UDP]).code(), 440);
    assert_eq!(scene.request(&mut Client::alice(), Method::ALLOCATE, &[UDP, V6]).code(), 200);
}

#[test]
fn the_port_above_waits_for_its_token() {
    let mut scene = scene();
    let first = scene.request(&mut Client::alice(), Method::ALLOCATE, &[UDP, PAIR]);
    let token = first.message().get(Attribute::RESERVATION_TOKEN).unwrap().to_vec();
    assert_eq!(scene.server.stats().reservations, 1);
    let with_token: Attributes<'_> = &[UDP, (Attribute::RESERVATION_TOKEN, &token)];
    let mut bob = Client::udp("198.51.100.7:4002", "bob", "builder");
    let mut alice = Client::udp("198.51.100.7:4003", "alice", "wonder");
    let second = scene.request(&mut alice, Method::ALLOCATE, with_token);
    assert_eq!(second.code(), 200);
    assert_eq!(second.relayed().port(), first.relayed().port() + 1);
    assert_eq!(scene.request(&mut bob, Method::ALLOCATE, with_token).code(), 508);
}

#[test]
fn a_reservation_that_nobody_claims_is_freed() {
    let mut scene = scene();
    scene.request(&mut Client::alice(), Method::ALLOCATE, &[UDP, PAIR]);
    assert_eq!(scene.relays.len(), 2);
    scene.pass(seconds(30));
    assert_eq!((scene.server.stats().reservations, scene.relays.len()), (0, 1));
}

#[test]
fn users_and_the_server_have_their_limits() {
    let mut config = TurnConfig { max_allocations: 3, ..config() };
    config.tenants.default.user_quota.allocations = std::num::NonZeroUsize::new(2);
    let mut scene = Scene::new(config);
    let mut allocate = |port: u16, user: &str, password: &str| {
        let mut client = Client::udp(&format!("198.51.100.7:{port}"), user, password);
        scene.request(&mut client, Method::ALLOCATE, &[UDP]).code()
    };
    assert_eq!(allocate(1, "alice", "wonder"), 200);
    assert_eq!(allocate(2, "alice", "wonder"), 200);
    assert_eq!(allocate(3, "alice", "wonder"), 486);
    assert_eq!(allocate(4, "bob", "builder"), 200);
    assert_eq!(allocate(5, "bob", "builder"), 508);
}

#[test]
fn sockets_that_cannot_be_had_or_come_too_late() {
    let mut scene = scene();
    scene.binds = false;
    assert_eq!(scene.request(&mut Client::alice(), Method::ALLOCATE, &[UDP]).code(), 508);
    assert_eq!(scene.server.stats().pending, 0);

    let mut client = Client::alice();
    client.nonce = scene.once(&client, Method::ALLOCATE, &[UDP]).text(Attribute::NONCE);
    let transaction = scene.transaction();
    let bytes = scene.encode(&client, Method::ALLOCATE, &[UDP], transaction);
    assert!(scene.send(client.path, &bytes).is_none());
    assert!(scene.send(client.path, &bytes).is_none(), "a copy doesn't ask twice");
    let Some(TurnEvent::Request { id, .. }) = scene.server.poll_event() else { panic!("a socket is wanted") };
    assert!(scene.server.poll_event().is_none());
    scene.pass(seconds(5));
    let late = crate::turn::RelaySocket { socket: crate::io::SocketId(77), address: address("192.0.2.9:60000") };
    scene.server.handle_answer(scene.now, id, &[late]);
    assert!(matches!(scene.server.poll_event(), Some(TurnEvent::CloseSocket(crate::io::SocketId(77)))));
    assert_eq!(scene.server.stats().allocations, 0);
}

#[test]
fn permissions_are_for_peers_that_may_be_reached() {
    let mut scene = scene();
    let mut client = Client::alice();
    assert_eq!(scene.permit(&mut client, "203.0.113.5:1").code(), 437, "no allocation");
    scene.allocate(&mut client);
    assert_eq!(scene.permit(&mut client, "203.0.113.5:1").code(), 200);
    for peer in ["127.0.0.1:1", "10.0.0.1:1", "169.254.169.254:80", "0.0.0.0:1", "224.0.0.1:1"] {
        assert_eq!(scene.permit(&mut client, peer).code(), 403, "{peer}");
    }
    assert_eq!(scene.request(&mut client, Method::CREATE_PERMISSION, &[]).code(), 400);
    let broken = (Attribute::XOR_PEER_ADDRESS, &[0u8, 1, 0][..]);
    assert_eq!(scene.request(&mut client, Method::CREATE_PERMISSION, &[broken]).code(), 400);
    let v6 = [&[0, 2, 0, 1][..], &[0x20; 16]].concat();
    let v6 = (Attribute::XOR_PEER_ADDRESS, &v6[..]);
    assert_eq!(scene.request(&mut client, Method::CREATE_PERMISSION, &[v6]).code(), 443);
}

#[test]
fn there_are_so_many_permissions_and_channels() {
    let mut scene = Scene::new(TurnConfig { max_permissions: 3, max_channels: 2, ..config() });
    let mut client = Client::alice();
    scene.allocate(&mut client);
    assert_eq!(scene.bind_channel(&mut client, 0x4000, "203.0.113.1:1").code(), 200);
    assert_eq!(scene.bind_channel(&mut client, 0x4001, "203.0.113.2:1").code(), 200);
    assert_eq!(scene.bind_channel(&mut client, 0x4002, "203.0.113.2:2").code(), 508);
    assert_eq!(scene.permit(&mut client, "203.0.113.3:1").code(), 200);
    assert_eq!(scene.permit(&mut client, "203.0.113.3:2").code(), 200, "it is there already");
    assert_eq!(scene.permit(&mut client, "203.0.113.4:1").code(), 508);
    scene.pass(seconds(300));
    assert_eq!(scene.permit(&mut client, "203.0.113.4:1").code(), 200, "the others are over");
}

#[test]
fn channels_keep_their_peer() {
    let mut scene = scene();
    let mut client = Client::alice();
    scene.allocate(&mut client);
    assert_eq!(scene.bind_channel(&mut client, 0x4000, "203.0.113.1:1").code(), 200);
    assert_eq!(scene.bind_channel(&mut client, 0x4000, "203.0.113.1:1").code(), 200, "a refresh");
    assert_eq!(scene.bind_channel(&mut client, 0x4000, "203.0.113.1:2").code(), 400, "another peer");
    assert_eq!(scene.bind_channel(&mut client, 0x4001, "203.0.113.1:1").code(), 400, "another number");
    for number in [0, 0x3fff, 0x7fff, 0x8000, 0xffff] {
        assert_eq!(scene.bind_channel(&mut client, number, "203.0.113.9:1").code(), 400, "{number:x}");
    }
    assert_eq!(scene.bind_channel(&mut client, 0x4002, "10.0.0.1:1").code(), 403);
}

#[test]
fn draining_sends_new_clients_elsewhere() {
    let mut scene = scene();
    let mut client = Client::alice();
    scene.allocate(&mut client);
    scene.server.drain(Some(address("192.0.2.200:3478")));
    let mut other = Client::udp("198.51.100.8:1", "bob", "builder");
    let refused = scene.request(&mut other, Method::ALLOCATE, &[UDP]);
    assert_eq!(refused.code(), 300);
    assert_eq!(refused.message().get(Attribute::ALTERNATE_SERVER), Some(&[0, 1, 0x0d, 0x96, 192, 0, 2, 200][..]));
    assert_eq!(scene.request(&mut client, Method::REFRESH, &[]).code(), 200);
    assert_eq!(scene.permit(&mut client, "203.0.113.5:1").code(), 200);
    let mut v6 = Client::udp("[2001:db8::7]:1", "bob", "builder");
    let refused = scene.request(&mut v6, Method::ALLOCATE, &[UDP]);
    assert_eq!((refused.code(), refused.message().get(Attribute::ALTERNATE_SERVER)), (300, None), "it is IPv4");
}

#[test]
fn a_closed_connection_takes_its_allocation_along() {
    let mut scene = scene();
    let flow = FlowId(5);
    scene.server.handle_flow_opened(scene.now, flow, address("198.51.100.7:4000"), ClientTransport::Tcp);
    let mut client = Client { path: Path::Flow(flow), ..Client::alice() };
    scene.allocate(&mut client);
    assert_eq!(scene.server.stats().flows, 1);
    scene.server.handle_flow_closed(scene.now, flow);
    scene.pass(seconds(0));
    assert_eq!(scene.ended(), [AllocationEnd::FlowClosed]);
    assert!(scene.relays.is_empty());
    assert_eq!(scene.server.stats().flows, 0);
}

#[test]
fn the_owner_sees_and_ends_allocations() {
    let mut scene = scene();
    scene.allocate(&mut Client::alice());
    scene.pass(seconds(7));
    let listed: Vec<_> = scene.server.allocations(scene.now).collect();
    assert_eq!((&*listed[0].user, listed[0].age, listed.len()), ("alice", seconds(7), 1));
    assert!(!scene.server.end_allocation(scene.now, AllocationId(99)));
    assert!(scene.server.end_allocation(scene.now, listed[0].id));
    scene.pass(seconds(0));
    assert_eq!(scene.ended(), [AllocationEnd::Administrative]);
}
