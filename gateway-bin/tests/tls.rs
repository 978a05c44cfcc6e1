//! HTTPS and `wss`: a certificate from files, and another one after a reload.

mod common;

use common::client::credentials;
use common::{PATIENCE, config};
use futures_util::{SinkExt, StreamExt};
use gateway_bin::config::Config;
use serde_json::{Value, json};
use shell::testing::{CertificateFiles, connect_tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

/// With this certificate.
fn with_tls(files: &CertificateFiles) -> Config {
    let mut config = config();
    config.http.tls = Some(files.tls());
    config
}

async fn get(stream: &mut TlsStream<TcpStream>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it is open");
    let mut response = vec![0; 4096];
    let len = tokio::time::timeout(PATIENCE, stream.read(&mut response)).await.expect("in time").expect("it is open");
    String::from_utf8_lossy(&response[..len]).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_in_over_wss() {
    let files = CertificateFiles::new("wsg-wss");
    let certificate = files.renew();
    let gateway = gateway_bin::start(with_tls(&files)).await.expect("the certificate is good");
    let stream = connect_tls(gateway.http, &certificate).await.expect("the handshake succeeds");
    let (mut socket, response) =
        tokio_tungstenite::client_async("wss://localhost/v1/ws", stream).await.expect("WebSockets are taken");
    let cookie = response.headers()["set-cookie"].to_str().expect("it is text");
    assert!(cookie.contains("Secure") && cookie.contains("SameSite=None"), "{cookie}");
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "session.signIn", "params": credentials("1001") });
    socket.send(Message::Text(request.to_string().into())).await.expect("it is open");
    let answer = socket.next().await.expect("it is open").expect("a message comes");
    let answer: Value = serde_json::from_str(answer.to_text().expect("it is text")).expect("it is JSON");
    assert!(answer["result"]["token"].is_string(), "{answer}");

    // Plain HTTP on this port gets nowhere, and neither do those that never finish a handshake.
    let mut plain = TcpStream::connect(gateway.http).await.expect("it listens");
    plain.write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("it is open");
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, plain.read_to_end(&mut rest)).await.expect("it is closed");
    assert!(!rest.starts_with(b"HTTP/"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_takes_the_new_certificate_and_leaves_open_connections_alone() {
    let files = CertificateFiles::new("wsg-reload");
    let first = files.renew();
    let config = with_tls(&files);
    let gateway = gateway_bin::start(config.clone()).await.expect("the certificate is good");
    let mut open = connect_tls(gateway.http, &first).await.expect("the handshake succeeds");
    let second = files.renew();
    gateway.reload(&config).await;
    assert!(connect_tls(gateway.http, &second).await.is_ok());
    assert!(connect_tls(gateway.http, &first).await.is_err());
    assert!(get(&mut open, "/ping").await.starts_with("HTTP/1.1 200"));

    // What can't be used changes nothing.
    std::fs::write(files.tls().certificate, "rubbish").expect("there is room");
    gateway.reload(&config).await;
    assert!(connect_tls(gateway.http, &second).await.is_ok());
    let error = gateway_bin::check(&config).expect_err("there is no certificate in it").to_string();
    assert!(error.starts_with("http.tls.certificate: "), "{error}");
    gateway.stop().await;
}
