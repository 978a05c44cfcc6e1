//! The RTP port range: pairs of an even port for RTP and the next one for RTCP (RFC 3550 section 11).

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// How many pairs taken by other programs are skipped before a call is refused.
const MAX_BIND_ATTEMPTS: usize = 64;

/// Which pairs of the configured range are taken. Pairs are handed out round robin from a random start, so that a port
/// is reused as late as possible and late packets of an old call don't reach a new one.
#[derive(Debug)]
pub(crate) struct PortRange {
    first: u16,
    taken: Vec<bool>,
    next: usize,
    in_use: usize,
}

/// A bound RTP/RTCP pair.
#[derive(Debug)]
pub(crate) struct BoundPair {
    /// Bound to the even port.
    pub(crate) rtp: UdpSocket,
    /// Bound to the port after it.
    pub(crate) rtcp: UdpSocket,
    /// The address of the RTP socket.
    pub(crate) address: SocketAddr,
}

impl PortRange {
    /// Pairs inside `low..=high`; `start` is any random number.
    pub(crate) fn new(low: u16, high: u16, start: u64) -> Self {
        let first = low.saturating_add(low % 2);
        let pairs = usize::from(high.saturating_add(1).saturating_sub(first) / 2);
        let next = start.checked_rem(pairs as u64).unwrap_or(0) as usize;
        PortRange { first, taken: vec![false; pairs], next, in_use: 0 }
    }

    /// Binds a free pair on `ip`; none when the range is used up.
    pub(crate) fn bind(&mut self, ip: IpAddr) -> Option<BoundPair> {
        let mut attempts = 0;
        for _ in 0..self.taken.len() {
            let index = self.next;
            self.next = (index + 1) % self.taken.len();
            if self.taken[index] {
                continue;
            }
            if let Ok(pair) = bind_pair(SocketAddr::new(ip, self.first + 2 * index as u16)) {
                self.taken[index] = true;
                self.in_use += 1;
                return Some(pair);
            }
            attempts += 1;
            if attempts == MAX_BIND_ATTEMPTS {
                break;
            }
        }
        None
    }

    /// Gives the pair of `rtp_port` back.
    pub(crate) fn release(&mut self, rtp_port: u16) {
        let index = usize::from(rtp_port.saturating_sub(self.first) / 2);
        if let Some(taken) = self.taken.get_mut(index).filter(|taken| **taken) {
            *taken = false;
            self.in_use -= 1;
        }
    }

    /// Ports in use, two a pair.
    pub(crate) fn ports_in_use(&self) -> usize {
        2 * self.in_use
    }

    /// Ports in the range.
    pub(crate) fn capacity(&self) -> usize {
        2 * self.taken.len()
    }
}

fn bind_pair(address: SocketAddr) -> io::Result<BoundPair> {
    let rtp = UdpSocket::bind(address)?;
    let rtcp = UdpSocket::bind((address.ip(), address.port() + 1))?;
    rtp.set_nonblocking(true)?;
    rtcp.set_nonblocking(true)?;
    Ok(BoundPair { rtp, rtcp, address })
}

#[cfg(test)]
mod tests {
    use super::*;

    // No other test's: on it nobody is given a port that was found to be free.
    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 8));

    /// The first of `count` ports in a row above `from` that nobody else has right now.
    fn free_ports(from: u16, count: u16) -> u16 {
        let is_free = |port: u16| UdpSocket::bind((LOOPBACK, port)).is_ok();
        let free = (from..from + 5_000).step_by(4).find(|first| (*first..first + count).all(is_free));
        free.expect("there are that many free ports in a row")
    }

    #[test]
    fn pairs_are_even_and_odd_and_come_back_last() {
        let first = free_ports(40_000, 12);
        let mut range = PortRange::new(first + 1, first + 10, 7);
        assert_eq!(range.capacity(), 8);
        let pair = range.bind(LOOPBACK).unwrap();
        let port = pair.address.port();
        assert_eq!(port % 2, 0);
        assert!((first + 2..=first + 8).contains(&port));
        assert_eq!(pair.rtcp.local_addr().unwrap().port(), port + 1);
        drop(pair);
        range.release(port);
        assert_ne!(range.bind(LOOPBACK).unwrap().address.port(), port);
    }

    #[test]
    fn a_used_up_range_refuses_and_a_foreign_socket_is_skipped() {
        let first = free_ports(45_000, 4);
        let mut range = PortRange::new(first, first + 3, 0);
        let foreign = UdpSocket::bind((LOOPBACK, first + 1)).unwrap();
        let pair = range.bind(LOOPBACK).unwrap();
        assert_eq!(pair.address.port(), first + 2);
        assert!(range.bind(LOOPBACK).is_none());
        drop(foreign);
        assert!(range.bind(LOOPBACK).is_some());
        assert_eq!(range.ports_in_use(), 4);
        range.release(first + 2);
        range.release(first + 2);
        assert_eq!(range.ports_in_use(), 2);
    }

    #[test]
    fn the_highest_ports_are_usable() {
        assert_eq!(PortRange::new(65_000, 65_535, 0).capacity(), 534);
    }
}
