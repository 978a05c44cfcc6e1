//! A server that is taken out of service: calls go on, new ones go elsewhere.

mod common;

use common::client::Client;
use common::{Echo, PATIENCE, start_with};
use shell::program::Service;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_relays_lose_nothing_and_new_clients_are_sent_to_the_other_server() {
    let other = start_with(|_| {}).await;
    let server = start_with(|config| config.shutdown.alternate_server = Some(other.listen[0])).await;
    let peer = Echo::start();
    let mut clients: Vec<Client> = (0..3).map(|_| Client::udp(server.listen[0])).collect();
    clients.push(Client::tcp(server.listen[0]));
    for client in &mut clients {
        client.allocate().expect("alice may");
        client.bind(peer.address).expect("it is allowed");
    }
    {
        let mut drained = std::pin::pin!(server.drain());
        for packet in 0..100u8 {
            // Drains while packets are under way.
            assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut drained).await.is_err(), "there are relays");
            clients.iter_mut().for_each(|client| client.send(&[packet; 160]));
            for client in &mut clients {
                assert_eq!(client.receive(), [packet; 160]);
            }
        }
        let mut late = Client::udp(server.listen[0]);
        assert_eq!(late.allocate(), Err(300));
        let alternate = late.alternate().expect("it is configured");
        assert_eq!(alternate, other.listen[0]);
        let mut late = Client::udp(alternate);
        late.allocate().expect("alice may");
        late.bind(peer.address).expect("it is allowed");
        late.send(b"elsewhere");
        assert_eq!(late.receive(), b"elsewhere");
        for client in &mut clients {
            client.release().expect("it is there");
        }
        tokio::time::timeout(PATIENCE, drained).await.expect("the last one is gone");
    }
    server.stop().await.expect("nothing broke");
    other.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_changes_where_clients_are_sent() {
    let server = start_with(|config| config.workers = 1).await;
    let mut changed = common::config();
    changed.shutdown.alternate_server = Some("127.0.0.9:3478".parse().expect("it is an address"));
    server.reload(&changed).await;
    let mut client = Client::tcp(server.listen[0]);
    client.allocate().expect("alice may");
    assert!(tokio::time::timeout(std::time::Duration::from_millis(10), server.drain()).await.is_err());
    let mut late = Client::udp(server.listen[0]);
    assert_eq!(late.allocate(), Err(300));
    assert_eq!(late.alternate(), changed.shutdown.alternate_server);
    server.stop().await.expect("nothing broke");
}
