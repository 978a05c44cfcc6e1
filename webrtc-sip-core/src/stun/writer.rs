//! Writing a message.

use std::net::SocketAddr;

use super::address::{self, Mask};
use super::header::{HEADER_LEN, MAGIC_COOKIE, encode_type};
use super::integrity::{ATTRIBUTE_HEADER_LEN, fingerprint};
use super::{Attribute, Class, IntegrityAlgorithm, Method, PasswordAlgorithm, TransactionId};
use crate::io::{NoRoom, PacketBuf};

/// Appends a message to a packet. The header's length is right after each attribute, so the message is complete at any
/// time. What doesn't fit leaves the packet as it was.
///
/// Order is up to the caller: all else, then [`sign`](Self::sign), then [`fingerprint`](Self::fingerprint). A receiver
/// ignores other attributes behind an integrity (RFC 8489 section 14.5).
#[derive(Debug)]
pub struct MessageWriter<'w, 'p> {
    packet: &'w mut PacketBuf<'p>,
    /// Where the message begins in the packet.
    start: usize,
    transaction: TransactionId,
}

impl<'w, 'p> MessageWriter<'w, 'p> {
    /// Begins a message at the present end of `packet`. Of `method`, the lower 12 bits are used.
    pub fn new(
        packet: &'w mut PacketBuf<'p>,
        class: Class,
        method: Method,
        transaction: TransactionId,
    ) -> Result<Self, NoRoom> {
        let start = packet.len();
        let header = packet.grow_back(HEADER_LEN)?;
        header[..2].copy_from_slice(&encode_type(class, method));
        header[2..4].fill(0);
        header[4..8].copy_from_slice(&MAGIC_COOKIE);
        header[8..].copy_from_slice(&transaction.0);
        Ok(MessageWriter { packet, start, transaction })
    }

    /// Adds an attribute, padded by zeros.
    pub fn put(&mut self, attribute: Attribute, value: &[u8]) -> Result<&mut Self, NoRoom> {
        self.put_parts(attribute, [value, &[]])
    }

    /// Adds an attribute that is nothing but long, such as PADDING (RFC 5780 section 7.6).
    pub fn put_zeros(&mut self, attribute: Attribute, len: usize) -> Result<&mut Self, NoRoom> {
        self.space(attribute, len)?;
        Ok(self)
    }

    /// Adds a number of 32 bits.
    pub fn put_u32(&mut self, attribute: Attribute, value: u32) -> Result<&mut Self, NoRoom> {
        self.put(attribute, &value.to_be_bytes())
    }

    /// Adds text.
    pub fn put_text(&mut self, attribute: Attribute, text: &str) -> Result<&mut Self, NoRoom> {
        self.put(attribute, text.as_bytes())
    }

    /// Adds an address in the clear (RFC 8489 section 14.1).
    pub fn put_address(&mut self, attribute: Attribute, address: SocketAddr) -> Result<&mut Self, NoRoom> {
        self.put(attribute, address::encode(address, Mask::NONE, &mut [0; address::MAX_LEN]))
    }

    /// Adds an address as a XOR-*-ADDRESS (RFC 8489 section 14.2).
    pub fn put_xor_address(&mut self, attribute: Attribute, address: SocketAddr) -> Result<&mut Self, NoRoom> {
        self.put(attribute, address::encode(address, Mask::of(self.transaction), &mut [0; address::MAX_LEN]))
    }

    /// Adds ERROR-CODE with a code from 300 to 699 (RFC 8489 section 14.8).
    pub fn put_error(&mut self, code: u16, reason: &str) -> Result<&mut Self, NoRoom> {
        debug_assert!((300..700).contains(&code), "{code} is no STUN error code");
        let head = [0, 0, (code / 100) as u8, (code % 100) as u8];
        self.put_parts(Attribute::ERROR_CODE, [&head, reason.as_bytes()])
    }

