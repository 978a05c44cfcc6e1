//! The one line that every ended call leaves.

use shell::log::pseudonym;
pub use shell::log::{LogHandle, init};
use webrtc_sip_core::gateway::CallRecord;

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
