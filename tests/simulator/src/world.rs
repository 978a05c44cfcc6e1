//! The event loop on a fake clock.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use webrtc_sip_core::codec::CodecKind;
use webrtc_sip_core::crypto::{CryptoProvider, DtlsCertificate};
use webrtc_sip_core::gateway::{GatewayConfig, Route, RouteMatch, SipTarget};
use webrtc_sip_core::ids::LinkId;
use webrtc_sip_core::rng::{Rng, Seed};
use webrtc_sip_core::rtp::srtp::SrtpProfile;

use crate::browser::Browser;
use crate::network::{Arrival, Conditions, Network};
use crate::node::{Node, NodeSetup, Wire};
use crate::phone::{Phone, PhoneBehaviour, seed_of};
use crate::tap::SrtpTap;

/// A gateway instance in a [`World`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeIndex(usize);
/// A browser in a [`World`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrowserIndex(usize);
/// A phone in a [`World`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhoneIndex(usize);

/// When, and in which order, everybody sends what they have. What comes out must not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DrainOrder {
    /// After each input: browsers, nodes, phones.
    #[default]
    EachInput,
    /// After each input, the other way round, within the nodes too.
    Reversed,
    /// Only when everything that comes in at one moment has been taken in.
    Batched,
}

/// Everything there is.
pub struct World {
    seed: Seed,
    crypto: CryptoProvider,
    start: Instant,
    now: Instant,
    wall_clock: SystemTime,
    certificate: DtlsCertificate,
    /// Its conditions may be changed at any time.
    pub network: Network,
    nodes: Vec<Option<Node>>,
    browsers: Vec<Browser>,
    phones: Vec<Phone>,
    links: BTreeMap<LinkId, (NodeIndex, BrowserIndex)>,
    /// HTTP requests, and their responses where they have come.
    requests: BTreeMap<LinkId, Option<String>>,
    next_link: u64,
    tap: SrtpTap,
    profiles: BTreeMap<SocketAddr, SrtpProfile>,
    trace: u64,
    /// May be changed at any time.
    pub drain_order: DrainOrder,
}

impl World {
    /// An empty world. `start` is any instant; nothing depends on which.
    pub fn new(start: Instant, seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let crypto = CryptoProvider::seeded(&bytes);
        let wall_clock = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        World {
            seed: bytes,
            start,
            now: start,
            wall_clock,
            certificate: DtlsCertificate::generate(&crypto, wall_clock).expect("a certificate can be made"),
            network: Network::new(Rng::split(&bytes, "network"), Conditions::default()),
            crypto,
            nodes: Vec::new(),
            browsers: Vec::new(),
            phones: Vec::new(),
            links: BTreeMap::new(),
            requests: BTreeMap::new(),
            next_link: 0,
            tap: SrtpTap::default(),
            profiles: BTreeMap::new(),
            trace: 0xcbf2_9ce4_8422_2325,
            drain_order: DrainOrder::default(),
        }
    }

    // Building

    /// Adds a gateway instance that leads every number of a known phone to it.
    pub fn add_node(&mut self, shards: u16, config: GatewayConfig) -> NodeIndex {
        let n = self.nodes.len();
        let setup = NodeSetup {
            ip: address(0, n),
            shards,
            routes: self.routes(),
            certificate: self.certificate.clone(),
            config,
        };
        let seed = seed_of(&self.seed, &format!("node {n}"));
        self.nodes.push(Some(Node::new(self.now, self.wall_clock(), setup, &self.crypto, &seed)));
        NodeIndex(n)
    }

    /// The numbers `phone0`, `phone1` ... lead to the phones that were added before.
    fn routes(&self) -> Vec<Route> {
        let to = |(n, phone): (usize, &Phone)| Route {
            matches: RouteMatch::Exactly(vec![format!("phone{n}")]),
            target: SipTarget { host: phone.ip().to_string(), port: 5060, tcp: false },
        };
        self.phones.iter().enumerate().map(to).collect()
    }

    /// Adds a browser of a user, not signed in.
    pub fn add_browser(&mut self, user: &str, codecs: Vec<CodecKind>) -> BrowserIndex {
        let n = self.browsers.len();
        self.browsers.push(Browser::new(address(1, n), user, codecs, self.wall_clock(), &self.crypto, &self.seed));
        BrowserIndex(n)
    }

    /// Adds a phone. Nodes that are added afterwards have a route to it.
    pub fn add_phone(&mut self, behaviour: PhoneBehaviour, codecs: Vec<CodecKind>) -> PhoneIndex {
        let n = self.phones.len();
        let name = format!("phone{n}");
        self.phones.push(Phone::new(address(2, n), name, behaviour, codecs, &self.crypto, &self.seed));
        PhoneIndex(n)
    }

    // Looking and acting

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    fn wall_clock(&self) -> SystemTime {
        self.wall_clock + (self.now - self.start)
    }

