//! The admin API: who may use it, and what it does.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use common::client::Client;
use common::{PATIENCE, start_with};
use serde_json::Value;
use shell::program::Service;
use turn_bin::Running;
use turn_bin::config::Secret;

/// Status and body of a request with these header lines.
fn ask(server: &Running, request: &str, headers: &str) -> (u16, Value) {
    let port = server.http.expect("it is configured").port();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is a valid time");
    write!(stream, "{request} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n").expect("it is open");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("it is text");
    let (head, body) = response.split_once("\r\n\r\n").expect("a whole response");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, if body.is_empty() { Value::Null } else { serde_json::from_str(body).expect("it is JSON") })
}

const LOCAL: &str = "Host: localhost\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allocations_are_listed_in_pages_looked_at_and_ended() {
    let server = start_with(|_| {}).await;
    let mut clients: Vec<Client> = (0..4).map(|_| Client::udp(server.listen[0])).collect();
    clients.push(Client::tcp(server.listen[0]));
    clients.iter_mut().for_each(|client| client.allocate().expect("alice may"));

    let mut ids = Vec::new();
    let mut path = "/v1/allocations?limit=2".to_owned();
    loop {
        let (status, page) = ask(&server, &format!("GET {path}"), LOCAL);
        assert_eq!(status, 200);
        let allocations = page["allocations"].as_array().expect("a list");
        assert!(allocations.len() <= 2);
        ids.extend(allocations.iter().map(|allocation| allocation["id"].as_str().expect("a name").to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/allocations?limit=2&after={next}");
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5, "each once");

    let (_, all) = ask(&server, "GET /v1/allocations", LOCAL);
    let over_tcp = all["allocations"].as_array().expect("a list").iter().find(|one| one["transport"] == "tcp");
    let id = over_tcp.expect("there is one")["id"].as_str().expect("a name");
    let (status, one) = ask(&server, &format!("GET /v1/allocations/{id}"), LOCAL);
    assert_eq!((status, one["user"].as_str(), &one["id"]), (200, Some("alice"), &Value::from(id)));
    assert!(one["relayed"][0].as_str().is_some_and(|relayed| relayed.parse::<SocketAddr>().is_ok()));

    assert_eq!(ask(&server, &format!("DELETE /v1/allocations/{id}"), LOCAL).0, 204);
    assert!(clients[4].is_closed(), "its connection is of no use");
    for request in ["GET", "DELETE"] {
        assert_eq!(ask(&server, &format!("{request} /v1/allocations/{id}"), LOCAL).0, 404);
        assert_eq!(ask(&server, &format!("{request} /v1/allocations/77-1"), LOCAL).0, 404);
        assert_eq!(ask(&server, &format!("{request} /v1/allocations/rubbish"), LOCAL).0, 404);
    }
    for query in ["limit=0", "limit=1001", "limit=x", "after=rubbish"] {
        let port = server.http.expect("it is configured").port();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        write!(stream, "GET /v1/allocations?{query} HTTP/1.1\r\nConnection: close\r\n{LOCAL}\r\n").expect("it is open");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("it is text");
        assert!(response.starts_with("HTTP/1.1 400"), "{query}: {response}");
    }
    let (_, page) = ask(&server, "GET /v1/allocations", LOCAL);
    assert_eq!(page["allocations"].as_array().map(Vec::len), Some(4));
    server.stop().await.expect("nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_but_who_may_sees_them() {
    let path = "GET /v1/allocations";
    let local = start_with(|_| {}).await;
    // What a page sends whose name was made to lead to this machine.
    assert_eq!(ask(&local, path, "Host: evil.example:10053\r\n").0, 403);
    local.stop().await.expect("nothing broke");

    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let open = start_with(|config| config.http.listen = Some(everywhere)).await;
    let (status, problem) = ask(&open, path, LOCAL);
    assert_eq!(status, 404);
    assert!(problem["error"].as_str().is_some_and(|text| text.contains("http.admin_token")), "{problem}");
    open.stop().await.expect("nothing broke");

    let token = start_with(|config| {
        config.http.listen = Some(everywhere);
        config.http.admin_token = Some(Secret::from("0123456789abcdef"));
    })
    .await;
    for (headers, expected) in [
        ("", 401),
        ("Authorization: Basic 0123456789abcdef\r\n", 401),
        ("Authorization: Bearer 0123456789abcdeg\r\n", 403),
        ("Authorization: Bearer 0123456789abcdef\r\n", 200),
    ] {
        assert_eq!(ask(&token, path, &format!("Host: turn.example\r\n{headers}")).0, expected, "{headers}");
    }
    token.stop().await.expect("nothing broke");
}
