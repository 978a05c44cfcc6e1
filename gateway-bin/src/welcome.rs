//! What a person who started the gateway by hand wants to know.

use std::io::Write;

use crate::Running;
use crate::config::{Config, LogFormat};

/// Prints the URL and, for the demo, who can sign in and what to try. Says nothing in JSON mode.
pub(crate) fn print(config: &Config, running: &Running) {
    tracing::info!(http = %running.http, metrics = %running.metrics, sip = ?running.sip, "started");
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
    lines.push("\n  Ctrl-C ends it.\n\n".to_owned());
    lines.join("\n")
}
