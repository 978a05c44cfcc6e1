//! Relaying a packet costs no allocation: neither over channels nor in Send and Data indications, in neither direction.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::{Instant, SystemTime};

use allocation_counter::measure;
use webrtc_sip_core::crypto::CryptoProvider;
use webrtc_sip_core::io::{PacketBuf, SocketId};
use webrtc_sip_core::net::IpNetwork;
use webrtc_sip_core::stun::{
    Attribute, Class, IntegrityAlgorithm, Message, MessageWriter, Method, PasswordAlgorithm, TransactionId,
    long_term_key,
};
use webrtc_sip_core::turn::{
    HEADROOM, Listener, PeerPolicy, Quota, RelaySocket, Tenant, TurnConfig, TurnEvent, TurnServer,
};

const LISTENER: SocketId = SocketId(1);
const RELAY: SocketId = SocketId(2);
const PACKETS: usize = 1000;
const REALM: &str = "example.org";
const CHANNEL: [u8; 2] = [0x40, 0x01];

fn address(text: &str) -> SocketAddr {
    text.parse().expect("it is an address")
}

/// A client with an allocation, and two peers: one with a channel, one without.
struct Relay {
    server: TurnServer,
    now: Instant,
    client: SocketAddr,
    nonce: String,
    transactions: u8,
}

impl Relay {
    fn new() -> Self {
        let now = Instant::now();
        let users = vec![("alice".to_owned(), "wonder".to_owned())];
        // A limit that is never reached has to be looked at all the same.
        let quota = Quota { allocations: None, bytes_per_second: NonZeroU64::new(1 << 40) };
        let config = TurnConfig {
            listeners: vec![Listener { socket: LISTENER, address: address("192.0.2.1:3478") }],
            tenants: Tenant { realm: REALM.to_owned(), users, quota, ..Tenant::default() }.into(),
            peers: PeerPolicy {
                allow: vec![IpNetwork { address: address("203.0.113.0:0").ip(), prefix_len: 24 }],
                ..PeerPolicy::default()
            },
            ..TurnConfig::default()
        };
        let server = TurnServer::new(now, SystemTime::now(), config, CryptoProvider::system());
        let client = address("198.51.100.1:4000");
        let mut relay = Relay { server, now, client, nonce: String::new(), transactions: 0 };
        let challenge = relay.request(Method::ALLOCATE, &[(Attribute::REQUESTED_TRANSPORT, vec![17, 0, 0, 0])]);
        let challenge = Message::parse(&challenge).expect("it is a response");
        relay.nonce = challenge.text(Attribute::NONCE).expect("it is text").expect("there is a nonce").to_owned();
        relay.request(Method::ALLOCATE, &[(Attribute::REQUESTED_TRANSPORT, vec![17, 0, 0, 0])]);
        let Some(TurnEvent::Request { id, .. }) = relay.server.poll_event() else { panic!("a socket is wanted") };
        let sockets = [RelaySocket { socket: RELAY, address: address("192.0.2.1:50000") }];
        relay.server.handle_answer(now, id, &sockets);
        for (peer, channel) in [("203.0.113.1:1", Some(CHANNEL)), ("203.0.113.2:1", None)] {
            let peer = (Attribute::XOR_PEER_ADDRESS, xor_address(address(peer)));
            let answer = match channel {
                Some([high, low]) => {
                    let number = (Attribute::CHANNEL_NUMBER, vec![high, low, 0, 0]);
                    relay.request(Method::CHANNEL_BIND, &[number, peer])
                }
                None => relay.request(Method::CREATE_PERMISSION, &[peer]),
            };
            assert_eq!(Message::parse(&answer).expect("it is a response").class(), Class::Success);
        }
        relay
    }

    /// Sends a request; what is answered at once.
    fn request(&mut self, method: Method, attributes: &[(Attribute, Vec<u8>)]) -> Vec<u8> {
        self.transactions += 1;
        let mut slot = [0; 1000];
        let mut packet = PacketBuf::empty(&mut slot, HEADROOM);
        let transaction = TransactionId([self.transactions; 12]);
        let mut writer = MessageWriter::new(&mut packet, Class::Request, method, transaction).expect("it fits");
        for (attribute, value) in attributes {
            writer.put(*attribute, value).expect("it fits");
        }
        if !self.nonce.is_empty() {
            for (attribute, text) in
                [(Attribute::USERNAME, "alice"), (Attribute::REALM, REALM), (Attribute::NONCE, &self.nonce)]
            {
                writer.put_text(attribute, text).expect("it fits");
            }
            let key = long_term_key(PasswordAlgorithm::Md5, "alice", REALM, "wonder");
            writer.sign(IntegrityAlgorithm::Sha1, &key).expect("it fits");
        }
        self.server.handle_datagram(self.now, LISTENER, self.client, &mut packet);
        packet.as_slice().to_vec()
    }

    /// Allocations while the server relays a packet that comes in at `socket`; it must go on.
    fn allocations(&mut self, socket: SocketId, source: SocketAddr, bytes: &[u8]) -> u64 {
        let mut slot = [0; 2000];
        slot[HEADROOM..HEADROOM + bytes.len()].copy_from_slice(bytes);
        let mut packet = PacketBuf::filled(&mut slot, HEADROOM, bytes.len());
        let mut route = None;
        let counted = measure(|| route = self.server.handle_datagram(self.now, socket, source, &mut packet));
        assert!(route.is_some(), "the packet is relayed");
        counted.count_total
    }
}

/// XOR-PEER-ADDRESS of an IPv4 address (RFC 8489 section 14.2).
fn xor_address(address: SocketAddr) -> Vec<u8> {
    let mut slot = [0; 100];
    let mut packet = PacketBuf::empty(&mut slot, 0);
    MessageWriter::new(&mut packet, Class::Request, Method::BINDING, TransactionId([0; 12]))
        .and_then(|mut writer| writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, address).map(drop))
        .expect("it fits");
    let message = Message::parse(packet.as_slice()).expect("it is a message");
    message.get(Attribute::XOR_PEER_ADDRESS).expect("it was written").to_vec()
}

fn send_indication(peer: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut slot = [0; 1000];
    let mut packet = PacketBuf::empty(&mut slot, 0);
    let mut writer =
        MessageWriter::new(&mut packet, Class::Indication, Method::SEND, TransactionId([1; 12])).expect("it fits");
    writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, peer).expect("it fits");
    writer.put(Attribute::DATA, data).expect("it fits");
    packet.as_slice().to_vec()
}

#[test]
fn relaying_allocates_nothing() {
    let mut relay = Relay::new();
    let client = relay.client;
    let voice = [0x5a; 160];
    let channel_data = [&CHANNEL[..], &[0, 160], &voice].concat();
    let indication = send_indication(address("203.0.113.2:1"), &voice);
    for _ in 0..PACKETS {
        let counted = [
            relay.allocations(LISTENER, client, &channel_data),
            relay.allocations(LISTENER, client, &indication),
            relay.allocations(RELAY, address("203.0.113.1:1"), &voice),
            relay.allocations(RELAY, address("203.0.113.2:1"), &voice),
        ];
        assert_eq!(counted, [0; 4]);
    }
    assert_eq!(relay.server.stats().sent.packets, 2 * PACKETS as u64);
}
