//! What a scrape costs, and that callers can't make the page longer.

mod common;

use std::collections::BTreeSet;

use common::http;
use common::process::Process;
use common::sip::{RequestText, SDP, SipSocket};
use shell::testing::scrape_cost;

const DOMAINS: usize = 10_000;

async fn series(gateway: &Process) -> BTreeSet<String> {
    let page = http(gateway.metrics, "GET /metrics HTTP/1.1", "").await;
    let samples = page.lines().filter_map(|line| line.rsplit_once(' '));
    samples
        .filter(|(name, _)| name.starts_with("wrtc_") || name.starts_with("wsg_"))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_ten_thousand_domains_add_no_series() {
    let gateway = Process::start(&[], &[("WSG_SIP__T1_MILLISECONDS", "10")]);
    let before = series(&gateway).await;
    let sip = SipSocket::new(gateway.sip).await;
    let mut statuses = BTreeSet::new();
    for number in 0..DOMAINS {
        let mut invite = RequestText::invite("nobody-here", SDP);
        invite.uri = format!("sip:nobody-here@domain{number}.example");
        statuses.insert(sip.exchange(&invite).await.0);
    }
    assert_eq!(statuses, BTreeSet::from([480]));
    let after = series(&gateway).await;
    assert_eq!(after, before);
    assert!(after.contains("wrtc_calls_by_domain{domain=\"localhost\"}"), "{after:?}");

    let (cost, bytes) = scrape_cost(gateway.id(), gateway.metrics);
    eprintln!("a scrape of the gateway: {cost:?} of a processor, {bytes} bytes");
    // Ten of them a second, unoptimised.
    assert!(cost.as_millis() < 20, "{cost:?}");
    gateway.stop();
}
