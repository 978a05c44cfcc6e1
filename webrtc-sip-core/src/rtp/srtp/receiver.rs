//! Authentication and decryption of what we receive.

use std::fmt;

use crate::io::PacketBuf;
use crate::rtp::header;
use crate::rtp::window::Window;

use super::cipher::{Cipher, MAX_TAG_LEN};
use super::kdf::Protocol;
use super::sources::Sources;
use super::{ENCRYPTED, MAX_PACKETS, MAX_RTCP_INDEX, RTCP_HEADER_LEN, SrtpError, SrtpKeys, SrtpProfile, rtcp_ssrc};

/// Longest ciphertext that is tried under a second roll-over counter, in bytes: more than fits a datagram on the usual
/// path.
const MAX_RETRY_LEN: usize = 2_048;

/// One receiving direction. Keeps state only for sources whose packets proved authentic.
pub struct SrtpReceiver {
    profile: SrtpProfile,
    rtp: Cipher,
    rtcp: Cipher,
    sources: Sources,
    rtcp_sources: Sources,
}

impl fmt::Debug for SrtpReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpReceiver").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl SrtpReceiver {
    /// A receiver of at most `max_ssrcs` RTP and as many RTCP sources; authentic packets of further ones are refused
    /// with [`SrtpError::TooManySources`], so that no old source is forgotten and its packets can't be replayed.
    pub fn new(keys: &SrtpKeys, max_ssrcs: usize) -> Self {
        SrtpReceiver {
            profile: keys.profile(),
            rtp: Cipher::new(keys, Protocol::Rtp),
            rtcp: Cipher::new(keys, Protocol::Rtcp),
            sources: Sources::new(max_ssrcs),
            rtcp_sources: Sources::new(max_ssrcs),
        }
    }

    /// The profile of its keys.
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Authenticates and decrypts an RTP packet in place and removes the tag. Returns its index: the roll-over counter
    /// times 2^16, plus the sequence number.
    pub fn unprotect_rtp(&mut self, packet: &mut PacketBuf<'_>) -> Result<u64, SrtpError> {
        let header_len = header::header_len(packet.as_slice()).map_err(|_| SrtpError::Malformed)?;
        if packet.len() < header_len + self.rtp.tag_len() {
            return Err(SrtpError::Malformed);
        }
        let ssrc = header::ssrc(packet.as_slice());
        let sequence = header::sequence(packet.as_slice());
        self.sources.check(ssrc)?;
        let (index, restored) = match self.sources.get(ssrc) {
            None => (u64::from(sequence), false),
            Some(source) => {
                let index = source.window.estimate(sequence).ok_or(SrtpError::Replayed)?;
                if index >= MAX_PACKETS || !source.window.is_new(index) {
                    return Err(SrtpError::Replayed);
                }
                (index, source.restored)
            }
        };
        let index = if restored {
            self.open_restored(ssrc, index, header_len, packet)?
        } else {
            self.open_rtp(ssrc, index, header_len, packet.as_mut_slice())?;
            index
        };
        packet.truncate(packet.len() - self.rtp.tag_len());
        self.sources.mark(ssrc, index)?;
        Ok(index)
    }

    fn open_rtp(&self, ssrc: u32, index: u64, header_len: usize, packet: &mut [u8]) -> Result<(), SrtpError> {
        match &self.rtp {
            Cipher::AesCm(cipher) => {
                let (protected, tag) = packet.split_at_mut(packet.len() - self.rtp.tag_len());
                cipher.verify(protected, (index >> 16) as u32, tag)?;
                cipher.apply(ssrc, index, &mut protected[header_len..]);
                Ok(())
            }
            Cipher::Gcm(cipher) => {
                let (head, body) = packet.split_at_mut(header_len);
                cipher.open(ssrc, index, head, body)
            }
        }
    }

    /// The first packet after a restore: the source may have passed one more wrap since the snapshot. A failed try
    /// destroys the packet, so a copy is kept for the second.
    fn open_restored(
        &self,
        ssrc: u32,
        index: u64,
        header_len: usize,
        packet: &mut PacketBuf<'_>,
    ) -> Result<u64, SrtpError> {
        let mut copy = [0; MAX_RETRY_LEN];
        let copy = copy.get_mut(..packet.len()).ok_or(SrtpError::Malformed)?;
        copy.copy_from_slice(packet.as_slice());
        if self.open_rtp(ssrc, index, header_len, packet.as_mut_slice()).is_ok() {
            return Ok(index);
        }
        packet.as_mut_slice().copy_from_slice(copy);
        let next = index + (1 << 16);
        self.open_rtp(ssrc, next, header_len, packet.as_mut_slice())?;
        Ok(next)
    }

    /// Authenticates and decrypts a compound RTCP packet in place and removes tag and index word. Returns its index.
    pub fn unprotect_rtcp(&mut self, packet: &mut PacketBuf<'_>) -> Result<u32, SrtpError> {
        let ssrc = rtcp_ssrc(packet.as_slice())?;
        let tag_len = self.rtcp.tag_len();
        let plain_len = packet.len().checked_sub(tag_len + 4).ok_or(SrtpError::Malformed)?;
        if plain_len < RTCP_HEADER_LEN {
            return Err(SrtpError::Malformed);
        }
        let word_at = match &self.rtcp {
            Cipher::AesCm(_) => plain_len,
            Cipher::Gcm(_) => plain_len + tag_len,
        };
        let bytes = packet.as_mut_slice();
        let word = bytes[word_at..].first_chunk::<4>().map(|word| u32::from_be_bytes(*word));
        let word = word.ok_or(SrtpError::Malformed)?;
        let index = word & MAX_RTCP_INDEX;
        self.rtcp_sources.check(ssrc)?;
        if self.rtcp_sources.get(ssrc).is_some_and(|source| !source.window.is_new(u64::from(index))) {
            return Err(SrtpError::Replayed);
        }
        match &self.rtcp {
            Cipher::AesCm(cipher) => {
                let (protected, rest) = bytes.split_at_mut(plain_len);
                cipher.verify(protected, word, &rest[4..])?;
                if word & ENCRYPTED != 0 {
                    cipher.apply(ssrc, u64::from(index), &mut protected[RTCP_HEADER_LEN..]);
                }
            }
            Cipher::Gcm(cipher) if word & ENCRYPTED != 0 => {
                let (head, body) = bytes[..word_at].split_at_mut(RTCP_HEADER_LEN);
                let mut authenticated = [0; RTCP_HEADER_LEN + 4];
                authenticated[..RTCP_HEADER_LEN].copy_from_slice(head);
                authenticated[RTCP_HEADER_LEN..].copy_from_slice(&word.to_be_bytes());
                cipher.open(ssrc, u64::from(index), &authenticated, body)?;
            }
            Cipher::Gcm(cipher) => {
                // RFC 7714 section 9.3: all of the packet and the index word are authenticated and nothing is
                // encrypted. The tag stands between the two; it is taken out so that they are one slice.
                let mut tag = [0; MAX_TAG_LEN];
                tag.copy_from_slice(&bytes[plain_len..word_at]);
                bytes.copy_within(word_at.., plain_len);
                cipher.open(ssrc, u64::from(index), &bytes[..plain_len + 4], &mut tag)?;
            }
        }
        packet.truncate(plain_len);
        self.rtcp_sources.mark(ssrc, u64::from(index))?;
        Ok(index)
    }

    /// The roll-over counter of a source whose packets were received.
    pub fn roll_over_counter(&self, ssrc: u32) -> Option<u32> {
        self.sources.get(ssrc).map(|source| source.window.roll_over_counter())
    }

    /// Every RTP source with its roll-over counter, for a snapshot.
    pub fn roll_over_counters(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.sources.roll_over_counters()
    }

    /// Goes on with a source from a snapshot (or from signalling): its first packet is tried under this roll-over
    /// counter and under the next.
    pub fn set_roll_over_counter(&mut self, ssrc: u32, roll_over_counter: u32) -> Result<(), SrtpError> {
        self.sources.restore(ssrc, Window::starting_at(roll_over_counter))
    }

    /// Puts in the session keys that an RFC prints.
    #[cfg(test)]
    pub(super) fn replace_rtcp_cipher(&mut self, cipher: super::cipher::Gcm) {
        self.rtcp = Cipher::Gcm(cipher);
    }
}
