//! Sockets of TCP for peers (RFC 6062), and carrying bytes between a peer's connection and a client's.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use webrtc_sip_core::turn::{Carried, ConnectionId};

/// Connections of peers that wait to be accepted.
const BACKLOG: i32 = 16;
/// Bytes on their way in one direction, besides the system's buffers. While they wait, nothing more is read.
const COPY_BYTES: usize = 16 * 1024;
/// Who is over a limit of bandwidth looks again after this time.
const BANDWIDTH_PAUSE: Duration = Duration::from_millis(20);
/// How long a connection that is closed in one direction may be silent in the other.
const HALF_OPEN: Duration = Duration::from_secs(30);
/// Whoever is gone without a word is found out after two minutes of silence.
const KEEP_ALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15)).with_retries(4);

/// Listens at an address from which connections can be made as well.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // The last allocation's connections at this port may not be forgotten yet.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    // Not before: who listens here already would share the port with us if both said so.
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Connects from an address where [`listen`] listens, which is where peers expect it from (RFC 6062 section 5.2).
pub(crate) async fn connect(local: SocketAddr, peer: SocketAddr) -> io::Result<TcpStream> {
    let socket = if local.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(local)?;
    socket.connect(peer).await
}

/// Sets what both kinds of connections want: small packets at once, and a look now and then whether the other end is there.
pub(crate) fn set_options(stream: &TcpStream) {
    // Without them it is slower, or lasts longer than it should.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&KEEP_ALIVE);
}

/// A connection with a peer, and its place among those that are limited.
#[derive(Debug)]
pub(crate) struct PeerStream {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl PeerStream {
    pub(crate) fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        set_options(&stream);
        PeerStream { stream, _place: place }
    }
}

/// What a client is given that asked for its connection to be bound to a peer's.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) spliced: Spliced,
    /// Keeps the queue of frames for the client open until its task has read this.
    pub(crate) writer: mpsc::Sender<Bytes>,
}

/// A client's connection has this for its other end.
#[derive(Debug)]
pub(crate) struct Spliced {
    pub(crate) connection: ConnectionId,
    pub(crate) peer: PeerStream,
    pub(crate) carried: Arc<Carried>,
    /// Done when the worker wants an end.
    pub(crate) closed: oneshot::Receiver<()>,
}

impl Spliced {
    /// Carries bytes both ways until both ends are closed, one is broken, or the worker wants an end. `early` came from the
    /// client already.
    pub(crate) async fn carry(
        self,
        mut from_client: impl AsyncRead + Unpin,
        mut to_client: impl AsyncWrite + Unpin,
        early: BytesMut,
    ) {
        let Spliced { mut peer, carried, closed, .. } = self;
        let (mut from_peer, mut to_peer) = peer.stream.split();
        let half_open = AtomicBool::new(false);
        let up = async {
            let may_send = |len, passed: &mut usize| carried.may_send(Instant::now(), len, passed);
            if !early.is_empty() {
                admitted(early.len(), &may_send).await;
                to_peer.write_all(&early).await?;
                carried.add_sent(early.len());
            }
            // The connection may last long, and the buffer isn't needed.
            drop(early);
            copy(&mut from_client, &mut to_peer, &may_send, |len| carried.add_sent(len)).await?;
            half_open.store(true, Ordering::Relaxed);
            io::Result::Ok(())
        };
        let down = async {
            let may_receive = |len, passed: &mut usize| carried.may_receive(Instant::now(), len, passed);
            copy(&mut from_peer, &mut to_client, &may_receive, |len| carried.add_received(len)).await?;
            half_open.store(true, Ordering::Relaxed);
            Ok(())
        };
        let mut both = pin!(async { tokio::try_join!(up, down) });
        tokio::select! {
            // A broken connection ends the other one as well.
            _ = &mut both => {}
            () = forsaken(HALF_OPEN, &half_open, &carried) => {}
            _ = closed => {}
        }
    }
}

