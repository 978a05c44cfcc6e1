//! Hosts: names and addresses, in URIs and in Via.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::text;
use super::uri::UriError;

/// A host: a name or an IP address. Names compare without regard to case.
#[derive(Clone, Debug)]
pub enum Host {
    /// A host name, resolved by DNS.
    Name(String),
    /// A literal IPv4 address, or an IPv6 reference (in brackets on the wire).
    Ip(IpAddr),
}

impl Host {
    /// The address, where it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Ip(ip) => Some(*ip),
            Host::Name(_) => None,
        }
    }

    /// Splits `host[:port]` off the front of a text; what follows is returned as it is.
    pub(super) fn take_with_port(text: &str) -> Result<(Host, Option<u16>, &str), UriError> {
        let host_len = match text.strip_prefix('[') {
            Some(inner) => inner.find(']').ok_or(UriError::Host)? + 2,
            None => text.find(|c: char| !is_host_char(c)).unwrap_or(text.len()),
        };
        let (host, rest) = text.split_at(host_len);
        let host = host.parse()?;
        // White space around the colon is allowed in Via (RFC 3261 section 25.1, COLON); in URIs there is none left.
        let Some(digits) = rest.trim_start_matches(text::is_space).strip_prefix(':') else {
            return Ok((host, None, rest));
        };
        let digits = digits.trim_start_matches(text::is_space);
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let port = digits[..end].parse().map_err(|_| UriError::Port)?;
        Ok((host, Some(port), &digits[end..]))
    }
}

/// Letters, digits, `-` and `.`, and the `_` that some networks use in names.
fn is_host_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')
}

impl FromStr for Host {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            return inner.parse::<Ipv6Addr>().map(|ip| Host::Ip(ip.into())).map_err(|_| UriError::Host);
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Host::Ip(ip.into()));
        }
        let valid = !text.is_empty() && text.chars().all(is_host_char);
        if valid { Ok(Host::Name(text.to_owned())) } else { Err(UriError::Host) }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Host::Ip(ip)
    }
}

impl PartialEq for Host {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Host::Ip(a), Host::Ip(b)) => a == b,
            (Host::Name(a), Host::Name(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        }
    }
}
impl Eq for Host {}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        for text in ["example.com", "a_b-c.", "192.0.2.1", "[2001:db8::1]"] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), text);
        }
        assert_eq!("A.b".parse::<Host>(), "a.B".parse());
        assert_ne!("192.0.2.1".parse::<Host>(), "192.0.2.2".parse());
        for text in ["", "a b", "2001:db8::1", "[192.0.2.1]", "[::1", "h/x"] {
            assert_eq!(text.parse::<Host>(), Err(UriError::Host), "{text}");
        }
    }

    #[test]
    fn ports_follow_with_or_without_space() {
        let take = |text| Host::take_with_port(text).map(|(host, port, rest)| (host.to_string(), port, rest));
        assert_eq!(take("h : 5060 ;x"), Ok(("h".to_owned(), Some(5060), " ;x")));
        assert_eq!(take("[::1]:1"), Ok(("[::1]".to_owned(), Some(1), "")));
        assert_eq!(take("h;x"), Ok(("h".to_owned(), None, ";x")));
        assert_eq!(take("h:65536"), Err(UriError::Port));
        assert_eq!(take("h:"), Err(UriError::Port));
    }
}
