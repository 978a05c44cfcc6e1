//! MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT (RFC 8489 sections 14.5 to 14.7).

use aws_lc_rs::hmac;

use super::attribute::Attribute;
use super::header::HEADER_LEN;

/// Length of an attribute's type and length.
pub(super) const ATTRIBUTE_HEADER_LEN: usize = 4;
/// Told apart from the CRC-32 of other protocols by this ("STUN").
const FINGERPRINT_MASK: u32 = 0x5354_554e;

/// Which hash the HMAC over a message uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntegrityAlgorithm {
    /// HMAC-SHA1 in MESSAGE-INTEGRITY.
    Sha1,
    /// HMAC-SHA256 in MESSAGE-INTEGRITY-SHA256.
    Sha256,
}

impl IntegrityAlgorithm {
    /// The attribute that carries it.
    pub fn attribute(self) -> Attribute {
        match self {
            IntegrityAlgorithm::Sha1 => Attribute::MESSAGE_INTEGRITY,
            IntegrityAlgorithm::Sha256 => Attribute::MESSAGE_INTEGRITY_SHA256,
        }
    }

    /// Length of the whole HMAC in bytes.
    pub(super) fn tag_len(self) -> usize {
        self.hash().tag_len()
    }

    fn hash(self) -> hmac::Algorithm {
        match self {
            IntegrityAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            IntegrityAlgorithm::Sha256 => hmac::HMAC_SHA256,
        }
    }

    /// The HMAC of the message in front of the integrity attribute that begins at `end`. The length in the header is
    /// taken to end with that attribute, whatever follows it in `message`.
    pub(super) fn tag(self, key: &[u8], message: &[u8], end: usize) -> hmac::Tag {
        let covered = end + ATTRIBUTE_HEADER_LEN + self.tag_len() - HEADER_LEN;
        let length = u16::try_from(covered).expect("the attribute lies inside a message, whose length has 16 bits");
        let mut context = hmac::Context::with_key(&hmac::Key::new(self.hash(), key));
        context.update(&message[..2]);
        context.update(&length.to_be_bytes());
        context.update(&message[4..end]);
        context.sign()
    }
}

/// The value of a FINGERPRINT that follows `message`, whose header counts it already.
pub(super) fn fingerprint(message: &[u8]) -> [u8; 4] {
    (crc32fast::hash(message) ^ FINGERPRINT_MASK).to_be_bytes()
}
