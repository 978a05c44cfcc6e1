//! TCP allocations (RFC 6062): connections with peers through the server.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use common::client::Client;
use common::{PATIENCE, start_with, until_nothing_is_left};
use shell::program::Service;
use shell::testing::until;
use socket2::{Domain, Socket, Type};
use turn_bin::Running;

/// What there must be nothing of when everybody is gone.
const GAUGES: [&str; 4] = ["wst_peer_connections", "wst_connections", "wst_allocations{", "wst_relay_sockets "];

/// The sum of a metric's samples that contain `label`.
fn metric(server: &Running, name: &str, label: &str) -> u64 {
    common::metric(server.http.expect("it is configured"), name, label)
}

/// A client, its end of a connection with a peer, and the peer's end.
struct Pair {
    control: Client,
    client: TcpStream,
    peer: TcpStream,
}

impl Pair {
    fn new(server: &Running) -> Self {
        let listener = listener();
        let mut control = Client::tcp(server.listen[0]);
        let relayed = control.allocate_tcp().expect("alice may");
        let id = control.connect(address(&listener)).expect("it listens");
        let (peer, source) = listener.accept().expect("it connected");
        assert_eq!(source, relayed, "peers see the relayed address");
        let client = Client::tcp(server.listen[0]).bind_connection(id).expect("it is hers");
        patient(&peer);
        Pair { control, client, peer }
    }
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("there is a free port")
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("it is bound")
}

fn patient(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).expect("it is a valid time");
}

/// Connects from another address of this machine.
fn connect_from(source: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are sockets");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("it is on this machine");
    socket.connect(&to.into()).expect("it listens");
    let stream = TcpStream::from(socket);
    patient(&stream);
    stream
}

/// Whether the other end is gone, after having sent nothing more.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(len) => len == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_connects_to_peers_whichever_worker_serves_it() {
    let server = start_with(|config| config.workers = 4).await;
    let mut peers = Vec::new();
    let mut control = Client::tcp(server.listen[0]);
    control.allocate_tcp().expect("alice may");
    // Three in four connections for data would come to another worker by their addresses.
    for round in 0..12 {
        let listener = listener();
        let id = control.connect(address(&listener)).expect("it listens");
        assert_eq!(control.connect(address(&listener)), Err(446));
        let (mut peer, _) = listener.accept().expect("it connected");
        peer.write_all(b"before anybody listens").expect("it is open");
        let mut client = Client::tcp(server.listen[0]).bind_connection(id).expect("it is hers");
        let mut heard = [0; 22];
        client.read_exact(&mut heard).expect("it waited");
        assert_eq!(&heard, b"before anybody listens", "{round}");
        peers.push((client, peer));
    }
    let sent = pattern(300_000);
    for (mut client, mut peer) in peers {
        let writer = std::thread::spawn({
            let sent = sent.clone();
            let mut client = client.try_clone().expect("there are descriptors");
            move || client.write_all(&sent).and_then(|()| client.shutdown(Shutdown::Write))
        });
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).expect("it ends");
        writer.join().expect("it doesn't panic").expect("it is open");
        assert!(heard == sent);
        peer.write_all(b"one direction is still open").expect("it is");
        drop(peer);
        heard.clear();
        client.read_to_end(&mut heard).expect("it ends");
        assert_eq!(heard, b"one direction is still open");
    }
    until_nothing_is_left(&server, &GAUGES[..1]);
    assert_eq!(metric(&server, "wst_ended_peer_connections_total", "\"closed\""), 12);
    assert_eq!(metric(&server, "wst_relayed_bytes_total", "to_peer"), 12 * 300_000);
    assert_eq!(metric(&server, "wst_relayed_bytes_total", "from_peer"), 12 * (22 + 27));
    drop(control);
    until_nothing_is_left(&server, &GAUGES);
    server.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_connect_to_a_client_that_permits_them() {
    // Nobody else is there, who would get the port afterwards.
    let server = start_with(|config| config.relay.ips = vec![[127, 0, 0, 9].into()]).await;
    let mut control = Client::tcp(server.listen[0]);
    let relayed = control.allocate_tcp().expect("alice may");
    control.permit(SocketAddr::from(([127, 0, 0, 2], 0))).expect("it is allowed");
    assert!(is_closed(&mut connect_from([127, 0, 0, 3], relayed)), "nobody permitted it");
    let mut peer = connect_from([127, 0, 0, 2], relayed);
    peer.write_all(b"hello").expect("it is open");
    let (source, id) = control.attempt();
    assert_eq!(source, peer.local_addr().expect("it is bound"));
    let mut client = Client::tcp(server.listen[0]).bind_connection(id).expect("it is hers");
    assert_eq!(Client::tcp(server.listen[0]).bind_connection(id).err(), Some(400), "it has its other end");
    let mut heard = [0; 5];
    client.read_exact(&mut heard).expect("it waited");
    assert_eq!(&heard, b"hello");
    drop(client);
    assert!(is_closed(&mut peer));
    control.release().expect("it is there");
    until_nothing_is_left(&server, &GAUGES[..1]);
    // The system is asked for the end of a socket a moment after it is counted no more.
    until(|| TcpStream::connect(relayed).is_err());
    server.stop().await.expect("nothing broke");
}

