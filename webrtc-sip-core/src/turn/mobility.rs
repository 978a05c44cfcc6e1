//! Clients that change their address and keep their allocation (RFC 8016).
//!
//! A Refresh request with a ticket, from the new place, settles where the allocation goes; the client's first packet from
//! there brings it there. Until then the old place is served, by the server that has the allocation.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::ids::{AllocationId, RequestId};
use crate::io::DropReason;
use crate::stun::{Attribute, Message, Method};

use super::allocation::ClientPath;
use super::arrival::{Arrival, Expected};
use super::event::RelayTransport;
use super::handover::{Question, Wish};
use super::reply::{Body, Code, Failure, Reply};
use super::ticket::{SealedTicket, Ticket, Tickets};
use super::{AllocationKey, Deadline, MAX_EVENTS, MAX_OUTGOING, TurnEvent, TurnServer};

/// How long another server may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Clients on the move.
const MAX_MOVES: usize = 1024;

/// What makes an allocation mobile.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mobility {
    pub(super) serial: u32,
    /// The server that the client was last seen at with a ticket, until it goes on from there.
    pub(super) next: Option<u8>,
    /// The client's connection is closed, and it didn't come back yet.
    pub(super) absent: bool,
}

/// Who comes with a ticket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visitor {
    serial: u32,
    /// The server that its request came to.
    pub(super) server: u8,
}

/// A Refresh request with a ticket, until it is answered.
pub(super) struct Visit {
    path: ClientPath,
    remote: SocketAddr,
    request: Box<[u8]>,
    ticket: Ticket,
    /// How many servers the allocation was looked for at.
    tried: u8,
}

/// What another server was asked for.
pub(super) enum Asked {
    /// To carry out a Refresh request.
    Refresh(Visit),
    /// To give away the allocation of the client that has arrived here.
    Allocation(ClientPath),
}

/// How a Refresh request with a ticket was answered.
#[derive(Debug)]
pub(super) struct Refreshed {
    /// None where it is dropped.
    reply: Option<Reply>,
    /// Where it is a success.
    arrival: Option<Arrival>,
}

/// The clients on the move.
pub(super) struct Moves {
    tickets: Tickets,
    /// The allocations whose clients asked for tickets.
    pub(super) mobile: HashMap<AllocationId, AllocationKey>,
    pub(super) expected: HashMap<ClientPath, Expected>,
    asked: BTreeMap<RequestId, Asked>,
    /// Packets that waited for an allocation, and wait no more.
    pub(super) ready: VecDeque<(ClientPath, SocketAddr, Box<[u8]>)>,
}

impl Moves {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Moves {
            tickets: Tickets::new(key),
            mobile: HashMap::new(),
            expected: HashMap::new(),
            asked: BTreeMap::new(),
            ready: VecDeque::new(),
        }
    }

    /// Requests that wait for another server.
    pub(super) fn waiting(&self) -> usize {
        self.asked.len()
    }
}

/// Tickets.
impl TurnServer {
    /// Whether an Allocate request wants a ticket: it has an empty one then (RFC 8016 section 3.1). The connections of an
    /// allocation of TCP are between two places; they can't be taken along.
    pub(super) fn wants_ticket(&self, message: &Message<'_>, transport: RelayTransport) -> Result<bool, Failure> {
        match message.get(Attribute::MOBILITY_TICKET) {
            None => Ok(false),
            Some(_) if !self.config.mobility || transport == RelayTransport::Tcp => Err(Code::MobilityForbidden.into()),
            Some([]) => Ok(true),
            Some(_) => Err(Code::BadRequest.into()),
        }
    }

    /// The ticket of an allocation as it is now.
    pub(super) fn ticket(&self, key: AllocationKey) -> Option<SealedTicket> {
        let allocation = &self.allocations[key];
        let Mobility { serial, next, .. } = allocation.mobility?;
        let home = self.config.server_number;
        let ticket = Ticket { allocation: allocation.id, serial, home, next: next.unwrap_or(home) };
        Some(self.moves.tickets.seal(ticket))
    }

