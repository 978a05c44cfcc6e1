//! A server on free ports, what it says about itself, a peer that sends everything back, and a client.

// Each test program is compiled with all of this and uses a part of it.
#![allow(dead_code)]

pub(crate) mod client;
pub(crate) mod network;
pub(crate) mod process;
pub(crate) mod strangers;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use turn_bin::config::{Config, Secret, User};
use turn_bin::{Running, start};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// On loopback and free ports, for user `alice` with `wonder`. Peers on loopback may be reached.
pub(crate) fn config() -> Config {
    let mut config = Config::embedded();
    config.listen[0].set_port(0);
    config.http.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    config.workers = 2;
    config.auth.realm = "example.org".to_owned();
    config.relay.allow_peers = vec!["127.0.0.0/8".parse().expect("it is a network")];
    config.users = vec![User { name: "alice".to_owned(), password: Secret::from("wonder") }];
    config
}

pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Running {
    let mut config = config();
    change(&mut config);
    start(config).await.expect("a server starts on free ports")
}

/// A page with its header.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    shell::testing::get(address, path).expect("it answers")
}

/// The sum of a metric's samples that contain `label`.
pub(crate) fn metric(http: SocketAddr, name: &str, label: &str) -> u64 {
    let page = get(http, "/metrics");
    let samples = page.lines().filter(|line| line.starts_with(name) && line.contains(label));
    samples.map(|line| line.rsplit(' ').next().expect("a value").parse::<u64>().expect("a number")).sum()
}

/// Waits until these gauges are 0.
pub(crate) fn until_nothing_is_left(server: &Running, gauges: &[&str]) {
    let begun = Instant::now();
    for gauge in gauges {
        while metric(server.http.expect("it is configured"), gauge, "") > 0 {
            assert!(begun.elapsed() < PATIENCE, "{gauge} isn't 0");
        }
    }
}

/// Sends every datagram back to where it came from.
pub(crate) struct Echo {
    /// Where it is.
    pub(crate) address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    pub(crate) fn start() -> Self {
        Self::at(UdpSocket::bind("127.0.0.1:0").expect("there is a free port"))
    }

    /// On the loopback address of IPv6, where there is one.
    pub(crate) fn v6() -> Option<Self> {
        UdpSocket::bind("[::1]:0").ok().map(Self::at)
    }

    /// Two, on an even port and the one above.
    pub(crate) fn pair() -> [Self; 2] {
        let bind = |port: u16| UdpSocket::bind(("127.0.0.1", port)).ok();
        let sockets = (20_000..30_000).step_by(2).find_map(|port| Some([bind(port)?, bind(port + 1)?]));
        sockets.expect("there are free ports").map(Self::at)
    }

    pub(crate) fn at(socket: UdpSocket) -> Self {
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("it is a valid time");
        let address = socket.local_addr().expect("it is bound");
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        let thread = std::thread::spawn(move || {
            let mut bytes = [0; 2000];
            while !end.load(Ordering::Relaxed) {
                if let Ok((len, source)) = socket.recv_from(&mut bytes) {
                    socket.send_to(&bytes[..len], source).expect("the relay is on this machine");
                }
            }
        });
        Echo { address, ended, thread: Some(thread) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
