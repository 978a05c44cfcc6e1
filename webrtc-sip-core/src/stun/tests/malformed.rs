//! What isn't a message, and what an attacker makes of one.

use aws_lc_rs::hmac;
use proptest::prelude::*;

use super::*;

const KEY: &[u8] = b"key";

/// A binding request with these attributes, whose header counts them.
fn request(attributes: &[u8]) -> Vec<u8> {
    let mut bytes = message(Class::Request, Method::BINDING, |_| {});
    bytes[2..4].copy_from_slice(&u16::try_from(attributes.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(attributes);
    bytes
}

/// One attribute as it stands on the wire, padded by ones.
fn attribute(attribute: Attribute, value: &[u8]) -> Vec<u8> {
    let mut bytes = attribute.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0xff);
    bytes
}

#[test]
fn wrong_framing_is_refused() {
    let empty = request(&[]);
    let changed = |at: usize, value| {
        let mut bytes = empty.clone();
        bytes[at] = value;
        bytes
    };
    let integrity = |len: usize| request(&attribute(Attribute::MESSAGE_INTEGRITY, &vec![0; len]));
    let sha256 = |len: usize| request(&attribute(Attribute::MESSAGE_INTEGRITY_SHA256, &vec![0; len]));
    let fingerprint = attribute(Attribute::FINGERPRINT, &[0; 4]);
    let two = [fingerprint.clone(), fingerprint.clone()].concat();
    let followed = [fingerprint, attribute(Attribute::SOFTWARE, b"")].concat();
    let table = [
        (Vec::new(), StunError::NotStun),
        (empty[..19].to_vec(), StunError::NotStun),
        (changed(0, 0x40), StunError::NotStun),
        (changed(0, 0x80), StunError::NotStun),
        (changed(4, 0x20), StunError::NotStun),
        (changed(3, 4), StunError::Length),
        (changed(3, 3), StunError::Length),
        ([empty.as_slice(), &[0; 4]].concat(), StunError::Length),
        ([changed(3, 2).as_slice(), &[0; 2]].concat(), StunError::Length),
        (request(&[0, 6, 0, 1]), StunError::Truncated),
        (request(&[0, 6, 0, 5, 1, 2, 3, 4]), StunError::Truncated),
        (request(&[0, 6, 0xff, 0xff, 1, 2, 3, 4]), StunError::Truncated),
        (integrity(0), StunError::Value(Attribute::MESSAGE_INTEGRITY)),
        (integrity(16), StunError::Value(Attribute::MESSAGE_INTEGRITY)),
        (integrity(24), StunError::Value(Attribute::MESSAGE_INTEGRITY)),
        (sha256(0), StunError::Value(Attribute::MESSAGE_INTEGRITY_SHA256)),
        (sha256(12), StunError::Value(Attribute::MESSAGE_INTEGRITY_SHA256)),
        (sha256(18), StunError::Value(Attribute::MESSAGE_INTEGRITY_SHA256)),
        (sha256(36), StunError::Value(Attribute::MESSAGE_INTEGRITY_SHA256)),
        (request(&attribute(Attribute::FINGERPRINT, &[0; 3])), StunError::Value(Attribute::FINGERPRINT)),
        (request(&attribute(Attribute::FINGERPRINT, &[0; 8])), StunError::Value(Attribute::FINGERPRINT)),
        (request(&two), StunError::AfterFingerprint),
        (request(&followed), StunError::AfterFingerprint),
    ];
    for (bytes, error) in table {
        assert_eq!(Message::parse(&bytes).err(), Some(error), "{bytes:02x?}");
        assert_eq!(peek::target(&bytes), None);
    }
    assert!(Message::parse(&empty).is_ok());
    assert!(Message::parse(&sha256(16)).is_ok());
}

#[test]
fn wrong_values_are_told_from_missing_ones() {
    let table = [
        attribute(Attribute::XOR_PEER_ADDRESS, &[]),
        attribute(Attribute::XOR_PEER_ADDRESS, &[0, 1, 2]),
        attribute(Attribute::XOR_PEER_ADDRESS, &[0, 1, 0, 0, 1, 2, 3]),
        attribute(Attribute::XOR_PEER_ADDRESS, &[0, 2, 0, 0, 1, 2, 3, 4]),
        attribute(Attribute::XOR_PEER_ADDRESS, &[0, 3, 0, 0, 1, 2, 3, 4]),
        attribute(Attribute::XOR_PEER_ADDRESS, &[0, 1, 0, 0, 1, 2, 3, 4, 5]),
    ];
    for value in table {
        let bytes = request(&value);
        let message = Message::parse(&bytes).unwrap();
        let error = Err(StunError::Value(Attribute::XOR_PEER_ADDRESS));
        assert_eq!(message.xor_address(Attribute::XOR_PEER_ADDRESS), error);
        assert_eq!(message.address(Attribute::XOR_PEER_ADDRESS), error);
        assert_eq!(message.xor_address(Attribute::XOR_MAPPED_ADDRESS), Ok(None));
    }
    let bytes = request(&[attribute(Attribute::REALM, &[0xff]), attribute(Attribute::LIFETIME, &[0; 3])].concat());
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.text(Attribute::REALM), Err(StunError::Value(Attribute::REALM)));
    assert_eq!(message.u32(Attribute::LIFETIME), Err(StunError::Value(Attribute::LIFETIME)));
    assert_eq!(message.u32(Attribute::DATA), Ok(None));
    for value in [&[0, 0, 4][..], &[0, 0, 2, 0], &[0, 0, 7, 0], &[0, 0, 4, 100], &[0, 0, 4, 0, 0xff]] {
        let bytes = request(&attribute(Attribute::ERROR_CODE, value));
        assert_eq!(Message::parse(&bytes).unwrap().error_code(), None, "{value:?}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = full_request(KEY);
    for len in 0..bytes.len() {
        assert!(Message::parse(&bytes[..len]).is_err(), "{len} bytes");
        // The same with a header that tells the truth.
        let mut cut = bytes[..len].to_vec();
        if let Some(length) = len.checked_sub(20) {
            cut[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        }
        assert!(Message::parse(&cut).map_or(true, |message| message.fingerprint() != Some(true)), "{len} bytes");
    }
}

#[test]
fn no_changed_byte_passes() {
    let bytes = full_request(KEY);
    let whole = Message::parse(&bytes).unwrap();
    let sealed = [IntegrityAlgorithm::Sha1, IntegrityAlgorithm::Sha256]
        .map(|algorithm| (algorithm, whole.value_range(algorithm.attribute()).unwrap().end));
    for at in 0..bytes.len() {
        for flip in 1..=u8::MAX {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            let Ok(message) = Message::parse(&changed) else { continue };
            for (algorithm, end) in sealed {
                let valid = message.verify_integrity(algorithm, KEY);
                assert!(!valid || at >= end, "{algorithm:?} with byte {at} changed by {flip:#x}");
            }
            assert_ne!(message.fingerprint(), Some(true), "byte {at} changed by {flip:#x}");
        }
    }
    assert!(sealed.iter().all(|(algorithm, _)| whole.verify_integrity(*algorithm, KEY)));
    assert_eq!(whole.fingerprint(), Some(true));
}

#[test]
fn what_follows_an_integrity_is_ignored() {
    let user = || attribute(Attribute::USERNAME, b"mallory");
    let sha1 = || attribute(Attribute::MESSAGE_INTEGRITY, &[1; 20]);
    let sha256 = || attribute(Attribute::MESSAGE_INTEGRITY_SHA256, &[2; 32]);
    let fingerprint = || attribute(Attribute::FINGERPRINT, &[3; 4]);
    let counting = |attributes: &[Vec<u8>]| {
        let bytes = request(&attributes.concat());
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.unknown_required(&[]).is_empty(), message.get(Attribute::USERNAME).is_none());
        message.attributes().map(|(attribute, _)| attribute.0).collect::<Vec<_>>()
    };
    assert_eq!(counting(&[user(), sha1(), user(), sha256(), user(), fingerprint()]), [0x06, 0x08, 0x1c, 0x8028]);
    assert_eq!(counting(&[sha1(), user(), sha1()]), [0x08]);
    assert_eq!(counting(&[sha256(), sha1(), user(), sha256(), fingerprint()]), [0x1c, 0x8028]);
}

#[test]
fn a_truncated_sha256_is_no_integrity() {
    // The HMAC is over a header that counts the truncated value.
    let mut head = request(&[]);
    head[3] = 20;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY), &head);
    let bytes = request(&attribute(Attribute::MESSAGE_INTEGRITY_SHA256, &tag.as_ref()[..16]));
    let message = Message::parse(&bytes).unwrap();
    assert!(message.has_integrity(IntegrityAlgorithm::Sha256));
    assert!(!message.verify_integrity(IntegrityAlgorithm::Sha256, KEY));
    // In full it counts.
    head[3] = 36;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY), &head);
    let bytes = request(&attribute(Attribute::MESSAGE_INTEGRITY_SHA256, tag.as_ref()));
    assert!(Message::parse(&bytes).unwrap().verify_integrity(IntegrityAlgorithm::Sha256, KEY));
}

