//! Metrics, `wst_*`.

use std::sync::Arc;

use shell::accept::ConnectionLimit;
use shell::metrics::{Exposition, Kind};
use tokio::sync::oneshot;
use webrtc_sip_core::io::DropCounters;
use webrtc_sip_core::turn::{ConnectionEnd, ERROR_CODES};

use crate::relays::Relays;
use crate::worker::{CONNECTIONS, ENDS, Inbox, WorkerInput, WorkerStats};

/// Where the figures of a running server come from.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) workers: Vec<Inbox>,
    pub(crate) relays: Arc<Relays>,
    pub(crate) connections: ConnectionLimit,
}

impl Metrics {
    /// Writes all of them. A worker that is gone has none.
    pub async fn write(&self, page: &mut Exposition) {
        let mut workers = Vec::with_capacity(self.workers.len());
        for inbox in &self.workers {
            let (reply, answer) = oneshot::channel();
            if inbox.send(WorkerInput::Stats(reply)).await
                && let Ok(stats) = answer.await
            {
                workers.push(stats);
            }
        }
        self.process(page);
        load(page, &workers);
        connections(page, &workers);
        traffic(page, &workers);
        refused(page, &workers);
        ended(page, &workers);
        ended_connections(page, &workers);
        drops(page, &workers);
    }

    fn process(&self, page: &mut Exposition) {
        page.single(
            Kind::Gauge,
            "wst_relay_sockets",
            "Sockets bound for peers: of UDP, and of TCP that accept connections.",
            self.relays.in_use(),
        );
        page.single(Kind::Gauge, "wst_relay_sockets_allowed", "The limit of sockets for peers.", self.relays.limit());
        page.single(
            Kind::Counter,
            "wst_refused_connections_total",
            "Connections closed or not made because of limits.connections.",
            self.connections.refused(),
        );
    }
}

/// What the workers hold and did.
fn load(page: &mut Exposition, workers: &[WorkerStats]) {
    let numbers: Vec<String> = (0..workers.len()).map(|number| number.to_string()).collect();
    let mut per_worker = |kind, name: &str, help: &str, value: fn(&WorkerStats) -> u64| {
        let samples = workers.iter().zip(&numbers).map(|(stats, number)| (vec![("worker", &**number)], value(stats)));
        page.labelled(kind, name, help, samples);
    };
    per_worker(Kind::Gauge, "wst_allocations", "Allocations.", |w| w.turn.allocations as u64);
    per_worker(Kind::Gauge, "wst_peer_connections", "Connections of TCP allocations with peers.", |w| {
        w.turn.connections as u64
    });
    per_worker(Kind::Gauge, "wst_reserved_ports", "Ports reserved for a second allocation.", |w| {
        w.turn.reservations as u64
    });
    per_worker(Kind::Counter, "wst_allocations_total", "Allocations made.", |w| w.turn.allocated);
    per_worker(
        Kind::Counter,
        "wst_moved_allocations_total",
        "Allocations that followed their client to another address, counted where they came to.",
        |w| w.turn.moved,
    );
    per_worker(Kind::Counter, "wst_succeeded_requests_total", "Requests answered with success.", |w| w.turn.succeeded);
    per_worker(
        Kind::Counter,
        "wst_quota_refusals_total",
        "Allocations refused because of a limit of allocations.",
        |w| w.turn.over_quota,
    );
    per_worker(Kind::Counter, "wst_packets_received_total", "Datagrams and frames taken in.", |w| w.received);
    per_worker(Kind::Counter, "wst_packets_sent_total", "Datagrams and frames sent.", |w| w.sent);
    per_worker(Kind::Counter, "wst_send_errors_total", "Datagrams that the system didn't take.", |w| w.send_errors);
    per_worker(
        Kind::Counter,
        "wst_failed_handovers_total",
        "What another worker asked for and couldn't be sent; it stayed where it was.",
        |w| w.lost_answers,
    );
    per_worker(Kind::Counter, "wst_wake_ups_total", "Turns of a worker's loop.", |w| w.wake_ups);
}

fn connections(page: &mut Exposition, workers: &[WorkerStats]) {
    let samples = CONNECTIONS.iter().enumerate().map(|(index, transport)| {
        let count: usize = workers.iter().map(|stats| stats.connections[index]).sum();
        (vec![("transport", transport.name())], count)
    });
    page.labelled(Kind::Gauge, "wst_connections", "Connections of clients, by transport.", samples);
}

fn traffic(page: &mut Exposition, workers: &[WorkerStats]) {
    let sum = |value: fn(&WorkerStats) -> [u64; 2]| {
        let [to, from] = workers.iter().map(value).fold([0, 0], |sum, value| [sum[0] + value[0], sum[1] + value[1]]);
        [(vec![("direction", "to_peer")], to), (vec![("direction", "from_peer")], from)]
    };
    let packets = sum(|w| [w.turn.sent.packets, w.turn.received.packets]);
    page.labelled(Kind::Counter, "wst_relayed_packets_total", "Packets passed on.", packets);
    let bytes = sum(|w| [w.turn.sent.bytes, w.turn.received.bytes]);
    page.labelled(Kind::Counter, "wst_relayed_bytes_total", "Bytes in them, without TURN's own.", bytes);
}

fn refused(page: &mut Exposition, workers: &[WorkerStats]) {
    let codes = ERROR_CODES.map(|code| code.to_string());
    let samples = codes.iter().enumerate().map(|(index, code)| {
        let count: u64 = workers.iter().map(|stats| stats.turn.refused[index]).sum();
        (vec![("code", &**code)], count)
    });
    let help = "Requests answered with an error, by its code; the usual first one without credentials is a 401.";
    page.labelled(Kind::Counter, "wst_refused_requests_total", help, samples);
}

fn ended(page: &mut Exposition, workers: &[WorkerStats]) {
    let samples = ENDS.iter().enumerate().map(|(index, reason)| {
        let count: u64 = workers.iter().map(|stats| stats.ended[index]).sum();
        (vec![("reason", reason.name())], count)
    });
    page.labelled(Kind::Counter, "wst_ended_allocations_total", "Allocations that ended, by reason.", samples);
}

fn ended_connections(page: &mut Exposition, workers: &[WorkerStats]) {
    let samples = ConnectionEnd::ALL.iter().enumerate().map(|(index, reason)| {
        let count: u64 = workers.iter().map(|stats| stats.turn.ended_connections[index]).sum();
        (vec![("reason", reason.name())], count)
    });
    let help = "Connections of TCP allocations with peers that ended, by reason.";
    page.labelled(Kind::Counter, "wst_ended_peer_connections_total", help, samples);
}

fn drops(page: &mut Exposition, workers: &[WorkerStats]) {
    let mut all = DropCounters::default();
    workers.iter().for_each(|stats| all.merge(&stats.drops));
    let samples = all.iter().map(|(reason, count)| (vec![("reason", reason.name())], count));
    page.labelled(Kind::Counter, "wst_dropped_packets_total", "Packets that went nowhere, by reason.", samples);
}
