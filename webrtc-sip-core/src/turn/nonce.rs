//! Nonces that need no memory (RFC 8489 section 9.2): each says when it was made, and proves by whom and for whom. They are
//! short, because they make up a good part of what strangers are answered.

use std::net::SocketAddr;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

/// The cookie and the feature bits that follow it: password algorithms are known here (RFC 8489 sections 9.2 and 18.1,
/// bit 0 of 24, in base64).
const PREFIX: &str = "obMatJos2gAAA";
/// Bytes of the time, in seconds.
const TIME_LEN: usize = 4;
/// Bytes of the proof: forging one takes 2^79 requests on average.
const PROOF_LEN: usize = 10;
/// Both in base64.
const TEXT_LEN: usize = ((TIME_LEN + PROOF_LEN) * 4).div_ceil(3);

/// Makes and checks nonces. Servers with the same key take each other's.
#[derive(Debug)]
pub(super) struct Nonces {
    key: hmac::Key,
    lifetime: Duration,
}

impl Nonces {
    pub(super) fn new(key: &[u8; 32], lifetime: Duration) -> Self {
        Nonces { key: hmac::Key::new(hmac::HMAC_SHA256, key), lifetime }
    }

    /// A nonce for this client.
    pub(super) fn make(&self, unix_seconds: u64, client: SocketAddr) -> String {
        let mut bytes = [0; TIME_LEN + PROOF_LEN];
        let time = (unix_seconds as u32).to_be_bytes();
        bytes[..TIME_LEN].copy_from_slice(&time);
        bytes[TIME_LEN..].copy_from_slice(&self.proof(time, client));
        format!("{PREFIX}{}", BASE64.encode(bytes))
    }

    /// Whether it was made for this client, and not too long ago.
    pub(super) fn is_fresh(&self, nonce: &str, unix_seconds: u64, client: SocketAddr) -> bool {
        let Some(text) = nonce.strip_prefix(PREFIX).filter(|text| text.len() == TEXT_LEN) else { return false };
        let mut bytes = [0; TIME_LEN + PROOF_LEN];
        if BASE64.decode_slice(text, &mut bytes) != Ok(bytes.len()) {
            return false;
        }
        let (&time, proof) =
            bytes.split_first_chunk::<TIME_LEN>().expect("there are more bytes than those of the time");
        // Seconds since the epoch outgrow 32 bits in 2106; the difference doesn't.
        let age = (unix_seconds as u32).wrapping_sub(u32::from_be_bytes(time));
        let right = aws_lc_rs::constant_time::verify_slices_are_equal(&self.proof(time, client), proof);
        right.is_ok() && u64::from(age) <= self.lifetime.as_secs()
    }

    fn proof(&self, time: [u8; TIME_LEN], client: SocketAddr) -> [u8; PROOF_LEN] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&time);
        match client.ip() {
            std::net::IpAddr::V4(ip) => context.update(&ip.octets()),
            std::net::IpAddr::V6(ip) => context.update(&ip.octets()),
        }
        context.update(&client.port().to_be_bytes());
        let mut proof = [0; PROOF_LEN];
        proof.copy_from_slice(&context.sign().as_ref()[..PROOF_LEN]);
        proof
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_for_one_client_and_for_a_while() {
        let nonces = Nonces::new(&[1; 32], Duration::from_secs(3600));
        let client = "192.0.2.1:5000".parse().unwrap();
        let nonce = nonces.make(1_000_000, client);
        assert!(nonces.is_fresh(&nonce, 1_003_600, client));
        assert!(!nonces.is_fresh(&nonce, 1_003_601, client), "too old");
        assert!(!nonces.is_fresh(&nonce, 999_999, client), "from the future");
        assert!(!nonces.is_fresh(&nonce, 1_000_000, "192.0.2.1:5001".parse().unwrap()));
        assert!(!nonces.is_fresh(&nonce, 1_000_000, "192.0.2.2:5000".parse().unwrap()));
        assert!(Nonces::new(&[1; 32], Duration::from_secs(3600)).is_fresh(&nonce, 1_000_001, client));
        assert!(!Nonces::new(&[2; 32], Duration::from_secs(3600)).is_fresh(&nonce, 1_000_001, client));
    }

    #[test]
    fn what_we_never_made_is_not_fresh() {
        let nonces = Nonces::new(&[1; 32], Duration::from_secs(3600));
        let client = "192.0.2.1:5000".parse().unwrap();
        let nonce = nonces.make(1_000_000, client);
        for end in 0..nonce.len() {
            assert!(!nonces.is_fresh(&nonce[..end], 1_000_000, client));
        }
        for other in ["", "obMatJos2gAAAé00000000000000000", "obMatJos2gAAA=======000000000000", &format!("{nonce}0")]
        {
            assert!(!nonces.is_fresh(other, 1_000_000, client), "{other}");
        }
    }
}
