//! Requests of clients that have to say who they are: Allocate, Refresh, CreatePermission, ChannelBind; those of RFC 6062 are
//! in [`super::tcp`].

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::ids::{AllocationId, RequestId};
use crate::io::DropReason;
use crate::stun::{Attribute, Message, Method};

use super::allocation::{Allocation, ChannelError, ClientPath, Owner, Terms};
use super::arrival::ABSENCE;
use super::auth::AuthError;
use super::event::{AllocationEnd, BindRelay, RelayPort, RelaySocket, RelayTransport, TurnEvent};
use super::ledger::Seat;
use super::mobility::Visitor;
use super::quota::Account;
use super::reply::{Allocated, Body, Challenge, Code, Failure, Reply};
use super::{AllocationKey, Deadline, Family, MAX_EVENTS, MAX_OUTGOING, TurnServer};

/// How long the owner may take to bind sockets, or another server to give one.
const BIND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a reserved port waits for the second allocation (RFC 8656 section 7.2).
const RESERVATION_LIFETIME: Duration = Duration::from_secs(30);
/// Number of UDP in REQUESTED-TRANSPORT (RFC 8656 section 18.8).
const UDP: u8 = 17;
/// That of TCP (RFC 6062 section 4.1).
const TCP: u8 = 6;
/// Channel numbers that may be bound. RFC 8656 section 12 ends them at 0x4fff; clients of RFC 5766 (section 11), coturn's
/// among them, draw from all of these.
const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x7ffe;
/// What there are requests of; others are no more answered than what isn't STUN (RFC 8489 section 6.3).
const METHODS: [Method; 6] = [
    Method::ALLOCATE,
    Method::REFRESH,
    Method::CREATE_PERMISSION,
    Method::CHANNEL_BIND,
    Method::CONNECT,
    Method::CONNECTION_BIND,
];
/// Peers in one CreatePermission request.
const MAX_PEERS: usize = 32;

/// An Allocate request that waits for its sockets.
pub(super) struct Pending {
    terms: Terms,
    bind: BindRelay,
    /// A family that was asked for besides and that there is none of.
    unsupported: Option<Family>,
    /// Complete but for its body.
    reply: Reply,
}

impl Pending {
    pub(super) fn account(&self) -> &Account {
        self.terms.seat.account()
    }
}

/// The port above an allocation's, kept for the client that shows the token (RFC 8656 section 7.2). The token's first byte
/// is the number of the server that made it.
#[derive(Debug)]
pub(super) struct Reservation {
    pub(super) relay: RelaySocket,
    pub(super) expires: Instant,
    account: Account,
}

/// A request of somebody who is known.
pub(super) struct Authenticated<'a> {
    pub(super) now: Instant,
    pub(super) path: ClientPath,
    remote: SocketAddr,
    pub(super) message: Message<'a>,
    pub(super) owner: Owner,
    /// The client's allocation, or that of the connection it names.
    pub(super) allocation: Option<AllocationKey>,
    /// Comes from a new place, with the allocation's ticket.
    visitor: Option<Visitor>,
}

/// What an Allocate request asks for.
struct Wanted {
    transport: RelayTransport,
    families: SmallVec<[Family; 2]>,
    /// Asked for besides, but there is none of it.
    unsupported: Option<Family>,
    port: RelayPort,
    token: Option<[u8; 8]>,
    lifetime: Duration,
    mobile: bool,
}

/// What a request brought about: an answer now, or later.
pub(super) type Outcome = Result<Option<Body>, Failure>;

impl TurnServer {
    /// The answer to a request; none where it comes later.
    pub(super) fn request(
        &mut self,
        now: Instant,
        path: ClientPath,
        remote: SocketAddr,
        message: Message<'_>,
    ) -> Result<Option<Reply>, DropReason> {
        if message.fingerprint() == Some(false) {
            return Err(DropReason::AuthenticationFailed);
        }
        if !METHODS.contains(&message.method()) {
            return Err(DropReason::NotRecognised);
        }
        let reply = match self.shown_ticket(now, path, remote, &message) {
            Some(ticket) => return self.take_visit(now, path, remote, message, ticket).map(|()| None),
            None => self.request_of_client(now, path, remote, message)?,
        };
        if let Some(reply) = &reply {
            self.count_reply(reply);
        }
        Ok(reply)
    }

