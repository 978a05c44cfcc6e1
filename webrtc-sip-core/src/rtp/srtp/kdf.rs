//! Key derivation (RFC 3711 section 4.3, RFC 7714 section 11), with a key derivation rate of 0: one set of keys for the
//! life of the master key, as every DTLS-SRTP and SDES peer does.

use aes::cipher::{KeyIvInit, StreamCipher};
use aes::{Aes128Enc, Aes256Enc};
use ctr::Ctr128BE;

/// What a derived key is for (RFC 3711 section 4.3.2 numbers them; RTCP's are RTP's plus 3).
#[derive(Clone, Copy)]
pub(super) enum Use {
    Encryption = 0,
    Authentication = 1,
    Salt = 2,
}

/// Which of the two protocols a derived key is for.
#[derive(Clone, Copy)]
pub(super) enum Protocol {
    Rtp = 0,
    Rtcp = 3,
}

/// Fills `out` with the derived key. `master_key` has 16 or 32 bytes and `master_salt` at most 14.
pub(super) fn derive(master_key: &[u8], master_salt: &[u8], protocol: Protocol, usage: Use, out: &mut [u8]) {
    // The key id, the label followed by 48 zero bits, is added to the salt aligned to its low end of 112 bits, and the
    // sum is shifted left by 16 bits. A salt of 96 bits is filled up with zeros on the right (RFC 7714 section 11).
    let mut iv = [0u8; 16];
    iv[..master_salt.len()].copy_from_slice(master_salt);
    iv[7] ^= protocol as u8 + usage as u8;
    out.fill(0);
    const LENGTHS: &str = "SrtpKeys checks the length of the master key";
    if master_key.len() == 32 {
        Ctr128BE::<Aes256Enc>::new_from_slices(master_key, &iv).expect(LENGTHS).apply_keystream(out);
    } else {
        Ctr128BE::<Aes128Enc>::new_from_slices(master_key, &iv).expect(LENGTHS).apply_keystream(out);
    }
}
