//! Connections that are of no use: half-open, slow, or without an allocation.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::client::Client;
use common::{PATIENCE, start_with};
use shell::program::Service;
use shell::testing::{CertificateFiles, connect_tls};
use tokio::io::AsyncReadExt;

/// Until the server closes it. What arrives before is thrown away.
fn closed_after(stream: &mut TcpStream, begun: Instant) -> Duration {
    stream.set_read_timeout(Some(PATIENCE)).expect("it is a valid time");
    while matches!(stream.read(&mut [0; 1000]), Ok(1..)) {}
    let elapsed = begun.elapsed();
    assert!(elapsed < PATIENCE, "it is open still");
    elapsed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_allocation_is_closed_and_what_has_one_is_not() {
    let files = CertificateFiles::new("wst-idle");
    let certificate = files.renew();
    let server = start_with(|config| {
        config.tls = Some(files.tls());
        config.limits.idle_connection_seconds = 1;
    })
    .await;
    let address = server.listen[0];
    let mut kept = Client::tcp(address);
    kept.allocate().expect("alice may");
    let begun = Instant::now();
    // A whole handshake and then nothing.
    let mut tls = connect_tls(address, &certificate).await.expect("it is in force");
    // A byte of a request at a time, for as long as they are taken.
    let slow = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("it is a valid time");
        let request = [&[0, 1, 0xff, 0xfc][..], &[0x21, 0x12, 0xa4, 0x42]].concat();
        for byte in request.iter().chain(std::iter::repeat(&0)) {
            let open = stream.write_all(&[*byte]).is_ok();
            if !open || matches!(stream.read(&mut [0]), Ok(0)) || begun.elapsed() > PATIENCE {
                break;
            }
        }
        begun.elapsed()
    });
    let mut answered = TcpStream::connect(address).expect("it listens");
    let binding = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    answered.write_all(&binding).expect("it is open");
    assert!(closed_after(&mut answered, begun) >= Duration::from_secs(1), "not at once");
    assert!(slow.join().expect("it ran") < PATIENCE);
    let end = tokio::time::timeout(PATIENCE, tls.read(&mut [0])).await.expect("it is closed");
    assert!(matches!(end, Ok(0) | Err(_)));
    kept.release().expect("it is there still");
    server.stop().await.expect("nothing broke");
}
