//! The load of coturn's own client, `turnutils_uclient`, with an echo as peer.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::server::{PASSWORD, Server, USER};
use super::{VOICE_BYTES, address_of, bind_loopback};

/// What a run of the client sent and got back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Messages {
    /// Sent by all clients together.
    pub sent: u64,
    /// Received by them.
    pub heard: u64,
}

/// Runs `clients` clients that send `messages` each, one in `interval_ms`; none where the program isn't installed.
pub fn run(server: &Server, peer: SocketAddr, clients: usize, messages: usize, interval_ms: usize) -> Option<Messages> {
    let output = Command::new("turnutils_uclient")
        // -c: no second allocation beside, for RTCP.
        .args(["-c", "-m", &clients.to_string(), "-n", &messages.to_string(), "-z", &interval_ms.to_string()])
        .args(["-l", &VOICE_BYTES.to_string(), "-u", USER, "-w", PASSWORD])
        .args(["-p", &server.listen.port().to_string(), "-e", &peer.ip().to_string(), "-r", &peer.port().to_string()])
        .arg(server.listen.ip().to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let output = match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        output => output.expect("the client can be executed"),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    Some(Messages { sent: last_number(&text, "tot_send_msgs="), heard: last_number(&text, "tot_recv_msgs=") })
}

/// The number after the last `name` in the text.
fn last_number(text: &str, name: &str) -> u64 {
    let digits = text.rsplit_once(name).map_or("", |(_, rest)| rest).split(|char: char| !char.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// A peer that sends everything back.
#[derive(Debug)]
pub struct Echo {
    /// Where it is.
    pub address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    /// On a thread of its own.
    pub fn start() -> Self {
        let socket = bind_loopback();
        socket.set_nonblocking(false).expect("it is a socket");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("it is a valid time");
        let (address, ended) = (address_of(&socket), Arc::new(AtomicBool::new(false)));
        let end = Arc::clone(&ended);
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
            // It has said why if it panicked.
            let _ = thread.join();
        }
    }
}
