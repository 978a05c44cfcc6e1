//! A TURN server around the core's state machine: a socket for clients, sockets for peers as they are wanted, and one
//! plain loop.
//!
//! ```text
//! cargo run --package examples --bin turn_in_fifty_lines -- 127.0.0.1:3478
//! turnutils_uclient -c -u alice -w wonder -e 127.0.0.1 -r 9 127.0.0.1     # from coturn, where something listens on 9
//! ```
//! (-c: without a second allocation at the port above.) Port 0 takes any; what was taken is printed. Clients come over UDP as `alice` with `wonder`, and reach peers on
//! loopback too. A real loop would wait with epoll instead of looking once a millisecond, and bind sockets from a range.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use webrtc_sip_core::crypto::CryptoProvider;
use webrtc_sip_core::io::{PacketBuf, SocketId, Transmit};
use webrtc_sip_core::net::IpNetwork;
use webrtc_sip_core::turn::{HEADROOM, Listener, PeerPolicy, RelaySocket, Tenant, TurnConfig, TurnEvent, TurnServer};

/// Any datagram, with room before and after it.
const SLOT: usize = HEADROOM + 65_535 + 64;

fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::args().nth(1).ok_or("usage: turn_in_fifty_lines IP:PORT")?;
    let listener = bind(listen.parse()?)?;
    let address = listener.local_addr()?;
    println!("TURN on {address}");
    let crypto = CryptoProvider::system();
    let loopback = IpNetwork { address: [127, 0, 0, 0].into(), prefix_len: 8 };
    let alice = ("alice".to_owned(), "wonder".to_owned());
    let config = TurnConfig {
        listeners: vec![Listener { socket: SocketId(0), address }],
        tenants: Tenant { users: vec![alice], ..Tenant::default() }.into(),
        nonce_key: crypto.bytes(),
        peers: PeerPolicy { allow: vec![loopback], ..PeerPolicy::default() },
        ..TurnConfig::default()
    };
    let mut server = TurnServer::new(Instant::now(), SystemTime::now(), config, crypto);
    let mut sockets = BTreeMap::from([(SocketId(0), listener)]);
    let mut next_socket = 1;
    let mut storage = vec![0; SLOT];
    loop {
        for (id, socket) in &sockets {
            while let Ok((len, source)) = socket.recv_from(&mut storage[HEADROOM..SLOT - 64]) {
                let mut packet = PacketBuf::filled(&mut storage, HEADROOM, len);
                if let Some(transmit) = server.handle_datagram(Instant::now(), *id, source, &mut packet) {
                    send(&sockets, transmit, packet.as_slice()); // relayed, or answered
                }
            }
        }
        server.handle_timeout(Instant::now());
        while let Some(event) = server.poll_event() {
            match event {
                TurnEvent::Request { id, .. } => {
                    let (relay, socket) = (bind(SocketAddr::new(address.ip(), 0))?, SocketId(next_socket));
                    let bound = RelaySocket { socket, address: relay.local_addr()? };
                    sockets.insert(socket, relay);
                    next_socket += 1;
                    server.handle_answer(Instant::now(), id, &[bound]);
                }
                TurnEvent::CloseSocket(socket) => drop(sockets.remove(&socket)),
                other => println!("{other:?}"),
            }
        }
        let mut packet = PacketBuf::empty(&mut storage, HEADROOM);
        while let Some(transmit) = server.poll_transmit(Instant::now(), &mut packet) {
            send(&sockets, transmit, packet.as_slice());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn send(sockets: &BTreeMap<SocketId, UdpSocket>, transmit: Transmit, bytes: &[u8]) {
    if let Transmit::Datagram { socket, destination } = transmit {
        // What the system doesn't take is lost, as datagrams may be.
        let _ = sockets[&socket].send_to(bytes, destination);
    }
}
