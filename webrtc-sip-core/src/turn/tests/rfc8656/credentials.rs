//! The credentials of RFC 8489 section 9.2.

use super::*;
use crate::io::PacketBuf;
use crate::stun::{Class, MessageWriter, TransactionId};

/// RFC 8489 section 9.2.4, in its order: which attributes of the credentials there are, and the code.
#[test]
fn rfc_8489_section_9_2_4_credentials() {
    const ALGORITHMS: (Attribute, &[u8]) = (Attribute::PASSWORD_ALGORITHMS, &[0, 2, 0, 0, 0, 1, 0, 0]);
    const ONLY_MD5: (Attribute, &[u8]) = (Attribute::PASSWORD_ALGORITHMS, &[0, 1, 0, 0]);
    const MD5: (Attribute, &[u8]) = (Attribute::PASSWORD_ALGORITHM, &[0, 1, 0, 0]);
    const SHA1: (Attribute, &[u8]) = (Attribute::PASSWORD_ALGORITHM, &[0, 9, 0, 0]);
    const USER: (Attribute, &[u8]) = (Attribute::USERNAME, b"alice");
    const NOBODY: (Attribute, &[u8]) = (Attribute::USERNAME, b"nobody");
    const LONG: (Attribute, &[u8]) = (Attribute::USERNAME, &[b'a'; 509]);
    const NO_TEXT: (Attribute, &[u8]) = (Attribute::USERNAME, &[0xff]);
    const HASH: (Attribute, &[u8]) = (Attribute::USERHASH, &[0; 32]);
    const HERE: (Attribute, &[u8]) = (Attribute::REALM, REALM.as_bytes());
    const ELSEWHERE: (Attribute, &[u8]) = (Attribute::REALM, b"elsewhere");
    const STALE: (Attribute, &[u8]) = (Attribute::NONCE, b"obMatJos2gAAA0000000000000000000000000000");
    let mut scene = Scene::new(config());
    let client = Client::alice();
    let nonce = scene.once(&client, Method::ALLOCATE, &[UDP]).text(Attribute::NONCE);
    let nonce = (Attribute::NONCE, nonce.as_bytes());
    // What stands before the integrity, whose key is right, and the code.
    let rows: [(Attributes<'_>, u16); 15] = [
        (&[UDP, USER, HERE, nonce], 200),
        (&[USER, nonce, HERE, UDP], 437),
        (&[UDP, HERE, nonce], 400),
        (&[UDP, HASH, HERE, nonce], 400),
        (&[UDP, USER, nonce], 400),
        (&[UDP, USER, HERE], 400),
        (&[UDP, LONG, HERE, nonce], 400),
        (&[UDP, NO_TEXT, HERE, nonce], 400),
        (&[UDP, USER, HERE, nonce, ALGORITHMS], 400),
        (&[UDP, USER, HERE, nonce, MD5], 400),
        (&[UDP, USER, HERE, nonce, ONLY_MD5, MD5], 400),
        (&[UDP, USER, HERE, nonce, ALGORITHMS, SHA1], 400),
        (&[UDP, NOBODY, HERE, nonce], 401),
        (&[UDP, USER, ELSEWHERE, nonce], 401),
        (&[UDP, USER, HERE, STALE], 438),
    ];
    for (attributes, code) in rows {
        let transaction = scene.transaction();
        let bytes = signed(attributes, &client.key(), transaction);
        let answer = scene.exchange(client.path, &bytes).unwrap();
        assert_eq!(answer.code(), code, "{attributes:?}");
        let asks_again = matches!(code, 401 | 438);
        for attribute in [Attribute::REALM, Attribute::NONCE, Attribute::PASSWORD_ALGORITHMS] {
            assert_eq!(answer.message().get(attribute).is_some(), asks_again, "{attributes:?}");
        }
        for attribute in [Attribute::USERNAME, Attribute::USERHASH] {
            assert!(answer.message().get(attribute).is_none());
        }
        assert_eq!(answer.message().has_integrity(IntegrityAlgorithm::Sha1), matches!(code, 200 | 437));
    }
    // Without an integrity, and with a wrong one.
    let transaction = scene.transaction();
    for bytes in
        [bare(Method::REFRESH, &[USER, HERE, nonce], false), signed(&[USER, HERE, nonce], b"wrong", transaction)]
    {
        assert_eq!(scene.exchange(client.path, &bytes).unwrap().code(), 401);
    }
}

fn signed(attributes: Attributes<'_>, key: &[u8], transaction: TransactionId) -> Vec<u8> {
    let mut slot = [0; 1500];
    let mut packet = PacketBuf::empty(&mut slot, 0);
    let mut writer = MessageWriter::new(&mut packet, Class::Request, Method::ALLOCATE, transaction).unwrap();
    for (attribute, value) in attributes {
        writer.put(*attribute, value).unwrap();
    }
    writer.sign(IntegrityAlgorithm::Sha1, key).unwrap();
    packet.as_slice().to_vec()
}
