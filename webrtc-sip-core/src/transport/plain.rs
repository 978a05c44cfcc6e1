//! The transport of one plain RTP leg: where its packets come from and go to.
//!
//! Symmetric RTP (RFC 4961): packets go where valid ones come from, so that a peer behind a NAT is reached. An address
//! is taken over ("latched") only from a source whose packet the caller found valid, and kept against others until it
//! has been silent for a while or signalling names a new address. Otherwise anybody who guesses the port could turn a
//! call's media to himself.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::io::{DropReason, SocketId};

/// Its sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainSockets {
    /// For RTP.
    pub rtp: SocketId,
    /// For RTCP; the same one with rtcp-mux (RFC 5761).
    pub rtcp: SocketId,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct PlainTransport {
    sockets: PlainSockets,
    relatch_after: Duration,
    signalled: Option<(SocketAddr, SocketAddr)>,
    latched_rtp: Option<Latched>,
    latched_rtcp: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug)]
struct Latched {
    source: SocketAddr,
    last_heard: Instant,
}

impl PlainTransport {
    /// `relatch_after` is how long a source must be silent before another one may take its place.
    pub fn new(sockets: PlainSockets, relatch_after: Duration) -> Self {
        PlainTransport { sockets, relatch_after, signalled: None, latched_rtp: None, latched_rtcp: None }
    }

    /// Its sockets.
    pub fn sockets(&self) -> PlainSockets {
        self.sockets
    }

    /// Where the peer says it listens. Another address than before ends what was latched; the same one changes nothing.
    pub fn set_remote(&mut self, rtp: SocketAddr, rtcp: SocketAddr) {
        if self.signalled.is_some_and(|known| known != (rtp, rtcp)) {
            self.latched_rtp = None;
            self.latched_rtcp = None;
        }
        self.signalled = Some((rtp, rtcp));
    }

    /// What signalling said, for a snapshot.
    pub fn signalled(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.signalled
    }

    /// Whether RTP from `source` may be taken in. The answer stands whatever the packet contains; call
    /// [`PlainTransport::heard_rtp`] once it proved valid.
    pub fn may_send_rtp(&self, now: Instant, source: SocketAddr) -> Result<(), DropReason> {
        let Some((signalled, _)) = self.signalled else {
            // Before the answer came, nothing says who it may be: early media is taken from the first that sends.
            return self.unless_latched_elsewhere(now, source);
        };
        // The signalled address is the peer's own word, so it goes before an address that was only observed.
        if source == signalled { Ok(()) } else { self.unless_latched_elsewhere(now, source) }
    }

