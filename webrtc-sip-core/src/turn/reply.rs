//! What is answered to a request, and how that is written.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::io::{DropReason, NoRoom, PacketBuf};
use crate::stun::{Attribute, Class, IntegrityAlgorithm, Key, Message, MessageWriter, Method, TransactionId};

use super::auth::PASSWORD_ALGORITHMS;
use super::connection::ConnectionId;
use super::ticket::SealedTicket;
use super::{Family, HEADROOM};

/// How many times as long as an unauthenticated datagram its answer may be, so that a flood under a false address does
/// little harm to the owner of that address.
pub const MAX_AMPLIFICATION: usize = 5;
/// Longest realm with which the shortest Allocate request, of 28 bytes, can still be answered. Where tokens are taken, the
/// name that they are for and 4 bytes more have to fit as well, both padded to a multiple of four.
pub const MAX_REALM_LEN: usize = 60;

/// A response, or an indication, before it is written.
#[derive(Debug)]
pub(super) struct Reply {
    method: Method,
    transaction: TransactionId,
    /// The request had a FINGERPRINT, so the client tells packets apart by it (RFC 8489 section 7).
    fingerprint: bool,
    /// What it is signed with.
    signature: Option<(IntegrityAlgorithm, Key)>,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    Failure(Failure),
    /// Binding: the client's address, and where it asked for that at a server with several addresses.
    Mapped(SocketAddr, Option<Box<Discovered>>),
    Allocated(Box<Allocated>),
    /// Refresh, with the next ticket where one was shown.
    Refreshed(Duration, Option<SealedTicket>),
    /// Connect.
    Connected(ConnectionId),
    /// The indication ConnectionAttempt.
    Attempted {
        id: ConnectionId,
        peer: SocketAddr,
    },
    /// Nothing but the fact.
    Done,
}

/// What a client that finds out how its NAT behaves is told besides (RFC 5780 section 6.1).
#[derive(Debug)]
pub(super) struct Discovered {
    pub(super) origin: SocketAddr,
    pub(super) other: SocketAddr,
    /// Length of PADDING, where it was wanted.
    pub(super) padding: Option<usize>,
}

/// An error (RFC 8656 section 19, RFC 8016 section 3.4).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: Code,
    /// With 401 and 438.
    pub(super) challenge: Option<Box<Challenge>>,
    /// With 420.
    pub(super) unknown: SmallVec<[Attribute; 8]>,
    /// With 300.
    pub(super) alternate: Option<SocketAddr>,
}

/// What credentials are needed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) realm: Arc<str>,
    pub(super) nonce: String,
    /// For THIRD-PARTY-AUTHORIZATION (RFC 7635 section 6.1).
    pub(super) server_name: Option<Arc<str>>,
}

/// What an Allocate request brought.
#[derive(Debug)]
pub(super) struct Allocated {
    pub(super) relayed: SmallVec<[SocketAddr; 2]>,
    /// The family that was asked for besides, and why it can't be had.
    pub(super) failed: Option<(Family, Code)>,
    pub(super) mapped: SocketAddr,
    pub(super) lifetime: Duration,
    pub(super) reservation: Option<[u8; 8]>,
    pub(super) ticket: Option<SealedTicket>,
}

/// Error codes with their reason phrases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    TryAlternate,
    BadRequest,
    Unauthenticated,
    Forbidden,
    MobilityForbidden,
    UnknownAttribute,
    AllocationMismatch,
    StaleNonce,
    FamilyNotSupported,
    WrongCredentials,
    TransportNotSupported,
    PeerFamilyMismatch,
    ConnectionAlreadyExists,
    ConnectionFailed,
    QuotaReached,
    InsufficientCapacity,
}

/// The codes of the errors that a server answers with, in ascending order.
pub const ERROR_CODES: [u16; Code::ALL.len()] = {
    let mut codes = [0; Code::ALL.len()];
    let mut index = 0;
    while index < codes.len() {
        codes[index] = Code::ALL[index].row().0;
        index += 1;
    }
    codes
};

