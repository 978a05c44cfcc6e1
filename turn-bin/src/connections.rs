//! Clients over TCP, and over TLS on the same port: byte streams on one side, frames for a worker on the other.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use shell::accept::ConnectionLimit;
use shell::http::Cut;
use shell::tls::{TlsPurpose, TlsSettings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use webrtc_sip_core::io::FlowId;
use webrtc_sip_core::turn::{ClientTransport, ConnectionId, frame_len};

use crate::config::{Config, ConfigError};
use crate::tcp::{Granted, set_options};
use crate::worker::{Inbox, WorkerInput};

/// Frames that may wait for a stream to take them: 100 ms of video at 20 Mbit/s. Those after them are dropped.
const MAX_QUEUED_WRITES: usize = 256;
/// Frames written at once.
const WRITE_BATCH: usize = 64;
/// A TLS record has one frame: clients that read a record at a time, coturn's for one, take it for one message.
const TLS_WRITE_BATCH: usize = 1;
const READ_BYTES: usize = 16 * 1024;
/// A connection says what it is by its first byte, soon.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
/// Content type of a TLS handshake (RFC 8446 section 5.1). Neither STUN nor ChannelData begins with it.
const TLS_HANDSHAKE: u8 = 0x16;
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// What the certificate is for. DTLS has it, too.
const TLS: TlsPurpose = TlsPurpose { section: "tls", protocols: &[] };

/// Reads the certificate, where there is one.
pub(crate) fn load_tls(config: &Config) -> Result<Option<TlsSettings>, ConfigError> {
    config.tls.as_ref().map(|tls| TlsSettings::load(TLS, tls)).transpose()
}

/// What the connections of all listeners share.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    workers: Vec<Inbox>,
    tls: Option<TlsSettings>,
    limit: ConnectionLimit,
    first_frame: Duration,
    idle: Duration,
    numbers: Arc<AtomicU64>,
    cut: Cut,
}

impl Connections {
    /// For these workers. A connection ends without a whole frame in the time of `first_frame`, later without a byte for
    /// `idle`, and with `cut`.
    pub(crate) fn new(
        workers: Vec<Inbox>,
        tls: Option<TlsSettings>,
        limit: ConnectionLimit,
        first_frame: Duration,
        idle: Duration,
        cut: Cut,
    ) -> Self {
        Connections { workers, tls, limit, first_frame, idle, numbers: Arc::default(), cut }
    }

    /// Accepts connections until the task is dropped.
    pub(crate) async fn serve(self, listener: TcpListener) {
        loop {
            let (stream, remote, permit) = self.limit.accept(&listener).await;
            let connections = self.clone();
            tokio::spawn(async move {
                let mut cut = connections.cut.clone();
                tokio::select! {
                    () = connections.carry(stream, remote) => {}
                    () = cut.done() => {}
                }
                drop(permit);
            });
        }
    }

    async fn carry(&self, stream: TcpStream, remote: SocketAddr) {
        set_options(&stream);
        let mut first = [0];
        match tokio::time::timeout(FIRST_BYTE_TIMEOUT, stream.peek(&mut first)).await {
            Ok(Ok(1)) => {}
            _ => return,
        }
        match &self.tls {
            Some(settings) if first[0] == TLS_HANDSHAKE => {
                if let Some(stream) = Box::pin(settings.accept(stream)).await {
                    self.frames(stream, remote, ClientTransport::Tls).await;
                }
            }
            _ => self.frames(stream, remote, ClientTransport::Tcp).await,
        }
    }

    /// Carries frames both ways until either side closes, or bytes once this is spliced with a peer's connection.
    async fn frames(&self, stream: impl AsyncRead + AsyncWrite, remote: SocketAddr, transport: ClientTransport) {
        let (read_half, mut write_half) = tokio::io::split(stream);
        let mut frames = Frames { stream: read_half, buffer: BytesMut::new(), idle: self.idle };
        let Ok(Some(first)) = tokio::time::timeout(self.first_frame, frames.next()).await else { return };
        let flow = FlowId(self.numbers.fetch_add(1, Ordering::Relaxed));
        let worker = self.worker_of(remote, &first);
        let (writer, to_write) = mpsc::channel(MAX_QUEUED_WRITES);
        if !worker.send(WorkerInput::FlowOpened { flow, remote, transport, writer }).await {
            return;
        }
        let spliced = {
            let mut writing = pin!(write(&mut write_half, to_write, transport));
            let granted = tokio::select! {
                granted = read(flow, first, &mut frames, worker) => granted,
                () = &mut writing => None,
            };
            match granted {
                Some(Granted { spliced, writer }) => {
                    // The last frame of the queue is the answer to the client's request.
                    drop(writer);
                    writing.await;
                    Some(spliced)
                }
                None => None,
            }
        };
        match spliced {
            Some(spliced) => {
                let connection = spliced.connection;
                spliced.carry(frames.stream, write_half, frames.buffer).await;
                worker.send(WorkerInput::ConnectionClosed(connection)).await;
            }
            None => {
                worker.send(WorkerInput::FlowClosed(flow)).await;
                // The other end closes as well when it likes to.
                let _ = tokio::time::timeout(WRITE_TIMEOUT, write_half.shutdown()).await;
            }
        }
    }

