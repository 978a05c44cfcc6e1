//! Servers against a plain model of RFC 8656: whatever two clients do, wherever they go meanwhile (RFC 8016), both agree on
//! each answer and each packet.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::scene::*;
use crate::stun::{Attribute, Method};

const CHANNELS: [u16; 3] = [0x4000, 0x4001, 0x7ffe];
const PEERS: [&str; 4] = ["203.0.113.1:1000", "203.0.113.1:2000", "203.0.113.2:1000", "203.0.113.3:3000"];

#[derive(Clone, Debug)]
enum Step {
    Allocate,
    /// Lifetime in seconds.
    Refresh(u32),
    Permit(usize),
    Bind(usize, usize),
    Send(usize),
    ChannelData(usize),
    PeerSends(usize),
    Pass(u64),
    /// To another address, which this server serves.
    Move(u8),
}

const SERVERS: u8 = 3;

fn step() -> impl Strategy<Value = Step> {
    let (peer, channel) = (0..PEERS.len(), 0..CHANNELS.len());
    prop_oneof![
        2 => Just(Step::Allocate),
        2 => prop_oneof![Just(0), Just(600), Just(1200)].prop_map(Step::Refresh),
        3 => peer.clone().prop_map(Step::Permit),
        3 => (channel.clone(), peer.clone()).prop_map(|(channel, peer)| Step::Bind(channel, peer)),
        3 => peer.clone().prop_map(Step::Send),
        3 => channel.prop_map(Step::ChannelData),
        3 => peer.prop_map(Step::PeerSends),
        2 => (0..SERVERS).prop_map(Step::Move),
        3 => prop_oneof![Just(1), Just(150), Just(299), Just(301), Just(599)].prop_map(Step::Pass),
    ]
}

/// One client's allocation as the RFC describes it, in seconds since the start.
#[derive(Default)]
struct Model {
    now: u64,
    expires: Option<u64>,
    /// By IP address.
    permissions: BTreeMap<String, u64>,
    /// Channel by number: its peer and its end.
    channels: BTreeMap<u16, (String, u64)>,
}

/// A client, where it is, and what is expected of the servers.
struct Traveller {
    client: Client,
    server: u8,
    ticket: Vec<u8>,
    model: Model,
}

impl Traveller {
    fn new(client: Client) -> Self {
        Traveller { client, server: 0, ticket: Vec::new(), model: Model::default() }
    }

    fn allocate(&mut self, scene: &mut Scene) -> u16 {
        let wanted: Attributes<'_> = &[UDP, (Attribute::MOBILITY_TICKET, &[])];
        let response = scene.request(&mut self.client, Method::ALLOCATE, wanted);
        if response.code() == 200 {
            self.ticket = response.ticket();
        }
        response.code()
    }

    /// Shows the ticket from another address, which `server` serves.
    fn go_to(&mut self, scene: &mut Scene, server: u8) -> u16 {
        let Path::Udp(old) = self.client.path else { panic!("it has an address") };
        self.client.path = Path::Udp(SocketAddr::new(old.ip(), old.port() + 1));
        self.server = server;
        scene.go_to(server);
        let shown: Attributes<'_> = &[(Attribute::MOBILITY_TICKET, &self.ticket)];
        let response = scene.request(&mut self.client, Method::REFRESH, shown);
        if response.code() == 200 {
            self.ticket = response.ticket();
        }
        response.code()
    }
}

impl Model {
    fn pass(&mut self, seconds: u64) {
        self.now += seconds;
        if self.expires.is_some_and(|expires| expires <= self.now) {
            *self = Model { now: self.now, ..Model::default() };
        }
        let now = self.now;
        self.permissions.retain(|_, expires| *expires > now);
        self.channels.retain(|_, (_, expires)| *expires > now);
    }

    fn allocate(&mut self) -> u16 {
        if self.expires.is_some() {
            return 437;
        }
        self.expires = Some(self.now + 600);
        200
    }

    fn refresh(&mut self, lifetime: u32) -> u16 {
        if self.expires.is_none() {
            return 437;
        }
        match lifetime {
            0 => *self = Model { now: self.now, ..Model::default() },
            lifetime => self.expires = Some(self.now + u64::from(lifetime)),
        }
        200
    }

    fn permit(&mut self, peer: &str) -> u16 {
        if self.expires.is_none() {
            return 437;
        }
        self.permissions.insert(ip(peer), self.now + 300);
        200
    }

    fn bind(&mut self, number: u16, peer: &str) -> u16 {
        if self.expires.is_none() {
            return 437;
        }
        let other_peer = self.channels.get(&number).is_some_and(|(bound, _)| bound != peer);
        let other_number = self.channels.iter().any(|(bound, (at, _))| *bound != number && at == peer);
        if other_peer || other_number {
            return 400;
        }
        self.channels.insert(number, (peer.to_owned(), self.now + 600));
        self.permit(peer)
    }

