use std::net::SocketAddr;

use super::*;
use crate::io::NoRoom;

#[test]
fn every_method_and_class_comes_back() {
    for number in 0..0x1000 {
        for class in [Class::Request, Class::Indication, Class::Success, Class::Error] {
            let bytes = message(class, Method(number), |_| {});
            let message = Message::parse(&bytes).unwrap();
            assert_eq!((message.class(), message.method().0, message.transaction()), (class, number, TRANSACTION));
        }
    }
    // RFC 8656 section 17: Allocate request, its success and error, Send and Data indications.
    let first = |class, method| message(class, method, |_| {})[..2].to_vec();
    assert_eq!(first(Class::Request, Method::ALLOCATE), [0x00, 0x03]);
    assert_eq!(first(Class::Success, Method::ALLOCATE), [0x01, 0x03]);
    assert_eq!(first(Class::Error, Method::ALLOCATE), [0x01, 0x13]);
    assert_eq!(first(Class::Indication, Method::SEND), [0x00, 0x16]);
    assert_eq!(first(Class::Indication, Method::DATA), [0x00, 0x17]);
}

#[test]
fn values_come_back() {
    let addresses: [SocketAddr; 3] =
        ["192.0.2.1:1", "[2001:db8::1]:65535", "[::ffff:192.0.2.1]:80"].map(|a| a.parse().unwrap());
    let bytes = message(Class::Error, Method::ALLOCATE, |writer| {
        writer.put_error(437, "Allocation Mismatch").unwrap();
        writer.put_u32(Attribute::LIFETIME, 600).unwrap();
        writer.put_unknown(&[Attribute(0x7001), Attribute(0x7002), Attribute(0x7003)]).unwrap();
        writer.put_password_algorithms(&[PasswordAlgorithm::Sha256, PasswordAlgorithm::Md5]).unwrap();
        writer.put_password_algorithm(PasswordAlgorithm::Md5).unwrap();
        for address in addresses {
            writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, address).unwrap();
        }
        writer.put_address(Attribute::ALTERNATE_SERVER, addresses[1]).unwrap();
        writer.put(Attribute::DATA, b"12345").unwrap();
    });
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.error_code(), Some((437, "Allocation Mismatch")));
    assert_eq!(message.u32(Attribute::LIFETIME), Ok(Some(600)));
    assert_eq!(message.get(Attribute::UNKNOWN_ATTRIBUTES), Some(&[0x70, 1, 0x70, 2, 0x70, 3][..]));
    assert_eq!(message.get(Attribute::PASSWORD_ALGORITHMS), Some(&[0, 2, 0, 0, 0, 1, 0, 0][..]));
    assert_eq!(message.get(Attribute::PASSWORD_ALGORITHM), Some(&[0, 1, 0, 0][..]));
    let peers: Result<Vec<_>, _> = message.xor_addresses(Attribute::XOR_PEER_ADDRESS).collect();
    assert_eq!(peers.as_deref(), Ok(&addresses[..]));
    assert_eq!(message.address(Attribute::ALTERNATE_SERVER), Ok(Some(addresses[1])));
    let data = message.value_range(Attribute::DATA).unwrap();
    assert_eq!(bytes[data.clone()], *b"12345");
    assert_eq!(bytes[data.end..], [0; 3]);
}

#[test]
fn a_message_begins_where_the_packet_ends() {
    let mut slot = [0; 128];
    let mut packet = PacketBuf::empty(&mut slot, 8);
    packet.extend_from_slice(b"before").unwrap();
    let mut writer = MessageWriter::new(&mut packet, Class::Request, Method::BINDING, TRANSACTION).unwrap();
    writer.put_text(Attribute::SOFTWARE, "test").unwrap();
    writer.sign(IntegrityAlgorithm::Sha1, b"key").unwrap().fingerprint().unwrap();
    let message = Message::parse(&packet.as_slice()[6..]).unwrap();
    assert!(message.verify_integrity(IntegrityAlgorithm::Sha1, b"key"));
    assert_eq!(message.fingerprint(), Some(true));
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let mut slot = [0; 43];
    let mut packet = PacketBuf::empty(&mut slot, 0);
    let mut writer = MessageWriter::new(&mut packet, Class::Request, Method::BINDING, TRANSACTION).unwrap();
    writer.put_u32(Attribute::LIFETIME, 1).unwrap();
    assert_eq!(writer.put(Attribute::DATA, &[0; 12]).err(), Some(NoRoom));
    assert_eq!(writer.sign(IntegrityAlgorithm::Sha1, b"key").err(), Some(NoRoom));
    writer.fingerprint().unwrap();
    assert_eq!(writer.fingerprint().err(), Some(NoRoom));
    assert_eq!(Message::parse(packet.as_slice()).unwrap().fingerprint(), Some(true));
    assert_eq!(MessageWriter::new(&mut packet, Class::Request, Method::BINDING, TRANSACTION).err(), Some(NoRoom));

    // More than the header can count.
    let mut slot = vec![0; 200_000];
    let mut packet = PacketBuf::empty(&mut slot, 0);
    let mut writer = MessageWriter::new(&mut packet, Class::Request, Method::BINDING, TRANSACTION).unwrap();
    assert_eq!(writer.put(Attribute::DATA, &[0; 65_536]).err(), Some(NoRoom));
    assert_eq!(writer.put(Attribute::DATA, &[0; 65_532]).err(), Some(NoRoom));
    writer.put(Attribute::DATA, &[0; 65_528]).unwrap();
    assert_eq!(writer.put(Attribute::DATA, &[]).err(), Some(NoRoom));
    assert!(Message::parse(packet.as_slice()).is_ok());
}

#[test]
fn keys_are_hashes_of_the_credential_or_what_was_given() {
    let key = |algorithm| long_term_key(algorithm, "user", "realm", "pass");
    // printf 'user:realm:pass' | md5sum, and sha256sum
    assert_eq!(hex(&key(PasswordAlgorithm::Md5)), "8493fbc53ba582fb4c044c456bdc40eb");
    assert_eq!(
        hex(&key(PasswordAlgorithm::Sha256)),
        "07e934117abd40836e7c6329b54731b2b2d2a5f9a71f544922d75e0730d8251b"
    );
    assert_eq!(*Key::from_bytes(&[5; 20]).unwrap(), [5; 20]);
    assert!(Key::from_bytes(&[5; 33]).is_none());
    assert_eq!(format!("{:?}", key(PasswordAlgorithm::Md5)), "Key");
    for algorithm in [PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256] {
        assert_eq!(PasswordAlgorithm::from_number(algorithm.number()), Some(algorithm));
    }
    assert_eq!(PasswordAlgorithm::from_number(3), None);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn requirement_is_told_by_the_number() {
    assert!(Attribute::USERHASH.is_required() && Attribute(0x7fff).is_required());
    assert!(!Attribute::ADDITIONAL_ADDRESS_FAMILY.is_required() && !Attribute::FINGERPRINT.is_required());
}
