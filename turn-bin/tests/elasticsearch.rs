//! The log on its way to Elasticsearch: nothing is lost or there twice, whatever happens to the server or to the program.

mod common;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::client::Client;
use common::metric;
use serde_json::Value;
use shell::testing::elasticsearch::{Elasticsearch, Whim};
use shell::testing::{ChildGuard, free_port, get, output, until};

/// A program that ships its log, and the folder where lines wait.
struct Program {
    folder: PathBuf,
    listen: SocketAddr,
    http: SocketAddr,
    running: Option<ChildGuard>,
}

impl Program {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("wst-elasticsearch-{test}-{}", std::process::id()));
        Program { folder, listen: free_port(), http: free_port(), running: None }
    }

    fn command(&self, mut command: Command, server: &Elasticsearch) -> Command {
        command
            .args(["--listen", &self.listen.to_string(), "--user", "alice:wonder", "--realm", "example.org"])
            .env("WST_HTTP__LISTEN", self.http.to_string())
            .env("WST_LIMITS__RELAY_SOCKETS", "100")
            .env("WST_LIMITS__CONNECTIONS", "100")
            .env("WST_SHUTDOWN__UNREADY_SECONDS", "0")
            // Each client asks without credentials first.
            .env("WST_LIMITS__REFUSALS_PER_SECOND", "100000")
            .env("WST_LOG__ELASTICSEARCH__URL", format!("http://{}", server.address))
            .env("WST_LOG__ELASTICSEARCH__INDEX", "turn-{date}")
            .env("WST_LOG__ELASTICSEARCH__QUEUE_PATH", &self.folder)
            .env("WST_LOG__ELASTICSEARCH__QUEUE_MEGABYTES", "1")
            .env("WST_LOG__ELASTICSEARCH__BATCH_SECONDS", "1")
            .stdin(Stdio::null());
        command
    }

    /// Starts it, and waits until it can be asked.
    fn start(&mut self, mut command: Command) {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        self.running = Some(ChildGuard::of(child));
        until(|| self.is_ready());
    }

    fn is_ready(&self) -> bool {
        get(self.http, "/ready").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    fn metric(&self, name: &str) -> u64 {
        metric(self.http, name, "")
    }

    /// So many lines more: one for each allocation that ends.
    fn write_lines(&self, count: usize) {
        self.write_lines_of("alice", count);
    }

    fn write_lines_of(&self, user: &str, count: usize) {
        for _ in 0..count {
            let mut client = Client::udp(self.listen).user(user, "wonder");
            client.allocate().expect("alice may");
            client.release().expect("it is there");
        }
    }

    /// What is in the files of the queue.
    fn queued(&self) -> String {
        let files = std::fs::read_dir(self.folder.join(hostname()).join("webrtc-sip-turn")).expect("it is there");
        // A segment may be deleted in between.
        files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok()).collect()
    }

    /// Ends it gently; what it said on standard output and standard error.
    fn stop(&mut self) -> (String, String) {
        self.running.take().expect("it runs").end()
    }

    fn kill(&mut self) {
        self.running = None;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn turn() -> Command {
    Command::new(env!("CARGO_BIN_EXE_webrtc-sip-turn"))
}

fn count(server: &Elasticsearch, message: &str) -> usize {
    server.field("message").iter().filter(|said| *said == message).count()
}

/// The lines of one run have numbers one after another.
fn assert_in_order(documents: &[(String, Value)]) {
    for pair in documents.windows(2) {
        let number = |index: usize| pair[index].1["event.sequence"].as_u64().expect("it has a number");
        assert_eq!(number(1), number(0) + 1, "{pair:?}");
    }
}

#[test]
fn what_waited_while_the_server_was_down_arrives_once_and_in_order() {
    let mut server = Elasticsearch::down();
    let mut program = Program::new("down");
    program.start(program.command(turn(), &server));
    program.write_lines(20);
    until(|| {
        program.metric("wst_elasticsearch_unreachable") == 1 && program.metric("wst_elasticsearch_queue_bytes") > 0
    });
    // The first time it comes back its answer is lost, so all of that is sent again.
    server.with_whims(&[Whim::DoAndSay(503)]);
    server.come_up(None);
    until(|| count(&server, "allocation ended") == 20 && program.metric("wst_elasticsearch_queue_bytes") == 0);
    server.go_down();
    program.write_lines(20);
    until(|| program.metric("wst_elasticsearch_unreachable") == 1);
    server.come_up(None);
    until(|| count(&server, "allocation ended") == 40);
    let (stdout, stderr) = program.stop();
    let documents = server.documents();
    assert_in_order(&documents);
    assert!(server.has("TURN server started") && server.has("nobody is left"), "the last lines too");
    let (index, first) = &documents[0];
    let day = first["@timestamp"].as_str().expect("a time")[..10].replace('-', ".");
    assert_eq!(*index, format!("turn-{day}"));
    assert_eq!((&first["service.name"], &first["level"]), (&"webrtc-sip-turn".into(), &"INFO".into()));
    assert_eq!(stdout, "", "lines have one place");
    let is_said = |words: &str| stderr.lines().filter(|line| line.contains(words)).count();
    assert_eq!((is_said("can't be reached"), is_said("takes log lines again")), (2, 2), "{stderr}");
}

#[test]
fn a_full_queue_loses_the_oldest_and_the_rest_survives_the_program() {
    let mut server = Elasticsearch::down();
    let mut program = Program::new("full");
    let mut command = program.command(turn(), &server);
    // Lines at this level have names, and this one is long.
    let name = "a".repeat(400);
    command.args(["--user", &format!("{name}:wonder")]).env("WST_LOG__LEVEL", "off,turn=debug");
    // What is in a request goes with the program, where its place in the queue was needed.
    command.env("WST_LOG__ELASTICSEARCH__BATCH_KILOBYTES", "64");
    program.start(command);
    let mut allocations = 0;
    while program.metric("wst_lost_log_lines_total") == 0 {
        assert!(allocations < 3000, "{} bytes", program.metric("wst_elasticsearch_queue_bytes"));
        program.write_lines_of(&name, 50);
        allocations += 50;
    }
    // The line of the start is the first, and then there are two each.
    let newest = format!("\"event.sequence\":{},", 2 * allocations);
    until(|| program.queued().contains(&newest));
    program.kill();
    let bytes = program.queued().len();
    assert!(bytes <= 1 << 20, "{bytes}");

    program.start(program.command(turn(), &server));
    let left = program.metric("wst_elasticsearch_queue_bytes");
    assert!(left > 900_000, "{left}");
    server.come_up(None);
    until(|| program.metric("wst_elasticsearch_queue_bytes") == 0);
    program.stop();
    let documents = server.documents();
    let starts = documents.iter().position(|(_, document)| document["event.sequence"] == 0);
    let (old, new) = documents.split_at(starts.expect("the second run has a first line"));
    assert_in_order(old);
    assert_in_order(new);
    let last = &old.last().expect("there are old ones").1;
    assert_eq!(last["event.sequence"], 2 * allocations, "the newest are there");
    let few = 2 * allocations / 5;
    assert!(old.len() + few > 2 * allocations && old.len() < 2 * allocations, "{} of {allocations}", old.len());
}

#[test]
fn what_is_too_much_for_the_server_is_sent_again() {
    let server = Elasticsearch::up();
    server.with_whims(&[Whim::Refuse(429), Whim::TakeHalf, Whim::Refuse(503)]);
    let mut program = Program::new("busy");
    program.start(program.command(turn(), &server));
    program.write_lines(10);
    until(|| count(&server, "allocation ended") == 10 && program.metric("wst_elasticsearch_queue_bytes") == 0);
    assert_eq!(program.metric("wst_elasticsearch_errors_total"), 3);
    assert_eq!((program.metric("wst_lost_log_lines_total"), program.metric("wst_elasticsearch_unreachable")), (0, 0));
    program.stop();
    let mut numbers: Vec<u64> = server.field("event.sequence").iter().filter_map(Value::as_u64).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "{numbers:?}");
}

