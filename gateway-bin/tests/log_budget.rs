//! What the log costs at the default level: at most 50 KB for an idle hour of an agent, and 20 KB for a call.

mod common;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::client::{Client, offer};
use common::sip::{SDP, SipSocket};
use common::{PATIENCE, eventually, http};
use serde_json::{Value, json};
use shell::testing::{Log, exit_code, signal, until};
use tokio::net::UdpSocket;

const IDLE_HOUR_BUDGET: usize = 50_000;
const CALL_BUDGET: usize = 20_000;

/// How often an idle agent does something in an hour: what the SDK and the default settings make of it, the sign-in and
/// its renewal, which come once or twice a shift, and a network that breaks down every six minutes.
const HEARTBEATS: usize = 900;
const POLLS: usize = 144;
const REGISTRATIONS: usize = 10;
const REFRESHES: usize = 1;
const RESUMES: usize = 10;
const SIGN_INS: usize = 1;

/// A call of an hour has six counters of packets with up to six more digits than here, and two times with up to four.
const MORE_DIGITS: usize = 6 * 6 + 2 * 4;
const REPEATED: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_hour_and_a_call_fit_their_budgets() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
    let mut program = Program::start(socket.local_addr().expect("it is bound"));
    let registered = Arc::<AtomicUsize>::default();
    let proxy = SipSocket::with(socket, program.sip);
    let proxy = tokio::spawn(serve(proxy, Arc::clone(&registered)));
    program.bytes_since_last();

    let mut agents = [Agent::on_websocket(&program, "alice").await, Agent::on_polling(&program, "bob").await];
    assert!(eventually(PATIENCE, async || registered.load(Ordering::Relaxed) >= agents.len()).await);
    let sign_in = program.bytes_since_last();

    let call = bytes_of_a_call(&mut program, &mut agents).await;
    let idle = sign_in * SIGN_INS + bytes_of_an_idle_hour(&mut program, &mut agents, &registered).await;
    println!("{sign_in} bytes a sign-in with its registration; {idle} bytes an idle hour of an agent, {call} a call");
    assert!(idle <= IDLE_HOUR_BUDGET && call <= CALL_BUDGET, "{idle} bytes an idle hour, {call} a call");
    program.end();
    proxy.abort();
}

/// Of the longest of calls that were answered, refused and given up.
async fn bytes_of_a_call(program: &mut Program, agents: &mut [Agent]) -> usize {
    let numbers = ["answers", "busy", "rings"];
    for number in numbers {
        for agent in &mut *agents {
            agent.call(number).await;
        }
    }
    until(|| program.ended_calls().len() == numbers.len() * agents.len());
    let (lines, bytes) = (program.ended_calls(), program.bytes_since_last());
    assert_eq!(bytes, lines.iter().map(|line| line.len() + 1).sum::<usize>(), "one line a call: {lines:?}");
    assert!(lines.iter().all(|line| !line.contains("alice") && !line.contains("answers")), "{lines:?}");
    lines.iter().map(|line| line.len() + 1 + MORE_DIGITS).max().expect("there are calls")
}

/// Each thing that happens to an idle agent, as often as it does. As if one had both ways to the gateway, so rather too much.
async fn bytes_of_an_idle_hour(program: &mut Program, agents: &mut [Agent], registered: &AtomicUsize) -> usize {
    let mut hour = 0;
    for (what, times) in [
        ("session.heartbeat", HEARTBEATS),
        ("session.refresh", REFRESHES),
        ("session.resume", RESUMES),
        ("poll", POLLS),
        ("register", REGISTRATIONS),
        ("session.signOut", SIGN_INS),
    ] {
        let repeated = if what == "session.signOut" { 1 } else { REPEATED };
        for _ in 0..repeated {
            let before = registered.load(Ordering::Relaxed);
            for agent in &mut *agents {
                match what {
                    "poll" => agent.idle_poll().await,
                    "register" => {} // The gateway does that.
                    "session.resume" => agent.resume().await,
                    _ => drop(agent.request(what, json!({})).await),
                }
            }
            let renewed = async || registered.load(Ordering::Relaxed) >= before + agents.len();
            assert!(what != "register" || eventually(PATIENCE, renewed).await, "the registrations are renewed");
        }
        let bytes = program.bytes_since_last().div_ceil(repeated);
        println!("{bytes} bytes a {what}, {times} an hour");
        hour += bytes * times;
    }
    hour
}