/// Writes until nobody takes more, and the server has had time to take it; how much it was.
fn fill(server: &Running, writer: &mut TcpStream, bytes: &[u8]) -> usize {
    const QUIET_TURNS: usize = 20;
    writer.set_nonblocking(true).expect("it is open");
    let (mut written, mut quiet) = (0, 0);
    while quiet < QUIET_TURNS && written < bytes.len() {
        match writer.write(&bytes[written..]) {
            Ok(len) => (written, quiet) = (written + len, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                metric(server, "wst_allocations", "");
                quiet += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    writer.set_nonblocking(false).expect("it is open");
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_sends_to_a_slow_reader_has_to_wait() {
    // The buffers of two connections, several times over.
    const MUCH: usize = 64 << 20;
    let server = start_with(|_| {}).await;
    let bytes = pattern(MUCH);
    for client_reads in [false, true] {
        let Pair { control: _control, client, peer } = Pair::new(&server);
        let (mut writer, mut reader) = if client_reads { (peer, client) } else { (client, peer) };
        let written = fill(&server, &mut writer, &bytes);
        assert!(written < MUCH, "somebody keeps all of it");
        let Pair { control: _other, mut client, mut peer } = Pair::new(&server);
        client.write_all(b"nobody else waits").expect("it is open");
        peer.read_exact(&mut [0; 17]).expect("it comes");
        let mut heard = vec![0; written];
        reader.read_exact(&mut heard).expect("it comes now");
        assert!(heard == bytes[..written], "in its order, and all of it");
    }
    server.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_client_that_vanishes() {
    let server = start_with(|_| {}).await;
    let Pair { mut control, mut client, mut peer } = Pair::new(&server);
    let waiting = listener();
    control.connect(address(&waiting)).expect("it listens");
    let (mut unbound, _) = waiting.accept().expect("it connected");
    patient(&unbound);
    assert_eq!(metric(&server, "wst_peer_connections", ""), 2);
    drop(control);
    assert!(is_closed(&mut peer) && is_closed(&mut unbound) && is_closed(&mut client));
    until_nothing_is_left(&server, &GAUGES);
    assert_eq!(metric(&server, "wst_ended_peer_connections_total", "allocation_ended"), 2);

    let Pair { control, client, mut peer } = Pair::new(&server);
    drop(client);
    assert!(is_closed(&mut peer), "the end of one connection is that of the other");
    drop(peer);
    until_nothing_is_left(&server, &GAUGES[..1]);
    drop(control);
    until_nothing_is_left(&server, &GAUGES);
    server.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_with_peers_have_their_limits() {
    let server = start_with(|config| {
        config.limits.connections = 3;
        config.limits.peer_connections = 2;
    })
    .await;
    let closed = address(&listener());
    let mut control = Client::tcp(server.listen[0]);
    control.allocate_tcp().expect("alice may");
    assert_eq!(control.connect(closed), Err(447));
    let peers = [listener(), listener(), listener()];
    control.connect(address(&peers[0])).expect("it listens");
    control.connect(address(&peers[1])).expect("it listens");
    assert_eq!(control.connect(address(&peers[2])), Err(508), "two for each allocation");
    let mut fourth = TcpStream::connect(server.listen[0]).expect("it listens");
    patient(&fourth);
    assert!(is_closed(&mut fourth), "peers' connections count as well");
    server.stop().await.expect("nothing broke");

    let without = start_with(|config| config.limits.peer_connections = 0).await;
    assert_eq!(Client::tcp(without.listen[0]).allocate_tcp(), Err(442));
    without.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_the_bandwidth_waits() {
    // So little that what follows has to wait for hours.
    let server = start_with(|config| config.limits.bytes_per_second_per_user = 1).await;
    let Pair { control: _control, mut client, mut peer } = Pair::new(&server);
    let mut heard = [0; 100];
    client.write_all(&heard).expect("it is open");
    peer.read_exact(&mut heard).expect("the first part passes");
    client.write_all(b"more").expect("it is open");
    peer.set_read_timeout(Some(Duration::from_millis(200))).expect("it is a valid time");
    assert_eq!(peer.read(&mut heard).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    peer.write_all(b"the other way").expect("it is open");
    client.read_exact(&mut heard[..13]).expect("that passes");
    server.stop().await.expect("nothing broke");
}
