//! Reading a message.

use std::net::SocketAddr;
use std::ops::Range;

use smallvec::SmallVec;
use subtle::ConstantTimeEq as _;

use super::address::{self, Mask};
use super::header::{HEADER_LEN, MAGIC_COOKIE, decode_type};
use super::integrity::{ATTRIBUTE_HEADER_LEN, fingerprint};
use super::{Attribute, Class, IntegrityAlgorithm, Method, StunError, TransactionId};

/// How many attributes [`Message::unknown_required`] reports at most.
const MAX_UNKNOWN: usize = 8;

/// A view of the bytes of one message whose framing was checked: all attributes lie inside, FINGERPRINT is the last, and
/// integrity values have possible lengths. Nothing is authenticated by that.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a>(&'a [u8]);

impl<'a> Message<'a> {
    /// Checks that `bytes` are one message and nothing else. Padding may have any value (RFC 8489 section 14).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, StunError> {
        if bytes.len() < HEADER_LEN || bytes[0] >> 6 != 0 || bytes[4..8] != MAGIC_COOKIE {
            return Err(StunError::NotStun);
        }
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        if !length.is_multiple_of(4) || length != bytes.len() - HEADER_LEN {
            return Err(StunError::Length);
        }
        let mut all = Attributes { bytes, at: HEADER_LEN };
        for (attribute, value) in &mut all {
            check_framing(attribute, &value, bytes.len())?;
        }
        if all.at != bytes.len() {
            return Err(StunError::Truncated);
        }
        Ok(Message(bytes))
    }

    /// What it is within its transaction.
    pub fn class(&self) -> Class {
        decode_type([self.0[0], self.0[1]]).0
    }

    /// What it is about.
    pub fn method(&self) -> Method {
        decode_type([self.0[0], self.0[1]]).1
    }

    /// What request and response have in common.
    pub fn transaction(&self) -> TransactionId {
        TransactionId(self.0[8..HEADER_LEN].try_into().expect("the range is 12 bytes long"))
    }

    /// The whole message.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The attributes that count, in their order: after MESSAGE-INTEGRITY only MESSAGE-INTEGRITY-SHA256 and FINGERPRINT,
    /// after MESSAGE-INTEGRITY-SHA256 only FINGERPRINT (RFC 8489 sections 14.5 and 14.6).
    pub fn attributes(&self) -> impl Iterator<Item = (Attribute, &'a [u8])> + use<'a> {
        let bytes = self.0;
        self.ranges().map(move |(attribute, range)| (attribute, &bytes[range]))
    }

    /// The value of the first attribute of this type that counts.
    pub fn get(&self, attribute: Attribute) -> Option<&'a [u8]> {
        self.value_range(attribute).map(|range| &self.0[range])
    }

    /// Where the value that [`Message::get`] returns lies in the bytes, so that it can be cut out in place.
    pub fn value_range(&self, attribute: Attribute) -> Option<Range<usize>> {
        self.ranges().find(|(other, _)| *other == attribute).map(|(_, range)| range)
    }

    /// A value that is a number of 32 bits.
    pub fn u32(&self, attribute: Attribute) -> Result<Option<u32>, StunError> {
        self.read(attribute, |value| value.try_into().ok().map(u32::from_be_bytes))
    }

    /// A value that is UTF-8 text.
    pub fn text(&self, attribute: Attribute) -> Result<Option<&'a str>, StunError> {
        self.read(attribute, |value| std::str::from_utf8(value).ok())
    }

    /// An address in the clear, as in MAPPED-ADDRESS, ALTERNATE-SERVER, RESPONSE-ORIGIN and OTHER-ADDRESS.
    pub fn address(&self, attribute: Attribute) -> Result<Option<SocketAddr>, StunError> {
        self.read(attribute, |value| address::decode(value, Mask::NONE))
    }

    /// The address in a XOR-*-ADDRESS.
    pub fn xor_address(&self, attribute: Attribute) -> Result<Option<SocketAddr>, StunError> {
        self.xor_addresses(attribute).next().transpose()
    }

    /// The addresses of an attribute that may come more than once, such as XOR-PEER-ADDRESS in CreatePermission (RFC 8656
    /// section 10.1).
    pub fn xor_addresses(&self, attribute: Attribute) -> impl Iterator<Item = Result<SocketAddr, StunError>> + use<'a> {
        let mask = Mask::of(self.transaction());
        self.attributes()
            .filter(move |(other, _)| *other == attribute)
            .map(move |(_, value)| address::decode(value, mask).ok_or(StunError::Value(attribute)))
    }

    /// The code (300 to 699) and reason phrase of a well-formed ERROR-CODE (RFC 8489 section 14.8).
    pub fn error_code(&self) -> Option<(u16, &'a str)> {
        let (&[_, _, class, number], reason) = self.get(Attribute::ERROR_CODE)?.split_first_chunk()?;
        let class = class & 7;
        let valid = (3..=6).contains(&class) && number < 100;
        let reason = std::str::from_utf8(reason).ok()?;
        valid.then_some((u16::from(class) * 100 + u16::from(number), reason))
    }

    /// The comprehension-required attributes that aren't among `known`, each once and no more than 8 of them, for
    /// UNKNOWN-ATTRIBUTES. The integrity attributes are always known.
    pub fn unknown_required(&self, known: &[Attribute]) -> SmallVec<[Attribute; MAX_UNKNOWN]> {
        const INTEGRITY: [Attribute; 2] = [Attribute::MESSAGE_INTEGRITY, Attribute::MESSAGE_INTEGRITY_SHA256];
        let mut unknown = SmallVec::new();
        for (attribute, _) in self.attributes() {
            let strange = attribute.is_required() && !INTEGRITY.contains(&attribute) && !known.contains(&attribute);
            if strange && !unknown.contains(&attribute) && unknown.len() < MAX_UNKNOWN {
                unknown.push(attribute);
            }
        }
        unknown
    }

    /// Whether the message claims this integrity.
    pub fn has_integrity(&self, algorithm: IntegrityAlgorithm) -> bool {
        self.value_range(algorithm.attribute()).is_some()
    }

    /// Whether the message has this integrity under `key`; compares in constant time. A truncated HMAC-SHA256 is none:
    /// neither ICE nor TURN allow truncation, and RFC 8489 section 14.6 wants all 32 bytes then.
    pub fn verify_integrity(&self, algorithm: IntegrityAlgorithm, key: &[u8]) -> bool {
        self.value_range(algorithm.attribute()).is_some_and(|range| {
            let tag = algorithm.tag(key, self.0, range.start - ATTRIBUTE_HEADER_LEN);
            tag.as_ref().ct_eq(&self.0[range]).into()
        })
    }

    /// Whether FINGERPRINT is right, where there is one.
    pub fn fingerprint(&self) -> Option<bool> {
        let range = self.value_range(Attribute::FINGERPRINT)?;
        Some(self.0[range.clone()] == fingerprint(&self.0[..range.start - ATTRIBUTE_HEADER_LEN]))
    }

    fn read<T>(&self, attribute: Attribute, decode: impl Fn(&'a [u8]) -> Option<T>) -> Result<Option<T>, StunError> {
        self.get(attribute).map(|value| decode(value).ok_or(StunError::Value(attribute))).transpose()
    }

    /// The attributes that count, with where their values lie.
    fn ranges(&self) -> impl Iterator<Item = (Attribute, Range<usize>)> + use<'a> {
        let mut sealed = 0;
        Attributes { bytes: self.0, at: HEADER_LEN }.filter(move |(attribute, _)| {
            let rank = seal_rank(*attribute);
            let counts = rank > sealed || sealed == 0;
            sealed = sealed.max(rank);
            counts
        })
    }
}

