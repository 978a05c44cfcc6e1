//! The embedder of `one_loop` in a process of its own, with a browser and a SIP phone that talk through it over UDP.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use simulator::{Arrival, Browser, BrowserState, Conditions, Network, Phone, PhoneBehaviour, PhoneState};
use webrtc_sip_core::codec::CodecKind::{Opus, Pcmu};
use webrtc_sip_core::crypto::CryptoProvider;
use webrtc_sip_core::ids::LinkId;
use webrtc_sip_core::rng::Rng;

/// Every address in 127.0.0.0/8 is this machine.
const BROWSER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 41, 0, 1));
const PHONE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 42, 0, 1));
const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn a_call_goes_through_one_loop() {
    let mut gateway = Embedder::start();
    let mut people = People::new(gateway.clients);
    people.wait("the sign-in", |people| people.browser.is_signed_in());
    people.browser.call(Instant::now(), &format!("sip:phone@{PHONE}"));
    people.wait("the call", |people| people.browser.state() == BrowserState::Talking);
    people.wait("both to hear each other", |people| people.browser.heard() > 50 && people.phone.heard() > 50);
    people.browser.hang_up(Instant::now());
    people.wait("the end", |people| people.phone.state() == PhoneState::Idle);
    assert_eq!(people.browser.errors, Vec::<String>::new());
    assert!(gateway.process.try_wait().expect("its state is known").is_none(), "it runs on");
}

/// The example as a process; killed at the end.
struct Embedder {
    process: Child,
    clients: SocketAddr,
}

impl Embedder {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_one_loop"))
            .args(["127.0.0.1:0", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let mut line = String::new();
        let output = process.stdout.as_mut().expect("its output is piped");
        BufReader::new(output).read_line(&mut line).expect("it says where it is");
        let clients = line.split_whitespace().last().and_then(|word| word.parse().ok());
        Embedder { process, clients: clients.unwrap_or_else(|| panic!("no address in {line:?}")) }
    }
}

impl Drop for Embedder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The simulator's actors over real sockets and in real time.
struct People {
    browser: Browser,
    phone: Phone,
    network: Network,
    sockets: BTreeMap<SocketAddr, UdpSocket>,
    gateway: SocketAddr,
    signalling: UdpSocket,
}

impl People {
    fn new(gateway: SocketAddr) -> Self {
        let (crypto, seed) = (CryptoProvider::system(), [7; 32]);
        let mut browser = Browser::new(BROWSER, "1001", vec![Opus], SystemTime::now(), &crypto, &seed);
        browser.handle_link(Instant::now(), LinkId(1));
        let signalling = UdpSocket::bind((BROWSER, 0)).expect("a port is free");
        signalling.set_nonblocking(true).expect("sockets can be made non-blocking");
        let mut people = People {
            browser,
            phone: Phone::new(
                PHONE,
                "phone".to_owned(),
                PhoneBehaviour::AnswerAfter(Duration::from_millis(300)),
                vec![Pcmu],
                &crypto,
                &seed,
            ),
            network: Network::new(Rng::split(&seed, "network"), Conditions::default()),
            sockets: BTreeMap::new(),
            gateway,
            signalling,
        };
        people.bind(SocketAddr::new(PHONE, 5060));
        people
    }

    fn bind(&mut self, address: SocketAddr) -> &UdpSocket {
        self.sockets.entry(address).or_insert_with(|| {
            let socket = UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
            socket.set_nonblocking(true).expect("sockets can be made non-blocking");
            socket
        })
    }

    fn wait(&mut self, what: &str, done: impl Fn(&People) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < end, "waited too long for {what}: {:?}", self.browser.errors);
            self.turn();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn turn(&mut self) {
        let now = Instant::now();
        let mut buffer = [0; 65_536];
        while let Ok((len, _)) = self.signalling.recv_from(&mut buffer) {
            self.browser.handle_message(now, std::str::from_utf8(&buffer[..len]).expect("the gateway sends JSON"));
        }
        for (to, socket) in &self.sockets {
            while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                match to.ip() {
                    PHONE => self.phone.handle_datagram(now, from, *to, &buffer[..len]),
                    _ => self.browser.handle_datagram(now, from, *to, &buffer[..len]),
                }
            }
        }
        self.browser.handle_timeout(now);
        self.phone.handle_timeout(now);
        self.browser.drain(now, &mut self.network);
        self.phone.drain(now, &mut self.network);
        while let Some(arrival) = self.network.pop_due(now) {
            match arrival {
                Arrival::Datagram { from, to, bytes } => drop(self.bind(from).send_to(&bytes, to)),
                Arrival::ToGateway { text, .. } => drop(self.signalling.send_to(text.as_bytes(), self.gateway)),
                Arrival::ToClient { .. } | Arrival::ClientClosed { .. } => {}
            }
        }
    }
}
