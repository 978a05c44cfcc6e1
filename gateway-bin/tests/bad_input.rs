//! Whatever comes in: each gets its answer or a counted drop, what it held is freed, and a call beside it goes on.

mod common;

use std::time::Duration;

use common::bench::Bench;
use common::client::{Client, answer_to, credentials, offer, reason};
use common::sip::{RequestText, SDP, SipSocket, field, status};
use common::{PATIENCE, eventually, http, raw};
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio_tungstenite::tungstenite::Message;

/// RFC 6455 section 7.4.1.
const UNSUPPORTED_DATA: u16 = 1003;
const TOO_BIG: u16 = 1009;

/// Messages that are wrong by themselves, and the reason they are refused for.
fn wrong_messages() -> Vec<(String, &'static str)> {
    let request = |method: &str, params: Value| {
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
    };
    let mut messages = vec![
        ("".to_owned(), "parse_error"),
        ("{".to_owned(), "parse_error"),
        ("[".repeat(60_000), "parse_error"),
        ("\u{0}\u{feff}".to_owned(), "parse_error"),
        ("[]".to_owned(), "invalid_request"),
        ("null".to_owned(), "invalid_request"),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"session.refresh"}]"#.to_owned(), "invalid_request"),
        (r#"{"id":1,"method":"session.refresh"}"#.to_owned(), "invalid_request"),
        (r#"{"jsonrpc":"1.0","id":1,"method":"session.refresh"}"#.to_owned(), "invalid_request"),
        (r#"{"jsonrpc":"2.0","id":{"a":1},"method":"session.refresh"}"#.to_owned(), "invalid_request"),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#.to_owned(), "invalid_request"),
        (request("call.explode", json!({})), "unknown_method"),
        (request(&"x".repeat(10_000), json!({})), "unknown_method"),
        (request("call.transfer", json!({})), "not_supported"),
        (request("session.signIn", json!({ "user": 1001, "password": [] })), "invalid_params"),
        (request("session.signIn", Value::Null), "invalid_params"),
        (request("session.resume", json!({ "after": -1 })), "invalid_params"),
        (request("call.hangup", json!({ "callId": 5 })), "invalid_params"),
        (request("call.dtmf", json!({ "callId": "0", "digits": 5 })), "invalid_params"),
        (request("call.reject", json!({ "callId": "0", "reason": "bored" })), "invalid_params"),
    ];
    messages.extend([
        (request("call.create", json!({ "to": "echo", "sdp": "rubbish" })), "bad_sdp"),
        (request("call.create", json!({ "to": "echo", "sdp": "\u{0}".repeat(5000) })), "bad_sdp"),
        (request("call.create", json!({ "to": "echo", "sdp": without_audio() })), "no_audio"),
        (request("call.create", json!({ "to": "echo", "sdp": without_common_codec() })), "no_common_codec"),
        (request("call.create", json!({ "to": "", "sdp": offer() })), "bad_number"),
        (request("call.create", json!({ "to": "sip:@@", "sdp": offer() })), "bad_number"),
        (request("call.create", json!({ "to": "1\r\nVia: x", "sdp": offer() })), "bad_number"),
        (request("call.create", json!({ "to": "9".repeat(300), "sdp": offer() })), "bad_number"),
        (request("call.create", json!({ "to": "555", "sdp": offer() })), "unroutable"),
        (request("call.create", json!({ "to": "sip:x@192.0.2.1", "sdp": offer() })), "unroutable"),
    ]);
    let calls =
        ["call.answer", "call.reject", "call.hangup", "call.update", "call.candidate", "call.hold", "call.dtmf"];
    for id in ["", "0", "zz", "ffffffffffffffff", "-1", "00000000000000000000000000000000001"] {
        for method in calls {
            let params = json!({ "callId": id, "sdp": offer(), "candidate": "candidate:1", "digits": "1" });
            messages.push((request(method, params), "unknown_call"));
        }
    }
    messages
}

fn without_audio() -> String {
    offer().replace("m=audio", "m=video").replace("PCMU/8000", "VP8/90000")
}

fn without_common_codec() -> String {
    offer()
        .replace("UDP/TLS/RTP/SAVPF 0", "UDP/TLS/RTP/SAVPF 96")
        .replace("a=rtpmap:0 PCMU/8000", "a=rtpmap:96 SILK/24000")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_client_messages_get_their_reason_over_either_transport() {
    let bench = Bench::start(|_| {}).await;
    let address = bench.gateway.http;
    let mut client = Client::sign_in(address, "1002").await;
    let unknown = bench.metric("wrtc_unknown_request").await;
    for (text, expected) in wrong_messages() {
        client.send_text(text.clone()).await;
        let response = client.message().await;
        assert_eq!(reason(&response), expected, "{}: {response}", shortened(&text));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(bench.metric("wrtc_unknown_request").await >= unknown + 15.0);
    let signed_out = client.request("session.signOut", json!({})).await;
    assert_eq!(signed_out["result"], json!({}), "the link outlives all of it: {signed_out}");

    let signed_in = rpc(address, None, &rpc_text("session.signIn", credentials("1002"))).await;
    let token = signed_in["result"]["token"].as_str().expect("a token").to_owned();
    for (text, expected) in wrong_messages() {
        let response = rpc(address, Some(&token), &text).await;
        assert_eq!(reason(&response), expected, "{}: {response}", shortened(&text));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for token in [None, Some("forged"), Some("\u{e9}"), Some("")] {
        let response = rpc(address, token, &rpc_text("session.refresh", json!({}))).await;
        assert_eq!(reason(&response), "not_signed_in", "{token:?}: {response}");
    }
    rpc(address, Some(&token), &rpc_text("session.signOut", json!({}))).await;
    bench.end().await;
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

fn rpc_text(method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

async fn rpc(address: std::net::SocketAddr, token: Option<&str>, text: &str) -> Value {
    let token = token.map(|token| format!("\r\nAuthorization: Bearer {token}")).unwrap_or_default();
    let response =
        http(address, &format!("POST /v1/rpc HTTP/1.1\r\nContent-Type: application/json{token}"), text).await;
    let (head, body) = response.split_once("\r\n\r\n").expect("a whole response");
    assert!(head.starts_with("HTTP/1.1 200"), "{response}");
    serde_json::from_str(body).expect("JSON comes back")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_are_no_messages_close_the_link_with_the_code_for_it() {
    let bench = Bench::start(|_| {}).await;
    for (frame, code) in
        [(Message::Binary(vec![1, 2, 3].into()), UNSUPPORTED_DATA), (Message::Text("x".repeat(65_537).into()), TOO_BIG)]
    {
        let mut client = Client::sign_in(bench.gateway.http, "1002").await;
        client.socket.send(frame).await.expect("the link is open");
        assert_eq!(client.close_code().await, Some(code));
    }
    // Nobody signs in on this one.
    let mut silent = Client::connect(bench.gateway.http).await;
    let client = async { silent.close_code().await };
    assert_eq!(tokio::time::timeout(2 * PATIENCE, client).await.expect("it is closed in time"), Some(4401));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_requests_at_once_meet_the_limit_and_not_the_link() {
    let bench = Bench::start(|_| {}).await;
    let mut client = Client::sign_in(bench.gateway.http, "1002").await;
    let mut reasons = Vec::new();
    for id in 1000..1200 {
        let text = json!({ "jsonrpc": "2.0", "id": id, "method": "call.hangup", "params": { "callId": "0" } });
        client.socket.feed(Message::Text(text.to_string().into())).await.expect("the link is open");
    }
    client.socket.flush().await.expect("the link is open");
    for id in 1000..1200 {
        reasons.push(reason(&client.response(id).await).to_owned());
    }
    let count = |wanted: &str| reasons.iter().filter(|reason| *reason == wanted).count();
    assert_eq!(count("unknown_call") + count("too_many"), 200, "{reasons:?}");
    assert!((90..150).contains(&count("unknown_call")), "{reasons:?}");
    // What isn't even a request is no cheaper: it ends the link.
    let mut garbage = Client::connect(bench.gateway.http).await;
    for _ in 0..200 {
        garbage.socket.feed(Message::Text("{".into())).await.expect("the link is open");
    }
    garbage.socket.flush().await.expect("the link is open");
    assert_eq!(garbage.close_code().await, Some(4429));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let later = client.request("session.signOut", json!({})).await;
    assert_eq!(later["result"], json!({}), "{later}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_belongs_to_its_user() {
    let bench = Bench::start(|config| {
        let mut third = config.users[1].clone();
        third.name = "1003".to_owned();
        third.password = Some("demo-1003".into());
        config.users.push(third);
    })
    .await;
    let mut owner = Client::sign_in(bench.gateway.http, "1002").await;
    let created = owner.request("call.create", json!({ "to": "echo", "sdp": offer() })).await;
    let id = created["result"]["callId"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned();
    // Keys are for calls that were answered.
    owner.notification("call.answered").await;
    let mut other = Client::sign_in(bench.gateway.http, "1003").await;
    for method in ["call.hangup", "call.update", "call.answer", "call.hold", "call.candidate", "call.dtmf"] {
        let params = json!({ "callId": id, "sdp": offer(), "digits": "1", "candidate": "" });
        let response = other.request(method, params).await;
        assert_eq!(reason(&response), "unknown_call", "{method}: {response}");
    }
    for (method, params, expected) in [
        ("call.answer", json!({ "callId": id, "sdp": offer() }), "wrong_state"),
        ("call.update", json!({ "callId": id, "sdp": "rubbish" }), "bad_sdp"),
        ("call.candidate", json!({ "callId": id, "candidate": "rubbish" }), "bad_candidate"),
        ("call.dtmf", json!({ "callId": id, "digits": "x" }), "invalid_params"),
        ("call.dtmf", json!({ "callId": id, "digits": "1".repeat(33) }), "invalid_params"),
        ("session.signIn", credentials("1002"), "already_signed_in"),
    ] {
        let response = owner.request(method, params).await;
        assert_eq!(reason(&response), expected, "{method}: {response}");
    }
    assert!(owner.request("call.hangup", json!({ "callId": id })).await["result"].is_object());
    for mut client in [owner, other] {
        client.request("session.signOut", json!({})).await;
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_broken_http_is_cut_off() {
    let bench = Bench::start(|_| {}).await;
    let address = bench.gateway.http;
    for text in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\r\n\r\n"] {
        let response = raw(address, text).await;
        assert!(response.is_empty() || response.starts_with("HTTP/1.1 400"), "{response}");
    }
    let negative = "POST /v1/rpc HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n";
    assert!(raw(address, negative).await.starts_with("HTTP/1.1 400"));
    // A header that never ends, one line each second.
    let mut slow = TcpStream::connect(address).await.expect("the gateway listens");
    slow.write_all(b"GET / HTTP/1.1\r\n").await.expect("it is open");
    let cut_off = async {
        while slow.write_all(b"X: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(25), cut_off).await.expect("the connection is closed");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_sip_requests_get_their_status() {
    let bench = Bench::start(|_| {}).await;
    let phone = SipSocket::new(bench.gateway.sip[0]).await;
    let callee = Client::sign_in(bench.gateway.http, "1002").await;
    let user = "sip:1002@localhost";
    let with = |method: &'static str, uri: &str, fields: &str, body: &str| RequestText {
        fields: fields.to_owned(),
        body: body.to_owned(),
        ..RequestText::new(method, uri)
    };
    let sdp = "Content-Type: application/sdp\r\n";
    let table = [
        (with("SUBSCRIBE", user, "Event: presence\r\n", ""), 405),
        (with("REGISTER", "sip:localhost", "", ""), 405),
        (with("FROBNICATE", user, "", ""), 501),
        (with("INVITE", user, "Content-Type: text/plain\r\n", "hello"), 415),
        (with("INVITE", user, "Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n", "x"), 415),
        (with("INVITE", user, "Accept: text/plain\r\n", ""), 406),
        (with("INVITE", user, "Require: teleport\r\n", ""), 420),
        (with("INVITE", "http://localhost/1002", "", ""), 416),
        (with("INVITE", "urn:service:sos", "", ""), 416),
        (with("INVITE", "sip:nobody-here@localhost", sdp, SDP), 480),
        (with("INVITE", "sip:localhost", sdp, SDP), 404),
        (with("INVITE", user, sdp, "rubbish"), 488),
        (with("INVITE", user, sdp, &SDP.replace("m=audio 9 RTP/AVP 0", "m=video 9 RTP/AVP 0")), 488),
        (with("INVITE", user, sdp, &SDP.replace("m=audio 9 RTP/AVP 0", "m=audio 9 RTP/AVP 18")), 488),
        (with("INVITE", user, sdp, &SDP.replace("m=audio 9", "m=audio 99999")), 488),
        (RequestText { to_tag: ";tag=gone", ..with("INVITE", user, sdp, SDP) }, 481),
        (RequestText { to_tag: ";tag=gone", ..RequestText::new("BYE", user) }, 481),
        (RequestText::new("BYE", user), 481),
        (RequestText::new("CANCEL", user), 481),
        (RequestText { to_tag: ";tag=gone", ..RequestText::new("UPDATE", user) }, 481),
    ];
    for (request, expected) in table {
        let (status, response) = phone.exchange(&request).await;
        assert_eq!(status, expected, "{}{}{}: {response}", request.method, request.fields, request.body);
    }
    // Those that the writer of requests above can't make.
    let edit = |from: &str, to: &str| RequestText::new("OPTIONS", user).text(phone.address, "UDP").replace(from, to);
    for (text, expected) in [
        (edit("SIP/2.0\r\nVia", "SIP/7.0\r\nVia"), 505),
        (edit("CSeq: 1 OPTIONS", "CSeq: 1 INVITE"), 400),
        (edit("CSeq: 1 OPTIONS", "CSeq: 99999999999 OPTIONS"), 400),
        (edit("From: <sip:", "From: <<sip:"), 400),
        (edit("Content-Length: 0", "Content-Length: 7"), 400),
    ] {
        phone.send(text.as_bytes()).await;
        assert_eq!(status(&phone.receive().await), expected, "{text}");
    }
    bench.end_after(callee).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sip_garbage_is_dropped_and_counted() {
    let bench = Bench::start(|_| {}).await;
    let malformed = "wsg_dropped_packets_total{plane=\"sip\",reason=\"malformed\"}";
    let before = bench.metric(malformed).await;
    let phone = SipSocket::new(bench.gateway.sip[0]).await;
    let options = RequestText::new("OPTIONS", "sip:localhost").text(phone.address, "UDP");
    let mut seed = 1u32;
    for _ in 0..300 {
        let mut bytes = options.clone().into_bytes();
        for _ in 0..8 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = (seed >> 8) as usize % bytes.len();
            bytes[at] = (seed >> 24) as u8;
        }
        phone.send(&bytes).await;
        phone.send(&bytes[..(seed >> 8) as usize % bytes.len()]).await;
    }
    for bytes in [&b"SIP/2.0 200 OK\r\n\r\n"[..], b"\0\xff\0\xff", &[b'A'; 60_000], b"INVITE", b"\r\nx"] {
        phone.send(bytes).await;
    }
    let counted = eventually(PATIENCE, async || bench.metric(malformed).await > before + 100.0);
    assert!(counted.await, "malformed messages are counted");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn byte_streams_that_lose_their_frame_are_answered_and_closed() {
    let bench = Bench::start(|config| config.sip.max_tcp_connections = 8).await;
    let address = bench.gateway.sip[0];
    let request = |fields: &str| {
        RequestText::new("OPTIONS", "sip:localhost").text(address, "TCP").replace("Content-Length: 0\r\n", fields)
    };
    for (text, expected) in [
        (request(""), "SIP/2.0 400"),
        (request("Content-Length: x\r\n"), "SIP/2.0 400"),
        (request("Content-Length: -5\r\n"), "SIP/2.0 400"),
        (request("Content-Length: 70000\r\n"), "SIP/2.0 513"),
        ("x".repeat(200_000), ""),
        ("\0\r\n\r\n".to_owned(), ""),
    ] {
        let answer = raw_sip(address, &text).await;
        assert!(answer.starts_with(expected), "{}: {answer}", shortened(&text));
    }
    // As many connections as may be, and one more; then half a message on each of them. Those from before have to be
    // over, since they count too.
    assert!(eventually(PATIENCE, async || bench.metric("wsg_sip_flows").await == 0.0).await);
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(address).await.expect("the gateway listens");
        stream.write_all(b"OPTIONS sip:localhost SIP/2.0\r\nVia: ").await.expect("it is open");
        held.push(stream);
    }
    assert!(eventually(PATIENCE, async || bench.metric("wsg_sip_flows").await == 8.0).await);
    let refused = "wsg_sip_refused_connections_total";
    let before = bench.metric(refused).await;
    assert_eq!(raw_sip(address, "\r\n\r\n").await, "");
    assert_eq!(bench.metric(refused).await, before + 1.0);
    // Slow senders get the time of a transaction, and the places are free again.
    let freed = eventually(Duration::from_secs(40), async || bench.metric("wsg_sip_flows").await == 0.0);
    assert!(freed.await, "connections that say nothing are closed");
    let mut end = Vec::new();
    assert!(matches!(held[0].read_to_end(&mut end).await, Ok(0) | Err(_)));
    let whole = request("Content-Length: 0\r\n");
    let mut stream = TcpStream::connect(address).await.expect("the gateway listens");
    stream.write_all(whole.as_bytes()).await.expect("it is open");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer comes");
    assert_eq!(&answer, b"SIP/2.0 200 ");
    drop((stream, held));
    bench.end().await;
}

/// Like [`raw`], but a connection that is refused at once may already be closed when we write.
async fn raw_sip(address: std::net::SocketAddr, text: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.expect("the gateway listens");
        let _ = stream.write_all(text.as_bytes()).await;
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response).await;
        String::from_utf8_lossy(&response).into_owned()
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("the gateway closes in time")
}

/// Calls `phone` from a client; returns the client and the INVITE.
async fn call(bench: &Bench, phone: &SipSocket) -> (Client, String) {
    let mut client = Client::sign_in(bench.gateway.http, "1002").await;
    let to = format!("sip:peer@{}", phone.address);
    let created = client.request("call.create", json!({ "to": to, "sdp": offer() })).await;
    assert!(created["result"]["callId"].is_string(), "{created}");
    let invite = phone.receive_request("INVITE").await;
    (client, invite)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sip_peer_that_never_answers_is_given_up() {
    let bench = Bench::start(|config| config.limits.ring_seconds = 3).await;
    // One that rings for ever: the ring timer, a CANCEL.
    let ringing = SipSocket::new(bench.gateway.sip[0]).await;
    let (mut client, invite) = call(&bench, &ringing).await;
    ringing.respond(&invite, "180 Ringing", "a", "").await;
    client.notification("call.ringing").await;
    let cancel = ringing.receive_request("CANCEL").await;
    assert_eq!(client.notification("call.ended").await["reason"], "no_answer");
    ringing.respond(&cancel, "200 OK", "a", "").await;
    ringing.respond(&invite, "487 Request Terminated", "a", "").await;
    ringing.receive_request("ACK").await;
    // One that says nothing at all.
    let silent = SipSocket::new(bench.gateway.sip[0]).await;
    let (mut client, _) = call(&bench, &silent).await;
    let ended = client.notification("call.ended").await;
    assert!(["no_answer", "unreachable"].contains(&ended["reason"].as_str().expect("a reason")), "{ended}");
    // One whose port is closed.
    let closed = SipSocket::new(bench.gateway.sip[0]).await;
    let (mut client, _) = call(&bench, &closed).await;
    drop(closed);
    client.notification("call.ended").await;
    bench.end_after(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sip_peer_that_answers_twice_or_with_garbage_is_dealt_with() {
    let bench = Bench::start(|_| {}).await;
    let phone = SipSocket::new(bench.gateway.sip[0]).await;
    let (mut client, invite) = call(&bench, &phone).await;
    for garbage in
        ["SIP/2.0 200 OK\r\n\r\n", "SIP/2.0 abc OK\r\n\r\n", "SIP/2.0 200 OK\r\nVia: x\r\n\r\n", "\u{1}\u{2}\u{3}xx"]
    {
        phone.send(garbage.as_bytes()).await;
    }
    phone.respond(&invite.replace("z9hG4bK", "z9hG4bKx"), "200 OK", "stranger", SDP).await;
    phone.respond(&invite, "200 OK", "first", SDP).await;
    let first = phone.receive_request("ACK").await;
    assert!(first.contains("tag=first"), "{first}");
    client.notification("call.answered").await;
    // The same answer again gets the ACK again; another phone's answer is acknowledged and hung up.
    for _ in 0..20 {
        phone.respond(&invite, "200 OK", "first", SDP).await;
        phone.receive_request("ACK").await;
    }
    phone.respond(&invite, "200 OK", "second", SDP).await;
    let second = phone.receive_request("ACK").await;
    assert!(second.contains("tag=second"), "{second}");
    let bye = phone.receive_request("BYE").await;
    assert!(bye.contains("tag=second"), "{bye}");
    phone.respond(&bye, "200 OK", "second", "").await;
    // Later failures and provisional responses change nothing.
    phone.respond(&invite, "486 Busy Here", "first", "").await;
    phone.respond(&invite, "180 Ringing", "first", "").await;
    client.request("session.signOut", json!({})).await;
    let bye = phone.receive_request("BYE").await;
    assert!(bye.contains("tag=first"), "{bye}");
    phone.respond(&bye, "200 OK", "first", "").await;
    // An answer that no call can be made of.
    for body in ["", "rubbish", &SDP.replace("RTP/AVP 0", "RTP/AVP 18")] {
        let (mut client, invite) = call(&bench, &phone).await;
        phone.respond(&invite, "200 OK", "t", body).await;
        let bye = phone.receive_request("BYE").await;
        phone.respond(&bye, "200 OK", "t", "").await;
        assert_eq!(client.notification("call.ended").await["reason"], "not_acceptable", "{body}");
        client.request("session.signOut", json!({})).await;
    }
    bench.end_after(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sip_peer_that_repeats_itself_for_ever_makes_one_call() {
    let bench = Bench::start(|_| {}).await;
    let phone = SipSocket::new(bench.gateway.sip[0]).await;
    let mut client = Client::sign_in(bench.gateway.http, "1002").await;
    let calls = bench.metric("wrtc_total_in_calls").await;
    let invite = RequestText::invite("1002", SDP);
    let text = invite.text(phone.address, "UDP");
    for _ in 0..500 {
        phone.send(text.as_bytes()).await;
    }
    let incoming = client.notification("call.incoming").await;
    let sdp = answer_to(incoming["sdp"].as_str().expect("an offer"));
    let answered = client.request("call.answer", json!({ "callId": incoming["callId"], "sdp": sdp })).await;
    assert_eq!(answered["result"], json!({}), "{answered}");
    let ok = loop {
        let response = phone.receive().await;
        if status(&response) == 200 {
            break response;
        }
    };
    // The caller never sends its ACK and repeats the INVITE instead: the 200 is repeated for 32 s, then it is over.
    for _ in 0..500 {
        phone.send(text.as_bytes()).await;
    }
    assert_eq!(bench.metric("wrtc_total_in_calls").await, calls + 1.0);
    let tag = field(&ok, "To").split_once(";tag=").expect("a tag").1.to_owned();
    let mut alive = tokio::time::interval(Duration::from_secs(3));
    let bye = loop {
        tokio::select! {
            _ = alive.tick() => drop(client.request("session.heartbeat", json!({})).await),
            bye = phone.receive_request("BYE") => break bye,
        }
    };
    assert!(field(&bye, "From").contains(&tag), "{bye}");
    phone.respond(&bye, "200 OK", "", "").await;
    assert_eq!(client.notification("call.ended").await["reason"], "unreachable");
    // A BYE that is repeated for ever is answered each time, and once it is forgotten it is for no call.
    let late = RequestText { to_tag: ";tag=gone", ..RequestText::new("BYE", "sip:1002@localhost") };
    for _ in 0..100 {
        assert_eq!(phone.exchange(&late).await.0, 481);
    }
    bench.end_after(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_garbage_is_dropped_and_counted() {
    let (low, high) = (31_000, 31_019);
    let bench = Bench::start(|config| {
        config.media.rtp_port_low = low;
        config.media.rtp_port_high = high;
    })
    .await;
    let dropped = async |reason: &str| {
        bench.metric(&format!("wsg_dropped_packets_total{{plane=\"media\",reason=\"{reason}\"}}")).await
    };
    let reasons =
        ["not_recognised", "malformed", "unknown_source", "out_of_state", "forbidden", "authentication_failed"];
    let before = {
        let mut sum = 0.0;
        for reason in reasons {
            sum += dropped(reason).await;
        }
        sum
    };
    let stranger = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
    let stun = [&[0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12], &[0, 6, 0, 4], b"a:bc"].concat();
    let hello = [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9][..], &[1; 9]].concat();
    let rtp = [&[0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 7][..], &[0x55; 160]].concat();
    let rtcp = [&[0x81, 200, 0, 6][..], &[0; 24]].concat();
    let garbage: [&[u8]; 9] = [&[], &[0], &[0x80], &stun, &stun[..19], &hello, &rtp, &rtcp, &[0xff; 2000]];
    for _ in 0..50 {
        for bytes in garbage {
            stranger.send_to(bytes, bench.healthy.media).await.expect("the socket works");
            for port in low..=high {
                // Most of these ports are closed.
                let _ = stranger.try_send_to(bytes, ([127, 0, 0, 1], port).into());
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let counted = eventually(PATIENCE, async || {
        let mut sum = 0.0;
        for reason in reasons {
            sum += dropped(reason).await;
        }
        sum >= before + 300.0
    });
    assert!(counted.await, "what a stranger sends is counted");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_vanishes_is_waited_for_and_then_forgotten() {
    let bench = Bench::start(|_| {}).await;
    let phone = SipSocket::new(bench.gateway.sip[0]).await;
    let (client, invite) = call(&bench, &phone).await;
    phone.respond(&invite, "200 OK", "t", SDP).await;
    phone.receive_request("ACK").await;
    let timeouts = bench.metric("wrtc_client_errors{type=\"timeout\"}").await;
    // Without a word: no sign-out, no close frame.
    drop(client);
    let bye = tokio::time::timeout(Duration::from_secs(45), async {
        loop {
            let mut buffer = [0; 4096];
            let len = phone.socket.recv(&mut buffer).await.expect("the socket works");
            let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
            if text.starts_with("BYE") {
                return text;
            }
        }
    });
    let bye = bye.await.expect("the phone is told");
    assert!(bye.contains("cause=27"), "{bye}");
    phone.respond(&bye, "200 OK", "t", "").await;
    assert_eq!(bench.metric("wrtc_client_errors{type=\"timeout\"}").await, timeouts + 1.0);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_used_up_port_range_is_told_to_both_sides() {
    // Two pairs: one is the healthy call's.
    let bench = Bench::start(|config| {
        config.media.rtp_port_low = 31_100;
        config.media.rtp_port_high = 31_103;
    })
    .await;
    let phone = SipSocket::new(bench.gateway.sip[0]).await;
    let (mut client, invite) = call(&bench, &phone).await;
    phone.respond(&invite, "180 Ringing", "t", "").await;
    let created = client.request("call.create", json!({ "to": "tone", "sdp": offer() })).await;
    let ended = client.notification("call.ended").await;
    assert_eq!((&ended["callId"], &ended["reason"]), (&created["result"]["callId"], &json!("too_many")), "{ended}");
    let (status, response) = phone.exchange(&RequestText::invite("1002", SDP)).await;
    assert_eq!(status, 503, "{response}");
    client.request("session.signOut", json!({})).await;
    let cancel = phone.receive_request("CANCEL").await;
    phone.respond(&cancel, "200 OK", "t", "").await;
    phone.respond(&invite, "487 Request Terminated", "t", "").await;
    bench.end_after(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_refuse_what_is_too_much_and_nothing_else() {
    let bench = Bench::start(|config| {
        config.limits.calls = 2;
        config.limits.sign_ins = 2;
        config.limits.calls_per_user = 1;
        let mut third = config.users[1].clone();
        third.name = "1003".to_owned();
        config.users.push(third);
    })
    .await;
    let phone = SipSocket::new(bench.gateway.sip[0]).await;
    let mut client = Client::sign_in(bench.gateway.http, "1002").await;
    let mut third = Client::connect(bench.gateway.http).await;
    let refused = third.request("session.signIn", json!({ "user": "1003", "password": "demo-1002" })).await;
    assert_eq!(reason(&refused), "too_many", "{refused}");
    let first = client.request("call.create", json!({ "to": "nobody", "sdp": offer() })).await;
    assert!(first["result"]["callId"].is_string(), "{first}");
    let second = client.request("call.create", json!({ "to": "nobody", "sdp": offer() })).await;
    assert_eq!(reason(&second), "too_many", "{second}");
    assert_eq!(phone.exchange(&RequestText::invite("1002", SDP)).await.0, 503);
    client.request("call.hangup", json!({ "callId": first["result"]["callId"] })).await;
    client.notification("call.ended").await;
    assert!(eventually(PATIENCE, async || bench.metric("wsg_calls").await == 1.0).await);
    let again = client.request("call.create", json!({ "to": "nobody", "sdp": offer() })).await;
    assert!(again["result"]["callId"].is_string(), "{again}");
    drop(third);
    bench.end_after(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_passwords_is_slowed_down_for_the_address_that_does_it() {
    let bench = Bench::start(|config| config.limits.wrong_passwords = 5).await;
    let address = bench.gateway.http;
    let guess = rpc_text("session.signIn", json!({ "user": "1002", "password": "guess" }));
    let mut reasons = Vec::new();
    for _ in 0..8 {
        reasons.push(reason(&rpc(address, None, &guess).await).to_owned());
    }
    assert_eq!(reasons[..5], ["wrong_credentials"; 5], "{reasons:?}");
    assert_eq!(reasons[5..], ["too_many"; 3], "{reasons:?}");
    // The right one is a guess like any other now, whatever the transport.
    let right = rpc(address, None, &rpc_text("session.signIn", credentials("1002"))).await;
    assert_eq!(reason(&right), "too_many", "{right}");
    let mut client = Client::connect(address).await;
    assert_eq!(reason(&client.request("session.signIn", credentials("1002")).await), "too_many");
    assert!(bench.metric("wsg_refused_password_checks_total").await >= 5.0);
    drop(client);
    bench.end().await;
}
