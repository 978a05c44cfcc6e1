//! What strangers send.

use webrtc_sip_core::io::PacketBuf;
use webrtc_sip_core::stun::{Attribute, Class, MessageWriter, Method, TransactionId};

/// Requests without credentials and with wrong ones, questions, rubbish.
pub(crate) fn requests() -> Vec<Vec<u8>> {
    let request = |method, attributes: &[(Attribute, &[u8])]| {
        let mut slot = [0; 500];
        let mut packet = PacketBuf::empty(&mut slot, 0);
        let mut writer =
            MessageWriter::new(&mut packet, Class::Request, method, TransactionId([7; 12])).expect("it fits");
        for (attribute, value) in attributes {
            writer.put(*attribute, value).expect("it fits");
        }
        packet.as_slice().to_vec()
    };
    let udp = (Attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0][..]);
    let false_name = [
        (Attribute::USERNAME, &b"alice"[..]),
        (Attribute::REALM, b"example.org"),
        (Attribute::NONCE, b"obMatJos2gAAA0000000000000000000"),
        (Attribute::MESSAGE_INTEGRITY, &[0; 20]),
    ];
    vec![
        request(Method::ALLOCATE, &[udp]),
        request(Method::ALLOCATE, &[&[udp][..], &false_name].concat()),
        request(Method::REFRESH, &false_name),
        request(Method::BINDING, &[]),
        request(Method::CREATE_PERMISSION, &[]),
        vec![0x40, 1, 0, 4, 1, 2, 3, 4],
        vec![0; 40],
    ]
}
