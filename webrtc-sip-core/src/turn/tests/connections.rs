//! Connections of clients, and when they are closed.

use super::scene::*;
use crate::io::FlowId;
use crate::stun::{Attribute, Method};
use crate::turn::{ClientTransport, TurnEvent};

const FLOW: FlowId = FlowId(5);

fn connected(transport: ClientTransport) -> (Scene, Client) {
    let mut scene = Scene::new(config());
    scene.server.handle_flow_opened(scene.now, FLOW, address("198.51.100.7:4000"), transport);
    (scene, Client { path: Path::Flow(FLOW), ..Client::alice() })
}

/// Which connections the server wants closed by now.
fn closed(scene: &mut Scene) -> Vec<FlowId> {
    scene.pass(seconds(0));
    let closed = scene.events.iter().filter_map(|event| match event {
        TurnEvent::CloseFlow(flow) => Some(*flow),
        _ => None,
    });
    closed.collect()
}

#[test]
fn a_connection_without_an_allocation_is_closed_soon_whatever_it_sends() {
    let (mut scene, mut client) = connected(ClientTransport::Tls);
    for _ in 0..29 {
        scene.pass(seconds(1));
        assert_eq!(scene.once(&client, Method::BINDING, &[]).code(), 200);
        assert_eq!(scene.request(&mut client, Method::REFRESH, &[]).code(), 437);
    }
    assert_eq!(closed(&mut scene), []);
    scene.pass(seconds(1));
    assert_eq!(closed(&mut scene), [FLOW]);
    scene.server.handle_flow_closed(scene.now, FLOW);
    assert_eq!((scene.server.stats().flows, scene.server.poll_timeout()), (0, None));
}

#[test]
fn an_allocation_keeps_its_connection_for_as_long_as_it_lives() {
    let (mut scene, mut client) = connected(ClientTransport::Tcp);
    scene.allocate(&mut client);
    scene.pass(seconds(599));
    assert_eq!(closed(&mut scene), []);
    scene.pass(seconds(1));
    assert_eq!(closed(&mut scene), [FLOW], "the client is gone");
}

#[test]
fn who_gives_an_allocation_back_may_have_another_one() {
    let (mut scene, mut client) = connected(ClientTransport::Dtls);
    for _ in 0..3 {
        scene.allocate(&mut client);
        scene.pass(seconds(100));
        let release = [(Attribute::LIFETIME, &[0; 4][..])];
        assert_eq!(scene.request(&mut client, Method::REFRESH, &release).code(), 200);
        scene.pass(seconds(29));
    }
    assert_eq!(closed(&mut scene), []);
    scene.pass(seconds(1));
    assert_eq!(closed(&mut scene), [FLOW]);
}

#[test]
fn ending_an_allocation_closes_its_connection_and_closing_that_is_not_asked_for_twice() {
    let (mut scene, mut client) = connected(ClientTransport::Tcp);
    assert_eq!(scene.server.flows_over(ClientTransport::Tcp), 1);
    assert_eq!(scene.server.flows_over(ClientTransport::Tls), 0);
    scene.allocate(&mut client);
    let id = scene.server.allocations(scene.now).next().unwrap().id;
    assert!(scene.server.end_allocation(scene.now, id));
    assert_eq!(closed(&mut scene), [FLOW]);
    let (mut scene, mut client) = connected(ClientTransport::Tcp);
    scene.allocate(&mut client);
    scene.server.handle_flow_closed(scene.now, FLOW);
    assert_eq!(closed(&mut scene), []);
    assert_eq!(scene.server.poll_timeout(), None);
}
