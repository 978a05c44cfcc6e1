//! A gateway whose shell, clients and SIP peer are the test itself.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::codec::CodecKind;
use crate::crypto::CryptoProvider;
use crate::gateway::*;
use crate::ids::{LinkId, RequestId, ShardId};
use crate::io::{PacketBuf, SocketId, Transmit};
use crate::media::{LegStats, MediaCommand, MediaEvent};
use crate::net::IpNetwork;
use crate::sdp::{IceCredentials, WebRtcLocal, WebRtcNegotiator};
use crate::sip::{HeaderName, Message, Method, Request as SipRequest, Response};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const ALICE: LinkId = LinkId(1);
const SIP: SocketId = SocketId(0);

pub(super) struct Fixture {
    pub(super) now: Instant,
    pub(super) gateway: Gateway,
    /// Everything that clients were sent.
    pub(super) messages: Vec<(LinkId, Value)>,
    pub(super) closed: Vec<(LinkId, u16)>,
    /// SIP messages that nobody has looked at.
    pub(super) sip: Vec<Message>,
    /// Where the last SIP message went.
    pub(super) destination: Option<SocketAddr>,
    pub(super) commands: Vec<MediaCommand>,
    /// Questions that this shell leaves to the test.
    pub(super) questions: Vec<(RequestId, Request)>,
    pub(super) ended: Vec<CallRecord>,
    /// What changed about the proxy.
    pub(super) proxy: Vec<ProxyNews>,
    /// How often it was said that a drain is complete.
    pub(super) drained: usize,
    /// Whether questions about users are left to the test, too.
    pub(super) slow_directory: bool,
    /// RTP port pairs in use.
    pub(super) bound: usize,
    ports: u16,
    ids: u64,
}

pub(super) fn config() -> GatewayConfig {
    let address = |text: &str| text.parse().unwrap();
    GatewayConfig {
        sip_sockets: vec![SipSocket {
            socket: SIP,
            bound: address("192.0.2.1:5060"),
            advertised: address("192.0.2.1:5060"),
        }],
        shards: vec![ShardAddresses { shard: ShardId(0), candidates: vec![address("192.0.2.1:40000")] }],
        routes: vec![Route {
            matches: RouteMatch::Exactly(vec!["phone".into()]),
            target: SipTarget { host: "192.0.2.7".into(), port: 5060, tcp: false },
        }],
        trusted: vec![IpNetwork { address: "192.0.2.0".parse().unwrap(), prefix_len: 24 }],
        ..GatewayConfig::default()
    }
}

/// As `config`, with an upstream proxy at this host.
pub(super) fn with_proxy(host: &str) -> GatewayConfig {
    let target = SipTarget { host: host.into(), port: 5060, tcp: false };
    let proxy = SipProxy { target, domain: "example.org".into(), registration_lifetime: 600 * SECOND };
    GatewayConfig { proxy: Some(proxy), routes: Vec::new(), trusted: Vec::new(), ..config() }
}

pub(super) fn peer() -> SocketAddr {
    "192.0.2.7:5060".parse().unwrap()
}

impl Fixture {
    pub(super) fn new(config: GatewayConfig) -> Self {
        let now = Instant::now();
        let wall_clock = SystemTime::UNIX_EPOCH + 1_800_000_000 * SECOND;
        let gateway = Gateway::new(now, wall_clock, config, CryptoProvider::seeded(&[3; 32]), &[4; 32]);
        let mut fixture = Fixture {
            now,
            gateway,
            messages: Vec::new(),
            closed: Vec::new(),
            sip: Vec::new(),
            destination: None,
            commands: Vec::new(),
            questions: Vec::new(),
            ended: Vec::new(),
            proxy: Vec::new(),
            drained: 0,
            slow_directory: false,
            bound: 0,
            ports: 0,
            ids: 0,
        };
        fixture.drain();
        fixture
    }

