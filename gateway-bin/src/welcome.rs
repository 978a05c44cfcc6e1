//! What a person who started the gateway by hand wants to know.

use crate::Running;
use crate::config::{Config, LogFormat};

/// Prints the URL and, for the demo, who can sign in and what to try. Says nothing in JSON mode.
pub(crate) fn print(config: &Config, running: &Running) {
    tracing::info!(http = %running.http, metrics = %running.metrics, sip = ?running.sip, "started");
    if config.log.format != LogFormat::Text {
        return;
    }
    let scheme = if config.http.tls.is_some() { "https" } else { "http" };
    println!("\n  Softphone   {scheme}://{}/", running.http);
    println!("  Metrics     http://{}/metrics", running.metrics);
    for address in &running.sip {
        println!("  SIP         {address} (UDP and TCP)");
    }
    if config.is_demo() {
        let users: Vec<String> = config
            .users
            .iter()
            .filter_map(|user| user.password.as_ref().map(|password| format!("{} / {}", user.name, password.reveal())))
            .collect();
        println!("  Users       {}", users.join("   "));
        println!("\n  Try: open the softphone, sign in as 1001, call `echo`, and hear yourself.");
        println!("  Then sign in as 1002 in a second window and let them call each other.");
    }
    println!("\n  Ctrl-C ends it.\n");
}
