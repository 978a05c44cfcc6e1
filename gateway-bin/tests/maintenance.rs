//! A gateway that its configuration file takes out of service, and back, while it runs.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::client::{Client, answer_to, credentials, offer, reason};
use common::metrics::Metrics;
use common::process::Process;
use common::{PATIENCE, eventually, http};
use serde_json::json;
use shell::testing::{MountedFiles, until};

/// A configuration file, which says whether there is maintenance.
struct File(MountedFiles);

impl File {
    fn new(name: &str, maintenance: bool) -> Self {
        let mut file = File(MountedFiles::new(name));
        file.write(maintenance);
        file
    }

    /// So that nobody has to wait for the gateway's next look.
    fn say(&mut self, maintenance: bool, gateway: &Process) {
        self.write(maintenance);
        gateway.signal("-HUP");
    }

    fn write(&mut self, maintenance: bool) {
        let users = ["1001", "1002"].map(|name| format!("[[users]]\nname = \"{name}\"\npassword = \"demo-{name}\"\n"));
        self.0.mount(&[("gateway.toml", &format!("maintenance = {maintenance}\n{}", users.concat()))]);
    }

    fn start(&self, unready_seconds: &str) -> Process {
        let variables =
            [("WSG_SHUTDOWN__UNREADY_SECONDS", unready_seconds), ("WSG_SHUTDOWN__INTERRUPT_DRAIN_SECONDS", "3600")];
        Process::start(&["--config", &self.0.path("gateway.toml")], &variables)
    }
}

/// What a balancer and people see.
async fn shows(gateway: &Process, state: &str, status: u16) -> bool {
    let ready = format!("HTTP/1.1 {status}");
    let is_ready = async |listener: SocketAddr| http(listener, "GET /ready HTTP/1.1", "").await.starts_with(&ready);
    let metrics = Metrics::read(gateway.metrics).await;
    http(gateway.http, "GET /ping HTTP/1.1", "").await.contains(&format!("\"state\":\"{state}\""))
        && is_ready(gateway.http).await
        && is_ready(gateway.metrics).await
        && (metrics.get("wsg_in_maintenance") == 1.0) == (state == "maintenance")
}

async fn becomes(gateway: &Process, state: &str, status: u16) {
    assert!(eventually(PATIENCE, async || shows(gateway, state, status).await).await, "it isn't {state}");
}

/// Why this user can't sign in; empty when that works.
async fn refusal(gateway: &Process, user: &str) -> String {
    let mut client = Client::connect(gateway.http).await;
    let answer = client.request("session.signIn", credentials(user)).await;
    if answer["result"].is_object() { String::new() } else { reason(&answer).to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_while_nobody_new_comes_until_it_is_back() {
    let mut file = File::new("wsg-maintenance", false);
    let gateway = file.start("0");
    let (mut caller, mut callee) =
        (Client::sign_in(gateway.http, "1001").await, Client::sign_in(gateway.http, "1002").await);
    let call = caller.request("call.create", json!({ "to": "1002", "sdp": offer() })).await["result"]["callId"].clone();
    let incoming = callee.notification("call.incoming").await;
    assert!(shows(&gateway, "up", 200).await);

    // Without a signal: the gateway looks at the file by itself.
    file.write(true);
    for client in [&mut caller, &mut callee] {
        client.notification("server.draining").await;
    }
    assert!(shows(&gateway, "maintenance", 503).await);
    assert_eq!(refusal(&gateway, "1001").await, "unavailable");
    let another = caller.request("call.create", json!({ "to": "1002", "sdp": offer() })).await;
    assert_eq!(reason(&another), "unavailable");
    let sdp = answer_to(incoming["sdp"].as_str().expect("it has an offer"));
    callee.request("call.answer", json!({ "callId": incoming["callId"], "sdp": sdp })).await;
    caller.notification("call.answered").await;
    assert!(!gateway.log.says("nobody is in a call any more"));
    caller.request("call.hangup", json!({ "callId": call })).await;
    until(|| gateway.log.says("nobody is in a call any more"));

    file.say(false, &gateway);
    becomes(&gateway, "up", 200).await;
    assert_eq!(refusal(&gateway, "1001").await, "");
    let created = callee.request("call.create", json!({ "to": "1001", "sdp": offer() })).await;
    assert!(created["result"].is_object(), "{created}");
    callee.request("call.hangup", json!({ "callId": created["result"]["callId"] })).await;

    // Once more, and from there to the end.
    file.say(true, &gateway);
    callee.notification("server.draining").await;
    until(|| gateway.log.lines_with("nobody is in a call any more").len() == 2);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn balancers_have_time_and_a_change_of_mind_comes_to_nothing() {
    let mut file = File::new("wsg-maintenance-wait", false);
    let gateway = file.start("3600");
    let mut client = Client::sign_in(gateway.http, "1001").await;
    file.say(true, &gateway);
    becomes(&gateway, "maintenance", 503).await;
    assert_eq!(refusal(&gateway, "1002").await, "");
    file.say(false, &gateway);
    becomes(&gateway, "up", 200).await;
    let created = client.request("call.create", json!({ "to": "1002", "sdp": offer() })).await;
    assert!(created["result"].is_object(), "{created}");
    // The first signal would wait for an hour, the second doesn't.
    gateway.signal("-TERM");
    until(|| gateway.log.says("not ready any more"));
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_on_the_way_out_of_service_waits_for_calls_as_ever() {
    let mut file = File::new("wsg-maintenance-end", false);
    let gateway = file.start("1");
    let mut caller = Client::sign_in(gateway.http, "1001").await;
    let _callee = Client::sign_in(gateway.http, "1002").await;
    let call = caller.request("call.create", json!({ "to": "1002", "sdp": offer() })).await["result"]["callId"].clone();
    file.say(true, &gateway);
    until(|| gateway.log.says("in maintenance"));
    gateway.signal("-INT");
    // A second after that it would be out of service, which is over now.
    until(|| gateway.log.says("draining"));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!gateway.log.says("nobody is left"));
    let ended = caller.request("call.hangup", json!({ "callId": call })).await;
    assert!(ended["result"].is_object(), "the call was there: {ended}");
    until(|| gateway.log.says("nobody is left"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_can_start_so() {
    let mut file = File::new("wsg-maintenance-start", true);
    let gateway = file.start("3600");
    assert!(eventually(PATIENCE, async || refusal(&gateway, "1001").await == "unavailable").await);
    assert!(shows(&gateway, "maintenance", 503).await);
    file.say(false, &gateway);
    becomes(&gateway, "up", 200).await;
    assert_eq!(refusal(&gateway, "1001").await, "");
    file.say(true, &gateway);
    becomes(&gateway, "maintenance", 503).await;
    gateway.signal("-TERM");
    until(|| gateway.log.says("not ready any more"));
    gateway.stop();
}
