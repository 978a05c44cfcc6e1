//! A gateway with a call on it that must not notice what a test does beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_bin::Running;
use gateway_bin::config::Config;

use super::client::Client;
use super::healthy::HealthyCall;
use super::metrics::Metrics;
use super::{eventually, start_with};

/// Longer than what UDP makes SIP remember (64*T1, RFC 3261 section 17.1.1.1), and than a lost client is waited for.
const SETTLING: Duration = Duration::from_secs(45);

pub(crate) struct Bench {
    pub(crate) gateway: Running,
    pub(crate) healthy: HealthyCall,
    held: BTreeMap<String, f64>,
}

impl Bench {
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let gateway = start_with(|config| {
            config.sip.t1_milliseconds = 50;
            config.media.listen = vec![std::net::Ipv4Addr::LOCALHOST.into()];
            change(config);
        })
        .await;
        let healthy = HealthyCall::start(gateway.http).await;
        // The INVITE transactions of the healthy call linger for a moment (RFC 6026).
        let held = settled(&gateway).await;
        Bench { gateway, healthy, held }
    }

    /// The value of a metric.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        Metrics::read(self.gateway.metrics).await.get(name)
    }

    /// Signs the client out, then as [`Bench::end`].
    pub(crate) async fn end_after(self, mut client: Client) {
        client.request("session.signOut", serde_json::json!({})).await;
        drop(client);
        self.end().await;
    }

    /// What happened left no trace: the healthy call noticed nothing, and nothing more is held than before.
    pub(crate) async fn end(self) {
        self.healthy.noticed_nothing().await;
        let mut last = BTreeMap::new();
        let settled = eventually(SETTLING, async || {
            last = Metrics::read(self.gateway.metrics).await.held();
            last == self.held
        });
        let settled = settled.await;
        assert!(settled, "before: {:#?}\nafter: {last:#?}", self.held);
        self.healthy.noticed_nothing().await;
        self.gateway.stop().await;
    }
}

/// What is held when only the healthy call is left.
async fn settled(gateway: &Running) -> BTreeMap<String, f64> {
    let mut held = BTreeMap::new();
    let quiet = eventually(SETTLING, async || {
        let metrics = Metrics::read(gateway.metrics).await;
        held = metrics.held();
        metrics.get("wsg_sip_transactions") == 0.0 && metrics.get("wsg_calls") == 1.0
    });
    assert!(quiet.await, "{held:#?}");
    held
}
