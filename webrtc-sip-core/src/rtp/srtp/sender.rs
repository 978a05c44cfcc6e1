//! Protection of what we send.

use std::fmt;

use crate::io::PacketBuf;
use crate::rtp::header;

use super::cipher::{Cipher, MAX_TAG_LEN};
use super::kdf::Protocol;
use super::sources::Sources;
use super::{ENCRYPTED, MAX_PACKETS, MAX_RTCP_INDEX, RTCP_HEADER_LEN, SrtpError, SrtpKeys, SrtpProfile, rtcp_ssrc};

/// Sources that one sender may use in its life: ours, so a small number.
const MAX_SSRCS: usize = 16;

/// One sending direction.
pub struct SrtpSender {
    profile: SrtpProfile,
    rtp: Cipher,
    rtcp: Cipher,
    sources: Sources,
    rtcp_index: u32,
}

impl fmt::Debug for SrtpSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpSender").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl SrtpSender {
    /// A sender under new keys. Under keys that were used elsewhere, use an SSRC that wasn't.
    pub fn new(keys: &SrtpKeys) -> Self {
        SrtpSender {
            profile: keys.profile(),
            rtp: Cipher::new(keys, Protocol::Rtp),
            rtcp: Cipher::new(keys, Protocol::Rtcp),
            sources: Sources::new(MAX_SSRCS),
            rtcp_index: 0,
        }
    }

    /// The profile of its keys.
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Encrypts an RTP packet in place and appends the tag ([`SrtpProfile::tag_len`] bytes). Sequence numbers may come
    /// in any order within 128 of the highest; one that was used before is refused with [`SrtpError::Replayed`],
    /// because that would use an initialisation vector twice.
    pub fn protect_rtp(&mut self, packet: &mut PacketBuf<'_>) -> Result<(), SrtpError> {
        let header_len = header::header_len(packet.as_slice()).map_err(|_| SrtpError::Malformed)?;
        if packet.tailroom() < self.rtp.tag_len() {
            return Err(SrtpError::NoRoom);
        }
        let ssrc = header::ssrc(packet.as_slice());
        let sequence = header::sequence(packet.as_slice());
        self.sources.check(ssrc)?;
        let index = match self.sources.get(ssrc) {
            None => u64::from(sequence),
            Some(source) => {
                let index = source.window.estimate(sequence).ok_or(SrtpError::Replayed)?;
                if !source.window.is_new(index) {
                    return Err(SrtpError::Replayed);
                }
                index
            }
        };
        if index >= MAX_PACKETS {
            return Err(SrtpError::KeyExhausted);
        }
        let (head, body) = packet.as_mut_slice().split_at_mut(header_len);
        match &self.rtp {
            Cipher::AesCm(cipher) => {
                cipher.apply(ssrc, index, body);
                let tag = cipher.tag(packet.as_slice(), (index >> 16) as u32);
                packet.extend_from_slice(&tag)?;
            }
            Cipher::Gcm(cipher) => {
                let tag = cipher.seal(ssrc, index, head, body)?;
                packet.extend_from_slice(&tag)?;
            }
        }
        self.sources.mark(ssrc, index)
    }

    /// Encrypts a compound RTCP packet in place and appends the tag and the index word: [`SrtpProfile::tag_len`] plus 4
    /// bytes.
    pub fn protect_rtcp(&mut self, packet: &mut PacketBuf<'_>) -> Result<(), SrtpError> {
        let ssrc = rtcp_ssrc(packet.as_slice())?;
        if packet.tailroom() < self.rtcp.tag_len() + 4 {
            return Err(SrtpError::NoRoom);
        }
        let index = self.rtcp_index;
        if index > MAX_RTCP_INDEX {
            return Err(SrtpError::KeyExhausted);
        }
        // One counter for all sources is unique for each of them.
        self.rtcp_index += 1;
        let word = (ENCRYPTED | index).to_be_bytes();
        let (head, body) = packet.as_mut_slice().split_at_mut(RTCP_HEADER_LEN);
        match &self.rtcp {
            // RFC 3711 section 3.4: the index word stands before the tag and is authenticated.
            Cipher::AesCm(cipher) => {
                cipher.apply(ssrc, u64::from(index), body);
                let tag = cipher.tag(packet.as_slice(), ENCRYPTED | index);
                packet.extend_from_slice(&word)?;
                packet.extend_from_slice(&tag)?;
            }
            // RFC 7714 section 9.2: the tag ends the ciphertext, the index word follows.
            Cipher::Gcm(cipher) => {
                let mut authenticated = [0; RTCP_HEADER_LEN + 4];
                authenticated[..RTCP_HEADER_LEN].copy_from_slice(head);
                authenticated[RTCP_HEADER_LEN..].copy_from_slice(&word);
                let tag: [u8; MAX_TAG_LEN] = cipher.seal(ssrc, u64::from(index), &authenticated, body)?;
                packet.extend_from_slice(&tag)?;
                packet.extend_from_slice(&word)?;
            }
        }
        Ok(())
    }

    /// The roll-over counter of a source that was sent.
    pub fn roll_over_counter(&self, ssrc: u32) -> Option<u32> {
        self.sources.get(ssrc).map(|source| source.window.roll_over_counter())
    }

    /// Puts in the session keys and the index that an RFC prints.
    #[cfg(test)]
    pub(super) fn replace_rtcp_cipher(&mut self, cipher: super::cipher::Gcm, index: u32) {
        self.rtcp = Cipher::Gcm(cipher);
        self.rtcp_index = index;
    }
}
