//! Thousands of allocations at one server, and a flood of requests from as many addresses as there are requests. The
//! server is a process of its own, so that what it takes is its own.

mod common;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use common::client::Client;
use common::process::Process;
use common::strangers::{BYTES_OF_A_FLOOD, FLOOD};
use common::{Echo, metric, strangers};
use shell::limits::raise_open_files;

const ALLOCATIONS: usize = 5_000;
/// At once, each waiting for one answer after the other.
const THREADS: usize = 8;
const LIVE: usize = 20;
/// Resident memory of an allocation: itself, its sockets' entries and its timer.
const BYTES_PER_ALLOCATION: u64 = 4096;
/// A thousand set up a second take no more than one processor, without optimisation.
const SETUP: Duration = Duration::from_millis(1);

#[test]
fn thousands_of_allocations_outlive_a_flood() {
    raise_open_files();
    let server = Process::start(
        Command::new(env!("CARGO_BIN_EXE_webrtc-sip-turn")),
        [127, 0, 0, 1].into(),
        &["--relay-ip", "127.0.0.3", "--allow-peer", "127.0.0.0/8"],
        ALLOCATIONS,
    );
    let empty = server.memory();
    let (begun, cpu) = (Instant::now(), server.cpu());
    let mut clients = allocate(server.listen);
    let (took, setup) = (begun.elapsed(), (server.cpu() - cpu) / ALLOCATIONS as u32);
    let full = server.memory();
    let each = full.saturating_sub(empty) / ALLOCATIONS as u64;
    println!("{ALLOCATIONS} allocations in {took:?}: {setup:?} of CPU and {each} bytes each");
    assert!(setup < SETUP, "{setup:?} of CPU for an allocation");
    assert!(each < BYTES_PER_ALLOCATION, "{each} bytes for an allocation");
    assert_eq!(metric(server.http, "wst_allocations{", ""), ALLOCATIONS as u64);

    let begun = Instant::now();
    flood(server.listen, &mut clients[..LIVE]);
    let more = server.memory().saturating_sub(full);
    println!("{FLOOD} requests in {:?}: {more} bytes", begun.elapsed());
    assert!(more < BYTES_OF_A_FLOOD, "{more} bytes more than before the flood");
    assert_eq!(metric(server.http, "wst_allocations{", ""), ALLOCATIONS as u64);
    let answered = metric(server.http, "wst_refused_requests_total", "");
    let dropped = metric(server.http, "wst_dropped_packets_total", "limit_reached");
    println!("{answered} requests refused, {dropped} left without an answer");
    assert!(answered > 0 && dropped > 0, "networks are answered so often and no more");

    for client in &mut clients {
        client.release().expect("it is still there");
    }
    assert_eq!(metric(server.http, "wst_relay_sockets ", ""), 0);
    server.stop();
}

/// From many networks, since each may only ask so often.
fn allocate(server: SocketAddr) -> Vec<Client> {
    let allocate = |index: usize| {
        let mut client = Client::udp_from(IpAddr::from([127, 8 + (index / 250) as u8, (index % 250) as u8, 1]), server);
        client.allocate().expect("alice may");
        client
    };
    std::thread::scope(|scope| {
        let part = |thread: usize| move || (thread..ALLOCATIONS).step_by(THREADS).map(allocate).collect::<Vec<_>>();
        let parts: Vec<_> = (0..THREADS).map(|thread| scope.spawn(part(thread))).collect();
        parts.into_iter().flat_map(|part| part.join().expect("every client has its allocation")).collect()
    })
}

/// From an address of its own for each request.
fn flood(server: SocketAddr, live: &mut [Client]) {
    let peer = Echo::start();
    strangers::flood(live, peer.address, |index, request| {
        let source = IpAddr::from([127, 32 + (index >> 16) as u8, (index >> 8) as u8, index as u8]);
        let socket = UdpSocket::bind((source, 0)).expect("every address of 127.0.0.0/8 is this machine");
        socket.send_to(request, server).expect("it is on this machine");
    });
}
