//! `Via` (RFC 3261 section 20.42, RFC 3581).

use std::fmt;
use std::net::IpAddr;

use super::{HeaderError, HeaderName};
use crate::sip::host::Host;
use crate::sip::params::Params;
use crate::sip::text;

/// The transport protocol that a Via names. Unknown ones are legal further down the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket (RFC 7118).
    Ws,
    /// WebSocket over TLS (RFC 7118).
    Wss,
    /// Any other token.
    Other(String),
}

impl Transport {
    /// As it stands in a Via.
    pub fn as_str(&self) -> &str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
            Transport::Other(name) => name,
        }
    }

    /// The port that is meant when none is given (RFC 3261 section 18.2.2, RFC 7118 section 10).
    pub fn default_port(&self) -> u16 {
        match self {
            Transport::Tls => 5061,
            Transport::Ws => 80,
            Transport::Wss => 443,
            Transport::Udp | Transport::Tcp | Transport::Other(_) => 5060,
        }
    }

    /// Whether retransmission is the transport's own business (RFC 3261 section 17).
    pub fn is_reliable(&self) -> bool {
        !matches!(self, Transport::Udp)
    }

    fn parse(token: &str) -> Self {
        [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(token))
            .unwrap_or_else(|| Transport::Other(token.to_owned()))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One hop of the path that responses take back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// How the request was sent.
    pub transport: Transport,
    /// `sent-by` host.
    pub host: Host,
    /// `sent-by` port.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport` and others.
    pub params: Params,
}

impl Via {
    /// The magic cookie that begins every branch made by an RFC 3261 element (section 8.1.1.7).
    pub const BRANCH_COOKIE: &'static str = "z9hG4bK";

    /// A Via of ours: with `rport`, so that responses come back through NATs (RFC 3581 section 3).
    pub fn new(transport: Transport, host: impl Into<Host>, port: Option<u16>, branch: &str) -> Self {
        let mut params = Params::default();
        params.set("branch", Some(branch));
        params.set("rport", None);
        Via { transport, host: host.into(), port, params }
    }

    /// The branch parameter, whatever it is.
    pub fn branch(&self) -> Option<&str> {
        self.params.get("branch")
    }

    /// The branch, if it identifies the transaction by itself: it has the cookie and something after it. Without one,
    /// RFC 2543 matching applies (RFC 3261 section 17.2.3).
    pub fn unique_branch(&self) -> Option<&str> {
        self.branch()
            .filter(|branch| branch.len() > Self::BRANCH_COOKIE.len() && branch.starts_with(Self::BRANCH_COOKIE))
    }

    /// The address that the request really came from, if the receiver noted it.
    pub fn received(&self) -> Option<IpAddr> {
        let value = self.params.get("received")?;
        value.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// The port that the request really came from, if the receiver noted it.
    pub fn rport(&self) -> Option<u16> {
        self.params.get("rport").and_then(text::number)
    }

    /// Whether the sender asks for `rport`, with a value or without.
    pub fn wants_rport(&self) -> bool {
        self.params.contains("rport")
    }

    /// Notes where the request came from (RFC 3261 section 18.2.1, RFC 3581 section 4).
    pub fn set_received(&mut self, ip: IpAddr) {
        self.params.set_raw("received", Some(ip.to_string()));
    }

    /// Notes the port that the request came from (RFC 3581 section 4).
    pub fn set_rport(&mut self, port: u16) {
        self.params.set_raw("rport", Some(port.to_string()));
    }

    pub(crate) fn parse(value: &str) -> Result<Self, HeaderError> {
        let malformed = || HeaderError::Malformed(HeaderName::Via);
        let (via, params) = Via::parse_sent_by(value).ok_or_else(malformed)?;
        Ok(Via { params: Params::parse(params).ok_or_else(malformed)?, ..via })
    }

    /// What can be saved of a Via whose parameters are malformed, so that its request can be answered.
    pub(crate) fn salvage(value: &str) -> Option<Self> {
        let (via, params) = Via::parse_sent_by(value)?;
        Some(Via { params: Params::salvage(params), ..via })
    }

    /// `SIP / 2.0 / UDP host : port`, and the text after it. Other versions are let through: the request line decides.
    fn parse_sent_by(value: &str) -> Option<(Self, &str)> {
        let (protocol, rest) = value.split_once('/')?;
        let (version, rest) = rest.split_once('/')?;
        let rest = text::trim(rest);
        let (transport, sent_by) = rest.split_at(rest.find(text::is_space)?);
        let valid = text::trim(protocol).eq_ignore_ascii_case("SIP")
            && text::is_token(text::trim(version))
            && text::is_token(transport);
        if !valid {
            return None;
        }
        let (host, port, params) = Host::take_with_port(text::trim(sent_by)).ok()?;
        Some((Via { transport: Transport::parse(transport), host, port, params: Params::default() }, params))
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_and_addresses() {
        let via =
            Via::parse("SIP  / 2.0  / TCP     [2001:db8::9]  : 5061  ;  branch  =   z9hG4bK9ikj8 ; rport").unwrap();
        assert_eq!(via.transport, Transport::Tcp);
        assert_eq!((via.host.to_string().as_str(), via.port), ("[2001:db8::9]", Some(5061)));
        assert_eq!(via.unique_branch(), Some("z9hG4bK9ikj8"));
        assert!(via.wants_rport() && via.rport().is_none());
        assert_eq!(via.to_string(), "SIP/2.0/TCP [2001:db8::9]:5061;branch=z9hG4bK9ikj8;rport");
    }

    #[test]
    fn what_the_receiver_notes() {
        let mut via = Via::new(Transport::Udp, "h".parse::<Host>().unwrap(), None, "z9hG4bKx");
        via.set_received("2001:db8::1".parse().unwrap());
        via.set_rport(4711);
        assert_eq!(via.to_string(), "SIP/2.0/UDP h;branch=z9hG4bKx;rport=4711;received=2001:db8::1");
        let back = Via::parse(&via.to_string()).unwrap();
        assert_eq!((back.received(), back.rport()), (via.received(), Some(4711)));
    }

    #[test]
    fn a_bare_cookie_is_not_unique() {
        assert_eq!(Via::parse("SIP/2.0/UDP h;branch=z9hG4bK").unwrap().unique_branch(), None);
        assert_eq!(Via::parse("SIP/2.0/UDP h").unwrap().branch(), None);
    }

    #[test]
    fn malformed_ones_can_be_salvaged() {
        assert!(Via::parse("SIP/2.0/UDP 192.0.2.15;;").is_err());
        assert_eq!(Via::salvage("SIP/2.0/UDP 192.0.2.15;;a=b;;").unwrap().to_string(), "SIP/2.0/UDP 192.0.2.15;a=b");
        for hopeless in ["", ";", "SIP/2.0/UDP", "HTTP/1.1/TCP h", "SIP/2.0/UDP :5060", "SIP/2.0/UDP h:70000"] {
            assert_eq!(Via::salvage(hopeless), None, "{hopeless}");
        }
    }
}
