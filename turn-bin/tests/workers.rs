//! What one worker has and another one is asked for.

mod common;

use common::client::Client;
use common::{Echo, start_with};
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
