//! Accepting connections: TLS where configured, limits, and time for the request to arrive.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::tls::TlsSettings;

/// A request's header must be complete this long after the connection is open or the last response is sent.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Request header and read buffer.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Whose connection it is, and its place among those that are counted. Travels with its requests, because a WebSocket
/// lives on when the HTTP connection is over.
#[derive(Clone, Debug)]
pub struct Place {
    /// As the socket says: a proxy's address where there is one.
    pub remote: IpAddr,
    /// When it ends without a word.
    pub cut: Cut,
    _permit: Arc<OwnedSemaphorePermit>,
}

/// Whether connections end where they stand, as they do at the end of the process. A WebSocket has to look by itself.
#[derive(Clone, Debug)]
pub struct Cut(watch::Receiver<bool>);

impl Cut {
    /// Uncut, and what cuts it.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Cut(receiver))
    }

    /// Waits for the cut.
    pub async fn done(&mut self) {
        if self.0.wait_for(|cut| *cut).await.is_err() {
            // Nobody is left who could cut.
            std::future::pending().await
        }
    }
}

/// Binds a listener; the error names the address.
pub async fn bind(address: SocketAddr, purpose: &str) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("TCP {address} for {purpose}: {error}")))
}

/// Serves `router` until the task is dropped.
pub async fn serve(listener: TcpListener, router: Router, tls: Option<TlsSettings>, max_connections: usize, cut: Cut) {
    let limit = Arc::new(Semaphore::new(max_connections));
    loop {
        let Ok(permit) = limit.clone().acquire_owned().await else { return };
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or the connection is gone already: give others time to close theirs.
                tracing::warn!(%error, "a connection wasn't accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Signalling messages are small and wait for nothing.
        let _ = stream.set_nodelay(true);
        let place = Place { remote: remote.ip(), cut: cut.clone(), _permit: Arc::new(permit) };
        let mut cut = cut.clone();
        // Each kind in a box of its own: one future for both would be as large as that with TLS.
        let connection: Pin<Box<dyn Future<Output = ()> + Send>> = match &tls {
            None => Box::pin(serve_http(stream, router.clone(), place)),
            Some(settings) => Box::pin(serve_tls(stream, settings.clone(), router.clone(), place)),
        };
        tokio::spawn(async move {
            tokio::select! {
                () = connection => {}
                () = cut.done() => {}
            }
        });
    }
}

async fn serve_tls(stream: TcpStream, settings: TlsSettings, router: Router, place: Place) {
    if let Some(stream) = settings.accept(stream).await {
        serve_http(stream, router, place).await;
    }
}

async fn serve_http(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router, place: Place) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(place.clone());
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::trace!(%error, "HTTP connection ended");
    }
}
