//! Two TURN servers on a fake clock: a client behind one talks to a client behind the other, and eleven minutes pass in
//! a moment.
//!
//! ```text
//! cargo run --package examples --bin two_turn_servers
//! ```
//! Servers, clients and the network between them are values in one thread, so this is also how to test what one builds
//! on the core: nothing waits, nothing is random, and every run prints the same.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use examples::turn_client::{Heard, TurnClient};
use webrtc_sip_core::crypto::CryptoProvider;
use webrtc_sip_core::io::{PacketBuf, SocketId, Transmit};
use webrtc_sip_core::net::IpNetwork;
use webrtc_sip_core::turn::{HEADROOM, Listener, PeerPolicy, RelaySocket, Tenant, TurnConfig, TurnEvent, TurnServer};

const SLOT: usize = 2048;

fn main() -> Result<(), Box<dyn Error>> {
    let mut world = World::new();
    let [alice, bob] = [0, 1];
    let relayed = [world.allocate(alice)?, world.allocate(bob)?];
    assert_ne!(relayed[alice].ip(), relayed[bob].ip(), "each is behind a server of its own");

    world.send(alice, relayed[bob], b"too early")?;
    assert_eq!(world.heard(bob), None, "bob hasn't permitted alice yet, nor alice bob");
    world.ask(alice, |client| client.permit(relayed[bob]))?;
    world.ask(bob, |client| client.permit(relayed[alice]))?;
    world.send(alice, relayed[bob], b"hello")?;
    assert_eq!(world.heard(bob), Some(Heard::Data(relayed[alice], b"hello".to_vec())));
    world.send(bob, relayed[alice], b"hello yourself")?;
    assert_eq!(world.heard(alice), Some(Heard::Data(relayed[bob], b"hello yourself".to_vec())));

    world.pass(Duration::from_secs(5 * 60));
    world.send(alice, relayed[bob], b"still there?")?;
    assert_eq!(world.heard(bob), None, "permissions last five minutes (RFC 8656 section 9)");
    world.ask(bob, |client| client.refresh(600))?;
    world.pass(Duration::from_secs(6 * 60));
    assert_eq!(world.ask(alice, |client| client.refresh(600))?, Heard::Refused(437), "and allocations ten");
    assert_eq!(world.ask(bob, |client| client.refresh(0))?, Heard::Done, "unless they are refreshed");
    assert!(world.servers.iter().all(|server| server.sockets.len() == 1), "no relay socket is left");
    println!("{:>5} s  done", world.elapsed().as_secs());
    Ok(())
}

/// A server with the addresses of its sockets.
struct Server {
    machine: TurnServer,
    relay_ip: IpAddr,
    sockets: BTreeMap<SocketId, SocketAddr>,
}

struct Client {
    name: &'static str,
    machine: TurnClient,
    address: SocketAddr,
    server: SocketAddr,
    heard: VecDeque<Heard>,
}

/// Everybody, and the datagrams between them, which arrive in order and at once.
struct World {
    began: Instant,
    now: Instant,
    servers: [Server; 2],
    clients: [Client; 2],
    network: VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>,
}

impl World {
    fn new() -> Self {
        let began = Instant::now();
        let client = |name, password, at: u8| Client {
            name,
            machine: TurnClient::new(name, password),
            address: SocketAddr::from(([203, 0, 113, at], 5000)),
            server: SocketAddr::from(([192, 0, 2, at], 3478)),
            heard: VecDeque::new(),
        };
        World {
            began,
            now: began,
            servers: [Server::new(began, 1, "alice", "wonder"), Server::new(began, 2, "bob", "builder")],
            clients: [client("alice", "wonder", 1), client("bob", "builder", 2)],
            network: VecDeque::new(),
        }
    }

    fn elapsed(&self) -> Duration {
        self.now - self.began
    }

    /// Until there is an allocation; its relayed address.
    fn allocate(&mut self, who: usize) -> Result<SocketAddr, Box<dyn Error>> {
        assert_eq!(self.ask(who, TurnClient::allocate)?, Heard::Challenge, "nobody knows the nonce at first");
        match self.ask(who, TurnClient::allocate)? {
            Heard::Relayed(address) => Ok(address),
            other => Err(format!("{other:?}").into()),
        }
    }

