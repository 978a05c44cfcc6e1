//! A TURN client, over UDP or TCP, that waits for each answer.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use webrtc_sip_core::io::PacketBuf;
use webrtc_sip_core::stun::{
    Attribute, Class, IntegrityAlgorithm, Message, MessageWriter, Method, PasswordAlgorithm, TransactionId,
    long_term_key,
};
use webrtc_sip_core::turn::{ConnectionId, frame_len};

use super::PATIENCE;

/// REQUESTED-TRANSPORT of UDP (RFC 8656 section 18.8).
const UDP: u32 = 17 << 24;
/// The same of TCP (RFC 6062 section 4.1).
const TCP: u32 = 6 << 24;
const CHANNEL: u16 = 0x4001;
/// RFC 8489 section 6.2.1.
const RTO: Duration = Duration::from_millis(500);

enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

pub(crate) struct Client {
    link: Link,
    user: (String, String),
    origin: Option<&'static str>,
    /// Realm and nonce, once they are known.
    challenge: Option<(String, String)>,
    /// Where the server sent us.
    alternate: Option<SocketAddr>,
    transactions: u8,
}

impl Client {
    pub(crate) fn udp(server: SocketAddr) -> Self {
        Self::udp_from([127, 0, 0, 1].into(), server)
    }

    pub(crate) fn udp_from(ip: IpAddr, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).expect("there is a free port");
        socket.connect(server).expect("it is on this machine");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is a valid time");
        Self::new(Link::Udp(socket))
    }

    pub(crate) fn tcp(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is a valid time");
        Self::new(Link::Tcp(stream))
    }

    fn new(link: Link) -> Self {
        let user = ("alice".to_owned(), "wonder".to_owned());
        Client { link, user, origin: None, challenge: None, alternate: None, transactions: 0 }
    }

    pub(crate) fn user(mut self, name: &str, password: &str) -> Self {
        self.user = (name.to_owned(), password.to_owned());
        self
    }

    pub(crate) fn origin(mut self, origin: &'static str) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Asks for an allocation; the error code where it is refused to someone who has said who they are.
    pub(crate) fn allocate(&mut self) -> Result<(), u16> {
        self.allocate_with(&[]).map(drop)
    }

    /// The same with these attributes; the whole answer.
    pub(crate) fn allocate_with(&mut self, attributes: &[(Attribute, &[u8])]) -> Result<Vec<u8>, u16> {
        self.allocate_over(UDP, attributes)
    }

    /// Asks for a TCP allocation; its relayed address.
    pub(crate) fn allocate_tcp(&mut self) -> Result<SocketAddr, u16> {
        let answer = self.allocate_over(TCP, &[])?;
        let relayed = Message::parse(&answer).expect("it is a message").xor_address(Attribute::XOR_RELAYED_ADDRESS);
        Ok(relayed.expect("it is an address").expect("it is there"))
    }

    fn allocate_over(&mut self, transport: u32, attributes: &[(Attribute, &[u8])]) -> Result<Vec<u8>, u16> {
        let write = |writer: &mut MessageWriter<'_, '_>| {
            writer.put_u32(Attribute::REQUESTED_TRANSPORT, transport).expect("it fits");
            for (attribute, value) in attributes {
                writer.put(*attribute, value).expect("it fits");
            }
        };
        self.introduced_request(Method::ALLOCATE, write)
    }

    /// A request of somebody who hasn't said yet who they are; the answer to it where it succeeds.
    fn introduced_request(
        &mut self,
        method: Method,
        write: impl Fn(&mut MessageWriter<'_, '_>),
    ) -> Result<Vec<u8>, u16> {
        let answer = self.request(method, &write);
        let challenge = Message::parse(&answer).expect("it is a message");
        let text = |attribute| challenge.text(attribute).expect("it is text").map(str::to_owned);
        self.challenge = text(Attribute::REALM).zip(text(Attribute::NONCE));
        let answer = self.request(method, write);
        let message = Message::parse(&answer).expect("it is a message");
        self.alternate = message.address(Attribute::ALTERNATE_SERVER).expect("it is an address");
        outcome(&answer).map(|()| answer)
    }

    /// The server that the last refusal named (RFC 8489 section 14.15).
    pub(crate) fn alternate(&self) -> Option<SocketAddr> {
        self.alternate
    }

    pub(crate) fn permit(&mut self, peer: SocketAddr) -> Result<(), u16> {
        outcome(&self.request(Method::CREATE_PERMISSION, |writer| {
            writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, peer).expect("it fits");
        }))
    }

    /// Has the server connect to a peer.
    pub(crate) fn connect(&mut self, peer: SocketAddr) -> Result<ConnectionId, u16> {
        let answer = self.request(Method::CONNECT, |writer| {
            writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, peer).expect("it fits");
        });
        outcome(&answer).map(|()| connection_id(&Message::parse(&answer).expect("it is a message")))
    }

    /// The next peer that the server says has connected.
    pub(crate) fn attempt(&mut self) -> (SocketAddr, ConnectionId) {
        let bytes = self.read();
        let message = Message::parse(&bytes).expect("it is a message");
        assert_eq!((message.class(), message.method()), (Class::Indication, Method::CONNECTION_ATTEMPT));
        let peer = message.xor_address(Attribute::XOR_PEER_ADDRESS).expect("it is an address").expect("it is there");
        (peer, connection_id(&message))
    }

    /// Makes this connection the client's end of one with a peer.
    pub(crate) fn bind_connection(mut self, id: ConnectionId) -> Result<TcpStream, u16> {
        self.introduced_request(Method::CONNECTION_BIND, |writer| {
            writer.put_u32(Attribute::CONNECTION_ID, id.0).expect("it fits");
        })?;
        match self.link {
            Link::Tcp(stream) => Ok(stream),
            Link::Udp(_) => panic!("datagrams carry no connection"),
        }
    }

    /// Goes on at another place, where it shows its ticket: the next one, and the old place.
    pub(crate) fn move_to(&mut self, place: Client, ticket: &[u8]) -> Result<(Vec<u8>, Client), u16> {
        let link = std::mem::replace(&mut self.link, place.link);
        let old = Client { link, challenge: self.challenge.clone(), ..place };
        // Nonces are for one address.
        self.challenge = None;
        let answer = self.introduced_request(Method::REFRESH, |writer| {
            writer.put(Attribute::MOBILITY_TICKET, ticket).expect("it fits");
        })?;
        let next = Message::parse(&answer).expect("it is a message").get(Attribute::MOBILITY_TICKET);
        Ok((next.expect("there is a ticket").to_vec(), old))
    }

    /// Binds the channel that [`Self::send`] sends to.
    pub(crate) fn bind(&mut self, peer: SocketAddr) -> Result<(), u16> {
        let answer = self.request(Method::CHANNEL_BIND, |writer| {
            writer.put_u32(Attribute::CHANNEL_NUMBER, u32::from(CHANNEL) << 16).expect("it fits");
            writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, peer).expect("it fits");
        });
        outcome(&answer)
    }

    pub(crate) fn release(&mut self) -> Result<(), u16> {
        outcome(&self.request(Method::REFRESH, |writer| {
            writer.put_u32(Attribute::LIFETIME, 0).expect("it fits");
        }))
    }

    fn request(&mut self, method: Method, write: impl Fn(&mut MessageWriter<'_, '_>)) -> Vec<u8> {
        self.transactions += 1;
        let transaction = TransactionId([self.transactions; 12]);
        let mut slot = [0; 1000];
        let mut packet = PacketBuf::empty(&mut slot, 0);
        let mut writer = MessageWriter::new(&mut packet, Class::Request, method, transaction).expect("it fits");
        write(&mut writer);
        if let Some(origin) = self.origin {
            writer.put_text(Attribute::ORIGIN, origin).expect("it fits");
        }
        if let Some((realm, nonce)) = &self.challenge {
            let (name, password) = &self.user;
            for (attribute, text) in [(Attribute::USERNAME, name), (Attribute::REALM, realm), (Attribute::NONCE, nonce)]
            {
                writer.put_text(attribute, text).expect("it fits");
            }
            let key = long_term_key(PasswordAlgorithm::Md5, name, realm, password);
            writer.sign(IntegrityAlgorithm::Sha1, &key).expect("it fits");
        }
        self.write(packet.as_slice());
        self.read()
    }

    /// Sends to the peer.
    pub(crate) fn send(&mut self, data: &[u8]) {
        let mut frame = [&CHANNEL.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat();
        if matches!(self.link, Link::Tcp(_)) {
            frame.resize(frame.len().next_multiple_of(4), 0);
        }
        self.write(&frame);
    }

    /// Sends to the peer over UDP until it answers: it may not yet be ready for the first (RFC 8489 section 6.2.1).
    pub(crate) fn ask(&mut self, data: &[u8]) -> Vec<u8> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            self.send(data);
            let Link::Udp(socket) = &self.link else { panic!("TCP repeats by itself") };
            socket.set_read_timeout(Some(RTO)).expect("it is a valid time");
            let answered = socket.peek(&mut [0]).is_ok();
            socket.set_read_timeout(Some(PATIENCE)).expect("it is a valid time");
            if answered {
                return self.receive();
            }
        }
        panic!("no answer within {PATIENCE:?}");
    }

    /// Whether the server closes the connection, soon.
    pub(crate) fn is_closed(&mut self) -> bool {
        match &mut self.link {
            Link::Udp(_) => false,
            Link::Tcp(stream) => matches!(stream.read(&mut [0]), Ok(0)),
        }
    }

    /// What the peer sent next.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        let frame = self.read();
        let (head, data) = frame.split_at(4);
        assert_eq!(head[..2], CHANNEL.to_be_bytes());
        data[..usize::from(u16::from_be_bytes([head[2], head[3]]))].to_vec()
    }

    fn write(&mut self, bytes: &[u8]) {
        match &mut self.link {
            Link::Udp(socket) => assert_eq!(socket.send(bytes).expect("it is open"), bytes.len()),
            Link::Tcp(stream) => stream.write_all(bytes).expect("it is open"),
        }
    }

    fn read(&mut self) -> Vec<u8> {
        match &mut self.link {
            Link::Udp(socket) => {
                let mut bytes = vec![0; 2000];
                let len = socket.recv(&mut bytes).expect("an answer comes");
                bytes.truncate(len);
                bytes
            }
            Link::Tcp(stream) => {
                let mut bytes = vec![0; 4];
                stream.read_exact(&mut bytes).expect("an answer comes");
                let len = frame_len(&bytes).expect("it is a frame").expect("four bytes tell");
                bytes.resize(len, 0);
                stream.read_exact(&mut bytes[4..]).expect("the rest comes");
                bytes
            }
        }
    }
}

fn connection_id(message: &Message<'_>) -> ConnectionId {
    ConnectionId(message.u32(Attribute::CONNECTION_ID).expect("it is a number").expect("it is there"))
}

fn outcome(answer: &[u8]) -> Result<(), u16> {
    let message = Message::parse(answer).expect("it is a message");
    message.error_code().map_or(Ok(()), |(code, _)| Err(code))
}
