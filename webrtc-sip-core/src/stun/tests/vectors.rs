//! The messages of RFC 5769.

use super::*;
use crate::test_data;

/// Each with its short-term password where it has one.
const SHORT_TERM: [&str; 3] = ["req", "respv4", "respv6"];
const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

fn vector(name: &str) -> Option<Vec<u8>> {
    let path = test_data::path(&format!("stun/rfc5769/{name}.bin"))?;
    Some(std::fs::read(path).unwrap())
}

#[test]
fn a_request_with_a_short_term_credential() {
    let Some(bytes) = vector("req") else { return };
    let request = Message::parse(&bytes).unwrap();
    assert_eq!((request.class(), request.method()), (Class::Request, Method::BINDING));
    assert_eq!(request.transaction().0[..4], [0xb7, 0xe7, 0xa7, 0x01]);
    assert_eq!(request.text(Attribute::SOFTWARE), Ok(Some("STUN test client")));
    assert_eq!(request.text(Attribute::USERNAME), Ok(Some("evtj:h6vY")));
    assert_eq!(request.u32(Attribute(0x0024)), Ok(Some(0x6e00_01ff)));
    assert_eq!(request.unknown_required(&[Attribute::USERNAME]).as_slice(), [Attribute(0x0024)]);
    assert_eq!(peek::target(&bytes), Some(peek::Target::Request { local_ufrag: "evtj" }));
    assert_eq!(peek::request_transaction(&bytes), Some(request.transaction()));
}

#[test]
fn responses_with_a_mapped_address() {
    for (name, mapped) in [("respv4", "192.0.2.1:32853"), ("respv6", "[2001:db8:1234:5678:11:2233:4455:6677]:32853")] {
        let Some(bytes) = vector(name) else { return };
        let response = Message::parse(&bytes).unwrap();
        assert_eq!((response.class(), response.method()), (Class::Success, Method::BINDING));
        assert_eq!(response.xor_address(Attribute::XOR_MAPPED_ADDRESS), Ok(Some(mapped.parse().unwrap())));
        assert_eq!(peek::target(&bytes), Some(peek::Target::Response { transaction: response.transaction() }));
        assert_eq!(peek::request_transaction(&bytes), None);
    }
}

#[test]
fn short_term_integrity_and_fingerprint_verify() {
    for name in SHORT_TERM {
        let Some(bytes) = vector(name) else { return };
        let message = Message::parse(&bytes).unwrap();
        assert!(message.verify_integrity(IntegrityAlgorithm::Sha1, PASSWORD), "{name}");
        assert!(!message.verify_integrity(IntegrityAlgorithm::Sha1, b"another password"), "{name}");
        assert!(!message.has_integrity(IntegrityAlgorithm::Sha256), "{name}");
        assert!(!message.verify_integrity(IntegrityAlgorithm::Sha256, PASSWORD), "{name}");
        assert_eq!(message.fingerprint(), Some(true), "{name}");
    }
}

#[test]
fn a_request_with_a_long_term_credential() {
    let Some(bytes) = vector("reqltc") else { return };
    let request = Message::parse(&bytes).unwrap();
    let user = request.text(Attribute::USERNAME).unwrap().unwrap();
    let realm = request.text(Attribute::REALM).unwrap().unwrap();
    assert_eq!((user, realm), ("マトリックス", "example.org"));
    assert_eq!(request.text(Attribute::NONCE), Ok(Some("f//499k954d6OL34oL9FSTvy64sA")));
    let verifies = |algorithm, password| {
        request.verify_integrity(IntegrityAlgorithm::Sha1, &long_term_key(algorithm, user, realm, password))
    };
    assert!(verifies(PasswordAlgorithm::Md5, "TheMatrIX"));
    assert!(!verifies(PasswordAlgorithm::Md5, "thematrix"));
    assert!(!verifies(PasswordAlgorithm::Sha256, "TheMatrIX"));
    assert_eq!(request.fingerprint(), None);
}
