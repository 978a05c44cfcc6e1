//! An instance that ends without a word, and the certificate that instances share.

mod common;

use std::time::Duration;

use common::{config, http, on_an_address_of_its_own, raw, start_with};
use gateway_bin::{StartError, start};
use webrtc_sip_core::crypto::{CryptoProvider, DtlsCertificate};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_vanishes_says_nothing_and_frees_its_ports() {
    let gateway = start_with(on_an_address_of_its_own).await;
    let (address, sip) = (gateway.http, gateway.sip[0]);
    assert!(gateway.snapshot_calls().await.is_empty(), "there is no call");

    let body = r#"{"jsonrpc":"2.0","id":1,"method":"session.signIn","params":{"user":"1001","password":"demo-1001"}}"#;
    let answer = http(address, "POST /v1/rpc HTTP/1.1\r\nContent-Type: application/json", body).await;
    let (_, rest) = answer.split_once("\"token\":\"").expect("a token");
    let token = rest.split('"').next().expect("its end").to_owned();
    let poll = format!("GET /v1/events?after=0 HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n");
    let upgrade = format!(
        "GET /v1/ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let polling = tokio::spawn(async move { raw(address, &poll).await });
    let websocket = tokio::spawn(async move { raw(address, &upgrade).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!polling.is_finished() && !websocket.is_finished(), "both are open");

    gateway.vanish().await;
    assert_eq!(polling.await.expect("the connection closes"), "", "no response");
    let told = websocket.await.expect("the connection closes");
    assert!(told.starts_with("HTTP/1.1 101") && told.ends_with("\r\n\r\n"), "no close frame: {told:?}");
    std::net::TcpListener::bind(address).expect("the HTTP port is free");
    std::net::UdpSocket::bind(sip).expect("the SIP port is free");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_for_dtls_comes_from_a_file() {
    let file = std::env::temp_dir().join(format!("gateway-dtls-{}.pem", std::process::id()));
    let mut config = config();
    config.media.certificate = Some(file.clone());
    let refused = start(config.clone()).await.expect_err("there is no such file");
    assert!(matches!(refused, StartError::Config(_)) && refused.to_string().contains("media.certificate"), "{refused}");

    let certificate = DtlsCertificate::generate(&CryptoProvider::system(), std::time::SystemTime::now()).unwrap();
    std::fs::write(&file, certificate.to_pem().as_bytes()).unwrap();
    assert!(gateway_bin::check(&config).is_ok());
    let gateway = start(config).await.expect("the certificate can be used");
    std::fs::remove_file(&file).unwrap();
    gateway.stop().await;
}