    /// The ticket of ours that somebody shows with a Refresh request who has no allocation where they are. Only who is there
    /// for sure, by a nonce for this address, makes us look for the allocation: a false address leaves nothing behind.
    pub(super) fn shown_ticket(
        &self,
        now: Instant,
        path: ClientPath,
        remote: SocketAddr,
        message: &Message<'_>,
    ) -> Option<Ticket> {
        let text = message.get(Attribute::MOBILITY_TICKET).filter(|_| self.config.mobility)?;
        let nonce = message.text(Attribute::NONCE).ok().flatten()?;
        let is_there = self.nonces.is_fresh(nonce, self.unix_seconds(now), remote);
        if message.method() != Method::REFRESH || !is_there || self.by_client.contains_key(&path) {
            return None;
        }
        self.moves.tickets.open(text)
    }

    /// Whether this is the ticket that brought the client to where it is: the request comes again.
    pub(super) fn brought_here(&self, key: AllocationKey, ticket: &[u8]) -> bool {
        let allocation = &self.allocations[key];
        self.moves.tickets.open(ticket).zip(allocation.mobility).is_some_and(|(ticket, mobility)| {
            ticket.allocation == allocation.id && ticket.serial.wrapping_add(1) == mobility.serial
        })
    }

    /// Settles that the client goes on from where it shows its ticket. The one before the newest is good too until it does:
    /// the answer with the newest may not have reached it.
    pub(super) fn settle_move(&mut self, key: AllocationKey, visitor: Visitor) -> Result<(), Failure> {
        let mobility = self.allocations[key].mobility.as_mut().ok_or(Code::AllocationMismatch)?;
        if visitor.serial == mobility.serial {
            mobility.serial = mobility.serial.wrapping_add(1);
        } else if mobility.next.is_none() || visitor.serial.wrapping_add(1) != mobility.serial {
            return Err(Code::AllocationMismatch.into());
        }
        mobility.next = Some(visitor.server);
        Ok(())
    }
}

/// Refresh requests with a ticket (RFC 8016 section 3.2).
impl TurnServer {
    /// Takes a request; the answer comes later.
    pub(super) fn take_visit(
        &mut self,
        now: Instant,
        path: ClientPath,
        remote: SocketAddr,
        message: Message<'_>,
        ticket: Ticket,
    ) -> Result<(), DropReason> {
        let full = self.moves.expected.len() + self.moves.asked.len() >= MAX_MOVES;
        if full || self.outgoing.len() >= MAX_OUTGOING || self.events.len() >= MAX_EVENTS {
            return Err(DropReason::LimitReached);
        }
        let request = message.as_bytes().into();
        self.look_for_allocation(now, Visit { path, remote, request, ticket, tried: 0 });
        Ok(())
    }

    /// The allocation is where the ticket was made, or has gone on to where the client was then. In this order, so that it
    /// isn't missed on its way.
    fn look_for_allocation(&mut self, now: Instant, mut visit: Visit) {
        let Ticket { home, next, .. } = visit.ticket;
        while let Some(server) = [home, next].get(usize::from(visit.tried)).copied() {
            visit.tried += 1;
            if server != self.config.server_number {
                let asker = self.config.server_number;
                let (remote, request, ticket) = (visit.remote, visit.request.clone(), visit.ticket);
                let wish = Wish::Refresh { asker, remote, request, ticket };
                return self.ask(now, server, Asked::Refresh(visit), wish);
            }
            if let Some(refreshed) = self.refresh_by_ticket(now, server, visit.remote, &visit.request, visit.ticket) {
                return self.answer_visit(now, &visit, refreshed);
            }
        }
        // There is no such allocation: what is said to everybody without one, if they are who they say.
        let refused = self.as_reply(&visit.request, |server, message| {
            server.authenticated_request(now, visit.path, visit.remote, message, None, None)
        });
        self.answer_visit(now, &visit, refused);
    }