    /// The worker that knows the connection with a peer that a client wants this one to be bound to, whatever its address;
    /// any other client's depends on that.
    fn worker_of(&self, remote: SocketAddr, first: &[u8]) -> &Inbox {
        let named = ConnectionId::to_bind(first).map(|id| usize::from(id.server_number()));
        if let Some(worker) = named.and_then(|number| self.workers.get(number)) {
            return worker;
        }
        let mut hasher = DefaultHasher::new();
        remote.hash(&mut hasher);
        &self.workers[(hasher.finish() % self.workers.len() as u64) as usize]
    }
}

/// A byte stream that is cut into frames.
struct Frames<S> {
    stream: S,
    /// What was read and not cut yet.
    buffer: BytesMut,
    idle: Duration,
}

impl<S: AsyncRead + Unpin> Frames<S> {
    /// The next one; none when the stream ends, is silent for too long or isn't made of frames.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = next_frame(&mut self.buffer).ok()? {
                return Some(frame);
            }
            self.buffer.reserve(READ_BYTES);
            match tokio::time::timeout(self.idle, self.stream.read_buf(&mut self.buffer)).await {
                Ok(Ok(1..)) => {}
                _ => return None,
            }
        }
    }
}

/// Hands frames to the worker until there are no more, or what follows them is for a peer.
async fn read(
    flow: FlowId,
    first: Bytes,
    frames: &mut Frames<impl AsyncRead + Unpin>,
    worker: &Inbox,
) -> Option<Granted> {
    let mut frame = first;
    loop {
        if ConnectionId::to_bind(&frame).is_some() {
            let (answer, answered) = oneshot::channel();
            worker.send(WorkerInput::FrameToBind(flow, frame, answer)).await.then_some(())?;
            // What comes next is a frame or isn't, as the worker decides.
            if let Ok(granted) = answered.await {
                return Some(granted);
            }
        } else {
            worker.send(WorkerInput::Frame(flow, frame)).await.then_some(())?;
        }
        frame = frames.next().await?;
    }
}

#[derive(Debug, PartialEq, Eq)]
struct NotFrames;

/// The next whole frame in the buffer.
fn next_frame(buffer: &mut BytesMut) -> Result<Option<Bytes>, NotFrames> {
    match frame_len(buffer) {
        Ok(Some(len)) if len <= buffer.len() => Ok(Some(buffer.split_to(len).freeze())),
        Ok(_) => Ok(None),
        Err(_) => Err(NotFrames),
    }
}

/// Writes frames until the worker closes the queue or the other end takes no more.
async fn write(stream: &mut (impl AsyncWrite + Unpin), mut frames: mpsc::Receiver<Bytes>, transport: ClientTransport) {
    let at_once = if transport == ClientTransport::Tls { TLS_WRITE_BATCH } else { WRITE_BATCH };
    let mut batch = Vec::with_capacity(at_once);
    let mut bytes = BytesMut::new();
    while frames.recv_many(&mut batch, at_once).await > 0 {
        bytes.clear();
        batch.drain(..).for_each(|frame| bytes.extend_from_slice(&frame));
        let written = async {
            stream.write_all(&bytes).await?;
            // TLS keeps what doesn't fit into the socket until it is asked to send it.
            stream.flush().await
        };
        if !matches!(tokio::time::timeout(WRITE_TIMEOUT, written).await, Ok(Ok(()))) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    /// What each write brought.
    #[derive(Default)]
    struct Writes(Vec<Vec<u8>>);

    impl AsyncWrite for Writes {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.0.push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn frames_are_written_together_but_for_tls() {
        for (transport, expected) in [(ClientTransport::Tcp, &["onetwo"][..]), (ClientTransport::Tls, &["one", "two"])]
        {
            let (frames, queue) = mpsc::channel(2);
            for frame in ["one", "two"] {
                frames.send(frame.into()).await.unwrap();
            }
            drop(frames);
            let mut writes = Writes::default();
            write(&mut writes, queue, transport).await;
            assert_eq!(writes.0, expected.iter().map(|text| text.as_bytes()).collect::<Vec<_>>(), "{transport:?}");
        }
    }

    #[test]
    fn frames_are_cut_wherever_the_stream_was() {
        let stun = [&[0, 1, 0, 4][..], &[0; 16], b"abcd"].concat();
        let channel_data = [&[0x40, 1, 0, 3][..], b"xyz\0"].concat();
        let stream = [&stun[..], &channel_data, &[0x40, 2]].concat();
        let mut frames = Vec::new();
        let mut buffer = BytesMut::new();
        for byte in stream {
            buffer.extend_from_slice(&[byte]);
            frames.extend(next_frame(&mut buffer).unwrap());
        }
        assert_eq!(frames, [stun, channel_data]);
        assert_eq!(next_frame(&mut BytesMut::from(&[0x80, 0x67, 1, 3][..])), Err(NotFrames));
    }
}
