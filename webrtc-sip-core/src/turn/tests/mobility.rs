//! Clients that change their address and keep their allocation (RFC 8016), within a server and from one to another.

use std::net::SocketAddr;

use super::scene::*;
use crate::io::{DropReason, FlowId, Transmit};
use crate::stun::{Attribute, Method};
use crate::turn::{AllocationEnd, ClientTransport, TurnConfig};

const WITH_TICKET: (Attribute, &[u8]) = (Attribute::MOBILITY_TICKET, &[]);
const PEER: &str = "203.0.113.1:1000";
const CHANNEL: u16 = 0x4001;
const OLD: Path = Path::Udp(SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7)), 4000));
const NEW: Path = Path::Udp(SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 99)), 5000));

/// A client with a mobile allocation and a channel.
struct Traveller {
    client: Client,
    relayed: SocketAddr,
    ticket: Vec<u8>,
}

impl Traveller {
    fn start(scene: &mut Scene, path: Path) -> Self {
        open(scene, path);
        let mut client = Client { path, ..Client::alice() };
        let response = scene.request(&mut client, Method::ALLOCATE, &[UDP, WITH_TICKET]);
        assert_eq!(scene.bind_channel(&mut client, CHANNEL, PEER).code(), 200);
        Traveller { client, relayed: response.relayed(), ticket: response.ticket() }
    }

    /// Shows the ticket at a new place; keeps the next one.
    fn come(&mut self, scene: &mut Scene, path: Path) -> u16 {
        open(scene, path);
        self.client.path = path;
        let response = scene.request(&mut self.client, Method::REFRESH, &[(Attribute::MOBILITY_TICKET, &self.ticket)]);
        if response.code() == 200 {
            assert_ne!(response.ticket(), self.ticket);
            self.ticket = response.ticket();
        }
        response.code()
    }

    /// The bytes of a Refresh with the ticket, from where `client` is.
    fn refresh(&self, scene: &mut Scene, client: &Client) -> Vec<u8> {
        let transaction = scene.transaction();
        scene.encode(client, Method::REFRESH, &[(Attribute::MOBILITY_TICKET, &self.ticket)], transaction)
    }

    /// Whether the peer hears the client at this place.
    fn is_heard(&self, scene: &mut Scene, path: Path) -> bool {
        let sent = scene.deliver(path, &channel_data(CHANNEL, b"to the peer\0"));
        sent.is_some_and(|(transmit, bytes)| destination(transmit) == address(PEER) && bytes == b"to the peer\0")
    }

    /// Where the client hears the peer.
    fn hears_at(&self, scene: &mut Scene) -> Option<Transmit> {
        scene.go_to_relay(self.relayed);
        let (transmit, bytes) = scene.peer_sends(self.relayed, PEER, b"to the client")?;
        assert_eq!(bytes[..17], channel_data(CHANNEL, b"to the client"));
        Some(transmit)
    }
}

fn open(scene: &mut Scene, path: Path) {
    if let Path::Flow(flow) = path {
        scene.server.handle_flow_opened(scene.now, flow, address("198.51.100.8:4000"), ClientTransport::Tcp);
    }
}

fn transmit(path: Path) -> Transmit {
    match path {
        Path::Udp(destination) => Transmit::Datagram { socket: LISTENER, destination },
        Path::UdpAt(socket, destination) => Transmit::Datagram { socket, destination },
        Path::Flow(flow) => Transmit::Stream(flow),
    }
}

fn scene() -> Scene {
    Scene::with_servers(config(), 3)
}

