//! Load for TURN servers: ours, coturn beside it, and a bare loop of sockets as the floor of both.

pub mod bare;
pub mod client;
pub mod coturn_client;
pub mod load;
pub mod report;
pub mod server;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use bare::Bare;
use server::Server;

/// Bytes of a packet of G.711 of 20 ms.
pub const VOICE_BYTES: usize = 160;
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// What passes packets on.
#[derive(Debug)]
pub enum Relaying {
    /// A TURN server.
    Server(Server),
    /// A loop that does nothing else.
    Bare(Bare),
}

impl Relaying {
    /// Its processor time so far.
    pub fn cpu(&self) -> Duration {
        match self {
            Relaying::Server(server) => server.cpu(),
            Relaying::Bare(bare) => bare.cpu(),
        }
    }
}

/// A socket that doesn't block, on a free port.
fn bind_loopback() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
    socket.set_nonblocking(true).expect("it is a socket");
    // As much as the system allows.
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES);
    socket
}

fn address_of(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("it is bound")
}
