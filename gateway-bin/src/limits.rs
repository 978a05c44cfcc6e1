//! File descriptors: as many as the system gives, and a word when that isn't enough for what is configured.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Descriptors for logs, listeners, epoll sets and the like.
const OVERHEAD: u64 = 128;

/// Raises the soft limit of open files to the hard limit.
pub(crate) fn raise_open_files(config: &Config) {
    let limit = getrlimit(Resource::Nofile);
    // Raising up to the hard limit is always permitted.
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit of open files couldn't be raised");
    }
    let available = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let needed = needed(config);
    if available < needed {
        tracing::warn!(
            available,
            needed,
            "fewer open files are allowed than limits.calls, http.max_connections and sip.max_tcp_connections may need; \
             raise the hard limit (ulimit -Hn, LimitNOFILE=) or lower them"
        );
    }
}

fn needed(config: &Config) -> u64 {
    // A call to SIP holds two sockets, RTP and RTCP.
    let rtp_ports = u64::from(config.media.rtp_port_high - config.media.rtp_port_low) + 1;
    let media = rtp_ports.min(2 * config.limits.calls as u64);
    media + config.http.max_connections as u64 + 2 * config.sip.max_tcp_connections as u64 + OVERHEAD
}
