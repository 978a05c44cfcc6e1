//! What a server that logs everything it can neither logs nor prints.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use common::PATIENCE;
use common::client::Client;
use shell::testing::{ChildGuard, Log, MountedFiles, free_port, output, until};
use webrtc_sip_core::turn::time_limited_credentials;

const FILE: &str = r#"
    users = [{ name = "alice", password = "User-Password" }]
    auth = { secrets = ["Shared-Secret", "Later-Secret"] }
    http = { admin_token = "Admin-Token-Of-16" }
    log = { level = "trace", format = "text" }
    tenants = [{ realm = "example.net", secrets = ["Tenant-Secret"], users = [{ name = "bob", password = "Tenant-Password" }] }]
"#;
const SECRETS: [&str; 6] =
    ["User-Password", "Shared-Secret", "Later-Secret", "Admin-Token-Of-16", "Tenant-Secret", "Tenant-Password"];

fn program(file: &str, listen: SocketAddr, http: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webrtc-sip-turn"));
    command
        .args(["--config", file, "--listen", &listen.to_string()])
        .env("WST_HTTP__LISTEN", http.to_string())
        .env("WST_SHUTDOWN__UNREADY_SECONDS", "0")
        .stdin(Stdio::null());
    command
}

/// Status of a request for the list of allocations.
fn list(http: SocketAddr, token: &str) -> String {
    let mut stream = TcpStream::connect(http).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is a valid time");
    let head = format!("Host: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n");
    write!(stream, "GET /v1/allocations HTTP/1.1\r\n{head}\r\n").expect("it is open");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("it is text");
    response.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn secrets_are_not_logged_at_any_level_nor_printed() {
    let mut files = MountedFiles::new("wst-secrets");
    files.mount(&[("turn.toml", FILE)]);
    let (listen, http) = (free_port(), free_port());
    let program = || program(&files.path("turn.toml"), listen, http);
    let (code, printed, _) = output(program().arg("--print-config"));
    assert_eq!(code, Some(0));

    let mut child = program().stdout(Stdio::piped()).spawn().expect("the program starts");
    let log = Log::of(&mut child);
    let running = ChildGuard::of(child);
    until(|| log.says("TURN server started"));
    let in_an_hour = SystemTime::UNIX_EPOCH.elapsed().expect("the clock is right").as_secs() + 3600;
    let (guest, credential) = time_limited_credentials("Shared-Secret", "guest", in_an_hour);
    for (user, password, outcome) in [
        ("alice", "Wrong-Password", Err(401)),
        ("alice", "User-Password", Ok(())),
        (guest.as_str(), credential.as_str(), Ok(())),
    ] {
        let mut client = Client::udp(listen).user(user, password);
        assert_eq!(client.allocate(), outcome, "{user}");
        if outcome.is_ok() {
            client.release().expect("it is there");
        }
    }
    assert_eq!([list(http, "Wrong-Token"), list(http, "Admin-Token-Of-16")], ["403", "200"]);
    running.end();
    let lines = log.to_the_end();
    assert!(lines.contains("DEBUG allocation ended"), "more than usual is logged: {lines}");
    for secret in SECRETS.into_iter().chain(["Wrong-Password", "Wrong-Token", &credential]) {
        assert!(!lines.contains(secret), "{secret}: {lines}");
        assert!(!printed.contains(secret), "{secret}: {printed}");
    }
}
