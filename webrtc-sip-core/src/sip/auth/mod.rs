//! Digest authentication (RFC 3261 section 22, RFC 7616, RFC 8760): [`DigestClient`] answers challenges,
//! [`DigestServer`] makes and checks them.

mod client;
mod digest;
mod server;
mod values;

pub use client::{ChallengeError, DigestClient};
pub use server::{Denial, DigestServer};
pub use values::{Algorithm, Challenge, Credentials, Qop};