    /// Alice signed in, and talking to the phone that she called: its tag is `phone`, and the INVITE that it got.
    pub(super) fn talking() -> (Self, String, SipRequest) {
        let mut f = Fixture::new(config());
        f.sign_in(ALICE, "1001");
        let call = f.call(ALICE, "phone");
        let invite = f.sent(Method::Invite);
        f.respond(&invite, 200, "phone", &sdp(1, "sendrecv"));
        f.sent(Method::Ack);
        (f, call, invite)
    }

    pub(super) fn drain(&mut self) {
        let mut storage = vec![0; 65_536];
        loop {
            let mut out = PacketBuf::empty(&mut storage, 0);
            if let Some(route) = self.gateway.poll_transmit(self.now, &mut out) {
                if let Transmit::Datagram { destination, .. } = route {
                    self.destination = Some(destination);
                }
                self.sip.push(Message::parse(out.as_slice()).unwrap());
            } else if let Some(event) = self.gateway.poll_event() {
                self.execute(event);
            } else {
                return;
            }
        }
    }

    fn execute(&mut self, event: GatewayEvent) {
        match event {
            GatewayEvent::ClientSend { link, text } => {
                self.messages.push((link, serde_json::from_str(&text).unwrap()));
            }
            GatewayEvent::ClientClose { link, status, .. } => self.closed.push((link, status)),
            GatewayEvent::Media { command, .. } => {
                if let MediaCommand::RemoveLeg { leg } = command {
                    let removed = MediaEvent::LegRemoved { leg, stats: LegStats::default() };
                    self.gateway.handle_media_event(self.now, removed);
                }
                self.commands.push(command);
            }
            GatewayEvent::Request { id, request: Request::Authenticate { user, .. } } if !self.slow_directory => {
                let sip_credentials = Some(SipCredentials { user: user.clone(), password: "secret".into() });
                let identity = Identity { user, display_name: None, sip_credentials };
                self.gateway.handle_answer(self.now, id, Answer::Identity(Ok(identity)));
            }
            GatewayEvent::Request { id, request: Request::BindMediaPorts { shard, .. } } => {
                self.bound += 1;
                self.ports += 2;
                let [rtp, rtcp] = [self.ports, self.ports + 1].map(|port| SocketId(port.into()));
                let advertised = SocketAddr::new("192.0.2.1".parse().unwrap(), 20_000 + self.ports);
                let ports = MediaPorts { shard, rtp, rtcp, advertised };
                self.gateway.handle_answer(self.now, id, Answer::MediaPorts(Some(ports)));
            }
            GatewayEvent::Request { id, request } => self.questions.push((id, request)),
            GatewayEvent::ReleaseMediaPorts { .. } => self.bound -= 1,
            GatewayEvent::CallEnded(record) => self.ended.push(*record),
            GatewayEvent::Proxy(news) => self.proxy.push(news),
            GatewayEvent::Drained => self.drained += 1,
            _ => {}
        }
    }

    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.gateway.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.gateway.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Waits while Alice's client goes on saying that it is there.
    pub(super) fn stay(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let heartbeat = br#"{"jsonrpc":"2.0","method":"session.heartbeat"}"#;
            self.gateway.handle_client_message(self.now, ALICE, None, heartbeat);
            self.wait((end - self.now).min(4 * SECOND));
        }
    }

    // Clients

    pub(super) fn sign_in(&mut self, link: LinkId, user: &str) -> String {
        self.gateway.handle_websocket_opened(self.now, link);
        let result = self.ask(link, "session.signIn", json!({ "user": user, "password": "x" }));
        result["result"]["token"].as_str().expect("signed in").to_owned()
    }

    /// Sends a request over a WebSocket; the whole response.
    pub(super) fn ask(&mut self, link: LinkId, method: &str, params: Value) -> Value {
        self.ids += 1;
        let id = self.ids;
        let text = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string();
        self.gateway.handle_client_message(self.now, link, None, text.as_bytes());
        self.drain();
        let response = self.messages.iter().find(|(to, message)| *to == link && message["id"] == id);
        response.map(|(_, message)| message.clone()).unwrap_or_default()
    }

    /// Calls somebody; the id of the call.
    pub(super) fn call(&mut self, link: LinkId, to: &str) -> String {
        let (offer, _) = browser().offer(None);
        let response = self.ask(link, "call.create", json!({ "to": to, "sdp": offer }));
        response["result"]["callId"].as_str().unwrap_or_else(|| panic!("{response}")).to_owned()
    }

    /// Answers the call that was offered last.
    pub(super) fn answer(&mut self, link: LinkId) -> Value {
        let (call, sdp) = self.offered(link);
        let (answer, _) = browser().answer(&sdp, ice("fresh")).unwrap();
        self.ask(link, "call.answer", json!({ "callId": call, "sdp": answer }))
    }

    pub(super) fn offered(&self, link: LinkId) -> (String, String) {
        let calls = self.messages.iter().rev().filter(|(to, _)| *to == link);
        let (_, incoming) = calls.into_iter().find(|(_, m)| m["method"] == "call.incoming").expect("a call came in");
        let text = |name: &str| incoming["params"][name].as_str().unwrap().to_owned();
        (text("callId"), text("sdp"))
    }

    /// The notifications that a client was sent since the last look, with their `by`, `reason` or nothing.
    pub(super) fn told(&mut self, link: LinkId) -> Vec<String> {
        let mut told = Vec::new();
        self.messages.retain(|(to, message)| {
            let Some(method) = message["method"].as_str().filter(|_| *to == link) else { return true };
            let params = &message["params"];
            let detail = params["reason"].as_str().or(params["by"].as_str()).unwrap_or_default();
            told.push(format!("{method} {detail}").trim().to_owned());
            false
        });
        told
    }

    // The outside

    /// Answers the look-up of a name that was asked for last.
    pub(super) fn resolve(&mut self, addresses: &[&str]) {
        let (id, question) = self.questions.pop().expect("a name is looked up");
        assert!(matches!(question, Request::Resolve { .. }));
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.gateway.handle_answer(self.now, id, Answer::Addresses(addresses));
        self.drain();
    }

    // The SIP peer

    pub(super) fn receive(&mut self, message: impl Into<Message>) {
        self.gateway.handle_sip_datagram(self.now, SIP, peer(), &message.into().to_bytes());
        self.drain();
    }

    /// The last request of this method that was sent; forgets everything before.
    #[track_caller]
    pub(super) fn sent(&mut self, method: Method) -> SipRequest {
        self.requests(method).pop().expect("such a request was sent")
    }

    pub(super) fn requests(&mut self, method: Method) -> Vec<SipRequest> {
        let sent = std::mem::take(&mut self.sip).into_iter();
        sent.filter_map(|message| match message {
            Message::Request(request) if request.method == method => Some(request),
            _ => None,
        })
        .collect()
    }

    /// The last response with this status.
    #[track_caller]
    pub(super) fn response(&mut self, status: u16) -> Response {
        let sent = std::mem::take(&mut self.sip).into_iter();
        let mut responses: Vec<Response> = sent
            .filter_map(|message| match message {
                Message::Response(response) => Some(response),
                Message::Request(_) => None,
            })
            .collect();
        let statuses: Vec<u16> = responses.iter().map(|response| response.status).collect();
        responses.retain(|response| response.status == status);
        responses.pop().unwrap_or_else(|| panic!("{statuses:?}"))
    }

    pub(super) fn respond(&mut self, request: &SipRequest, status: u16, tag: &str, body: &str) {
        let mut response = request.response(status);
        let to = response.headers.to().unwrap().with_tag(tag);
        response.headers.set(HeaderName::To, to);
        response.headers.push(HeaderName::Contact, "<sip:phone@192.0.2.7>");
        if !body.is_empty() {
            response.headers.push(HeaderName::ContentType, "application/sdp");
            response.body = body.to_owned().into();
        }
        self.receive(response);
    }

    /// A request of the phone: outside a dialog to Alice, or in the dialog that `ours` (a request or response of the
    /// gateway) belongs to.
    pub(super) fn phone(&mut self, method: &str, cseq: u32, ours: Option<(&str, &str, &str)>, extra: &str, body: &str) {
        let (call_id, from_tag, to_tag) = ours.unwrap_or(("incoming", "phone", ""));
        let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
        self.ids += 1;
        let branch = match method {
            // A CANCEL is known by its INVITE's branch (RFC 3261 section 9.1).
            "CANCEL" | "INVITE" if ours.is_none() => "first".to_owned(),
            _ => format!("b{}", self.ids),
        };
        let number = if method == "ACK" { format!("{cseq} ACK") } else { format!("{cseq} {method}") };
        let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{method} sip:1001@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK{branch}\r\n\
             From: <sip:phone@192.0.2.7>;tag={from_tag}\r\nTo: <sip:1001@192.0.2.1>{to_tag}\r\nCall-ID: {call_id}\r\n\
             CSeq: {number}\r\nContact: <sip:phone@192.0.2.7>\r\nMax-Forwards: 70\r\n{extra}{content}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.gateway.handle_sip_datagram(self.now, SIP, peer(), text.as_bytes());
        self.drain();
    }

    /// Everything that calls hold is given back.
    #[track_caller]
    pub(super) fn nothing_is_left(&mut self) {
        self.wait(40 * SECOND);
        let stats = self.gateway.stats();
        assert_eq!((stats.calls, stats.legs, stats.requests), (0, 0, 0), "{stats:?}");
        assert_eq!((stats.sip.dialogs, stats.sip.transactions, stats.sip.timers), (0, 0, 0), "{stats:?}");
        assert_eq!(self.bound, 0);
    }
}

