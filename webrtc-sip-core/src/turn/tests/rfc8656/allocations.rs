//! Whose an allocation is, Allocate and Refresh (sections 5, 7 and 8).

use super::*;
use crate::io::{DropReason, PacketBuf};
use crate::stun::{Class, Message, MessageWriter, TransactionId};
use crate::turn::{AllocationEnd, Family, TurnConfig};

#[test]
fn section_5_an_allocation_belongs_to_a_five_tuple_and_a_user() {
    check(&[
        (Nothing, Method::REFRESH, &[], 437, &[]),
        (Nothing, Method::CREATE_PERMISSION, &[XOR_PEER], 437, &[]),
        (Nothing, Method::CHANNEL_BIND, &[CHANNEL, XOR_PEER], 437, &[]),
        (Bobs, Method::ALLOCATE, &[UDP], 437, &[]),
        (Bobs, Method::REFRESH, &[], 441, &[]),
        (Bobs, Method::REFRESH, &[RELEASE], 441, &[]),
        (Bobs, Method::CREATE_PERMISSION, &[XOR_PEER], 441, &[]),
        (Bobs, Method::CHANNEL_BIND, &[CHANNEL, XOR_PEER], 441, &[]),
    ]);
    // What no request is made of gets no answer (RFC 8489 section 6.3), with and without credentials.
    for method in [Method::SEND, Method::DATA, Method(0x123)] {
        let (mut scene, mut client) = Allocated.scene();
        client.nonce = scene
            .once(&client, Method::REFRESH, &[])
            .message()
            .text(Attribute::NONCE)
            .unwrap()
            .map_or(client.nonce, str::to_owned);
        let transaction = scene.transaction();
        let signed = scene.encode(&client, method, &[], transaction);
        assert!(scene.exchange(client.path, &signed).is_none());
        assert!(scene.exchange(client.path, &bare(method, &[], true)).is_none());
        assert_eq!(scene.server.drops().get(DropReason::NotRecognised), 2);
    }
}

#[test]
fn section_7_2_allocate() {
    const DONE: &[Attribute] = &[Attribute::XOR_RELAYED_ADDRESS, Attribute::LIFETIME, Attribute::XOR_MAPPED_ADDRESS];
    const WITH_TOKEN: &[Attribute] = &[
        Attribute::XOR_RELAYED_ADDRESS,
        Attribute::LIFETIME,
        Attribute::XOR_MAPPED_ADDRESS,
        Attribute::RESERVATION_TOKEN,
    ];
    const EVEN: (Attribute, &[u8]) = (Attribute::EVEN_PORT, &[0]);
    const PAIR: (Attribute, &[u8]) = (Attribute::EVEN_PORT, &[0x80]);
    const TOKEN: (Attribute, &[u8]) = (Attribute::RESERVATION_TOKEN, &[1; 8]);
    const TCP: (Attribute, &[u8]) = (Attribute::REQUESTED_TRANSPORT, &[99, 0, 0, 0]);
    check(&[
        // In the order of the section: the five-tuple before everything else,
        (Allocated, Method::ALLOCATE, &[UDP], 437, &[]),
        (Allocated, Method::ALLOCATE, &[], 437, &[]),
        // the transport,
        (Nothing, Method::ALLOCATE, &[], 400, &[]),
        (Nothing, Method::ALLOCATE, &[TCP], 442, &[]),
        (Nothing, Method::ALLOCATE, &[TCP, NO_FAMILY], 442, &[]),
        // the reservation,
        (Nothing, Method::ALLOCATE, &[UDP, TOKEN, EVEN], 400, &[]),
        (Nothing, Method::ALLOCATE, &[UDP, TOKEN, V4], 400, &[]),
        (Nothing, Method::ALLOCATE, &[UDP, TOKEN, AND_V6], 400, &[]),
        (Nothing, Method::ALLOCATE, &[UDP, TOKEN], 508, &[]),
        // the families,
        (Nothing, Method::ALLOCATE, &[UDP, V4, AND_V6], 400, &[]),
        (Nothing, Method::ALLOCATE, &[UDP, NO_FAMILY], 440, &[]),
        (Nothing, Method::ALLOCATE, &[UDP, PAIR, AND_V6], 400, &[]),
        (Nothing, Method::ALLOCATE, &[UDP, (Attribute::ADDITIONAL_ADDRESS_FAMILY, &[1, 0, 0, 0])], 400, &[]),
        // and what comes of it.
        (Nothing, Method::ALLOCATE, &[UDP], 200, DONE),
        (Nothing, Method::ALLOCATE, &[OPTIONAL, UDP, MINUTES], 200, DONE),
        (Nothing, Method::ALLOCATE, &[UDP, V6], 200, DONE),
        (Nothing, Method::ALLOCATE, &[UDP, AND_V6, EVEN], 200, DONE),
        (Nothing, Method::ALLOCATE, &[UDP, PAIR], 200, WITH_TOKEN),
        (Nothing, Method::ALLOCATE, &[UDP, PAIR, V6], 200, WITH_TOKEN),
        (Nothing, Method::ALLOCATE, &[UDP, UNKNOWN], 420, &[Attribute::UNKNOWN_ATTRIBUTES]),
    ]);
}

