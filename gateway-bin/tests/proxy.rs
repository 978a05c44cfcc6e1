//! A SIP proxy that can't be reached: said once in the log, and shown by `/about` and the metrics for as long as it
//! lasts.

mod common;

use std::net::SocketAddr;

use common::client::{Client, offer};
use common::metrics::Metrics;
use common::process::Process;
use common::sip::SipSocket;
use common::{PATIENCE, eventually, http};
use serde_json::json;
use tokio::net::UdpSocket;

fn with_proxy(target: &str) -> Process {
    let variables = [
        ("WSG_SIP__PROXY__TARGET", target),
        ("WSG_SIP__PROXY__DOMAIN", "example.test"),
        ("WSG_SIP__T1_MILLISECONDS", "30"),
    ];
    Process::start(&[], &variables)
}

/// Waits until the proxy counts as unreachable with so many failures, or as reachable.
async fn is_shown(gateway: &Process, target: &str, unreachable: bool, failures: f64) -> bool {
    let count = format!("wrtc_system_error{{type=\"sips\",sip=\"{target}\"}}");
    // A look-up may take five seconds and is repeated after ten.
    eventually(2 * PATIENCE, async || {
        let metrics = Metrics::read(gateway.metrics).await;
        let about = http(gateway.http, "GET /about HTTP/1.1", "").await;
        (metrics.get("wsg_sip_proxy_unreachable") == 1.0) == unreachable
            && about.contains(&format!("\"sipProxyUnreachable\":{unreachable}"))
            && metrics.get(&count) >= failures
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_is_silent_is_named_once_and_so_is_its_return() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
    let target = socket.local_addr().expect("it is bound").to_string();
    let gateway = with_proxy(&target);
    let mut client = Client::sign_in(gateway.http, "1001").await;
    assert!(is_shown(&gateway, &target, true, 1.0).await);
    for number in ["555", "556"] {
        let created = client.request("call.create", json!({ "to": number, "sdp": offer() })).await;
        assert!(created["result"]["callId"].is_string(), "{created}");
        assert_eq!(client.notification("call.ended").await["reason"], "unreachable");
    }
    let silent = format!("the SIP proxy doesn't answer address={target}");
    assert!(eventually(PATIENCE, async || gateway.log.says(&silent)).await);
    assert_eq!(gateway.log.lines_with(&silent).len(), 1);

    // It refuses a call, so somebody is there.
    let answers = format!("the SIP proxy answers again address={target}");
    assert!(!gateway.log.says(&answers));
    client.request("call.create", json!({ "to": "557", "sdp": offer() })).await;
    let (invite, source) = request_at(&socket, "INVITE sip:557@").await;
    let proxy = SipSocket::with(socket, source);
    proxy.respond(&invite, "486 Busy Here", "t", "").await;
    assert_eq!(client.notification("call.ended").await["reason"], "busy");
    assert!(is_shown(&gateway, &target, false, 1.0).await);
    assert!(eventually(PATIENCE, async || gateway.log.lines_with(&answers).len() == 1).await);
    client.request("session.signOut", json!({})).await;
    gateway.stop();
}

/// The first request that begins like this, and where it came from.
async fn request_at(socket: &UdpSocket, begin: &str) -> (String, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    loop {
        let received = tokio::time::timeout(PATIENCE, socket.recv_from(&mut buffer)).await;
        let (len, source) = received.expect("it comes in time").expect("the socket works");
        let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
        if text.starts_with(begin) {
            return (text, source);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_whose_name_is_not_known_is_named_once() {
    // A name that never exists (RFC 6761 section 6.4).
    let gateway = with_proxy("proxy.invalid");
    assert!(is_shown(&gateway, "proxy.invalid:5060", true, 2.0).await, "it is looked up again");
    assert_eq!(gateway.log.lines_with("the name in sip.proxy.target can't be looked up").len(), 1);
    gateway.stop();
}