#[test]
fn a_ticket_is_given_to_who_asks_for_one() {
    let mut scene = scene();
    let answer = |scene: &mut Scene, port: u16, attributes: Attributes<'_>| {
        let mut client = Client::udp(&format!("198.51.100.7:{port}"), "alice", "wonder");
        let response = scene.request(&mut client, Method::ALLOCATE, attributes);
        (response.code(), response.message().get(Attribute::MOBILITY_TICKET).map(<[u8]>::len))
    };
    assert_eq!(answer(&mut scene, 1, &[UDP]), (200, None));
    assert_eq!(answer(&mut scene, 2, &[UDP, WITH_TICKET]), (200, Some(32)));
    assert_eq!(answer(&mut scene, 3, &[UDP, (Attribute::MOBILITY_TICKET, &[1; 32])]), (400, None));
    let mut scene = Scene::new(TurnConfig { mobility: false, ..config() });
    assert_eq!(answer(&mut scene, 1, &[UDP, WITH_TICKET]), (405, None));
    assert_eq!(answer(&mut scene, 1, &[UDP]), (200, None));
    let refused = scene.request(&mut Client::alice(), Method::REFRESH, &[(Attribute::MOBILITY_TICKET, &[1; 32])]);
    assert_eq!(refused.code(), 405);
}

#[test]
fn an_allocation_follows_its_client_over_any_transport_to_any_server() {
    let flow = |number| Path::Flow(FlowId(number));
    for (old, new) in [(OLD, NEW), (OLD, flow(1)), (flow(1), NEW), (flow(1), flow(2))] {
        for server in [0, 1] {
            let mut scene = scene();
            let mut traveller = Traveller::start(&mut scene, old);
            scene.go_to(server);
            assert_eq!(traveller.come(&mut scene, new), 200);
            // Until it goes on from there, it is served where it was.
            assert_eq!(traveller.hears_at(&mut scene), Some(transmit(old)));
            scene.go_to(0);
            assert!(traveller.is_heard(&mut scene, old));
            scene.go_to(server);
            assert!(traveller.is_heard(&mut scene, new), "{old:?} {new:?} {server}");
            assert_eq!(traveller.hears_at(&mut scene), Some(transmit(new)));
            scene.go_to(0);
            assert!(!traveller.is_heard(&mut scene, old));
            scene.go_to(server);
            assert_eq!(scene.permit(&mut traveller.client, "203.0.113.2:1").code(), 200);
            assert_eq!(scene.each(|server| server.stats().moved).iter().sum::<u64>(), 1);
            let transport = if matches!(new, Path::Udp(_)) { ClientTransport::Udp } else { ClientTransport::Tcp };
            assert_eq!(scene.server.allocations(scene.now).next().map(|it| it.transport), Some(transport));
            let release = scene.request(&mut traveller.client, Method::REFRESH, &[(Attribute::LIFETIME, &[0; 4])]);
            assert_eq!((release.code(), scene.relays.len()), (200, 0));
        }
    }
}

#[test]
fn an_allocation_goes_from_server_to_server_and_back() {
    let mut scene = scene();
    let mut traveller = Traveller::start(&mut scene, OLD);
    let mut heard = true;
    for (step, server) in [1, 2, 1, 0, 0, 2, 2, 1].into_iter().enumerate() {
        let path = Path::Udp(SocketAddr::from(([198, 51, 100, 20 + step as u8], 4000)));
        scene.go_to(server);
        assert_eq!(traveller.come(&mut scene, path), 200, "{step}");
        // Every third time it goes on without having said anything.
        heard = step % 3 != 2;
        if heard {
            assert!(traveller.is_heard(&mut scene, path), "{step}");
            assert_eq!(traveller.hears_at(&mut scene), Some(transmit(path)));
        }
    }
    assert!(heard);
    assert_eq!(scene.each(|server| server.stats().allocations), [0, 1, 0]);
    scene.pass(seconds(3600));
    assert_eq!((scene.ended(), scene.relays.len()), (vec![AllocationEnd::Expired], 0));
    assert_eq!(scene.each(|server| server.poll_timeout()), [None; 3]);
}

#[test]
fn requests_bring_the_allocation_too() {
    let mut scene = scene();
    let mut traveller = Traveller::start(&mut scene, OLD);
    scene.go_to(1);
    assert_eq!(traveller.come(&mut scene, NEW), 200);
    assert_eq!(scene.bind_channel(&mut traveller.client, 0x4002, "203.0.113.2:1").code(), 200);
    assert_eq!(traveller.hears_at(&mut scene), Some(transmit(NEW)));
}

