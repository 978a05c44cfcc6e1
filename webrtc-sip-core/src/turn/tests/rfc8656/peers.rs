//! Permissions, indications and channels (sections 9 to 12).

use super::*;
use crate::io::{DropReason, PacketBuf};
use crate::stun::{Class, Message, MessageWriter, TransactionId};

#[test]
fn sections_9_and_10_2_create_permission() {
    const BROKEN: (Attribute, &[u8]) = (Attribute::XOR_PEER_ADDRESS, &[0, 1, 0]);
    check(&[
        (Allocated, Method::CREATE_PERMISSION, &[XOR_PEER], 200, &[]),
        (Allocated, Method::CREATE_PERMISSION, &[XOR_PEER, XOR_PEER], 200, &[]),
        (Allocated, Method::CREATE_PERMISSION, &[], 400, &[]),
        (Allocated, Method::CREATE_PERMISSION, &[BROKEN], 400, &[]),
        (Allocated, Method::CREATE_PERMISSION, &[XOR_V6], 443, &[]),
        (Allocated, Method::CREATE_PERMISSION, &[XOR_PRIVATE], 403, &[]),
        (Allocated, Method::CREATE_PERMISSION, &[XOR_PEER; 40], 508, &[]),
        (Allocated, Method::CREATE_PERMISSION, &[XOR_PEER, UNKNOWN], 420, &[Attribute::UNKNOWN_ATTRIBUTES]),
        (Bound, Method::CREATE_PERMISSION, &[XOR_PEER], 200, &[]),
    ]);
    // All of the addresses or none of them.
    for bad in [BROKEN, XOR_V6, XOR_PRIVATE] {
        let (mut scene, mut client) = Allocated.scene();
        assert_ne!(scene.request(&mut client, Method::CREATE_PERMISSION, &[XOR_PEER, bad]).code(), 200);
        let relayed = scene.relays[0].address;
        assert!(scene.peer_sends(relayed, PEER, b"x").is_none(), "{bad:?}");
    }
}

/// What the peer gets, or why it gets nothing.
type Sent<Bytes = &'static [u8]> = Result<Bytes, DropReason>;

/// What becomes of what the client sends.
fn sent(scene: &mut Scene, client: &Client, bytes: &[u8]) -> Sent<Vec<u8>> {
    match scene.send(client.path, bytes) {
        Some((to, data)) => {
            assert_eq!(destination(to), address(PEER));
            Ok(data)
        }
        None => Err(scene.server.drops().iter().find(|(_, count)| *count > 0).expect("a drop is counted").0),
    }
}

/// An indication with these attributes.
fn indication(method: Method, attributes: Attributes<'_>) -> Vec<u8> {
    let mut slot = [0; 500];
    let mut packet = PacketBuf::empty(&mut slot, 0);
    let mut writer = MessageWriter::new(&mut packet, Class::Indication, method, TransactionId([9; 12])).unwrap();
    for (attribute, value) in attributes {
        writer.put(*attribute, value).unwrap();
    }
    packet.as_slice().to_vec()
}

