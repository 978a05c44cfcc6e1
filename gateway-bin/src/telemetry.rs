//! Logs: JSON or text, and the one line that every ended call leaves.

use std::io::IsTerminal;

use aws_lc_rs::digest::{SHA256, digest};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};
use webrtc_sip_core::gateway::CallRecord;

use crate::config::{Log, LogFormat};

/// Changes the level while running.
#[derive(Clone)]
pub struct LevelHandle(reload::Handle<EnvFilter, Registry>);

impl LevelHandle {
    /// Takes over the level of a reloaded configuration.
    pub fn set(&self, log: &Log) {
        // The level was checked with the configuration; reloading fails only when the subscriber is gone.
        if let Ok(filter) = log.level.parse::<EnvFilter>() {
            let _ = self.0.reload(filter);
        }
    }
}

/// Installs the process-wide subscriber; does nothing but return a handle when one is installed already.
pub fn init(log: &Log) -> LevelHandle {
    let filter = log.level.parse::<EnvFilter>().unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let _ = match log.format {
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
        LogFormat::Text => registry
            .with(
                fmt::layer().with_target(false).with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr),
            )
            .try_init(),
    };
    LevelHandle(handle)
}

/// A short stand-in for a phone number or user name: the same one gives the same eight digits, so that lines can be
/// matched, but it isn't the number.
pub fn pseudonym(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One line for an ended call.
pub fn log_call(record: &CallRecord) {
    let packets =
        |leg: usize| record.legs[leg].map_or((0, 0, 0), |s| (s.packets_received, s.packets_sent, s.packets_lost));
    let (caller, callee) = (packets(0), packets(1));
    tracing::info!(
        call = %record.call,
        reason = record.reason.name(),
        duration_ms = record.duration.as_millis() as u64,
        talk_ms = record.talk_time.map(|time| time.as_millis() as u64),
        from = pseudonym(&record.from),
        to = pseudonym(&record.to),
        caller_packets_received = caller.0,
        caller_packets_sent = caller.1,
        caller_packets_lost = caller.2,
        callee_packets_received = callee.0,
        callee_packets_sent = callee.1,
        callee_packets_lost = callee.2,
        "call ended"
    );
    tracing::debug!(call = %record.call, from = record.from, to = record.to, "call ended");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_stable_and_short() {
        assert_eq!(pseudonym("1001"), pseudonym("1001"));
        assert_ne!(pseudonym("1001"), pseudonym("1002"));
        assert_eq!(pseudonym("1001").len(), 8);
    }
}
