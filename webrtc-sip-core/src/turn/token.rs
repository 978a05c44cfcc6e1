//! Access tokens of third-party authorization (RFC 7635): what an authorization server says about a client, sealed under
//! a key that it shares with us, so that nobody has to be asked.
//!
//! ```text
//! ACCESS-TOKEN:    nonce length (2) | nonce | encrypted block | tag (16)        RFC 7635 section 6.2
//! encrypted block: key length (2) | key | timestamp (8) | lifetime (4)
//! ```
//! All numbers are big-endian. The timestamp is in 1/65536 of a second since 1970, as coturn writes it; of the RFC's "48
//! bits of seconds and 16 bits of 1/64000" only the seconds count here. The name of the STUN server is the associated data,
//! so that a token is good for nobody else who has the same key. coturn has the same layout, with nonces of 12 bytes.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroize as _;

use crate::stun::Key;

/// How much clocks may differ, and a packet may take (RFC 7635 section 4.1.1, Delta).
const DELTA_SECONDS: u64 = 5;
const TAG_LEN: usize = 16;
/// Keys of message integrity: at least the strength of AES-128, at most what [`Key`] holds.
const MAC_KEY_LENS: RangeInclusive<usize> = 16..=32;
/// The longest encrypted block.
const MAX_BLOCK_LEN: usize = 2 + *MAC_KEY_LENS.end() + 8 + 4;

/// How tokens are sealed (RFC 7635 section 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAlgorithm {
    /// AEAD_AES_128_GCM, with a key of 16 bytes.
    A128Gcm,
    /// AEAD_AES_256_GCM, with a key of 32 bytes.
    A256Gcm,
}

impl TokenAlgorithm {
    fn aead(self) -> &'static aead::Algorithm {
        match self {
            TokenAlgorithm::A128Gcm => &aead::AES_128_GCM,
            TokenAlgorithm::A256Gcm => &aead::AES_256_GCM,
        }
    }

    /// Length of a key in bytes.
    pub fn key_len(self) -> usize {
        self.aead().key_len()
    }
}

/// A key shared with an authorization server.
#[derive(Clone)]
pub struct TokenKey {
    id: String,
    key: Arc<LessSafeKey>,
    valid: RangeInclusive<u64>,
}

/// What a token says.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// Key of the client's message integrity.
    pub mac_key: Key,
    /// When it was made, in seconds since the epoch.
    pub issued: u64,
    /// For how many seconds it is good.
    pub lifetime_seconds: u32,
}

/// Why a token, or a key of tokens, is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The key has another length than the algorithm wants.
    #[error("the key has the wrong length for the algorithm")]
    KeyLength,
    /// The key isn't valid yet, or no longer.
    #[error("the key is not valid at this time")]
    KeyNotValid,
    /// The token is too short or too long.
    #[error("the token has an impossible length")]
    Length,
    /// The nonce hasn't the length that AES-GCM wants.
    #[error("the nonce has an impossible length")]
    NonceLength,
    /// Sealed under another key or for another server, or changed since.
    #[error("the token was not made with this key for this server")]
    Forged,
    /// What was sealed isn't what it has to be.
    #[error("the block in the token is malformed")]
    Block,
    /// Its time is over, or hasn't come.
    #[error("the token is not valid at this time")]
    NotValid,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").field("id", &self.id).field("valid", &self.valid).finish_non_exhaustive()
    }
}

impl TokenKey {
    /// The key with this id (`kid`), which clients send as their USERNAME. `valid` is in seconds since the epoch.
    pub fn new(
        id: &str,
        algorithm: TokenAlgorithm,
        key: &[u8],
        valid: RangeInclusive<u64>,
    ) -> Result<Self, TokenError> {
        let key = UnboundKey::new(algorithm.aead(), key).map_err(|_| TokenError::KeyLength)?;
        Ok(TokenKey { id: id.to_owned(), key: Arc::new(LessSafeKey::new(key)), valid })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What a token says, if it was made for `server_name` and is good at this time.
    pub fn open(&self, server_name: &str, token: &[u8], unix_seconds: u64) -> Result<AccessToken, TokenError> {
        if !self.valid.contains(&unix_seconds) {
            return Err(TokenError::KeyNotValid);
        }
        let (nonce_len, rest) = token.split_first_chunk::<2>().ok_or(TokenError::Length)?;
        if usize::from(u16::from_be_bytes(*nonce_len)) != NONCE_LEN {
            return Err(TokenError::NonceLength);
        }
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(TokenError::Length)?;
        let mut storage = [0; MAX_BLOCK_LEN + TAG_LEN];
        let block = storage.get_mut(..sealed.len()).ok_or(TokenError::Length)?;
        block.copy_from_slice(sealed);
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key.open_in_place(nonce, Aad::from(server_name.as_bytes()), block);
        let token = opened.map_err(|_| TokenError::Forged).and_then(|block| AccessToken::decode(block));
        storage.zeroize();
        token.and_then(|token| if token.is_good(unix_seconds) { Ok(token) } else { Err(TokenError::NotValid) })
    }

    /// A token for `server_name`, as an authorization server makes it. A nonce is for one token only.
    pub fn seal(&self, server_name: &str, nonce: [u8; NONCE_LEN], token: &AccessToken) -> Vec<u8> {
        let mut block = token.encode();
        let aad = Aad::from(server_name.as_bytes());
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut block)
            .expect("AES-GCM fails only for more bytes than there are");
        [&(NONCE_LEN as u16).to_be_bytes()[..], &nonce, &block].concat()
    }
}

