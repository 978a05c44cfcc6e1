//! The sockets of NAT behaviour discovery (RFC 5780 section 6): two addresses with the same two ports.

use std::net::{IpAddr, SocketAddr};

use webrtc_sip_core::turn::{Discovery, Listener};

/// The addresses to listen on, by IP address and then by port, where `primary` is the first one of `listen`.
pub(crate) fn addresses(primary: SocketAddr, alternate: SocketAddr) -> [[SocketAddr; 2]; 2] {
    [primary.ip(), alternate.ip()].map(|ip| [primary.port(), alternate.port()].map(|port| SocketAddr::new(ip, port)))
}

/// Which of the listeners have these addresses, under the addresses that clients are told. None until all are there.
pub(crate) fn sockets(
    addresses: [[SocketAddr; 2]; 2],
    external_ips: &[IpAddr],
    listeners: &[Listener],
) -> Option<Discovery> {
    let mut sockets = Vec::with_capacity(4);
    for (at, address) in addresses.iter().enumerate().flat_map(|(at, ports)| ports.map(|address| (at, address))) {
        let Listener { socket, .. } = *listeners.iter().find(|listener| listener.address == address)?;
        let ip = external_ips.get(at).copied().unwrap_or(address.ip());
        sockets.push(Listener { socket, address: SocketAddr::new(ip, address.port()) });
    }
    let [first, second, third, fourth] = sockets.try_into().ok()?;
    Some(Discovery { sockets: [[first, second], [third, fourth]] })
}

#[cfg(test)]
mod tests {
    use webrtc_sip_core::io::SocketId;

    use super::*;

    #[test]
    fn two_addresses_have_the_same_two_ports() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let all = addresses(address("10.0.0.1:3478"), address("10.0.0.2:3479"));
        let expected = [["10.0.0.1:3478", "10.0.0.1:3479"], ["10.0.0.2:3478", "10.0.0.2:3479"]];
        assert_eq!(all, expected.map(|ports| ports.map(address)));
        // Whatever their order, and whichever were to be listened on anyway.
        let listeners: Vec<_> =
            (0..4).zip(all.concat()).map(|(n, a)| Listener { socket: SocketId(n), address: a }).rev().collect();
        let found = sockets(all, &[], &listeners).unwrap();
        assert_eq!(found.sockets.map(|ports| ports.map(|port| port.address)), all);
        assert_eq!(found.sockets.map(|ports| ports.map(|port| port.socket.0)), [[0, 1], [2, 3]]);
        let external = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let found = sockets(all, &external, &listeners).unwrap();
        assert_eq!(found.sockets[1][0].address, address("192.0.2.2:3478"));
        assert_eq!(sockets(all, &[], &listeners[1..]), None);
    }
}
