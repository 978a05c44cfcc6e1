//! The TURN server against clients that do whatever the bytes say, with right credentials or without.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use webrtc_sip_core::crypto::CryptoProvider;
use webrtc_sip_core::io::{FlowId, PacketBuf, SocketId};
use webrtc_sip_core::net::IpNetwork;
use webrtc_sip_core::stun::{
    Attribute, Class, IntegrityAlgorithm, Message, MessageWriter, Method, PasswordAlgorithm, TransactionId,
    long_term_key,
};
use webrtc_sip_core::turn::{
    Answer, Carried, ClientTransport, ConnectionId, Discovery, Family, HEADROOM, Listener, MAX_AMPLIFICATION,
    PeerPolicy, Quota, RelayPort, RelaySocket, Tenant, TokenAlgorithm, TokenKey, TurnConfig, TurnEvent, TurnServer,
};

/// Two addresses with two ports, for NAT behaviour discovery. Relay sockets have the numbers between.
const LISTENERS: [SocketId; 4] = [SocketId(0), SocketId(u32::MAX - 2), SocketId(u32::MAX - 1), SocketId(u32::MAX)];
const REALM: &str = "fuzz";
const CLIENTS: u8 = 4;
/// More than this is refused.
const MAX_ALLOCATIONS: usize = 3;
const MAX_CONNECTIONS: usize = 2;
/// In a step: it is about TCP allocations.
const TCP: u8 = 0x40;
/// Longest packet of a step.
const MAX_PACKET: usize = 1500;

/// A connection with a peer, as its owner knows it.
enum Connection {
    Connecting,
    Waiting,
    Spliced(Arc<Carried>),
}

struct World {
    server: TurnServer,
    now: Instant,
    relays: Vec<RelaySocket>,
    next_socket: u32,
    connections: BTreeMap<ConnectionId, Connection>,
    nonces: Vec<String>,
    /// The last one that any of them was given.
    ticket: Vec<u8>,
    transactions: u64,
}

