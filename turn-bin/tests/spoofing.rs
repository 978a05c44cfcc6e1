//! A flood of requests under false addresses, from another machine, while calls are relayed.

mod common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};

use common::client::Client;
use common::network::{Network, OUTSIDE, SERVER};
use common::process::Process;
use common::strangers::{BYTES_OF_A_FLOOD, FLOOD};
use common::{Echo, metric, strangers};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

const LIVE: usize = 20;
/// IPPROTO_RAW: what is sent has its IP header (raw(7)).
const WITH_HEADER: i32 = 255;

#[test]
fn live_relays_lose_nothing_in_a_flood_under_false_addresses() {
    let Some(network) = Network::new() else { return };
    let program = network.on_server(env!("CARGO_BIN_EXE_webrtc-sip-turn"));
    let ips = ["--relay-ip", &SERVER.to_string(), "--allow-peer", &OUTSIDE.to_string()];
    let server = Process::start(program, SERVER.into(), &ips, LIVE);
    network.outside(|| {
        let mut live: Vec<Client> = (0..LIVE)
            .map(|_| {
                let mut client = Client::udp_from(OUTSIDE.into(), server.listen);
                client.allocate().expect("alice may");
                client
            })
            .collect();
        let before = server.memory();
        flood(server.listen, &mut live);
        let more = server.memory().saturating_sub(before);
        println!("{FLOOD} requests under as many addresses: {more} bytes");
        assert!(more < BYTES_OF_A_FLOOD, "{more} bytes more than before the flood");
        assert_eq!(metric(server.http, "wst_allocations{", ""), LIVE as u64);
        let answered = metric(server.http, "wst_refused_requests_total", "");
        let dropped = metric(server.http, "wst_dropped_packets_total", "limit_reached");
        println!("{answered} requests refused, {dropped} left without an answer");
        assert!(answered > LIVE as u64 && dropped > 0, "networks are answered so often and no more");
        live.iter_mut().for_each(|client| client.release().expect("it is still there"));
    });
    server.stop();
}

/// From an address of its own for each request, and many from networks of their own.
fn flood(server: SocketAddr, live: &mut [Client]) {
    let peer = Echo::at(UdpSocket::bind((OUTSIDE, 0)).expect("there is a free port"));
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(WITH_HEADER))).expect("root may");
    let (IpAddr::V4(ip), port) = (server.ip(), server.port()) else { panic!("{server}") };
    let destination = SockAddr::from(SocketAddrV4::new(ip, 0));
    strangers::flood(live, peer.address, |index, request| {
        // RFC 2544's network for such tests.
        let source = Ipv4Addr::new(198, 18 + (index & 1) as u8, (index >> 9) as u8, (index >> 1) as u8);
        let packet = datagram(source, (ip, port), request);
        let sent = socket.send_to(&packet, &destination).expect("root may");
        assert_eq!(sent, packet.len());
    });
}

/// UDP in IPv4, without the checksums: the system fills in that of IP, and that of UDP may be missing.
fn datagram(source: Ipv4Addr, (ip, port): (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    const IP_LEN: usize = 20;
    const UDP_LEN: usize = 8;
    const SOURCE_PORT: u16 = 4000;
    let mut packet = vec![0x45, 0];
    packet.extend(((IP_LEN + UDP_LEN + payload.len()) as u16).to_be_bytes());
    // No identification, no fragment, 64 hops, UDP, no checksum.
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend(source.octets());
    packet.extend(ip.octets());
    packet.extend(SOURCE_PORT.to_be_bytes());
    packet.extend(port.to_be_bytes());
    packet.extend(((UDP_LEN + payload.len()) as u16).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}
