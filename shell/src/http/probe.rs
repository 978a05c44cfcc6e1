//! Asking a program that runs whether it is ready, as containers do it from inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A program that works answers at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a program isn't known to be ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// It says so.
    #[error("{0}: not ready: it starts, drains, or is out of service")]
    Said(SocketAddr),
    /// Somebody else seems to be there.
    #[error("{0}: answers {1}")]
    Other(SocketAddr, StatusCode),
    /// Nobody answers.
    #[error("{0}: {1}")]
    Silent(SocketAddr, String),
}

/// Asks for `/ready` at a listener without TLS.
///
/// # Errors
/// It isn't ready, or doesn't answer within two seconds.
pub async fn ask_ready(listen: SocketAddr) -> Result<(), NotReady> {
    let address = SocketAddr::new(reachable(listen.ip()), listen.port());
    let silent = |problem: String| NotReady::Silent(address, problem);
    match tokio::time::timeout(PATIENCE, status_of_ready(address)).await {
        Ok(Ok(StatusCode::OK)) => Ok(()),
        Ok(Ok(StatusCode::SERVICE_UNAVAILABLE)) => Err(NotReady::Said(address)),
        Ok(Ok(status)) => Err(NotReady::Other(address, status)),
        Ok(Err(error)) => Err(silent(error.to_string())),
        Err(_) => Err(silent("no answer in time".to_owned())),
    }
}

async fn status_of_ready(address: SocketAddr) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get("/ready").header(header::HOST, address.to_string()).body(Body::empty())?;
    let response = sender.send_request(request);
    tokio::select! {
        response = response => Ok(response?.status()),
        Err(error) = connection => Err(error.into()),
    }
}

/// Who listens at every address is asked at loopback.
fn reachable(listen: IpAddr) -> IpAddr {
    match listen {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        listen => listen,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::routing::get;

    use super::*;
    use crate::http::{Cut, Phase, SharedPhase, bind, ready, serve};

    #[tokio::test]
    async fn what_a_program_says_of_itself_is_believed() {
        let phase = Arc::new(SharedPhase::default());
        let pages = Router::new().route(
            "/ready",
            get({
                let phase = phase.clone();
                async move || ready(phase.get(), &[])
            }),
        );
        let listener = bind("0.0.0.0:0".parse().unwrap(), "a test").await.unwrap();
        let listen = listener.local_addr().unwrap();
        let (_cut, uncut) = Cut::new();
        let served = tokio::spawn(serve(listener, pages, None, 8, uncut));
        assert!(matches!(ask_ready(listen).await, Err(NotReady::Said(_))));
        phase.set(Phase::Up);
        ask_ready(listen).await.unwrap();
        phase.set(Phase::Draining);
        assert!(matches!(ask_ready(listen).await, Err(NotReady::Said(_))));
        served.abort();
        assert!(served.await.is_err_and(|error| error.is_cancelled()));
        let error = ask_ready(listen).await.unwrap_err();
        assert!(matches!(error, NotReady::Silent(..)), "{error}");
        assert!(error.to_string().starts_with(&format!("127.0.0.1:{}: ", listen.port())), "{error}");
    }

    #[tokio::test]
    async fn whoever_is_there_instead_is_not_ready() {
        let listener = bind("127.0.0.1:0".parse().unwrap(), "a test").await.unwrap();
        let listen = listener.local_addr().unwrap();
        let (_cut, uncut) = Cut::new();
        tokio::spawn(serve(listener, Router::new(), None, 8, uncut));
        assert!(matches!(ask_ready(listen).await, Err(NotReady::Other(_, StatusCode::NOT_FOUND))));
    }
}
