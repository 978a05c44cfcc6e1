//! The real program.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use shell::testing::{ChildGuard, Log, until};

/// A gateway in a process of its own, on free ports.
pub(crate) struct Process {
    running: ChildGuard,
    pub(crate) http: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) sip: SocketAddr,
    pub(crate) log: Log,
}

impl Process {
    /// With these flags and variables.
    pub(crate) fn start(flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_webrtc-sip-gateway"))
            .args(flags)
            .env("WSG_LOG__FORMAT", "text")
            .env("WSG_HTTP__LISTEN", "127.0.0.1:0")
            .env("WSG_METRICS__LISTEN", "127.0.0.1:0")
            .env("WSG_SIP__LISTEN", "127.0.0.1:0")
            .env("WSG_TURN__LISTEN", "")
            .env("WSG_MEDIA__WEBRTC_PORT", "0")
            .env("WSG_LIMITS__CALLS", "10")
            .env("WSG_HTTP__MAX_CONNECTIONS", "50")
            .env("WSG_SIP__MAX_TCP_CONNECTIONS", "10")
            .env("WSG_SHUTDOWN__UNREADY_SECONDS", "0")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = Log::of(&mut child);
        // As text for people, or as JSON.
        let started = || [log.lines_with("started http="), log.lines_with("\"started\"")].concat();
        until(|| !started().is_empty());
        let line = started().remove(0);
        let (http, metrics, sip) = (address(&line, "http"), address(&line, "metrics"), address(&line, "sip"));
        Process { running: ChildGuard::of(child), http, metrics, sip, log }
    }

    pub(crate) fn id(&self) -> u32 {
        self.running.child().id()
    }

    /// Sends a signal by its name, `-TERM`.
    pub(crate) fn signal(&self, name: &str) {
        self.running.signal(name);
    }

    pub(crate) fn stop(self) {
        self.running.end();
    }
}

/// The first address that a line has under this name.
fn address(line: &str, name: &str) -> SocketAddr {
    let before = [format!("{name}="), format!("\"{name}\":\"")];
    let (_, rest) = before.iter().find_map(|before| line.split_once(before.as_str())).expect("the line names it");
    let text = rest.trim_start_matches('[').split([' ', ',', ']', '"']).next().expect("there is more");
    text.parse().expect("it is an address")
}
