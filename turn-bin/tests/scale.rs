//! Thousands of allocations at one server, and a flood of requests from as many addresses as there are requests. The
//! server is a process of its own, so that what it takes is its own.

mod common;

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::client::Client;
use common::{Echo, metric};
use shell::limits::raise_open_files;
use shell::testing::{exit_code, signal};
use webrtc_sip_core::io::PacketBuf;
use webrtc_sip_core::stun::{Attribute, Class, MessageWriter, Method, TransactionId};

const ALLOCATIONS: usize = 5_000;
/// At once, each waiting for one answer after the other.
const THREADS: usize = 8;
const FLOOD: usize = 100_000;
/// Requests of the flood between one packet of each live relay and the next. They and the packets fit into the buffers
/// of the system, so that what is lost is lost by the server.
const BURST: usize = 200;
const LIVE: usize = 20;
/// Resident memory of an allocation: itself, its sockets' entries and its timer.
const BYTES_PER_ALLOCATION: u64 = 4096;
/// Resident memory that a flood may leave: what the allocator keeps.
const BYTES_OF_A_FLOOD: u64 = 2 << 20;
/// A thousand set up a second take no more than one processor, without optimisation.
const SETUP: Duration = Duration::from_millis(1);

#[test]
fn thousands_of_allocations_outlive_a_flood() {
    raise_open_files();
    let server = Server::start();
    let empty = server.memory();
    let (begun, cpu) = (Instant::now(), server.cpu());
    let mut clients = allocate(server.listen);
    let (took, setup) = (begun.elapsed(), (server.cpu() - cpu) / ALLOCATIONS as u32);
    let full = server.memory();
    let each = full.saturating_sub(empty) / ALLOCATIONS as u64;
    println!("{ALLOCATIONS} allocations in {took:?}: {setup:?} of CPU and {each} bytes each");
    assert!(setup < SETUP, "{setup:?} of CPU for an allocation");
    assert!(each < BYTES_PER_ALLOCATION, "{each} bytes for an allocation");
    assert_eq!(metric(server.http, "wst_allocations{", ""), ALLOCATIONS as u64);

    let begun = Instant::now();
    flood(server.listen, &mut clients[..LIVE]);
    let more = server.memory().saturating_sub(full);
    println!("{FLOOD} requests in {:?}: {more} bytes", begun.elapsed());
    assert!(more < BYTES_OF_A_FLOOD, "{more} bytes more than before the flood");
    assert_eq!(metric(server.http, "wst_allocations{", ""), ALLOCATIONS as u64);
    let answered = metric(server.http, "wst_refused_requests_total", "");
    let dropped = metric(server.http, "wst_dropped_packets_total", "limit_reached");
    println!("{answered} requests refused, {dropped} left without an answer");
    assert!(answered > 0 && dropped > 0, "networks are answered so often and no more");

    for client in &mut clients {
        client.release().expect("it is still there");
    }
    assert_eq!(metric(server.http, "wst_relay_sockets ", ""), 0);
    server.stop();
}

/// From many networks, since each may only ask so often.
fn allocate(server: SocketAddr) -> Vec<Client> {
    let allocate = |index: usize| {
        let mut client = Client::udp_from(IpAddr::from([127, 8 + (index / 250) as u8, (index % 250) as u8, 1]), server);
        client.allocate().expect("alice may");
        client
    };
    std::thread::scope(|scope| {
        let part = |thread: usize| move || (thread..ALLOCATIONS).step_by(THREADS).map(allocate).collect::<Vec<_>>();
        let parts: Vec<_> = (0..THREADS).map(|thread| scope.spawn(part(thread))).collect();
        parts.into_iter().flat_map(|part| part.join().expect("every client has its allocation")).collect()
    })
}

