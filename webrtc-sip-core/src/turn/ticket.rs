//! Mobility tickets (RFC 8016): they name an allocation, and tell nobody but us which.

use aes::Aes256;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::ids::AllocationId;

const BLOCK_LEN: usize = 16;
/// Bytes of the proof: forging one takes 2^63 requests on average, each with the password of the allocation's user.
const PROOF_LEN: usize = 8;
const SEALED_LEN: usize = BLOCK_LEN + PROOF_LEN;

/// As it is on the wire: 32 characters, because coturn's client keeps no longer ones and takes them for text.
pub(super) type SealedTicket = [u8; SEALED_LEN / 3 * 4];

/// What a ticket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) allocation: AllocationId,
    /// How many moves there were before it was made.
    pub(super) serial: u32,
    /// The server that has the allocation until the client shows up at its new place.
    pub(super) home: u8,
    /// The server that has it then.
    pub(super) next: u8,
}

/// Makes and reads tickets. Servers with the same key read each other's.
pub(super) struct Tickets {
    cipher: Aes256,
    proof: hmac::Key,
}

impl Tickets {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let derived = |label: &[u8]| hmac::sign(&key, label);
        Tickets {
            cipher: Aes256::new_from_slice(derived(b"mobility ticket").as_ref())
                .expect("a SHA-256 is as long as a key"),
            proof: hmac::Key::new(hmac::HMAC_SHA256, derived(b"proof of a mobility ticket").as_ref()),
        }
    }

    /// No two tickets say the same but copies, so one block of a cipher hides what they say.
    pub(super) fn seal(&self, ticket: Ticket) -> SealedTicket {
        let mut sealed = [0; SEALED_LEN];
        sealed[..8].copy_from_slice(&ticket.allocation.0.to_be_bytes());
        sealed[8..12].copy_from_slice(&ticket.serial.to_be_bytes());
        (sealed[12], sealed[13]) = (ticket.home, ticket.next);
        let (block, proof) = sealed.split_at_mut(BLOCK_LEN);
        self.cipher.encrypt_block(block.into());
        proof.copy_from_slice(&hmac::sign(&self.proof, block).as_ref()[..PROOF_LEN]);
        let mut text = [0; SEALED_LEN / 3 * 4];
        BASE64.encode_slice(sealed, &mut text).expect("three bytes make four characters");
        text
    }

    /// None for those that nobody with our key made.
    pub(super) fn open(&self, text: &[u8]) -> Option<Ticket> {
        let text: &SealedTicket = text.try_into().ok()?;
        let mut sealed = [0; SEALED_LEN];
        BASE64.decode_slice(text, &mut sealed).ok()?;
        let (block, proof) = sealed.split_at_mut(BLOCK_LEN);
        verify_slices_are_equal(&hmac::sign(&self.proof, block).as_ref()[..PROOF_LEN], proof).ok()?;
        self.cipher.decrypt_block((&mut *block).into());
        let allocation = AllocationId(u64::from_be_bytes(block[..8].try_into().ok()?));
        let serial = u32::from_be_bytes(block[8..12].try_into().ok()?);
        Some(Ticket { allocation, serial, home: block[12], next: block[13] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKET: Ticket = Ticket { allocation: AllocationId(0x0102_0304_0506_0708), serial: 9, home: 3, next: 4 };

    #[test]
    fn a_ticket_is_read_by_whoever_has_the_key() {
        let sealed = Tickets::new(&[1; 32]).seal(TICKET);
        assert_eq!(Tickets::new(&[1; 32]).open(&sealed), Some(TICKET));
        assert_eq!(Tickets::new(&[2; 32]).open(&sealed), None);
        let next = Tickets::new(&[1; 32]).seal(Ticket { serial: 10, ..TICKET });
        assert!(sealed.iter().zip(next).filter(|(one, other)| **one == *other).count() < 12, "nothing shows through");
    }

    #[test]
    fn what_we_never_made_is_none() {
        let tickets = Tickets::new(&[1; 32]);
        let sealed = tickets.seal(TICKET);
        for index in 0..sealed.len() {
            let mut forged = sealed;
            forged[index] = if forged[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(tickets.open(&forged), None);
            assert_eq!(tickets.open(&sealed[..index]), None);
        }
        assert_eq!(tickets.open(&[0xff; 32]), None);
    }
}