    fn hears(&self, peer: &str) -> bool {
        self.permissions.contains_key(&ip(peer))
    }

    fn peer_of(&self, number: u16) -> Option<&str> {
        self.channels.get(&number).map(|(peer, _)| peer.as_str()).filter(|peer| self.hears(peer))
    }

    fn channel_to(&self, peer: &str) -> Option<u16> {
        self.channels.iter().find(|(_, (bound, _))| bound == peer).map(|(number, _)| *number)
    }
}

fn ip(peer: &str) -> String {
    peer.split(':').next().unwrap().to_owned()
}

/// One step of one client; fails where servers and model differ.
fn follow(scene: &mut Scene, who: &mut Traveller, step: &Step) -> Result<(), TestCaseError> {
    scene.go_to(who.server);
    let Traveller { client, model, .. } = who;
    match *step {
        Step::Allocate => prop_assert_eq!(who.allocate(scene), who.model.allocate()),
        Step::Refresh(lifetime) => {
            let value = lifetime.to_be_bytes();
            let response = scene.request(client, Method::REFRESH, &[(Attribute::LIFETIME, &value)]);
            prop_assert_eq!(response.code(), model.refresh(lifetime));
        }
        Step::Permit(peer) => prop_assert_eq!(scene.permit(client, PEERS[peer]).code(), model.permit(PEERS[peer])),
        Step::Bind(channel, peer) => {
            let (number, peer) = (CHANNELS[channel], PEERS[peer]);
            prop_assert_eq!(scene.bind_channel(client, number, peer).code(), model.bind(number, peer));
        }
        Step::Send(peer) => {
            let sent = scene.deliver(client.path, &send_indication(address(PEERS[peer]), b"data"));
            prop_assert_eq!(sent.is_some(), model.hears(PEERS[peer]));
        }
        Step::ChannelData(channel) => {
            let sent = scene.deliver(client.path, &channel_data(CHANNELS[channel], b"data"));
            let expected = model.peer_of(CHANNELS[channel]).map(address);
            prop_assert_eq!(sent.map(|(transmit, _)| destination(transmit)), expected);
        }
        Step::PeerSends(peer) => peer_sends(scene, who, peer, client_address(&who.client))?,
        Step::Move(server) => {
            let old = client_address(&who.client);
            prop_assert_eq!(who.go_to(scene, server), who.model.refresh(600));
            for peer in 0..PEERS.len() {
                peer_sends(scene, who, peer, old)?;
            }
            follow(scene, who, &Step::Send(0))?;
        }
        Step::Pass(_) => {}
    }
    Ok(())
}

fn client_address(client: &Client) -> SocketAddr {
    match client.path {
        Path::Udp(address) | Path::UdpAt(_, address) => address,
        Path::Flow(flow) => panic!("{flow:?}"),
    }
}

/// A peer sends to a client that is reached at this address.
fn peer_sends(scene: &mut Scene, who: &Traveller, peer: usize, at: SocketAddr) -> Result<(), TestCaseError> {
    let (peer, model) = (PEERS[peer], &who.model);
    let Some(relayed) = (0..SERVERS).find_map(|number| {
        scene.go_to(number);
        who.client.relayed(scene)
    }) else {
        return Ok(());
    };
    let received = scene.peer_sends(relayed, peer, b"data");
    prop_assert_eq!(received.is_some(), model.hears(peer));
    if let Some((transmit, bytes)) = received {
        prop_assert_eq!(destination(transmit), at);
        let channel = model.channel_to(peer);
        let expected = channel.map(|number| channel_data(number, b"data"));
        prop_assert_eq!(expected.is_some_and(|expected| expected == bytes), channel.is_some());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn servers_and_model_agree(steps in proptest::collection::vec((any::<bool>(), step()), 1..80)) {
        let mut scene = Scene::with_servers(config(), SERVERS);
        let bob = Client::udp("198.51.100.8:4000", "bob", "builder");
        let mut clients = [Client::alice(), bob].map(Traveller::new);
        for (second, step) in &steps {
            if let Step::Pass(seconds) = step {
                scene.pass(Duration::from_secs(*seconds));
                clients.iter_mut().for_each(|who| who.model.pass(*seconds));
            }
            follow(&mut scene, &mut clients[usize::from(*second)], step)?;
            let expected = clients.iter().filter(|who| who.model.expires.is_some()).count();
            let allocated = scene.each(|server| server.stats().allocations);
            prop_assert_eq!(allocated.into_iter().sum::<usize>(), expected);
        }
        // Two hours later nothing is left.
        scene.pass(Duration::from_secs(7200));
        prop_assert!(scene.relays.is_empty());
        for (stats, timeout) in scene.each(|server| (server.stats(), server.poll_timeout())) {
            prop_assert_eq!((stats.allocations, stats.pending, timeout), (0, 0, None));
        }
    }
}
