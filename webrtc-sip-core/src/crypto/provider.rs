//! The source of secrets, injected so that a simulation can replay a run.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};

use crate::rng::{Rng, Seed};

/// A cryptographically secure random number generator.
pub trait SecureRandom: Send + Sync {
    /// Fills `bytes` with unpredictable content.
    fn fill(&self, bytes: &mut [u8]);
}

/// What the core needs from cryptography that can't be a pure function: randomness. Cheap to clone and to share.
#[derive(Clone)]
pub struct CryptoProvider {
    random: Arc<dyn SecureRandom>,
}

impl fmt::Debug for CryptoProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CryptoProvider")
    }
}

impl CryptoProvider {
    /// The operating system's generator, through aws-lc-rs. Use this wherever secrets matter.
    pub fn system() -> Self {
        CryptoProvider { random: Arc::new(System(SystemRandom::new())) }
    }

    /// A generator of the caller's.
    pub fn new(random: Arc<dyn SecureRandom>) -> Self {
        CryptoProvider { random }
    }

    /// A repeatable generator, for simulations and tests only: everything it makes can be predicted from the seed.
    pub fn seeded(seed: &Seed) -> Self {
        CryptoProvider { random: Arc::new(Seeded(Mutex::new(Rng::split(seed, "crypto")))) }
    }

    /// Fills `bytes` with unpredictable content.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.random.fill(bytes);
    }

    /// An array of unpredictable bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// An unpredictable 32-bit number.
    pub fn u32(&self) -> u32 {
        u32::from_be_bytes(self.bytes())
    }

    /// `len` characters that are valid in an ICE ufrag or password (RFC 8839 section 5.4: `ALPHA / DIGIT / "+" / "/"`)
    /// and in a URL-safe token; 6 bits of entropy each.
    pub fn token(&self, len: usize) -> String {
        // Alphanumeric plus two, so that six random bits choose one evenly. ICE allows + and /; where a token is used
        // elsewhere those two are legal in quoted strings and header values too.
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        bytes.into_iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect()
    }
}

struct System(SystemRandom);

impl SecureRandom for System {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes).expect("the operating system's random number generator answers");
    }
}

struct Seeded(Mutex<Rng>);

impl SecureRandom for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_use_ice_characters_only() {
        let token = CryptoProvider::system().token(64);
        assert_eq!(token.len(), 64);
        assert!(token.chars().all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '/'));
    }

    #[test]
    fn a_seeded_provider_repeats_itself() {
        let draw = || CryptoProvider::seeded(&[3; 32]).bytes::<16>();
        assert_eq!(draw(), draw());
        assert_ne!(CryptoProvider::system().bytes::<16>(), CryptoProvider::system().bytes::<16>());
    }
}
