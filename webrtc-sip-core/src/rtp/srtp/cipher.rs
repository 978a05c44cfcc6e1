//! The two transforms: counter mode with HMAC-SHA1 (RFC 3711 section 4), and Galois/counter mode (RFC 7714). Both work
//! on `body`, the bytes that get encrypted, beside `head`, those that are only authenticated.

use aes::Aes128Enc;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipher};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ctr::{Ctr128BE, CtrCore, flavors};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::kdf::{Protocol, Use, derive};
use super::{SrtpError, SrtpKeys, SrtpProfile};

/// Longest authentication tag of all profiles.
pub(super) const MAX_TAG_LEN: usize = 16;

/// The 80 bits of HMAC-SHA1 that go on the wire (RFC 3711 section 4.2).
const SHA1_80_LEN: usize = 10;
/// Length of the HMAC-SHA1 key (RFC 3711 section 5.2).
const SHA1_KEY_LEN: usize = 20;
/// Length of an AEAD initialisation vector (RFC 7714 section 8.1).
const GCM_IV_LEN: usize = 12;

/// Session keys of one protocol in one direction.
pub(super) enum Cipher {
    AesCm(Box<AesCm>),
    Gcm(Gcm),
}

impl Cipher {
    pub(super) fn new(keys: &SrtpKeys, protocol: Protocol) -> Self {
        match keys.profile() {
            SrtpProfile::Aes128CmSha1_80 => Cipher::AesCm(Box::new(AesCm::new(keys, protocol))),
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm => Cipher::Gcm(Gcm::new(keys, protocol)),
        }
    }

    pub(super) fn tag_len(&self) -> usize {
        match self {
            Cipher::AesCm(_) => SHA1_80_LEN,
            Cipher::Gcm(_) => MAX_TAG_LEN,
        }
    }
}

/// AES in counter mode and HMAC-SHA1 (AES_CM_128_HMAC_SHA1_80).
pub(super) struct AesCm {
    cipher: Aes128Enc,
    salt: [u8; 14],
    mac: Hmac<Sha1>,
}

impl AesCm {
    fn new(keys: &SrtpKeys, protocol: Protocol) -> Self {
        let mut key = Zeroizing::new([0u8; 16]);
        let mut mac_key = Zeroizing::new([0u8; SHA1_KEY_LEN]);
        let mut salt = [0u8; 14];
        derive(keys.key(), keys.salt(), protocol, Use::Encryption, &mut *key);
        derive(keys.key(), keys.salt(), protocol, Use::Authentication, &mut *mac_key);
        derive(keys.key(), keys.salt(), protocol, Use::Salt, &mut salt);
        Self::from_session_keys(&key, &*mac_key, salt)
    }

    pub(super) fn from_session_keys(key: &[u8; 16], mac_key: &[u8], salt: [u8; 14]) -> Self {
        let mac = <Hmac<Sha1> as Mac>::new_from_slice(mac_key).expect("HMAC takes keys of any length");
        AesCm { cipher: Aes128Enc::new(key.into()), salt, mac }
    }

    /// Encrypts or decrypts (RFC 3711 section 4.1.1): the counter starts at
    /// `salt * 2^16 XOR SSRC * 2^64 XOR index * 2^16`.
    pub(super) fn apply(&self, ssrc: u32, index: u64, body: &mut [u8]) {
        let mut iv = [0u8; 16];
        iv[..14].copy_from_slice(&self.salt);
        xor(&mut iv[4..8], &ssrc.to_be_bytes());
        xor(&mut iv[8..14], &index.to_be_bytes()[2..]);
        let core = CtrCore::<&Aes128Enc, flavors::Ctr128BE>::inner_iv_init(&self.cipher, &iv.into());
        Ctr128BE::from_core(core).apply_keystream(body);
    }