/// Sends the flood, and packets through the live relays all the while; each comes back.
fn flood(server: SocketAddr, live: &mut [Client]) {
    let peer = Echo::start();
    for client in &mut *live {
        client.bind(peer.address).expect("it is allowed");
    }
    let requests = requests();
    for burst in 0..FLOOD / BURST {
        let data = (burst as u64).to_be_bytes();
        for request in 0..BURST {
            if request == BURST / 2 {
                live.iter_mut().for_each(|client| client.send(&data));
            }
            let index = burst * BURST + request;
            // No two from the same address.
            let source = IpAddr::from([127, 32 + (index >> 16) as u8, (index >> 8) as u8, index as u8]);
            let socket = UdpSocket::bind((source, 0)).expect("every address of 127.0.0.0/8 is this machine");
            socket.send_to(&requests[index % requests.len()], server).expect("it is on this machine");
        }
        for client in &mut *live {
            assert_eq!(client.receive(), data, "burst {burst}");
        }
    }
}

/// What strangers send: requests without credentials and with wrong ones, questions, rubbish.
fn requests() -> Vec<Vec<u8>> {
    let request = |method, attributes: &[(Attribute, &[u8])]| {
        let mut slot = [0; 500];
        let mut packet = PacketBuf::empty(&mut slot, 0);
        let mut writer =
            MessageWriter::new(&mut packet, Class::Request, method, TransactionId([7; 12])).expect("it fits");
        for (attribute, value) in attributes {
            writer.put(*attribute, value).expect("it fits");
        }
        packet.as_slice().to_vec()
    };
    let udp = (Attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0][..]);
    let false_name = [
        (Attribute::USERNAME, &b"alice"[..]),
        (Attribute::REALM, b"example.org"),
        (Attribute::NONCE, b"obMatJos2gAAA0000000000000000000"),
        (Attribute::MESSAGE_INTEGRITY, &[0; 20]),
    ];
    vec![
        request(Method::ALLOCATE, &[udp]),
        request(Method::ALLOCATE, &[&[udp][..], &false_name].concat()),
        request(Method::REFRESH, &false_name),
        request(Method::BINDING, &[]),
        request(Method::CREATE_PERMISSION, &[]),
        vec![0x40, 1, 0, 4, 1, 2, 3, 4],
        vec![0; 40],
    ]
}

struct Server {
    /// None when it was waited for.
    child: Option<Child>,
    listen: SocketAddr,
    http: SocketAddr,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_webrtc-sip-turn"))
            .args(["--listen", "127.0.0.1:0", "--relay-ip", "127.0.0.3", "--workers", "2", "--realm", "example.org"])
            .args(["--user", "alice:wonder", "--allow-peer", "127.0.0.0/8"])
            .env("WST_HTTP__LISTEN", "127.0.0.1:0")
            .env("WST_LIMITS__ALLOCATIONS_PER_USER", ALLOCATIONS.to_string())
            .env("WST_LIMITS__RELAY_SOCKETS", ALLOCATIONS.to_string())
            .env("WST_LIMITS__CONNECTIONS", "10")
            // Half of what each network of the flood asks of a worker within a second.
            .env("WST_LIMITS__REFUSALS_PER_SECOND", "50")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("TURN server started")).expect("it says where it is");
        // Read on, so that it never waits for a reader; the lines of ended allocations are many.
        std::thread::spawn(move || lines.for_each(drop));
        // Where clients come, and then where the metrics are.
        let ports = line.split("127.0.0.1:").skip(1).map(|rest| {
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            port.parse::<u16>().expect("it is a port")
        });
        let addresses: Vec<_> = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
        let [listen, http] = addresses[..] else { panic!("two addresses in {line:?}") };
        Server { child: Some(child), listen, http }
    }

    fn file(&self, name: &str) -> String {
        let id = self.child.as_ref().expect("it runs").id();
        std::fs::read_to_string(format!("/proc/{id}/{name}")).expect("it runs")
    }

    /// Resident, in bytes.
    fn memory(&self) -> u64 {
        let status = self.file("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("every process has it");
        line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("kilobytes") * 1024
    }

    /// What its threads have used of the processors so far.
    fn cpu(&self) -> Duration {
        let stat = self.file("stat");
        let fields = stat.rsplit_once(')').expect("the name is in parentheses").1;
        // Fields 14 and 15, in hundredths of a second.
        let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("a number"));
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    fn stop(mut self) {
        let child = self.child.take().expect("it runs");
        signal(&child, "-TERM");
        assert_eq!(exit_code(child), Some(0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Dead or not: the test failed, and nothing shall be left of it.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
