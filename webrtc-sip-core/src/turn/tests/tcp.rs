//! TCP allocations, by the sections of RFC 6062.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;

use super::scene::*;
use crate::io::{DropReason, FlowId, PacketBuf, SocketId, Transmit};
use crate::stun::{Attribute, Class, Message, Method};
use crate::turn::*;

const TCP: (Attribute, &[u8]) = (Attribute::REQUESTED_TRANSPORT, &[6, 0, 0, 0]);
const PEER: &str = "203.0.113.5:9000";
const CONTROL: FlowId = FlowId(1);
const DATA: FlowId = FlowId(2);

fn open(scene: &mut Scene, flow: FlowId, transport: ClientTransport) {
    scene.server.handle_flow_opened(scene.now, flow, address("198.51.100.7:4000"), transport);
}

fn alice(flow: FlowId) -> Client {
    Client { path: Path::Flow(flow), ..Client::alice() }
}

/// A scene with a TCP allocation, and where it accepts connections.
fn ready(config: TurnConfig) -> (Scene, Client, SocketId) {
    let mut scene = Scene::new(config);
    open(&mut scene, CONTROL, ClientTransport::Tcp);
    open(&mut scene, DATA, ClientTransport::Tls);
    let mut client = alice(CONTROL);
    assert_eq!(scene.request(&mut client, Method::ALLOCATE, &[TCP]).code(), 200);
    let socket = scene.relays[0].socket;
    (scene, client, socket)
}

/// Sends a Connect request: the connection that the owner is asked for, or the code that it is answered with.
fn connect(scene: &mut Scene, client: &Client, attributes: Attributes<'_>) -> Result<ConnectionId, u16> {
    let transaction = scene.transaction();
    let bytes = scene.encode(client, Method::CONNECT, attributes, transaction);
    if let Some(response) = scene.exchange(client.path, &bytes) {
        return Err(response.code());
    }
    match scene.events.last() {
        Some(TurnEvent::Connect { id, .. }) => Ok(*id),
        other => panic!("a connection is wanted, not {other:?}"),
    }
}

fn connect_to(scene: &mut Scene, client: &Client, peer: &str) -> Result<ConnectionId, u16> {
    connect(scene, client, &[(Attribute::XOR_PEER_ADDRESS, &xor_address(address(peer)))])
}

/// What the server sends by itself.
fn next_message(scene: &mut Scene) -> Option<(Transmit, Response)> {
    let mut slot = [0; 1500];
    let mut packet = PacketBuf::empty(&mut slot, 0);
    let transmit = scene.server.poll_transmit(scene.now, &mut packet)?;
    Some((transmit, Response(packet.as_slice().to_vec())))
}

fn id_in(response: &Response) -> ConnectionId {
    ConnectionId(response.message().u32(Attribute::CONNECTION_ID).unwrap().unwrap())
}

/// A connection that waits to be bound.
fn connected(scene: &mut Scene, client: &Client, peer: &str) -> ConnectionId {
    let id = connect_to(scene, client, peer).unwrap();
    scene.server.handle_connected(scene.now, id, true);
    let (_, answer) = next_message(scene).unwrap();
    assert_eq!((answer.code(), id_in(&answer)), (200, id));
    id
}

fn bind(scene: &mut Scene, flow: FlowId, id: ConnectionId) -> u16 {
    let id = id.0.to_be_bytes();
    scene.request(&mut alice(flow), Method::CONNECTION_BIND, &[(Attribute::CONNECTION_ID, &id)]).code()
}

/// The counter of the pair that was made last.
fn spliced(scene: &Scene) -> (FlowId, ConnectionId, Arc<Carried>) {
    match scene.events.last() {
        Some(TurnEvent::Splice { flow, connection, carried }) => (*flow, *connection, carried.clone()),
        other => panic!("a pair is wanted, not {other:?}"),
    }
}

fn closed(scene: &Scene) -> Vec<ConnectionId> {
    let closed = scene.events.iter().filter_map(|event| match event {
        TurnEvent::CloseConnection(id) => Some(*id),
        _ => None,
    });
    closed.collect()
}

fn ended(scene: &Scene, end: ConnectionEnd) -> u64 {
    scene.server.stats().ended_connections[end as usize]
}

