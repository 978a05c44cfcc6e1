//! Signing in over HTTP, end to end: the password check, tokens, long polling, metrics.

mod common;

use std::net::SocketAddr;

use common::{http, start_with};
use serde_json::{Value, json};

/// One JSON-RPC request; the response's status line and body.
async fn call(address: SocketAddr, token: Option<&str>, method: &str, params: Value) -> (String, Value) {
    let authorization = token.map(|token| format!("\r\nAuthorization: Bearer {token}")).unwrap_or_default();
    let head = format!("POST /v1/rpc HTTP/1.1\r\nContent-Type: application/json{authorization}");
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    split(&http(address, &head, &body.to_string()).await)
}

async fn poll(address: SocketAddr, token: &str, after: u64) -> (String, Value) {
    let head = format!("GET /v1/events?after={after} HTTP/1.1\r\nAuthorization: Bearer {token}");
    split(&http(address, &head, "").await)
}

fn split(response: &str) -> (String, Value) {
    let (head, body) = response.split_once("\r\n\r\n").expect("a whole response");
    let status = head.lines().next().unwrap_or_default().to_owned();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

async fn sign_in(address: SocketAddr, user: &str, password: &str) -> Value {
    let (status, body) = call(address, None, "session.signIn", json!({ "user": user, "password": password })).await;
    assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_open_and_tokens_carry() {
    let gateway = start_with(|_| {}).await;
    for (user, password) in [("1001", "wrong"), ("nobody", "demo-1001"), ("1001", "")] {
        let body = sign_in(gateway.http, user, password).await;
        assert_eq!(body["error"]["data"]["reason"], "wrong_credentials", "{body}");
    }
    let body = sign_in(gateway.http, "1001", "demo-1001").await;
    let token = body["result"]["token"].as_str().expect("a token").to_owned();
    assert_eq!(body["result"]["displayName"], "Demo 1001");

    let (_, body) = call(gateway.http, Some(&token), "session.heartbeat", json!({})).await;
    assert_eq!(body["result"], json!({}), "{body}");
    let (_, body) = call(gateway.http, Some("forged"), "session.heartbeat", json!({})).await;
    assert_eq!(body["error"]["data"]["reason"], "not_signed_in", "{body}");
    let (status, _) = poll(gateway.http, "forged", 0).await;
    assert_eq!(status, "HTTP/1.1 401 Unauthorized");

    let page = http(gateway.metrics, "GET /metrics HTTP/1.1", "").await;
    for line in ["\nwrtc_current_signins 1\n", "\nwrtc_unauthorized_access 5\n", "\nwsg_calls 0\n"] {
        assert!(page.contains(line), "{line} is missing in {page}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_poll_hears_of_a_second_sign_in_and_of_the_end() {
    let gateway = start_with(|_| {}).await;
    let address = gateway.http;
    let body = sign_in(address, "1001", "demo-1001").await;
    let token = body["result"]["token"].as_str().expect("a token").to_owned();
    let waiting = tokio::spawn(async move { poll(address, &token, 0).await });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(!waiting.is_finished(), "there is nothing to tell yet");
    let second = sign_in(address, "1001", "demo-1001").await;
    let (_, body) = waiting.await.expect("the poll is answered");
    let told = body["events"][0]["method"] == "session.displaced" || body["data"]["reason"] == "not_signed_in";
    assert!(told, "{body}");

    let token = second["result"]["token"].as_str().expect("a token").to_owned();
    let waiting = tokio::spawn(async move { poll(address, &token, 0).await });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    gateway.stop().await;
    let (status, body) = waiting.await.expect("the poll is answered when the gateway ends");
    assert!(status.starts_with("HTTP/1.1 "), "{status} {body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_gateway_takes_no_sign_ins() {
    let gateway = start_with(|_| {}).await;
    let drained = gateway.drain().await;
    drained.await;
    let body = sign_in(gateway.http, "1001", "demo-1001").await;
    assert_eq!(body["error"]["data"]["reason"], "unavailable", "{body}");
    gateway.stop().await;
}
