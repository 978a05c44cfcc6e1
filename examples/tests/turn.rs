//! The TURN examples as processes of their own.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use examples::turn_client::{Heard, TurnClient};

const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn two_turn_servers_on_a_fake_clock_do_what_they_say() {
    let run = || {
        let output = Command::new(env!("CARGO_BIN_EXE_two_turn_servers")).output().expect("the example starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let said = run();
    assert!(said.contains("bob hears from 198.51.100.1:50001: hello"), "{said}");
    assert!(said.ends_with("  660 s  done\n"), "{said}");
    assert_eq!(said, run(), "every run is the same");
}

#[test]
fn a_packet_goes_through_the_server_of_fifty_lines_and_back() {
    let server = Server::start();
    let peer = bind();
    let mut client = Client { socket: bind(), server: server.address, machine: TurnClient::new("alice", "wonder") };
    assert_eq!(client.ask(|client| client.allocate()), Heard::Challenge);
    let Heard::Relayed(relayed) = client.ask(|client| client.allocate()) else { panic!("there is an allocation") };
    let peer_address = peer.local_addr().expect("it is bound");
    assert_eq!(client.ask(|client| client.permit(peer_address)), Heard::Done);

    let bytes = client.machine.send(peer_address, b"there").expect("it fits");
    client.write(&bytes);
    let mut buffer = [0; 100];
    let (len, from) = peer.recv_from(&mut buffer).expect("it arrives");
    assert_eq!((&buffer[..len], from), (&b"there"[..], relayed));
    peer.send_to(b"and back", relayed).expect("it is on this machine");
    assert_eq!(client.read(), Heard::Data(peer_address, b"and back".to_vec()));
    assert_eq!(client.ask(|client| client.refresh(0)), Heard::Done);
}

/// The example as a process; killed at the end.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_turn_in_fifty_lines"))
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let mut line = String::new();
        let output = process.stdout.as_mut().expect("its output is piped");
        BufReader::new(output).read_line(&mut line).expect("it says where it is");
        let address = line.split_whitespace().last().and_then(|word| word.parse().ok());
        Server { process, address: address.unwrap_or_else(|| panic!("no address in {line:?}")) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Client {
    socket: UdpSocket,
    server: SocketAddr,
    machine: TurnClient,
}

impl Client {
    fn ask<E: std::fmt::Debug>(&mut self, request: impl FnOnce(&mut TurnClient) -> Result<Vec<u8>, E>) -> Heard {
        let bytes = request(&mut self.machine).expect("it fits");
        self.write(&bytes);
        self.read()
    }

    fn write(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.server).expect("it is on this machine");
    }

    fn read(&mut self) -> Heard {
        let mut buffer = [0; 1500];
        let len = self.socket.recv(&mut buffer).expect("an answer comes");
        self.machine.handle(&buffer[..len]).expect("it says something")
    }
}

fn bind() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
    socket.set_read_timeout(Some(PATIENCE)).expect("it is a valid time");
    socket
}