    /// The tag over an encrypted packet and what follows it: the roll-over counter for RTP, the SRTCP index word for
    /// RTCP (RFC 3711 section 4.2).
    pub(super) fn tag(&self, packet: &[u8], trailer: u32) -> [u8; SHA1_80_LEN] {
        let mut mac = self.mac.clone();
        mac.update(packet);
        mac.update(&trailer.to_be_bytes());
        let full = mac.finalize().into_bytes();
        let mut tag = [0; SHA1_80_LEN];
        tag.copy_from_slice(&full[..SHA1_80_LEN]);
        tag
    }

    /// Compares in constant time.
    pub(super) fn verify(&self, packet: &[u8], trailer: u32, tag: &[u8]) -> Result<(), SrtpError> {
        if bool::from(self.tag(packet, trailer).ct_eq(tag)) { Ok(()) } else { Err(SrtpError::AuthenticationFailed) }
    }
}

impl Drop for AesCm {
    fn drop(&mut self) {
        // The block cipher wipes itself. HMAC doesn't, so its state is overwritten with that of another key, and the
        // compiler made to believe that somebody looks.
        self.salt.zeroize();
        self.mac = <Hmac<Sha1> as Mac>::new_from_slice(&[]).expect("HMAC takes keys of any length");
        std::hint::black_box(&self.mac);
    }
}

/// AES in Galois/counter mode (AEAD_AES_128_GCM, AEAD_AES_256_GCM). The key wipes itself.
pub(super) struct Gcm {
    key: LessSafeKey,
    salt: Zeroizing<[u8; GCM_IV_LEN]>,
}

impl Gcm {
    fn new(keys: &SrtpKeys, protocol: Protocol) -> Self {
        let mut key = Zeroizing::new([0u8; 32]);
        let key = &mut key[..keys.profile().key_len()];
        let mut salt = [0u8; GCM_IV_LEN];
        derive(keys.key(), keys.salt(), protocol, Use::Encryption, key);
        derive(keys.key(), keys.salt(), protocol, Use::Salt, &mut salt);
        Self::from_session_keys(key, salt)
    }

    pub(super) fn from_session_keys(key: &[u8], salt: [u8; GCM_IV_LEN]) -> Self {
        let algorithm = if key.len() == 32 { &AES_256_GCM } else { &AES_128_GCM };
        let key = UnboundKey::new(algorithm, key).expect("the profile's key length is the algorithm's");
        Gcm { key: LessSafeKey::new(key), salt: Zeroizing::new(salt) }
    }

    /// RFC 7714 sections 8.1 and 9.1: two zero bytes, the SSRC and 48 bits of index (roll-over counter and sequence
    /// number, or two zero bytes and the SRTCP index), added to the salt.
    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let mut iv = *self.salt;
        xor(&mut iv[2..6], &ssrc.to_be_bytes());
        xor(&mut iv[6..], &index.to_be_bytes()[2..]);
        Nonce::assume_unique_for_key(iv)
    }

    pub(super) fn seal(
        &self,
        ssrc: u32,
        index: u64,
        head: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; MAX_TAG_LEN], SrtpError> {
        let tag = self
            .key
            .seal_in_place_separate_tag(self.nonce(ssrc, index), Aad::from(head), body)
            .map_err(|_| SrtpError::KeyExhausted)?;
        let mut bytes = [0; MAX_TAG_LEN];
        bytes.copy_from_slice(tag.as_ref());
        Ok(bytes)
    }

    /// Decrypts `body`, the ciphertext followed by the tag. On failure its content is lost.
    pub(super) fn open(&self, ssrc: u32, index: u64, head: &[u8], body: &mut [u8]) -> Result<(), SrtpError> {
        self.key
            .open_in_place(self.nonce(ssrc, index), Aad::from(head), body)
            .map(|_| ())
            .map_err(|_| SrtpError::AuthenticationFailed)
    }
}

fn xor(bytes: &mut [u8], with: &[u8]) {
    for (byte, with) in bytes.iter_mut().zip(with) {
        *byte ^= with;
    }
}