/// Section 5.1.
#[test]
fn tcp_allocations_are_for_clients_over_tcp_and_tls() {
    use ClientTransport::{Dtls, Tcp, Tls, Udp};
    let even: (Attribute, &[u8]) = (Attribute::EVEN_PORT, &[0]);
    let token: (Attribute, &[u8]) = (Attribute::RESERVATION_TOKEN, &[1; 8]);
    let v6: (Attribute, &[u8]) = (Attribute::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0]);
    let both: (Attribute, &[u8]) = (Attribute::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);
    let cases: &[(ClientTransport, Attributes<'_>, u16, usize)] = &[
        (Tcp, &[TCP], 200, 1),
        (Tls, &[TCP], 200, 1),
        (Tcp, &[TCP, v6], 200, 1),
        (Tcp, &[TCP, both], 200, 2),
        (Udp, &[TCP], 400, 0),
        (Dtls, &[TCP], 400, 0),
        (Tcp, &[TCP, even], 400, 0),
        (Tcp, &[TCP, token], 400, 0),
    ];
    for (transport, attributes, code, sockets) in cases {
        let mut scene = Scene::new(config());
        open(&mut scene, CONTROL, *transport);
        let mut client = if *transport == Udp { Client::alice() } else { alice(CONTROL) };
        let response = scene.request(&mut client, Method::ALLOCATE, attributes);
        assert_eq!((response.code(), scene.relays.len()), (*code, *sockets), "{transport:?} {attributes:?}");
        assert!(response.message().get(Attribute::RESERVATION_TOKEN).is_none());
        let bind = scene.events.iter().find_map(|event| match event {
            TurnEvent::Request { bind, .. } => Some(bind.transport),
            _ => None,
        });
        assert_eq!(bind, (*code == 200).then_some(RelayTransport::Tcp));
    }
    let mut scene = Scene::new(TurnConfig { max_connections: 0, ..config() });
    open(&mut scene, CONTROL, Tcp);
    assert_eq!(scene.request(&mut alice(CONTROL), Method::ALLOCATE, &[TCP]).code(), 442);
}

#[test]
fn datagrams_have_no_place_in_tcp_allocations() {
    let (mut scene, mut client, socket) = ready(config());
    assert_eq!(scene.permit(&mut client, PEER).code(), 200);
    assert_eq!(scene.bind_channel(&mut client, 0x4000, PEER).code(), 403);
    assert!(scene.send(client.path, &send_indication(address(PEER), b"data")).is_none());
    assert_eq!(scene.server.drops().get(DropReason::Forbidden), 1);
    let mut slot = [0; 200];
    let mut packet = PacketBuf::filled(&mut slot, HEADROOM, 4);
    assert!(scene.server.handle_datagram(scene.now, socket, address(PEER), &mut packet).is_none());
    assert_eq!(scene.server.stats().received.packets, 0);
}

/// Section 5.2: what is answered at once.
#[test]
fn connect_requests_are_checked() {
    let exact = address("127.0.0.1:7000");
    let mut config = config();
    config.peers.allow.push(crate::net::IpNetwork { address: address("192.0.2.0:0").ip(), prefix_len: 24 });
    config.peers.allow_exactly.insert(exact);
    let (mut scene, client, _) = ready(config);
    let relayed = client.relayed(&scene).unwrap().to_string();
    let peer = |text: &str| xor_address(address(text));
    let v6 = [&[0, 2, 0, 1][..], &[0x20; 16]].concat();
    let cases: &[(Vec<u8>, u16)] = &[
        (vec![0, 1, 0], 400),
        (v6, 443),
        (peer("10.0.0.1:80"), 403),
        (peer("127.0.0.1:7001"), 403),
        (peer("169.254.169.254:80"), 403),
        (peer(&relayed), 403),
    ];
    for (value, code) in cases {
        let asked = connect(&mut scene, &client, &[(Attribute::XOR_PEER_ADDRESS, value)]);
        assert_eq!(asked, Err(*code), "{value:?}");
    }
    assert_eq!(connect(&mut scene, &client, &[]), Err(400));
    assert!(connect_to(&mut scene, &client, "127.0.0.1:7000").is_ok(), "this very port is allowed");
    assert!(connect_to(&mut scene, &client, "192.0.2.200:1").is_ok());

    let mut other = alice(DATA);
    assert_eq!(scene.request(&mut other, Method::CONNECT, &[]).code(), 437, "no allocation");
    let mut udp = Client::udp("198.51.100.9:1", "bob", "builder");
    scene.allocate(&mut udp);
    assert_eq!(connect_to(&mut scene, &udp, PEER), Err(403), "not one of TCP");
}

