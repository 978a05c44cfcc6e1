//! Keys of the integrity attributes (RFC 8489 sections 9.2.2 and 18.5).

use std::fmt;
use std::ops::Deref;

use aws_lc_rs::digest;
use md5::{Digest as _, Md5};
use zeroize::Zeroize as _;

/// The longest key: an HMAC-SHA256 key of full strength.
const MAX_LEN: usize = 32;

/// How the key is made of a long-term credential (RFC 8489 section 18.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PasswordAlgorithm {
    /// What RFC 5389 has, and what counts where the request names none.
    Md5 = 1,
    /// SHA-256.
    Sha256 = 2,
}

impl PasswordAlgorithm {
    /// The number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// Its entry in PASSWORD-ALGORITHMS, which is also the value of PASSWORD-ALGORITHM: number, then no parameters.
    pub(super) fn encode(self) -> [u8; 4] {
        let [high, low] = self.number().to_be_bytes();
        [high, low, 0, 0]
    }

    /// The algorithm with this number on the wire.
    pub fn from_number(number: u16) -> Option<Self> {
        [PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256].into_iter().find(|algorithm| algorithm.number() == number)
    }
}

/// A key for [`Message::verify_integrity`](super::Message::verify_integrity) and
/// [`MessageWriter::sign`](super::MessageWriter::sign). Wiped when dropped; not shown by `Debug`.
#[derive(Clone)]
pub struct Key {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl Key {
    /// A key that comes from elsewhere, such as the one in an access token (RFC 7635 section 4.1.1). None when it is
    /// longer than 32 bytes.
    pub fn from_bytes(key: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_LEN];
        bytes.get_mut(..key.len())?.copy_from_slice(key);
        Some(Key { bytes, len: key.len() })
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// The key of a long-term credential. User name, realm and password are hashed as they are: whoever stores them has
/// prepared them (OpaqueString, RFC 8265 section 4.2), and the user name is the one of the wire.
pub fn long_term_key(algorithm: PasswordAlgorithm, user: &str, realm: &str, password: &str) -> Key {
    let parts = [user, ":", realm, ":", password];
    let key = match algorithm {
        PasswordAlgorithm::Md5 => {
            let mut context = Md5::new();
            parts.iter().for_each(|part| context.update(part));
            Key::from_bytes(&context.finalize())
        }
        PasswordAlgorithm::Sha256 => {
            let mut context = digest::Context::new(&digest::SHA256);
            parts.iter().for_each(|part| context.update(part.as_bytes()));
            Key::from_bytes(context.finish().as_ref())
        }
    };
    key.expect("MD5 has 16 bytes and SHA-256 has 32")
}
