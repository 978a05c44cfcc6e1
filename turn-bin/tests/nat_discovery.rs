//! NAT behaviour discovery by the client that comes with coturn, on two addresses of this machine.

mod common;

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use common::start_with;
use shell::program::Service;
use shell::testing::free_port;
use turn_bin::config::Discovery;

const CLIENT: &str = "turnutils_natdiscovery";

/// A second address with a port that is free on both.
fn alternate() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 2], free_port().port()))
}

/// What the client says at the end; none where it isn't installed.
fn discover(server: SocketAddr, flags: &[&str]) -> Option<String> {
    let port = server.port().to_string();
    let output = Command::new("timeout")
        .args(["30", CLIENT, "-p", &port])
        .args(flags)
        .arg(server.ip().to_string())
        .stdin(Stdio::null())
        .output()
        .expect("timeout is everywhere");
    // What timeout says when there is no such program.
    if output.status.code() == Some(127) {
        assert!(std::env::var_os("CI").is_none(), "{CLIENT} is missing; it comes with coturn");
        eprintln!("skipped: {CLIENT} is missing; it comes with coturn");
        return None;
    }
    Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_nat_finds_that_out() {
    let second = alternate();
    let server = start_with(|config| {
        config.discovery = Some(Discovery { alternate: second, external_ips: Vec::new() });
    })
    .await;
    let first = server.listen[0];
    assert_eq!(server.listen.len(), 1, "the others are for discovery alone");
    for (flags, found) in [
        (&["-m", "-L", "127.0.0.1"][..], "NAT with Endpoint Independent Mapping"),
        (&["-f", "-L", "127.0.0.1"], "NAT with Endpoint Independent Filtering"),
        (&["-m", "-f", "-P", "-L", "127.0.0.1"], "NAT with Endpoint Independent Filtering"),
    ] {
        let Some(text) = discover(first, flags) else { break };
        println!("{text}");
        assert!(text.contains(found), "{flags:?}: {text}");
        assert!(text.contains(&format!("{second}")), "{flags:?}: {text}");
    }
    server.stop().await.expect("nothing broke");
}