impl Code {
    const ALL: [Code; 16] = [
        Code::TryAlternate,
        Code::BadRequest,
        Code::Unauthenticated,
        Code::Forbidden,
        Code::MobilityForbidden,
        Code::UnknownAttribute,
        Code::AllocationMismatch,
        Code::StaleNonce,
        Code::FamilyNotSupported,
        Code::WrongCredentials,
        Code::TransportNotSupported,
        Code::PeerFamilyMismatch,
        Code::ConnectionAlreadyExists,
        Code::ConnectionFailed,
        Code::QuotaReached,
        Code::InsufficientCapacity,
    ];

    const fn row(self) -> (u16, &'static str) {
        match self {
            Code::TryAlternate => (300, "Try Alternate"),
            Code::BadRequest => (400, "Bad Request"),
            Code::Unauthenticated => (401, "Unauthenticated"),
            Code::Forbidden => (403, "Forbidden"),
            Code::MobilityForbidden => (405, "Mobility Forbidden"),
            Code::UnknownAttribute => (420, "Unknown Attribute"),
            Code::AllocationMismatch => (437, "Allocation Mismatch"),
            Code::StaleNonce => (438, "Stale Nonce"),
            Code::FamilyNotSupported => (440, "Address Family not Supported"),
            Code::WrongCredentials => (441, "Wrong Credentials"),
            Code::TransportNotSupported => (442, "Unsupported Transport Protocol"),
            Code::PeerFamilyMismatch => (443, "Peer Address Family Mismatch"),
            Code::ConnectionAlreadyExists => (446, "Connection Already Exists"),
            Code::ConnectionFailed => (447, "Connection Timeout or Failure"),
            Code::QuotaReached => (486, "Allocation Quota Reached"),
            Code::InsufficientCapacity => (508, "Insufficient Capacity"),
        }
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Failure { code, challenge: None, unknown: SmallVec::new(), alternate: None }
    }
}

impl Reply {
    /// The answer to `request`, not signed.
    pub(super) fn to(request: &Message<'_>, body: Body) -> Self {
        Reply {
            method: request.method(),
            transaction: request.transaction(),
            fingerprint: request.fingerprint().is_some(),
            signature: None,
            body,
        }
    }

    /// A message that answers nothing, and is not signed.
    pub(super) fn indication(method: Method, transaction: TransactionId, body: Body) -> Self {
        Reply { method, transaction, fingerprint: false, signature: None, body }
    }

    /// The same, signed.
    pub(super) fn signed(self, signature: (IntegrityAlgorithm, Key)) -> Self {
        Reply { signature: Some(signature), ..self }
    }

    pub(super) fn is_success(&self) -> bool {
        !matches!(self.body, Body::Failure(_))
    }

    /// Which of [`ERROR_CODES`] it says, if any.
    pub(super) fn error_index(&self) -> Option<usize> {
        match &self.body {
            Body::Failure(failure) => Code::ALL.iter().position(|code| *code == failure.code),
            _ => None,
        }
    }

    pub(super) fn is_signed(&self) -> bool {
        self.signature.is_some()
    }

    /// Puts the message into `out`, in no more than `limit` bytes: without what isn't needed where that is too long, and
    /// not at all where the rest still is.
    pub(super) fn write_within(&self, limit: usize, out: &mut PacketBuf<'_>) -> Result<(), DropReason> {
        for detail in [Detail::Full, Detail::Needed] {
            out.clear(HEADROOM);
            self.write_as(detail, out).map_err(|_| DropReason::NoRoom)?;
            if out.len() <= limit {
                return Ok(());
            }
        }
        Err(DropReason::Amplifying)
    }

    /// Appends the message to `out`.
    pub(super) fn write(&self, out: &mut PacketBuf<'_>) -> Result<(), NoRoom> {
        self.write_as(Detail::Full, out)
    }

