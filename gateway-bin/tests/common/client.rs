//! A JSON-RPC client over a WebSocket, and SDP that a browser might send.

use std::collections::VecDeque;
use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use webrtc_sip_core::codec::CodecKind;
use webrtc_sip_core::sdp::{IceCredentials, WebRtcLocal, WebRtcNegotiator};

use super::PATIENCE;

/// One WebSocket.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
    next_id: u64,
    /// Notifications that nobody has looked at yet.
    pub(crate) notifications: VecDeque<Value>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the gateway listens");
        let url = format!("ws://{address}/v1/ws");
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.expect("the gateway takes WebSockets");
        Client { socket, next_id: 0, notifications: VecDeque::new() }
    }

    /// Connects and signs in as one of the demo users.
    pub(crate) async fn sign_in(address: SocketAddr, user: &str) -> Self {
        let mut client = Client::connect(address).await;
        let response = client.request("session.signIn", credentials(user)).await;
        assert!(response["result"]["token"].is_string(), "{response}");
        client
    }

    /// Sends a request and waits for its response.
    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params).await;
        self.response(id).await
    }

    /// Sends a request; returns its id.
    pub(crate) async fn send(&mut self, method: &str, params: Value) -> u64 {
        self.next_id += 1;
        let text = json!({ "jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params }).to_string();
        self.send_text(text).await;
        self.next_id
    }

    pub(crate) async fn send_text(&mut self, text: String) {
        self.socket.send(Message::Text(text.into())).await.expect("the link is open");
    }

    pub(crate) async fn response(&mut self, id: u64) -> Value {
        loop {
            let message = self.message().await;
            if message["method"].is_string() {
                self.notifications.push_back(message);
            } else if message["id"] == id {
                return message;
            }
        }
    }

    /// The next message of any kind.
    pub(crate) async fn message(&mut self) -> Value {
        let text = loop {
            match self.frame().await {
                Some(Message::Text(text)) => break text,
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("the link ended: {other:?}"),
            }
        };
        serde_json::from_str(&text).expect("the gateway sends JSON")
    }

    /// The next frame; none when the connection is over.
    pub(crate) async fn frame(&mut self) -> Option<Message> {
        let frame = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("something comes in time");
        frame.and_then(Result::ok)
    }

    /// The close code with which the gateway ends the link.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.frame().await {
                Some(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
                Some(_) => {}
                None => return None,
            }
        }
    }

    /// Waits for a notification; those before it are dropped.
    pub(crate) async fn notification(&mut self, method: &str) -> Value {
        loop {
            let message = match self.notifications.pop_front() {
                Some(message) => message,
                None => self.message().await,
            };
            if message["method"] == method {
                return message["params"].clone();
            }
        }
    }
}

/// The `reason` of an error response.
pub(crate) fn reason(response: &Value) -> &str {
    response["error"]["data"]["reason"].as_str().unwrap_or_default()
}

/// Name and password of a demo user.
pub(crate) fn credentials(user: &str) -> Value {
    json!({ "user": user, "password": format!("demo-{user}") })
}

/// What a browser at `candidate` offers or answers with.
pub(crate) fn negotiator(candidate: SocketAddr, fingerprint: [u8; 32], ice: IceCredentials) -> WebRtcNegotiator {
    let local = WebRtcLocal {
        ice,
        ice_lite: false,
        candidates: vec![candidate],
        fingerprint,
        ssrc: 7,
        msid: "browser audio".to_owned(),
        cname: "browser".to_owned(),
        codecs: vec![CodecKind::Pcmu],
        comfort_noise: false,
    };
    WebRtcNegotiator::new(local, 1)
}

pub(crate) fn ice_credentials() -> IceCredentials {
    IceCredentials { ufrag: "abcd".to_owned(), password: "abcdefghijklmnopqrstuvwx".to_owned() }
}

fn nowhere() -> WebRtcNegotiator {
    negotiator("127.0.0.1:9".parse().expect("it is an address"), [7; 32], ice_credentials())
}

/// An offer whose media never come.
pub(crate) fn offer() -> String {
    nowhere().offer(None).0
}

/// An answer whose media never come.
pub(crate) fn answer_to(offer: &str) -> String {
    nowhere().answer(offer, ice_credentials()).expect("the gateway's offer can be answered").0
}
