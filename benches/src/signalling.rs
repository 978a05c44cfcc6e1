//! Clients of the signalling protocol: WebSocket, WebSocket over TLS, long polling. None of them blocks once signed in.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use serde_json::{Value, json};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

use crate::process::GatewayProcess;

const BUFFER_BYTES: usize = 4096;

/// How a client reaches the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A WebSocket, encrypted when the gateway has TLS.
    WebSocket,
    /// A pending long poll; requests on a connection that is closed after each.
    LongPolling,
}

/// What the gateway said.
#[derive(Clone, Debug)]
pub enum Said {
    /// The answer to the request with this number: the result, or the error's reason.
    Response(u64, Result<Value, String>),
    /// A notification: method and parameters.
    Notification(String, Value),
}

/// Any byte stream.
trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

enum Link {
    WebSocket(Box<WebSocket<Box<dyn Stream>>>),
    /// Held open; nothing comes on it while nothing happens.
    Polling {
        _events: Box<dyn Stream>,
    },
}

/// A signed-in user.
pub struct SignedIn {
    link: Link,
    last_id: u64,
    /// Number of the last notification.
    last_seq: u64,
}

/// Makes clients; one for many, because TLS settings are shared.
pub struct Connector {
    gateway: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

impl Connector {
    /// Towards this gateway.
    pub fn new(gateway: &GatewayProcess) -> Self {
        let tls = gateway.tls.then(|| Arc::new(trusting_config()));
        Connector { gateway: gateway.http, tls }
    }

    /// Opens a way to the gateway and signs in as `u{user}`.
    pub fn sign_in(&self, way: Way, user: usize) -> SignedIn {
        let params = json!({"user": format!("u{user}"), "password": format!("u{user}")});
        match way {
            Way::WebSocket => {
                let (stream, socket) = self.connect();
                let config = WebSocketConfig::default().read_buffer_size(BUFFER_BYTES).write_buffer_size(0);
                let url = format!("ws://{}/v1/ws", self.gateway);
                let (websocket, _) = tungstenite::client::client_with_config(url, stream, Some(config))
                    .expect("the gateway takes WebSockets");
                let mut client = SignedIn { link: Link::WebSocket(Box::new(websocket)), last_id: 0, last_seq: 0 };
                let id = client.request("session.signIn", params);
                while !matches!(client.poll(), Some(Said::Response(answered, Ok(_))) if answered == id) {}
                socket.set_nonblocking(true).expect("it is a socket");
                client
            }
            Way::LongPolling => {
                let message = json!({"jsonrpc": "2.0", "id": 1, "method": "session.signIn", "params": params});
                let answer = self.post(None, &message);
                let token = answer["result"]["token"].as_str().expect("the password is right").to_owned();
                let (mut events, _) = self.connect();
                let request = format!(
                    "GET /v1/events?after=0 HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\r\n",
                    self.gateway
                );
                events.write_all(request.as_bytes()).expect("the gateway takes requests");
                events.flush().expect("the gateway takes requests");
                let heartbeat = json!({"jsonrpc": "2.0", "id": 2, "method": "session.heartbeat", "params": {}});
                self.post(Some(&token), &heartbeat);
                SignedIn { link: Link::Polling { _events: events }, last_id: 2, last_seq: 0 }
            }
        }
    }

    fn connect(&self) -> (Box<dyn Stream>, TcpStream) {
        let socket = TcpStream::connect(self.gateway).expect("the gateway listens");
        socket.set_nodelay(true).expect("it is a socket");
        let other = socket.try_clone().expect("descriptors are left");
        let Some(config) = &self.tls else { return (Box::new(socket), other) };
        let name = ServerName::from(self.gateway.ip());
        let connection = ClientConnection::new(Arc::clone(config), name).expect("the settings are valid");
        (Box::new(StreamOwned::new(connection, socket)), other)
    }

    fn post(&self, token: Option<&str>, message: &Value) -> Value {
        let (mut stream, _) = self.connect();
        let (body, gateway) = (message.to_string(), self.gateway);
        let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!(
            "POST /v1/rpc HTTP/1.1\r\nHost: {gateway}\r\n{bearer}Content-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("the gateway takes requests");
        stream.flush().expect("the gateway takes requests");
        let mut response = Vec::new();
        // Closing without a TLS close_notify is an error here and none of ours.
        let _ = stream.read_to_end(&mut response);
        let response = String::from_utf8_lossy(&response);
        let (_, body) = response.split_once("\r\n\r\n").expect("it is an HTTP response");
        serde_json::from_str(body).expect("the gateway answers with JSON")
    }
}

impl SignedIn {
    /// Sends a request and returns its number.
    pub fn request(&mut self, method: &str, params: Value) -> u64 {
        self.last_id += 1;
        let text = json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}).to_string();
        match &mut self.link {
            // Small messages on loopback: the kernel's buffer takes them.
            Link::WebSocket(websocket) => websocket.send(Message::text(text)).expect("the gateway reads"),
            Link::Polling { .. } => unreachable!("a client that polls is idle here"),
        }
        self.last_id
    }

    /// Says that the user is there, and which notifications need not be kept any more.
    pub fn heartbeat(&mut self) {
        self.request("session.heartbeat", json!({ "after": self.last_seq }));
    }

    /// What has arrived; none when there is nothing (yet).
    pub fn poll(&mut self) -> Option<Said> {
        let Link::WebSocket(websocket) = &mut self.link else { return None };
        loop {
            match websocket.read() {
                Ok(Message::Text(text)) => {
                    let said = read_message(&text);
                    if let Said::Notification(_, params) = &said {
                        self.last_seq = params["seq"].as_u64().expect("notifications are numbered");
                    }
                    return Some(said);
                }
                Ok(Message::Close(frame)) => panic!("the gateway closed the WebSocket: {frame:?}"),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) => panic!("the WebSocket broke: {error}"),
            }
        }
    }
}

fn read_message(text: &str) -> Said {
    let mut message: Value = serde_json::from_str(text).expect("the gateway sends JSON");
    if let Some(method) = message["method"].as_str() {
        return Said::Notification(method.to_owned(), message["params"].take());
    }
    let id = message["id"].as_u64().expect("a response has its request's number");
    if message.get("error").is_some() {
        let reason = message["error"]["data"]["reason"].as_str().unwrap_or("no reason").to_owned();
        return Said::Response(id, Err(reason));
    }
    Said::Response(id, Ok(message["result"].take()))
}

pub(crate) fn trusting_config() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Trusting(provider.signature_verification_algorithms.supported_schemes());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the usual suites")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth()
}

/// Takes any certificate: the gateway's was made a moment ago, and it is memory that is measured.
#[derive(Debug)]
struct Trusting(Vec<SignatureScheme>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
