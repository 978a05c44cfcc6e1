//! Wrong passwords by source address: past a few, an address has to wait before it may try another.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// One wrong password is forgotten in this time.
const FORGET: Duration = Duration::from_secs(30);
/// Addresses remembered; past it the one that is nearest to being forgotten goes.
const MAX_SOURCES: usize = 8192;

/// Who guessed wrong lately.
#[derive(Debug)]
pub(crate) struct Guesses {
    /// Wrong passwords that an address may have to its name.
    limit: u32,
    /// When everything an address did will be forgotten.
    forgotten_at: BTreeMap<IpAddr, Instant>,
    refused: u64,
}

impl Guesses {
    /// Lets each address have `limit` wrong passwords in a row.
    pub(crate) fn new(limit: u32) -> Self {
        Guesses { limit, forgotten_at: BTreeMap::new(), refused: 0 }
    }

    /// Whether a password from here may be looked at; counts when it may not.
    pub(crate) fn admit(&mut self, now: Instant, source: IpAddr) -> bool {
        let remembered = self.forgotten_at.get(&network_of(source));
        let wrong = remembered.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let admitted = wrong <= FORGET * self.limit.saturating_sub(1);
        self.refused += u64::from(!admitted);
        admitted
    }

    /// A password from here was wrong.
    pub(crate) fn failed(&mut self, now: Instant, source: IpAddr) {
        let source = network_of(source);
        if self.forgotten_at.len() >= MAX_SOURCES && !self.forgotten_at.contains_key(&source) {
            self.forgotten_at.retain(|_, at| *at > now);
            if self.forgotten_at.len() >= MAX_SOURCES
                && let Some(least) = self.forgotten_at.iter().min_by_key(|(_, at)| **at).map(|(source, _)| *source)
            {
                self.forgotten_at.remove(&least);
            }
        }
        let at = self.forgotten_at.entry(source).or_insert(now);
        *at = (*at).max(now) + FORGET;
    }

    /// Passwords that weren't looked at.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }
}

/// A home or a machine has a whole /64 of IPv6 to itself (RFC 6177), so that counts as one.
fn network_of(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_few_wrong_passwords_then_one_now_and_then() {
        let (mut guesses, now, source) = (Guesses::new(3), Instant::now(), ip("192.0.2.1"));
        for _ in 0..3 {
            assert!(guesses.admit(now, source));
            guesses.failed(now, source);
        }
        assert!(!guesses.admit(now, source));
        assert!(guesses.admit(now, ip("192.0.2.2")));
        assert!(guesses.admit(now + FORGET, source));
        guesses.failed(now + FORGET, source);
        assert!(!guesses.admit(now + FORGET, source));
        assert!(guesses.admit(now + 4 * FORGET, source));
        assert_eq!(guesses.refused(), 2);
    }

    #[test]
    fn ipv6_counts_by_network_and_mapped_addresses_as_ipv4() {
        let (mut guesses, now) = (Guesses::new(1), Instant::now());
        guesses.failed(now, ip("2001:db8::1"));
        guesses.failed(now, ip("::ffff:192.0.2.1"));
        assert!(!guesses.admit(now, ip("2001:db8::2")));
        assert!(guesses.admit(now, ip("2001:db8:0:1::1")));
        assert!(!guesses.admit(now, ip("192.0.2.1")));
    }

    #[test]
    fn the_table_is_bounded_and_keeps_the_worst() {
        let (mut guesses, now, worst) = (Guesses::new(2), Instant::now(), ip("10.0.0.1"));
        for _ in 0..5 {
            guesses.failed(now, worst);
        }
        for index in 0..MAX_SOURCES as u32 + 100 {
            guesses.failed(now, std::net::Ipv4Addr::from_bits(0x0b00_0000 + index).into());
        }
        assert_eq!(guesses.forgotten_at.len(), MAX_SOURCES);
        assert!(!guesses.admit(now, worst));
    }
}