    pub(super) fn count_reply(&mut self, reply: &Reply) {
        match reply.error_index() {
            Some(index) => self.stats.refused[index] += 1,
            None => self.stats.succeeded += 1,
        }
    }

    fn request_of_client(
        &mut self,
        now: Instant,
        path: ClientPath,
        remote: SocketAddr,
        message: Message<'_>,
    ) -> Result<Option<Reply>, DropReason> {
        if message.method() == Method::CONNECTION_BIND {
            let allocation = self.allocation_of_connection(&message);
            return self.authenticated_request(now, path, remote, message, allocation, None);
        }
        match self.allocation_of(now, path, message.as_bytes()) {
            Ok(Some(key)) => self.authenticated_request(now, path, remote, message, Some(key), None),
            Err(DropReason::UnknownSource) => self.authenticated_request(now, path, remote, message, None, None),
            Ok(None) => Ok(None),
            Err(reason) => Err(reason),
        }
    }

    /// None when the answer comes later.
    pub(super) fn authenticated_request(
        &mut self,
        now: Instant,
        path: ClientPath,
        remote: SocketAddr,
        message: Message<'_>,
        allocation: Option<AllocationKey>,
        visitor: Option<Visitor>,
    ) -> Result<Option<Reply>, DropReason> {
        let known = allocation.map(|key| &self.allocations[key].terms.owner);
        let credentials = self.realms.asked_for(&message);
        let checked = credentials.check(&message, remote, self.unix_seconds(now), &self.nonces, known);
        let owner = match checked {
            Ok(owner) => owner,
            Err(error) => return self.refuse(now, remote, &message, error).map(Some),
        };
        let signature = (owner.algorithm, owner.key.clone());
        let request = Authenticated { now, path, remote, message, owner, allocation, visitor };
        let outcome = self.carry_out(&request);
        let body = match outcome {
            Ok(None) => return Ok(None),
            Ok(Some(body)) => body,
            Err(failure) => Body::Failure(failure),
        };
        Ok(Some(Reply::to(&message, body).signed(signature)))
    }

    /// The answer to somebody unknown. There are only so many of them for each network, so that a flood under a false
    /// address does little harm to its owner.
    fn refuse(
        &self,
        now: Instant,
        remote: SocketAddr,
        message: &Message<'_>,
        error: AuthError,
    ) -> Result<Reply, DropReason> {
        if !self.ledger.admit_refusal(now, remote.ip(), self.config.max_refusals) {
            return Err(DropReason::LimitReached);
        }
        let challenge = || {
            let nonce = self.nonces.make(self.unix_seconds(now), remote);
            let credentials = self.realms.asked_for(message);
            let (realm, server_name) = (credentials.realm().clone(), credentials.server_name());
            Some(Box::new(Challenge { realm, nonce, server_name }))
        };
        let failure = match error {
            AuthError::BadRequest => Failure::from(Code::BadRequest),
            AuthError::Unauthenticated => Failure { challenge: challenge(), ..Code::Unauthenticated.into() },
            AuthError::StaleNonce => Failure { challenge: challenge(), ..Code::StaleNonce.into() },
        };
        Ok(Reply::to(message, Body::Failure(failure)))
    }

