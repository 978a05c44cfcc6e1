//! Which peers may be reached through the server.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::net::IpNetwork;

/// Where relayed packets may go and come from. Refused unless listed: everything that isn't a public unicast address, so
/// that nobody reaches through the server what it alone can reach.
#[derive(Clone, Debug, Default)]
pub struct PeerPolicy {
    /// Ranges that are permitted whatever they are, but for smaller ones among those that are refused.
    pub allow: Vec<IpNetwork>,
    /// Single addresses with their port that are permitted whatever they are: media sockets in the same process.
    pub allow_exactly: BTreeSet<SocketAddr>,
    /// Ranges that are refused, but for those among the permitted ones that are as small or smaller.
    pub deny: Vec<IpNetwork>,
    /// The server's own addresses: refused like those that aren't public.
    pub own: BTreeSet<IpAddr>,
}

impl PeerPolicy {
    /// Whether packets may be relayed to and from this peer.
    pub fn permits(&self, peer: SocketAddr) -> bool {
        self.permits_range(peer.ip())
            || (!self.allow_exactly.is_empty() && self.allow_exactly.contains(&canonical(peer)))
    }

    /// Whether a permission may be installed for this address, which covers all its ports (RFC 8656 section 3.3). Each
    /// packet is held to [`PeerPolicy::permits`] all the same.
    pub fn permits_some_port(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let lowest = SocketAddr::new(ip, 0);
        let exact = self.allow_exactly.range(lowest..).next().is_some_and(|address| address.ip() == ip);
        self.permits_range(ip) || exact
    }

    fn permits_range(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let smallest = |networks: &[IpNetwork]| {
            networks.iter().filter(|network| network.contains(ip)).map(|network| network.prefix_len).max()
        };
        match (smallest(&self.allow), smallest(&self.deny)) {
            (None, None) => is_public(ip) && !self.own.contains(&ip),
            (allowed, denied) => allowed >= denied,
        }
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether this is a global unicast address by the special-purpose registries of RFC 6890.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = match a {
        0 | 10 | 127 => true,
        100 => b & 0xc0 == 64, // shared by carriers (RFC 6598)
        169 => b == 254,       // link-local, and the metadata services of clouds
        172 => b & 0xf0 == 16,
        192 => (b == 0 && (c == 0 || c == 2)) || (b == 88 && c == 99) || b == 168,
        198 => b & 0xfe == 18 || (b == 51 && c == 100), // benchmarking, documentation
        203 => b == 0 && c == 113,
        _ => a >= 224, // multicast, reserved, broadcast
    };
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    // Of what IANA has given out as global unicast (2000::/3), documentation, benchmarking and the ranges that carry an
    // IPv4 address, of which none says whether that one is public: Teredo, 6to4.
    let global = first & 0xe000 == 0x2000;
    let special = match first {
        0x2001 => second == 0x0db8 || second < 0x0200,
        0x2002 => true,
        0x3fff => second < 0x1000,
        _ => false,
    };
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(policy: &PeerPolicy, peer: &str) -> bool {
        policy.permits(peer.parse().unwrap())
    }

    #[test]
    fn only_public_addresses_are_permitted_by_default() {
        let policy = PeerPolicy::default();
        for peer in ["8.8.8.8:1", "192.0.1.1:1", "172.32.0.1:1", "100.128.0.1:1", "[2606:4700::1]:1"] {
            assert!(permits(&policy, peer), "{peer}");
        }
        for peer in [
            "127.0.0.1:1",
            "10.0.0.1:1",
            "172.16.0.1:1",
            "192.168.1.1:1",
            "169.254.169.254:80",
            "100.64.0.1:1",
            "0.0.0.0:1",
            "224.0.0.1:1",
            "255.255.255.255:1",
            "198.18.0.1:1",
            "203.0.113.1:1",
            "[::1]:1",
            "[::]:1",
            "[fe80::1]:1",
            "[fd00::1]:1",
            "[ff02::1]:1",
            "[2001:db8::1]:1",
            "[2002:7f00:1::]:1",
            "[::ffff:127.0.0.1]:1",
            "[::ffff:10.0.0.1]:1",
            "[64:ff9b::7f00:1]:1",
        ] {
            assert!(!permits(&policy, peer), "{peer}");
        }
        assert!(permits(&policy, "[::ffff:8.8.8.8]:1"));
    }

    #[test]
    fn ranges_and_single_addresses_are_permitted_by_name() {
        let network = |address: &str, prefix_len| IpNetwork { address: address.parse().unwrap(), prefix_len };
        let policy = PeerPolicy {
            allow: vec![network("10.1.0.0", 16)],
            allow_exactly: ["127.0.0.1:40000".parse().unwrap()].into(),
            deny: vec![network("8.8.8.0", 24), network("10.1.2.0", 24), network("8.8.9.9", 32)],
            own: ["8.8.5.5".parse().unwrap(), "10.1.5.5".parse().unwrap()].into(),
        };
        assert!(permits(&policy, "10.1.1.3:5") && !permits(&policy, "10.2.0.1:5"));
        assert!(!permits(&policy, "10.1.2.3:5"), "the smaller range says more");
        let with = PeerPolicy { allow: vec![network("8.8.9.9", 32)], ..policy.clone() };
        assert!(permits(&with, "8.8.9.9:5") && !permits(&policy, "8.8.9.9:5"));
        assert!(!permits(&policy, "8.8.5.5:5"), "it is the server itself");
        assert!(permits(&policy, "10.1.5.5:5"), "it is as well, but it was named");
        assert!(!permits(&policy, "8.8.8.8:53") && permits(&policy, "8.8.4.4:53"));
        assert!(permits(&policy, "127.0.0.1:40000") && permits(&policy, "[::ffff:127.0.0.1]:40000"));
        assert!(!permits(&policy, "127.0.0.1:40001"));
        assert!(policy.permits_some_port("127.0.0.1".parse().unwrap()));
        assert!(!policy.permits_some_port("127.0.0.2".parse().unwrap()));
    }
}