/// The program itself, and what it wrote to its log.
struct Program {
    child: Child,
    http: SocketAddr,
    sip: SocketAddr,
    log: Log,
    /// Lines that were counted.
    counted: usize,
    settings: PathBuf,
}

impl Program {
    fn start(proxy: SocketAddr) -> Self {
        let settings = std::env::temp_dir().join(format!("wsg-log-budget-{}.toml", std::process::id()));
        // Registrations of two seconds are renewed each second.
        let text = format!(
            r#"
            log.format = "json"
            http = {{ listen = "127.0.0.1:0", max_connections = 100 }}
            metrics.listen = "127.0.0.1:0"
            media = {{ webrtc_port = 0, workers = 1 }}
            turn.listen = []
            limits.calls = 50
            users = [{{ name = "alice", password = "alice" }}, {{ name = "bob", password = "bob" }}]
            [sip]
            listen = ["127.0.0.1:0"]
            max_tcp_connections = 10
            proxy = {{ target = "{proxy}", tcp = false, domain = "example.test", registration_seconds = 2 }}
            "#
        );
        std::fs::write(&settings, text).expect("there is room");
        let mut child = Command::new(env!("CARGO_BIN_EXE_webrtc-sip-gateway"))
            .arg("--config")
            .arg(&settings)
            .env("WSG_SHUTDOWN__UNREADY_SECONDS", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = Log::of(&mut child);
        until(|| log.says("\"started\""));
        let started: Value = log.lines_with("\"started\"")[0].parse().expect("it is JSON");
        let address = |name: &str| {
            let text = started[name].as_str().expect("it says where").trim_matches(['[', ']']);
            text.parse().expect("it is an address")
        };
        Program { child, http: address("http"), sip: address("sip"), log, counted: 0, settings }
    }

    fn ended_calls(&self) -> Vec<String> {
        self.log.lines_with("\"call ended\"")
    }

    /// How much was written since this was asked last. The line about a reload comes after all that was done before.
    fn bytes_since_last(&mut self) -> usize {
        let reloads = || self.log.lines_with("\"configuration reloaded\"").len();
        let before = reloads();
        signal(&self.child, "-HUP");
        until(|| reloads() > before);
        let log = self.log.lines_with("");
        let new = log[self.counted..].iter().filter(|line| !line.contains("\"configuration reloaded\""));
        let bytes = new.map(|line| line.len() + 1).sum();
        self.counted = log.len();
        bytes
    }

    fn end(self) {
        signal(&self.child, "-TERM");
        assert_eq!(exit_code(self.child), Some(0));
        std::fs::remove_file(self.settings).expect("it is ours");
    }
}

/// A SIP proxy that registers everybody, and three phones behind it.
async fn serve(proxy: SipSocket, registered: Arc<AtomicUsize>) {
    let mut ringing = String::new();
    loop {
        let request = proxy.receive().await;
        match request.split('@').next().unwrap_or_default() {
            "INVITE sip:answers" => proxy.respond(&request, "200 OK", "t", SDP).await,
            "INVITE sip:busy" => proxy.respond(&request, "486 Busy Here", "t", "").await,
            "INVITE sip:rings" => {
                proxy.respond(&request, "180 Ringing", "t", "").await;
                ringing = request;
            }
            "CANCEL sip:rings" => {
                proxy.respond(&request, "200 OK", "t", "").await;
                proxy.respond(&ringing, "487 Request Terminated", "t", "").await;
            }
            other if other.starts_with("ACK") => {}
            other => {
                proxy.respond(&request, "200 OK", "t", "").await;
                registered.fetch_add(usize::from(other.starts_with("REGISTER")), Ordering::Relaxed);
            }
        }
    }
}

/// A page of a user.
struct Agent {
    http: SocketAddr,
    token: String,
    /// None: long polling.
    link: Option<Client>,
    /// The last notification that was heard of over long polling.
    seen: u64,
}

impl Agent {
    async fn on_websocket(program: &Program, user: &str) -> Self {
        let link = Some(Client::connect(program.http).await);
        Agent { http: program.http, token: String::new(), link, seen: 0 }.sign_in(user).await
    }

