//! Accepting connections that aren't HTTP, beside datagrams on the same port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::bind;

/// How long others get to close their connections when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// How many connections may be open, for all listeners that share it.
#[derive(Clone, Debug)]
pub struct ConnectionLimit {
    places: Arc<Semaphore>,
    refused: Arc<AtomicU64>,
}

impl ConnectionLimit {
    /// At most `max` at a time.
    pub fn new(max: usize) -> Self {
        ConnectionLimit { places: Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))), refused: Arc::default() }
    }

    /// Connections that were closed at once, or not made, because there were too many.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits for the next connection that there is a place for; it keeps the place as long as the permit lives.
    pub async fn accept(&self, listener: &TcpListener) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        loop {
            let Ok((stream, remote)) = listener.accept().await else {
                // Out of descriptors, or the connection is gone already.
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let Some(permit) = self.try_place() else {
                tracing::debug!(%remote, "a connection was refused: there are too many");
                continue;
            };
            return (stream, remote, permit);
        }
    }

    /// A place for something else that counts as a connection. None is a refusal.
    pub fn try_place(&self) -> Option<OwnedSemaphorePermit> {
        let place = self.places.clone().try_acquire_owned().ok();
        if place.is_none() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        place
    }
}

/// A TCP listener, and what `bind_udp` binds to the same address; port 0 takes one that is free for both.
///
/// # Errors
/// The address is taken; the error names it.
pub async fn bind_with_udp<U>(
    address: SocketAddr,
    purpose: &str,
    bind_udp: impl AsyncFn(SocketAddr) -> io::Result<U>,
) -> io::Result<(TcpListener, U, SocketAddr)> {
    const ATTEMPTS: usize = 20;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let listener = bind(address, purpose).await?;
        let local = listener.local_addr()?;
        match bind_udp(local).await {
            Ok(socket) => return Ok((listener, socket, local)),
            Err(_) if address.port() == 0 && attempt < ATTEMPTS => {}
            Err(error) => {
                return Err(io::Error::new(error.kind(), format!("UDP {address} for {purpose}: {error}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::UdpSocket;

    use super::*;

    #[tokio::test]
    async fn connections_past_the_limit_are_closed_and_counted() {
        let (listener, _udp, address) =
            bind_with_udp(SocketAddr::from(([127, 0, 0, 1], 0)), "a test", UdpSocket::bind).await.unwrap();
        let limit = ConnectionLimit::new(1);
        let _first = TcpStream::connect(address).await.unwrap();
        let (_stream, _, place) = limit.accept(&listener).await;
        let mut second = TcpStream::connect(address).await.unwrap();
        let mut byte = [0];
        let accepting = async {
            tokio::select! {
                _ = limit.accept(&listener) => panic!("there is no place"),
                read = second.read(&mut byte) => assert!(matches!(read, Ok(0) | Err(_))),
            }
        };
        tokio::time::timeout(Duration::from_secs(10), accepting).await.expect("it is closed");
        assert_eq!(limit.refused(), 1);
        drop(place);
        let _third = TcpStream::connect(address).await.unwrap();
        let (_, _, _place) = limit.accept(&listener).await;
        assert_eq!(limit.refused(), 1);
    }
}