    fn carry_out(&mut self, request: &Authenticated<'_>) -> Outcome {
        let mut unknown = request.message.unknown_required(known_attributes(request.message.method()));
        if self.config.dont_fragment && request.message.method() == Method::ALLOCATE {
            // Asks for what Send indications may say (RFC 8656 section 7.1).
            unknown.retain(|attribute| *attribute != Attribute::DONT_FRAGMENT);
        }
        if !unknown.is_empty() {
            return Err(Failure { unknown, ..Code::UnknownAttribute.into() });
        }
        if let Some(key) = request.allocation {
            let owner = &mut self.allocations[key].terms.owner;
            let elsewhere = request.visitor.is_some() || request.message.method() == Method::CONNECTION_BIND;
            let may = if elsewhere { owner.is_same_as(&request.owner) } else { owner.admits(&request.owner) };
            match request.message.method() {
                _ if may => {}
                // Whoever had the address before, it can't be had now (RFC 8656 section 7.2).
                Method::ALLOCATE => return Err(Code::AllocationMismatch.into()),
                _ => return Err(Code::WrongCredentials.into()),
            }
            // What was shown last counts from now on: a token may follow another.
            owner.clone_from(&request.owner);
        }
        match request.message.method() {
            Method::ALLOCATE => self.allocate(request),
            Method::REFRESH => self.refresh(request),
            Method::CREATE_PERMISSION => self.create_permission(request),
            Method::CHANNEL_BIND => self.channel_bind(request),
            Method::CONNECT => self.connect(request),
            Method::CONNECTION_BIND => self.connection_bind(request),
            _ => Err(Code::BadRequest.into()),
        }
    }

    /// RFC 8656 section 7.2, in its order.
    fn allocate(&mut self, request: &Authenticated<'_>) -> Outcome {
        if let Some(key) = request.allocation {
            let allocation = &self.allocations[key];
            if allocation.terms.transaction != request.message.transaction() {
                return Err(Code::AllocationMismatch.into());
            }
            // The same request again: our answer was lost.
            return Ok(Some(self.allocated(key)));
        }
        if self.pending_clients.contains_key(&request.path) {
            return Ok(None);
        }
        let wanted = self.wanted(request)?;
        if let Some(alternate) = self.draining {
            // Of the same family as the client's address (RFC 8489 section 14.15).
            let alternate = alternate.filter(|alternate| Family::of(*alternate) == Family::of(request.remote));
            return Err(Failure { alternate, ..Code::TryAlternate.into() });
        }
        let seat = self.seat_for(&request.owner)?;
        let taken = self.allocations.len() + self.pending.len();
        let full = taken >= self.config.max_allocations || self.events.len() >= MAX_EVENTS;
        if full || self.owed_answers() >= MAX_OUTGOING {
            return Err(Code::InsufficientCapacity.into());
        }
        let pending = self.pending_for(request, seat, &wanted);
        match wanted.token {
            Some(token) if token[0] == self.config.server_number => {
                self.allocate_reserved(request.now, &token, pending)
            }
            Some(token) => {
                self.ask_for_reservation(request.now, token, pending);
                Ok(None)
            }
            None => {
                self.ask_for_sockets(request.now, pending);
                Ok(None)
            }
        }
    }

    /// A place within the limits of the user, the tenant and everybody.
    fn seat_for(&mut self, owner: &Owner) -> Result<Seat, Failure> {
        // It was there a moment ago, when the request was checked.
        let quotas = self.realms.quotas(&owner.realm).ok_or(Code::WrongCredentials)?;
        self.ledger.admit(&owner.account(), &quotas).ok_or_else(|| {
            self.stats.over_quota += 1;
            Code::QuotaReached.into()
        })
    }

    fn pending_for(&self, request: &Authenticated<'_>, seat: Seat, wanted: &Wanted) -> Pending {
        let signature = (request.owner.algorithm, request.owner.key.clone());
        Pending {
            terms: Terms {
                client: request.path,
                remote: request.remote,
                transport: self.transport_of(request.path),
                relay_transport: wanted.transport,
                owner: request.owner.clone(),
                seat,
                transaction: request.message.transaction(),
                lifetime: wanted.lifetime,
                mobile: wanted.mobile,
            },
            bind: BindRelay { transport: wanted.transport, families: wanted.families.clone(), port: wanted.port },
            unsupported: wanted.unsupported,
            reply: Reply::to(&request.message, Body::Done).signed(signature),
        }
    }

