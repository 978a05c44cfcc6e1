//! File descriptors: as many as the system gives, and a refusal to start when that isn't enough for what is configured.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Config, ConfigError};

/// Descriptors for logs, listeners, epoll sets and the like.
const OVERHEAD: u64 = 128;

/// Raises the soft limit of open files to the hard limit. The demo, whose limits nobody chose, starts with a warning
/// where that isn't enough.
///
/// # Errors
/// The configuration may need more descriptors than the process can get.
pub(crate) fn raise_open_files(config: &Config) -> Result<(), ConfigError> {
    let limit = getrlimit(Resource::Nofile);
    // Raising up to the hard limit is always permitted.
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit of open files couldn't be raised");
    }
    let available = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    match shortage(config, available) {
        Some(problem) if config.is_demo() => tracing::warn!("{problem}"),
        Some(problem) => return Err(ConfigError::Key { key: "limits.calls".to_owned(), problem }),
        None => {}
    }
    Ok(())
}

fn shortage(config: &Config, available: u64) -> Option<String> {
    // A call to SIP holds two sockets, RTP and RTCP.
    let rtp_ports = u64::from(config.media.rtp_port_high - config.media.rtp_port_low) + 1;
    let media = rtp_ports.min(config.limits.calls.saturating_mul(2) as u64);
    let http = config.http.max_connections as u64;
    let sip = config.sip.max_tcp_connections.saturating_mul(2) as u64;
    let needed = media.saturating_add(http).saturating_add(sip).saturating_add(OVERHEAD);
    (available < needed).then(|| {
        format!(
            "{needed} open files may be needed ({media} for RTP, {http} for http.max_connections, {sip} for \
             sip.max_tcp_connections, {OVERHEAD} others), but only {available} are allowed; raise the hard limit \
             (ulimit -Hn, LimitNOFILE=) or lower limits.calls, http.max_connections or sip.max_tcp_connections"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_follows_the_configuration() {
        let mut config = Config::demo();
        config.limits.calls = 100;
        config.http.max_connections = 50;
        config.sip.max_tcp_connections = 10;
        assert_eq!(shortage(&config, 200 + 50 + 20 + OVERHEAD), None);
        let problem = shortage(&config, 300).unwrap();
        assert!(problem.contains("398 open files") && problem.contains("only 300"), "{problem}");
        config.media.rtp_port_high = config.media.rtp_port_low + 9;
        assert_eq!(shortage(&config, 300), None);
    }
}
