//! STUN messages (RFC 8489), with the attributes of TURN (RFC 8656, 6062, 8016), of NAT behaviour discovery (RFC 5780) and
//! of third-party authorization (RFC 7635).
//!
//! [`Message`] is a checked view of bytes from the wire and [`MessageWriter`] appends a message to a packet; neither
//! allocates. Integrity and password hash are separate choices ([`IntegrityAlgorithm`], [`PasswordAlgorithm`]), because a
//! long-term credential hashed by MD5 may protect a message by SHA-256 (RFC 8489 section 9.2.4), and a [`Key`] may come from
//! elsewhere. What a method means, transactions and retransmission are for the user.
//!
//! Numbers are as on the wire: lifetimes in seconds, ports and lengths in bytes and in host order. Addresses come out in
//! the family that the wire has: an IPv4-mapped IPv6 address stays one.
//!
//! ```
//! use webrtc_sip_core::io::PacketBuf;
//! use webrtc_sip_core::stun::{Attribute, Class, Message, MessageWriter, Method, TransactionId};
//!
//! let (mut request, mut response) = ([0; 64], [0; 64]);
//! let mut packet = PacketBuf::empty(&mut request, 0);
//! MessageWriter::new(&mut packet, Class::Request, Method::BINDING, TransactionId([7; 12]))?.fingerprint()?;
//!
//! let request = Message::parse(packet.as_slice())?;
//! assert_eq!(request.fingerprint(), Some(true));
//! let mut answer = PacketBuf::empty(&mut response, 0);
//! MessageWriter::new(&mut answer, Class::Success, request.method(), request.transaction())?
//!     .put_xor_address(Attribute::XOR_MAPPED_ADDRESS, "192.0.2.1:40000".parse()?)?
//!     .fingerprint()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod attribute;
mod header;
mod integrity;
mod key;
mod message;
pub mod peek;
#[cfg(test)]
mod tests;
mod writer;

pub use attribute::Attribute;
pub use header::{Class, Method, TransactionId};
pub use integrity::IntegrityAlgorithm;
pub use key::{Key, PasswordAlgorithm, long_term_key};
pub use message::Message;
pub use writer::MessageWriter;

/// Why bytes are no STUN message, or an attribute isn't what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StunError {
    /// Too short, or without the two zero bits or the magic cookie (RFC 8489 section 5).
    #[error("not a STUN message")]
    NotStun,
    /// The header's length isn't that of the attributes, or no multiple of four.
    #[error("the length in the header is wrong")]
    Length,
    /// An attribute reaches past the end of the message.
    #[error("an attribute reaches past the end of the message")]
    Truncated,
    /// FINGERPRINT isn't the last attribute (RFC 8489 section 14.7).
    #[error("an attribute follows FINGERPRINT")]
    AfterFingerprint,
    /// The value of this attribute has a length or content that it can't have.
    #[error("the value of {0:?} is invalid")]
    Value(Attribute),
}
