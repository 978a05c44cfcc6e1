//! TURN clients that make their allocations many at a time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use webrtc_sip_core::io::PacketBuf;
use webrtc_sip_core::stun::{
    Attribute, Class, IntegrityAlgorithm, Key, Message, MessageWriter, Method, PasswordAlgorithm, TransactionId,
    long_term_key,
};
use webrtc_sip_core::turn::frame_len;

use super::server::{PASSWORD, REALM, USER};
use super::{VOICE_BYTES, bind_loopback};
use crate::signalling::trusting_config;

/// Clients that do each step together, so that the server always has something to do.
const AT_ONCE: usize = 50;
const PATIENCE: Duration = Duration::from_secs(10);
/// Lifetime of an allocation, in seconds: longer than any run.
const LIFETIME: u32 = 3600;
/// REQUESTED-TRANSPORT of UDP (RFC 8656 section 18.8).
const UDP: u32 = 17 << 24;
const CHANNEL: u16 = 0x4001;

/// How clients reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A connection.
    Tcp,
    /// An encrypted connection.
    Tls,
}

enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// A client with an allocation and a channel to its peer.
pub struct Client {
    link: Link,
    challenge: Option<(String, String)>,
    key: Option<Key>,
    transactions: u32,
    relayed: Option<SocketAddr>,
}

/// Makes `count` clients whose channels all reach `peer`, each step of [`AT_ONCE`] of them at a time.
pub fn allocate(server: SocketAddr, transport: Transport, count: usize, peer: SocketAddr) -> Vec<Client> {
    let tls = Arc::new(trusting_config());
    let mut clients: Vec<Client> = Vec::with_capacity(count);
    while clients.len() < count {
        let some = AT_ONCE.min(count - clients.len());
        let mut some: Vec<Client> = (0..some).map(|_| Client::connect(server, transport, &tls)).collect();
        some.iter_mut().for_each(Client::ask_allocation);
        some.iter_mut().for_each(Client::take_challenge);
        some.iter_mut().for_each(Client::ask_allocation);
        some.iter_mut().for_each(Client::take_allocation);
        some.iter_mut().for_each(|client| client.ask_channel(peer));
        some.iter_mut().for_each(Client::take_channel);
        clients.extend(some);
    }
    clients
}

/// A packet of voice as a client sends it through its channel.
pub fn voice_in_channel() -> Vec<u8> {
    [&CHANNEL.to_be_bytes()[..], &(VOICE_BYTES as u16).to_be_bytes(), &[0x5a; VOICE_BYTES]].concat()
}

impl Client {
    fn connect(server: SocketAddr, transport: Transport, tls: &Arc<ClientConfig>) -> Self {
        let tcp = || {
            let stream = TcpStream::connect(server).expect("the server listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("it is a valid time");
            stream.set_nodelay(true).expect("it is a connection");
            stream
        };
        let link = match transport {
            Transport::Udp => {
                let socket = bind_loopback();
                socket.set_nonblocking(false).expect("it is a socket");
                socket.set_read_timeout(Some(PATIENCE)).expect("it is a valid time");
                socket.connect(server).expect("it is on this machine");
                Link::Udp(socket)
            }
            Transport::Tcp => Link::Tcp(tcp()),
            Transport::Tls => {
                let name = "localhost".try_into().expect("it is a name");
                let connection = ClientConnection::new(Arc::clone(tls), name).expect("the settings are valid");
                Link::Tls(Box::new(StreamOwned::new(connection, tcp())))
            }
        };
        Client { link, challenge: None, key: None, transactions: 0, relayed: None }
    }

    /// The socket of a client over UDP, which doesn't block from now on, and its relayed address.
    pub fn into_path(self) -> (UdpSocket, SocketAddr) {
        let Link::Udp(socket) = self.link else { panic!("only datagrams are paced") };
        socket.set_nonblocking(true).expect("it is a socket");
        (socket, self.relayed.expect("it has an allocation"))
    }

    fn ask_allocation(&mut self) {
        self.ask(Method::ALLOCATE, |writer| {
            writer.put_u32(Attribute::REQUESTED_TRANSPORT, UDP).expect("it fits");
            writer.put_u32(Attribute::LIFETIME, LIFETIME).expect("it fits");
        });
    }

    /// The first request is refused, and the refusal says what the next one needs.
    fn take_challenge(&mut self) {
        let answer = self.read();
        let message = Message::parse(&answer).expect("the server sends STUN");
        let text = |attribute| message.text(attribute).ok().flatten().map(str::to_owned);
        self.challenge = text(Attribute::REALM).zip(text(Attribute::NONCE));
        assert!(self.challenge.is_some(), "no challenge but {:?}", message.error_code());
        self.key = Some(long_term_key(PasswordAlgorithm::Md5, USER, REALM, PASSWORD));
    }

    fn take_allocation(&mut self) {
        let answer = self.read();
        let message = Message::parse(&answer).expect("the server sends STUN");
        assert_eq!(message.class(), Class::Success, "no allocation but {:?}", message.error_code());
        self.relayed = message.xor_address(Attribute::XOR_RELAYED_ADDRESS).expect("it is an address");
    }

    fn ask_channel(&mut self, peer: SocketAddr) {
        self.ask(Method::CHANNEL_BIND, |writer| {
            writer.put_u32(Attribute::CHANNEL_NUMBER, u32::from(CHANNEL) << 16).expect("it fits");
            writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, peer).expect("it fits");
        });
    }

    fn take_channel(&mut self) {
        let answer = self.read();
        let message = Message::parse(&answer).expect("the server sends STUN");
        assert_eq!(message.class(), Class::Success, "no channel but {:?}", message.error_code());
    }

    fn ask(&mut self, method: Method, write: impl Fn(&mut MessageWriter<'_, '_>)) {
        self.transactions += 1;
        let mut transaction = [0; 12];
        transaction[8..].copy_from_slice(&self.transactions.to_be_bytes());
        let mut slot = [0; 1000];
        let mut packet = PacketBuf::empty(&mut slot, 0);
        let mut writer =
            MessageWriter::new(&mut packet, Class::Request, method, TransactionId(transaction)).expect("it fits");
        write(&mut writer);
        if let (Some((realm, nonce)), Some(key)) = (&self.challenge, &self.key) {
            for (attribute, text) in [(Attribute::USERNAME, USER), (Attribute::REALM, realm), (Attribute::NONCE, nonce)]
            {
                writer.put_text(attribute, text).expect("it fits");
            }
            writer.sign(IntegrityAlgorithm::Sha1, key).expect("it fits");
        }
        let sent = match &mut self.link {
            Link::Udp(socket) => socket.send(packet.as_slice()).map(drop),
            Link::Tcp(stream) => stream.write_all(packet.as_slice()),
            Link::Tls(stream) => stream.write_all(packet.as_slice()),
        };
        sent.expect("the server listens");
    }

    fn read(&mut self) -> Vec<u8> {
        let stream: &mut dyn Read = match &mut self.link {
            Link::Udp(socket) => {
                let mut bytes = vec![0; 2000];
                let len = socket.recv(&mut bytes).expect("the server answers");
                bytes.truncate(len);
                return bytes;
            }
            Link::Tcp(stream) => stream,
            Link::Tls(stream) => stream,
        };
        let mut bytes = vec![0; 4];
        stream.read_exact(&mut bytes).expect("the server answers");
        let len = frame_len(&bytes).expect("it is a frame").expect("four bytes tell");
        bytes.resize(len, 0);
        stream.read_exact(&mut bytes[4..]).expect("the rest comes");
        bytes
    }
}