/// Waits until so many bytes may pass; nothing more is read meanwhile, so the sender waits too.
async fn admitted(len: usize, may_pass: impl Fn(usize, &mut usize) -> bool) {
    let mut passed = 0;
    while !may_pass(len, &mut passed) {
        tokio::time::sleep(BANDWIDTH_PAUSE).await;
    }
}

/// Copies until the end, and passes that on. One buffer's worth is on its way at a time.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    may_pass: impl Fn(usize, &mut usize) -> bool,
    count: impl Fn(usize),
) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let len = from.read(&mut buffer).await?;
        if len == 0 {
            return to.shutdown().await;
        }
        admitted(len, &may_pass).await;
        to.write_all(&buffer[..len]).await?;
        // TLS keeps what doesn't fit into the socket until it is asked to send it.
        to.flush().await?;
        count(len);
    }
}

/// Done when one side was closed and nothing comes from the other any more.
async fn forsaken(after: Duration, half_open: &AtomicBool, carried: &Carried) {
    let mut before = None;
    loop {
        tokio::time::sleep(after).await;
        let now = half_open.load(Ordering::Relaxed).then(|| carried.bytes());
        if now.is_some() && now == before {
            return;
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn listener() -> (tokio::net::TcpListener, SocketAddr) {
        let listener = tokio::net::TcpListener::from_std(listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn connections_come_from_where_others_are_accepted() {
        let (relay, relayed) = listener();
        let (peer, peers) = listener();
        let (made, accepted) = tokio::join!(connect(relayed, peers), peer.accept());
        assert_eq!((made.unwrap().local_addr().unwrap(), accepted.unwrap().1), (relayed, relayed));
        let (incoming, accepted) = tokio::join!(TcpStream::connect(relayed), relay.accept());
        assert_eq!(incoming.unwrap().local_addr().unwrap(), accepted.unwrap().1);
    }

    #[tokio::test]
    async fn a_port_belongs_to_one_listener() {
        let (_relay, relayed) = listener();
        assert_eq!(listen(relayed).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    /// A client and a peer on the ends of a pair, and what ends it.
    async fn pair()
    -> (tokio::io::DuplexStream, TcpStream, oneshot::Sender<()>, Arc<Carried>, tokio::task::JoinHandle<()>) {
        let (listener, address) = listener();
        let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let place = Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().unwrap();
        let carried = Arc::new(Carried::default());
        let (until, closed) = oneshot::channel();
        let spliced = Spliced {
            connection: ConnectionId(1),
            peer: PeerStream::new(accepted.unwrap().0, place),
            carried: carried.clone(),
            closed,
        };
        let (client, ours) = tokio::io::duplex(64);
        let (read, write) = tokio::io::split(ours);
        let task = tokio::spawn(spliced.carry(read, write, BytesMut::from(&b"early "[..])));
        (client, stream.unwrap(), until, carried, task)
    }

    #[tokio::test]
    async fn each_direction_ends_by_itself() {
        let (mut client, mut peer, _until, carried, task) = pair().await;
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"early question");
        peer.write_all(b"answer").await.unwrap();
        drop(peer);
        heard.clear();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"answer");
        tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
        assert_eq!(carried.bytes(), (14, 6));
    }

    #[tokio::test]
    async fn the_worker_ends_it() {
        let (mut client, mut peer, until, _, task) = pair().await;
        peer.read_exact(&mut [0; 6]).await.unwrap();
        drop(until);
        tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn who_closed_one_direction_and_is_silent_in_the_other_is_not_waited_for() {
        const SHORT: Duration = Duration::from_millis(1);
        let carried = Carried::default();
        tokio::time::timeout(PATIENCE, forsaken(SHORT, &AtomicBool::new(true), &carried)).await.unwrap();
        let whole = AtomicBool::new(false);
        let waited = tokio::time::timeout(50 * SHORT, forsaken(SHORT, &whole, &carried)).await;
        assert!(waited.is_err(), "silence alone is no reason");
    }
}