impl AccessToken {
    /// Reads a decrypted block. Bytes are left over in none.
    pub fn decode(block: &[u8]) -> Result<Self, TokenError> {
        let (key_len, rest) = block.split_first_chunk::<2>().ok_or(TokenError::Block)?;
        let key_len = usize::from(u16::from_be_bytes(*key_len));
        let (mac_key, rest) = rest.split_at_checked(key_len).ok_or(TokenError::Block)?;
        let (timestamp, rest) = rest.split_first_chunk::<8>().ok_or(TokenError::Block)?;
        let lifetime: [u8; 4] = rest.try_into().map_err(|_| TokenError::Block)?;
        let mac_key = Key::from_bytes(mac_key).filter(|key| MAC_KEY_LENS.contains(&key.len()));
        Ok(AccessToken {
            mac_key: mac_key.ok_or(TokenError::Block)?,
            issued: u64::from_be_bytes(*timestamp) >> 16,
            lifetime_seconds: u32::from_be_bytes(lifetime),
        })
    }

    /// The block, to be encrypted.
    pub fn encode(&self) -> Vec<u8> {
        let key_len = (self.mac_key.len() as u16).to_be_bytes();
        let timestamp = (self.issued << 16).to_be_bytes();
        [&key_len[..], &self.mac_key, &timestamp, &self.lifetime_seconds.to_be_bytes()].concat()
    }

    /// When it is no longer good, in seconds since the epoch.
    pub(super) fn expires(&self) -> u64 {
        self.issued + u64::from(self.lifetime_seconds) + DELTA_SECONDS
    }

    /// Keys that the client may have signed with: the whole one, and the 16 bytes of it that coturn's client takes.
    pub(super) fn mac_keys(&self) -> impl Iterator<Item = Key> + use<> {
        [Some(self.mac_key.clone()), Key::from_bytes(&self.mac_key[..*MAC_KEY_LENS.start()])].into_iter().flatten()
    }

    /// RFC 7635 section 4.1.1 compares the difference of the times, so a token may come from a clock that is ahead.
    fn is_good(&self, unix_seconds: u64) -> bool {
        unix_seconds.abs_diff(self.issued) < u64::from(self.lifetime_seconds) + DELTA_SECONDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;
    const NONCE: [u8; NONCE_LEN] = *b"twelve bytes";

    fn key(algorithm: TokenAlgorithm) -> TokenKey {
        TokenKey::new("north", algorithm, &[9; 32][..algorithm.key_len()], 0..=u64::MAX).unwrap()
    }

    fn token() -> AccessToken {
        AccessToken { mac_key: Key::from_bytes(&[7; 20]).unwrap(), issued: NOW, lifetime_seconds: 600 }
    }

    fn sealed() -> Vec<u8> {
        key(TokenAlgorithm::A256Gcm).seal("example.org", NONCE, &token())
    }

    fn error(token: &[u8], unix_seconds: u64) -> Option<TokenError> {
        key(TokenAlgorithm::A256Gcm).open("example.org", token, unix_seconds).err()
    }

    #[test]
    fn a_token_says_what_was_sealed() {
        for algorithm in [TokenAlgorithm::A128Gcm, TokenAlgorithm::A256Gcm] {
            for mac_key_len in MAC_KEY_LENS {
                let mac_key = Key::from_bytes(&[7; 32][..mac_key_len]).unwrap();
                let bytes = key(algorithm).seal("example.org", NONCE, &AccessToken { mac_key, ..token() });
                let opened = key(algorithm).open("example.org", &bytes, NOW).unwrap();
                assert_eq!((opened.issued, opened.lifetime_seconds), (NOW, 600));
                assert_eq!(*opened.mac_key, [7; 32][..mac_key_len]);
            }
        }
    }

    #[test]
    fn a_token_that_coturn_made_is_understood() {
        // turnutils_oauth -e -i example.org -j north -k MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE= -l 1700000000
        //   -m 3600 -n A256GCM -o dHdlbHZlIGJ5dGVz -p d3d3d3d3d3d3d3d3d3d3d3d3d3c= -q 111411200000000 -r 600
        let bytes = "AAx0d2VsdmUgYnl0ZXOz18YybpY7CyTT+zd6ALXRiQx97tsCzuqXlkrW9ktROTSZaQvXKis2K2zfVdMnefSZ/w==";
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, bytes).unwrap();
        let key = b"01234567890123456789012345678901";
        let key = TokenKey::new("north", TokenAlgorithm::A256Gcm, key, 0..=u64::MAX).unwrap();
        let opened = key.open("example.org", &bytes, NOW).unwrap();
        assert_eq!((opened.issued, opened.lifetime_seconds), (NOW, 600));
        assert_eq!(*opened.mac_key, [b'w'; 20]);
        assert_eq!(key.seal("example.org", NONCE, &opened), bytes, "and we make the same");
    }

