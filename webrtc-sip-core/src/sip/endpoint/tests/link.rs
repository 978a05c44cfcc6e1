//! Two endpoints, a fake clock, and a network between them that may lose, repeat and reorder.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::crypto::CryptoProvider;
use crate::ids::DialogId;
use crate::io::{FlowId, PacketBuf, SocketId, Transmit};
use crate::rng::Rng;
use crate::sip::endpoint::*;
use crate::sip::{Message, NameAddr, Uri};

pub(super) const SOCKET: SocketId = SocketId(1);

/// What the network does to datagrams.
#[derive(Clone, Copy, Default)]
pub(super) struct Weather {
    pub(super) loss: f64,
    pub(super) repeat: f64,
    /// Largest delay beyond the fixed 10 ms.
    pub(super) jitter_ms: u64,
    /// Byte streams arrive in pieces of up to this many bytes.
    pub(super) piece: usize,
}

enum Parcel {
    Datagram { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    Piece { to: usize, flow: FlowId, bytes: Vec<u8> },
    Opened { to: usize, flow: FlowId, local: SocketAddr, remote: SocketAddr },
    Closed { to: usize, flow: FlowId },
}

pub(super) struct Link {
    pub(super) now: Instant,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) events: Vec<Vec<SipEvent>>,
    /// Start lines of all datagrams and stream messages, as sent, with the sender's number.
    pub(super) sent: Vec<(usize, String)>,
    /// The messages themselves.
    pub(super) messages: Vec<(usize, Vec<u8>)>,
    pub(super) weather: Weather,
    /// No datagram from this endpoint arrives.
    pub(super) muted: [bool; 2],
    /// Whether byte streams can be opened.
    pub(super) streams: bool,
    rng: Rng,
    parcels: BTreeMap<(Instant, u64), Parcel>,
    serial: u64,
    /// The other end of each flow.
    flows: BTreeMap<(usize, FlowId), (usize, FlowId)>,
    accepted: u64,
    /// When the last piece of a flow arrives, so that pieces stay in order.
    last_piece: BTreeMap<(usize, FlowId), Instant>,
}

pub(super) fn config(address: &str) -> EndpointConfig {
    let bound = address.parse().unwrap();
    EndpointConfig {
        sockets: vec![SipSocketConfig { socket: SOCKET, bound, advertised: bound }],
        ..EndpointConfig::default()
    }
}

impl Link {
    pub(super) fn new(seed: u8) -> Self {
        Link::with_configs(seed, config("192.0.2.1:5060"), config("192.0.2.2:5060"))
    }

    pub(super) fn with_configs(seed: u8, a: EndpointConfig, b: EndpointConfig) -> Self {
        let crypto = CryptoProvider::seeded(&[seed; 32]);
        let addresses = vec![a.sockets[0].bound, b.sockets[0].bound];
        let endpoints = vec![
            Endpoint::new(a, crypto.clone(), &[seed; 32]),
            Endpoint::new(b, crypto, &[seed.wrapping_add(100); 32]),
        ];
        Link {
            now: Instant::now(),
            endpoints,
            addresses,
            events: vec![Vec::new(), Vec::new()],
            sent: Vec::new(),
            messages: Vec::new(),
            weather: Weather::default(),
            muted: [false; 2],
            streams: true,
            rng: Rng::split(&[seed; 32], "link"),
            parcels: BTreeMap::new(),
            serial: 0,
            flows: BTreeMap::new(),
            accepted: 0,
            last_piece: BTreeMap::new(),
        }
    }

    fn post(&mut self, at: Instant, parcel: Parcel) {
        self.serial += 1;
        self.parcels.insert((at, self.serial), parcel);
    }

    /// Collects what the endpoints have to send and to say.
    pub(super) fn collect(&mut self) {
        for index in 0..self.endpoints.len() {
            let mut storage = [0; 65_536];
            loop {
                let mut out = PacketBuf::empty(&mut storage, 0);
                let Some(route) = self.endpoints[index].poll_transmit(self.now, &mut out) else { break };
                let bytes = out.as_slice().to_vec();
                self.carry(index, route, bytes);
            }
            while let Some(event) = self.endpoints[index].poll_event() {
                self.carry_event(index, &event);
                self.events[index].push(event);
            }
        }
    }

