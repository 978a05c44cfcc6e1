//! Twenty thousand calls through the release binary. Afterwards nothing may be left of them: no call, leg, port,
//! transaction, dialog, timer, connection or descriptor, and no memory that grows with their number.
//!
//! `cargo build --release --package gateway-bin --package benches && target/release/soak [CALLS]`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use benches::phones::Phones;
use benches::process::{GatewayProcess, Setup};
use benches::soak::Soak;
use webrtc_sip_core::codec::CodecKind;

const CALLS: usize = 20_000;
/// Calls between two looks at the memory.
const BATCH: usize = 2_000;
const CALLS_A_SECOND: f64 = 210.0;
const USERS: usize = 200;
/// Share of the calls before memory has to be flat. SIP transactions live for 32 s after their call (RFC 3261 section
/// 17.1.2.2, timer J in 17.2.2), so for that long there are more of them every second.
const WARM_UP: f64 = 0.45;
/// What memory may grow by for each call after the warm-up, in bytes: the noise of an allocator. A call that leaves as
/// much as a SIP dialog or a leg behind takes thousands.
const MAX_SLOPE: f64 = 150.0;
/// Longer than any transaction (RFC 3261: 64 times T1, 32 s) and than the pause in which a late copy is recognised.
const REST: Duration = Duration::from_secs(60);
/// What must be as before, once all calls are over.
const GAUGES: [&str; 15] = [
    "wsg_sign_ins",
    "wsg_client_links",
    "wsg_calls",
    "wsg_legs",
    "wsg_pending_requests",
    "wsg_timers",
    "wsg_sip_transactions",
    "wsg_sip_dialogs",
    "wsg_sip_flows",
    "wsg_rtp_ports_in_use",
    "wsg_control_queue_length",
    "wsg_media_legs",
    "wsg_media_sockets",
    "wsg_media_bridges",
    "wsg_media_held_entries",
];

fn main() -> ExitCode {
    let calls = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(CALLS);
    let phones = Phones::new();
    let gateway = GatewayProcess::start(&Setup {
        users: USERS,
        browser_codecs: vec![CodecKind::Opus, CodecKind::Pcmu],
        sip_codecs: vec![CodecKind::Pcmu],
        phones: phones.address,
        tls: false,
    });
    let mut soak = Soak::new(&gateway, phones, USERS);
    soak.rest(Duration::from_millis(500));
    let before = Baseline::of(&gateway);
    println!("before: {before}");

    let begin = Instant::now();
    let mut memory = Vec::new();
    for batch in 1..=calls.div_ceil(BATCH) {
        soak.run(BATCH, CALLS_A_SECOND);
        let resident = gateway.memory().resident;
        println!("{:>6} calls: {} KB", batch * BATCH, resident / 1024);
        memory.push((batch as f64 * BATCH as f64, resident as f64));
    }
    let (took, cpu) = (begin.elapsed(), gateway.cpu());
    let done = memory.len() * BATCH;

    let rested = Instant::now();
    let mut after = Baseline::of(&gateway);
    while !after.is_no_more_than(&before) && rested.elapsed() < REST {
        soak.rest(Duration::from_secs(1));
        after = Baseline::of(&gateway);
    }
    println!("after:  {after}, {:.0} s after the last call", rested.elapsed().as_secs_f64());

    let outcome = &soak.outcome;
    println!(
        "{done} calls in {:.0} s ({:.0} a second), {} with sound; {:.2} ms of processor time a call",
        took.as_secs_f64(),
        done as f64 / took.as_secs_f64(),
        outcome.with_sound,
        cpu.as_secs_f64() * 1000.0 / done as f64
    );
    for (fault, count) in &outcome.faults {
        println!("{count} times: {fault}");
    }
    let slope = slope(&memory[(memory.len() as f64 * WARM_UP) as usize..]);
    println!("memory grows by {slope:.0} bytes a call after the warm-up (at most {MAX_SLOPE:.0})");

    let mut checks = Checks::default();
    checks.check(outcome.as_planned == done, "every call went as planned");
    checks.check(after.gauges == before.gauges, "no leg, port, transaction, dialog, timer or connection is left");
    for (gauge, value) in after.gauges.iter().filter(|(gauge, value)| before.gauges.get(*gauge) != Some(value)) {
        println!("  {gauge} is {value}");
    }
    checks.check(after.descriptors <= before.descriptors, "no descriptor is left");
    // With fewer calls the run ends before the first transactions do.
    if calls >= CALLS {
        checks.check(slope <= MAX_SLOPE, "memory is flat");
    }
    checks.check(gateway.stop(), "the gateway ends in order");
    println!("soak: {} passed, {} failed", checks.passed, checks.failed);
    if checks.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Checks {
    passed: usize,
    failed: usize,
}

impl Checks {
    fn check(&mut self, holds: bool, what: &str) {
        println!("{} {what}", if holds { "ok:    " } else { "FAILED:" });
        *if holds { &mut self.passed } else { &mut self.failed } += 1;
    }
}

struct Baseline {
    gauges: BTreeMap<String, f64>,
    descriptors: usize,
    resident: u64,
}

impl Baseline {
    fn of(gateway: &GatewayProcess) -> Self {
        let mut gauges = BTreeMap::new();
        for (sample, value) in gateway.metrics() {
            let name = sample.split('{').next().unwrap_or_default();
            if GAUGES.contains(&name) {
                *gauges.entry(name.to_owned()).or_default() += value;
            }
        }
        assert_eq!(gauges.len(), GAUGES.len(), "every gauge is there: {gauges:?}");
        Baseline { gauges, descriptors: gateway.descriptors(), resident: gateway.memory().resident }
    }
}

impl Baseline {
    fn is_no_more_than(&self, before: &Baseline) -> bool {
        self.gauges == before.gauges && self.descriptors <= before.descriptors
    }
}

impl std::fmt::Display for Baseline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} KB, {} descriptors", self.resident / 1024, self.descriptors)
    }
}

/// Of the straight line closest to the points (least squares).
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (mean_x, mean_y) =
        (points.iter().map(|p| p.0).sum::<f64>() / count, points.iter().map(|p| p.1).sum::<f64>() / count);
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if variance == 0.0 { 0.0 } else { covariance / variance }
}