#[test]
fn tickets_of_others_and_used_ones_are_refused() {
    let mut scene = scene();
    let mut traveller = Traveller::start(&mut scene, OLD);
    let first = traveller.ticket.clone();
    let show = |scene: &mut Scene, from: &str, user: &str, password: &str, ticket: &[u8]| {
        let mut client = Client::udp(from, user, password);
        scene.request(&mut client, Method::REFRESH, &[(Attribute::MOBILITY_TICKET, ticket)]).code()
    };
    for server in [0, 1] {
        scene.go_to(server);
        assert_eq!(show(&mut scene, "198.51.100.40:1", "bob", "builder", &first), 441);
        assert_eq!(show(&mut scene, "198.51.100.40:2", "alice", "guess", &first), 401);
        assert_eq!(show(&mut scene, "198.51.100.40:3", "alice", "wonder", &[b'A'; 32]), 437);
        assert_eq!(show(&mut scene, "198.51.100.40:4", "alice", "wonder", &[]), 437);
    }
    assert_eq!(traveller.come(&mut scene, NEW), 200);
    assert_eq!(show(&mut scene, "198.51.100.40:5", "alice", "wonder", &first), 200, "the next one may be lost");
    assert_eq!(traveller.come(&mut scene, NEW), 200);
    assert!(traveller.is_heard(&mut scene, NEW));
    for server in [0, 1, 2] {
        scene.go_to(server);
        assert_eq!(show(&mut scene, "198.51.100.40:6", "alice", "wonder", &first), 437, "it has gone on since");
    }
    scene.go_to(1);
    assert_eq!(traveller.come(&mut scene, NEW), 400, "it is here already");
}

#[test]
fn a_copy_of_the_request_is_answered_too() {
    // Where there is no old place any more, the first one has brought the client here when the copy comes.
    for has_broken in [false, true] {
        let mut scene = scene();
        let flow = FlowId(1);
        let traveller = Traveller::start(&mut scene, if has_broken { Path::Flow(flow) } else { OLD });
        scene.server.handle_flow_closed(scene.now, flow);
        scene.go_to(1);
        let mut client = Client { path: NEW, ..traveller.client.clone() };
        let bytes = traveller.refresh(&mut scene, &client);
        client.nonce = scene.exchange(NEW, &bytes).expect("there is an answer").text(Attribute::NONCE);
        let bytes = traveller.refresh(&mut scene, &client);
        let first = scene.exchange(NEW, &bytes).expect("there is an answer");
        let second = scene.exchange(NEW, &bytes).expect("there is an answer");
        assert_eq!((first.code(), first.lifetime(), second.code(), second.lifetime()), (200, 600, 200, 600));
        assert!(traveller.is_heard(&mut scene, NEW));
        let ticket = second.ticket();
        scene.go_to(2);
        assert_eq!(Traveller { ticket, ..traveller }.come(&mut scene, OLD), 200, "the next ticket is good");
    }
}

#[test]
fn packets_wait_for_their_allocation_in_order_and_in_bounds() {
    let mut scene = scene();
    let mut traveller = Traveller::start(&mut scene, OLD);
    scene.go_to(1);
    assert_eq!(traveller.come(&mut scene, NEW), 200);
    for number in 0..40 {
        assert!(scene.send(NEW, &channel_data(CHANNEL, &[number; 4])).is_none(), "the other server has it");
    }
    scene.serve();
    assert!(scene.send(NEW, &channel_data(CHANNEL, &[32; 4])).is_none(), "others were first");
    for number in 0..=32 {
        assert_eq!(scene.poll().expect("it waited").1, [number; 4]);
    }
    assert_eq!((scene.poll(), scene.server.drops().get(DropReason::LimitReached)), (None, 8));
    assert!(traveller.is_heard(&mut scene, NEW));
}

