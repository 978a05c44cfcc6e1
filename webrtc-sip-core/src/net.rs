//! Addresses: ranges of them.

use std::net::IpAddr;

/// An address range in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNetwork {
    /// Any address in it.
    pub address: IpAddr,
    /// Number of leading bits that count.
    pub prefix_len: u8,
}

impl IpNetwork {
    /// Whether `ip` lies in this range. IPv4-mapped IPv6 addresses count as IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address.to_canonical(), ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(self.prefix_len.min(32));
                u32::from(net).checked_shr(shift).unwrap_or(0) == u32::from(ip).checked_shr(shift).unwrap_or(0)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(self.prefix_len.min(128));
                u128::from(net).checked_shr(shift).unwrap_or(0) == u128::from(ip).checked_shr(shift).unwrap_or(0)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_they_should() {
        let net = |address: &str, prefix_len| IpNetwork { address: address.parse().unwrap(), prefix_len };
        assert!(net("10.1.0.0", 16).contains("10.1.255.1".parse().unwrap()));
        assert!(!net("10.1.0.0", 16).contains("10.2.0.1".parse().unwrap()));
        assert!(net("0.0.0.0", 0).contains("192.0.2.1".parse().unwrap()));
        assert!(!net("0.0.0.0", 0).contains("::1".parse().unwrap()));
        assert!(net("127.0.0.0", 8).contains("::ffff:127.0.0.1".parse().unwrap()));
        assert!(net("fe80::", 10).contains("fe80::1".parse().unwrap()));
    }
}
