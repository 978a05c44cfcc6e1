//! Which relayed datagrams may be fragmented: all (RFC 8656 section 14), but for those of which the client says otherwise by
//! DONT-FRAGMENT.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover};

/// Prepares a relay socket at this address.
pub(crate) fn allow(socket: &UdpSocket, address: SocketAddr) -> io::Result<()> {
    match address {
        // The system's own way would set the bit on every datagram that fits the path as far as it knows.
        SocketAddr::V4(_) => set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DONT)?,
        // No router fragments; the system does, at the size that it knows to pass.
        SocketAddr::V6(_) => set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::WANT)?,
    }
    Ok(())
}

/// Sends one datagram that nobody fragments.
///
/// # Errors
/// It is longer than what passes, or can't be sent.
pub(crate) fn send_unfragmented(socket: &UdpSocket, packet: &[u8], destination: SocketAddr) -> io::Result<()> {
    match destination {
        SocketAddr::V4(_) => set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DO)?,
        SocketAddr::V6(_) => set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DO)?,
    }
    let sent = socket.send_to(packet, destination);
    allow(socket, destination)?;
    sent.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::{ip_mtu_discover, ipv6_mtu_discover};

    #[test]
    fn a_socket_fragments_again_after_what_it_must_not() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let peer = UdpSocket::bind(local).unwrap();
            let socket = UdpSocket::bind(local).unwrap();
            allow(&socket, socket.local_addr().unwrap()).unwrap();
            send_unfragmented(&socket, b"whole", peer.local_addr().unwrap()).unwrap();
            let mut bytes = [0; 10];
            assert_eq!(peer.recv(&mut bytes).unwrap(), 5);
            match local {
                "[::1]:0" => assert_eq!(ipv6_mtu_discover(&socket).unwrap(), Ipv6PathMtuDiscovery::WANT),
                _ => assert_eq!(ip_mtu_discover(&socket).unwrap(), Ipv4PathMtuDiscovery::DONT),
            }
        }
    }
}
