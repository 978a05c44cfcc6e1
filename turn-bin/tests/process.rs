//! The program itself: exit statuses and signals.

use std::process::{Command, Stdio};

use shell::testing::{ChildGuard, Log, MountedFiles, check_health, free_port, get, output, until};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webrtc-sip-turn"));
    command
        .args(["--listen", "127.0.0.1:0"])
        .env("WST_HTTP__LISTEN", "127.0.0.1:0")
        .env("WST_LOG__FORMAT", "text")
        .env("WST_SHUTDOWN__UNREADY_SECONDS", "0")
        .stdin(Stdio::null());
    command
}

#[test]
fn bad_configuration_ends_with_2_and_one_line_that_names_the_key() {
    for arguments in [&["--check-config"][..], &["--print-config"], &[]] {
        let (code, stdout, stderr) = output(program().args(arguments));
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.starts_with("users: ") && stderr.lines().count() == 1, "{stderr}");
    }
    let missing = ["--secret", "s", "--check-config"];
    let tls = [("WST_TLS__CERTIFICATE", "/nonexistent"), ("WST_TLS__KEY", "/nonexistent")];
    let (code, _, stderr) = output(program().args(missing).envs(tls));
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("tls.certificate: "), "{stderr}");
}

#[test]
fn the_configuration_is_checked_and_printed_without_secrets() {
    let user = ["--user", "alice:wonder"];
    assert_eq!(output(program().args(user).arg("--check-config")).0, Some(0));
    let (code, stdout, _) = output(program().args(user).arg("--print-config"));
    assert_eq!(code, Some(0));
    assert!(stdout.contains("alice") && !stdout.contains("wonder"), "{stdout}");
    let (code, stdout, _) = output(program().arg("--version"));
    assert_eq!((code, stdout.trim()), (Some(0), concat!("webrtc-sip-turn ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn too_few_open_files_for_the_configuration_end_with_2_and_say_how_many_are_needed() {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 300 && exec \"$0\" --secret s \"$@\""]).arg(program().get_program());
    let (code, _, stderr) = output(&mut limited);
    assert_eq!(code, Some(2), "{stderr}");
    // 10,000 relay sockets, 5,000 connections, 128 others.
    let line = stderr.lines().last().expect("there is a line");
    assert!(line.starts_with("limits.relay_sockets: 15128 open files may be needed"), "{stderr}");
    let (code, _, stderr) = output(limited.arg("--check-config"));
    assert_eq!(code, Some(0), "a service may have other limits");
    assert!(stderr.starts_with("warning") && stderr.contains("15128 open files"), "{stderr}");
}

#[test]
fn a_relay_address_that_this_machine_has_not_ends_with_2() {
    let (code, _, stderr) = output(program().args(["--secret", "s", "--relay-ip", "198.51.100.7"]));
    assert_eq!(code, Some(2), "{stderr}");
    let line = stderr.lines().last().expect("there is a line");
    assert!(line.starts_with("relay.ips: 198.51.100.7: ") && line.contains("relay.external_ips"), "{stderr}");
}

#[test]
fn a_first_signal_drains_and_no_allocation_means_the_end() {
    for name in ["-TERM", "-INT"] {
        let environment = [("WST_LIMITS__RELAY_SOCKETS", "100"), ("WST_LIMITS__CONNECTIONS", "100")];
        let mut command = program();
        command.args(["--secret", "s"]).envs(environment).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let log = Log::of(&mut child);
        let running = ChildGuard::of(child);
        until(|| log.says("TURN server started"));
        running.signal("-HUP");
        until(|| log.says("configuration reloaded"));
        running.signal(name);
        assert_eq!(running.exit_code(), Some(0), "{name}");
    }
}

#[test]
fn health_is_what_the_running_program_says() {
    check_health(
        |listen| {
            let mut command = program();
            command.env("WST_HTTP__LISTEN", listen);
            command
        },
        &["--secret", "s"],
    );
}

#[test]
fn firewalls_are_told_what_they_have_to_let_through() {
    let (code, stdout, _) = output(program().args(["--secret", "s"]).arg("firewall"));
    assert_eq!(code, Some(0));
    assert_eq!(stdout, "Nothing: all of it is on loopback.\n");
    let elsewhere = [
        ("WST_HTTP__LISTEN", "192.0.2.1:10053"),
        ("WST_LOG__ELASTICSEARCH__URL", "https://es.example.com:9243"),
        ("WST_LOG__ELASTICSEARCH__QUEUE_PATH", "/var/lib/webrtc-sip-turn"),
    ];
    let mut program = Command::new(program().get_program());
    program.args(["--listen", "192.0.2.1:443", "--relay-ip", "192.0.2.2", "--secret", "s", "firewall"]);
    let (code, stdout, stderr) = output(program.envs(elsewhere));
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(
        stdout,
        "FROM         TO                     PROTOCOL  FOR\n\
         clients      192.0.2.1:443          UDP, TCP  TURN\n\
         peers        192.0.2.2:49152-65535  UDP, TCP  relayed addresses\n\
         monitoring   192.0.2.1:10053        TCP       metrics, health\n\
         this server  es.example.com:9243    TCP       logs to Elasticsearch\n"
    );
}

#[test]
fn a_secret_in_a_file_is_read_again_when_the_file_changes() {
    let file = std::env::temp_dir().join(format!("wst-secret-{}", std::process::id()));
    let named = format!("file:{}", file.display());
    let arguments = ["--secret", &named];
    let (code, _, stderr) = output(program().args(arguments));
    assert_eq!((code, stderr.lines().count()), (Some(2), 1));
    assert!(stderr.starts_with(&format!("auth.secrets: {}: ", file.display())), "{stderr}");
    std::fs::write(&file, "first\n").expect("there is room");
    let (_, stdout, _) = output(program().args(arguments).arg("--print-config"));
    assert!(stdout.contains(&named) && !stdout.contains("first"), "{stdout}");

    let mut child = program().args(arguments).stdout(Stdio::piped()).spawn().expect("the program starts");
    let log = Log::of(&mut child);
    let running = ChildGuard::of(child);
    until(|| log.says("TURN server started"));
    std::fs::remove_file(&file).expect("it is ours");
    until(|| log.says("the configuration wasn't reloaded"));
    assert!(!log.says("configuration reloaded"), "what was there stays");
    std::fs::write(&file, "second\n").expect("there is room");
    until(|| log.says("configuration reloaded"));
    running.end();
    std::fs::remove_file(&file).expect("it is ours");
}

#[test]
fn a_configuration_file_is_read_again_when_it_changes_and_a_bad_one_is_refused_once() {
    let mut files = MountedFiles::new("wst-mounted");
    let user = |name: &str, password: &str| format!("[[users]]\nname = \"{name}\"\npassword = \"{password}\"\n");
    files.mount(&[("turn.toml", &user("first", "p"))]);
    let http = free_port();
    let is_usable = |usable: bool| {
        let sample = format!("\nwst_config_last_reload_successful {}\n", u8::from(usable));
        get(http, "/metrics").expect("it answers").contains(&sample)
    };
    let mut child = program()
        .args(["--config", &files.path("turn.toml")])
        .env("WST_HTTP__LISTEN", http.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let log = Log::of(&mut child);
    let running = ChildGuard::of(child);
    until(|| log.says("TURN server started"));
    assert!(is_usable(true));
    // It comes before the file that it names.
    let second = user("second", &format!("file:{}", files.path("password")));
    files.mount(&[("turn.toml", &second)]);
    let refused = "the configuration wasn't reloaded error=users";
    until(|| log.says(refused));
    // Two more looks at the file.
    std::thread::sleep(std::time::Duration::from_millis(4500));
    assert_eq!((log.lines_with(refused).len(), log.says("configuration reloaded")), (1, false));
    assert!(is_usable(false));
    files.mount(&[("turn.toml", &second), ("password", "p")]);
    until(|| log.says("configuration reloaded"));
    assert!(is_usable(true));
    running.end();
}
