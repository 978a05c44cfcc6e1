//! What strangers send, and how many of them there may be.

use std::net::SocketAddr;

use webrtc_sip_core::io::PacketBuf;
use webrtc_sip_core::stun::{Attribute, Class, MessageWriter, Method, TransactionId};

use super::client::Client;

/// Requests of a flood.
pub(crate) const FLOOD: usize = 100_000;
/// Requests of the flood between one packet of each live relay and the next. They and the packets fit into the buffers
/// of the system, so that what is lost is lost by the server.
const BURST: usize = 200;
/// Resident memory that a flood may leave: what the allocator keeps.
pub(crate) const BYTES_OF_A_FLOOD: u64 = 2 << 20;

/// Sends the flood, and packets from the live clients to `peer` all the while; each comes back. `send` is given the number
/// of a request and the request.
pub(crate) fn flood(live: &mut [Client], peer: SocketAddr, mut send: impl FnMut(usize, &[u8])) {
    for client in &mut *live {
        client.bind(peer).expect("it is allowed");
    }
    let requests = requests();
    for burst in 0..FLOOD / BURST {
        let data = (burst as u64).to_be_bytes();
        for request in 0..BURST {
            if request == BURST / 2 {
                live.iter_mut().for_each(|client| client.send(&data));
            }
            let index = burst * BURST + request;
            send(index, &requests[index % requests.len()]);
        }
        for client in &mut *live {
            assert_eq!(client.receive(), data, "burst {burst}");
        }
    }
}

/// Requests without credentials and with wrong ones, questions, rubbish.
fn requests() -> Vec<Vec<u8>> {
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