#[test]
fn few_unknown_attributes_are_reported_and_each_once() {
    let attributes: Vec<u8> = (0..40u16).flat_map(|n| attribute(Attribute(0x7000 + n / 2), &[])).collect();
    let bytes = request(&attributes);
    let unknown = Message::parse(&bytes).unwrap().unknown_required(&[Attribute(0x7000)]);
    assert_eq!(unknown.as_slice(), [1, 2, 3, 4, 5, 6, 7, 8].map(|n| Attribute(0x7000 + n)));
    assert!(!unknown.spilled());
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(tail in proptest::collection::vec(any::<u8>(), 0..200), fix in any::<bool>()) {
        let mut bytes = request(&[]);
        bytes.extend_from_slice(&tail);
        if fix {
            bytes[2..4].copy_from_slice(&(tail.len() as u16).to_be_bytes());
        }
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert!(fix || tail.is_empty());
            for (attribute, value) in message.attributes() {
                let range = message.value_range(attribute).unwrap();
                prop_assert!(value.len() <= bytes.len() && range.end <= bytes.len());
                let _ = (message.address(attribute), message.xor_address(attribute), message.text(attribute));
            }
            prop_assert!(!message.verify_integrity(IntegrityAlgorithm::Sha1, KEY));
            prop_assert!(!message.verify_integrity(IntegrityAlgorithm::Sha256, KEY));
        }
    }
}
