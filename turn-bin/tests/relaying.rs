//! Packets through the server, and what operators do to it meanwhile.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::client::Client;
use common::{Echo, PATIENCE, config, get, start_with};
use shell::program::Service;
use shell::testing::check_with_promtool;
use turn_bin::Running;
use turn_bin::config::{Secret, User};

/// The sum of a metric's samples that contain `label`.
fn metric(server: &Running, name: &str, label: &str) -> u64 {
    common::metric(server.http.expect("it is configured"), name, label)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_of_any_length_come_back_over_udp_and_tcp() {
    let server = start_with(|_| {}).await;
    let peer = Echo::start();
    for mut client in [Client::udp(server.listen[0]), Client::tcp(server.listen[0])] {
        client.allocate().expect("alice may");
        client.bind(peer.address).expect("it is allowed");
        for len in (0..1200).step_by(7) {
            let data = vec![len as u8; len];
            client.send(&data);
            assert_eq!(client.receive(), data);
        }
    }
    assert_eq!(metric(&server, "wst_relayed_packets_total", "to_peer"), 2 * 172);
    let page = get(server.http.expect("it is configured"), "/metrics");
    check_with_promtool(page.split_once("\r\n\r\n").expect("a whole response").1, "wst_");
    server.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_loses_packets_and_nothing_else() {
    let server = start_with(|_| {}).await;
    let peer = Echo::start();
    let mut slow = Client::tcp(server.listen[0]);
    slow.allocate().expect("alice may");
    slow.bind(peer.address).expect("it is allowed");
    let mut dropped = 0;
    // Until the system's buffers are full, and those of the server.
    for _ in 0..1000 {
        for _ in 0..100 {
            slow.send(&[1; 1000]);
        }
        // Asking is also the pause that the peer needs to keep up.
        dropped = metric(&server, "wst_dropped_packets_total", "limit_reached");
        if dropped > 0 {
            break;
        }
    }
    assert!(dropped > 0, "what it doesn't read doesn't pile up");
    let mut quick = Client::udp(server.listen[0]);
    quick.allocate().expect("alice may");
    quick.bind(peer.address).expect("it is allowed");
    quick.send(b"quick");
    assert_eq!(quick.receive(), b"quick");
    // What it reads late is made of whole frames.
    for _ in 0..500 {
        assert_eq!(slow.receive(), [1; 1000]);
    }
    server.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_takes_over_users_and_peers() {
    let server = start_with(|_| {}).await;
    let peer = Echo::start();
    let mut before = Client::udp(server.listen[0]);
    before.allocate().expect("alice may");
    before.bind(peer.address).expect("it is allowed");
    let mut changed = config();
    changed.users = vec![User { name: "bob".to_owned(), password: Secret::from("builder") }];
    changed.relay.allow_peers.clear();
    server.reload(&changed).await;
    // Through every worker's queue.
    metric(&server, "wst_allocations", "");
    assert_eq!(Client::udp(server.listen[0]).allocate(), Err(401));
    let mut bob = Client::udp(server.listen[0]).user("bob", "builder");
    bob.allocate().expect("bob may");
    assert_eq!(bob.bind(peer.address), Err(403));
    server.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_server_takes_nobody_new_and_waits_for_those_it_has() {
    let server = start_with(|_| {}).await;
    let http = server.http.expect("it is configured");
    let peer = Echo::start();
    assert!(get(http, "/ready").starts_with("HTTP/1.1 200"));
    let mut client = Client::tcp(server.listen[0]);
    client.allocate().expect("alice may");
    {
        let mut drained = std::pin::pin!(server.drain());
        let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut drained).await;
        assert!(early.is_err(), "there is an allocation");
        assert!(get(http, "/ready").starts_with("HTTP/1.1 503"));
        assert!(get(http, "/isAlive").starts_with("HTTP/1.1 200"));
        assert_eq!(Client::udp(server.listen[0]).allocate(), Err(300));
        client.bind(peer.address).expect("it goes on");
        client.send(b"still here");
        assert_eq!(client.receive(), b"still here");
        client.release().expect("it is there");
        tokio::time::timeout(PATIENCE, drained).await.expect("the last one is gone");
    }
    assert_eq!(metric(&server, "wst_ended_allocations_total", "released"), 1);
    assert_eq!(metric(&server, "wst_relay_sockets ", ""), 0);
    let address = server.listen[0];
    server.stop().await.expect("nothing broke");
    TcpStream::connect(address).expect_err("it is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_without_frames_are_closed() {
    let server = start_with(|_| {}).await;
    let mut rubbish = TcpStream::connect(server.listen[0]).expect("it listens");
    rubbish.set_read_timeout(Some(PATIENCE)).expect("it is a valid time");
    rubbish.write_all(&[0x80; 20]).expect("it is open");
    assert_eq!(rubbish.read(&mut [0; 10]).expect("it is closed in time"), 0, "it is neither STUN nor ChannelData");
    server.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_past_the_limit_are_closed() {
    let server = start_with(|config| config.limits.connections = 1).await;
    let mut only = Client::tcp(server.listen[0]);
    only.allocate().expect("alice may");
    let mut second = TcpStream::connect(server.listen[0]).expect("it listens");
    second.set_read_timeout(Some(PATIENCE)).expect("it is a valid time");
    assert_eq!(second.read(&mut [0; 10]).unwrap_or(0), 0, "there is no place");
    assert_eq!(metric(&server, "wst_refused_connections_total", ""), 1);
    server.stop().await.expect("nothing broke");
}
