mod malformed;
mod oracle;
mod vectors;
mod writing;

use super::*;
use crate::io::PacketBuf;

const TRANSACTION: TransactionId = TransactionId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);

/// The message that `write` makes.
fn message(class: Class, method: Method, write: impl FnOnce(&mut MessageWriter<'_, '_>)) -> Vec<u8> {
    let mut slot = [0xaa; 2048];
    let mut packet = PacketBuf::empty(&mut slot, 0);
    write(&mut MessageWriter::new(&mut packet, class, method, TRANSACTION).unwrap());
    packet.as_slice().to_vec()
}

/// A request that has all that this layer checks.
fn full_request(key: &[u8]) -> Vec<u8> {
    message(Class::Request, Method::ALLOCATE, |writer| {
        writer.put_text(Attribute::USERNAME, "alice").unwrap();
        writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, "[2001:db8::1]:5000".parse().unwrap()).unwrap();
        writer.sign(IntegrityAlgorithm::Sha1, key).unwrap();
        writer.sign(IntegrityAlgorithm::Sha256, key).unwrap();
        writer.fingerprint().unwrap();
    })
}
