//! Figures of the control plane, for whoever exports them.

use crate::sip::endpoint::EndpointStats;

/// Gauges and counters. Gauges go back to 0 when everything has ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GatewayStats {
    /// Users signed in now.
    pub sign_ins: u64,
    /// Open WebSockets and pending long polls.
    pub links: u64,
    /// Calls that aren't over, and calls that are over but whose media isn't freed yet.
    pub calls: u64,
    /// Legs of those calls.
    pub legs: u64,
    /// Questions to the outside without an answer.
    pub requests: u64,
    /// Deadlines that are set in the control plane, the SIP endpoint's excepted.
    pub timers: u64,
    /// Calls from SIP to a browser.
    pub incoming: CallCounters,
    /// Calls that a browser made.
    pub outgoing: CallCounters,
    /// Calls with audio (answered ones).
    pub audio: CallCounters,
    /// Calls whose two sides use different codecs.
    pub transcoding: CallCounters,
    /// Requests with a wrong token or password.
    pub unauthorized: u64,
    /// Client messages that are no known request.
    pub unknown_requests: u64,
    /// Sign-ins that displaced another of the same user.
    pub double_sign_ins: u64,
    /// Clients that were given up because they were silent.
    pub client_timeouts: u64,
    /// Clients that signed out of calls.
    pub dropped_on_sign_out: u64,
    /// Users that the upstream proxy registered; a registration that is refreshed isn't another one.
    pub successful_registrations: u64,
    /// Failed registrations at the upstream proxy.
    pub failed_registrations: u64,
    /// Those of them that nobody answered.
    pub unanswered_registrations: u64,
    /// Look-ups of the upstream proxy's name that found nothing.
    pub failed_proxy_lookups: u64,
    /// There is an upstream proxy, and its name isn't known or none of its addresses answers.
    pub proxy_unreachable: bool,
    /// Browser legs for which ICE found no path.
    pub failed_ice: u64,
    /// Users registered at the upstream proxy now.
    pub registrations: u64,
    /// INVITEs from sources that aren't trusted.
    pub refused_sources: u64,
    /// The SIP endpoint's own figures.
    pub sip: EndpointStats,
}

/// How many there are now, were at most at once, and were in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCounters {
    /// Now.
    pub current: u64,
    /// At most at once since the start.
    pub peak: u64,
    /// In all since the start.
    pub total: u64,
}

impl CallCounters {
    pub(super) fn begin(&mut self) {
        self.current += 1;
        self.total += 1;
        self.peak = self.peak.max(self.current);
    }

    pub(super) fn end(&mut self) {
        self.current = self.current.saturating_sub(1);
    }
}
