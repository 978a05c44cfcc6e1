//! Address values (RFC 8489 sections 14.1 and 14.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::header::{MAGIC_COOKIE, TransactionId};

const FAMILY_IPV4: u8 = 1;
const FAMILY_IPV6: u8 = 2;
/// Length of a value with an IPv6 address.
pub(super) const MAX_LEN: usize = 20;

/// What XOR-*-ADDRESS attributes are hidden by: the port by the first two bytes, the address by as many as it has. Zeros
/// for the others.
#[derive(Clone, Copy)]
pub(super) struct Mask([u8; 16]);

impl Mask {
    pub(super) const NONE: Mask = Mask([0; 16]);

    pub(super) fn of(transaction: TransactionId) -> Self {
        let mut mask = [0; 16];
        mask[..4].copy_from_slice(&MAGIC_COOKIE);
        mask[4..].copy_from_slice(&transaction.0);
        Mask(mask)
    }

    fn apply<const N: usize>(self, mut bytes: [u8; N]) -> [u8; N] {
        bytes.iter_mut().zip(self.0).for_each(|(byte, mask)| *byte ^= mask);
        bytes
    }
}

/// The address in a value; None when the value has another form.
pub(super) fn decode(value: &[u8], mask: Mask) -> Option<SocketAddr> {
    let (&[_, family, port_high, port_low], address) = value.split_first_chunk()?;
    let port = u16::from_be_bytes(mask.apply([port_high, port_low]));
    let ip = match family {
        FAMILY_IPV4 => IpAddr::from(Ipv4Addr::from(mask.apply::<4>(address.try_into().ok()?))),
        FAMILY_IPV6 => IpAddr::from(Ipv6Addr::from(mask.apply::<16>(address.try_into().ok()?))),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Writes the value to the front of `storage` and returns it.
pub(super) fn encode(address: SocketAddr, mask: Mask, storage: &mut [u8; MAX_LEN]) -> &[u8] {
    storage[2..4].copy_from_slice(&mask.apply(address.port().to_be_bytes()));
    match address.ip() {
        IpAddr::V4(ip) => {
            storage[1] = FAMILY_IPV4;
            storage[4..8].copy_from_slice(&mask.apply(ip.octets()));
            &storage[..8]
        }
        IpAddr::V6(ip) => {
            storage[1] = FAMILY_IPV6;
            storage[4..].copy_from_slice(&mask.apply(ip.octets()));
            storage
        }
    }
}
