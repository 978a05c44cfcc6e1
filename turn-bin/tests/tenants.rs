//! Tenants, and limits that hold over all workers.

mod common;

use common::client::Client;
use common::{Echo, start_with};
use shell::metrics::Exposition;
use shell::program::Service;
use turn_bin::config::{Secret, Tenant, User};

const ORIGIN: &str = "https://phone.example.net";

/// Where `bob` is.
fn tenant() -> Tenant {
    Tenant {
        realm: "example.net".to_owned(),
        origins: vec![ORIGIN.to_owned()],
        users: vec![User { name: "bob".to_owned(), password: Secret::from("builder") }],
        ..Tenant::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_is_asked_for_by_its_origin() {
    let server = start_with(|config| config.tenants = vec![tenant()]).await;
    let bob = || Client::udp(server.listen[0]).user("bob", "builder");
    assert_eq!(bob().allocate(), Err(401), "the default realm doesn't know him");
    bob().origin(ORIGIN).allocate().expect("his own does");
    assert_eq!(Client::udp(server.listen[0]).origin(ORIGIN).allocate(), Err(401), "alice is of the default realm");
    Client::tcp(server.listen[0]).allocate().expect("where she may");
    server.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_users_allocations_are_counted_over_all_workers() {
    let server = start_with(|config| {
        config.limits.allocations_per_user = 3;
        config.limits.allocations = 5;
        config.tenants = vec![tenant()];
    })
    .await;
    // The system spreads their ports over the workers.
    let mut clients: Vec<_> = (0..12).map(|_| Client::udp(server.listen[0])).collect();
    let outcomes: Vec<_> = clients.iter_mut().map(Client::allocate).collect();
    assert_eq!(outcomes[..3], [Ok(()); 3]);
    assert_eq!(outcomes[3..], [Err(486); 9]);
    clients[0].release().expect("it is there");
    let mut late = Client::udp(server.listen[0]);
    late.allocate().expect("there is a place again");
    let mut bobs: Vec<_> =
        (0..8).map(|_| Client::udp(server.listen[0]).user("bob", "builder").origin(ORIGIN)).collect();
    let outcomes: Vec<_> = bobs.iter_mut().map(Client::allocate).collect();
    assert_eq!(outcomes[..2], [Ok(()); 2]);
    assert_eq!(outcomes[2..], [Err(486); 6], "there may be five in all");
    server.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_the_bandwidth_is_dropped() {
    // So little that a second packet would have to wait for a quarter of an hour.
    let server = start_with(|config| config.limits.bytes_per_second_per_user = 1).await;
    let peer = Echo::start();
    let mut client = Client::udp(server.listen[0]);
    client.allocate().expect("alice may");
    client.bind(peer.address).expect("it is allowed");
    for byte in 0..20 {
        client.send(&[byte; 1000]);
    }
    assert_eq!(client.receive(), [0; 1000], "the first one passes");
    // What is sent later is looked at later, so all of those were.
    client.bind(peer.address).expect("it is allowed");
    let mut page = Exposition::default();
    server.metrics().write(&mut page).await;
    let page = page.finish();
    assert!(page.contains("wst_dropped_packets_total{reason=\"over_quota\"} 19\n"), "{page}");
    server.stop().await.expect("nothing broke");
}