    /// A browser.
    pub fn browser(&self, index: BrowserIndex) -> &Browser {
        &self.browsers[index.0]
    }

    /// A browser and the time, to do something.
    pub fn browser_mut(&mut self, index: BrowserIndex) -> (&mut Browser, Instant) {
        (&mut self.browsers[index.0], self.now)
    }

    /// Everything that a node receives datagrams at.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().flatten().flat_map(Node::addresses).collect()
    }

    /// A phone.
    pub fn phone(&self, index: PhoneIndex) -> &Phone {
        &self.phones[index.0]
    }

    /// A phone and the time, to do something.
    pub fn phone_mut(&mut self, index: PhoneIndex) -> (&mut Phone, Instant) {
        (&mut self.phones[index.0], self.now)
    }

    /// A node that is alive.
    ///
    /// # Panics
    /// When it isn't.
    pub fn node(&self, index: NodeIndex) -> &Node {
        self.nodes[index.0].as_ref().expect("the node is alive")
    }

    /// A node that is alive, and the time, to do something.
    ///
    /// # Panics
    /// When it isn't.
    pub fn node_mut(&mut self, index: NodeIndex) -> (&mut Node, Instant) {
        (self.nodes[index.0].as_mut().expect("the node is alive"), self.now)
    }

    /// What was heard on the wire.
    pub fn tap(&self) -> &SrtpTap {
        &self.tap
    }

    /// A hash of everything that has arrived anywhere, in order. The same seed and script give the same number. Of what
    /// is encrypted only the fact counts, and certificates' fingerprints are left out: DTLS draws keys and signatures by
    /// itself, and an ECDSA signature differs each time, in its length too. Where DTLS may get lost, set
    /// [`Network::spares_dtls`] for that.
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// Opens a WebSocket from a browser to a node: it signs in, or resumes. An older one is closed.
    pub fn connect(&mut self, browser: BrowserIndex, node: NodeIndex) {
        self.disconnect(browser);
        self.next_link += 1;
        let link = LinkId(self.next_link);
        if let Some(alive) = self.nodes[node.0].as_mut() {
            self.links.insert(link, (node, browser));
            alive.gateway.handle_websocket_opened(self.now, link);
            self.browsers[browser.0].handle_link(self.now, link);
        }
    }

    /// `POST /v1/rpc` of a client without WebSocket. The response comes by [`World::response`].
    pub fn post(&mut self, node: NodeIndex, bearer: Option<&str>, text: &str) -> LinkId {
        let link = self.new_request();
        let (node, now) = self.node_mut(node);
        node.gateway.handle_client_message(now, link, bearer, text.as_bytes());
        link
    }

    /// `GET /v1/events?after=N` of a client without WebSocket. The response comes by [`World::response`].
    pub fn poll(&mut self, node: NodeIndex, bearer: &str, after: u64) -> LinkId {
        let link = self.new_request();
        let (node, now) = self.node_mut(node);
        node.gateway.handle_client_poll(now, link, Some(bearer), after);
        link
    }

    fn new_request(&mut self) -> LinkId {
        self.next_link += 1;
        let link = LinkId(self.next_link);
        self.requests.insert(link, None);
        link
    }

    /// The response to an HTTP request, once it is there.
    pub fn response(&self, request: LinkId) -> Option<&str> {
        self.requests.get(&request)?.as_deref()
    }

    /// Cuts a browser's WebSocket.
    pub fn disconnect(&mut self, browser: BrowserIndex) {
        let Some(link) = self.browsers[browser.0].link() else { return };
        if let Some((node, _)) = self.links.remove(&link)
            && let Some(node) = self.nodes[node.0].as_mut()
        {
            node.gateway.handle_link_closed(self.now, link);
        }
        self.browsers[browser.0].handle_link_closed();
    }

    /// The browser's page is gone, without a word.
    pub fn vanish(&mut self, browser: BrowserIndex) {
        if let Some(link) = self.browsers[browser.0].link() {
            self.links.remove(&link);
        }
        self.browsers[browser.0].vanish();
    }

    /// A node is gone, without a word; its clients' WebSockets close.
    pub fn kill_node(&mut self, index: NodeIndex) {
        self.nodes[index.0] = None;
        self.links.retain(|_, (node, _)| *node != index);
        for browser in &mut self.browsers {
            let is_cut = browser.link().is_none_or(|link| !self.links.contains_key(&link));
            if is_cut {
                browser.handle_gateway_death();
            }
        }
    }

    // Time

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        while let Some(next) = self.next_event().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.deliver();
            self.handle_timeouts();
            self.settle();
        }
        self.now = end;
    }

    /// Lets time pass until something holds, at most for `limit`; says whether it does.
    pub fn run_until(&mut self, limit: Duration, mut holds: impl FnMut(&World) -> bool) -> bool {
        let end = self.now + limit;
        while self.now < end {
            if holds(self) {
                return true;
            }
            self.run_for(Duration::from_millis(20));
        }
        holds(self)
    }

    fn next_event(&self) -> Option<Instant> {
        let nodes = self.nodes.iter().flatten().filter_map(Node::poll_timeout);
        let browsers = self.browsers.iter().filter_map(Browser::poll_timeout);
        let phones = self.phones.iter().filter_map(Phone::poll_timeout);
        nodes.chain(browsers).chain(phones).chain(self.network.next_arrival()).min()
    }

    fn deliver(&mut self) {
        while let Some(arrival) = self.network.pop_due(self.now) {
            match arrival {
                Arrival::Datagram { from, to, bytes } => self.deliver_datagram(from, to, &bytes),
                Arrival::ToClient { link, text } => {
                    self.note(text.as_bytes());
                    if let Some((_, browser)) = self.links.get(&link) {
                        self.browsers[browser.0].handle_message(self.now, &text);
                    } else if let Some(response) = self.requests.get_mut(&link) {
                        *response = Some(text);
                    }
                }
                Arrival::ClientClosed { link } => {
                    if let Some((_, browser)) = self.links.remove(&link) {
                        self.browsers[browser.0].handle_link_closed();
                    }
                }
                Arrival::ToGateway { link, text } => {
                    self.note(text.as_bytes());
                    if let Some((node, _)) = self.links.get(&link)
                        && let Some(node) = self.nodes[node.0].as_mut()
                    {
                        node.gateway.handle_client_message(self.now, link, None, text.as_bytes());
                    }
                }
            }
            if self.drain_order != DrainOrder::Batched {
                self.settle();
            }
        }
    }

    fn deliver_datagram(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        // Media and DTLS are encrypted under keys that the library draws by itself; that they come is part of the
        // trace, what is in them isn't.
        let in_the_clear = bytes.first().is_some_and(u8::is_ascii_alphabetic);
        self.note(if in_the_clear { bytes } else { &[] });
        self.note(to.to_string().as_bytes());
        let now = self.now;
        if let Some(node) = self.nodes.iter_mut().flatten().find(|node| node.ip() == to.ip()) {
            let mut wire = Wire { network: &mut self.network, tap: &mut self.tap, profiles: &self.profiles };
            node.handle_datagram(now, &mut wire, from, to, bytes);
        } else if let Some(browser) = self.browsers.iter_mut().find(|browser| browser.ip() == to.ip()) {
            browser.handle_datagram(now, from, to, bytes);
        } else if let Some(phone) = self.phones.iter_mut().find(|phone| phone.ip() == to.ip()) {
            phone.handle_datagram(now, from, to, bytes);
        }
    }

    fn handle_timeouts(&mut self) {
        let now = self.now;
        self.nodes.iter_mut().flatten().for_each(|node| node.handle_timeout(now));
        self.browsers.iter_mut().for_each(|browser| browser.handle_timeout(now));
        self.phones.iter_mut().for_each(|phone| phone.handle_timeout(now));
    }

    /// Everybody sends what they have.
    fn settle(&mut self) {
        let reversed = self.drain_order == DrainOrder::Reversed;
        if reversed {
            self.drain_phones();
            self.drain_nodes(reversed);
            self.drain_browsers();
        } else {
            self.drain_browsers();
            self.drain_nodes(reversed);
            self.drain_phones();
        }
    }

    fn drain_browsers(&mut self) {
        for browser in &mut self.browsers {
            browser.drain(self.now, &mut self.network);
            if let Some((address, profile)) = browser.srtp_profile() {
                self.profiles.insert(address, profile);
            }
        }
    }

    fn drain_nodes(&mut self, reversed: bool) {
        for node in self.nodes.iter_mut().flatten() {
            let mut wire = Wire { network: &mut self.network, tap: &mut self.tap, profiles: &self.profiles };
            node.drain(self.now, &mut wire, reversed);
        }
    }

    fn drain_phones(&mut self) {
        self.phones.iter_mut().for_each(|phone| phone.drain(self.now, &mut self.network));
    }

    fn note(&mut self, bytes: &[u8]) {
        const FINGERPRINT: &[u8] = b"a=fingerprint:sha-256 ";
        const FINGERPRINT_LEN: usize = 32 * 3 - 1;
        if let Some(at) = bytes.windows(FINGERPRINT.len()).position(|window| window == FINGERPRINT) {
            let (before, behind) = bytes.split_at(at);
            self.note(before);
            return self.note(behind.get(FINGERPRINT.len() + FINGERPRINT_LEN..).unwrap_or_default());
        }
        let elapsed = (self.now - self.start).as_nanos() as u64;
        let all = elapsed.to_le_bytes().into_iter().chain(bytes.iter().copied());
        self.trace = all.fold(self.trace, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    }
}

/// 10.0.0.x are nodes, 10.1.0.x browsers, 10.2.0.x phones.
fn address(kind: u8, n: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, kind, (n / 250) as u8, (n % 250) as u8 + 1))
}