    /// Carries out a request that came to server `server`; none where the allocation isn't here.
    pub(super) fn refresh_by_ticket(
        &mut self,
        now: Instant,
        server: u8,
        remote: SocketAddr,
        request: &[u8],
        ticket: Ticket,
    ) -> Option<Refreshed> {
        let key = self.moves.mobile.get(&ticket.allocation).copied()?;
        let path = self.allocations[key].terms.client;
        let visitor = Visitor { serial: ticket.serial, server };
        let mut refreshed = self.as_reply(request, |server, message| {
            server.authenticated_request(now, path, remote, message, Some(key), Some(visitor))
        });
        // It is gone where the lifetime that was asked for is zero.
        let stays = self.moves.mobile.get(&ticket.allocation) == Some(&key);
        if stays
            && refreshed.reply.as_ref().is_some_and(Reply::is_success)
            && let Some(Mobility { serial, absent, .. }) = self.allocations[key].mobility
        {
            let home = self.config.server_number;
            refreshed.arrival = Some(Arrival { allocation: ticket.allocation, serial, home, at_once: absent });
        }
        Some(refreshed)
    }

    fn as_reply(
        &mut self,
        request: &[u8],
        carry_out: impl FnOnce(&mut Self, Message<'_>) -> Result<Option<Reply>, DropReason>,
    ) -> Refreshed {
        let message = Message::parse(request).map_err(|_| DropReason::Malformed);
        let reply = match message.and_then(|message| carry_out(self, message)) {
            Ok(reply) => reply,
            Err(reason) => {
                self.drops.count(reason);
                None
            }
        };
        Refreshed { reply, arrival: None }
    }

    fn answer_visit(&mut self, now: Instant, visit: &Visit, refreshed: Refreshed) {
        // The connection may be closed by now.
        if !self.is_open(visit.path) {
            return;
        }
        if let Some(reply) = refreshed.reply {
            self.count_reply(&reply);
            self.outgoing.push_back((visit.path.transmit(), reply));
        }
        if let Some(arrival) = refreshed.arrival {
            self.expect(now, visit.path, visit.remote, arrival);
        }
    }

    /// What another server made of a request; none where it hasn't got the allocation.
    pub(super) fn visit_answered(&mut self, now: Instant, id: RequestId, refreshed: Option<Refreshed>) {
        match (self.take_asked(id), refreshed) {
            (Some(Asked::Refresh(visit)), Some(refreshed)) => self.answer_visit(now, &visit, refreshed),
            (Some(Asked::Refresh(visit)), None) => self.look_for_allocation(now, visit),
            // Too late: the client has been told something else.
            _ => {}
        }
    }

    pub(super) fn ask(&mut self, now: Instant, server: u8, asked: Asked, wish: Wish) {
        let id = RequestId(self.request_ids.draw());
        self.timers.set(Deadline::Asked(id), now + ANSWER_TIMEOUT);
        self.moves.asked.insert(id, asked);
        self.events.push_back(TurnEvent::Ask { id, server, question: Question(wish) });
    }

    pub(super) fn take_asked(&mut self, id: RequestId) -> Option<Asked> {
        self.timers.cancel(&Deadline::Asked(id));
        self.moves.asked.remove(&id)
    }

    /// A server that was asked can't be reached, or didn't answer in time. Says whether one was asked.
    pub(super) fn unanswered(&mut self, now: Instant, id: RequestId) -> bool {
        match self.take_asked(id) {
            None => return false,
            Some(Asked::Refresh(visit)) => {
                let refreshed =
                    self.as_reply(&visit.request, |server, message| Ok(Some(server.busy(now, visit.remote, &message))));
                self.answer_visit(now, &visit, refreshed);
            }
            Some(Asked::Allocation(path)) => self.allocation_stays_away(path),
        }
        true
    }

    /// 508, signed where the client is who it says without a look at its allocation.
    fn busy(&self, now: Instant, remote: SocketAddr, message: &Message<'_>) -> Reply {
        let reply = Reply::to(message, Body::Failure(Code::InsufficientCapacity.into()));
        match self.realms.asked_for(message).check(message, remote, self.unix_seconds(now), &self.nonces, None) {
            Ok(owner) => reply.signed((owner.algorithm, owner.key)),
            Err(_) => reply,
        }
    }
}
