//! STUN Binding (RFC 8489), and NAT behaviour discovery (RFC 5780) where the server has the addresses for it.
//!
//! A client that may choose where answers come from and go to could aim them at others, so it is held to the limit of
//! strangers, and answers aren't longer than other unauthenticated ones. They never leave for another IP address than
//! the request's.

use std::net::SocketAddr;
use std::time::Instant;

use smallvec::SmallVec;

use crate::io::{DropReason, SocketId, Transmit};
use crate::stun::{Attribute, Message, Method};

use super::allocation::ClientPath;
use super::config::Discovery;
use super::reply::{Body, Code, Discovered, Failure, Reply};
use super::requests::known_attributes;
use super::{Listener, TurnServer};

/// What a client may ask for in addition.
const OFFERED: [Attribute; 3] = [Attribute::CHANGE_REQUEST, Attribute::RESPONSE_PORT, Attribute::PADDING];
/// Flags of CHANGE-REQUEST (RFC 5780 section 7.2).
const CHANGE_IP: u32 = 4;
const CHANGE_PORT: u32 = 2;
/// Longest PADDING of an answer: with the headers before it, more than an Ethernet frame carries (RFC 5780 section 7.6).
const MAX_PADDING: usize = 1500;

/// What a Binding request asks for.
#[derive(Debug, Default)]
struct Wanted {
    change_ip: bool,
    change_port: bool,
    response_port: Option<u16>,
    padding: Option<usize>,
}

impl TurnServer {
    /// The answer to a Binding request, and where it goes.
    pub(super) fn binding(
        &mut self,
        now: Instant,
        path: ClientPath,
        remote: SocketAddr,
        message: &Message<'_>,
    ) -> Result<(Reply, Transmit), DropReason> {
        if message.fingerprint() == Some(false) {
            return Err(DropReason::AuthenticationFailed);
        }
        let asks = OFFERED.iter().any(|attribute| message.get(*attribute).is_some());
        let costs_more = asks || self.config.discovery.is_some();
        let admitted = !costs_more || self.ledger.admit_refusal(now, remote.ip(), self.config.max_refusals);
        if asks && !admitted {
            return Err(DropReason::LimitReached);
        }
        let (body, transmit) = match self.mapped(path, remote, message, admitted) {
            Ok(answer) => answer,
            Err(failure) => (Body::Failure(failure), path.transmit()),
        };
        let reply = Reply::to(message, body);
        self.count_reply(&reply);
        Ok((reply, transmit))
    }

    /// Beyond a network's share of long answers, it is told its address and nothing else.
    fn mapped(
        &self,
        path: ClientPath,
        remote: SocketAddr,
        message: &Message<'_>,
        admitted: bool,
    ) -> Result<(Body, Transmit), Failure> {
        let discovery = match (path, self.config.discovery.as_ref().filter(|_| admitted)) {
            (ClientPath::Datagram { socket, .. }, Some(discovery)) => discovery.place(socket).zip(Some(discovery)),
            _ => None,
        };
        // RFC 5780 section 6.1: without a second address all of them are unknown.
        let known = |attribute: &Attribute| discovery.is_some() && OFFERED.contains(attribute);
        let unknown = message.unknown_required(known_attributes(Method::BINDING));
        let unknown: SmallVec<_> = unknown.into_iter().filter(|attribute| !known(attribute)).collect();
        if !unknown.is_empty() {
            return Err(Failure { unknown, ..Code::UnknownAttribute.into() });
        }
        let Some(([ip, port], Discovery { sockets })) = discovery else {
            return Ok((Body::Mapped(remote, None), path.transmit()));
        };
        let wanted = Wanted::read(message)?;
        let from: Listener = sockets[ip ^ usize::from(wanted.change_ip)][port ^ usize::from(wanted.change_port)];
        let other = sockets[1 - ip][1 - port].address;
        let discovered = Discovered { origin: from.address, other, padding: wanted.padding };
        let destination = SocketAddr::new(remote.ip(), wanted.response_port.unwrap_or(remote.port()));
        let transmit = Transmit::Datagram { socket: from.socket, destination };
        Ok((Body::Mapped(remote, Some(Box::new(discovered))), transmit))
    }
}

impl Wanted {
    fn read(message: &Message<'_>) -> Result<Self, Failure> {
        let mut wanted = Wanted::default();
        if let Some(flags) = message.u32(Attribute::CHANGE_REQUEST).map_err(|_| Code::BadRequest)? {
            wanted.change_ip = flags & CHANGE_IP != 0;
            wanted.change_port = flags & CHANGE_PORT != 0;
        }
        wanted.response_port = match message.get(Attribute::RESPONSE_PORT) {
            None => None,
            // The port, and where the client counts it in, the padding (RFC 5780 section 7.5).
            Some([0, 0] | [0, 0, _, _]) => return Err(Code::BadRequest.into()),
            Some([high, low] | [high, low, _, _]) => Some(u16::from_be_bytes([*high, *low])),
            Some(_) => return Err(Code::BadRequest.into()),
        };
        wanted.padding = message.get(Attribute::PADDING).map(|padding| padding.len().min(MAX_PADDING));
        // RFC 5780 section 6.1: a long answer is for the one who asked.
        if wanted.padding.is_some() && wanted.response_port.is_some() {
            return Err(Code::BadRequest.into());
        }
        Ok(wanted)
    }
}

impl Discovery {
    /// Which address and which port a socket has.
    fn place(&self, socket: SocketId) -> Option<[usize; 2]> {
        let places = [[0, 0], [0, 1], [1, 0], [1, 1]];
        places.into_iter().find(|[ip, port]| self.sockets[*ip][*port].socket == socket)
    }
}
