//! Two gateways in one process: the second takes over the calls of the first.
//!
//! ```text
//! cargo run --package examples --bin two_nodes                          # demo users, on 8080 and 8081
//! cargo run --package examples --bin two_nodes -- FIRST.toml SECOND.toml # as configured
//! ```
//! Open `http://127.0.0.1:8080/?gateways=http://127.0.0.1:8080,http://127.0.0.1:8081`, sign in, call somebody by
//! `sip:user@host` (the demo's test numbers are inside the first gateway and end with it), and type `takeover` here:
//! the first gateway's calls are written down, it ends like a process that is killed, and the calls go on at the second.
//!
//! In a cluster the snapshots would be in a shared store, encrypted, and the death would come unasked. Here a `Vec` of
//! JSON is the store.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gateway_bin::config::Config;
use gateway_bin::{Running, start, telemetry};
use tokio::sync::mpsc;
use webrtc_sip_core::crypto::{CryptoProvider, DtlsCertificate};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (mut first_config, mut second_config) = match files.as_slice() {
        [] => (demo(0)?, demo(1)?),
        [first, second] => (Config::load(Some(first))?, Config::load(Some(second))?),
        _ => return Err("usage: two_nodes [FIRST.toml SECOND.toml]".into()),
    };
    let _level = telemetry::init("two_nodes", &first_config.node, &first_config.log);
    // Both show the same fingerprint, else the browser would begin a new DTLS handshake.
    let certificate = CertificateFile::new()?;
    for config in [&mut first_config, &mut second_config] {
        config.media.certificate.get_or_insert_with(|| certificate.0.clone());
    }
    let first = start(first_config).await?;
    let second = start(second_config).await?;
    println!("two nodes: http://{} and http://{}; type `takeover`", first.http, second.http);

    let mut input = lines();
    wait_for("takeover", &mut input).await?;
    take_over(first, &second).await?;
    wait_for("quit", &mut input).await?;
    second.stop().await;
    Ok(())
}

/// Writes down, kills, goes on. What a real cluster does between the first step and the last is notice the death.
async fn take_over(first: Running, second: &Running) -> Result<(), Box<dyn Error>> {
    let snapshots = first.snapshot_calls().await;
    let store = snapshots.iter().map(serde_json::to_string).collect::<Result<Vec<String>, _>>()?;
    println!("gone at {}", milliseconds(SystemTime::now())?);
    first.vanish().await;
    for text in store {
        let call = second.restore_call(serde_json::from_str(&text)?).await?;
        println!("taken over: {call}");
    }
    println!("done at {}", milliseconds(SystemTime::now())?);
    Ok(())
}

/// What is typed, read by a thread of its own because reading blocks.
fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Waits until somebody types the word; the end of the input is an error.
async fn wait_for(word: &str, input: &mut mpsc::Receiver<String>) -> Result<(), Box<dyn Error>> {
    while input.recv().await.ok_or("the input ended")?.trim() != word {}
    Ok(())
}

/// The demo configuration, beside the ports of `index` others.
fn demo(index: u16) -> Result<Config, Box<dyn Error>> {
    let mut config = Config::demo();
    config.node = format!("node{}", index + 1);
    for address in
        [&mut config.http.listen, &mut config.metrics.listen, &mut config.sip.listen[0], &mut config.turn.listen[0]]
    {
        address.set_port(address.port() + index);
    }
    config.media.webrtc_port += 100 * index;
    // The page comes from the first one and talks to the second one later.
    config.http.allowed_origins = vec!["http://127.0.0.1:8080".to_owned()];
    Ok(config)
}

/// A certificate for both, in a file that is removed at the end.
struct CertificateFile(PathBuf);

impl CertificateFile {
    fn new() -> Result<Self, Box<dyn Error>> {
        let certificate = DtlsCertificate::generate(&CryptoProvider::system(), SystemTime::now())?;
        let file = std::env::temp_dir().join(format!("two-nodes-{}.pem", std::process::id()));
        write_private(&file, &certificate.to_pem())?;
        Ok(CertificateFile(file))
    }
}

impl Drop for CertificateFile {
    fn drop(&mut self) {
        // A file that is gone already needs no removal.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?.write_all(text.as_bytes())
}

fn milliseconds(at: SystemTime) -> Result<u128, Box<dyn Error>> {
    Ok(at.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| "the clock is before 1970")?.as_millis())
}