    #[test]
    fn a_token_is_good_for_its_time_and_a_little_more() {
        for (at, expected) in [
            (NOW, None),
            (NOW + 604, None),
            (NOW + 605, Some(TokenError::NotValid)),
            (NOW - 604, None),
            (NOW - 605, Some(TokenError::NotValid)),
            (0, Some(TokenError::NotValid)),
            (u64::MAX, Some(TokenError::NotValid)),
        ] {
            assert_eq!(error(&sealed(), at), expected, "{at}");
        }
        assert_eq!(token().expires(), NOW + 605);
    }

    #[test]
    fn each_error_has_its_name() {
        let nonce_of = |len: u16| [&len.to_be_bytes()[..], &sealed()[2..]].concat();
        let changed = |at: usize| {
            let mut token = sealed();
            token[at] ^= 1;
            token
        };
        for (token, expected) in [
            (Vec::new(), TokenError::Length),
            (vec![0], TokenError::Length),
            (sealed()[..13].to_vec(), TokenError::Length),
            (sealed()[..14].to_vec(), TokenError::Forged),
            (sealed()[..29].to_vec(), TokenError::Forged),
            ([&sealed()[..], &[0; 200]].concat(), TokenError::Length),
            (nonce_of(0), TokenError::NonceLength),
            (nonce_of(11), TokenError::NonceLength),
            (nonce_of(13), TokenError::NonceLength),
            (nonce_of(u16::MAX), TokenError::NonceLength),
            (changed(2), TokenError::Forged),
            (changed(20), TokenError::Forged),
            (changed(sealed().len() - 1), TokenError::Forged),
            (sealed()[..sealed().len() - 1].to_vec(), TokenError::Forged),
        ] {
            assert_eq!(error(&token, NOW), Some(expected), "{token:?}");
        }
        let other_server = key(TokenAlgorithm::A256Gcm).open("example.net", &sealed(), NOW);
        assert_eq!(other_server.err(), Some(TokenError::Forged));
        let other_key = TokenKey::new("north", TokenAlgorithm::A256Gcm, &[8; 32], 0..=u64::MAX).unwrap();
        assert_eq!(other_key.open("example.org", &sealed(), NOW).err(), Some(TokenError::Forged));
    }

    #[test]
    fn a_key_has_its_length_and_its_time() {
        for (algorithm, len) in
            [(TokenAlgorithm::A256Gcm, 16), (TokenAlgorithm::A128Gcm, 32), (TokenAlgorithm::A256Gcm, 33)]
        {
            assert_eq!(TokenKey::new("x", algorithm, &[9; 33][..len], 0..=1).err(), Some(TokenError::KeyLength));
        }
        for (valid, expected) in [
            (NOW..=NOW, None),
            (NOW + 1..=u64::MAX, Some(TokenError::KeyNotValid)),
            (0..=NOW - 1, Some(TokenError::KeyNotValid)),
        ] {
            let key = TokenKey { valid, ..key(TokenAlgorithm::A256Gcm) };
            assert_eq!(key.open("example.org", &sealed(), NOW).err(), expected, "{key:?}");
        }
    }

    #[test]
    fn a_block_with_lies_in_it_is_refused() {
        let block = token().encode();
        let key_len = |len: u16| [&len.to_be_bytes()[..], &block[2..]].concat();
        for end in 0..block.len() {
            assert_eq!(AccessToken::decode(&block[..end]).err(), Some(TokenError::Block), "{end}");
        }
        for other in [key_len(0), key_len(15), key_len(19), key_len(21), key_len(u16::MAX), [&block[..], &[0]].concat()]
        {
            assert_eq!(AccessToken::decode(&other).err(), Some(TokenError::Block), "{other:?}");
        }
        for len in [0, 15, 33, 64] {
            let block = [&(len as u16).to_be_bytes()[..], &vec![7; len], &[0; 12]].concat();
            assert_eq!(AccessToken::decode(&block).err(), Some(TokenError::Block), "a key of {len} bytes");
        }
    }
}
