//! Our own metrics, `wsg_*`.

use std::time::Duration;

use shell::http::Phase;
use shell::metrics::{Exposition, Kind};
use webrtc_sip_core::call::EndReason;
use webrtc_sip_core::io::DropCounters;

use crate::control::ControlStats;
use crate::media::WorkerStats;

/// Writes all of them.
pub(super) fn write(page: &mut Exposition, stats: &ControlStats, phase: Phase) {
    let in_maintenance = u64::from(phase == Phase::Maintenance);
    page.single(Kind::Gauge, "wsg_in_maintenance", "1 while it is in maintenance, and not ending.", in_maintenance);
    process(page, stats);
    control(page, stats);
    media(page, stats);
    drops(page, stats);
}

fn control(page: &mut Exposition, stats: &ControlStats) {
    let gateway = &stats.gateway;
    for (name, help, value) in [
        ("wsg_sign_ins", "Users signed in.", gateway.sign_ins),
        ("wsg_calls", "Calls whose signalling or media isn't freed yet.", gateway.calls),
        ("wsg_legs", "Legs of those calls.", gateway.legs),
        ("wsg_pending_requests", "Questions of the core without an answer.", gateway.requests),
        ("wsg_timers", "Deadlines set in the control plane.", gateway.timers + gateway.sip.timers as u64),
        ("wsg_sip_transactions", "SIP transactions.", gateway.sip.transactions as u64),
        ("wsg_sip_dialogs", "SIP dialogs.", gateway.sip.dialogs as u64),
        ("wsg_sip_registrations", "Users registered at the SIP proxy.", gateway.registrations),
        (
            "wsg_sip_proxy_unreachable",
            "1 when the SIP proxy's name can't be looked up or none of its addresses answers.",
            u64::from(gateway.proxy_unreachable),
        ),
    ] {
        page.single(Kind::Gauge, name, help, value);
    }
    for (name, help, value) in [
        ("wsg_sip_messages_received_total", "Well-formed SIP messages.", gateway.sip.messages_received),
        ("wsg_sip_messages_sent_total", "SIP messages sent.", gateway.sip.messages_sent),
        ("wsg_sip_refused_sources_total", "SIP calls from networks that aren't trusted.", gateway.refused_sources),
        (
            "wsg_sip_failed_registrations_total",
            "Registrations that the proxy refused or didn't answer.",
            gateway.failed_registrations,
        ),
    ] {
        page.single(Kind::Counter, name, help, value);
    }
    let reasons = EndReason::ALL.iter().zip(stats.ended.by_reason);
    let samples = reasons.map(|(reason, count)| (vec![("reason", reason.name())], count));
    page.labelled(Kind::Counter, "wsg_ended_calls_total", "Calls that ended, by reason.", samples);
}

fn drops(page: &mut Exposition, stats: &ControlStats) {
    let mut media = DropCounters::default();
    stats.workers.iter().for_each(|worker| media.merge(&worker.drops));
    let samples = [("media", &media), ("sip", &stats.gateway.sip.drops)].into_iter().flat_map(|(plane, drops)| {
        drops.iter().map(move |(reason, count)| (vec![("plane", plane), ("reason", reason.name())], count))
    });
    page.labelled(Kind::Counter, "wsg_dropped_packets_total", "Packets that went nowhere, by reason.", samples);
}

fn process(page: &mut Exposition, stats: &ControlStats) {
    page.single(Kind::Gauge, "wsg_client_links", "Open WebSockets, requests and long polls.", stats.links);
    page.single(Kind::Gauge, "wsg_sip_flows", "Open SIP connections over TCP.", stats.flows);
    for (name, help, value) in [
        (
            "wsg_sip_refused_connections_total",
            "TCP connections closed because of sip.max_tcp_connections.",
            stats.refused_connections,
        ),
        (
            "wsg_refused_password_checks_total",
            "Sign-ins refused because of limits.wrong_passwords.",
            stats.refused_password_checks,
        ),
    ] {
        page.single(Kind::Counter, name, help, value);
    }
    page.single(Kind::Gauge, "wsg_rtp_ports_in_use", "UDP ports bound for RTP and RTCP.", stats.rtp_ports_in_use);
    page.single(Kind::Gauge, "wsg_rtp_ports_configured", "UDP ports in the configured range.", stats.rtp_ports);
    page.single(Kind::Gauge, "wsg_control_queue_length", "Inputs waiting for the control task.", stats.outside_queue);
    page.resident_memory("wsg_resident_memory_bytes");
    page.config("wsg");
    page.log("wsg");
}

fn media(page: &mut Exposition, stats: &ControlStats) {
    let shards: Vec<String> = stats.workers.iter().map(|worker| worker.shard.to_string()).collect();
    let mut per_worker = |kind, name: &str, help: &str, value: fn(&WorkerStats) -> u64| {
        let samples =
            stats.workers.iter().zip(&shards).map(|(worker, shard)| (vec![("shard", &**shard)], value(worker)));
        page.labelled(kind, name, help, samples);
    };
    per_worker(Kind::Gauge, "wsg_media_sockets", "UDP sockets served by a media worker.", |w| w.sockets as u64);
    per_worker(Kind::Counter, "wsg_media_datagrams_received_total", "Datagrams taken in by a media worker.", |w| {
        w.datagrams_received
    });
    per_worker(Kind::Counter, "wsg_media_datagrams_sent_total", "Datagrams sent by a media worker.", |w| {
        w.datagrams_sent
    });
    per_worker(Kind::Counter, "wsg_media_send_errors_total", "Datagrams that the system didn't take.", |w| {
        w.send_errors
    });
    per_worker(Kind::Counter, "wsg_media_wake_ups_total", "Turns of a media worker's loop.", |w| w.wake_ups);
    per_worker(Kind::Gauge, "wsg_media_legs", "Legs of a media worker.", |w| w.media.legs as u64);
    per_worker(Kind::Gauge, "wsg_media_bridges", "Pairs of legs that hear each other.", |w| w.media.bridges as u64);
    per_worker(Kind::Gauge, "wsg_media_transcoding_bridges", "Those of them whose codecs differ.", |w| {
        w.media.transcoding_bridges as u64
    });
    per_worker(Kind::Gauge, "wsg_media_held_entries", "Table entries, timers and packets that legs hold.", |w| {
        w.media.held as u64
    });
    let missed = stats.workers.iter().zip(&shards).map(|(worker, shard)| {
        (vec![("shard", &**shard)], Duration::from_millis(worker.media.missed_ms).as_secs_f64())
    });
    let help = "Audio that was not made because the worker was held up, in seconds.";
    page.labelled(Kind::Counter, "wsg_media_missed_seconds_total", help, missed);
}