    /// A request and its answer.
    fn ask<E: Error + 'static>(
        &mut self,
        who: usize,
        request: impl FnOnce(&mut TurnClient) -> Result<Vec<u8>, E>,
    ) -> Result<Heard, Box<dyn Error>> {
        let bytes = request(&mut self.clients[who].machine)?;
        self.transmit(who, bytes);
        self.heard(who).ok_or_else(|| "no answer".into())
    }

    fn send(&mut self, who: usize, peer: SocketAddr, data: &[u8]) -> Result<(), Box<dyn Error>> {
        println!("{:>5} s  {} sends: {}", self.elapsed().as_secs(), self.clients[who].name, data.escape_ascii());
        let bytes = self.clients[who].machine.send(peer, data)?;
        self.transmit(who, bytes);
        Ok(())
    }

    fn transmit(&mut self, who: usize, bytes: Vec<u8>) {
        let Client { address, server, .. } = self.clients[who];
        self.network.push_back((address, server, bytes));
        self.deliver();
    }

    /// What a client heard next.
    fn heard(&mut self, who: usize) -> Option<Heard> {
        self.clients[who].heard.pop_front()
    }

    /// Lets time pass, and whatever is due happen.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let due = |servers: &[Server; 2]| servers.iter().filter_map(|server| server.machine.poll_timeout()).min();
        while let Some(next) = due(&self.servers).filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.servers.iter_mut().for_each(|server| server.machine.handle_timeout(next));
            self.deliver();
        }
        self.now = end;
    }

    /// Carries datagrams until nobody sends any more.
    fn deliver(&mut self) {
        loop {
            for server in &mut self.servers {
                server.drain(self.now, &mut self.network);
            }
            let Some((from, to, bytes)) = self.network.pop_front() else { return };
            let seconds = (self.now - self.began).as_secs();
            if let Some(client) = self.clients.iter_mut().find(|client| client.address == to) {
                if let Some(heard) = client.machine.handle(&bytes) {
                    println!("{seconds:>5} s  {} hears {heard}", client.name);
                    client.heard.push_back(heard);
                }
            } else {
                // To a server, or to a relayed address that is closed by now.
                self.servers
                    .iter_mut()
                    .for_each(|server| server.receive(self.now, from, to, &bytes, &mut self.network));
            }
        }
    }
}

impl Server {
    /// Its clients come to 192.0.2.`at` and peers to 198.51.100.`at`; both servers reach each other's relayed addresses.
    fn new(now: Instant, at: u8, user: &str, password: &str) -> Self {
        let address = SocketAddr::from(([192, 0, 2, at], 3478));
        let relays = IpNetwork { address: [198, 51, 100, 0].into(), prefix_len: 24 };
        let users = vec![(user.to_owned(), password.to_owned())];
        let config = TurnConfig {
            listeners: vec![Listener { socket: SocketId(0), address }],
            tenants: Tenant { users, ..Tenant::default() }.into(),
            peers: PeerPolicy { allow: vec![relays], ..PeerPolicy::default() },
            ..TurnConfig::default()
        };
        // What is drawn is the same each time; a server that serves somebody takes `CryptoProvider::system()`.
        let crypto = CryptoProvider::seeded(&[at; 32]);
        let wall_clock = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Server {
            machine: TurnServer::new(now, wall_clock, config, crypto),
            relay_ip: [198, 51, 100, at].into(),
            sockets: BTreeMap::from([(SocketId(0), address)]),
        }
    }

    fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
        network: &mut VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>,
    ) {
        let Some((socket, _)) = self.sockets.iter().find(|(_, address)| **address == to) else { return };
        let mut slot = [0; SLOT];
        slot[HEADROOM..HEADROOM + bytes.len()].copy_from_slice(bytes);
        let mut packet = PacketBuf::filled(&mut slot, HEADROOM, bytes.len());
        if let Some(transmit) = self.machine.handle_datagram(now, *socket, from, &mut packet) {
            self.put(transmit, packet.as_slice(), network);
        }
    }

    /// Binds and closes what the server wants, and sends what it has to send.
    fn drain(&mut self, now: Instant, network: &mut VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>) {
        while let Some(event) = self.machine.poll_event() {
            match event {
                TurnEvent::Request { id, .. } => {
                    let socket = SocketId(self.sockets.keys().next_back().map_or(0, |last| last.0 + 1));
                    let address = SocketAddr::new(self.relay_ip, 50_000 + socket.0 as u16);
                    self.sockets.insert(socket, address);
                    self.machine.handle_answer(now, id, &[RelaySocket { socket, address }]);
                }
                TurnEvent::CloseSocket(socket) => drop(self.sockets.remove(&socket)),
                _ => {}
            }
        }
        let mut slot = [0; SLOT];
        let mut packet = PacketBuf::empty(&mut slot, HEADROOM);
        while let Some(transmit) = self.machine.poll_transmit(now, &mut packet) {
            self.put(transmit, packet.as_slice(), network);
        }
    }

    fn put(&self, transmit: Transmit, bytes: &[u8], network: &mut VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>) {
        if let Transmit::Datagram { socket, destination } = transmit {
            network.push_back((self.sockets[&socket], destination, bytes.to_vec()));
        }
    }
}