    fn write_as(&self, detail: Detail, out: &mut PacketBuf<'_>) -> Result<(), NoRoom> {
        let class = match self.body {
            Body::Failure(_) => Class::Error,
            Body::Attempted { .. } => Class::Indication,
            _ => Class::Success,
        };
        let mut writer = MessageWriter::new(out, class, self.method, self.transaction)?;
        match &self.body {
            Body::Failure(failure) => write_failure(&mut writer, failure, detail)?,
            Body::Mapped(address, discovered) => {
                writer.put_xor_address(Attribute::XOR_MAPPED_ADDRESS, *address)?;
                if let Some(discovered) = discovered {
                    write_discovered(&mut writer, *address, discovered, detail)?;
                }
            }
            Body::Allocated(allocated) => write_allocated(&mut writer, allocated)?,
            Body::Refreshed(lifetime, ticket) => {
                writer.put_u32(Attribute::LIFETIME, lifetime.as_secs() as u32)?;
                write_ticket(&mut writer, ticket.as_ref())?;
            }
            Body::Connected(id) => {
                writer.put_u32(Attribute::CONNECTION_ID, id.0)?;
            }
            Body::Attempted { id, peer } => {
                writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, *peer)?;
                writer.put_u32(Attribute::CONNECTION_ID, id.0)?;
            }
            Body::Done => {}
        }
        if let Some((algorithm, key)) = &self.signature {
            writer.sign(*algorithm, key)?;
        }
        if self.fingerprint {
            writer.fingerprint()?;
        }
        Ok(())
    }
}

/// How much of a message is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    Full,
    /// Without phrases for people, and without what is said twice.
    Needed,
}

fn write_failure(writer: &mut MessageWriter<'_, '_>, failure: &Failure, detail: Detail) -> Result<(), NoRoom> {
    let (code, reason) = failure.code.row();
    writer.put_error(code, if detail == Detail::Full { reason } else { "" })?;
    if let Some(Challenge { realm, nonce, server_name }) = failure.challenge.as_deref() {
        writer.put_text(Attribute::REALM, realm)?;
        writer.put_text(Attribute::NONCE, nonce)?;
        writer.put(Attribute::PASSWORD_ALGORITHMS, &PASSWORD_ALGORITHMS)?;
        if let Some(name) = server_name {
            writer.put_text(Attribute::THIRD_PARTY_AUTHORIZATION, name)?;
        }
    }
    if !failure.unknown.is_empty() {
        writer.put_unknown(&failure.unknown)?;
    }
    if let Some(alternate) = failure.alternate {
        writer.put_address(Attribute::ALTERNATE_SERVER, alternate)?;
    }
    Ok(())
}

fn write_discovered(
    writer: &mut MessageWriter<'_, '_>,
    mapped: SocketAddr,
    discovered: &Discovered,
    detail: Detail,
) -> Result<(), NoRoom> {
    if detail == Detail::Full {
        writer.put_address(Attribute::MAPPED_ADDRESS, mapped)?;
    }
    writer.put_address(Attribute::RESPONSE_ORIGIN, discovered.origin)?;
    writer.put_address(Attribute::OTHER_ADDRESS, discovered.other)?;
    if let Some(len) = discovered.padding {
        writer.put_zeros(Attribute::PADDING, len)?;
    }
    Ok(())
}

fn write_allocated(writer: &mut MessageWriter<'_, '_>, allocated: &Allocated) -> Result<(), NoRoom> {
    for relayed in &allocated.relayed {
        writer.put_xor_address(Attribute::XOR_RELAYED_ADDRESS, *relayed)?;
    }
    if let Some((family, code)) = allocated.failed {
        let (code, reason) = code.row();
        // Family, two reserved bytes with the code's class and number, phrase (RFC 8656 section 18.12).
        let mut value = vec![family.number(), 0, (code / 100) as u8, (code % 100) as u8];
        value.extend_from_slice(reason.as_bytes());
        writer.put(Attribute::ADDRESS_ERROR_CODE, &value)?;
    }
    writer.put_u32(Attribute::LIFETIME, allocated.lifetime.as_secs() as u32)?;
    if let Some(token) = &allocated.reservation {
        writer.put(Attribute::RESERVATION_TOKEN, token)?;
    }
    write_ticket(writer, allocated.ticket.as_ref())?;
    writer.put_xor_address(Attribute::XOR_MAPPED_ADDRESS, allocated.mapped)?;
    Ok(())
}

fn write_ticket(writer: &mut MessageWriter<'_, '_>, ticket: Option<&SealedTicket>) -> Result<(), NoRoom> {
    if let Some(ticket) = ticket {
        writer.put(Attribute::MOBILITY_TICKET, ticket)?;
    }
    Ok(())
}
