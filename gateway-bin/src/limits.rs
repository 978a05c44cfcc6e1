//! How many file descriptors the configuration may need; a gateway that can't have them refuses to start.

use shell::limits::{Need, raise_open_files, shortage};

use crate::config::{Config, ConfigError};

/// Makes room for what is configured. The demo, whose limits nobody chose, starts with a warning where that isn't
/// possible.
///
/// # Errors
/// The configuration may need more descriptors than the process can get.
pub(crate) fn make_room(config: &Config) -> Result<(), ConfigError> {
    match shortage_of(config) {
        Some(problem) if config.is_demo() => tracing::warn!("{problem}"),
        Some(problem) => return Err(ConfigError::key("limits.calls", problem)),
        None => {}
    }
    Ok(())
}

/// What this process can't get of what the configuration may need, if anything.
pub(crate) fn shortage_of(config: &Config) -> Option<String> {
    shortage(&needs(config), raise_open_files())
}

fn needs(config: &Config) -> Vec<Need> {
    // A call to SIP holds two sockets, RTP and RTCP.
    let rtp_ports = u64::from(config.media.rtp_port_high - config.media.rtp_port_low) + 1;
    let media = rtp_ports.min(config.limits.calls.saturating_mul(2) as u64);
    let need = |files, purpose, setting| Need { files, purpose, setting };
    let sip = config.sip.max_tcp_connections.saturating_mul(2) as u64;
    let mut needs = vec![
        need(media, "RTP", "limits.calls"),
        need(config.http.max_connections as u64, "http.max_connections", "http.max_connections"),
        need(sip, "sip.max_tcp_connections", "sip.max_tcp_connections"),
    ];
    if !config.turn.listen.is_empty() {
        let limits = &config.turn.limits;
        needs.push(need(limits.relay_sockets as u64, "TURN relay sockets", "turn.limits.relay_sockets"));
        needs.push(need(limits.connections as u64, "TURN connections", "turn.limits.connections"));
    }
    needs
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
        config.turn.limits.relay_sockets = 7;
        config.turn.limits.connections = 8;
        let files = |config: &Config| needs(config).iter().map(|need| need.files).collect::<Vec<_>>();
        assert_eq!(files(&config), [200, 50, 20, 7, 8]);
        config.media.rtp_port_high = config.media.rtp_port_low + 9;
        config.turn.listen.clear();
        assert_eq!(files(&config), [10, 50, 20]);
    }
}
