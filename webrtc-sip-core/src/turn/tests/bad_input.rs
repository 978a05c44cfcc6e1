//! What broken and hostile clients send: the RFC's error or a counted drop, and nothing that stays.

use super::scene::*;
use crate::io::{DropReason, FlowId};
use crate::stun::{Attribute, Method};
use crate::turn::{AllocationEnd, ClientTransport, frame_len};

const PEER: &str = "203.0.113.5:9000";
const FLOW: FlowId = FlowId(5);

/// A client with an allocation, a permission and a channel.
fn bound(path: Path) -> (Scene, Client) {
    let mut scene = Scene::new(config());
    if let Path::Flow(flow) = path {
        scene.server.handle_flow_opened(scene.now, flow, address("198.51.100.7:4000"), ClientTransport::Tcp);
    }
    let mut client = Client { path, ..Client::alice() };
    scene.allocate(&mut client);
    assert_eq!(scene.bind_channel(&mut client, 0x4001, PEER).code(), 200);
    (scene, client)
}

/// One of everything that a client sends, each valid.
fn everything(scene: &mut Scene, client: &Client) -> Vec<Vec<u8>> {
    let peer = xor_address(address(PEER));
    let peer = (Attribute::XOR_PEER_ADDRESS, &peer[..]);
    let requests: [(Method, Attributes<'_>); 4] = [
        (Method::ALLOCATE, &[UDP, (Attribute::LIFETIME, &[0, 0, 3, 0])]),
        (Method::REFRESH, &[(Attribute::LIFETIME, &[0, 0, 3, 0])]),
        (Method::CREATE_PERMISSION, &[peer]),
        (Method::CHANNEL_BIND, &[(Attribute::CHANNEL_NUMBER, &[0x40, 1, 0, 0]), peer]),
    ];
    let mut all: Vec<Vec<u8>> = Vec::new();
    for (method, attributes) in requests {
        let transaction = scene.transaction();
        all.push(scene.encode(client, method, attributes, transaction));
    }
    all.push(bare(Method::BINDING, &[], true));
    all.push(send_indication(address(PEER), b"data"));
    all.push([&channel_data(0x4001, b"data!")[..], &[0; 3]].concat());
    all
}

#[test]
fn every_truncation_of_every_message_is_dropped() {
    let (mut scene, client) = bound(Client::alice().path);
    for bytes in everything(&mut scene, &client) {
        for len in 0..bytes.len() {
            let whole_data = bytes[0] == 0x40 && len >= 9;
            assert_eq!(scene.exchange(client.path, &bytes[..len]).is_some(), whole_data, "{len} of {bytes:02x?}");
        }
    }
    assert_eq!(scene.server.stats().allocations, 1);
}

#[test]
fn no_request_with_a_changed_byte_succeeds() {
    let (mut scene, client) = bound(Client::alice().path);
    for bytes in everything(&mut scene, &client).iter().take(4) {
        for position in 0..bytes.len() {
            for change in [0x01, 0x40, 0xff] {
                let mut changed = bytes.clone();
                changed[position] ^= change;
                let answer = scene.exchange(client.path, &changed);
                // The class may have become that of an indication, the method Binding.
                let succeeded =
                    answer.is_some_and(|answer| answer.code() == 200 && answer.message().method() != Method::BINDING);
                assert!(!succeeded, "byte {position} of {bytes:02x?}");
            }
        }
    }
    scene.pass(seconds(0));
    assert_eq!((scene.server.stats().allocations, scene.ended()), (1, vec![]));
}

/// Hands a stream to the server as a shell does; false when it stops being frames.
fn stream(scene: &mut Scene, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        match frame_len(rest) {
            Ok(Some(len)) if len <= rest.len() => {
                scene.exchange(Path::Flow(FLOW), &rest[..len]);
                rest = &rest[len..];
            }
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}

#[test]
fn a_stream_may_be_cut_or_broken_at_every_byte() {
    let (mut scene, client) = bound(Path::Flow(FLOW));
    let whole = everything(&mut scene, &client).concat();
    let mut broken = 0;
    for position in 0..whole.len() {
        // Each time a new connection from the same place, so that nonce and credentials are good.
        for change in [None, Some(0x01), Some(0x40), Some(0x80)] {
            let mut bytes = whole.clone();
            match change {
                None => bytes.truncate(position),
                Some(change) => bytes[position] ^= change,
            }
            broken += usize::from(!stream(&mut scene, &bytes));
            scene.server.handle_flow_closed(scene.now, FLOW);
            scene.pass(seconds(0));
            assert_eq!((scene.server.stats().allocations, scene.server.stats().pending), (0, 0), "byte {position}");
            assert!(scene.relays.is_empty());
            let remote = address("198.51.100.7:4000");
            scene.server.handle_flow_opened(scene.now, FLOW, remote, ClientTransport::Tcp);
        }
    }
    assert!(broken > 0, "some of them aren't frames");
}

#[test]
fn attributes_count_in_any_order_once_and_before_the_integrity() {
    let mut scene = Scene::new(config());
    let mut client = Client::alice();
    client.nonce = scene.once(&client, Method::ALLOCATE, &[UDP]).text(Attribute::NONCE);
    let long = [0; 1000];
    let cases: [(Attributes<'_>, u16); 4] = [
        (&[(Attribute::SOFTWARE, &long), UDP], 200),
        (&[(Attribute::LIFETIME, &[0, 0, 4, 0xb0]), UDP, (Attribute::LIFETIME, &[1])], 200),
        (&[(Attribute::REQUESTED_TRANSPORT, &[132, 6, 6, 6]), UDP], 442),
        (&[(Attribute::USERNAME, b"bob"), UDP], 401),
    ];
    for (attributes, code) in cases {
        // From the same address once the allocation of the case before is given back.
        assert_eq!(scene.once(&client, Method::ALLOCATE, attributes).code(), code, "{attributes:?}");
        scene.once(&client, Method::REFRESH, &[(Attribute::LIFETIME, &[0; 4])]);
    }
    let transaction = scene.transaction();
    let mut late = scene.encode(&client, Method::ALLOCATE, &[], transaction);
    late.extend_from_slice(&[0, 0x19, 0, 4, 17, 0, 0, 0]);
    let len = (late.len() - 20) as u16;
    late[2..4].copy_from_slice(&len.to_be_bytes());
    assert_eq!(scene.exchange(client.path, &late).unwrap().code(), 400, "behind the integrity it doesn't count");
}

#[test]
fn what_is_too_long_for_any_use_is_refused() {
    let mut scene = Scene::new(config());
    let path = Client::alice().path;
    let huge = vec![0x11; 65_000];
    let mut message = bare(Method::ALLOCATE, &[], false);
    message.extend_from_slice(&[&[0x80, 0x22][..], &65_000u16.to_be_bytes(), &huge].concat());
    message[2..4].copy_from_slice(&65_004u16.to_be_bytes());
    assert_eq!(scene.exchange(path, &message).unwrap().code(), 401, "an optional attribute of any length is none");
    message[4] ^= 1;
    assert!(scene.exchange(path, &message).is_none(), "without the magic cookie");
    assert!(scene.exchange(path, &huge).is_none());
}

#[test]
fn what_was_overheard_is_of_no_use_elsewhere_or_later() {
    let (mut scene, client) = bound(Client::alice().path);
    let requests = everything(&mut scene, &client);
    let thief = Path::Udp(address("198.51.100.66:4000"));
    for bytes in &requests[..4] {
        assert_eq!(scene.exchange(thief, bytes).unwrap().code(), 438, "the nonce is alice's");
    }
    assert!(scene.exchange(thief, &requests[5]).is_none());
    assert!(scene.exchange(thief, &requests[6]).is_none());
    assert_eq!(scene.server.drops().get(DropReason::UnknownSource), 2);
    assert_eq!(scene.server.stats().allocations, 1);
    scene.pass(seconds(2 * 3600));
    for bytes in &requests[..4] {
        assert_eq!(scene.exchange(client.path, bytes).unwrap().code(), 438, "the nonce is old");
    }
    assert_eq!(scene.server.stats().allocations, 0);
}

/// Whatever a client had reached when it was heard for the last time, nothing is left of it.
#[test]
fn nothing_stays_of_a_client_that_vanishes() {
    let pair = (Attribute::EVEN_PORT, &[0x80][..]);
    let and_v6 = (Attribute::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0][..]);
    let cases: [(Attributes<'_>, bool); 4] =
        [(&[UDP], false), (&[UDP, pair], true), (&[UDP, and_v6], true), (&[UDP], true)];
    for (attributes, binds_channel) in cases {
        let mut scene = Scene::new(config());
        let mut client = Client::alice();
        assert_eq!(scene.request(&mut client, Method::ALLOCATE, attributes).code(), 200);
        if binds_channel {
            scene.bind_channel(&mut client, 0x4001, PEER);
        }
        scene.pass(seconds(600));
        assert_eq!(scene.ended(), [AllocationEnd::Expired]);
        let stats = scene.server.stats();
        assert_eq!((stats.allocations, stats.reservations, stats.pending), (0, 0, 0));
        assert!(scene.relays.is_empty() && scene.server.poll_timeout().is_none());
    }
    // While its sockets were being bound.
    let mut scene = Scene::new(config());
    let mut client = Client::alice();
    client.nonce = scene.once(&client, Method::ALLOCATE, &[UDP]).text(Attribute::NONCE);
    let transaction = scene.transaction();
    let bytes = scene.encode(&client, Method::ALLOCATE, &[UDP], transaction);
    assert!(scene.send(client.path, &bytes).is_none());
    scene.pass(seconds(5));
    assert_eq!(scene.server.stats().pending, 0);
    assert!(scene.server.poll_timeout().is_none());
}
