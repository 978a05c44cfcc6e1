//! What one worker has and another one is asked for.

mod common;

use std::time::Duration;

use common::client::Client;
use common::{Echo, PATIENCE, metric, start_with};
use shell::program::Service;
use webrtc_sip_core::stun::{Attribute, Message};

const WORKERS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reserved_ports_are_had_whichever_worker_is_asked() {
    let server = start_with(|config| {
        config.workers = WORKERS;
        config.limits.allocations_per_user = 1000;
    })
    .await;
    let peer = Echo::start();
    let relayed = |answer: &[u8]| {
        let message = Message::parse(answer).expect("it is a message");
        message.xor_address(Attribute::XOR_RELAYED_ADDRESS).expect("it is an address").expect("it is there")
    };
    // Three in four come to another worker, but for one in 10^15 runs.
    for _ in 0..25 {
        let mut first = Client::udp(server.listen[0]);
        let answer = first.allocate_with(&[(Attribute::EVEN_PORT, &[0x80])]).expect("a pair is free");
        let token =
            Message::parse(&answer).expect("it is a message").get(Attribute::RESERVATION_TOKEN).expect("it is there");
        let mut second = Client::udp(server.listen[0]);
        let second_answer = second.allocate_with(&[(Attribute::RESERVATION_TOKEN, token)]).expect("it is reserved");
        assert_eq!(relayed(&second_answer).port(), relayed(&answer).port() + 1);
        second.bind(peer.address).expect("it is allowed");
        second.send(b"through the socket that came along");
        assert_eq!(second.receive(), b"through the socket that came along");
        first.release().expect("it is there");
        second.release().expect("it is there");
    }
    server.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allocations_follow_their_clients_from_worker_to_worker() {
    const CLIENTS: usize = 30;
    const MOVES: usize = 8;
    let server = start_with(|config| {
        config.workers = WORKERS;
        config.limits.allocations_per_user = CLIENTS;
        // Each asks for a nonce wherever it comes.
        config.limits.refusals_per_second = 10_000;
    })
    .await;
    let peer = Echo::start();
    let place = |number: usize| match number % 3 {
        0 => Client::tcp(server.listen[0]),
        _ => Client::udp(server.listen[0]),
    };
    let echoed = |client: &mut Client, data: &str| {
        client.send(data.as_bytes());
        assert_eq!(String::from_utf8_lossy(&client.receive()), data);
    };
    let start = |number: usize| {
        let mut client = place(number);
        let answer = client.allocate_with(&[(Attribute::MOBILITY_TICKET, &[])]).expect("there is room");
        let ticket = Message::parse(&answer).expect("it is a message").get(Attribute::MOBILITY_TICKET);
        client.bind(peer.address).expect("it is allowed");
        echoed(&mut client, "before");
        (client, ticket.expect("there is a ticket").to_vec())
    };
    let mut clients: Vec<_> = (0..CLIENTS).map(start).collect();
    for step in 1..=MOVES {
        for (number, (client, ticket)) in clients.iter_mut().enumerate() {
            let (next, mut old) = client.move_to(place(number + step), ticket).expect("it is its ticket");
            *ticket = next;
            if number % 2 == 0 {
                echoed(&mut old, "still at the old place");
            }
            drop(old);
            // Several before the first comes back: none is lost on the way from worker to worker, and none passes another.
            let texts: Vec<String> = (0..5).map(|text| format!("client {number} move {step} text {text}")).collect();
            texts.iter().for_each(|text| client.send(text.as_bytes()));
            texts.iter().for_each(|text| assert_eq!(String::from_utf8_lossy(&client.receive()), *text));
        }
    }
    let http = server.http.expect("it is configured");
    assert_eq!(metric(http, "wst_allocations{", ""), CLIENTS as u64);
    assert_eq!(metric(http, "wst_moved_allocations_total", ""), (CLIENTS * MOVES) as u64);
    assert_eq!(metric(http, "wst_failed_handovers_total", ""), 0);
    {
        let mut drained = std::pin::pin!(server.drain());
        for (number, (client, ticket)) in clients.iter_mut().enumerate() {
            assert!(tokio::time::timeout(Duration::ZERO, &mut drained).await.is_err(), "there are allocations");
            client.move_to(place(number), ticket).expect("it is its ticket");
            echoed(client, "while it drains");
            client.release().expect("it is there");
        }
        tokio::time::timeout(PATIENCE, drained).await.expect("the last one is gone");
    }
    assert_eq!(metric(http, "wst_relay_sockets ", ""), 0);
    server.stop().await.expect("nothing broke");
}
