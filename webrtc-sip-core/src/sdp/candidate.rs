//! ICE candidates as text (RFC 8839 section 5.1, RFC 6544 section 4.5).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::error::SdpError;

/// Longest `a=candidate` value that is read, in bytes.
const MAX_CANDIDATE_BYTES: usize = 512;
/// Longest foundation (RFC 8839 section 5.1).
const MAX_FOUNDATION_BYTES: usize = 32;
/// Type preference of host candidates (RFC 8445 section 5.1.2.2).
const HOST_TYPE_PREFERENCE: u32 = 126;

/// One ICE candidate, without the extensions that don't matter for reaching it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Equal for candidates of the same kind, base and server (RFC 8445 section 5.1.1.3).
    pub foundation: String,
    /// 1 for RTP (and RTCP with rtcp-mux), 2 for RTCP.
    pub component: u16,
    /// UDP or TCP.
    pub transport: CandidateTransport,
    /// RFC 8445 section 5.1.2.
    pub priority: u32,
    /// Where it is.
    pub address: CandidateAddress,
    /// Its port; 9 for an active TCP candidate.
    pub port: u16,
    /// How it was found.
    pub kind: CandidateKind,
}

/// Transport protocol of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateTransport {
    /// UDP.
    Udp,
    /// TCP (RFC 6544).
    Tcp,
}

/// Address of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidateAddress {
    /// An IP address.
    Ip(IpAddr),
    /// A host name. Browsers hide their addresses behind multicast DNS names (`.local`), which mean nothing outside
    /// their network: such a candidate is valid but can't be used.
    Name(String),
}

/// How a candidate was found (RFC 8445 section 5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateKind {
    /// An address of the host itself.
    Host,
    /// Seen by a STUN server.
    ServerReflexive,
    /// Seen by the other side during checks.
    PeerReflexive,
    /// On a TURN server.
    Relayed,
}

impl Candidate {
    /// Reads `candidate:...`; the prefix may be absent or `a=candidate:`.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        if text.len() > MAX_CANDIDATE_BYTES {
            return Err(SdpError::BadCandidate);
        }
        Self::parse_value(value_of(text)).ok_or(SdpError::BadCandidate)
    }

    fn parse_value(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let foundation = words.next().filter(|word| word.len() <= MAX_FOUNDATION_BYTES)?.to_owned();
        let component = words.next()?.parse().ok().filter(|component| (1..=256).contains(component))?;
        let transport = match words.next()? {
            word if word.eq_ignore_ascii_case("udp") => CandidateTransport::Udp,
            word if word.eq_ignore_ascii_case("tcp") => CandidateTransport::Tcp,
            _ => return None,
        };
        let priority = words.next()?.parse().ok()?;
        let address = words.next()?;
        let address = match address.parse() {
            Ok(ip) => CandidateAddress::Ip(ip),
            Err(_) if is_host_name(address) => CandidateAddress::Name(address.to_owned()),
            Err(_) => return None,
        };
        let port = words.next()?.parse().ok()?;
        words.next().filter(|word| word.eq_ignore_ascii_case("typ"))?;
        let kind = match words.next()?.to_ascii_lowercase().as_str() {
            "host" => CandidateKind::Host,
            "srflx" => CandidateKind::ServerReflexive,
            "prflx" => CandidateKind::PeerReflexive,
            "relay" => CandidateKind::Relayed,
            _ => return None,
        };
        Some(Candidate { foundation, component, transport, priority, address, port, kind })
    }

    /// One host candidate for component 1 over UDP per address, the most preferred first: priorities as in RFC 8445
    /// section 5.1.2.1, foundations by IP address.
    pub fn hosts(addresses: &[SocketAddr]) -> Vec<Candidate> {
        let first_with = |ip: IpAddr| addresses.iter().position(|other| other.ip() == ip).unwrap_or(0);
        let host = |(index, address): (usize, &SocketAddr)| Candidate {
            foundation: (first_with(address.ip()) + 1).to_string(),
            component: 1,
            transport: CandidateTransport::Udp,
            priority: (HOST_TYPE_PREFERENCE << 24) + (65_535_u32.saturating_sub(index as u32) << 8) + 255,
            address: CandidateAddress::Ip(address.ip()),
            port: address.port(),
            kind: CandidateKind::Host,
        };
        addresses.iter().enumerate().map(host).collect()
    }

    /// Where to send checks, if that is known and can be done: UDP to an IP address and a real port, for component 1,
    /// which is the only one with rtcp-mux (RFC 5761 section 5.1.3).
    pub fn usable_address(&self) -> Option<SocketAddr> {
        let CandidateAddress::Ip(ip) = self.address else { return None };
        let usable =
            self.component == 1 && self.transport == CandidateTransport::Udp && self.port != 0 && !ip.is_unspecified();
        usable.then(|| SocketAddr::new(ip, self.port))
    }
}

