//! The HTTP side of a whole gateway: health, page, origins, limits, metrics, life and death.

mod common;

use std::time::Duration;

use common::client::{Client, credentials};
use common::process::Process;
use common::{PATIENCE, config, eventually, http, on_an_address_of_its_own, raw, start_with};
use shell::testing::check_with_promtool;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_tells_state_version_and_colour() {
    let gateway = start_with(|config| {
        config.colour = "green".to_owned();
        config.limits.sign_ins = 1;
    })
    .await;
    let ping = http(gateway.http, "GET /ping HTTP/1.1", "").await;
    assert!(ping.starts_with("HTTP/1.1 200"), "{ping}");
    let body: serde_json::Value = serde_json::from_str(ping.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body, serde_json::json!({"state": "up", "version": env!("CARGO_PKG_VERSION"), "path": "green"}));
    let about = http(gateway.http, "GET /about HTTP/1.1", "").await;
    let mut body: serde_json::Value = serde_json::from_str(about.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert!(body["uptimeSeconds"].take().as_u64().is_some_and(|seconds| seconds < 3600), "{about}");
    let expected = serde_json::json!({
        "name": "webrtc-sip-gateway", "version": env!("CARGO_PKG_VERSION"), "node": "node1", "colour": "green",
        "uptimeSeconds": null, "demo": true, "sipProxyUnreachable": false, "full": false,
    });
    assert_eq!(body, expected);
    let _client = Client::sign_in(gateway.http, "1001").await;
    let about = http(gateway.http, "GET /about HTTP/1.1", "").await;
    assert!(about.contains("\"full\":true"), "{about}");
    assert!(http(gateway.http, "GET /isAlive HTTP/1.1", "").await.starts_with("HTTP/1.1 200"));
    assert!(http(gateway.http, "GET /ready HTTP/1.1", "").await.starts_with("HTTP/1.1 200"));
    let drained = gateway.drain().await;
    assert!(http(gateway.http, "GET /ready HTTP/1.1", "").await.starts_with("HTTP/1.1 503"));
    assert!(http(gateway.http, "GET /ping HTTP/1.1", "").await.contains("\"state\":\"draining\""));
    drop(drained);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn balancers_are_told_before_anybody_is_refused() {
    let gateway = Process::start(&[], &[("WSG_SHUTDOWN__UNREADY_SECONDS", "3600")]);
    gateway.signal("-TERM");
    let is_unready = async || http(gateway.metrics, "GET /ready HTTP/1.1", "").await.starts_with("HTTP/1.1 503");
    assert!(eventually(PATIENCE, is_unready).await);
    assert!(http(gateway.http, "GET /ready HTTP/1.1", "").await.starts_with("HTTP/1.1 503"));
    assert!(http(gateway.http, "GET /ping HTTP/1.1", "").await.contains("\"state\":\"draining\""));
    Client::sign_in(gateway.http, "1001").await;
    // A second signal doesn't wait.
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_comes_with_its_protection() {
    let gateway = start_with(|_| {}).await;
    let page = http(gateway.http, "GET / HTTP/1.1", "").await;
    let head = page.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
    for line in [
        "content-type: text/html",
        "content-security-policy: default-src 'none'",
        "x-content-type-options: nosniff",
        "permissions-policy: microphone=(self)",
    ] {
        assert!(head.contains(line), "{line} is missing in {head}");
    }
    for file in ["app.js", "app.css", "sdk.js", "icon.svg"] {
        let response = http(gateway.http, &format!("GET /{file} HTTP/1.1"), "").await;
        assert!(response.starts_with("HTTP/1.1 200"), "{file}: {response}");
    }
    for path in ["/nothing", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "/v1", "/v1/"] {
        let response = http(gateway.http, &format!("GET {path} HTTP/1.1"), "").await;
        assert!(response.starts_with("HTTP/1.1 404"), "{path}: {response}");
    }
    assert!(http(gateway.http, "DELETE / HTTP/1.1", "").await.starts_with("HTTP/1.1 405"));
    gateway.stop().await;
}

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

async fn upgrade(address: std::net::SocketAddr, path: &str, origin: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{UPGRADE}\r\n{origin}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = vec![0; 2048];
    let len = tokio::time::timeout(PATIENCE, stream.read(&mut response)).await.unwrap().unwrap();
    String::from_utf8_lossy(&response[..len]).to_ascii_lowercase()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_sockets_are_for_known_origins_and_get_the_cookie() {
    let gateway = start_with(|config| config.http.allowed_origins = vec!["https://crm.example.com".to_owned()]).await;
    let own = format!("Origin: http://{}\r\n", gateway.http);
    for origin in ["", own.as_str(), "Origin: https://crm.example.com\r\n"] {
        let response = upgrade(gateway.http, "/v1/ws", origin).await;
        assert!(response.starts_with("http/1.1 101"), "{origin}: {response}");
        assert!(response.contains("set-cookie: wsgrouteid=.node1; path=/; samesite=lax; httponly"), "{response}");
    }
    let response = upgrade(gateway.http, "/v1/ws", "Origin: https://evil.example.com\r\n").await;
    assert!(response.starts_with("http/1.1 403"), "{response}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signalling_is_under_the_colour_as_well_where_that_is_wanted() {
    let blue = start_with(|config| {
        config.colour = "blue".to_owned();
        config.http.colour_path = true;
        config.http.allowed_origins = vec!["https://crm.example.com".to_owned()];
    })
    .await;
    // Whoever signs in hears of the path, and so does whoever resumes there.
    let (head, told) = rpc(blue.http, "/v1/rpc", "session.signIn", credentials("1001")).await;
    assert_eq!(told["result"]["path"], "blue/", "{told}");
    assert!(head.contains("set-cookie: WSGROUTEID=.node1; Path=/;"), "{head}");
    let resume = serde_json::json!({ "token": told["result"]["token"], "after": 0 });
    let (head, told) = rpc(blue.http, "/blue/v1/rpc", "session.resume", resume).await;
    assert_eq!(told["result"]["path"], "blue/", "{told}");
    assert!(head.contains("set-cookie: WSGROUTEID=.node1; Path=/;"), "{head}");
    // The same rules hold at both places.
    assert!(upgrade(blue.http, "/blue/v1/ws", "").await.starts_with("http/1.1 101"));
    let stranger = "Origin: https://evil.example.com\r\n";
    assert!(upgrade(blue.http, "/blue/v1/ws", stranger).await.starts_with("http/1.1 403"));
    let preflight =
        "OPTIONS /blue/v1/rpc HTTP/1.1\r\nOrigin: https://crm.example.com\r\nAccess-Control-Request-Method: POST";
    assert!(http(blue.http, preflight, "").await.contains("access-control-allow-origin: https://crm.example.com"));
    let json = "POST /blue/v1/rpc HTTP/1.1\r\nContent-Type: application/json";
    assert!(http(blue.http, json, &"x".repeat(70_000)).await.starts_with("HTTP/1.1 413"));
    assert!(http(blue.http, "GET /blue/v1/events?after=0 HTTP/1.1", "").await.starts_with("HTTP/1.1 401"));
    // Another colour isn't here, and nothing but signalling is under this one.
    for path in ["/green/v1/events", "/blue/blue/v1/events", "/blue/", "/blue/ping"] {
        let response = http(blue.http, &format!("GET {path} HTTP/1.1"), "").await;
        assert!(response.starts_with("HTTP/1.1 404"), "{path}: {response}");
    }
    blue.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_under_the_colour_by_default() {
    let gateway = start_with(|config| config.colour = "blue".to_owned()).await;
    let (_, told) = rpc(gateway.http, "/v1/rpc", "session.signIn", credentials("1001")).await;
    assert!(told["result"]["token"].is_string() && told["result"].get("path").is_none(), "{told}");
    assert!(http(gateway.http, "GET /blue/v1/events HTTP/1.1", "").await.starts_with("HTTP/1.1 404"));
    gateway.stop().await;
}

/// A request without a WebSocket: the head of the response, and the message in its body.
async fn rpc(
    address: std::net::SocketAddr,
    path: &str,
    method: &str,
    params: serde_json::Value,
) -> (String, serde_json::Value) {
    let message = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let request = format!("POST {path} HTTP/1.1\r\nContent-Type: application/json");
    let response = http(address, &request, &message.to_string()).await;
    let (head, body) = response.split_once("\r\n\r\n").expect("a response has a head");
    (head.to_owned(), serde_json::from_str(body).expect("its body is JSON"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cross_origin_requests_follow_the_allow_list() {
    let gateway = start_with(|config| config.http.allowed_origins = vec!["https://crm.example.com".to_owned()]).await;
    let preflight = |origin: &str| {
        let request = format!(
            "OPTIONS /v1/rpc HTTP/1.1\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\
             Access-Control-Request-Headers: authorization,content-type"
        );
        async move { http(gateway.http, &request, "").await.to_ascii_lowercase() }
    };
    let allowed = preflight("https://crm.example.com").await;
    assert!(allowed.contains("access-control-allow-origin: https://crm.example.com"), "{allowed}");
    assert!(allowed.contains("access-control-allow-credentials: true"), "{allowed}");
    let refused = preflight("https://evil.example.com").await;
    assert!(!refused.contains("access-control-allow-origin"), "{refused}");
    let call = "POST /v1/rpc HTTP/1.1\r\nContent-Type: application/json\r\nOrigin: https://evil.example.com";
    assert!(http(gateway.http, call, "{}").await.starts_with("HTTP/1.1 403"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_too_large_or_of_a_wrong_kind_are_refused() {
    let gateway = start_with(|_| {}).await;
    let json = "POST /v1/rpc HTTP/1.1\r\nContent-Type: application/json";
    let large = http(gateway.http, json, &"x".repeat(70_000)).await;
    assert!(large.starts_with("HTTP/1.1 413"), "{large}");
    assert!(http(gateway.http, "POST /v1/rpc HTTP/1.1", "{}").await.starts_with("HTTP/1.1 415"));
    assert!(http(gateway.http, "GET /v1/rpc HTTP/1.1", "").await.starts_with("HTTP/1.1 405"));
    assert!(http(gateway.http, "GET /v1/events?after=x HTTP/1.1", "").await.starts_with("HTTP/1.1 400"));
    let endless = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    let response = raw(gateway.http, &endless).await;
    assert!(response.starts_with("HTTP/1.1 431"), "{response}");
    assert!(http(gateway.http, "GET /ping HTTP/1.1", "").await.starts_with("HTTP/1.1 200"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_counted_and_given_back() {
    let gateway = start_with(|config| config.http.max_connections = 2).await;
    let first = TcpStream::connect(gateway.http).await.unwrap();
    let second = TcpStream::connect(gateway.http).await.unwrap();
    // Both places are taken once the gateway has accepted them; the third waits.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let waiting = tokio::spawn(async move { http(gateway.http, "GET /ping HTTP/1.1", "").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    drop(first);
    assert!(waiting.await.unwrap().starts_with("HTTP/1.1 200"));
    drop(second);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_on_a_listener_of_their_own() {
    let gateway = start_with(|_| {}).await;
    let page = http(gateway.metrics, "GET /metrics HTTP/1.1", "").await;
    assert!(page.contains("# TYPE wsg_rtp_ports_in_use gauge\nwsg_rtp_ports_in_use 0\n"), "{page}");
    assert!(page.contains("wsg_media_sockets{shard=\"0\"}"), "{page}");
    assert!(http(gateway.http, "GET /metrics HTTP/1.1", "").await.starts_with("HTTP/1.1 404"));
    // The names that operators know already have a form of their own.
    check_with_promtool(page.split_once("\r\n\r\n").expect("a whole response").1, "wsg_");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named_and_everything_is_given_back_after_the_end() {
    let gateway = start_with(on_an_address_of_its_own).await;
    let (http_address, sip, turn) = (gateway.http, gateway.sip[0], gateway.turn[0]);
    let mut second = config();
    second.http.listen = http_address;
    let error = gateway_bin::start(second).await.expect_err("the port is taken").to_string();
    assert!(error.contains(&http_address.to_string()), "{error}");
    let mut third = config();
    third.sip.listen = vec![sip];
    let error = gateway_bin::start(third).await.expect_err("the port is taken").to_string();
    assert!(error.contains(&sip.to_string()), "{error}");
    let mut fourth = config();
    fourth.turn.listen = vec![turn];
    let error = gateway_bin::start(fourth).await.expect_err("the port is taken").to_string();
    assert!(error.contains(&turn.to_string()), "{error}");
    gateway.stop().await;
    let mut fifth = config();
    fifth.http.listen = http_address;
    fifth.sip.listen = vec![sip];
    fifth.turn.listen = vec![turn];
    let mut again = None;
    // A program that another test starts has copies of the sockets until it runs.
    let starts = async || {
        again = gateway_bin::start(fifth.clone()).await.ok();
        again.is_some()
    };
    assert!(eventually(PATIENCE, starts).await, "nothing holds the ports");
    again.expect("it started").stop().await;
}
