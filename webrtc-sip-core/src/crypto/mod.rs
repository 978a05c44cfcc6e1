//! Secrets and ciphers: the CSPRNG that keys, ICE passwords and tokens come from, digests, certificates.

mod provider;

pub use provider::{CryptoProvider, SecureRandom};
