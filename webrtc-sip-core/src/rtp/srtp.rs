//! SRTP and SRTCP (RFC 3711) with AES_CM_128_HMAC_SHA1_80, AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714), in place
//! on the caller's packet and without allocation per packet.
//!
//! [`SrtpSender`] and [`SrtpReceiver`] each hold one direction under one master key. [`keying_material`] splits what a
//! DTLS handshake exports (RFC 5764 section 4.2) into the two.
//!
//! The roll-over counter of each source can be read for a snapshot and set after a restore, see
//! [`SrtpReceiver::set_roll_over_counter`]. Whoever restores a *sender* under the same key must use a new SSRC instead,
//! because the initialisation vectors must never repeat (RFC 7714 section 8.4).

mod cipher;
mod kdf;
mod keys;
mod receiver;
mod sender;
mod sources;

#[cfg(test)]
mod tests;

pub use keys::{SrtpKeys, SrtpProfile, keying_material};
pub use receiver::SrtpReceiver;
pub use sender::SrtpSender;

use crate::io::DropReason;

/// Set in the SRTCP index word of an encrypted packet (RFC 3711 section 3.4).
const ENCRYPTED: u32 = 1 << 31;
/// The highest SRTCP index under one key (RFC 3711 section 9.2).
const MAX_RTCP_INDEX: u32 = ENCRYPTED - 1;
/// RTP packets of one source under one key (RFC 3711 section 9.2).
const MAX_PACKETS: u64 = 1 << 48;
/// The part of an RTCP packet that stays in the clear: its first header and sender SSRC.
const RTCP_HEADER_LEN: usize = 8;

/// The sender of a compound RTCP packet, which SRTCP leaves in the clear.
fn rtcp_ssrc(packet: &[u8]) -> Result<u32, SrtpError> {
    match packet.first_chunk::<RTCP_HEADER_LEN>() {
        Some([first, _, _, _, a, b, c, d]) if first >> 6 == 2 => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => Err(SrtpError::Malformed),
    }
}

/// Why a packet was not protected or unprotected, or keys were refused. A packet that failed has unspecified content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SrtpError {
    /// Not RTP or RTCP, or too short for the tag.
    #[error("the packet is malformed")]
    Malformed,
    /// The authentication tag didn't verify.
    #[error("the authentication tag does not verify")]
    AuthenticationFailed,
    /// The index was used before, or is too old to tell (RFC 3711 section 3.3.2).
    #[error("the packet index was seen before or is too old")]
    Replayed,
    /// The table of sources is full.
    #[error("too many synchronisation sources")]
    TooManySources,
    /// The key has protected as many packets as it may (RFC 3711 section 9.2).
    #[error("the key is exhausted")]
    KeyExhausted,
    /// No room for the tag.
    #[error("the packet buffer has no room left")]
    NoRoom,
    /// Key, salt or keying material of the wrong length.
    #[error("wrong length of the keying material")]
    KeyLength,
}

impl SrtpError {
    /// Under which reason the packet is to be counted.
    pub fn drop_reason(self) -> DropReason {
        match self {
            SrtpError::Malformed | SrtpError::KeyLength => DropReason::Malformed,
            SrtpError::AuthenticationFailed => DropReason::AuthenticationFailed,
            SrtpError::Replayed => DropReason::Replayed,
            SrtpError::TooManySources => DropReason::LimitReached,
            SrtpError::KeyExhausted => DropReason::OutOfState,
            SrtpError::NoRoom => DropReason::NoRoom,
        }
    }
}

impl From<crate::io::NoRoom> for SrtpError {
    fn from(_: crate::io::NoRoom) -> Self {
        SrtpError::NoRoom
    }
}