#[test]
fn a_line_that_the_server_does_not_want_is_lost_alone_and_counted() {
    let server = Elasticsearch::up();
    server.map_to_number("listen");
    let mut program = Program::new("mapping");
    program.start(program.command(turn(), &server));
    program.write_lines(3);
    until(|| count(&server, "allocation ended") == 3);
    until(|| program.metric("wst_elasticsearch_queue_bytes") == 0);
    assert!(!server.has("TURN server started"));
    assert_eq!(metric(program.http, "wst_elasticsearch_lines_total", "refused"), 1);
    assert_eq!(program.metric("wst_lost_log_lines_total"), 1);
    let (_, stderr) = program.stop();
    assert!(stderr.contains("failed to parse field [listen] of type [long]"), "{stderr}");
}

#[test]
fn the_level_holds_for_what_is_shipped_and_the_end_does_not_wait_for_a_batch() {
    let server = Elasticsearch::up();
    let mut program = Program::new("end");
    let mut command = program.command(turn(), &server);
    command.env("WST_LOG__ELASTICSEARCH__BATCH_SECONDS", "3600").env("WST_LOG__LEVEL", "warn,shell::program=info");
    program.start(command);
    program.write_lines(3);
    program.stop();
    assert_eq!(server.field("message"), ["draining", "nobody is left"]);
    assert_eq!(server.requests(), 1);
}

