//! Logs of the whole program: as JSON on standard output, or with Elasticsearch, which may not let us in.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use shell::testing::elasticsearch::Elasticsearch;
use shell::testing::{CertificateFiles, ChildGuard, free_port, get, until};

/// Like one with a configuration file, without users.
fn program(metrics: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webrtc-sip-gateway"));
    command
        .env("WSG_HTTP__LISTEN", "127.0.0.1:0")
        .env("WSG_METRICS__LISTEN", metrics.to_string())
        .env("WSG_SIP__LISTEN", "127.0.0.1:0")
        .env("WSG_TURN__LISTEN", "127.0.0.1:0")
        .env("WSG_MEDIA__WEBRTC_PORT", "0")
        .env("WSG_LOG__FORMAT", "json")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The value of a sample; 0 while there is no page.
fn metric(address: SocketAddr, name: &str) -> u64 {
    let page = get(address, "/metrics").unwrap_or_default();
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().expect("a number"))
}

#[test]
fn the_log_is_json_on_standard_output_and_nothing_is_on_standard_error() {
    let metrics = free_port();
    let running = ChildGuard::of(program(metrics).spawn().expect("the program starts"));
    until(|| metric(metrics, "wsg_resident_memory_bytes") > 0);
    let (stdout, stderr) = running.end();
    let lines: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect("each line is an object")).collect();
    let messages: Vec<&str> = lines.iter().filter_map(|line| line["message"].as_str()).collect();
    assert_eq!(
        (messages.first(), messages.last()),
        (Some(&"TURN server started"), Some(&"nobody is left")),
        "{stdout}"
    );
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()));
    assert_eq!(stderr, "");
}

#[test]
fn lines_that_standard_output_does_not_take_are_counted_and_that_is_said_once() {
    let (full, metrics) = (File::create("/dev/full").expect("Linux has it"), free_port());
    let running = ChildGuard::of(program(metrics).stdout(full).spawn().expect("the program starts"));
    until(|| metric(metrics, "wsg_lost_log_lines_total") >= 2);
    let (_, stderr) = running.end();
    let said = stderr.lines().filter(|line| line.starts_with("standard output: ") && line.contains("lines are lost"));
    assert_eq!(said.count(), 1, "{stderr}");
}

#[test]
fn lines_wait_for_the_right_key_and_authority_which_files_bring_while_the_program_runs() {
    let folder: PathBuf = std::env::temp_dir().join(format!("wsg-elasticsearch-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("there is room");
    let (key, metrics) = (folder.join("key"), free_port());
    std::fs::write(&key, "d3Jvbmc=\n").expect("there is room");
    let certificate = CertificateFiles::new("wsg-elasticsearch-tls");
    certificate.renew();
    let mut server = Elasticsearch::down();
    server.require("ApiKey cmlnaHQ=");
    server.come_up(Some(&certificate.tls()));
    let child = program(metrics)
        .env("WSG_LOG__ELASTICSEARCH__URL", format!("https://localhost:{}", server.address.port()))
        .env("WSG_LOG__ELASTICSEARCH__CA", certificate.tls().certificate)
        .env("WSG_LOG__ELASTICSEARCH__API_KEY", format!("file:{}", key.display()))
        .env("WSG_LOG__LEVEL", "trace")
        .env("WSG_LOG__ELASTICSEARCH__QUEUE_PATH", folder.join("queue"))
        .env("WSG_LOG__ELASTICSEARCH__BATCH_SECONDS", "1")
        .spawn()
        .expect("the program starts");
    let running = ChildGuard::of(child);
    until(|| metric(metrics, "wrtc_system_error{type=\"es_errors\"}") >= 2);
    assert_eq!(metric(metrics, "wrtc_system_error{type=\"es\"}"), 0, "it is reached");
    assert!(server.documents().is_empty() && metric(metrics, "wsg_elasticsearch_queue_bytes") > 0);
    std::fs::write(&key, "cmlnaHQ=\n").expect("there is room");
    until(|| server.has("configuration reloaded") && metric(metrics, "wsg_elasticsearch_queue_bytes") == 0);
    assert!(server.has("started"), "what was refused has waited");
    server.go_down();
    let is_usable = || metric(metrics, "wsg_config_last_reload_successful") == 1;
    assert!(is_usable());
    std::fs::write(certificate.tls().certificate, "").expect("there is room");
    until(|| !is_usable());
    let before = server.documents().len();
    certificate.renew();
    server.come_up(Some(&certificate.tls()));
    // The old authority isn't that of the new certificate.
    until(|| server.documents().len() > before);
    assert!(is_usable());
    server.go_down();
    running.signal("-HUP");
    until(|| metric(metrics, "wrtc_system_error{type=\"es\"}") == 1);
    let (stdout, stderr) = running.end();
    assert_eq!(stdout, "", "lines have one place");
    let refusals = stderr.lines().filter(|line| line.contains("answers 401: security_exception")).count();
    assert_eq!(refusals, 1, "said once, however often it is tried: {stderr}");
    assert!(!server.field("message").iter().any(|said| said.as_str().is_some_and(|said| said.contains("401"))));
    let everything = format!("{:?}{stderr}", server.documents());
    assert!(["d3Jvbmc=", "cmlnaHQ="].iter().all(|key| !everything.contains(key)), "at every level: {everything}");
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn a_standard_error_that_takes_nothing_stops_no_lines() {
    let folder = std::env::temp_dir().join(format!("wsg-elasticsearch-full-{}", std::process::id()));
    let (full, metrics) = (File::create("/dev/full").expect("Linux has it"), free_port());
    let mut server = Elasticsearch::down();
    let child = program(metrics)
        .env("WSG_LOG__ELASTICSEARCH__URL", format!("http://{}", server.address))
        .env("WSG_LOG__ELASTICSEARCH__QUEUE_PATH", &folder)
        .env("WSG_LOG__ELASTICSEARCH__BATCH_SECONDS", "1")
        .stdout(Stdio::null())
        .stderr(full)
        .spawn()
        .expect("the program starts");
    let running = ChildGuard::of(child);
    until(|| metric(metrics, "wsg_elasticsearch_unreachable") == 1);
    server.come_up(None);
    until(|| server.has("started"));
    running.end();
    assert!(server.has("nobody is left"), "to the end");
    std::fs::remove_dir_all(&folder).expect("it is ours");
}
