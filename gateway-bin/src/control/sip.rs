//! SIP sockets: UDP, accepted TCP connections, and those that the core asks for.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use shell::accept::{ConnectionLimit, bind_with_udp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use webrtc_sip_core::io::{FlowId, SocketId, Transmit};

use super::Outside;
use crate::media::SocketIds;

const MAX_DATAGRAM: usize = 65_535;
/// Kernel receive buffer: a burst of some thousand requests while the control task is busy.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// Messages that may wait for a stream to take them; past it the other end doesn't read, and the stream is closed.
const MAX_QUEUED_WRITES: usize = 256;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A stream without any byte for so long is closed. Keep-alives (RFC 5626 section 4.4.1) come every two minutes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(900);
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
const READ_BYTES: usize = 4096;

/// The SIP sockets of the process.
#[derive(Debug)]
pub(crate) struct SipSockets {
    udp: BTreeMap<SocketId, Arc<UdpSocket>>,
    listeners: Vec<TcpListener>,
    flows: HashMap<FlowId, mpsc::Sender<Bytes>>,
    outgoing: Arc<Semaphore>,
    incoming: ConnectionLimit,
    /// Reading datagrams and accepting connections.
    readers: JoinSet<()>,
}

impl SipSockets {
    /// Binds UDP and TCP on each address. Returns the sockets with what they are bound to, in the order given.
    pub(crate) async fn bind(
        ids: &SocketIds,
        listen: &[SocketAddr],
        max_connections: usize,
    ) -> io::Result<(Self, Vec<(SocketId, SocketAddr)>)> {
        let mut udp = BTreeMap::new();
        let mut listeners = Vec::new();
        let mut bound = Vec::new();
        for address in listen {
            let (listener, socket, local) = bind_with_udp(*address, "SIP", UdpSocket::bind).await?;
            let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
            // The runtime lets us send without waiting only once it has seen that the socket is writable.
            socket.writable().await?;
            let id = ids.draw();
            udp.insert(id, Arc::new(socket));
            listeners.push(listener);
            bound.push((id, local));
        }
        let outgoing = Arc::new(Semaphore::new(max_connections));
        Ok((
            SipSockets {
                udp,
                listeners,
                flows: HashMap::new(),
                outgoing,
                incoming: ConnectionLimit::new(max_connections),
                readers: JoinSet::new(),
            },
            bound,
        ))
    }

    /// Starts reading; everything that arrives goes to `outside`.
    pub(crate) fn start(&mut self, outside: &mpsc::Sender<Outside>) {
        for (id, socket) in &self.udp {
            self.readers.spawn(read_datagrams(*id, socket.clone(), outside.clone()));
        }
        let numbers = Arc::new(AtomicU64::new(0));
        for listener in self.listeners.drain(..) {
            self.readers.spawn(accept(listener, numbers.clone(), self.incoming.clone(), outside.clone()));
        }
    }

    /// Closes everything; the addresses can be bound again afterwards.
    pub(super) async fn stop(&mut self) {
        self.flows.clear();
        self.readers.shutdown().await;
    }

    /// Sends what the core wrote. What the system doesn't take is lost: over UDP SIP repeats it, and a stream that
    /// doesn't take it is closed.
    pub(super) fn send(&mut self, transmit: Transmit, bytes: &[u8]) {
        match transmit {
            Transmit::Datagram { socket, destination } | Transmit::Unfragmented { socket, destination } => {
                let Some(socket) = self.udp.get(&socket) else { return };
                if let Err(error) = socket.try_send_to(bytes, destination) {
                    tracing::debug!(%error, "a SIP datagram wasn't sent");
                }
            }
            Transmit::Stream(flow) => {
                let Some(writer) = self.flows.get(&flow) else { return };
                if writer.try_send(Bytes::copy_from_slice(bytes)).is_err() {
                    // The task sees its queue closed, ends, and reports the flow as closed.
                    self.flows.remove(&flow);
                }
            }
        }
    }