#[test]
fn a_connect_request_is_answered_when_the_peer_answers() {
    let (mut scene, client, socket) = ready(config());
    let id = connect_to(&mut scene, &client, PEER).unwrap();
    assert!(matches!(scene.events.last(), Some(TurnEvent::Connect { socket: from, peer, .. })
        if *from == socket && *peer == address(PEER)));
    assert!(next_message(&mut scene).is_none());
    assert_eq!(connect_to(&mut scene, &client, PEER), Err(446), "it is being made");
    scene.server.handle_connected(scene.now, id, true);
    let (transmit, answer) = next_message(&mut scene).unwrap();
    assert_eq!((transmit, answer.code()), (Transmit::Stream(CONTROL), 200));
    assert_eq!((id_in(&answer), id.server_number()), (id, 0), "the first server knows it");
    assert_eq!(connect_to(&mut scene, &client, PEER), Err(446), "it is there");
    assert_eq!(bind(&mut scene, DATA, id), 200);
    assert_eq!(connect_to(&mut scene, &client, PEER), Err(446), "and in use");
    scene.server.handle_connection_closed(scene.now, id);
    assert!(connect_to(&mut scene, &client, PEER).is_ok());
}

#[test]
fn peers_that_do_not_answer() {
    let (mut scene, client, _) = ready(config());
    let refused = connect_to(&mut scene, &client, PEER).unwrap();
    scene.server.handle_connected(scene.now, refused, false);
    assert_eq!(next_message(&mut scene).unwrap().1.code(), 447);
    let silent = connect_to(&mut scene, &client, PEER).unwrap();
    scene.pass(seconds(29));
    assert!(next_message(&mut scene).is_none(), "30 seconds at least");
    scene.pass(seconds(1));
    assert_eq!(next_message(&mut scene).unwrap().1.code(), 447);
    assert_eq!(closed(&scene), [silent]);
    assert_eq!((ended(&scene, ConnectionEnd::NotConnected), scene.server.stats().connections), (2, 0));
    scene.server.handle_connected(scene.now, silent, true);
    scene.serve();
    assert_eq!(closed(&scene), [silent, silent], "too late");
    assert!(next_message(&mut scene).is_none());
}

#[test]
fn an_allocation_has_so_many_connections() {
    let (mut scene, mut client, socket) = ready(TurnConfig { max_connections: 2, ..config() });
    connect_to(&mut scene, &client, "203.0.113.5:1").unwrap();
    let second = connected(&mut scene, &client, "203.0.113.5:2");
    assert_eq!(connect_to(&mut scene, &client, "203.0.113.5:3"), Err(508));
    scene.permit(&mut client, PEER);
    assert_eq!(scene.server.handle_peer_connected(scene.now, socket, address(PEER)), None);
    assert_eq!(scene.server.drops().get(DropReason::LimitReached), 1);
    scene.server.handle_connection_closed(scene.now, second);
    assert!(scene.server.handle_peer_connected(scene.now, socket, address(PEER)).is_some());
}

/// Section 5.3.
#[test]
fn peers_with_a_permission_may_connect() {
    let (mut scene, mut client, socket) = ready(config());
    assert_eq!(scene.server.handle_peer_connected(scene.now, socket, address(PEER)), None, "no permission");
    assert_eq!(scene.server.handle_peer_connected(scene.now, SocketId(77), address(PEER)), None, "no allocation");
    assert!(next_message(&mut scene).is_none());
    scene.permit(&mut client, PEER);
    let id = scene.server.handle_peer_connected(scene.now, socket, address(PEER)).unwrap();
    let (transmit, attempt) = next_message(&mut scene).unwrap();
    assert_eq!(transmit, Transmit::Stream(CONTROL));
    let message: Message<'_> = attempt.message();
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::CONNECTION_ATTEMPT));
    assert_eq!(message.xor_address(Attribute::XOR_PEER_ADDRESS).unwrap(), Some(address(PEER)));
    assert_eq!(id_in(&attempt), id);
    assert_eq!(bind(&mut scene, DATA, id), 200);
    scene.pass(seconds(300));
    assert_eq!(scene.server.stats().connections, 1, "a permission is asked for once");
    assert_eq!(scene.server.handle_peer_connected(scene.now, socket, address("203.0.113.5:1")), None, "it is over");
    assert_eq!(scene.server.drops().get(DropReason::Forbidden), 2);
}

#[test]
fn a_permission_is_not_enough_for_a_port_that_is_not_allowed() {
    let mut config = config();
    config.peers.allow_exactly.insert(address("127.0.0.1:7000"));
    let (mut scene, mut client, socket) = ready(config);
    assert_eq!(scene.permit(&mut client, "127.0.0.1:1").code(), 200);
    assert_eq!(scene.server.handle_peer_connected(scene.now, socket, address("127.0.0.1:7001")), None);
    assert!(scene.server.handle_peer_connected(scene.now, socket, address("127.0.0.1:7000")).is_some());
}

