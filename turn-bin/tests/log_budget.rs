//! What the log costs: at most 5 KB for an hour of an agent.

mod common;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use common::Echo;
use common::client::Client;
use serde_json::Value;
use shell::testing::ChildGuard;

/// A call every six minutes; each time the browser makes an allocation that the call uses, and another one, over TCP or
/// TLS, that it doesn't.
const CALLS: usize = 10;
const BUDGET_BYTES: usize = 5 * 1024;

#[test]
fn an_agent_hour_fits_its_budget() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_webrtc-sip-turn"))
        .args(["--listen", "127.0.0.1:0", "--user", "alice:wonder", "--realm", "example.org"])
        .args(["--allow-peer", "127.0.0.0/8"])
        .envs([("WST_HTTP__LISTEN", "127.0.0.1:0"), ("WST_LOG__FORMAT", "json")])
        .envs([("WST_LIMITS__RELAY_SOCKETS", "100"), ("WST_LIMITS__CONNECTIONS", "100")])
        .env("WST_SHUTDOWN__UNREADY_SECONDS", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let log = BufReader::new(child.stdout.take().expect("it is piped"));
    let running = ChildGuard::of(child);
    let mut lines = log.lines().map_while(Result::ok);
    let started = lines.next().expect("it says that it started");
    let started: Value = serde_json::from_str(&started).expect("it is JSON");
    let listen = started["listen"].as_str().expect("it says where").trim_matches(['[', ']']);
    let server: SocketAddr = listen.parse().expect("it is an address");
    let peer = Echo::start();

    let mut used = Client::udp(server);
    let mut unused = Client::tcp(server);
    used.allocate().expect("alice may");
    used.bind(peer.address).expect("it is allowed");
    for _ in 0..100 {
        used.send(&[0; 160]);
        used.receive();
    }
    unused.allocate().expect("alice may");
    let mut line_of = |client: &mut Client| {
        client.release().expect("it is there");
        lines.next().expect("there is one line at the end, and none before")
    };
    let used = line_of(&mut used);
    let unused = line_of(&mut unused);
    let fields: Value = serde_json::from_str(&used).expect("it is JSON");
    assert_eq!((fields["sent_packets"].as_u64(), fields["received_bytes"].as_u64()), (Some(100), Some(16_000)));
    assert_eq!(fields["reason"], "released");
    assert!(!used.contains("alice"), "{used}");

    // A call has more packets than this, four numbers with up to three more digits, and lasts longer.
    let hour = CALLS * (used.len() + 14 + unused.len() + 2);
    assert!(hour <= BUDGET_BYTES, "{hour} bytes: {used} {unused}");
    println!("{hour} bytes an agent-hour");
    running.end();
}