impl fmt::Display for Candidate {
    /// As in `RTCIceCandidate.candidate`: `candidate:...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            CandidateTransport::Udp => "udp",
            CandidateTransport::Tcp => "tcp",
        };
        let kind = match self.kind {
            CandidateKind::Host => "host",
            CandidateKind::ServerReflexive => "srflx",
            CandidateKind::PeerReflexive => "prflx",
            CandidateKind::Relayed => "relay",
        };
        let (foundation, component, priority, port) = (&self.foundation, self.component, self.priority, self.port);
        write!(f, "candidate:{foundation} {component} {transport} {priority} ")?;
        match &self.address {
            CandidateAddress::Ip(ip) => write!(f, "{ip}")?,
            CandidateAddress::Name(name) => f.write_str(name)?,
        }
        write!(f, " {port} typ {kind}")
    }
}

fn value_of(text: &str) -> &str {
    let text = text.trim();
    let text = text.strip_prefix("a=").unwrap_or(text);
    text.strip_prefix("candidate:").unwrap_or(text)
}

/// Letters, digits, hyphens and dots (RFC 1123 section 2.1), at most 253 of them.
pub(super) fn is_host_name(text: &str) -> bool {
    text.len() <= 253
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

/// The candidates among the values of `a=candidate` that checks can be sent to, each as `candidate:...`.
pub(super) fn usable<'a>(values: impl Iterator<Item = &'a str>, limit: usize) -> Vec<String> {
    values
        .filter(|value| Candidate::parse(value).is_ok_and(|candidate| candidate.usable_address().is_some()))
        .take(limit)
        .map(|value| format!("candidate:{}", value_of(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_write_is_read() {
        let chrome = "candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag 1tUO network-cost 999";
        let candidate = Candidate::parse(chrome).unwrap();
        assert_eq!(candidate.kind, CandidateKind::ServerReflexive);
        assert_eq!(candidate.usable_address(), Some("203.0.113.7:46154".parse().unwrap()));
        let firefox = "a=candidate:2 1 TCP 2105458943 fd00::2 9 typ host tcptype active";
        let candidate = Candidate::parse(firefox).unwrap();
        assert_eq!((candidate.transport, candidate.usable_address()), (CandidateTransport::Tcp, None));
    }

    #[test]
    fn multicast_dns_names_are_valid_but_of_no_use() {
        let text = "candidate:1 1 UDP 2122252543 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 54596 typ host";
        let candidate = Candidate::parse(text).unwrap();
        assert!(matches!(&candidate.address, CandidateAddress::Name(name) if name.ends_with(".local")));
        assert_eq!(candidate.usable_address(), None);
    }

    #[test]
    fn only_component_1_is_of_use() {
        for (component, usable) in [(1, true), (2, false), (256, false)] {
            let text = format!("candidate:0 {component} UDP 1 192.0.2.2 5000 typ host");
            assert_eq!(Candidate::parse(&text).unwrap().usable_address().is_some(), usable);
        }
    }

    #[test]
    fn host_candidates_are_written_as_rfc_8445_says_and_read_back() {
        let addresses = ["192.0.2.1:5000", "[2001:db8::1]:5000", "192.0.2.1:5001"].map(|a| a.parse().unwrap());
        let candidates = Candidate::hosts(&addresses);
        // 2^24 * 126 + 2^8 * 65535 + (256 - 1), RFC 8445 section 5.1.2.1.
        assert_eq!(candidates[0].to_string(), "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host");
        assert_eq!(candidates[1].priority, 2_130_706_175);
        assert_eq!(candidates[2].foundation, candidates[0].foundation);
        assert_ne!(candidates[1].foundation, candidates[0].foundation);
        for candidate in candidates {
            assert_eq!(Candidate::parse(&candidate.to_string()), Ok(candidate));
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "candidate:",
            "candidate:1 1 udp 1 192.0.2.1 5000",
            "candidate:1 0 udp 1 192.0.2.1 5000 typ host",
            "candidate:1 1 sctp 1 192.0.2.1 5000 typ host",
            "candidate:1 1 udp -1 192.0.2.1 5000 typ host",
            "candidate:1 1 udp 1 192.0.2.1 65536 typ host",
            "candidate:1 1 udp 1 @ 5000 typ host",
            "candidate:1 1 udp 1 192.0.2.1 5000 typ mirror",
        ] {
            assert_eq!(Candidate::parse(text), Err(SdpError::BadCandidate), "{text}");
        }
    }
}