    fn unless_latched_elsewhere(&self, now: Instant, source: SocketAddr) -> Result<(), DropReason> {
        match self.latched_rtp {
            Some(latched) if latched.source != source => {
                let silent_for = now.saturating_duration_since(latched.last_heard);
                if silent_for < self.relatch_after { Err(DropReason::Forbidden) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    /// A valid RTP packet with a negotiated payload type came from `source`, which was allowed to send it.
    pub fn heard_rtp(&mut self, now: Instant, source: SocketAddr) {
        let moved = self.latched_rtp.is_some_and(|latched| latched.source != source);
        if moved {
            self.latched_rtcp = None;
        }
        self.latched_rtp = Some(Latched { source, last_heard: now });
    }

    /// Whether RTCP from `source` may be taken in: it must be on the host that RTP comes from or was announced at.
    pub fn may_send_rtcp(&self, source: SocketAddr) -> Result<(), DropReason> {
        let host = match (self.latched_rtp, self.signalled) {
            (Some(latched), _) => latched.source.ip(),
            (None, Some((_, rtcp))) => rtcp.ip(),
            (None, None) => return Err(DropReason::OutOfState),
        };
        if host == source.ip() { Ok(()) } else { Err(DropReason::Forbidden) }
    }

    /// A valid RTCP packet came from `source`, which was allowed to send it.
    pub fn heard_rtcp(&mut self, source: SocketAddr) {
        if self.sockets.rtp != self.sockets.rtcp {
            self.latched_rtcp = Some(source);
        }
    }

    /// Where RTP goes.
    pub fn rtp_destination(&self) -> Option<SocketAddr> {
        // RFC 3264 section 8.4: 0.0.0.0 is how old phones say hold; nothing is to be sent there.
        let signalled = self.signalled.map(|(rtp, _)| rtp).filter(|rtp| !rtp.ip().is_unspecified() && rtp.port() != 0);
        self.latched_rtp.map(|latched| latched.source).or(signalled)
    }

    /// Where RTCP goes.
    pub fn rtcp_destination(&self) -> Option<SocketAddr> {
        if self.sockets.rtp == self.sockets.rtcp {
            return self.rtp_destination();
        }
        let (rtp, rtcp) = self.signalled?;
        let elsewhere = self.latched_rtp.map(|latched| latched.source).filter(|source| *source != rtp);
        // RFC 3550 section 11: RTCP is one port above RTP, unless signalling (RFC 3605) or the peer itself shows
        // otherwise.
        let beside_rtp = elsewhere.and_then(|source| Some(SocketAddr::new(source.ip(), source.port().checked_add(1)?)));
        self.latched_rtcp.or(beside_rtp).or(Some(rtcp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn transport() -> PlainTransport {
        let sockets = PlainSockets { rtp: SocketId(1), rtcp: SocketId(2) };
        PlainTransport::new(sockets, Duration::from_secs(3))
    }

    #[test]
    fn media_follows_the_nat_and_nobody_else() {
        let (signalled, nat, thief) = (address("10.0.0.5:4000"), address("192.0.2.5:6000"), address("192.0.2.66:1"));
        let start = Instant::now();
        let mut leg = transport();
        leg.set_remote(signalled, address("10.0.0.5:4001"));
        assert_eq!(leg.rtp_destination(), Some(signalled));
        assert_eq!(leg.rtcp_destination(), Some(address("10.0.0.5:4001")));

        leg.may_send_rtp(start, nat).unwrap();
        leg.heard_rtp(start, nat);
        assert_eq!(leg.rtp_destination(), Some(nat));
        assert_eq!(leg.rtcp_destination(), Some(address("192.0.2.5:6001")));

        let later = start + Duration::from_secs(2);
        assert_eq!(leg.may_send_rtp(later, thief), Err(DropReason::Forbidden));
        leg.heard_rtp(later, nat);
        assert_eq!(leg.may_send_rtp(start + Duration::from_secs(4), thief), Err(DropReason::Forbidden));
        leg.may_send_rtp(start + Duration::from_secs(5), thief).unwrap();
    }

    #[test]
    fn the_signalled_address_goes_before_an_observed_one() {
        let (signalled, other) = (address("10.0.0.5:4000"), address("192.0.2.5:6000"));
        let now = Instant::now();
        let mut leg = transport();
        leg.set_remote(signalled, signalled);
        leg.heard_rtp(now, other);
        leg.may_send_rtp(now, signalled).unwrap();
        leg.heard_rtp(now, signalled);
        assert_eq!(leg.rtp_destination(), Some(signalled));
        assert_eq!(leg.may_send_rtp(now, other), Err(DropReason::Forbidden));
    }

    #[test]
    fn a_new_signalled_address_ends_the_old_latch() {
        let now = Instant::now();
        let mut leg = transport();
        let (first, second) = (address("10.0.0.5:4000"), address("10.0.0.9:5000"));
        leg.set_remote(first, address("10.0.0.5:4001"));
        leg.heard_rtp(now, address("192.0.2.5:6000"));
        leg.set_remote(first, address("10.0.0.5:4001"));
        assert_eq!(leg.rtp_destination(), Some(address("192.0.2.5:6000")), "a session refresh repeats the address");
        leg.set_remote(second, address("10.0.0.9:5001"));
        assert_eq!(leg.rtp_destination(), Some(second));
    }

    #[test]
    fn rtcp_is_taken_from_the_host_of_rtp_only() {
        let now = Instant::now();
        let mut leg = transport();
        assert_eq!(leg.may_send_rtcp(address("10.0.0.5:9")), Err(DropReason::OutOfState));
        leg.set_remote(address("10.0.0.5:4000"), address("10.0.0.5:4001"));
        leg.may_send_rtcp(address("10.0.0.5:4001")).unwrap();
        leg.heard_rtp(now, address("192.0.2.5:6000"));
        assert_eq!(leg.may_send_rtcp(address("10.0.0.5:4001")), Err(DropReason::Forbidden));
        leg.may_send_rtcp(address("192.0.2.5:7777")).unwrap();
        leg.heard_rtcp(address("192.0.2.5:7777"));
        assert_eq!(leg.rtcp_destination(), Some(address("192.0.2.5:7777")));
    }

    #[test]
    fn rtcp_on_the_rtp_port_goes_where_rtp_goes() {
        let sockets = PlainSockets { rtp: SocketId(1), rtcp: SocketId(1) };
        let mut leg = PlainTransport::new(sockets, Duration::from_secs(3));
        leg.set_remote(address("10.0.0.5:4000"), address("10.0.0.5:4000"));
        leg.heard_rtp(Instant::now(), address("192.0.2.5:6000"));
        assert_eq!(leg.rtcp_destination(), Some(address("192.0.2.5:6000")));
    }
}