    fn wanted(&self, request: &Authenticated<'_>) -> Result<Wanted, Failure> {
        let message = &request.message;
        let transport = match message.get(Attribute::REQUESTED_TRANSPORT) {
            Some([UDP, _, _, _]) => RelayTransport::Udp,
            Some([TCP, _, _, _]) => {
                self.check_tcp_allocate(request.path, message)?;
                RelayTransport::Tcp
            }
            Some([_, _, _, _]) => return Err(Code::TransportNotSupported.into()),
            _ => return Err(Code::BadRequest.into()),
        };
        let token = match message.get(Attribute::RESERVATION_TOKEN) {
            Some(token) => Some(token.try_into().map_err(|_| Code::BadRequest)?),
            None => None,
        };
        let named = message.get(Attribute::REQUESTED_ADDRESS_FAMILY).is_some();
        let additional = message.get(Attribute::ADDITIONAL_ADDRESS_FAMILY).is_some();
        let port = match message.get(Attribute::EVEN_PORT) {
            None => RelayPort::Any,
            Some(_) if token.is_some() => return Err(Code::BadRequest.into()),
            // The topmost bit asks for the port above too (RFC 8656 section 18.7).
            Some([bits]) if bits & 0x80 != 0 && additional => return Err(Code::BadRequest.into()),
            Some([bits]) if bits & 0x80 != 0 => RelayPort::Pair,
            Some([_]) => RelayPort::Even,
            Some(_) => return Err(Code::BadRequest.into()),
        };
        if token.is_some() && (named || additional) {
            return Err(Code::BadRequest.into());
        }
        // What was reserved has its family.
        let (families, unsupported) =
            if token.is_some() { (SmallVec::new(), None) } else { self.wanted_families(message)? };
        let (lifetime, mobile) = (self.lifetime(request)?, self.wants_ticket(message, transport)?);
        Ok(Wanted { transport, families, unsupported, port, token, lifetime, mobile })
    }

    /// The families that are asked for and that there are, and one that there is none of although it was asked for besides.
    fn wanted_families(&self, message: &Message<'_>) -> Result<(SmallVec<[Family; 2]>, Option<Family>), Failure> {
        let family = |attribute| match message.get(attribute) {
            None => Ok(None),
            Some([number, _, _, _]) => match Family::from_number(*number) {
                Some(family) => Ok(Some(family)),
                None => Err(Failure::from(Code::FamilyNotSupported)),
            },
            Some(_) => Err(Code::BadRequest.into()),
        };
        let named = family(Attribute::REQUESTED_ADDRESS_FAMILY)?;
        let additional = family(Attribute::ADDITIONAL_ADDRESS_FAMILY)?;
        let supported = |family: &Family| self.config.families.contains(family);
        match (named, additional) {
            (Some(_), Some(_)) | (_, Some(Family::V4)) => Err(Code::BadRequest.into()),
            (Some(family), None) if !supported(&family) => Err(Code::FamilyNotSupported.into()),
            (Some(family), None) => Ok((SmallVec::from_slice(&[family]), None)),
            (None, Some(Family::V6)) => {
                let (both, none): (SmallVec<[Family; 2]>, SmallVec<[Family; 2]>) =
                    [Family::V4, Family::V6].into_iter().partition(supported);
                if both.is_empty() { Err(Code::FamilyNotSupported.into()) } else { Ok((both, none.first().copied())) }
            }
            // IPv4 where nothing else is said (RFC 8656 section 7.2).
            (None, None) if !supported(&Family::V4) => Err(Code::FamilyNotSupported.into()),
            (None, None) => Ok((SmallVec::from_slice(&[Family::V4]), None)),
        }
    }

    /// The lifetime that is asked for, within our limits, and no longer than the client's token is good (RFC 7635 section
    /// 4.1.1).
    fn lifetime(&self, request: &Authenticated<'_>) -> Result<Duration, Failure> {
        let wanted = match request.message.get(Attribute::LIFETIME) {
            None => Duration::ZERO,
            Some(value) => {
                let seconds: [u8; 4] = value.try_into().map_err(|_| Code::BadRequest)?;
                Duration::from_secs(u64::from(u32::from_be_bytes(seconds)))
            }
        };
        let granted = wanted.min(self.config.max_lifetime).max(self.config.default_lifetime);
        let left = request.owner.token_expires.map(|expires| expires.saturating_sub(self.unix_seconds(request.now)));
        Ok(left.map_or(granted, |left| granted.min(Duration::from_secs(left))))
    }

