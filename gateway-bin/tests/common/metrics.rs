//! What `/metrics` says.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::http;

/// Gauges of what calls, clients and SIP peers hold. Timers are left out: a call that goes on sets them anew.
const HELD: [&str; 12] = [
    "wsg_sign_ins",
    "wsg_calls",
    "wsg_legs",
    "wsg_pending_requests",
    "wsg_sip_transactions",
    "wsg_sip_dialogs",
    "wsg_client_links",
    "wsg_sip_flows",
    "wsg_rtp_ports_in_use",
    "wsg_media_sockets",
    "wsg_media_legs",
    "wsg_media_bridges",
];

/// All samples of one look, by name with labels.
pub(crate) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    pub(crate) async fn read(address: SocketAddr) -> Self {
        let page = http(address, "GET /metrics HTTP/1.1", "").await;
        let body = page.split_once("\r\n\r\n").expect("a whole response").1;
        let samples = body.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        Metrics(samples.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect())
    }

    /// The value of one sample.
    pub(crate) fn get(&self, name: &str) -> f64 {
        *self.0.get(name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// Everything that is held.
    pub(crate) fn held(&self) -> BTreeMap<String, f64> {
        let is_held = |name: &str| HELD.contains(&name.split('{').next().unwrap_or(name));
        self.0.iter().filter(|(name, _)| is_held(name)).map(|(name, value)| (name.clone(), *value)).collect()
    }
}
