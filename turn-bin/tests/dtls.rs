//! DTLS, where the certificate's key allows it.

mod common;

use std::net::UdpSocket;
use std::time::Duration;

use common::{PATIENCE, start_with};
use shell::program::Service;
use shell::testing::{CertificateFiles, connect_tls};

/// A ClientHello with one cipher suite.
fn client_hello() -> Vec<u8> {
    let body = [&[0xfe, 0xfd][..], &[7; 32], &[0, 0, 0, 2, 0xc0, 0x2b, 1, 0]].concat();
    let message = [&[1, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 42][..], &body].concat();
    [&[22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 54][..], &message].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_dtls_cannot_use_serves_tls_alone_until_there_is_another_one() {
    let files = CertificateFiles::new("wst-dtls-rsa");
    let rsa = files.renew_with_rsa();
    let server = start_with(|config| config.tls = Some(files.tls())).await;
    connect_tls(server.listen[0], &rsa).await.expect("TLS takes it");
    let client = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
    client.connect(server.listen[0]).expect("it is on this machine");
    client.set_read_timeout(Some(Duration::from_millis(200))).expect("it is a valid time");
    client.send(&client_hello()).expect("it is open");
    client.recv(&mut [0; 1000]).expect_err("DTLS is off");
    files.renew();
    let begun = std::time::Instant::now();
    let len = loop {
        client.send(&client_hello()).expect("it is open");
        match client.recv(&mut [0; 1000]) {
            Ok(len) => break len,
            Err(_) => assert!(begun.elapsed() < PATIENCE, "DTLS isn't on"),
        }
    };
    assert_eq!(len, 60, "a HelloVerifyRequest");
    server.stop().await.expect("nothing broke");
}