    fn ask_for_sockets(&mut self, now: Instant, pending: Pending) {
        let bind = pending.bind.clone();
        let id = self.wait_for(now, pending);
        self.events.push_back(TurnEvent::Request { id, bind });
    }

    /// Keeps a request until its sockets are there.
    pub(super) fn wait_for(&mut self, now: Instant, pending: Pending) -> RequestId {
        let id = RequestId(self.request_ids.draw());
        self.timers.set(Deadline::Pending(id), now + BIND_TIMEOUT);
        self.pending_clients.insert(pending.terms.client, id);
        self.pending.insert(id, pending);
        id
    }

    /// The reservation under this token, if it was made for this account.
    pub(super) fn take_reservation(&mut self, token: &[u8; 8], account: &Account) -> Option<Reservation> {
        if self.reservations.get(token)?.account != *account {
            return None;
        }
        self.timers.cancel(&Deadline::Reservation(*token));
        self.reservations.remove(token)
    }

    fn allocate_reserved(&mut self, now: Instant, token: &[u8; 8], pending: Pending) -> Outcome {
        let reservation = self.take_reservation(token, pending.account()).ok_or(Code::InsufficientCapacity)?;
        let key = self.insert(now, pending.terms, &[reservation.relay]);
        Ok(Some(self.allocated(key)))
    }

    /// The sockets that a request asked for, in the order of its families (and the port above last, for a pair); fewer
    /// when some couldn't be bound. Answers that come too late are taken too: their sockets are closed.
    pub fn handle_answer(&mut self, now: Instant, id: RequestId, sockets: &[RelaySocket]) {
        let now = self.clock(now);
        let Some(Pending { terms, bind, unsupported, mut reply }) = self.take_pending(id) else {
            self.events.extend(sockets.iter().map(|relay| TurnEvent::CloseSocket(relay.socket)));
            return;
        };
        let pair = bind.port == RelayPort::Pair;
        let (relays, above) = match sockets {
            [relay, above] if pair => (std::slice::from_ref(relay), Some(*above)),
            [relay, ..] if pair => {
                self.events.push_back(TurnEvent::CloseSocket(relay.socket));
                (&sockets[..0], None)
            }
            all => (all, None),
        };
        let transmit = terms.client.transmit();
        reply.body = if relays.is_empty() {
            Body::Failure(Code::InsufficientCapacity.into())
        } else {
            let bound = |family: &Family| relays.iter().any(|relay| Family::of(relay.address) == *family);
            let failed = bind.families.iter().copied().find(|family| !bound(family));
            let failed = failed.map(|family| (family, Code::InsufficientCapacity));
            let reservation = above.map(|relay| self.reserve(now, relay, terms.seat.account().clone()));
            let key = self.insert(now, terms, relays);
            self.allocations[key].reservation = reservation;
            self.allocations[key].failed = failed.or(unsupported.map(|family| (family, Code::FamilyNotSupported)));
            self.allocated(key)
        };
        self.count_reply(&reply);
        self.outgoing.push_back((transmit, reply));
    }

    /// Answers that wait to be sent, or will when the owner has done what it was asked for.
    pub(super) fn owed_answers(&self) -> usize {
        self.outgoing.len() + self.pending.len() + self.tcp.connecting
    }

    fn take_pending(&mut self, id: RequestId) -> Option<Pending> {
        let pending = self.pending.remove(&id)?;
        self.pending_clients.remove(&pending.terms.client);
        self.timers.cancel(&Deadline::Pending(id));
        Some(pending)
    }

    /// The owner didn't bind sockets in time.
    pub(super) fn give_up(&mut self, id: RequestId) {
        let Some(mut pending) = self.take_pending(id) else { return };
        pending.reply.body = Body::Failure(Code::InsufficientCapacity.into());
        self.count_reply(&pending.reply);
        self.outgoing.push_back((pending.terms.client.transmit(), pending.reply));
    }

