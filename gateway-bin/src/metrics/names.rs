//! Which metrics there are.

use webrtc_sip_core::io::DropCounters;

use super::text::{Exposition, Kind};
use crate::control::ControlStats;

/// The page for these figures.
pub(super) fn exposition(stats: &ControlStats) -> String {
    let mut page = Exposition::default();
    process(&mut page, stats);
    media(&mut page, stats);
    page.finish()
}

fn process(page: &mut Exposition, stats: &ControlStats) {
    page.single(Kind::Gauge, "wsg_client_links", "Open WebSockets, requests and long polls.", stats.links);
    page.single(Kind::Gauge, "wsg_sip_flows", "Open SIP connections over TCP.", stats.flows);
    page.single(Kind::Gauge, "wsg_rtp_ports_in_use", "UDP ports bound for RTP and RTCP.", stats.rtp_ports_in_use);
    page.single(Kind::Gauge, "wsg_rtp_ports_configured", "UDP ports in the configured range.", stats.rtp_ports);
    page.single(Kind::Gauge, "wsg_control_queue_length", "Inputs waiting for the control task.", stats.outside_queue);
    if let Some(bytes) = resident_memory_bytes() {
        page.single(Kind::Gauge, "wsg_resident_memory_bytes", "Resident memory of the process.", bytes);
    }
}

fn media(page: &mut Exposition, stats: &ControlStats) {
    let shards: Vec<String> = stats.workers.iter().map(|worker| worker.shard.to_string()).collect();
    let mut per_worker = |kind, name: &str, help: &str, value: fn(&crate::media::WorkerStats) -> u64| {
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
    let mut drops = DropCounters::default();
    stats.workers.iter().for_each(|worker| drops.merge(&worker.drops));
    let samples = drops.iter().map(|(reason, count)| (vec![("plane", "media"), ("reason", reason.name())], count));
    page.labelled(Kind::Counter, "wsg_dropped_packets_total", "Packets that went nowhere, by reason.", samples);
}

/// From `/proc/self/statm`: resident pages (4 KB on every platform this runs on with defaults, asked of the system).
fn resident_memory_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
