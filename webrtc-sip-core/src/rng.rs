//! Seeded randomness for identifiers and jitter. **Not** for keys, passwords or tokens: those come from
//! [`crate::crypto::CryptoProvider`].
//!
//! One 32-byte seed at construction drives everything, split per subsystem, so that drawing more in one place doesn't
//! change what another place sees, and a simulation can be replayed.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// The seed of one instance: 32 bytes that the shell draws from the operating system and a simulation chooses.
pub type Seed = [u8; 32];

/// A stream of random numbers that is a function of a [`Seed`] and a subsystem's name.
#[derive(Clone, Debug)]
pub struct Rng(ChaCha12Rng);

impl Rng {
    /// The stream of `subsystem`. The same seed and name give the same numbers.
    pub fn split(seed: &Seed, subsystem: &str) -> Self {
        // FNV-1a spreads the name over the stream number; streams of one ChaCha key are independent.
        let stream = subsystem
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mut rng = ChaCha12Rng::from_seed(*seed);
        rng.set_stream(stream);
        Rng(rng)
    }

    /// A number over the whole range.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number over the whole range.
    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A number over the whole range.
    pub fn u16(&mut self) -> u16 {
        (self.0.next_u32() >> 16) as u16
    }

    /// A number below `bound`, or 0 when `bound` is 0. The bias is below 2^-32 for bounds that fit 32 bits.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True with the given probability, 0.0 to 1.0.
    pub fn chance(&mut self, probability: f64) -> bool {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64 <= probability && probability > 0.0
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// `len` characters of `a-z0-9`, for tags, branches and the like.
    pub fn token(&mut self, len: usize) -> String {
        const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        (0..len).map(|_| char::from(ALPHABET[self.below(36) as usize])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_repeatable_and_independent() {
        let seed = [7; 32];
        let draw = |name| Rng::split(&seed, name).u64();
        assert_eq!(draw("sip"), draw("sip"));
        assert_ne!(draw("sip"), draw("media"));
    }

    #[test]
    fn bounds_hold() {
        let mut rng = Rng::split(&[1; 32], "test");
        assert!((0..1000).all(|_| rng.below(7) < 7));
        assert_eq!(rng.below(0), 0);
        assert!(!rng.chance(0.0));
        assert!(rng.chance(1.0));
        assert_eq!(rng.token(12).len(), 12);
    }
}
