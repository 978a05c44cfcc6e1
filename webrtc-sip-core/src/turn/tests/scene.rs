//! One server, its sockets, and clients that speak the wire format.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

use crate::crypto::CryptoProvider;
use crate::ids::RequestId;
use crate::io::{FlowId, PacketBuf, SocketId, Transmit};
use crate::net::IpNetwork;
use crate::stun::{
    Attribute, Class, IntegrityAlgorithm, Key, Message, MessageWriter, Method, PasswordAlgorithm, TransactionId,
    long_term_key,
};
use crate::turn::*;

pub(super) const LISTENER: SocketId = SocketId(1);
pub(super) const REALM: &str = "example.org";
/// What the wall clock says at the start.
pub(super) const START: u64 = 1_700_000_000;

pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(super) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) fn config() -> TurnConfig {
    TurnConfig {
        listeners: vec![Listener { socket: LISTENER, address: address("192.0.2.1:3478") }],
        families: vec![Family::V4, Family::V6],
        tenants: Tenants::from(Tenant {
            realm: REALM.to_owned(),
            users: vec![("alice".to_owned(), "wonder".to_owned()), ("bob".to_owned(), "builder".to_owned())],
            secrets: vec!["old secret".to_owned(), "new secret".to_owned()],
            ..Tenant::default()
        }),
        nonce_key: [7; 32],
        peers: PeerPolicy {
            allow: vec![
                IpNetwork { address: "203.0.113.0".parse().unwrap(), prefix_len: 24 },
                IpNetwork { address: "2001:db8::".parse().unwrap(), prefix_len: 32 },
            ],
            ..PeerPolicy::default()
        },
        ..TurnConfig::default()
    }
}

/// A response, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Response(pub(super) Vec<u8>);

impl Response {
    pub(super) fn message(&self) -> Message<'_> {
        Message::parse(&self.0).unwrap()
    }

    /// 200 for success.
    pub(super) fn code(&self) -> u16 {
        match self.message().class() {
            Class::Success => 200,
            _ => self.message().error_code().unwrap().0,
        }
    }

    pub(super) fn text(&self, attribute: Attribute) -> String {
        String::from_utf8(self.message().get(attribute).unwrap().to_vec()).unwrap()
    }

    pub(super) fn relayed(&self) -> SocketAddr {
        self.message().xor_address(Attribute::XOR_RELAYED_ADDRESS).unwrap().unwrap()
    }

    pub(super) fn ticket(&self) -> Vec<u8> {
        self.message().get(Attribute::MOBILITY_TICKET).expect("there is a ticket").to_vec()
    }

    pub(super) fn lifetime(&self) -> u32 {
        u32::from_be_bytes(self.message().get(Attribute::LIFETIME).unwrap().try_into().unwrap())
    }
}

pub(super) struct Scene {
    /// The server that clients' packets reach.
    pub(super) server: TurnServer,
    /// Its neighbours, by number.
    others: BTreeMap<u8, TurnServer>,
    here: u8,
    /// Whether answers of neighbours get lost.
    pub(super) loses_answers: bool,
    pub(super) now: Instant,
    pub(super) events: Vec<TurnEvent>,
    /// Sockets that are open for relaying, with their addresses.
    pub(super) relays: Vec<RelaySocket>,
    /// Whether the owner can bind sockets.
    pub(super) binds: bool,
    next_port: u16,
    next_transaction: u64,
}

/// Who sends, and with which credentials.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) path: Path,
    pub(super) realm: String,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) nonce: String,
    pub(super) algorithm: IntegrityAlgorithm,
    pub(super) password_algorithm: Option<PasswordAlgorithm>,
    /// In place of the one that the password gives.
    pub(super) mac_key: Option<Key>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Path {
    Udp(SocketAddr),
    /// At another socket than the usual one.
    UdpAt(SocketId, SocketAddr),
    Flow(FlowId),
}

impl Client {
    pub(super) fn udp(from: &str, user: &str, password: &str) -> Self {
        Client {
            path: Path::Udp(address(from)),
            realm: REALM.to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
            nonce: String::new(),
            algorithm: IntegrityAlgorithm::Sha1,
            password_algorithm: None,
            mac_key: None,
        }
    }

    pub(super) fn alice() -> Self {
        Self::udp("198.51.100.7:4000", "alice", "wonder")
    }