    fn reserve(&mut self, now: Instant, relay: RelaySocket, account: Account) -> [u8; 8] {
        let mut token: [u8; 8] = self.crypto.bytes();
        token[0] = self.config.server_number;
        let expires = now + RESERVATION_LIFETIME;
        self.reservations.insert(token, Reservation { relay, expires, account });
        self.timers.set(Deadline::Reservation(token), expires);
        token
    }

    fn insert(&mut self, now: Instant, terms: Terms, relays: &[RelaySocket]) -> AllocationKey {
        let id = AllocationId::new(self.config.server_number, self.allocation_ids.draw());
        let (client, expires) = (terms.client, now + terms.lifetime);
        let key = self.put_in(Allocation::new(id, terms, relays, now), expires);
        self.by_client.insert(client, key);
        self.stats.allocated += 1;
        key
    }

    fn allocated(&self, key: AllocationKey) -> Body {
        let allocation = &self.allocations[key];
        Body::Allocated(Box::new(Allocated {
            relayed: allocation.relays.iter().map(|relay| relay.address).collect(),
            failed: allocation.failed,
            mapped: allocation.terms.remote,
            lifetime: allocation.terms.lifetime,
            reservation: allocation.reservation,
            ticket: self.ticket(key),
        }))
    }

    /// RFC 8656 section 8.2.
    fn refresh(&mut self, request: &Authenticated<'_>) -> Outcome {
        let ticket = request.message.get(Attribute::MOBILITY_TICKET);
        if ticket.is_some() && !self.config.mobility {
            return Err(Code::MobilityForbidden.into());
        }
        if let (Some(ticket), Some(key), None) = (ticket, request.allocation, request.visitor)
            && !self.brought_here(key, ticket)
        {
            // RFC 8016 section 3.2.2: no ticket from where the client is anyway.
            return Err(Code::BadRequest.into());
        }
        let Some(key) = request.allocation else { return Err(Code::AllocationMismatch.into()) };
        let family = match request.message.get(Attribute::REQUESTED_ADDRESS_FAMILY) {
            None => None,
            Some([number, _, _, _]) => {
                let family = Family::from_number(*number).filter(|family| self.allocations[key].has_family(*family));
                Some(family.ok_or(Code::PeerFamilyMismatch)?)
            }
            Some(_) => return Err(Code::BadRequest.into()),
        };
        let lifetime = self.lifetime(request)?;
        if let Some(visitor) = request.visitor {
            self.settle_move(key, visitor)?;
        }
        if request.message.get(Attribute::LIFETIME) == Some(&[0; 4]) {
            self.release(request.now, key, family);
            // With one family less it may be there still.
            let moves = request.visitor.is_some() && self.allocations.contains(key);
            return Ok(Some(Body::Refreshed(Duration::ZERO, moves.then(|| self.ticket(key)).flatten())));
        }
        self.allocations[key].terms.lifetime = lifetime;
        let stays = if self.allocations[key].is_absent() { lifetime.min(ABSENCE) } else { lifetime };
        self.timers.set(Deadline::Allocation(key), request.now + stays);
        let ticket = ticket.and_then(|_| self.ticket(key));
        Ok(Some(Body::Refreshed(lifetime, ticket)))
    }

    /// Gives up the relayed address of one family, or all of the allocation (RFC 8656 section 8.1).
    fn release(&mut self, now: Instant, key: AllocationKey, family: Option<Family>) {
        let allocation = &mut self.allocations[key];
        match family {
            Some(family) if allocation.relays.len() > 1 => {
                if let Some(relay) = allocation.give_up(family) {
                    self.by_relay.remove(&relay.socket);
                    self.events.push_back(TurnEvent::CloseSocket(relay.socket));
                }
            }
            _ => self.end(now, key, AllocationEnd::Released),
        }
    }