/// Runs the steps that `data` describes: a byte that says which, a byte that says who, and what the step needs.
pub fn turn_server(data: &[u8]) {
    let mut world = World::new();
    let mut rest = data;
    while let Some((&[step, who], after)) = rest.split_first_chunk() {
        rest = world.step(step, who, after);
        world.serve(step & 0x80 == 0);
        world.check();
    }
    world.now += Duration::from_secs(24 * 3600);
    world.server.handle_timeout(world.now);
    world.serve(true);
    let stats = world.server.stats();
    assert_eq!((stats.allocations, stats.reservations, stats.pending), (0, 0, 0), "nothing is left after a day");
    assert!(world.relays.is_empty() && world.connections.is_empty(), "and every socket is closed");
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let network = IpNetwork { address: SocketAddr::from(([203, 0, 113, 0], 0)).ip(), prefix_len: 24 };
        let token_key = TokenKey::new("user", TokenAlgorithm::A128Gcm, &[1; 16], 0..=u64::MAX);
        let token_key = token_key.expect("the length is right");
        let listener = |ip: u8, port: u16| Listener {
            socket: LISTENERS[usize::from(ip) * 2 + usize::from(port)],
            address: SocketAddr::from(([192, 0, 2, ip], 3478 + port)),
        };
        let sockets = [0, 1].map(|ip| [0, 1].map(|port| listener(ip, port)));
        let config = TurnConfig {
            listeners: sockets.concat(),
            discovery: Some(Discovery { sockets }),
            families: vec![Family::V4, Family::V6],
            tenants: Tenant {
                realm: REALM.to_owned(),
                users: vec![("user".to_owned(), "password".to_owned())],
                // Who sends a token under the user's name is taken for one who has none.
                token_keys: vec![token_key],
                quota: Quota { allocations: None, bytes_per_second: NonZeroU64::new(10_000) },
                ..Tenant::default()
            }
            .into(),
            peers: PeerPolicy { allow: vec![network], ..PeerPolicy::default() },
            max_allocations: MAX_ALLOCATIONS,
            max_permissions: 4,
            max_channels: 3,
            max_connections: MAX_CONNECTIONS,
            dont_fragment: true,
            ..TurnConfig::default()
        };
        let crypto = CryptoProvider::seeded(&[1; 32]);
        let mut server = TurnServer::new(now, UNIX_EPOCH + Duration::from_secs(1_700_000_000), config, crypto);
        for flow in 0..CLIENTS / 2 {
            let transport = if flow == 0 { ClientTransport::Tcp } else { ClientTransport::Tls };
            server.handle_flow_opened(now, FlowId(u64::from(flow)), address_of(flow), transport);
        }
        let nonces = vec![String::new(); usize::from(CLIENTS)];
        World {
            server,
            now,
            relays: Vec::new(),
            next_socket: 1,
            connections: BTreeMap::new(),
            nonces,
            ticket: Vec::new(),
            transactions: 0,
        }
    }

    /// Carries out one step and returns what it left of the bytes.
    fn step<'a>(&mut self, step: u8, who: u8, rest: &'a [u8]) -> &'a [u8] {
        let client = who % CLIENTS;
        if step & TCP != 0 && step % 4 < 2 {
            if step.is_multiple_of(4) {
                self.peer_connects(who)
            } else {
                self.move_connection(who, step & 0x80 == 0)
            }
            return rest;
        }
        match step % 6 {
            0 => {
                self.now += Duration::from_secs(u64::from(who) * 4);
                self.server.handle_timeout(self.now);
                rest
            }
            1 => {
                let (packet, rest) = take(rest);
                self.hand_in(client, packet);
                rest
            }
            2 => {
                let (packet, rest) = take(rest);
                if let Some(relay) = self.relays.get(usize::from(who) % self.relays.len().max(1)).copied() {
                    let peer = SocketAddr::from(([203, 0, 113, who & 3], u16::from(who)));
                    self.handle(packet, |server, now, packet| server.handle_datagram(now, relay.socket, peer, packet));
                }
                rest
            }
            3 if client < CLIENTS / 2 => {
                let flow = FlowId(u64::from(client));
                self.server.handle_flow_closed(self.now, flow);
                self.server.handle_flow_opened(self.now, flow, address_of(client), ClientTransport::Tcp);
                rest
            }
            _ => {
                let (attributes, rest) = take(rest);
                self.request(client, Method(u16::from(who >> 2) % 16), attributes, step & TCP != 0);
                rest
            }
        }
    }

    fn peer_connects(&mut self, who: u8) {
        let Some(relay) = self.relays.get(usize::from(who) % self.relays.len().max(1)) else { return };
        let peer = SocketAddr::from(([203, 0, 113, who & 3], u16::from(who)));
        if let Some(id) = self.server.handle_peer_connected(self.now, relay.socket, peer) {
            self.connections.insert(id, Connection::Waiting);
        }
    }

    /// A connection is made, or fails, or carries something, or is closed.
    fn move_connection(&mut self, who: u8, well: bool) {
        let index = usize::from(who) % self.connections.len().max(1);
        let Some((&id, connection)) = self.connections.iter_mut().nth(index) else { return };
        match connection {
            Connection::Connecting => {
                *connection = Connection::Waiting;
                if !well {
                    self.connections.remove(&id);
                }
                self.server.handle_connected(self.now, id, well);
            }
            Connection::Spliced(carried) if well => carried.add_sent(usize::from(who)),
            _ => {
                self.connections.remove(&id);
                self.server.handle_connection_closed(self.now, id);
            }
        }
    }

    /// A request with right credentials and these attributes.
    fn request(&mut self, client: u8, method: Method, mut attributes: &[u8], tcp: bool) {
        self.transactions += 1;
        let mut transaction = [0; 12];
        transaction[4..].copy_from_slice(&self.transactions.to_be_bytes());
        let mut storage = [0; MAX_PACKET + 500];
        let mut packet = PacketBuf::empty(&mut storage, 0);
        let mut writer = MessageWriter::new(&mut packet, Class::Request, method, TransactionId(transaction))
            .expect("there is room for a header");
        if method == Method::ALLOCATE {
            writer.put(Attribute::REQUESTED_TRANSPORT, &[if tcp { 6 } else { 17 }, 0, 0, 0]).expect("there is room");
        }
        // Nothing that is drawn is a ticket by chance, or names a connection.
        match method {
            Method::ALLOCATE if attributes.len() % 2 == 1 => drop(writer.put(Attribute::MOBILITY_TICKET, &[])),
            Method::REFRESH if attributes.len() % 2 == 1 => drop(writer.put(Attribute::MOBILITY_TICKET, &self.ticket)),
            _ => {}
        }
        let index = attributes.len() % self.connections.len().max(1);
        if let (Method::CONNECTION_BIND, Some(id)) = (method, self.connections.keys().nth(index)) {
            writer.put_u32(Attribute::CONNECTION_ID, id.0).expect("there is room");
        }
        if let (Method::CONNECT | Method::CREATE_PERMISSION, true) = (method, tcp) {
            let peer = SocketAddr::from(([203, 0, 113, attributes.len() as u8 & 3], attributes.len() as u16));
            writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, peer).expect("there is room");
        }
        while let Some((&[high, low, len], after)) = attributes.split_first_chunk() {
            let (value, after) = after.split_at(after.len().min(usize::from(len)));
            if writer.put(Attribute(u16::from_be_bytes([high, low])), value).is_err() {
                break;
            }
            attributes = after;
        }
        let nonce = &self.nonces[usize::from(client)];
        let key = long_term_key(PasswordAlgorithm::Md5, "user", REALM, "password");
        let signed = [(Attribute::USERNAME, "user"), (Attribute::REALM, REALM), (Attribute::NONCE, nonce)]
            .into_iter()
            .all(|(attribute, text)| writer.put_text(attribute, text).is_ok())
            && writer.sign(IntegrityAlgorithm::Sha1, &key).is_ok();
        if signed {
            let bytes = packet.as_slice().to_vec();
            self.hand_in(client, &bytes);
        }
    }

    /// A packet from a client: the first ones have connections.
    fn hand_in(&mut self, client: u8, bytes: &[u8]) {
        let answer = self.handle(bytes, |server, now, packet| match client {
            flow if flow < CLIENTS / 2 => server.handle_frame(now, FlowId(u64::from(flow)), packet),
            _ => server.handle_datagram(now, LISTENERS[usize::from(client)], address_of(client), packet),
        });
        if let Some(answer) = answer.as_ref().filter(|_| client >= CLIENTS / 2) {
            let signed = Message::parse(answer).is_ok_and(|answer| answer.has_integrity(IntegrityAlgorithm::Sha1));
            assert!(signed || answer.len() <= MAX_AMPLIFICATION * bytes.len(), "{bytes:02x?} brings {answer:02x?}");
        }
        if let Some(answer) = answer
            && let Ok(message) = Message::parse(&answer)
        {
            if let Ok(Some(nonce)) = message.text(Attribute::NONCE) {
                self.nonces[usize::from(client)] = nonce.to_owned();
            }
            self.keep_ticket(&message);
        }
    }

    fn keep_ticket(&mut self, answer: &Message<'_>) {
        if let Some(ticket) = answer.get(Attribute::MOBILITY_TICKET) {
            self.ticket = ticket.to_vec();
        }
    }

    /// What the server makes of a packet.
    fn handle<T>(
        &mut self,
        bytes: &[u8],
        handle: impl FnOnce(&mut TurnServer, Instant, &mut PacketBuf<'_>) -> Option<T>,
    ) -> Option<Vec<u8>> {
        let mut storage = vec![0; HEADROOM + bytes.len() + 512];
        storage[HEADROOM..HEADROOM + bytes.len()].copy_from_slice(bytes);
        let mut packet = PacketBuf::filled(&mut storage, HEADROOM, bytes.len());
        handle(&mut self.server, self.now, &mut packet).map(|_| packet.as_slice().to_vec())
    }

    /// Does what the server asks for; without `binds` it gets no sockets.
    fn serve(&mut self, binds: bool) {
        while let Some(event) = self.server.poll_event() {
            match event {
                TurnEvent::Request { id, bind } => {
                    let mut sockets = Vec::new();
                    let pair = usize::from(bind.port == RelayPort::Pair);
                    for family in bind.families.iter().take(if binds { 2 } else { 0 }) {
                        for _ in 0..=pair {
                            sockets.push(self.bind(*family));
                        }
                    }
                    self.relays.extend_from_slice(&sockets);
                    self.server.handle_answer(self.now, id, &sockets);
                }
                TurnEvent::CloseSocket(socket) => {
                    let before = self.relays.len();
                    self.relays.retain(|relay| relay.socket != socket);
                    assert_eq!(self.relays.len() + 1, before, "a socket is closed once");
                }
                TurnEvent::Ask { id, .. } => self.server.handle_server_answer(self.now, id, Answer::nothing()),
                TurnEvent::Connect { id, socket, .. } => {
                    assert!(self.relays.iter().any(|relay| relay.socket == socket), "it comes from a relayed address");
                    self.connections.insert(id, Connection::Connecting);
                }
                TurnEvent::Splice { flow, connection, carried } => {
                    let before = self.connections.insert(connection, Connection::Spliced(carried));
                    assert!(matches!(before, Some(Connection::Waiting)), "both are there");
                    self.server.handle_flow_opened(self.now, flow, address_of(flow.0 as u8), ClientTransport::Tcp);
                }
                TurnEvent::CloseConnection(id) => {
                    assert!(self.connections.remove(&id).is_some(), "a connection is closed once");
                }
                TurnEvent::CloseFlow(_) | TurnEvent::Ended(_) => {}
            }
        }
        let mut storage = [0; 1500];
        let mut packet = PacketBuf::empty(&mut storage, 0);
        while self.server.poll_transmit(self.now, &mut packet).is_some() {
            let answer = Message::parse(packet.as_slice()).expect("what the server sends is STUN");
            self.keep_ticket(&answer);
        }
    }

    fn bind(&mut self, family: Family) -> RelaySocket {
        self.next_socket += 1;
        let port = self.next_socket as u16;
        let address = match family {
            Family::V4 => SocketAddr::from(([192, 0, 2, 9], port)),
            Family::V6 => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 9], port)),
        };
        RelaySocket { socket: SocketId(self.next_socket), address }
    }

    fn check(&self) {
        let stats = self.server.stats();
        assert!(stats.allocations <= MAX_ALLOCATIONS, "{stats:?}");
        assert!(stats.connections <= MAX_ALLOCATIONS * MAX_CONNECTIONS, "{stats:?}");
        assert_eq!(stats.connections, self.connections.len(), "every connection has its allocation");
        let sockets: usize = self.server.allocations(self.now).map(|allocation| allocation.relayed.len()).sum();
        assert_eq!(sockets + stats.reservations, self.relays.len(), "every socket has its owner");
    }
}

fn address_of(client: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, client], 4000))
}

/// The bytes of a step: as many as the first one says.
fn take(rest: &[u8]) -> (&[u8], &[u8]) {
    let Some((len, rest)) = rest.split_first() else { return (&[], &[]) };
    rest.split_at(rest.len().min(usize::from(*len)))
}