    async fn on_polling(program: &Program, user: &str) -> Self {
        Agent { http: program.http, token: String::new(), link: None, seen: 0 }.sign_in(user).await
    }

    async fn sign_in(mut self, user: &str) -> Self {
        let result = self.request("session.signIn", json!({ "user": user, "password": user })).await;
        result["token"].as_str().expect("a token").clone_into(&mut self.token);
        self
    }

    /// The result of a request.
    async fn request(&mut self, method: &str, params: Value) -> Value {
        let response = match &mut self.link {
            Some(link) => link.request(method, params).await,
            None => {
                let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
                let authorization = if self.token.is_empty() {
                    String::new()
                } else {
                    format!("\r\nAuthorization: Bearer {}", self.token)
                };
                let head = format!("POST /v1/rpc HTTP/1.1\r\nContent-Type: application/json{authorization}");
                body_of(&http(self.http, &head, &body.to_string()).await)
            }
        };
        assert!(response["result"].is_object(), "{method}: {response}");
        response["result"].clone()
    }

    async fn notification(&mut self, method: &str) {
        if let Some(link) = &mut self.link {
            link.notification(method).await;
            return;
        }
        loop {
            for event in self.poll(self.seen).await {
                self.seen = event["params"]["seq"].as_u64().expect("it has a number");
                if event["method"] == method {
                    return;
                }
            }
        }
    }

    async fn poll(&self, after: u64) -> Vec<Value> {
        let head = format!("GET /v1/events?after={after} HTTP/1.1\r\nAuthorization: Bearer {}", self.token);
        let body = body_of(&http(self.http, &head, "").await);
        body["events"].as_array().unwrap_or_else(|| panic!("{body}")).clone()
    }

    /// A poll that needn't wait: it is told again what it didn't say that it has heard. A WebSocket is pinged instead.
    async fn idle_poll(&mut self) {
        match &self.link {
            Some(_) => drop(self.request("session.heartbeat", json!({})).await),
            None => assert!(!self.poll(self.seen - 1).await.is_empty()),
        }
    }

    /// Comes back after its link broke down.
    async fn resume(&mut self) {
        let mut params = json!({ "after": 0 });
        if self.link.is_some() {
            self.link = Some(Client::connect(self.http).await);
            params["token"] = self.token.clone().into();
        }
        self.request("session.resume", params).await;
    }

    /// A whole call: answered and hung up, refused, or given up while it rings.
    async fn call(&mut self, number: &str) {
        let created = self.request("call.create", json!({ "to": number, "sdp": offer() })).await;
        let hang_up_after = match number {
            "answers" => Some("call.answered"),
            "rings" => Some("call.ringing"),
            _ => None,
        };
        if let Some(event) = hang_up_after {
            self.notification(event).await;
            self.request("call.hangup", json!({ "callId": created["callId"] })).await;
        }
        self.notification("call.ended").await;
    }
}

fn body_of(response: &str) -> Value {
    let (_, body) = response.split_once("\r\n\r\n").expect("a whole response");
    serde_json::from_str(body).unwrap_or_else(|_| panic!("{response}"))
}