    fn carry(&mut self, from: usize, route: Transmit, bytes: Vec<u8>) {
        let line = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned();
        self.sent.push((from, line));
        self.messages.push((from, bytes.clone()));
        let base = self.now + Duration::from_millis(10);
        match route {
            Transmit::Datagram { destination, .. } | Transmit::Unfragmented { destination, .. } => {
                let copies = 1 + usize::from(self.rng.chance(self.weather.repeat));
                for _ in 0..copies {
                    let at = base + Duration::from_millis(self.rng.below(self.weather.jitter_ms + 1));
                    if !self.rng.chance(self.weather.loss) && !self.muted[from] {
                        let from = self.addresses[from];
                        self.post(at, Parcel::Datagram { from, to: destination, bytes: bytes.clone() });
                    }
                }
            }
            Transmit::Stream(flow) => {
                let Some((to, flow)) = self.flows.get(&(from, flow)).copied() else { return };
                let piece = if self.weather.piece == 0 { bytes.len() } else { self.weather.piece };
                for piece in bytes.chunks(piece.max(1)) {
                    let last = self.last_piece.get(&(to, flow)).copied().unwrap_or(base);
                    let at = last.max(base);
                    self.last_piece.insert((to, flow), at);
                    self.post(at, Parcel::Piece { to, flow, bytes: piece.to_vec() });
                }
            }
        }
    }

    fn carry_event(&mut self, from: usize, event: &SipEvent) {
        let at = self.now + Duration::from_millis(10);
        match event {
            SipEvent::OpenFlow { flow, remote } => {
                let to = self.addresses.iter().position(|address| address == remote).filter(|_| self.streams);
                let Some(to) = to else { return self.post(at, Parcel::Closed { to: from, flow: *flow }) };
                self.accepted += 1;
                let accepted = FlowId(self.accepted);
                self.flows.insert((from, *flow), (to, accepted));
                self.flows.insert((to, accepted), (from, *flow));
                let port = 40_000 + self.accepted as u16;
                let local = SocketAddr::new(self.addresses[from].ip(), port);
                self.post(at, Parcel::Opened { to: from, flow: *flow, local, remote: *remote });
                self.post(at, Parcel::Opened { to, flow: accepted, local: *remote, remote: local });
            }
            SipEvent::CloseFlow { flow } => self.close(from, *flow),
            _ => {}
        }
    }

    /// Closes one end of a byte stream.
    pub(super) fn close(&mut self, from: usize, flow: FlowId) {
        if let Some((to, other)) = self.flows.remove(&(from, flow)) {
            self.flows.remove(&(to, other));
            self.post(self.now + Duration::from_millis(10), Parcel::Closed { to, flow: other });
        }
    }

    /// The flows that an endpoint has.
    pub(super) fn flows_of(&self, index: usize) -> Vec<FlowId> {
        self.flows.keys().filter(|(of, _)| *of == index).map(|(_, flow)| *flow).collect()
    }

    /// Runs until nothing is due before `duration` has passed.
    pub(super) fn run(&mut self, duration: Duration) {
        self.run_with(duration, |_| {});
    }

