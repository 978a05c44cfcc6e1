//! What a gateway that logs everything it can doesn't log.

mod common;

use common::client::{Client, offer};
use common::process::Process;
use common::sip::{SipSocket, field, respond};
use serde_json::json;
use shell::testing::MountedFiles;
use tokio::net::UdpSocket;

const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_not_logged_at_any_level() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
    let mut files = MountedFiles::new("wsg-secrets");
    let text = format!(
        r#"
        sip = {{ proxy = {{ target = "{}", domain = "example.test" }} }}
        turn = {{ secret = "Turn-Secret", urls = ["turn:turn.example.com"] }}
        users = [{{ name = "1001", password = "Page-Password", sip_user = "1001", sip_password = "Proxy-Password" }}]
        "#,
        socket.local_addr().expect("it is bound")
    );
    files.mount(&[("gateway.toml", &text)]);
    let gateway = Process::start(&["--config", &files.path("gateway.toml")], &[("WSG_LOG__LEVEL", "trace")]);

    let mut client = Client::connect(gateway.http).await;
    client.request("session.signIn", json!({ "user": "1001", "password": "Wrong-Password" })).await;
    let mut client = Client::connect(gateway.http).await;
    let signed_in = client.request("session.signIn", json!({ "user": "1001", "password": "Page-Password" })).await;
    let token = signed_in["result"]["token"].as_str().expect("signed in").to_owned();
    let credential = signed_in["result"]["iceServers"][0]["credential"].as_str().expect("there is TURN").to_owned();

    let proxy = SipSocket::with(socket, gateway.sip);
    let register = proxy.receive_request("REGISTER").await;
    let challenge = respond(&register, "401 Unauthorized", "t", proxy.address, "");
    proxy.send(challenge.replace("Content-Length", &format!("{CHALLENGE}Content-Length")).as_bytes()).await;
    let register = loop {
        // The first one may have been repeated.
        let register = proxy.receive_request("REGISTER").await;
        if register.contains("\r\nAuthorization:") {
            break register;
        }
    };
    let digest = field(&register, "Authorization").split_once("response=\"").expect("it is answered").1;
    let digest = digest.split('"').next().expect("there is an end").to_owned();
    proxy.respond(&register, "200 OK", "t", "").await;
    client.request("call.create", json!({ "to": "555", "sdp": offer() })).await;
    let invite = proxy.receive_request("INVITE").await;
    proxy.respond(&invite, "486 Busy Here", "t", "").await;
    client.notification("call.ended").await;
    client.request("session.signOut", json!({})).await;

    let log = gateway.log.clone();
    gateway.stop();
    let lines = log.to_the_end();
    assert!(lines.contains("DEBUG call ended"), "more than usual is logged: {lines}");
    let secrets = ["Wrong-Password", "Page-Password", "Proxy-Password", "Turn-Secret", &token, &credential, &digest];
    for secret in secrets {
        assert!(!lines.contains(secret), "{secret}: {lines}");
    }
}
