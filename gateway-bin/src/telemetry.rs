//! The lines of the log that aren't beside what they are about: one for every ended call, and those for the SIP proxy.

use shell::log::pseudonym;
pub use shell::log::{LogHandle, init};
use webrtc_sip_core::gateway::{CallRecord, ProxyNews};

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

/// One line for a change of the way to the SIP proxy.
pub fn log_proxy(news: ProxyNews) {
    match news {
        ProxyNews::Unresolved => {
            tracing::error!(
                "the name in sip.proxy.target can't be looked up, or has no address that sip.listen reaches: no registrations, no calls"
            );
        }
        ProxyNews::Resolved => tracing::info!("the name in sip.proxy.target has been looked up"),
        ProxyNews::Silent(address) => tracing::error!(%address, "the SIP proxy doesn't answer"),
        ProxyNews::Answers(address) => tracing::info!(%address, "the SIP proxy answers again"),
    }
}

/// One line for each option that was given and does nothing.
pub fn log_unsupported(options: &[String]) {
    for option in options {
        tracing::warn!(option, "not supported yet: the option is taken and has no effect");
    }
}