    /// The same, with a chance to react after every step.
    pub(super) fn run_with(&mut self, duration: Duration, mut react: impl FnMut(&mut Link)) {
        let end = self.now + duration;
        for _ in 0..2_000_000 {
            self.collect();
            react(self);
            self.collect();
            let parcel = self.parcels.keys().next().map(|(at, _)| *at);
            let timers = self.endpoints.iter().filter_map(Endpoint::poll_timeout);
            let Some(next) = timers.chain(parcel).min().filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            for endpoint in &mut self.endpoints {
                endpoint.handle_timeout(self.now);
            }
            while let Some(entry) = self.parcels.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let parcel = entry.remove();
                self.hand_over(parcel);
            }
        }
        panic!("the endpoints never come to rest");
    }

    fn hand_over(&mut self, parcel: Parcel) {
        let now = self.now;
        match parcel {
            Parcel::Datagram { from, to, bytes } => {
                if let Some(index) = self.addresses.iter().position(|address| *address == to) {
                    self.endpoints[index].handle_datagram(now, SOCKET, from, &bytes);
                }
            }
            Parcel::Piece { to, flow, bytes } => self.endpoints[to].handle_flow_data(now, flow, &bytes),
            Parcel::Opened { to, flow, local, remote } => {
                self.endpoints[to].handle_flow_opened(now, flow, local, remote);
            }
            Parcel::Closed { to, flow } => self.endpoints[to].handle_flow_closed(now, flow),
        }
    }

    /// Lets endpoint 0 call endpoint 1.
    pub(super) fn call(&mut self, transport: Transport) -> DialogId {
        let invite = self.invitation(transport);
        self.endpoints[0].invite(self.now, invite).unwrap()
    }

    pub(super) fn invitation(&self, transport: Transport) -> Invite {
        let destination = Destination { transport, address: self.addresses[1] };
        let from = address("Alice <sip:alice@atlanta.example.com>");
        Invite::new(destination, uri("sip:bob@biloxi.example.com"), from, "offer")
    }

    /// The dialog of the latest incoming INVITE at an endpoint.
    pub(super) fn incoming(&self, index: usize) -> Option<DialogId> {
        self.events[index].iter().rev().find_map(|event| match event {
            SipEvent::IncomingInvite(invite) => Some(invite.dialog),
            _ => None,
        })
    }

    /// Events as short texts, without those about byte streams.
    pub(super) fn told(&self, index: usize) -> Vec<String> {
        let events = self.events[index].iter();
        events.map(describe).filter(|text| !text.is_empty()).collect()
    }

    /// Start lines sent by an endpoint, without version and Request-URI.
    pub(super) fn lines(&self, index: usize) -> Vec<&str> {
        let sent = self.sent.iter().filter(|(from, _)| *from == index);
        sent.map(|(_, line)| line.strip_prefix("SIP/2.0 ").unwrap_or(line)).map(short).collect()
    }

    /// Parsed messages that an endpoint sent, whose start line contains a text.
    pub(super) fn parsed(&self, index: usize, line: &str) -> Vec<Message> {
        let all = self.messages.iter().filter(|(from, _)| *from == index);
        let matching = all.filter(|(_, bytes)| {
            String::from_utf8_lossy(bytes).lines().next().is_some_and(|first| first.contains(line))
        });
        matching.map(|(_, bytes)| Message::parse(bytes).unwrap()).collect()
    }

    /// Fails unless everything that could go has gone.
    pub(super) fn assert_all_freed(&mut self) {
        for endpoint in &self.endpoints {
            let stats = endpoint.stats();
            assert_eq!((stats.transactions, stats.dialogs, stats.registrations), (0, 0, 0), "{stats:?}");
            assert_eq!(stats.timers, stats.flows, "only idle flows are watched: {stats:?}");
        }
    }
}

fn short(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

fn describe(event: &SipEvent) -> String {
    let text = |body: &Bytes| String::from_utf8_lossy(body).into_owned();
    match event {
        SipEvent::IncomingInvite(invite) => format!("invite {}", text(&invite.body)),
        SipEvent::Ringing { status, body, .. } => format!("ringing {status} {}", text(body)).trim_end().to_owned(),
        SipEvent::Answered { body, .. } => format!("answered {}", text(body)),
        SipEvent::Confirmed { body, .. } => format!("confirmed {}", text(body)).trim_end().to_owned(),
        SipEvent::Failed { failure, .. } => format!("failed {}", failure.status),
        SipEvent::Cancelled { reason, .. } => {
            format!("cancelled {}", reason.as_ref().and_then(|r| r.cause).map_or(String::new(), |c| c.to_string()))
                .trim_end()
                .to_owned()
        }
        SipEvent::Reinvited { body, .. } => format!("reinvited {}", text(body)).trim_end().to_owned(),
        SipEvent::ReinviteAnswered { body, .. } => format!("reinvite answered {}", text(body)),
        SipEvent::ReinviteFailed { status, .. } => format!("reinvite failed {status}"),
        SipEvent::Info { body, .. } => format!("info {}", text(body)),
        SipEvent::Ended { reason, .. } => match reason {
            Ended::Bye(Some(reason)) => format!("ended by bye {}", reason.cause.unwrap_or(0)),
            Ended::Bye(None) => "ended by bye".to_owned(),
            other => format!("ended {other:?}"),
        },
        SipEvent::Registered { expires, .. } => format!("registered {}", expires.as_secs()),
        SipEvent::RegistrationFailed { status, .. } => format!("registration failed {status}"),
        SipEvent::Unregistered { .. } => "unregistered".to_owned(),
        SipEvent::OpenFlow { .. } | SipEvent::CloseFlow { .. } => String::new(),
    }
}

pub(super) fn uri(text: &str) -> Uri {
    text.parse().unwrap()
}

pub(super) fn address(text: &str) -> NameAddr {
    text.parse().unwrap()
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
