//! Against another implementation: each reads what the other writes.

use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use stun_types::attribute::{Attribute as _, RawAttribute, XorMappedAddress};
use stun_types::message as other;
use stun_types::message::{MessageWrite as _, MessageWriteExt as _};

use super::*;

/// The classes in both tongues.
const CLASSES: [(Class, other::MessageClass); 4] = [
    (Class::Request, other::MessageClass::Request),
    (Class::Indication, other::MessageClass::Indication),
    (Class::Success, other::MessageClass::Success),
    (Class::Error, other::MessageClass::Error),
];

/// A message with a long-term credential whose password hash is the one that the other implementation wants.
#[derive(Debug)]
struct Sample {
    class: usize,
    method: u16,
    transaction: [u8; 12],
    attributes: Vec<(u16, Vec<u8>)>,
    address: SocketAddr,
    sha256: bool,
    password: String,
}

impl Sample {
    fn key(&self) -> Key {
        let algorithm = if self.sha256 { PasswordAlgorithm::Sha256 } else { PasswordAlgorithm::Md5 };
        long_term_key(algorithm, "alice", "example.org", &self.password)
    }

    fn credentials(&self) -> other::MessageIntegrityCredentials {
        let [user, realm] = ["alice", "example.org"].map(str::to_owned);
        other::LongTermCredentials::new(user, self.password.clone()).to_key(realm).into()
    }

    fn algorithms(&self) -> (IntegrityAlgorithm, other::IntegrityAlgorithm) {
        match self.sha256 {
            true => (IntegrityAlgorithm::Sha256, other::IntegrityAlgorithm::Sha256),
            false => (IntegrityAlgorithm::Sha1, other::IntegrityAlgorithm::Sha1),
        }
    }

    fn ours(&self) -> Vec<u8> {
        let mut slot = [0xaa; 2048];
        let mut packet = PacketBuf::empty(&mut slot, 16);
        let (class, method, transaction) =
            (CLASSES[self.class].0, Method(self.method), TransactionId(self.transaction));
        let mut writer = MessageWriter::new(&mut packet, class, method, transaction).unwrap();
        for (number, value) in &self.attributes {
            writer.put(Attribute(*number), value).unwrap();
        }
        writer.put_xor_address(Attribute::XOR_MAPPED_ADDRESS, self.address).unwrap();
        writer.sign(self.algorithms().0, &self.key()).unwrap().fingerprint().unwrap();
        packet.as_slice().to_vec()
    }

    fn theirs(&self) -> Vec<u8> {
        let transaction = self.their_transaction();
        let kind = other::MessageType::from_class_method(CLASSES[self.class].1, other::Method::new(self.method));
        let mut writer = other::Message::builder(kind, transaction, other::MessageWriteVec::new());
        for (number, value) in &self.attributes {
            writer.add_attribute(&RawAttribute::new((*number).into(), value)).unwrap();
        }
        writer.add_attribute(&XorMappedAddress::new(self.address, transaction)).unwrap();
        writer.add_message_integrity(&self.credentials(), self.algorithms().1).unwrap();
        writer.add_fingerprint().unwrap();
        writer.finish()
    }

    fn their_transaction(&self) -> other::TransactionId {
        let mut bytes = [0; 16];
        bytes[4..].copy_from_slice(&self.transaction);
        u128::from_be_bytes(bytes).into()
    }
}

fn sample() -> impl Strategy<Value = Sample> {
    let attributes = vec((0x7000..0x9000u16, vec(any::<u8>(), 0..40)), 0..6);
    let fields =
        (0..4usize, 0..0x1000u16, any::<[u8; 12]>(), attributes, any::<SocketAddr>(), any::<bool>(), ".{1,20}");
    fields.prop_map(|(class, method, transaction, attributes, mut address, sha256, password)| {
        // Neither travels in STUN.
        if let SocketAddr::V6(address) = &mut address {
            address.set_flowinfo(0);
            address.set_scope_id(0);
        }
        // Taken only by a method of its own.
        let attributes = attributes.into_iter().filter(|(number, _)| *number != Attribute::FINGERPRINT.0).collect();
        Sample { class, method, transaction, attributes, address, sha256, password }
    })
}

proptest! {
    #[test]
    fn the_other_reads_what_we_write(sample in sample()) {
        let bytes = sample.ours();
        // It refuses a wrong FINGERPRINT itself.
        let message = other::Message::from_bytes(&bytes).unwrap();
        prop_assert_eq!(message.class(), CLASSES[sample.class].1);
        prop_assert_eq!(message.method().value(), sample.method);
        prop_assert_eq!(message.transaction_id(), sample.their_transaction());
        let raw = message.iter_attributes().map(|(_, raw)| raw);
        let read: Vec<_> = raw.map(|raw| (raw.get_type().value(), raw.value.to_vec())).collect();
        prop_assert_eq!(&read[..sample.attributes.len()], &sample.attributes[..]);
        let mapped = message.attribute::<XorMappedAddress>().unwrap();
        prop_assert_eq!(mapped.addr(message.transaction_id()), sample.address);
        prop_assert_eq!(message.validate_integrity(&sample.credentials()).unwrap(), sample.algorithms().1);
    }

    #[test]
    fn we_read_what_the_other_writes(sample in sample()) {
        let bytes = sample.theirs();
        let message = Message::parse(&bytes).unwrap();
        prop_assert_eq!(message.class(), CLASSES[sample.class].0);
        prop_assert_eq!(message.method(), Method(sample.method));
        prop_assert_eq!(message.transaction(), TransactionId(sample.transaction));
        let read: Vec<_> = message.attributes().map(|(attribute, value)| (attribute.0, value.to_vec())).collect();
        prop_assert_eq!(&read[..sample.attributes.len()], &sample.attributes[..]);
        prop_assert_eq!(message.xor_address(Attribute::XOR_MAPPED_ADDRESS), Ok(Some(sample.address)));
        prop_assert!(message.verify_integrity(sample.algorithms().0, &sample.key()));
        prop_assert_eq!(message.fingerprint(), Some(true));
        prop_assert_eq!(bytes, sample.ours());
    }
}
