//! The clients that come with coturn: many packets over each transport, none lost.

mod common;

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use common::{Echo, start_with, until_nothing_is_left};
use shell::config::Secret;
use shell::program::Service;
use shell::testing::CertificateFiles;
use turn_bin::config::{OauthKey, Tenant, TokenAlgorithm, User};

const CLIENT: &str = "turnutils_uclient";
/// Three clients with a hundred packets each, without an allocation beside for RTCP.
const THREE: [&str; 5] = ["-c", "-m", "3", "-n", "100"];

/// Runs clients with these flags; what they say in the end. None where they aren't installed.
fn relay(server: SocketAddr, peer: SocketAddr, flags: &[&str]) -> Option<String> {
    let always = ["-l", "171", "-z", "10", "-u", "alice", "-w", "wonder"];
    let peer = ["-e", &peer.ip().to_string(), "-r", &peer.port().to_string()];
    run(CLIENT, server, &[&always[..], flags, &peer].concat())
}

/// Runs one of coturn's programs; what it says. None where it isn't installed.
fn run(program: &str, server: SocketAddr, flags: &[&str]) -> Option<String> {
    let output = Command::new("timeout")
        .args(["60", program])
        .args(flags)
        .args(["-p", &server.port().to_string(), &server.ip().to_string()])
        .stdin(Stdio::null())
        .output()
        .expect("timeout is everywhere");
    // What timeout says when there is no such program.
    if output.status.code() == Some(127) {
        assert!(std::env::var_os("CI").is_none(), "{program} is missing; it comes with coturn");
        eprintln!("skipped: {program} is missing; it comes with coturn");
        return None;
    }
    Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Runs three clients with each of these flags, all side by side, each run with a peer of its own: a peer has room for what three
/// send while it doesn't run.
fn assert_nothing_is_lost(server: SocketAddr, new_peer: fn() -> Option<Echo>, runs: &[&[&str]]) {
    std::thread::scope(|scope| {
        for flags in runs {
            scope.spawn(move || {
                let peer = new_peer().expect("there is a free port");
                if let Some(text) = relay(server, peer.address, &[&THREE, *flags].concat()) {
                    assert_all_came_back(&format!("{flags:?}: {text}"), 300);
                }
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_over_udp_tcp_tls_and_dtls() {
    let files = CertificateFiles::new("wst-coturn");
    files.renew();
    let server = start_with(|config| {
        config.tls = Some(files.tls());
        config.limits.allocations_per_user = 100;
    })
    .await;
    // Channels, and with -s Send indications, which with -g mustn't be fragmented; over UDP, TCP (-t), TLS (-t -S) and DTLS (-S).
    let runs = [&[][..], &["-s"], &["-s", "-g"], &["-t"], &["-t", "-s"], &["-t", "-S"], &["-S"], &["-S", "-s"]];
    assert_nothing_is_lost(server.listen[0], || Some(Echo::start()), &runs);
    server.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_over_ipv6() {
    if Echo::v6().is_none() {
        return eprintln!("skipped: this machine has no IPv6");
    }
    let files = CertificateFiles::new("wst-coturn-v6");
    files.renew();
    let server = start_with(|config| {
        config.listen = vec!["[::1]:0".parse().expect("it is an address")];
        config.relay.allow_peers = vec!["::1/128".parse().expect("it is a network")];
        config.tls = Some(files.tls());
        config.limits.allocations_per_user = 100;
    })
    .await;
    // -x: a relayed address of IPv6.
    let runs = [&["-x"][..], &["-x", "-s", "-g"], &["-x", "-t"], &["-x", "-S"]];
    assert_nothing_is_lost(server.listen[0], Echo::v6, &runs);
    server.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stun_client_learns_its_address() {
    let server = start_with(|_| {}).await;
    if let Some(text) = run("turnutils_stunclient", server.listen[0], &[]) {
        assert!(text.contains("UDP reflexive addr: 127.0.0.1:"), "{text}");
    }
    server.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_reserved_for_rtcp_are_had_from_any_worker() {
    let server = start_with(|config| config.workers = 4).await;
    let peers = Echo::pair();
    // Four clients are two for RTP and two for RTCP, at the port that the first ones reserve.
    if let Some(text) = relay(server.listen[0], peers[0].address, &["-m", "4", "-n", "50"]) {
        assert_all_came_back(&text, 200);
    }
    server.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_move_lose_nothing() {
    let server = start_with(|config| config.workers = 4).await;
    let peer = Echo::start();
    // -M: after the allocation they go on from another port, having closed the old one before or not.
    for flags in [&["-M"][..], &["-M", "-t", "-s"]] {
        let Some(text) = relay(server.listen[0], peer.address, &[&THREE[..], flags].concat()) else { break };
        assert_all_came_back(&text, 300);
    }
    server.stop().await.expect("nothing broke");
}

/// RFC 6062: pairs of clients whose allocations connect to each other, each with a connection for data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_over_tcp_allocations() {
    let files = CertificateFiles::new("wst-coturn-tcp");
    files.renew();
    let server = start_with(|config| {
        config.workers = 4;
        config.tls = Some(files.tls());
    })
    .await;
    // Clients' connections over TCP, and with -S over TLS.
    for flags in [&["-T"][..], &["-T", "-S"]] {
        let Some(text) = relay(server.listen[0], server.listen[0], &[&["-m", "2", "-n", "50"], flags].concat()) else {
            break;
        };
        assert_all_came_back(&text, 100);
    }
    until_nothing_is_left(&server, &["wst_peer_connections", "wst_connections", "wst_relay_sockets "]);
    server.stop().await.expect("nothing broke");
}

fn assert_all_came_back(text: &str, packets: usize) {
    let all = format!("tot_send_msgs={packets}, tot_recv_msgs={packets}");
    assert!(text.contains(&all) && text.contains("Total lost packets 0 "), "{text}");
}

/// Keys that the client has built in.
fn client_keys() -> Vec<OauthKey> {
    let key = |kid: &str, key: &str, algorithm| OauthKey {
        kid: kid.to_owned(),
        key: Secret::from(key),
        algorithm,
        valid_from: None,
        valid_until: None,
    };
    vec![
        key("north", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", TokenAlgorithm::A256GCM),
        key("union", "MTIzNDU2Nzg5MDEyMzQ1Ng==", TokenAlgorithm::A128GCM),
        key("oldempire", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=", TokenAlgorithm::A256GCM),
    ]
}

#[cfg(feature = "oauth")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_with_access_tokens() {
    let server = start_with(|config| {
        config.oauth_keys = client_keys();
        config.auth.server_name = "turn.example.org".to_owned();
        // Nobody gets through without a token.
        config.users.clear();
    })
    .await;
    let peer = Echo::start();
    for flags in [&["-J"][..], &["-J", "-s"], &["-J", "-t"]] {
        let Some(text) = relay(server.listen[0], peer.address, &[&THREE, flags].concat()) else { break };
        assert_all_came_back(&text, 300);
    }
    server.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_the_realm_of_an_origin() {
    let server = start_with(|config| {
        config.tenants = vec![Tenant {
            realm: "example.net".to_owned(),
            origins: vec!["https://phone.example.net".to_owned()],
            users: vec![User { name: "bob".to_owned(), password: Secret::from("builder") }],
            ..Tenant::default()
        }];
    })
    .await;
    let peer = Echo::start();
    let flags = ["-u", "bob", "-w", "builder", "-o", "https://phone.example.net"];
    if let Some(text) = relay(server.listen[0], peer.address, &[&THREE[..], &flags].concat()) {
        assert_all_came_back(&text, 300);
    }
    server.stop().await.expect("nothing broke");
}