    /// Connects in the background.
    pub(super) fn open(&mut self, flow: FlowId, remote: SocketAddr, outside: &mpsc::Sender<Outside>) {
        let (limit, outside) = (self.outgoing.clone(), outside.clone());
        tokio::spawn(async move {
            if let Ok(permit) = limit.try_acquire_owned()
                && let Ok(Ok(stream)) = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(remote)).await
            {
                serve(flow, stream, permit, &outside).await;
            }
            // The control task is gone only when the process ends.
            let _ = outside.send(Outside::FlowClosed(flow)).await;
        });
    }

    pub(super) fn opened(&mut self, flow: FlowId, writer: mpsc::Sender<Bytes>) {
        self.flows.insert(flow, writer);
    }

    pub(super) fn close(&mut self, flow: FlowId) {
        self.flows.remove(&flow);
    }

    pub(super) fn is_open(&self, flow: FlowId) -> bool {
        self.flows.contains_key(&flow)
    }

    pub(super) fn refused(&self) -> u64 {
        self.incoming.refused()
    }

    pub(super) fn flows(&self) -> usize {
        self.flows.len()
    }
}

async fn read_datagrams(id: SocketId, socket: Arc<UdpSocket>, outside: mpsc::Sender<Outside>) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let (len, source) = tokio::select! {
            () = outside.closed() => return,
            // An ICMP error of an earlier send is no reason to stop.
            received = socket.recv_from(&mut buffer) => match received {
                Ok(received) => received,
                Err(_) => continue,
            },
        };
        let bytes = Bytes::copy_from_slice(&buffer[..len]);
        // While the queue is full the kernel's buffer fills, and then drops: SIP repeats over UDP.
        if outside.send(Outside::SipDatagram { socket: id, source, bytes }).await.is_err() {
            return;
        }
    }
}

async fn accept(
    listener: TcpListener,
    numbers: Arc<AtomicU64>,
    limit: ConnectionLimit,
    outside: mpsc::Sender<Outside>,
) {
    loop {
        let (stream, _, permit) = tokio::select! {
            () = outside.closed() => return,
            accepted = limit.accept(&listener) => accepted,
        };
        let flow = FlowId(numbers.fetch_add(1, Ordering::Relaxed));
        let outside = outside.clone();
        tokio::spawn(async move {
            serve(flow, stream, permit, &outside).await;
            let _ = outside.send(Outside::FlowClosed(flow)).await;
        });
    }
}

/// Carries bytes both ways until either side closes.
async fn serve(flow: FlowId, stream: TcpStream, _permit: OwnedSemaphorePermit, outside: &mpsc::Sender<Outside>) {
    let _ = stream.set_nodelay(true);
    let (Ok(local), Ok(remote)) = (stream.local_addr(), stream.peer_addr()) else { return };
    let (writer, mut to_write) = mpsc::channel(MAX_QUEUED_WRITES);
    if outside.send(Outside::FlowOpened { flow, local, remote, writer }).await.is_err() {
        return;
    }
    let (mut read_half, mut write_half) = stream.into_split();
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    loop {
        tokio::select! {
            bytes = to_write.recv() => {
                // None: the control task closed the flow; everything before is written.
                let Some(bytes) = bytes else { break };
                let written = tokio::time::timeout(WRITE_TIMEOUT, write_half.write_all(&bytes)).await;
                if !matches!(written, Ok(Ok(()))) {
                    break;
                }
            }
            read = tokio::time::timeout(IDLE_TIMEOUT, read_half.read_buf(&mut buffer)) => {
                if !matches!(read, Ok(Ok(1..))) {
                    break;
                }
                if outside.send(Outside::FlowData(flow, buffer.split().freeze())).await.is_err() {
                    break;
                }
                buffer.reserve(READ_BYTES);
            }
        }
    }
}