#[test]
fn a_server_that_never_answers_delays_nobody() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    let server = Elasticsearch::up();
    let mut program = Program::new("silent");
    let mut command = program.command(turn(), &server);
    let address = silent.local_addr().expect("it is bound");
    command.env("WST_LOG__ELASTICSEARCH__URL", format!("http://{address}"));
    program.start(command);
    program.write_lines(5);
    // Once it is asked, it is waited for.
    let _asked = silent.accept().expect("it is asked");
    let begun = Instant::now();
    program.stop();
    assert!(begun.elapsed() < Duration::from_secs(15), "an answer would be waited for twice as long");
    program.start(program.command(turn(), &server));
    until(|| count(&server, "allocation ended") == 5 && count(&server, "TURN server started") == 2);
    program.stop();
}

#[test]
fn a_queue_that_cannot_be_is_said_at_the_start_and_one_that_is_full_later_costs_lines_only() {
    let mut server = Elasticsearch::down();
    let mut program = Program::new("volume");
    let nowhere = "/proc/nowhere";
    let mut command = program.command(turn(), &server);
    let (code, _, stderr) = output(command.env("WST_LOG__ELASTICSEARCH__QUEUE_PATH", nowhere));
    assert_eq!((code, stderr.lines().count()), (Some(2), 1), "{stderr}");
    assert!(stderr.starts_with("log.elasticsearch.queue_path: /proc/nowhere/"), "{stderr}");

    // No file may be larger than 32 blocks, of 512 bytes or of 1 KiB; a segment of the queue is 64 KiB.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 32 && exec \"$0\" \"$@\""]).arg(turn().get_program());
    program.start(program.command(limited, &server));
    let (code, _, stderr) = output(&mut program.command(turn(), &server));
    assert_eq!(code, Some(1), "it may end: {stderr}");
    assert!(stderr.contains("another process has it"), "{stderr}");
    program.write_lines(150);
    until(|| program.metric("wst_lost_log_lines_total") > 0);
    server.come_up(None);
    until(|| program.metric("wst_elasticsearch_queue_bytes") == 0);
    let before = server.documents().len();
    until(|| {
        program.write_lines(1);
        server.documents().len() > before
    });
    let (_, stderr) = program.stop();
    assert!(stderr.contains("log lines are lost until it works again") && stderr.contains("works again, "), "{stderr}");
    assert!(
        server
            .documents()
            .windows(2)
            .all(|pair| pair[0].1["event.sequence"].as_u64() < pair[1].1["event.sequence"].as_u64())
    );
}

#[test]
fn servers_of_one_machine_have_a_queue_and_files_each_by_their_names() {
    let server = Elasticsearch::up();
    let names = ["turn-blue", "turn-green"];
    let mut programs = names.map(|_| Program::new("colours"));
    for (program, name) in programs.iter_mut().zip(names) {
        let mut command = program.command(turn(), &server);
        command.env("WST_NODE", name).env("WST_LOG__PATH", &program.folder);
        program.start(command);
    }
    until(|| names.iter().all(|name| server.field("service.node.name").contains(&Value::from(*name))));
    for (program, name) in programs.iter().zip(names) {
        let file = program.folder.join(name).join("webrtc-sip-turn.log");
        let lines = std::fs::read_to_string(&file).expect("it has a file of its own");
        assert_eq!(lines.matches("TURN server started").count(), 1, "{lines}");
    }
}

fn hostname() -> String {
    let (_, name, _) = output(Command::new("uname").arg("-n"));
    name.trim().to_owned()
}
