//! A SIP proxy that refuses to register a user: retried with pauses, counted, and told to the user.

mod common;

use std::time::Duration;

use common::client::{Client, offer};
use common::metrics::Metrics;
use common::sip::SipSocket;
use common::{PATIENCE, eventually, start_with};
use gateway_bin::config::{HostPort, Proxy};
use serde_json::json;
use tokio::net::UdpSocket;

const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_sip_password_is_tried_once_counted_and_told() {
    let proxy = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
    let address = proxy.local_addr().expect("it is bound");
    let gateway = start_with(|config| {
        config.sip.proxy = Some(Proxy {
            target: HostPort { host: address.ip().to_string(), port: address.port() },
            tcp: false,
            domain: "example.test".to_owned(),
            registration_seconds: 600,
        });
        config.users[1].sip_password = Some("wrong".into());
    })
    .await;
    let proxy = SipSocket::with(proxy, gateway.sip[0]);
    let mut client = Client::sign_in(gateway.http, "1002").await;

    // 401 asks for the password, which doesn't match: 401 again, with a new challenge.
    let first = proxy.receive_request("REGISTER").await;
    assert!(!first.contains("\r\nAuthorization:"), "{first}");
    challenge(&proxy, &first).await;
    let second = proxy.receive_request("REGISTER").await;
    assert!(second.contains("\r\nAuthorization: Digest") && !second.contains("wrong"), "{second}");
    challenge(&proxy, &second).await;
    let warning = client.notification("session.warning").await;
    assert_eq!((&warning["reason"], &warning["sipStatus"]), (&json!("registration_failed"), &json!(401)), "{warning}");
    assert!(warning["text"].is_string());

    // No loop: the next attempt is a pause of at least 15 s away.
    let quiet = tokio::time::timeout(Duration::from_secs(3), proxy.receive_request("REGISTER")).await;
    assert!(quiet.is_err(), "{quiet:?}");
    let metrics = Metrics::read(gateway.metrics).await;
    assert_eq!(metrics.get("wsg_sip_failed_registrations_total"), 1.0);
    assert_eq!(metrics.get("wrtc_failed_registrations_by_domain{domain=\"example.test\"}"), 1.0);
    assert_eq!(metrics.get("wsg_sip_registrations"), 0.0);

    // Signed in all the same, and calls can be made.
    let created = client.request("call.create", json!({ "to": "1001-elsewhere", "sdp": offer() })).await;
    assert!(created["result"]["callId"].is_string(), "{created}");
    let invite = proxy.receive_request("INVITE").await;
    proxy.respond(&invite, "404 Not Found", "t", "").await;
    assert_eq!(client.notification("call.ended").await["reason"], "not_found");
    client.request("session.signOut", json!({})).await;
    let gone = eventually(PATIENCE, async || Metrics::read(gateway.metrics).await.get("wsg_sign_ins") == 0.0);
    assert!(gone.await);
    gateway.stop().await;
}

async fn challenge(proxy: &SipSocket, request: &str) {
    let response = common::sip::respond(request, "401 Unauthorized", "t", proxy.address, "");
    proxy.send(response.replace("Content-Length", &format!("{CHALLENGE}Content-Length")).as_bytes()).await;
}
