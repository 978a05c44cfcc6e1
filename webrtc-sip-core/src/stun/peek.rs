//! Whom a STUN message of ICE is for, told without its key: for the demultiplexer of many legs on one socket.

use super::{Attribute, Class, Message, Method, TransactionId};

/// How the leg that a message is for can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A request for whoever has this local user name fragment (RFC 8445 section 7.2.2).
    Request {
        /// The part of USERNAME before the colon.
        local_ufrag: &'a str,
    },
    /// A response to the request with this transaction id.
    Response {
        /// As in the request.
        transaction: TransactionId,
    },
}

/// Finds out whom a connectivity check or its answer is for. Nothing is authenticated by that. Malformed messages, and
/// those that ICE has no use for, are none.
pub fn target(packet: &[u8]) -> Option<Target<'_>> {
    let message = Message::parse(packet).ok().filter(|message| message.method() == Method::BINDING)?;
    match message.class() {
        Class::Request => {
            let (local_ufrag, _) = message.text(Attribute::USERNAME).ok()??.split_once(':')?;
            Some(Target::Request { local_ufrag })
        }
        Class::Success | Class::Error => Some(Target::Response { transaction: message.transaction() }),
        Class::Indication => None,
    }
}

/// The transaction of a binding request that is about to be sent; None for every other packet.
pub fn request_transaction(packet: &[u8]) -> Option<TransactionId> {
    let message = Message::parse(packet).ok()?;
    ((message.class(), message.method()) == (Class::Request, Method::BINDING)).then(|| message.transaction())
}
