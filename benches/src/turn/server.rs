//! A TURN server under test as a process of its own: ours, or coturn set up for the same work.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use webrtc_sip_core::crypto::{CryptoProvider, DtlsCertificate};
use webrtc_sip_core::io::PacketBuf;
use webrtc_sip_core::stun::{Class, MessageWriter, Method, TransactionId};

use crate::proc;

/// Realm, user and password of every client.
pub const REALM: &str = "bench";
/// Who all clients are.
pub const USER: &str = "bench";
/// Their password.
pub const PASSWORD: &str = "bench";
const START_TIMEOUT: Duration = Duration::from_secs(10);
const SETTLE: Duration = Duration::from_millis(300);
/// Threads that relay.
const WORKERS: &str = "2";

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// `webrtc-sip-turn`.
    Ours,
    /// coturn's `turnserver`.
    Coturn,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    folder: PathBuf,
    /// Where clients come, over UDP and TCP.
    pub listen: SocketAddr,
}

impl Server {
    /// Starts a server with two workers and waits until it listens; none where coturn isn't installed.
    pub fn start(maker: Maker, tls: bool) -> Option<Self> {
        let [listen, http] = free_ports();
        let folder = std::env::temp_dir().join(format!("wst-bench-{}-{}", std::process::id(), listen.port()));
        fs::create_dir_all(&folder).expect("there is room for temporary files");
        let certificate = tls.then(|| make_certificate(&folder));
        let mut command = match maker {
            Maker::Ours => ours(listen, http, certificate.as_deref()),
            Maker::Coturn => coturn(listen, &folder, certificate.as_deref()),
        };
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = match spawned {
            Err(error) if maker == Maker::Coturn && error.kind() == std::io::ErrorKind::NotFound => {
                let _ = fs::remove_dir_all(&folder);
                return None;
            }
            spawned => spawned.expect("the server can be executed"),
        };
        let mut server = Server { child, folder, listen };
        server.wait_until_ready();
        Some(server)
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(self.listen).is_err() || !self.answers_datagrams() {
            let ended = self.child.try_wait().expect("it is our child");
            assert!(ended.is_none() && Instant::now() < deadline, "the server didn't start: {ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        // coturn's threads open their sockets one after another, and each one that is new takes over some of the clients.
        std::thread::sleep(SETTLE);
    }

    /// Whether it answers a Binding request.
    fn answers_datagrams(&self) -> bool {
        let mut slot = [0; 100];
        let mut packet = PacketBuf::empty(&mut slot, 0);
        MessageWriter::new(&mut packet, Class::Request, Method::BINDING, TransactionId([0; 12])).expect("it fits");
        let ask = || {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_read_timeout(Some(SETTLE))?;
            socket.connect(self.listen)?;
            socket.send(packet.as_slice())?;
            socket.recv(&mut [0; 1000])
        };
        ask().is_ok()
    }

    /// Processor time of all its threads so far, user and system.
    pub fn cpu(&self) -> Duration {
        proc::threads_cpu(self.child.id())
    }

    /// Resident bytes.
    pub fn resident(&self) -> u64 {
        proc::resident(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// All clients are one user at one address, which the usual limits are against.
fn ours(listen: SocketAddr, http: SocketAddr, certificate: Option<&Path>) -> Command {
    let binary = std::env::current_exe().expect("this program is a file").with_file_name("webrtc-sip-turn");
    assert!(binary.exists(), "{} is missing: cargo build --release --package turn-bin", binary.display());
    let mut command = Command::new(binary);
    command
        .args(["--listen", &listen.to_string(), "--realm", REALM, "--user", &format!("{USER}:{PASSWORD}")])
        .args(["--allow-peer", "127.0.0.0/8", "--workers", WORKERS])
        .env("WST_HTTP__LISTEN", http.to_string())
        .env("WST_LIMITS__ALLOCATIONS_PER_USER", "10000")
        .env("WST_LIMITS__REFUSALS_PER_SECOND", "1000000");
    if let Some(certificate) = certificate {
        command.env("WST_TLS__CERTIFICATE", certificate).env("WST_TLS__KEY", certificate);
    }
    command
}

fn coturn(listen: SocketAddr, folder: &Path, certificate: Option<&Path>) -> Command {
    let (ip, port) = (listen.ip().to_string(), listen.port().to_string());
    let mut command = Command::new("turnserver");
    command
        .args(["-n", "-m", WORKERS, "--listening-ip", &ip, "--relay-ip", &ip, "--listening-port", &port])
        .args(["--lt-cred-mech", "--realm", REALM, "--user", &format!("{USER}:{PASSWORD}")])
        .args(["--allow-loopback-peers", "--no-cli", "--no-dtls", "--log-file", "/dev/null", "--no-stdout-log"])
        .arg("--userdb")
        .arg(folder.join("turndb"))
        .arg("--pidfile")
        .arg(folder.join("pid"));
    match certificate {
        // TLS on the plain port, as coturn tells them apart by itself.
        Some(certificate) => command.arg("--cert").arg(certificate).arg("--pkey").arg(certificate),
        None => command.arg("--no-tls"),
    };
    command
}

fn make_certificate(folder: &Path) -> PathBuf {
    let pem = folder.join("tls.pem");
    let certificate = DtlsCertificate::generate(&CryptoProvider::system(), SystemTime::now());
    fs::write(&pem, certificate.expect("a certificate can be made").to_pem().as_bytes()).expect("it is writable");
    pem
}

/// Ports that are free for UDP and TCP.
fn free_ports() -> [SocketAddr; 2] {
    let bound = [(); 2].map(|()| {
        loop {
            let tcp = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
            let address = tcp.local_addr().expect("it is bound");
            if let Ok(udp) = UdpSocket::bind(address) {
                return (tcp, udp, address);
            }
        }
    });
    bound.map(|(_, _, address)| address)
}
