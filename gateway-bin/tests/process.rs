//! The program itself: exit statuses and signals.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};

use shell::testing::{ChildGuard, Log, check_health, free_port, get, output, until};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webrtc-sip-gateway"));
    command
        .env("WSG_HTTP__LISTEN", "127.0.0.1:0")
        .env("WSG_METRICS__LISTEN", "127.0.0.1:0")
        .env("WSG_SIP__LISTEN", "127.0.0.1:0")
        .env("WSG_TURN__LISTEN", "127.0.0.1:0")
        .env("WSG_MEDIA__WEBRTC_PORT", "0")
        .stdin(Stdio::null());
    command
}

#[test]
fn bad_configuration_ends_with_2_and_one_line_that_names_the_key() {
    for arguments in [&["--check-config"][..], &["--print-config"], &[]] {
        let (code, stdout, stderr) = output(program().args(arguments).env("WSG_HTTP__LISTEN", "0.0.0.0:0"));
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(stdout.is_empty(), "{stdout}");
        assert!(stderr.starts_with("http.listen: ") && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn variables_of_others_may_hold_any_bytes() {
    let bytes = OsStr::from_bytes(b"\xff");
    assert_eq!(output(program().arg("--check-config").env("LEGACY", bytes)).0, Some(0));
    let (code, _, stderr) = output(program().arg("--check-config").env("WSG_HTTP__LISTEN", bytes));
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("http.listen: "), "{stderr}");
}

#[test]
fn the_configuration_is_checked_and_printed_without_secrets() {
    assert_eq!(output(program().arg("--check-config")).0, Some(0));
    let (code, stdout, _) = output(program().arg("--print-config"));
    assert_eq!(code, Some(0));
    assert!(stdout.contains("[http]") && !stdout.contains("demo-1001"), "{stdout}");
    let (code, stdout, _) = output(program().arg("--version"));
    assert_eq!((code, stdout.trim()), (Some(0), concat!("webrtc-sip-gateway ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn too_few_open_files_for_the_configuration_end_with_2_and_say_how_many_are_needed() {
    let file = std::env::temp_dir().join(format!("wsg-open-files-{}.toml", std::process::id()));
    std::fs::write(&file, "[limits]\ncalls = 100\n[http]\nmax_connections = 500\n[turn]\nlisten = []\n")
        .expect("there is room");
    let program = program().get_program().to_owned();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 300 && exec \"$0\" --config \"$1\""]).arg(program).arg(&file);
    let (code, stdout, stderr) = output(&mut limited);
    std::fs::remove_file(&file).expect("it is ours");
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stdout.is_empty(), "{stdout}");
    // 200 for RTP, 500 for HTTP, 2 * 500 for SIP over TCP, 128 others.
    let line = stderr.lines().last().expect("there is a line");
    assert!(line.starts_with("limits.calls: 1828 open files may be needed") && line.contains("only 300"), "{stderr}");
}

#[test]
fn a_first_signal_drains_and_nobody_in_a_call_means_the_end() {
    for name in ["-TERM", "-INT"] {
        let mut child = program().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
        wait_for_welcome(&mut child);
        let running = ChildGuard::of(child);
        running.signal("-HUP");
        running.signal(name);
        assert_eq!(running.exit_code(), Some(0), "{name}");
    }
}

/// The last line of the greeting is printed when everything is up.
fn wait_for_welcome(child: &mut Child) {
    use std::io::BufRead;
    let stdout = std::io::BufReader::new(child.stdout.take().expect("it is piped"));
    let ends = stdout.lines().map_while(Result::ok).any(|line| line.contains("Ctrl-C ends it."));
    assert!(ends, "the program greets");
}

#[test]
fn health_is_what_the_running_program_says() {
    check_health(
        |listen| {
            let mut command = program();
            command.env("WSG_METRICS__LISTEN", listen);
            command
        },
        &[],
    );
}

#[test]
fn options_without_effect_are_named_at_the_start() {
    let options = "gateway.authService,gateway.cfgService";
    let mut child =
        program().env("WSG_UNSUPPORTED_OPTIONS", options).stdout(Stdio::piped()).spawn().expect("the program starts");
    let log = Log::of(&mut child);
    let running = ChildGuard::of(child);
    for option in options.split(',') {
        until(|| log.says(&format!("not supported yet: the option is taken and has no effect option=\"{option}\"")));
    }
    running.end();
    assert_eq!(log.lines_with("not supported yet").len(), 2);
}

#[test]
fn firewalls_are_told_what_they_have_to_let_through() {
    let (code, stdout, _) = output(program().arg("firewall"));
    assert_eq!(code, Some(0));
    // Nothing but media is beyond loopback in the demo, where the machine has another address.
    assert!(stdout.lines().skip(1).all(|line| line.ends_with("media of browsers")), "{stdout}");
    let file = std::env::temp_dir().join(format!("wsg-firewall-{}.toml", std::process::id()));
    std::fs::write(&file, DATA_CENTRE).expect("there is room");
    let (code, stdout, stderr) =
        output(Command::new(program().get_program()).arg("--config").arg(&file).arg("firewall"));
    std::fs::remove_file(&file).expect("it is ours");
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(
        stdout,
        "FROM            TO                      PROTOCOL  FOR\n\
         load balancer   0.0.0.0:8080            TCP       softphone page, signalling, health\n\
         browsers, TURN  192.0.2.10:19000-19001  UDP       media of browsers\n\
         browsers        192.0.2.10:3478         UDP, TCP  TURN\n\
         SIP peers       192.0.2.10:5060         UDP, TCP  SIP\n\
         SIP peers       192.0.2.10:20000-20999  UDP       media of phones (RTP, RTCP)\n\
         monitoring      192.0.2.10:10052        TCP       metrics, health\n\
         this gateway    sip.example.com:5080    TCP       SIP\n\
         this gateway    [2001:db8::1]:9200      TCP       logs to Elasticsearch\n"
    );
}

/// With a balancer in front, a SIP proxy behind, and TURN inside.
const DATA_CENTRE: &str = r#"
http = { listen = "0.0.0.0:8080", trusted_proxies = ["10.0.0.0/8"] }
metrics = { listen = "192.0.2.10:10052" }
sip = { listen = ["192.0.2.10:5060"], proxy = { target = "sip.example.com:5080", tcp = true, domain = "example.com" } }
media = { listen = ["192.0.2.10"], webrtc_port = 19000, workers = 2, rtp_port_low = 20000, rtp_port_high = 20999 }
turn = { listen = ["192.0.2.10:3478"] }
log = { elasticsearch = { url = "http://[2001:db8::1]", queue_path = "/var/lib/webrtc-sip-gateway" } }
"#;

#[test]
fn logs_go_to_files_where_a_folder_is_named() {
    let folder = std::env::temp_dir().join(format!("wsg-log-{}", std::process::id()));
    let child = program()
        .env("WSG_LOG__PATH", &folder)
        .env("WSG_NODE", "blue-1")
        .env("WSG_LOG__FORMAT", "json")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let running = ChildGuard::of(child);
    let file = folder.join("blue-1/webrtc-sip-gateway.log");
    let text = || std::fs::read_to_string(&file).unwrap_or_default();
    until(|| text().contains("started"));
    assert_eq!(running.end().1, "");
    let (text, lines) = (text(), text().lines().count());
    assert!(text.contains("nobody is left") && lines > 2 && text.lines().all(|line| line.starts_with('{')), "{text}");
    std::fs::remove_dir_all(&folder).expect("it is ours");
    let (code, _, stderr) = output(program().env("WSG_LOG__PATH", "/proc/nowhere"));
    assert_eq!((code, stderr.lines().count()), (Some(2), 1), "{stderr}");
    assert!(stderr.starts_with("log.path: /proc/nowhere/node1: "), "{stderr}");
}

/// No file may be larger than 4 blocks, of 512 bytes or of 1 KiB: what a full volume is to whoever writes.
#[test]
fn a_full_volume_costs_log_lines_and_nothing_else() {
    let folder = std::env::temp_dir().join(format!("wsg-full-{}", std::process::id()));
    let metrics = free_port();
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 4 && exec \"$0\""])
        .arg(env!("CARGO_BIN_EXE_webrtc-sip-gateway"))
        .envs(program().get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("WSG_METRICS__LISTEN", metrics.to_string())
        .env("WSG_LOG__PATH", &folder)
        .env("WSG_LOG__FORMAT", "json")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let running = ChildGuard::of(child);
    let file = folder.join("node1/webrtc-sip-gateway.log");
    let text = || std::fs::read_to_string(&file).unwrap_or_default();
    let is_lost = || {
        let page = get(metrics, "/metrics").expect("it goes on");
        let lost = page.lines().find_map(|line| line.strip_prefix("wsg_lost_log_lines_total "));
        lost.expect("it is counted").parse::<u64>().expect("it is a number") > 0
    };
    until(|| get(metrics, "/ready").is_ok());
    until(|| {
        running.signal("-HUP");
        is_lost()
    });
    assert!(get(metrics, "/ready").expect("it goes on").starts_with("HTTP/1.1 200"));
    let whole = |line: &str| line.starts_with('{') && line.ends_with('}');
    // What is tried meanwhile may be there in part for a moment.
    until(|| {
        let text = text();
        text.ends_with('\n') && text.lines().all(whole)
    });

    // Somebody makes room.
    std::fs::remove_file(&file).expect("it is there");
    until(|| {
        running.signal("-HUP");
        text().contains("configuration reloaded")
    });
    let (_, stderr) = running.end();
    assert!(stderr.contains("log lines are lost until it works again") && stderr.contains("works again, "), "{stderr}");
    std::fs::remove_dir_all(&folder).expect("it is ours");
}