/// Section 7.2: one of two families is better than none, and the answer says why (section 18.12).
#[test]
fn section_7_2_a_family_that_there_is_none_of() {
    for (families, there, missing) in [([Family::V4], true, 2), ([Family::V6], false, 1)] {
        let mut scene = Scene::new(TurnConfig { families: families.to_vec(), ..config() });
        let mut client = Client::alice();
        client.nonce = scene.once(&client, Method::ALLOCATE, &[UDP]).text(Attribute::NONCE);
        let transaction = scene.transaction();
        let bytes = scene.encode(&client, Method::ALLOCATE, &[UDP, AND_V6], transaction);
        let first = scene.exchange(client.path, &bytes).unwrap();
        assert_eq!((first.code(), first.relayed().is_ipv4()), (200, there));
        let error = first.message().get(Attribute::ADDRESS_ERROR_CODE).unwrap();
        assert_eq!(error[..4], [missing, 0, 4, 40]);
        assert_eq!(scene.exchange(client.path, &bytes).unwrap().0, first.0, "said again when the answer was lost");
    }
}

#[test]
fn section_7_2_a_reservation_is_for_who_made_it_and_has_its_family() {
    let mut scene = Scene::new(TurnConfig { families: vec![Family::V6], ..config() });
    let first = scene.request(&mut Client::alice(), Method::ALLOCATE, &[UDP, V6, (Attribute::EVEN_PORT, &[0x80])]);
    let token = first.message().get(Attribute::RESERVATION_TOKEN).unwrap().to_vec();
    let claim: Attributes<'_> = &[UDP, (Attribute::RESERVATION_TOKEN, &token)];
    let mut bob = Client::udp("198.51.100.8:4000", "bob", "builder");
    assert_eq!(scene.request(&mut bob, Method::ALLOCATE, claim).code(), 508);
    let mut alice = Client::udp("198.51.100.7:4001", "alice", "wonder");
    let second = scene.request(&mut alice, Method::ALLOCATE, claim);
    assert_eq!(second.relayed().port(), first.relayed().port() + 1, "bob took nothing away");
    scene.pass(seconds(600));
    assert!(scene.relays.is_empty(), "every socket is closed");
}

#[test]
fn section_8_2_refresh() {
    const DONE: &[Attribute] = &[Attribute::LIFETIME];
    const NO_MINUTES: (Attribute, &[u8]) = (Attribute::LIFETIME, &[0, 1]);
    check(&[
        (Allocated, Method::REFRESH, &[], 200, DONE),
        (Allocated, Method::REFRESH, &[MINUTES], 200, DONE),
        (Allocated, Method::REFRESH, &[RELEASE], 200, DONE),
        (Allocated, Method::REFRESH, &[NO_MINUTES], 400, &[]),
        (Allocated, Method::REFRESH, &[V4], 200, DONE),
        (Allocated, Method::REFRESH, &[V4, RELEASE], 200, DONE),
        (Allocated, Method::REFRESH, &[V6], 443, &[]),
        (Allocated, Method::REFRESH, &[NO_FAMILY], 443, &[]),
        (Allocated, Method::REFRESH, &[(Attribute::REQUESTED_ADDRESS_FAMILY, &[1])], 400, &[]),
        (Allocated, Method::REFRESH, &[UNKNOWN], 420, &[Attribute::UNKNOWN_ATTRIBUTES]),
        (Dual, Method::REFRESH, &[V6, MINUTES], 200, DONE),
        (Dual, Method::REFRESH, &[RELEASE], 200, DONE),
    ]);
}

/// Section 8.1: one address is given back, with its permissions and channels and nothing else.
#[test]
fn section_8_one_of_two_families_is_given_back() {
    let (mut scene, mut client) = Dual.scene();
    let [v4, v6] = [0, 1].map(|at| scene.relays[at].address);
    let there = "[2001:db8::5]:9000";
    let bind = |scene: &mut Scene, client: &Client, number: u8, peer| {
        let transaction = scene.transaction();
        let peer = xor(address(peer), transaction);
        let attributes = [(Attribute::CHANNEL_NUMBER, &[0x40, number, 0, 0][..]), (Attribute::XOR_PEER_ADDRESS, &peer)];
        let bytes = scene.encode(client, Method::CHANNEL_BIND, &attributes, transaction);
        scene.exchange(client.path, &bytes).unwrap().code()
    };
    assert_eq!((bind(&mut scene, &client, 1, PEER), bind(&mut scene, &client, 2, there)), (200, 200));
    assert!(scene.peer_sends(v6, there, b"x").is_some());
    assert_eq!(scene.request(&mut client, Method::REFRESH, &[V6, RELEASE]).code(), 200);
    assert_eq!(scene.relays.iter().map(|relay| relay.address).collect::<Vec<_>>(), [v4]);
    assert!(scene.send(client.path, &channel_data(0x4002, b"x")).is_none());
    assert!(scene.send(client.path, &channel_data(0x4001, b"x")).is_some());
    assert!(scene.peer_sends(v4, PEER, b"x").is_some());
    assert_eq!(bind(&mut scene, &client, 2, there), 443, "it isn't there any more");
    assert_eq!(scene.request(&mut client, Method::REFRESH, &[V6, RELEASE]).code(), 443);
    assert!(scene.ended().is_empty());
    assert_eq!(scene.request(&mut client, Method::REFRESH, &[V4, RELEASE]).code(), 200);
    assert_eq!((scene.ended(), scene.relays.len()), (vec![AllocationEnd::Released], 0));
}

/// The value of a XOR-PEER-ADDRESS in this transaction.
fn xor(peer: std::net::SocketAddr, transaction: TransactionId) -> Vec<u8> {
    let mut slot = [0; 100];
    let mut packet = PacketBuf::empty(&mut slot, 0);
    let mut writer = MessageWriter::new(&mut packet, Class::Request, Method::CHANNEL_BIND, transaction).unwrap();
    writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, peer).unwrap();
    Message::parse(packet.as_slice()).unwrap().get(Attribute::XOR_PEER_ADDRESS).unwrap().to_vec()
}