/// A false address costs no more than any other request.
#[test]
fn a_ticket_without_a_nonce_makes_nobody_look_for_it() {
    let mut scene = scene();
    let traveller = Traveller::start(&mut scene, OLD);
    scene.go_to(1);
    let elsewhere = Client { path: NEW, ..traveller.client.clone() };
    for client in [Client { nonce: String::new(), ..elsewhere.clone() }, elsewhere] {
        let bytes = traveller.refresh(&mut scene, &client);
        assert!(scene.send(NEW, &bytes).is_some(), "it is refused at once");
        assert_eq!((scene.server.poll_event().is_none(), scene.server.stats().pending), (true, 0));
    }
}

#[test]
fn a_client_is_expected_at_one_place() {
    let mut scene = scene();
    let mut traveller = Traveller::start(&mut scene, OLD);
    scene.go_to(1);
    let places = [60, 61, 62].map(|host| Path::Udp(SocketAddr::from(([198, 51, 100, host], 4000))));
    for place in places {
        assert_eq!(traveller.come(&mut scene, place), 200);
    }
    assert!(!traveller.is_heard(&mut scene, places[0]));
    assert_eq!(scene.server.drops().get(DropReason::UnknownSource), 1, "it doesn't wait either");
    assert!(traveller.is_heard(&mut scene, places[2]));
}

/// Servers number their clients' connections each for itself.
#[test]
fn an_allocation_without_its_client_leaves_others_alone() {
    let flow = FlowId(1);
    let mut scene = scene();
    let mut traveller = Traveller::start(&mut scene, Path::Flow(flow));
    scene.go_to(1);
    let mut other = Traveller::start(&mut scene, Path::Flow(flow));
    assert_eq!(traveller.come(&mut scene, Path::Flow(FlowId(2))), 200);
    assert!(scene.send(Path::Flow(FlowId(2)), &channel_data(CHANNEL, b"data")).is_none());
    scene.server.handle_flow_closed(scene.now, FlowId(2));
    scene.serve();
    assert_eq!(scene.each(|server| server.stats().allocations), [0, 2, 0], "it came, and waits");
    assert_eq!(traveller.come(&mut scene, NEW), 200);
    assert!(traveller.is_heard(&mut scene, NEW) && other.is_heard(&mut scene, Path::Flow(flow)));
    assert_eq!(scene.permit(&mut other.client, PEER).code(), 200);
}

#[test]
fn a_client_that_breaks_off_again_has_no_more_time() {
    let mut scene = scene();
    let traveller = Traveller::start(&mut scene, Path::Flow(FlowId(1)));
    scene.server.handle_flow_closed(scene.now, FlowId(1));
    scene.go_to(1);
    let new = Path::Flow(FlowId(2));
    open(&mut scene, new);
    // From the same address, so the nonce is good.
    let client = Client { path: new, ..traveller.client.clone() };
    let bytes = traveller.refresh(&mut scene, &client);
    assert!(scene.send(new, &bytes).is_none(), "the other server is asked");
    scene.server.handle_flow_closed(scene.now, FlowId(2));
    scene.pass(seconds(61));
    assert_eq!((scene.ended(), scene.relays.len()), (vec![AllocationEnd::FlowClosed], 0));
}

#[test]
fn an_answer_that_is_lost_loses_no_allocation() {
    let mut scene = scene();
    let mut traveller = Traveller::start(&mut scene, OLD);
    scene.go_to(1);
    scene.loses_answers = true;
    assert_eq!(traveller.come(&mut scene, NEW), 508);
    scene.loses_answers = false;
    assert_eq!(traveller.come(&mut scene, NEW), 200);
    scene.loses_answers = true;
    assert!(!traveller.is_heard(&mut scene, NEW));
    assert_eq!(scene.server.drops().get(DropReason::OutOfState), 1);
    assert_eq!(traveller.hears_at(&mut scene), Some(transmit(OLD)));
    scene.go_to(1);
    scene.loses_answers = false;
    assert!(traveller.is_heard(&mut scene, NEW));
    assert_eq!(traveller.hears_at(&mut scene), Some(transmit(NEW)));
}