    /// The relayed address of this client's allocation.
    pub(super) fn relayed(&self, scene: &Scene) -> Option<SocketAddr> {
        let mut allocations = scene.server.allocations(scene.now);
        allocations.find(|allocation| *allocation.user == *self.user).map(|allocation| allocation.relayed[0])
    }

    pub(super) fn key(&self) -> Key {
        let algorithm = self.password_algorithm.unwrap_or(PasswordAlgorithm::Md5);
        let of_password = || long_term_key(algorithm, &self.user, &self.realm, &self.password);
        self.mac_key.clone().unwrap_or_else(of_password)
    }
}

/// Attributes of a request in order.
pub(super) type Attributes<'a> = &'a [(Attribute, &'a [u8])];

pub(super) const UDP: (Attribute, &[u8]) = (Attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);

impl Scene {
    pub(super) fn new(config: TurnConfig) -> Self {
        Self::with_servers(config, 1)
    }

    /// Several servers with this configuration, which count together; clients' packets reach the first one.
    pub(super) fn with_servers(config: TurnConfig, count: u8) -> Self {
        let now = Instant::now();
        let ledger = Ledger::new(now, &CryptoProvider::seeded(&[2; 32]));
        let server = |number: u8| {
            let config = TurnConfig { server_number: number, ..config.clone() };
            let crypto = CryptoProvider::seeded(&[3 + number; 32]);
            TurnServer::new(now, UNIX_EPOCH + seconds(START), config, crypto).counting_in(ledger.clone())
        };
        Scene {
            server: server(0),
            others: (1..count).map(|number| (number, server(number))).collect(),
            here: 0,
            loses_answers: false,
            now,
            events: Vec::new(),
            relays: Vec::new(),
            binds: true,
            next_port: 50_000,
            next_transaction: 0,
        }
    }

    /// From now on clients' packets reach the server of this number.
    pub(super) fn go_to(&mut self, number: u8) {
        if let Some(server) = self.others.remove(&number) {
            self.others.insert(self.here, std::mem::replace(&mut self.server, server));
            self.here = number;
        }
    }

    /// What this gives for each server, in the order of their numbers.
    pub(super) fn each<T>(&self, get: impl Fn(&TurnServer) -> T) -> Vec<T> {
        let mut all: BTreeMap<u8, T> = self.others.iter().map(|(number, server)| (*number, get(server))).collect();
        all.insert(self.here, get(&self.server));
        all.into_values().collect()
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        let here = self.here;
        let away: Vec<u8> = self.others.keys().copied().collect();
        for number in away.into_iter().chain([here]) {
            self.go_to(number);
            while self.server.poll_timeout().is_some_and(|due| due <= self.now) {
                self.server.handle_timeout(self.now);
            }
            self.serve();
        }
    }

    pub(super) fn transaction(&mut self) -> TransactionId {
        self.next_transaction += 1;
        let mut id = [0; 12];
        id[4..].copy_from_slice(&self.next_transaction.to_be_bytes());
        TransactionId(id)
    }

    /// Hands bytes to the server; what it answers at once, and where.
    pub(super) fn send(&mut self, path: Path, bytes: &[u8]) -> Option<(Transmit, Vec<u8>)> {
        let mut slot = vec![0; HEADROOM + bytes.len() + 512];
        slot[HEADROOM..HEADROOM + bytes.len()].copy_from_slice(bytes);
        let mut packet = PacketBuf::filled(&mut slot, HEADROOM, bytes.len());
        let transmit = match path {
            Path::Udp(source) => self.server.handle_datagram(self.now, LISTENER, source, &mut packet),
            Path::UdpAt(socket, source) => self.server.handle_datagram(self.now, socket, source, &mut packet),
            Path::Flow(flow) => self.server.handle_frame(self.now, flow, &mut packet),
        };
        transmit.map(|transmit| (transmit, packet.as_slice().to_vec()))
    }

    /// Hands bytes to the server; what comes of them, at once or when another server has answered.
    pub(super) fn deliver(&mut self, path: Path, bytes: &[u8]) -> Option<(Transmit, Vec<u8>)> {
        let now = self.send(path, bytes);
        self.serve();
        now.or_else(|| self.poll())
    }

    /// What the server has to send.
    pub(super) fn poll(&mut self) -> Option<(Transmit, Vec<u8>)> {
        let mut slot = [0; 1500];
        let mut packet = PacketBuf::empty(&mut slot, 0);
        let transmit = self.server.poll_transmit(self.now, &mut packet)?;
        Some((transmit, packet.as_slice().to_vec()))
    }

    /// From now on packets reach the server that has this relayed address.
    pub(super) fn go_to_relay(&mut self, relayed: SocketAddr) {
        let has = |server: &TurnServer| server.allocations(self.now).any(|it| it.relayed.contains(&relayed));
        let number = self.each(has).iter().position(|has| *has).expect("somebody has it");
        self.go_to(number as u8);
    }

    /// A datagram from a peer at a relayed address.
    pub(super) fn peer_sends(&mut self, relayed: SocketAddr, peer: &str, bytes: &[u8]) -> Option<(Transmit, Vec<u8>)> {
        let socket = self.relays.iter().find(|relay| relay.address == relayed).expect("it is open").socket;
        let mut slot = vec![0; HEADROOM + bytes.len() + 512];
        slot[HEADROOM..HEADROOM + bytes.len()].copy_from_slice(bytes);
        let mut packet = PacketBuf::filled(&mut slot, HEADROOM, bytes.len());
        let transmit = self.server.handle_datagram(self.now, socket, address(peer), &mut packet);
        transmit.map(|transmit| (transmit, packet.as_slice().to_vec()))
    }

    /// Binds what is asked for, and keeps events.
    pub(super) fn serve(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match &event {
                TurnEvent::Request { id, bind } => {
                    let sockets = if self.binds { self.bind(bind) } else { Vec::new() };
                    self.server.handle_answer(self.now, *id, &sockets);
                }
                TurnEvent::Ask { .. } => {}
                TurnEvent::CloseSocket(socket) => self.relays.retain(|relay| relay.socket != *socket),
                _ => {}
            }
            match event {
                TurnEvent::Ask { id, server, question } => self.ask(id, server, question),
                event => self.events.push(event),
            }
        }
    }

    /// Brings a question to another server and the answer back, with sockets that get new numbers on the way.
    fn ask(&mut self, id: RequestId, server: u8, question: Question) {
        let Some(other) = self.others.get_mut(&server) else {
            return self.server.handle_server_answer(self.now, id, Answer::nothing());
        };
        let mut answer = other.handle_question(self.now, question);
        if self.loses_answers {
            other.handle_undelivered(self.now, answer);
            return self.server.handle_server_answer(self.now, id, Answer::nothing());
        }
        for moved in answer.sockets_mut() {
            let relay = self.relays.iter_mut().find(|relay| relay.socket == moved.socket).expect("it is open");
            relay.socket.0 += 100_000;
            moved.socket = relay.socket;
        }
        self.server.handle_server_answer(self.now, id, answer);
    }

    fn bind(&mut self, bind: &BindRelay) -> Vec<RelaySocket> {
        let mut sockets = Vec::new();
        for family in &bind.families {
            let ip = match family {
                Family::V4 => "192.0.2.9".parse().unwrap(),
                Family::V6 => "2001:db8:ff::9".parse().unwrap(),
            };
            let ports = if bind.port == RelayPort::Pair { 2 } else { 1 };
            for _ in 0..ports {
                let address = SocketAddr::new(ip, self.next_port);
                sockets.push(RelaySocket { socket: SocketId(u32::from(self.next_port)), address });
                self.next_port += 1;
            }
        }
        self.relays.extend_from_slice(&sockets);
        sockets
    }

    /// A message with credentials where the client has a nonce.
    pub(super) fn encode(
        &mut self,
        client: &Client,
        method: Method,
        attributes: Attributes<'_>,
        transaction: TransactionId,
    ) -> Vec<u8> {
        let mut slot = [0; 1500];
        let mut packet = PacketBuf::empty(&mut slot, 0);
        let mut writer = MessageWriter::new(&mut packet, Class::Request, method, transaction).unwrap();
        for (attribute, value) in attributes {
            writer.put(*attribute, value).unwrap();
        }
        if !client.nonce.is_empty() {
            writer.put_text(Attribute::USERNAME, &client.user).unwrap();
            writer.put_text(Attribute::REALM, &client.realm).unwrap();
            writer.put_text(Attribute::NONCE, &client.nonce).unwrap();
            if let Some(algorithm) = client.password_algorithm {
                writer.put(Attribute::PASSWORD_ALGORITHMS, &[0, 2, 0, 0, 0, 1, 0, 0]).unwrap();
                writer.put(Attribute::PASSWORD_ALGORITHM, &[0, algorithm.number() as u8, 0, 0]).unwrap();
            }
            writer.sign(client.algorithm, &client.key()).unwrap();
        }
        packet.as_slice().to_vec()
    }

    /// Sends these bytes as a request and returns the answer, whether it comes at once or after a socket was bound.
    pub(super) fn exchange(&mut self, path: Path, bytes: &[u8]) -> Option<Response> {
        self.deliver(path, bytes).map(|(_, answer)| Response(answer))
    }

    /// A request and its answer, once.
    pub(super) fn once(&mut self, client: &Client, method: Method, attributes: Attributes<'_>) -> Response {
        let transaction = self.transaction();
        let bytes = self.encode(client, method, attributes, transaction);
        self.exchange(client.path, &bytes).expect("there is an answer")
    }

    /// A request and its answer; takes a nonce first, or a new one.
    pub(super) fn request(&mut self, client: &mut Client, method: Method, attributes: Attributes<'_>) -> Response {
        let response = self.once(client, method, attributes);
        if !matches!(response.code(), 401 | 438) || response.message().get(Attribute::NONCE).is_none() {
            return response;
        }
        client.nonce = response.text(Attribute::NONCE);
        self.once(client, method, attributes)
    }

    /// Allocates; the relayed address.
    pub(super) fn allocate(&mut self, client: &mut Client) -> SocketAddr {
        let response = self.request(client, Method::ALLOCATE, &[UDP]);
        assert_eq!(response.code(), 200);
        response.relayed()
    }

    /// Installs a permission.
    pub(super) fn permit(&mut self, client: &mut Client, peer: &str) -> Response {
        let peer = xor_address(address(peer));
        self.request(client, Method::CREATE_PERMISSION, &[(Attribute::XOR_PEER_ADDRESS, &peer)])
    }

    /// Binds a channel.
    pub(super) fn bind_channel(&mut self, client: &mut Client, number: u16, peer: &str) -> Response {
        let [high, low] = number.to_be_bytes();
        let peer = xor_address(address(peer));
        let attributes = [(Attribute::CHANNEL_NUMBER, &[high, low, 0, 0][..]), (Attribute::XOR_PEER_ADDRESS, &peer)];
        self.request(client, Method::CHANNEL_BIND, &attributes)
    }

    pub(super) fn ended(&self) -> Vec<AllocationEnd> {
        let ended = self.events.iter().filter_map(|event| match event {
            TurnEvent::Ended(record) => Some(record.reason),
            _ => None,
        });
        ended.collect()
    }
}

/// Where a datagram goes.
pub(super) fn destination(transmit: Transmit) -> SocketAddr {
    match transmit {
        Transmit::Datagram { destination, .. } | Transmit::Unfragmented { destination, .. } => destination,
        Transmit::Stream(flow) => panic!("{flow:?}"),
    }
}

/// The value of XOR-PEER-ADDRESS for an IPv4 address (RFC 8489 section 14.2).
pub(super) fn xor_address(address: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(v4) = address else { panic!("IPv6 depends on the transaction") };
    let port = (v4.port() ^ 0x2112).to_be_bytes();
    let ip = (u32::from(*v4.ip()) ^ 0x2112_a442).to_be_bytes();
    [&[0, 1][..], &port, &ip].concat()
}

/// A request without credentials.
pub(super) fn bare(method: Method, attributes: Attributes<'_>, fingerprint: bool) -> Vec<u8> {
    let mut slot = [0; 4000];
    let mut packet = PacketBuf::empty(&mut slot, 0);
    let mut writer = MessageWriter::new(&mut packet, Class::Request, method, TransactionId([8; 12])).unwrap();
    for (attribute, value) in attributes {
        writer.put(*attribute, value).unwrap();
    }
    if fingerprint {
        writer.fingerprint().unwrap();
    }
    packet.as_slice().to_vec()
}

/// A Send indication.
pub(super) fn send_indication(peer: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut slot = vec![0; data.len() + 100];
    let mut packet = PacketBuf::empty(&mut slot, 0);
    let mut writer = MessageWriter::new(&mut packet, Class::Indication, Method::SEND, TransactionId([9; 12])).unwrap();
    writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, peer).unwrap();
    writer.put(Attribute::DATA, data).unwrap();
    packet.as_slice().to_vec()
}

/// ChannelData as it stands in a datagram.
pub(super) fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat()
}