/// Section 5.4.
#[test]
fn connection_bind_requests_are_checked() {
    let (mut scene, client, _) = ready(config());
    let connecting = connect_to(&mut scene, &client, "203.0.113.5:1").unwrap();
    let id = connected(&mut scene, &client, PEER);
    let value = id.0.to_be_bytes();
    let named: Attributes<'_> = &[(Attribute::CONNECTION_ID, &value)];

    assert_eq!(scene.request(&mut Client::alice(), Method::CONNECTION_BIND, named).code(), 400, "over UDP");
    open(&mut scene, FlowId(3), ClientTransport::Dtls);
    assert_eq!(bind(&mut scene, FlowId(3), id), 400, "over DTLS");
    assert_eq!(bind(&mut scene, CONTROL, id), 400, "the control connection");
    assert_eq!(bind(&mut scene, DATA, ConnectionId(id.0 ^ 1)), 400, "nobody's");
    assert_eq!(bind(&mut scene, DATA, connecting), 400, "not there yet");
    assert_eq!(scene.request(&mut alice(DATA), Method::CONNECTION_BIND, &[]).code(), 400);
    assert_eq!(
        scene.request(&mut alice(DATA), Method::CONNECTION_BIND, &[(Attribute::CONNECTION_ID, &[1])]).code(),
        400
    );
    let mut bob = Client { path: Path::Flow(DATA), ..Client::udp("198.51.100.7:4000", "bob", "builder") };
    assert_eq!(scene.request(&mut bob, Method::CONNECTION_BIND, named).code(), 441, "alice's");
    assert_eq!(scene.once(&alice(DATA), Method::CONNECTION_BIND, named).code(), 401, "who asks?");

    assert_eq!(bind(&mut scene, DATA, id), 200);
    let (flow, connection, _) = spliced(&scene);
    assert_eq!((flow, connection), (DATA, id));
    open(&mut scene, FlowId(4), ClientTransport::Tcp);
    assert_eq!(bind(&mut scene, FlowId(4), id), 400, "it has one");
    scene.pass(seconds(31));
    assert_eq!(closed(&scene), [connecting], "a pair lasts");
    assert!(scene.send(Path::Flow(DATA), b"no frame any more").is_none());
}

#[test]
fn a_request_to_bind_is_known_from_outside() {
    let (mut scene, client, _) = ready(config());
    let id = connected(&mut scene, &client, PEER);
    let value = id.0.to_be_bytes();
    let transaction = scene.transaction();
    let mut frame = |method, attributes: Attributes<'_>| scene.encode(&client, method, attributes, transaction);
    let bytes = frame(Method::CONNECTION_BIND, &[(Attribute::CONNECTION_ID, &value)]);
    assert_eq!(ConnectionId::to_bind(&bytes), Some(id));
    assert_eq!(ConnectionId::to_bind(&bytes[..30]), None);
    assert_eq!(ConnectionId::to_bind(&frame(Method::CONNECTION_BIND, &[])), None);
    assert_eq!(ConnectionId::to_bind(&frame(Method::CONNECT, &[(Attribute::CONNECTION_ID, &value)])), None);
    assert_eq!(ConnectionId::to_bind(&[]), None);
}

#[test]
fn credentials_that_ran_out_go_on_being_good_for_binding() {
    let mut scene = Scene::new(config());
    open(&mut scene, CONTROL, ClientTransport::Tcp);
    open(&mut scene, DATA, ClientTransport::Tcp);
    let (user, password) = time_limited_credentials("new secret", "carol", START + 10);
    let mut carol = Client { path: Path::Flow(CONTROL), user, password, ..Client::alice() };
    assert_eq!(scene.request(&mut carol, Method::ALLOCATE, &[TCP]).code(), 200);
    scene.pass(seconds(60));
    let id = connected(&mut scene, &carol, PEER);
    carol.path = Path::Flow(DATA);
    let value = id.0.to_be_bytes();
    assert_eq!(scene.request(&mut carol, Method::CONNECTION_BIND, &[(Attribute::CONNECTION_ID, &value)]).code(), 200);
}

/// Sections 5.2, 5.3 and 5.5.
#[test]
fn connections_that_nobody_binds_are_closed() {
    let (mut scene, mut client, socket) = ready(config());
    let ours = connected(&mut scene, &client, PEER);
    scene.pass(seconds(1));
    scene.permit(&mut client, PEER);
    let theirs = scene.server.handle_peer_connected(scene.now, socket, address("203.0.113.5:1")).unwrap();
    scene.pass(seconds(29));
    assert_eq!(closed(&scene), [ours]);
    scene.pass(seconds(1));
    assert_eq!(closed(&scene), [ours, theirs]);
    assert_eq!((ended(&scene, ConnectionEnd::NotBound), scene.server.stats().connections), (2, 0));
    assert_eq!(bind(&mut scene, DATA, ours), 400);
}

