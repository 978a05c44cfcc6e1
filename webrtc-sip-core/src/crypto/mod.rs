//! Secrets and ciphers: the CSPRNG that keys, ICE passwords and tokens come from, digests, certificates.

mod certificate;
mod der;
mod provider;

pub use certificate::{CertificateError, DtlsCertificate, format_fingerprint};
pub use provider::{CryptoProvider, SecureRandom};
