//! What RFC 8656 demands of a server, section by section, and RFC 8489 section 9.2 of its credentials: what is sent in
//! which state, and what is answered.

use super::scene::*;
use crate::io::{DropReason, PacketBuf};
use crate::stun::{Attribute, Class, IntegrityAlgorithm, Message, MessageWriter, Method, TransactionId};
use crate::turn::{AllocationEnd, Family, TurnConfig};

const PEER: &str = "203.0.113.5:9000";
/// 203.0.113.5:9000 and 10.0.0.1:80 behind the mask of RFC 8489 section 14.2.
const XOR_PEER: (Attribute, &[u8]) = (Attribute::XOR_PEER_ADDRESS, &[0, 1, 2, 58, 234, 18, 213, 71]);
const XOR_PRIVATE: (Attribute, &[u8]) = (Attribute::XOR_PEER_ADDRESS, &[0, 1, 33, 66, 43, 18, 164, 67]);
const XOR_V6: (Attribute, &[u8]) =
    (Attribute::XOR_PEER_ADDRESS, &[0, 2, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
const V4: (Attribute, &[u8]) = (Attribute::REQUESTED_ADDRESS_FAMILY, &[1, 0, 0, 0]);
const V6: (Attribute, &[u8]) = (Attribute::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0]);
const NO_FAMILY: (Attribute, &[u8]) = (Attribute::REQUESTED_ADDRESS_FAMILY, &[9, 0, 0, 0]);
const AND_V6: (Attribute, &[u8]) = (Attribute::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);
const RELEASE: (Attribute, &[u8]) = (Attribute::LIFETIME, &[0; 4]);
const MINUTES: (Attribute, &[u8]) = (Attribute::LIFETIME, &[0, 0, 4, 0xb0]);
const CHANNEL: (Attribute, &[u8]) = (Attribute::CHANNEL_NUMBER, &[0x40, 1, 0, 0]);
const OTHER_CHANNEL: (Attribute, &[u8]) = (Attribute::CHANNEL_NUMBER, &[0x40, 2, 0, 0]);
const UNKNOWN: (Attribute, &[u8]) = (Attribute(0x7abc), &[]);
const OPTIONAL: (Attribute, &[u8]) = (Attribute(0xfabc), &[]);

/// What alice has when she asks.
#[derive(Clone, Copy, Debug)]
enum State {
    Nothing,
    Allocated,
    Dual,
    /// An allocation that bob made from the same address.
    Bobs,
    /// [`CHANNEL`] bound to [`XOR_PEER`].
    Bound,
}
use State::*;

impl State {
    fn scene(self) -> (Scene, Client) {
        let mut scene = Scene::new(config());
        let mut client = Client::alice();
        let code = match self {
            Nothing => 200,
            Allocated => scene.request(&mut client, Method::ALLOCATE, &[UDP]).code(),
            Dual => scene.request(&mut client, Method::ALLOCATE, &[UDP, AND_V6]).code(),
            Bobs => {
                let mut bob = Client { user: "bob".to_owned(), password: "builder".to_owned(), ..client.clone() };
                scene.request(&mut bob, Method::ALLOCATE, &[UDP]).code()
            }
            Bound => {
                scene.allocate(&mut client);
                scene.request(&mut client, Method::CHANNEL_BIND, &[CHANNEL, XOR_PEER]).code()
            }
        };
        assert_eq!(code, 200, "{self:?}");
        (scene, client)
    }
}

/// State, request, code of the answer, and attributes that the answer has.
type Row<'a> = (State, Method, Attributes<'a>, u16, &'a [Attribute]);

fn check(rows: &[Row<'_>]) {
    for row @ (state, method, attributes, code, present) in rows {
        let (mut scene, mut client) = state.scene();
        let answer = scene.request(&mut client, *method, attributes);
        assert_eq!(answer.code(), *code, "{row:?}");
        let message = answer.message();
        assert!(message.verify_integrity(IntegrityAlgorithm::Sha1, &client.key()), "{row:?} is signed");
        assert_eq!((message.method(), message.get(Attribute::ERROR_CODE).is_some()), (*method, *code != 200));
        for attribute in *present {
            assert!(message.get(*attribute).is_some(), "{row:?} without {attribute:?}");
        }
        // Nothing but an allocation or its end changes what there is.
        let before = usize::from(!matches!(state, Nothing));
        let after = scene.server.stats().allocations;
        let released = *method == Method::REFRESH && *code == 200 && attributes.contains(&RELEASE);
        let made = *method == Method::ALLOCATE && *code == 200;
        assert_eq!(after + usize::from(released), before + usize::from(made), "{row:?}");
    }
}

#[test]
fn section_5_an_allocation_belongs_to_a_five_tuple_and_a_user() {
    check(&[
        (Nothing, Method::REFRESH, &[], 437, &[]),
        (Nothing, Method::CREATE_PERMISSION, &[XOR_PEER], 437, &[]),
        (Nothing, Method::CHANNEL_BIND, &[CHANNEL, XOR_PEER], 437, &[]),
        (Bobs, Method::ALLOCATE, &[UDP], 441, &[]),
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

/// What a peer gets, or why it gets nothing.
type Sent = Result<&'static [u8], DropReason>;

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
        let sent = scene.send(client.path, &indication(Method::SEND, attributes));
        match expected {
            Ok(data) => {
                assert_eq!(sent.map(|(to, data)| (destination(to), data)), Some((address(PEER), data.to_vec())))
            }
            Err(reason) => {
                assert!(sent.is_none(), "{row:?}");
                assert_eq!(scene.server.drops().get(*reason), 1, "{row:?}");
            }
        }
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
        let sent = scene.send(client.path, bytes);
        match expected {
            Ok(data) => {
                assert_eq!(sent.map(|(to, data)| (destination(to), data)), Some((address(PEER), data.to_vec())))
            }
            Err(reason) => {
                assert!(sent.is_none(), "{row:?}");
                assert_eq!(scene.server.drops().get(*reason), 1, "{row:?}");
            }
        }
    }
}

/// Section 18: values that are as long as no value of their attribute is.
#[test]
fn section_18_attributes_of_impossible_lengths() {
    let requests: [(State, Method, Attribute, usize, Attributes<'_>); 8] = [
        (Bound, Method::CHANNEL_BIND, Attribute::CHANNEL_NUMBER, 4, &[XOR_PEER]),
        (Allocated, Method::REFRESH, Attribute::LIFETIME, 4, &[]),
        (Allocated, Method::CREATE_PERMISSION, Attribute::XOR_PEER_ADDRESS, 8, &[]),
        (Allocated, Method::REFRESH, Attribute::REQUESTED_ADDRESS_FAMILY, 4, &[]),
        (Nothing, Method::ALLOCATE, Attribute::EVEN_PORT, 1, &[UDP]),
        (Nothing, Method::ALLOCATE, Attribute::REQUESTED_TRANSPORT, 4, &[]),
        (Nothing, Method::ALLOCATE, Attribute::RESERVATION_TOKEN, 8, &[UDP]),
        (Nothing, Method::ALLOCATE, Attribute::ADDITIONAL_ADDRESS_FAMILY, 4, &[UDP]),
    ];
    for (state, method, attribute, right, others) in requests {
        for len in (0..24).filter(|len| *len != right) {
            let value = vec![1; len];
            let attributes = [others, &[(attribute, &value)]].concat();
            check(&[(state, method, &attributes, 400, &[])]);
        }
    }
}

/// Section 19, and RFC 8489 section 14.8: each code with its phrase.
#[test]
fn section_19_error_codes() {
    let rows: &[(State, Method, Attributes<'_>, (u16, &str))] = &[
        (Nothing, Method::ALLOCATE, &[], (400, "Bad Request")),
        (Allocated, Method::CREATE_PERMISSION, &[XOR_PRIVATE], (403, "Forbidden")),
        (Nothing, Method::ALLOCATE, &[UDP, UNKNOWN], (420, "Unknown Attribute")),
        (Nothing, Method::REFRESH, &[], (437, "Allocation Mismatch")),
        (Nothing, Method::ALLOCATE, &[UDP, NO_FAMILY], (440, "Address Family not Supported")),
        (Bobs, Method::REFRESH, &[], (441, "Wrong Credentials")),
        (
            Nothing,
            Method::ALLOCATE,
            &[(Attribute::REQUESTED_TRANSPORT, &[99, 0, 0, 0])],
            (442, "Unsupported Transport Protocol"),
        ),
        (Allocated, Method::CREATE_PERMISSION, &[XOR_V6], (443, "Peer Address Family Mismatch")),
        (Allocated, Method::CREATE_PERMISSION, &[XOR_PEER; 40], (508, "Insufficient Capacity")),
    ];
    for (state, method, attributes, expected) in rows {
        let (mut scene, mut client) = state.scene();
        assert_eq!(scene.request(&mut client, *method, attributes).message().error_code(), Some(*expected));
    }
    let mut config = config();
    config.tenants.default.user_quota.allocations = std::num::NonZeroUsize::new(1);
    let mut scene = Scene::new(config);
    scene.allocate(&mut Client::alice());
    let mut again = Client::udp("198.51.100.7:4001", "alice", "wonder");
    let answer = scene.request(&mut again, Method::ALLOCATE, &[UDP]);
    assert_eq!(answer.message().error_code(), Some((486, "Allocation Quota Reached")));
}

/// RFC 8489 section 9.2.4, in its order: which attributes of the credentials there are, and the code.
#[test]
fn rfc_8489_section_9_2_4_credentials() {
    const ALGORITHMS: (Attribute, &[u8]) = (Attribute::PASSWORD_ALGORITHMS, &[0, 2, 0, 0, 0, 1, 0, 0]);
    const ONLY_MD5: (Attribute, &[u8]) = (Attribute::PASSWORD_ALGORITHMS, &[0, 1, 0, 0]);
    const MD5: (Attribute, &[u8]) = (Attribute::PASSWORD_ALGORITHM, &[0, 1, 0, 0]);
    const SHA1: (Attribute, &[u8]) = (Attribute::PASSWORD_ALGORITHM, &[0, 9, 0, 0]);
    const USER: (Attribute, &[u8]) = (Attribute::USERNAME, b"alice");
    const NOBODY: (Attribute, &[u8]) = (Attribute::USERNAME, b"nobody");
    const LONG: (Attribute, &[u8]) = (Attribute::USERNAME, &[b'a'; 509]);
    const NO_TEXT: (Attribute, &[u8]) = (Attribute::USERNAME, &[0xff]);
    const HASH: (Attribute, &[u8]) = (Attribute::USERHASH, &[0; 32]);
    const HERE: (Attribute, &[u8]) = (Attribute::REALM, REALM.as_bytes());
    const ELSEWHERE: (Attribute, &[u8]) = (Attribute::REALM, b"elsewhere");
    const STALE: (Attribute, &[u8]) = (Attribute::NONCE, b"obMatJos2gAAA0000000000000000000000000000");
    let mut scene = Scene::new(config());
    let client = Client::alice();
    let nonce = scene.once(&client, Method::ALLOCATE, &[UDP]).text(Attribute::NONCE);
    let nonce = (Attribute::NONCE, nonce.as_bytes());
    // What stands before the integrity, whose key is right, and the code.
    let rows: [(Attributes<'_>, u16); 15] = [
        (&[UDP, USER, HERE, nonce], 200),
        (&[USER, nonce, HERE, UDP], 437),
        (&[UDP, HERE, nonce], 400),
        (&[UDP, HASH, HERE, nonce], 400),
        (&[UDP, USER, nonce], 400),
        (&[UDP, USER, HERE], 400),
        (&[UDP, LONG, HERE, nonce], 400),
        (&[UDP, NO_TEXT, HERE, nonce], 400),
        (&[UDP, USER, HERE, nonce, ALGORITHMS], 400),
        (&[UDP, USER, HERE, nonce, MD5], 400),
        (&[UDP, USER, HERE, nonce, ONLY_MD5, MD5], 400),
        (&[UDP, USER, HERE, nonce, ALGORITHMS, SHA1], 400),
        (&[UDP, NOBODY, HERE, nonce], 401),
        (&[UDP, USER, ELSEWHERE, nonce], 401),
        (&[UDP, USER, HERE, STALE], 438),
    ];
    for (attributes, code) in rows {
        let transaction = scene.transaction();
        let bytes = signed(attributes, &client.key(), transaction);
        let answer = scene.exchange(client.path, &bytes).unwrap();
        assert_eq!(answer.code(), code, "{attributes:?}");
        let asks_again = matches!(code, 401 | 438);
        for attribute in [Attribute::REALM, Attribute::NONCE, Attribute::PASSWORD_ALGORITHMS] {
            assert_eq!(answer.message().get(attribute).is_some(), asks_again, "{attributes:?}");
        }
        for attribute in [Attribute::USERNAME, Attribute::USERHASH] {
            assert!(answer.message().get(attribute).is_none());
        }
        assert_eq!(answer.message().has_integrity(IntegrityAlgorithm::Sha1), matches!(code, 200 | 437));
    }
    // Without an integrity, and with a wrong one.
    let transaction = scene.transaction();
    for bytes in
        [bare(Method::REFRESH, &[USER, HERE, nonce], false), signed(&[USER, HERE, nonce], b"wrong", transaction)]
    {
        assert_eq!(scene.exchange(client.path, &bytes).unwrap().code(), 401);
    }
}

fn signed(attributes: Attributes<'_>, key: &[u8], transaction: TransactionId) -> Vec<u8> {
    let mut slot = [0; 1500];
    let mut packet = PacketBuf::empty(&mut slot, 0);
    let mut writer = MessageWriter::new(&mut packet, Class::Request, Method::ALLOCATE, transaction).unwrap();
    for (attribute, value) in attributes {
        writer.put(*attribute, value).unwrap();
    }
    writer.sign(IntegrityAlgorithm::Sha1, key).unwrap();
    packet.as_slice().to_vec()
}

/// The value of a XOR-PEER-ADDRESS in this transaction.
fn xor(peer: std::net::SocketAddr, transaction: TransactionId) -> Vec<u8> {
    let mut slot = [0; 100];
    let mut packet = PacketBuf::empty(&mut slot, 0);
    let mut writer = MessageWriter::new(&mut packet, Class::Request, Method::CHANNEL_BIND, transaction).unwrap();
    writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, peer).unwrap();
    Message::parse(packet.as_slice()).unwrap().get(Attribute::XOR_PEER_ADDRESS).unwrap().to_vec()
}