#[test]
fn an_allocation_takes_its_connections_along_and_tells_what_they_carried() {
    let (mut scene, client, _) = ready(config());
    let early = connected(&mut scene, &client, "203.0.113.5:1");
    assert_eq!(bind(&mut scene, DATA, early), 200);
    spliced(&scene).2.add_sent(1000);
    scene.server.handle_connection_closed(scene.now, early);
    scene.serve();
    let bound = connected(&mut scene, &client, "203.0.113.5:2");
    open(&mut scene, FlowId(3), ClientTransport::Tcp);
    assert_eq!(bind(&mut scene, FlowId(3), bound), 200);
    let carried = spliced(&scene).2;
    carried.add_sent(20);
    carried.add_received(3);
    let bytes = |summary: &AllocationSummary| (summary.sent.bytes, summary.received.bytes);
    assert_eq!(scene.server.allocations(scene.now).map(|summary| bytes(&summary)).collect::<Vec<_>>(), [(1020, 3)]);
    let connecting = connect_to(&mut scene, &client, "203.0.113.5:3").unwrap();

    scene.server.handle_flow_closed(scene.now, CONTROL);
    scene.serve();
    assert_eq!(closed(&scene), [bound, connecting], "the owner closed the other one");
    let Some(TurnEvent::Ended(record)) = scene.events.last() else { panic!("it is over") };
    assert_eq!((record.reason, bytes(&record.allocation)), (AllocationEnd::FlowClosed, (1020, 3)));
    let stats = scene.server.stats();
    assert_eq!((stats.connections, stats.allocations, stats.flows), (0, 0, 0));
    assert_eq!((stats.sent.bytes, stats.received.bytes), (1020, 3));
    assert_eq!((ended(&scene, ConnectionEnd::AllocationEnded), ended(&scene, ConnectionEnd::Closed)), (2, 1));
    assert!(scene.relays.is_empty());
    assert_eq!(scene.server.poll_timeout(), None);
}

#[test]
fn peers_that_may_not_be_reached_any_more_are_cut_off() {
    let (mut scene, client, _) = ready(config());
    let id = connected(&mut scene, &client, PEER);
    scene.server.set_peers(config().peers);
    scene.serve();
    assert!(closed(&scene).is_empty());
    scene.server.set_peers(PeerPolicy::default());
    scene.serve();
    assert_eq!((closed(&scene), ended(&scene, ConnectionEnd::Forbidden)), (vec![id], 1));
}

#[test]
fn other_connections_are_none_of_an_ended_allocation() {
    let (mut scene, client, socket) = ready(config());
    let id = connected(&mut scene, &client, PEER);
    scene.server.handle_flow_closed(scene.now, CONTROL);
    scene.serve();
    assert_eq!(bind(&mut scene, DATA, id), 400);
    let peer: SocketAddr = address(PEER);
    assert_eq!(scene.server.handle_peer_connected(scene.now, socket, peer), None);
    scene.server.handle_connection_closed(scene.now, id);
    assert_eq!(ended(&scene, ConnectionEnd::AllocationEnded), 1);
}

/// What is over a limit tries again; the limits that it has passed ask nothing of it a second time.
#[test]
fn connections_are_held_to_the_bandwidth() {
    let bandwidth = |most| Quota { allocations: None, bytes_per_second: NonZeroU64::new(most) };
    let mut config = config();
    config.tenants.default.user_quota = bandwidth(1000);
    config.tenants.default.quota = bandwidth(100);
    let (mut scene, client, _) = ready(config);
    let id = connected(&mut scene, &client, PEER);
    assert_eq!(bind(&mut scene, DATA, id), 200);
    let (_, _, carried) = spliced(&scene);
    let mut passed = 0;
    assert!(carried.may_send(scene.now, 500, &mut passed));
    passed = 0;
    for _ in 0..10 {
        assert!(!carried.may_send(scene.now, 400, &mut passed), "the tenant's share is used up");
        assert_eq!(passed, 1, "the user's isn't");
    }
    assert!(carried.may_receive(scene.now, 500, &mut 0), "the other way is another matter");
    scene.pass(seconds(5));
    assert!(carried.may_send(scene.now, 400, &mut passed));
}