/// How the phone names a dialog of the gateway's making: Call-ID, the phone's tag, the gateway's tag.
pub(super) fn dialog_of(invite: &SipRequest) -> (String, String) {
    let tag = invite.headers.from().unwrap().tag().unwrap().to_owned();
    (invite.headers.call_id().unwrap().to_string(), tag)
}

/// The phone's description.
pub(super) fn sdp(version: u32, direction: &str) -> String {
    format!(
        "v=0\r\no=- 1 {version} IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
         m=audio 6000 RTP/AVP 0\r\na={direction}\r\n"
    )
}

/// The direction and the version in a description of the gateway's.
pub(super) fn direction_of(body: &[u8]) -> (String, u64) {
    let text = std::str::from_utf8(body).unwrap();
    let directions = ["sendrecv", "sendonly", "recvonly", "inactive"];
    let direction = directions.into_iter().find(|name| text.contains(&format!("a={name}"))).unwrap();
    let origin = text.lines().find(|line| line.starts_with("o=")).unwrap();
    (direction.to_owned(), origin.split(' ').nth(2).unwrap().parse().unwrap())
}

fn ice(name: &str) -> IceCredentials {
    IceCredentials { ufrag: name.to_owned(), password: "a-password-of-24-letters".to_owned() }
}

pub(super) fn browser() -> WebRtcNegotiator {
    let local = WebRtcLocal {
        ice: ice("browser"),
        ice_lite: false,
        fingerprint: [0xb0; 32],
        candidates: vec!["192.0.2.50:50000".parse().unwrap()],
        ssrc: 1,
        cname: "browser".to_owned(),
        msid: "browser audio".to_owned(),
        codecs: vec![CodecKind::Opus, CodecKind::Pcmu],
        comfort_noise: false,
    };
    WebRtcNegotiator::new(local, 1)
}