/// Integrity attributes seal what stands before them; after one, only those of a higher rank count.
fn seal_rank(attribute: Attribute) -> u8 {
    match attribute {
        Attribute::MESSAGE_INTEGRITY => 1,
        Attribute::MESSAGE_INTEGRITY_SHA256 => 2,
        Attribute::FINGERPRINT => 3,
        _ => 0,
    }
}

/// What has to hold for the attributes of this layer.
fn check_framing(attribute: Attribute, value: &Range<usize>, message_len: usize) -> Result<(), StunError> {
    let valid = match attribute {
        Attribute::MESSAGE_INTEGRITY => value.len() == 20,
        Attribute::MESSAGE_INTEGRITY_SHA256 => (16..=32).contains(&value.len()) && value.len().is_multiple_of(4),
        Attribute::FINGERPRINT if value.end != message_len && value.len() == 4 => {
            return Err(StunError::AfterFingerprint);
        }
        Attribute::FINGERPRINT => value.len() == 4,
        _ => true,
    };
    if valid { Ok(()) } else { Err(StunError::Value(attribute)) }
}

/// All attributes with the ranges of their values. Ends before one that reaches past the end.
struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for Attributes<'_> {
    type Item = (Attribute, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let &[type_high, type_low, len_high, len_low] = self.bytes.get(self.at..)?.first_chunk()?;
        let start = self.at + ATTRIBUTE_HEADER_LEN;
        let end = start + usize::from(u16::from_be_bytes([len_high, len_low]));
        if end.next_multiple_of(4) > self.bytes.len() {
            return None;
        }
        self.at = end.next_multiple_of(4);
        Some((Attribute(u16::from_be_bytes([type_high, type_low])), start..end))
    }
}
