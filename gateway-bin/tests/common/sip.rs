//! SIP written by hand.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::UdpSocket;

use super::PATIENCE;

/// SDP of a phone that takes its media nowhere.
pub(crate) const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                              m=audio 9 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// Makes requests that differ in their branch and Call-ID.
#[derive(Clone)]
pub(crate) struct RequestText {
    pub(crate) method: &'static str,
    pub(crate) uri: String,
    pub(crate) to_tag: &'static str,
    /// More header fields, each with its line end.
    pub(crate) fields: String,
    pub(crate) body: String,
    pub(crate) number: u64,
}

impl RequestText {
    pub(crate) fn new(method: &'static str, uri: &str) -> Self {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let (fields, body) = (String::new(), String::new());
        RequestText { method, uri: uri.to_owned(), to_tag: "", fields, body, number }
    }

    /// An INVITE to a user, with an offer.
    pub(crate) fn invite(user: &str, offer: &str) -> Self {
        let body = offer.to_owned();
        RequestText {
            fields: "Content-Type: application/sdp\r\n".to_owned(),
            body,
            ..RequestText::new("INVITE", &format!("sip:{user}@localhost"))
        }
    }

    pub(crate) fn text(&self, from: SocketAddr, transport: &str) -> String {
        let RequestText { method, uri, to_tag, fields, body, number } = self;
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} {from};branch=z9hG4bK{number};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:caller@{from}>;tag=c{number}\r\nTo: <{uri}>{to_tag}\r\n\
             Call-ID: {number}@test\r\nCSeq: 1 {method}\r\nContact: <sip:caller@{from};transport={transport}>\r\n{fields}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// A UDP socket that speaks SIP by hand.
pub(crate) struct SipSocket {
    pub(crate) socket: UdpSocket,
    pub(crate) address: SocketAddr,
    gateway: SocketAddr,
}

impl SipSocket {
    pub(crate) async fn new(gateway: SocketAddr) -> Self {
        SipSocket::with(UdpSocket::bind("127.0.0.1:0").await.expect("a port is free"), gateway)
    }

    pub(crate) fn with(socket: UdpSocket, gateway: SocketAddr) -> Self {
        let address = socket.local_addr().expect("it is bound");
        SipSocket { socket, address, gateway }
    }

    pub(crate) async fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.gateway).await.expect("the socket works");
    }

    /// Sends a request and waits for its final response; an INVITE's failure is acknowledged.
    pub(crate) async fn exchange(&self, request: &RequestText) -> (u16, String) {
        self.send(request.text(self.address, "UDP").as_bytes()).await;
        loop {
            let response = self.receive().await;
            let status = status(&response);
            if status < 200 {
                continue;
            }
            if request.method == "INVITE" {
                self.send(ack(request, &response, self.address).as_bytes()).await;
            }
            return (status, response);
        }
    }

    pub(crate) async fn receive(&self) -> String {
        let mut buffer = vec![0; 65_536];
        let received = tokio::time::timeout(PATIENCE, self.socket.recv_from(&mut buffer)).await;
        let (len, _) = received.expect("a message comes in time").expect("the socket works");
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    }

    /// Skips everything before a request with this method.
    pub(crate) async fn receive_request(&self, method: &str) -> String {
        loop {
            let text = self.receive().await;
            if text.starts_with(method) {
                return text;
            }
        }
    }

    /// Answers a request with this status, a tag and a body.
    pub(crate) async fn respond(&self, request: &str, status: &str, tag: &str, body: &str) {
        let response = respond(request, status, tag, self.address, body);
        self.send(response.as_bytes()).await;
    }
}

pub(crate) fn status(response: &str) -> u16 {
    let status = response.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3));
    status.and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no response: {response}"))
}

/// The whole line of a header field.
pub(crate) fn field<'a>(message: &'a str, name: &str) -> &'a str {
    let mut lines = message.lines();
    lines.find(|line| line.starts_with(&format!("{name}:"))).unwrap_or_else(|| panic!("no {name}: {message}"))
}

/// The ACK to a failure (RFC 3261 section 17.1.1.3): of the same branch, with the response's To.
fn ack(request: &RequestText, response: &str, from: SocketAddr) -> String {
    let to_tag = field(response, "To").split_once(";tag=").map_or(String::new(), |(_, tag)| format!(";tag={tag}"));
    let ack = RequestText { method: "ACK", fields: String::new(), body: String::new(), ..request.clone() };
    ack.text(from, "UDP").replace(&format!("To: <{}>", request.uri), &format!("To: <{}>{to_tag}", request.uri))
}

pub(crate) fn respond(request: &str, status: &str, tag: &str, contact: SocketAddr, body: &str) -> String {
    let copied = ["Via", "From", "Call-ID", "CSeq"].map(|name| field(request, name)).join("\r\n");
    let to = field(request, "To");
    let tag = if to.contains(";tag=") { String::new() } else { format!(";tag={tag}") };
    let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "SIP/2.0 {status}\r\n{copied}\r\n{to}{tag}\r\nContact: <sip:{contact}>\r\n{content}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