#[test]
fn who_never_goes_on_from_the_new_place_stays_at_the_old_one() {
    let mut scene = scene();
    let mut traveller = Traveller::start(&mut scene, OLD);
    scene.go_to(1);
    assert_eq!(traveller.come(&mut scene, NEW), 200);
    scene.pass(seconds(60));
    assert!(!traveller.is_heard(&mut scene, NEW), "nobody is waited for that long");
    scene.go_to(0);
    assert!(traveller.is_heard(&mut scene, OLD));
    scene.go_to(2);
    assert_eq!(traveller.come(&mut scene, NEW), 200, "its ticket is good all the same");
    assert!(traveller.is_heard(&mut scene, NEW));
}

#[test]
fn a_client_comes_back_after_its_connection_broke() {
    for server in [0, 1] {
        let mut scene = scene();
        let mut traveller = Traveller::start(&mut scene, Path::Flow(FlowId(1)));
        scene.server.handle_flow_closed(scene.now, FlowId(1));
        assert_eq!(traveller.hears_at(&mut scene), None, "it isn't there");
        scene.pass(seconds(59));
        scene.go_to(server);
        assert_eq!(traveller.come(&mut scene, NEW), 200);
        assert_eq!(traveller.hears_at(&mut scene), Some(transmit(NEW)), "at once: there is no old place");
        scene.go_to(server);
        assert!(traveller.is_heard(&mut scene, NEW));
        scene.pass(seconds(599));
        assert_eq!(scene.ended(), []);
    }
    let mut scene = scene();
    Traveller::start(&mut scene, Path::Flow(FlowId(1)));
    scene.server.handle_flow_closed(scene.now, FlowId(1));
    scene.pass(seconds(60));
    assert_eq!((scene.ended(), scene.relays.len()), (vec![AllocationEnd::FlowClosed], 0));
    assert_eq!(scene.server.poll_timeout(), None);
}

#[test]
fn a_connection_that_breaks_while_its_allocation_comes_loses_nothing() {
    let mut scene = scene();
    let mut traveller = Traveller::start(&mut scene, OLD);
    scene.go_to(1);
    let flow = FlowId(1);
    assert_eq!(traveller.come(&mut scene, Path::Flow(flow)), 200);
    assert!(scene.send(Path::Flow(flow), &channel_data(CHANNEL, b"data")).is_none());
    scene.server.handle_flow_closed(scene.now, flow);
    scene.serve();
    assert_eq!(scene.each(|server| server.stats().allocations), [0, 1, 0], "it came, and waits");
    scene.go_to(2);
    assert_eq!(traveller.come(&mut scene, NEW), 200);
    assert_eq!(traveller.hears_at(&mut scene), Some(transmit(NEW)));
}

#[test]
fn the_ticket_also_ends_the_allocation() {
    let mut scene = scene();
    let traveller = Traveller::start(&mut scene, OLD);
    scene.go_to(1);
    let attributes: Attributes<'_> = &[(Attribute::MOBILITY_TICKET, &traveller.ticket), (Attribute::LIFETIME, &[0; 4])];
    let mut client = Client { path: NEW, ..traveller.client };
    let response = scene.request(&mut client, Method::REFRESH, attributes);
    assert_eq!((response.code(), response.lifetime()), (200, 0));
    scene.pass(seconds(0));
    assert_eq!((scene.ended(), scene.relays.len()), (vec![AllocationEnd::Released], 0));
    assert_eq!(scene.request(&mut client, Method::REFRESH, attributes).code(), 437);
}

#[test]
fn credentials_that_ran_out_still_move_their_allocation() {
    let mut scene = scene();
    let (user, password) = crate::turn::time_limited_credentials("old secret", "carol", START + 10);
    let mut client = Client::udp("198.51.100.7:4000", &user, &password);
    let response = scene.request(&mut client, Method::ALLOCATE, &[UDP, WITH_TICKET]);
    let (relayed, ticket) = (response.relayed(), response.ticket());
    assert_eq!(scene.bind_channel(&mut client, CHANNEL, PEER).code(), 200);
    scene.pass(seconds(100));
    scene.go_to(1);
    let mut traveller = Traveller { client, relayed, ticket };
    assert_eq!(traveller.come(&mut scene, NEW), 200);
    assert!(traveller.is_heard(&mut scene, NEW));
}
