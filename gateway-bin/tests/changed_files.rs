//! Files of a running program that are replaced as Kubernetes replaces them: what they say is taken over without a signal.

mod common;

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use common::client::{Client, credentials, offer, reason};
use common::metrics::Metrics;
use common::process::Process;
use common::{PATIENCE, eventually, http};
use serde_json::json;
use shell::testing::{CertificateFiles, MountedFiles, connect_tls, until};

/// Two looks at the files and more.
const LOOKS: Duration = Duration::from_millis(4500);

/// Whether the next gateway could have what is on disk.
async fn is_usable(gateway: &Process) -> bool {
    Metrics::read(gateway.metrics).await.get("wsg_config_last_reload_successful") == 1.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_taken_over_and_a_broken_file_is_refused_once() {
    let mut files = MountedFiles::new("wsg-mounted");
    let user = |name: &str| format!("[[users]]\nname = \"{name}\"\npassword = \"demo-{name}\"\n");
    files.mount(&[("gateway.toml", &user("1001"))]);
    let gateway = Process::start(&["--config", &files.path("gateway.toml")], &[]);
    let mut staying = Client::sign_in(gateway.http, "1001").await;
    assert!(is_usable(&gateway).await);

    files.mount(&[("gateway.toml", "[[users]\n")]);
    let refused = "the configuration wasn't reloaded";
    until(|| gateway.log.says(refused));
    tokio::time::sleep(LOOKS).await;
    assert!(!is_usable(&gateway).await, "however long it lies there");
    assert_eq!((gateway.log.lines_with(refused).len(), gateway.log.says("configuration reloaded")), (1, false));
    let mut client = Client::connect(gateway.http).await;
    let unknown = client.request("session.signIn", credentials("1002")).await;
    assert_eq!(reason(&unknown), "wrong_credentials");

    files.mount(&[("gateway.toml", &user("1002"))]);
    until(|| gateway.log.says("configuration reloaded"));
    assert!(is_usable(&gateway).await);
    Client::sign_in(gateway.http, "1002").await;
    let mut client = Client::connect(gateway.http).await;
    let gone = client.request("session.signIn", credentials("1001")).await;
    assert_eq!(reason(&gone), "wrong_credentials");
    let refreshed = staying.request("session.refresh", serde_json::json!({})).await;
    assert!(refreshed["result"].is_object(), "who is signed in stays: {refreshed}");
    gateway.stop();
}

#[test]
fn a_file_system_that_hangs_does_not_keep_it_from_ending() {
    let file = std::env::temp_dir().join(format!("wsg-hanging-{}.toml", std::process::id()));
    std::fs::write(&file, "[[users]]\nname = \"1001\"\npassword = \"demo-1001\"\n").expect("there is room");
    let gateway = Process::start(&["--config", &file.display().to_string()], &[]);
    // Whoever reads from a pipe waits for somebody to write.
    std::fs::remove_file(&file).expect("it is ours");
    assert!(Command::new("mkfifo").arg(&file).status().expect("mkfifo exists").success());
    let pipe = file.clone();
    let writer = std::thread::spawn(move || File::options().write(true).open(pipe));
    until(|| writer.is_finished());
    let _open = writer.join().expect("it has no reason to panic").expect("it is read");
    gateway.stop();
    std::fs::remove_file(&file).expect("it is ours");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_level_for_each_module_is_taken_over() {
    let mut files = MountedFiles::new("wsg-mounted-level");
    let users = ["1001", "1002"].map(|name| format!("[[users]]\nname = \"{name}\"\npassword = \"demo-{name}\"\n"));
    let file = |level: &str| format!("[log]\nlevel = \"{level}\"\n{}", users.concat());
    files.mount(&[("gateway.toml", &file("info"))]);
    let gateway = Process::start(&["--config", &files.path("gateway.toml")], &[]);
    let (mut caller, _callee) =
        (Client::sign_in(gateway.http, "1001").await, Client::sign_in(gateway.http, "1002").await);
    let mut call = async || {
        let created = caller.request("call.create", json!({ "to": "1002", "sdp": offer() })).await;
        caller.request("call.hangup", json!({ "callId": created["result"]["callId"] })).await;
        caller.notification("call.ended").await;
    };
    call().await;
    until(|| gateway.log.says("INFO call ended"));
    assert!(!gateway.log.says("DEBUG call ended"));

    files.mount(&[("gateway.toml", &file("info,shell::program=warn,gateway_bin::telemetry=debug"))]);
    let more_is_said = async || {
        call().await;
        gateway.log.says("DEBUG call ended")
    };
    assert!(eventually(PATIENCE, more_is_said).await);
    let log = gateway.log.clone();
    gateway.stop();
    assert!(!log.to_the_end().contains("draining"), "the part that says so is to say warnings only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_taken_over_and_somebody_is_told_before_it_runs_out() {
    let pair = CertificateFiles::new("wsg-mounted-pair");
    let mut mounted = MountedFiles::new("wsg-mounted-certificate");
    let read =
        || [pair.tls().certificate, pair.tls().key].map(|path| std::fs::read_to_string(path).expect("it is ours"));
    let soon = pair.renew_for_days(3);
    let [old_certificate, old_key] = read();
    mounted.mount(&[("tls.crt", &old_certificate), ("tls.key", &old_key)]);
    let paths = [mounted.path("tls.crt"), mounted.path("tls.key")];
    let variables = [("WSG_HTTP__TLS__CERTIFICATE", paths[0].as_str()), ("WSG_HTTP__TLS__KEY", &paths[1])];
    // TURN without a certificate of its own has this one; what there is to say of it is said once.
    let variables = [&variables[..], &[("WSG_TURN__LISTEN", "127.0.0.1:0")]].concat();
    let gateway = Process::start(&[], &variables);
    until(|| gateway.log.says("the certificate runs out in 2 days section=\"http.tls\""));
    let ready = http(gateway.metrics, "GET /ready HTTP/1.1", "").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    assert!(ready.contains("\"notes\":[\"http.tls: the certificate runs out in 2 days\"]"), "{ready}");
    let ends = |metrics: &Metrics| metrics.get("wsg_certificate_expiry_timestamp_seconds{section=\"http.tls\"}");
    let first = ends(&Metrics::read(gateway.metrics).await);
    let now = std::time::UNIX_EPOCH.elapsed().expect("the clock is right").as_secs_f64();
    assert!((2.9..3.1).contains(&((first - now) / 86400.0)), "{first} {now}");

    // A certificate without its key, then both.
    let fresh = pair.renew();
    let [certificate, key] = read();
    mounted.mount(&[("tls.crt", &certificate), ("tls.key", &old_key)]);
    let refused = "the certificate wasn't reloaded";
    until(|| gateway.log.says(refused));
    tokio::time::sleep(LOOKS).await;
    assert_eq!(gateway.log.lines_with(refused).len(), 1);
    assert!(!is_usable(&gateway).await);
    assert_eq!(gateway.log.lines_with("the certificate runs out").len(), 1);
    connect_tls(gateway.http, &soon).await.expect("the old one stays");
    mounted.mount(&[("tls.crt", &certificate), ("tls.key", &key)]);
    assert!(eventually(PATIENCE, async || connect_tls(gateway.http, &fresh).await.is_ok()).await);
    let ready = http(gateway.metrics, "GET /ready HTTP/1.1", "").await;
    assert!(ready.ends_with("{\"ready\":true}"), "{ready}");
    // TURN looks at the files for itself.
    assert!(eventually(PATIENCE, async || is_usable(&gateway).await).await);
    assert!(ends(&Metrics::read(gateway.metrics).await) > first + 1e9);

    // Taking this one out of service wouldn't help anybody.
    pair.renew_for_days(-1);
    let [certificate, key] = read();
    mounted.mount(&[("tls.crt", &certificate), ("tls.key", &key)]);
    until(|| gateway.log.says("the certificate has run out section=\"http.tls\""));
    let ready = http(gateway.metrics, "GET /ready HTTP/1.1", "").await;
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("the certificate has run out"), "{ready}");
    gateway.stop();
}