#[test]
fn section_11_2_send_indications() {
    const DATA: (Attribute, &[u8]) = (Attribute::DATA, b"data");
    let rows: &[(State, Attributes<'_>, Sent)] = &[
        (Bound, &[XOR_PEER, DATA], Ok(b"data")),
        (Bound, &[DATA, XOR_PEER], Ok(b"data")),
        (Bound, &[XOR_PEER, (Attribute::DATA, b"")], Ok(b"")),
        (Bound, &[XOR_PEER, OPTIONAL, DATA], Ok(b"data")),
        (Bound, &[XOR_PEER, DATA, (Attribute::DATA, b"again")], Ok(b"data")),
        (Bound, &[XOR_PEER, DATA, UNKNOWN], Err(DropReason::Malformed)),
        (Bound, &[XOR_PEER], Err(DropReason::Malformed)),
        (Bound, &[DATA], Err(DropReason::Malformed)),
        (Bound, &[(Attribute::XOR_PEER_ADDRESS, &[0, 1]), DATA], Err(DropReason::Malformed)),
        (Bound, &[XOR_PRIVATE, DATA], Err(DropReason::Forbidden)),
        (Bound, &[XOR_V6, DATA], Err(DropReason::Forbidden)),
        (Allocated, &[XOR_PEER, DATA], Err(DropReason::Forbidden)),
        (Bobs, &[XOR_PEER, DATA], Err(DropReason::Forbidden)),
        (Nothing, &[XOR_PEER, DATA], Err(DropReason::UnknownSource)),
    ];
    for row @ (state, attributes, expected) in rows {
        let (mut scene, client) = state.scene();
        assert_eq!(
            sent(&mut scene, &client, &indication(Method::SEND, attributes)).as_deref(),
            expected.as_deref(),
            "{row:?}"
        );
    }
    // Indications are never answered, whatever they are about.
    for method in [Method::BINDING, Method::ALLOCATE, Method::REFRESH, Method::DATA, Method(0x321)] {
        let (mut scene, client) = Bound.scene();
        assert!(scene.exchange(client.path, &indication(method, &[XOR_PEER, DATA])).is_none(), "{method:?}");
    }
}

#[test]
fn sections_11_3_and_12_7_what_peers_send() {
    // By the state, the address and port it comes from: a channel, an indication or nothing.
    for (state, peer, method) in [
        (Allocated, PEER, None),
        (Bound, PEER, Some(None)),
        (Bound, "203.0.113.5:9001", Some(Some(Method::DATA))),
        (Bound, "203.0.113.6:9000", None),
        (Bound, "10.0.0.1:80", None),
    ] {
        let (mut scene, _) = state.scene();
        let relayed = scene.relays[0].address;
        let came = scene.peer_sends(relayed, peer, b"data").map(|(_, bytes)| bytes);
        assert_eq!(came.is_some(), method.is_some(), "{peer}");
        match (came, method) {
            (Some(bytes), Some(None)) => assert_eq!(bytes, channel_data(0x4001, b"data")),
            (Some(bytes), Some(Some(method))) => {
                let message = Message::parse(&bytes).unwrap();
                assert_eq!((message.class(), message.method()), (Class::Indication, method));
                assert_eq!(message.xor_address(Attribute::XOR_PEER_ADDRESS), Ok(Some(address(peer))));
            }
            _ => assert_eq!(scene.server.drops().get(DropReason::Forbidden), 1),
        }
    }
}

#[test]
fn section_12_2_channel_bind() {
    let other_peer = xor_address(address("203.0.113.5:9001"));
    let other_peer = (Attribute::XOR_PEER_ADDRESS, &other_peer[..]);
    let number = |number: u16| [number.to_be_bytes(), [0, 0]].concat();
    check(&[
        (Allocated, Method::CHANNEL_BIND, &[CHANNEL, XOR_PEER], 200, &[]),
        (Bound, Method::CHANNEL_BIND, &[CHANNEL, XOR_PEER], 200, &[]),
        (Bound, Method::CHANNEL_BIND, &[OTHER_CHANNEL, other_peer], 200, &[]),
        (Bound, Method::CHANNEL_BIND, &[OTHER_CHANNEL, XOR_PEER], 400, &[]),
        (Bound, Method::CHANNEL_BIND, &[CHANNEL, other_peer], 400, &[]),
        (Allocated, Method::CHANNEL_BIND, &[CHANNEL], 400, &[]),
        (Allocated, Method::CHANNEL_BIND, &[XOR_PEER], 400, &[]),
        (Allocated, Method::CHANNEL_BIND, &[(Attribute::CHANNEL_NUMBER, &[0x40, 1]), XOR_PEER], 400, &[]),
        (Allocated, Method::CHANNEL_BIND, &[CHANNEL, (Attribute::XOR_PEER_ADDRESS, &[0, 1])], 400, &[]),
        (Allocated, Method::CHANNEL_BIND, &[CHANNEL, XOR_V6], 443, &[]),
        (Allocated, Method::CHANNEL_BIND, &[CHANNEL, XOR_PRIVATE], 403, &[]),
        (Allocated, Method::CHANNEL_BIND, &[CHANNEL, XOR_PEER, UNKNOWN], 420, &[Attribute::UNKNOWN_ATTRIBUTES]),
    ]);
    for (bad, code) in [(0, 400), (0x3fff, 400), (0x4000, 200), (0x4fff, 200), (0x7fff, 400), (0x8000, 400)] {
        let attribute = number(bad);
        check(&[(Allocated, Method::CHANNEL_BIND, &[(Attribute::CHANNEL_NUMBER, &attribute), XOR_PEER], code, &[])]);
    }
}

#[test]
fn section_12_6_channel_data() {
    let rows: &[(State, &[u8], Sent)] = &[
        (Bound, &[0x40, 1, 0, 2, 7, 8], Ok(&[7, 8])),
        (Bound, &[0x40, 1, 0, 0], Ok(&[])),
        // Padding is allowed in datagrams (section 12.5).
        (Bound, &[0x40, 1, 0, 1, 7, 0, 0, 0], Ok(&[7])),
        (Bound, &[0x40, 1, 0, 3, 7, 8], Err(DropReason::Malformed)),
        (Bound, &[0x40, 1, 0], Err(DropReason::Malformed)),
        (Bound, &[0x40, 2, 0, 1, 7], Err(DropReason::UnknownSource)),
        (Bound, &[0x7f, 0xff, 0, 1, 7], Err(DropReason::UnknownSource)),
        (Bound, &[0x80, 1, 0, 1, 7], Err(DropReason::NotRecognised)),
        (Allocated, &[0x40, 1, 0, 1, 7], Err(DropReason::UnknownSource)),
        (Nothing, &[0x40, 1, 0, 1, 7], Err(DropReason::UnknownSource)),
    ];
    for row @ (state, bytes, expected) in rows {
        let (mut scene, client) = state.scene();
        assert_eq!(sent(&mut scene, &client, bytes).as_deref(), expected.as_deref(), "{row:?}");
    }
}
