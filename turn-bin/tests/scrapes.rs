//! What a scrape costs, and that tenants don't make the page longer.

mod common;

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use common::get;
use common::process::Process;
use shell::testing::scrape_cost;

const TENANTS: usize = 10_000;

fn start(flags: &[&str]) -> Process {
    let program = Command::new(env!("CARGO_BIN_EXE_webrtc-sip-turn"));
    Process::start(program, IpAddr::V4(Ipv4Addr::LOCALHOST), flags, 10)
}

#[test]
fn ten_thousand_tenants_add_no_series() {
    let tenant = |number| format!("[[tenants]]\nrealm = \"tenant{number}.example\"\nsecrets = [\"s\"]\n");
    let file = std::env::temp_dir().join(format!("wst-many-tenants-{}.toml", std::process::id()));
    std::fs::write(&file, (0..TENANTS).map(tenant).collect::<String>()).expect("there is room");
    let [few, many] = [vec![], vec!["--config", file.to_str().expect("it is text")]].map(|flags| start(&flags));
    std::fs::remove_file(&file).expect("it is ours");
    let lines = |server: &Process| get(server.http, "/metrics").lines().count();
    assert_eq!(lines(&many), lines(&few));

    let (cost, bytes) = scrape_cost(many.id(), many.http);
    eprintln!("a scrape of the TURN server: {cost:?} of a processor, {bytes} bytes");
    // Ten of them a second, unoptimised.
    assert!(cost.as_millis() < 20, "{cost:?}");
    few.stop();
    many.stop();
}