    /// Adds UNKNOWN-ATTRIBUTES (RFC 8489 section 14.13).
    pub fn put_unknown(&mut self, attributes: &[Attribute]) -> Result<&mut Self, NoRoom> {
        let numbers = attributes.iter().map(|attribute| attribute.0.to_be_bytes());
        self.put_each(Attribute::UNKNOWN_ATTRIBUTES, numbers)
    }

    /// Adds PASSWORD-ALGORITHMS, the preferred first; none of them has parameters (RFC 8489 section 14.11).
    pub fn put_password_algorithms(&mut self, algorithms: &[PasswordAlgorithm]) -> Result<&mut Self, NoRoom> {
        self.put_each(Attribute::PASSWORD_ALGORITHMS, algorithms.iter().map(|algorithm| algorithm.encode()))
    }

    /// Adds PASSWORD-ALGORITHM (RFC 8489 section 14.12).
    pub fn put_password_algorithm(&mut self, algorithm: PasswordAlgorithm) -> Result<&mut Self, NoRoom> {
        self.put(Attribute::PASSWORD_ALGORITHM, &algorithm.encode())
    }

    /// Adds the integrity of what was written so far; of HMAC-SHA256 all 32 bytes (RFC 8489 section 14.6). With both
    /// algorithms, SHA-1 comes first.
    pub fn sign(&mut self, algorithm: IntegrityAlgorithm, key: &[u8]) -> Result<&mut Self, NoRoom> {
        let end = self.packet.len() - self.start;
        self.space(algorithm.attribute(), algorithm.tag_len())?;
        let tag = algorithm.tag(key, &self.packet.as_slice()[self.start..], end);
        self.packet.as_mut_slice()[self.start + end + ATTRIBUTE_HEADER_LEN..].copy_from_slice(tag.as_ref());
        Ok(self)
    }

    /// Adds FINGERPRINT, which has to be the last (RFC 8489 section 14.7).
    pub fn fingerprint(&mut self) -> Result<&mut Self, NoRoom> {
        let end = self.packet.len();
        self.space(Attribute::FINGERPRINT, 4)?;
        let value = fingerprint(&self.packet.as_slice()[self.start..end]);
        self.packet.as_mut_slice()[end + ATTRIBUTE_HEADER_LEN..].copy_from_slice(&value);
        Ok(self)
    }

    fn put_parts(&mut self, attribute: Attribute, [head, tail]: [&[u8]; 2]) -> Result<&mut Self, NoRoom> {
        let value = self.space(attribute, head.len() + tail.len())?;
        value[..head.len()].copy_from_slice(head);
        value[head.len()..].copy_from_slice(tail);
        Ok(self)
    }

    fn put_each<const N: usize>(
        &mut self,
        attribute: Attribute,
        items: impl ExactSizeIterator<Item = [u8; N]>,
    ) -> Result<&mut Self, NoRoom> {
        let value = self.space(attribute, items.len() * N)?;
        value.chunks_exact_mut(N).zip(items).for_each(|(place, item)| place.copy_from_slice(&item));
        Ok(self)
    }

    /// Adds an attribute with a zero value, counts it in the header and returns the value.
    fn space(&mut self, attribute: Attribute, len: usize) -> Result<&mut [u8], NoRoom> {
        let value_len = u16::try_from(len).map_err(|_| NoRoom)?;
        let added = ATTRIBUTE_HEADER_LEN + len.next_multiple_of(4);
        let message_len = self.packet.len() - self.start - HEADER_LEN + added;
        let message_len = u16::try_from(message_len).map_err(|_| NoRoom)?;
        self.packet.grow_back(added)?;
        let message = &mut self.packet.as_mut_slice()[self.start..];
        message[2..4].copy_from_slice(&message_len.to_be_bytes());
        let at = message.len() - added;
        let space = &mut message[at..];
        space.fill(0);
        space[..2].copy_from_slice(&attribute.0.to_be_bytes());
        space[2..4].copy_from_slice(&value_len.to_be_bytes());
        Ok(&mut space[ATTRIBUTE_HEADER_LEN..][..len])
    }
}
