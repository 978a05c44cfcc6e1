//! One endpoint whose far side is the test itself.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::link::{SOCKET, config};
use crate::crypto::CryptoProvider;
use crate::io::{PacketBuf, Transmit};
use crate::sip::endpoint::*;
use crate::sip::{HeaderName, Message, Request, Response};

pub(super) struct Scripted {
    pub(super) now: Instant,
    pub(super) endpoint: Endpoint,
    pub(super) peer: SocketAddr,
}

impl Scripted {
    pub(super) fn new() -> Self {
        Scripted::with_config(config("192.0.2.1:5060"))
    }

    pub(super) fn with_config(config: EndpointConfig) -> Self {
        let crypto = CryptoProvider::seeded(&[1; 32]);
        Scripted {
            now: Instant::now(),
            endpoint: Endpoint::new(config, crypto, &[2; 32]),
            peer: "192.0.2.7:5060".parse().unwrap(),
        }
    }

    pub(super) fn receive(&mut self, message: impl Into<Message>) {
        let bytes = message.into().to_bytes();
        self.endpoint.handle_datagram(self.now, SOCKET, self.peer, &bytes);
    }

    pub(super) fn receive_text(&mut self, text: &str) {
        self.endpoint.handle_datagram(self.now, SOCKET, self.peer, text.as_bytes());
    }

    /// Lets time pass, all deadlines met on the way.
    pub(super) fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.endpoint.handle_timeout(self.now);
        // Polled outputs would hold the deadline at the present; what is pending is of no interest here.
        while let Some(next) = self.endpoint.timers.next_deadline().filter(|next| *next <= end) {
            self.now = next;
            self.endpoint.handle_timeout(next);
        }
        self.now = end;
    }

    /// Everything that is to be sent, with where it goes.
    pub(super) fn sent_to(&mut self) -> Vec<(Transmit, Message)> {
        let mut storage = vec![0; 65_536];
        let mut sent = Vec::new();
        loop {
            let mut out = PacketBuf::empty(&mut storage, 0);
            let Some(route) = self.endpoint.poll_transmit(self.now, &mut out) else { return sent };
            sent.push((route, Message::parse(out.as_slice()).unwrap()));
        }
    }

    pub(super) fn requests(&mut self) -> Vec<Request> {
        let sent = self.sent_to().into_iter();
        sent.filter_map(|(_, message)| if let Message::Request(request) = message { Some(request) } else { None })
            .collect()
    }

    pub(super) fn responses(&mut self) -> Vec<Response> {
        let sent = self.sent_to().into_iter();
        sent.filter_map(|(_, message)| if let Message::Response(response) = message { Some(response) } else { None })
            .collect()
    }

    pub(super) fn statuses(&mut self) -> Vec<u16> {
        self.responses().iter().map(|response| response.status).collect()
    }

    pub(super) fn events(&mut self) -> Vec<SipEvent> {
        std::iter::from_fn(|| self.endpoint.poll_event()).collect()
    }
}

/// A response with a To tag and a Contact.
pub(super) fn reply(request: &Request, status: u16, tag: &str) -> Response {
    let mut response = request.response(status);
    let to = response.headers.to().unwrap().with_tag(tag);
    response.headers.set(HeaderName::To, to);
    response.headers.push(HeaderName::Contact, "<sip:bob@192.0.2.7>");
    response
}

/// A request from the peer; `extra` are more header lines, `cseq` the number.
pub(super) fn request_text(method: &str, branch: &str, cseq: u32, to_tag: &str, extra: &str) -> String {
    let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
    format!(
        "{method} sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK{branch}\r\n\
         From: <sip:carol@192.0.2.7>;tag=c\r\nTo: <sip:bob@192.0.2.1>{to_tag}\r\nCall-ID: call\r\n\
         CSeq: {cseq} {method}\r\nContact: <sip:carol@192.0.2.7>\r\nMax-Forwards: 70\r\n{extra}\r\n"
    )
}
