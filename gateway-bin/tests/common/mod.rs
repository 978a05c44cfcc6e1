//! A gateway on free ports, and a plain HTTP client that shows everything.

// Each test program is compiled with all of this and uses a part of it.
#![allow(dead_code)]

pub(crate) mod bench;
pub(crate) mod client;
pub(crate) mod healthy;
pub(crate) mod metrics;
pub(crate) mod process;
pub(crate) mod sip;

use std::net::SocketAddr;
use std::time::Duration;

use gateway_bin::config::Config;
use gateway_bin::{Running, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The demo configuration on ports that are free.
pub(crate) fn config() -> Config {
    let mut config = Config::demo();
    for address in [&mut config.http.listen, &mut config.metrics.listen, &mut config.sip.listen[0]] {
        address.set_port(0);
    }
    config.turn.listen[0].set_port(0);
    config.media.webrtc_port = 0;
    config.media.workers = 1;
    config
}

/// On no other test's address, so that nobody is given a port there that was just given back.
pub(crate) fn on_an_address_of_its_own(config: &mut Config) {
    for address in [&mut config.http.listen, &mut config.sip.listen[0], &mut config.turn.listen[0]] {
        address.set_ip([127, 0, 0, 7].into());
    }
}

pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Running {
    let mut config = config();
    change(&mut config);
    start(config).await.expect("a gateway starts on free ports")
}

/// Sends `request` (lines without the blank one) and `body`; returns the whole response as text.
pub(crate) async fn http(address: SocketAddr, request: &str, body: &str) -> String {
    let text =
        format!("{}\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", request, body.len());
    raw(address, &text).await
}

/// Sends these bytes and returns what comes back until the connection is closed.
pub(crate) async fn raw(address: SocketAddr, text: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.expect("the gateway listens");
        stream.write_all(text.as_bytes()).await.expect("the gateway reads");
        let mut response = Vec::new();
        // A reset after the response is as good as a close.
        let _ = stream.read_to_end(&mut response).await;
        String::from_utf8_lossy(&response).into_owned()
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("the gateway answers and closes in time")
}

/// Looks again and again until `holds`; false when it doesn't in time.
pub(crate) async fn eventually(patience: Duration, mut holds: impl AsyncFnMut() -> bool) -> bool {
    let ends_at = tokio::time::Instant::now() + patience;
    while !holds().await {
        if tokio::time::Instant::now() >= ends_at {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    true
}
