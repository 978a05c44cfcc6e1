//! What a person who started the gateway by hand wants to know.

use std::io::Write;

use crate::Running;
use crate::config::{Config, LogFormat, Shutdown};

/// Prints the URL and, for the demo, who can sign in and what to try. Says nothing in JSON mode.
pub(crate) fn print(config: &Config, running: &Running) {
    tracing::info!(http = %running.http, metrics = %running.metrics, sip = ?running.sip, turn = ?running.turn, "started");
    if config.log.format == LogFormat::Text {
        // Nobody may be reading; that is no reason to stop.
        let _ = std::io::stdout().write_all(text(config, running).as_bytes());
    }
}

fn text(config: &Config, running: &Running) -> String {
    let scheme = if config.http.tls.is_some() { "https" } else { "http" };
    let mut lines = vec![
        String::new(),
        format!("  Softphone   {scheme}://{}/", running.http),
        format!("  Metrics     http://{}/metrics", running.metrics),
    ];
    lines.extend(running.sip.iter().map(|address| format!("  SIP         {address} (UDP and TCP)")));
    lines.extend(running.turn.iter().map(|address| format!("  STUN, TURN  {address} (UDP and TCP)")));
    if config.is_demo() {
        let users = config
            .users
            .iter()
            .filter_map(|user| user.password.as_ref().map(|password| format!("{} / {}", user.name, password.reveal())));
        lines.push(format!("  Users       {}", users.collect::<Vec<_>>().join("   ")));
        lines.push(String::new());
        lines.push("  Try: open the softphone, sign in as 1001, call `echo`, and hear yourself.".to_owned());
        lines.push("  Then sign in as 1002 in a second window and let them call each other.".to_owned());
    }
    lines.push(format!("\n  {}\n\n", how_to_end(config.shutdown)));
    lines.join("\n")
}

fn how_to_end(Shutdown { interrupt_drain_seconds: seconds, .. }: Shutdown) -> String {
    match seconds {
        0 => "Ctrl-C ends it.".to_owned(),
        seconds => format!("Ctrl-C ends it. Calls get {seconds} more seconds; a second Ctrl-C ends them at once."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_says_how_long_calls_go_on_after_ctrl_c() {
        let end = |seconds| how_to_end(Shutdown { interrupt_drain_seconds: seconds, ..Config::demo().shutdown });
        assert_eq!(end(5), "Ctrl-C ends it. Calls get 5 more seconds; a second Ctrl-C ends them at once.");
        assert_eq!(end(0), "Ctrl-C ends it.");
    }
}