    /// RFC 8656 section 10.2: all of the permissions or none.
    fn create_permission(&mut self, request: &Authenticated<'_>) -> Outcome {
        let Some(key) = request.allocation else { return Err(Code::AllocationMismatch.into()) };
        let mut peers: SmallVec<[IpAddr; 4]> = SmallVec::new();
        for peer in request.message.xor_addresses(Attribute::XOR_PEER_ADDRESS) {
            let peer = peer.map_err(|_| Code::BadRequest)?;
            if peers.len() == MAX_PEERS {
                return Err(Code::InsufficientCapacity.into());
            }
            self.check_peer(key, peer)?;
            peers.push(peer.ip());
        }
        if peers.is_empty() {
            return Err(Code::BadRequest.into());
        }
        let allocation = &mut self.allocations[key];
        if !allocation.has_room_for(request.now, &peers, self.config.max_permissions) {
            return Err(Code::InsufficientCapacity.into());
        }
        for ip in peers {
            allocation.permit(request.now, ip);
        }
        Ok(Some(Body::Done))
    }

    /// RFC 8656 section 12.2.
    fn channel_bind(&mut self, request: &Authenticated<'_>) -> Outcome {
        let Some(key) = request.allocation else { return Err(Code::AllocationMismatch.into()) };
        if self.allocations[key].terms.relay_transport == RelayTransport::Tcp {
            return Err(Code::Forbidden.into());
        }
        let peer = request.message.xor_address(Attribute::XOR_PEER_ADDRESS).map_err(|_| Code::BadRequest)?;
        let peer = peer.ok_or(Code::BadRequest)?;
        let number = match request.message.get(Attribute::CHANNEL_NUMBER) {
            Some([high, low, _, _]) => u16::from_be_bytes([*high, *low]),
            _ => return Err(Code::BadRequest.into()),
        };
        if !CHANNELS.contains(&number) {
            return Err(Code::BadRequest.into());
        }
        self.check_peer(key, peer)?;
        // Unlike a permission, a channel has a port.
        if !self.config.peers.permits(peer) {
            return Err(Code::Forbidden.into());
        }
        let allocation = &mut self.allocations[key];
        if !allocation.has_room_for(request.now, &[peer.ip()], self.config.max_permissions) {
            return Err(Code::InsufficientCapacity.into());
        }
        allocation.bind(request.now, number, peer, self.config.max_channels).map_err(|error| match error {
            ChannelError::Taken => Code::BadRequest,
            ChannelError::Full => Code::InsufficientCapacity,
        })?;
        allocation.permit(request.now, peer.ip());
        Ok(Some(Body::Done))
    }

    fn check_peer(&self, key: AllocationKey, peer: SocketAddr) -> Result<(), Failure> {
        if !self.allocations[key].has_family(Family::of(peer)) {
            return Err(Code::PeerFamilyMismatch.into());
        }
        if !self.config.peers.permits_some_port(peer.ip()) {
            return Err(Code::Forbidden.into());
        }
        Ok(())
    }
}

/// The attributes that are understood in requests of a method, besides those of every method.
pub(super) fn known_attributes(method: Method) -> &'static [Attribute] {
    macro_rules! with_common {
        ($($attribute:ident),*) => {
            &[
                Attribute::USERNAME,
                Attribute::MESSAGE_INTEGRITY,
                Attribute::MESSAGE_INTEGRITY_SHA256,
                Attribute::PASSWORD_ALGORITHM,
                Attribute::REALM,
                Attribute::NONCE,
                #[cfg(feature = "oauth")]
                Attribute::ACCESS_TOKEN,
                $(Attribute::$attribute,)*
            ]
        };
    }
    match method {
        Method::ALLOCATE => {
            with_common!(REQUESTED_TRANSPORT, REQUESTED_ADDRESS_FAMILY, LIFETIME, EVEN_PORT, RESERVATION_TOKEN)
        }
        Method::REFRESH => with_common!(LIFETIME, REQUESTED_ADDRESS_FAMILY),
        Method::CREATE_PERMISSION => with_common!(XOR_PEER_ADDRESS),
        Method::CHANNEL_BIND => with_common!(XOR_PEER_ADDRESS, CHANNEL_NUMBER),
        Method::CONNECT => with_common!(XOR_PEER_ADDRESS),
        Method::CONNECTION_BIND => with_common!(CONNECTION_ID),
        _ => with_common!(),
    }
}
