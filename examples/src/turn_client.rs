//! A TURN client as a state machine: it makes requests and understands what comes back, and leaves sockets and time to
//! whoever drives it. Enough to show a server at work; a real one repeats requests that are lost and refreshes what it has.

use std::fmt;
use std::net::SocketAddr;

use webrtc_sip_core::io::{NoRoom, PacketBuf};
use webrtc_sip_core::stun::{
    Attribute, Class, IntegrityAlgorithm, Message, MessageWriter, Method, PasswordAlgorithm, TransactionId,
    long_term_key,
};

/// UDP in REQUESTED-TRANSPORT (RFC 8656 section 18.8).
const UDP: u32 = 17 << 24;
/// The longest message that this client makes.
const MAX_LEN: usize = 1500;

/// A user of a TURN server.
#[derive(Debug)]
pub struct TurnClient {
    user: &'static str,
    password: &'static str,
    /// Realm and nonce, once the server has said them.
    challenge: Option<(String, String)>,
    transactions: u64,
}

/// What came from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Ask again: now the client knows realm and nonce.
    Challenge,
    /// There is an allocation with this relayed address.
    Relayed(SocketAddr),
    /// The request succeeded.
    Done,
    /// It was refused, with this code.
    Refused(u16),
    /// A peer sent this.
    Data(SocketAddr, Vec<u8>),
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Heard::Challenge => write!(f, "who are you?"),
            Heard::Relayed(address) => write!(f, "that {address} is relayed"),
            Heard::Done => write!(f, "done"),
            Heard::Refused(code) => write!(f, "no: {code}"),
            Heard::Data(peer, data) => write!(f, "from {peer}: {}", data.escape_ascii()),
        }
    }
}

impl TurnClient {
    /// With the credentials of a user.
    pub fn new(user: &'static str, password: &'static str) -> Self {
        TurnClient { user, password, challenge: None, transactions: 0 }
    }

    /// Asks for an allocation (RFC 8656 section 7.1).
    ///
    /// # Errors
    /// None as long as names are of usual lengths; the same goes for the other requests.
    pub fn allocate(&mut self) -> Result<Vec<u8>, NoRoom> {
        self.request(Method::ALLOCATE, |writer| writer.put_u32(Attribute::REQUESTED_TRANSPORT, UDP).map(drop))
    }

    /// Keeps the allocation for so many seconds from now; gives it back for 0.
    pub fn refresh(&mut self, seconds: u32) -> Result<Vec<u8>, NoRoom> {
        self.request(Method::REFRESH, |writer| writer.put_u32(Attribute::LIFETIME, seconds).map(drop))
    }

    /// Wants to hear this peer.
    pub fn permit(&mut self, peer: SocketAddr) -> Result<Vec<u8>, NoRoom> {
        self.request(Method::CREATE_PERMISSION, |writer| {
            writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, peer).map(drop)
        })
    }

    /// Sends data to a peer (RFC 8656 section 11.1).
    pub fn send(&mut self, peer: SocketAddr, data: &[u8]) -> Result<Vec<u8>, NoRoom> {
        self.message(Class::Indication, Method::SEND, |writer| {
            writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, peer)?.put(Attribute::DATA, data).map(drop)
        })
    }

    /// What the server's packet says. None for what this client has no use for.
    pub fn handle(&mut self, packet: &[u8]) -> Option<Heard> {
        let message = Message::parse(packet).ok()?;
        let text = |attribute| message.text(attribute).ok().flatten().map(str::to_owned);
        match (message.class(), message.method()) {
            (Class::Success, Method::ALLOCATE) => {
                Some(Heard::Relayed(message.xor_address(Attribute::XOR_RELAYED_ADDRESS).ok()??))
            }
            (Class::Success, _) => Some(Heard::Done),
            (Class::Error, _) => match message.error_code()? {
                // Stale nonces are answered in the same way (RFC 8489 section 9.2.5).
                (401, _) if self.challenge.is_some() => Some(Heard::Refused(401)),
                (401 | 438, _) => {
                    self.challenge = Some((text(Attribute::REALM)?, text(Attribute::NONCE)?));
                    Some(Heard::Challenge)
                }
                (code, _) => Some(Heard::Refused(code)),
            },
            (Class::Indication, Method::DATA) => {
                let peer = message.xor_address(Attribute::XOR_PEER_ADDRESS).ok()??;
                Some(Heard::Data(peer, message.get(Attribute::DATA)?.to_vec()))
            }
            _ => None,
        }
    }

    /// A request, signed as soon as the server has said what with (RFC 8489 section 9.2.3).
    fn request(
        &mut self,
        method: Method,
        write: impl FnOnce(&mut MessageWriter<'_, '_>) -> Result<(), NoRoom>,
    ) -> Result<Vec<u8>, NoRoom> {
        let (user, password, challenge) = (self.user, self.password, self.challenge.clone());
        self.message(Class::Request, method, |writer| {
            write(writer)?;
            let Some((realm, nonce)) = challenge else { return Ok(()) };
            writer.put_text(Attribute::USERNAME, user)?;
            writer.put_text(Attribute::REALM, &realm)?.put_text(Attribute::NONCE, &nonce)?;
            let key = long_term_key(PasswordAlgorithm::Md5, user, &realm, password);
            writer.sign(IntegrityAlgorithm::Sha1, &key).map(drop)
        })
    }

    fn message(
        &mut self,
        class: Class,
        method: Method,
        write: impl FnOnce(&mut MessageWriter<'_, '_>) -> Result<(), NoRoom>,
    ) -> Result<Vec<u8>, NoRoom> {
        self.transactions += 1;
        let mut transaction = [0; 12];
        transaction[4..].copy_from_slice(&self.transactions.to_be_bytes());
        let mut slot = [0; MAX_LEN];
        let mut packet = PacketBuf::empty(&mut slot, 0);
        write(&mut MessageWriter::new(&mut packet, class, method, TransactionId(transaction))?)?;
        Ok(packet.as_slice().to_vec())
    }
}
