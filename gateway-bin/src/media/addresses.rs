//! The machine's own addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The local address from which the system would send to `destination`; nothing is sent to find out.
pub(crate) fn local_address_towards(destination: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if destination.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    // The port matters only in so far as 0 is refused.
    socket.connect((destination.ip(), destination.port().max(1)))?;
    Ok(socket.local_addr()?.ip())
}

/// Loopback, and the address with which this machine reaches others where it has one, for IPv4 and IPv6.
///
/// A page that the browser got from this machine reaches either; stock Firefox does not pair loopback candidates.
pub(crate) fn candidate_addresses() -> Vec<IpAddr> {
    // Documentation addresses (RFC 5737, RFC 3849): they are routed like any other address of the world.
    let elsewhere = [
        SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9)),
        SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9)),
    ];
    let mut addresses = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
    for destination in elsewhere {
        match local_address_towards(destination) {
            Ok(address) if !address.is_loopback() && !address.is_unspecified() => addresses.push(address),
            _ => {}
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reached_from_loopback() {
        let towards = local_address_towards(SocketAddr::from((Ipv4Addr::LOCALHOST, 5060))).unwrap();
        assert_eq!(towards, IpAddr::from(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn candidates_begin_with_loopback_and_are_distinct() {
        let addresses = candidate_addresses();
        assert_eq!(addresses[0], IpAddr::from(Ipv4Addr::LOCALHOST));
        assert!(addresses[1..].iter().all(|address| !address.is_loopback()));
    }
}
