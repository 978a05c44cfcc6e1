//! Clients that show up where their tickets said they would (RFC 8016 section 3.2): their allocations come to them, from
//! another server if need be.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::ids::{AllocationId, RequestId};
use crate::io::{DropReason, PacketBuf, Transmit};

use super::allocation::{Allocation, ClientPath};
use super::handover::Wish;
use super::mobility::Asked;
use super::{AllocationKey, Deadline, HEADROOM, TurnServer};

/// How long the client's first packet from its new place is waited for.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an allocation outlives the connection that its client had.
pub(super) const ABSENCE: Duration = Duration::from_secs(60);
/// Packets of one client that wait for its allocation to come from another server, which takes about a millisecond.
const MAX_PARKED: usize = 32;
/// Packets of all clients that wait to be sent on now that their allocations are here.
const MAX_READY: usize = 1024;
/// Longest packet that waits.
const MAX_PARKED_LEN: usize = 2048;

/// A client that is expected at a new place.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) allocation: AllocationId,
    pub(super) serial: u32,
    /// The server that has the allocation.
    pub(super) home: u8,
    /// The old place is gone: there is no reason to wait.
    pub(super) at_once: bool,
}

/// An arrival with what came meanwhile.
pub(super) struct Expected {
    arrival: Arrival,
    remote: SocketAddr,
    fetching: bool,
    parked: Vec<Box<[u8]>>,
}

/// An allocation on its way from one server to another.
#[derive(Debug)]
pub(super) struct Moving {
    pub(super) allocation: Allocation,
    expires: Instant,
}

impl TurnServer {
    pub(super) fn expect(&mut self, now: Instant, path: ClientPath, remote: SocketAddr, arrival: Arrival) {
        if self.by_client.contains_key(&path) || self.pending_clients.contains_key(&path) {
            // Who asks for two things at a time gets the first.
            return;
        }
        let is_older = |(at, expected): &(&ClientPath, &Expected)| {
            **at != path && expected.arrival.allocation == arrival.allocation
        };
        if let Some(older) = self.moves.expected.iter().find(is_older).map(|(at, _)| *at) {
            self.forget_arrival(older);
        }
        let at_once = arrival.at_once;
        let expected = Expected { arrival, remote, fetching: false, parked: Vec::new() };
        self.moves.expected.insert(path, expected);
        self.timers.set(Deadline::Arrival(path), now + ARRIVAL_TIMEOUT);
        if at_once {
            // It is served from now on, or when it comes from the other server.
            let _ = self.arrive(now, path);
        }
    }

    /// Who sends: the client with an allocation, or the one that is expected here and has arrived now. None where the packet
    /// waits.
    pub(super) fn allocation_of(
        &mut self,
        now: Instant,
        path: ClientPath,
        packet: &[u8],
    ) -> Result<Option<AllocationKey>, DropReason> {
        if let Some(remote) = self.moves.ready.iter().find_map(|(at, remote, _)| (*at == path).then_some(*remote)) {
            // Behind those that came before it.
            if self.moves.ready.len() >= MAX_READY || packet.len() > MAX_PARKED_LEN {
                return Err(DropReason::LimitReached);
            }
            self.moves.ready.push_back((path, remote, packet.into()));
            return Ok(None);
        }
        if let Some(key) = self.by_client.get(&path) {
            return Ok(Some(*key));
        }
        if let Some(key) = self.arrive(now, path) {
            return Ok(Some(key));
        }
        let Some(expected) = self.moves.expected.get_mut(&path) else { return Err(DropReason::UnknownSource) };
        if expected.parked.len() >= MAX_PARKED || packet.len() > MAX_PARKED_LEN {
            return Err(DropReason::LimitReached);
        }
        expected.parked.push(packet.into());
        Ok(None)
    }

    /// A client that is expected is here: its allocation, unless another server has it still.
    fn arrive(&mut self, now: Instant, path: ClientPath) -> Option<AllocationKey> {
        let expected = self.moves.expected.get_mut(&path)?;
        let Arrival { allocation, serial, home, .. } = expected.arrival;
        if home == self.config.server_number {
            let remote = expected.remote;
            self.forget_arrival(path);
            let key = self.may_leave(home, allocation, serial)?;
            if !self.allocations[key].is_absent() {
                self.by_client.remove(&self.allocations[key].terms.client);
            }
            self.settle(now, key, path, remote);
            return Some(key);
        }
        if !expected.fetching {
            expected.fetching = true;
            let wish = Wish::Allocation { asker: self.config.server_number, allocation, serial };
            self.ask(now, home, Asked::Allocation(path), wish);
        }
        None
    }

    /// The allocation, if its client may go on from server `server`.
    fn may_leave(&self, server: u8, allocation: AllocationId, serial: u32) -> Option<AllocationKey> {
        let key = self.moves.mobile.get(&allocation).copied()?;
        let mobility = self.allocations[key].mobility?;
        (mobility.next == Some(server) && mobility.serial == serial).then_some(key)
    }

    /// The client of an allocation is here from now on.
    fn settle(&mut self, now: Instant, key: AllocationKey, path: ClientPath, remote: SocketAddr) {
        let transport = self.transport_of(path);
        let allocation = &mut self.allocations[key];
        if allocation.is_absent() {
            self.timers.set(Deadline::Allocation(key), now + allocation.terms.lifetime);
        }
        allocation.terms.client = path;
        allocation.terms.remote = remote;
        allocation.terms.transport = transport;
        if let Some(mobility) = &mut allocation.mobility {
            (mobility.next, mobility.absent) = (None, false);
        }
        self.by_client.insert(path, key);
        self.stats.moved += 1;
    }

    /// Gives an allocation to the server that its client has arrived at.
    pub(super) fn give_away(&mut self, server: u8, allocation: AllocationId, serial: u32) -> Option<Box<Moving>> {
        let key = self.may_leave(server, allocation, serial)?;
        let expires = self.timers.deadline(&Deadline::Allocation(key))?;
        let allocation = self.take_out(key)?;
        Some(Box::new(Moving { allocation, expires }))
    }

    /// An allocation that another server gave us, and what its client sent meanwhile.
    pub(super) fn allocation_arrived(&mut self, now: Instant, id: RequestId, moving: Moving) {
        let path = match self.take_asked(id) {
            Some(Asked::Allocation(path)) if self.moves.expected.contains_key(&path) => Some(path),
            _ => None,
        };
        let key = self.put_in(moving.allocation, moving.expires);
        match path.and_then(|path| Some((path, self.take_arrival(path)?))) {
            Some((path, Expected { remote, parked, .. })) => {
                self.settle(now, key, path, remote);
                self.moves.ready.extend(parked.into_iter().map(|packet| (path, remote, packet)));
            }
            // The client's new connection is closed already. It may come again.
            None => self.miss_client(now, key),
        }
    }

    /// Takes back an allocation that couldn't be brought to another server.
    pub(super) fn allocation_returned(&mut self, moving: Moving) {
        let client = moving.allocation.terms.client;
        let absent = moving.allocation.mobility.is_some_and(|mobility| mobility.absent);
        let key = self.put_in(moving.allocation, moving.expires);
        if !absent {
            self.by_client.insert(client, key);
        }
    }

    /// The allocation of a client that has arrived isn't had; its next packet asks again.
    pub(super) fn allocation_stays_away(&mut self, path: ClientPath) {
        if let Some(expected) = self.moves.expected.get_mut(&path) {
            expected.fetching = false;
            expected.parked.drain(..).for_each(|_| self.drops.count(DropReason::OutOfState));
        }
    }

    /// The same where the other server says so: there is nothing to ask for again.
    pub(super) fn allocation_refused(&mut self, id: RequestId) {
        if let Some(Asked::Allocation(path)) = self.take_asked(id) {
            self.forget_arrival(path);
        }
    }

    /// Nobody is expected here any more.
    pub(super) fn forget_arrival(&mut self, path: ClientPath) {
        let Some(Expected { parked, .. }) = self.take_arrival(path) else { return };
        parked.iter().for_each(|_| self.drops.count(DropReason::OutOfState));
    }

    fn take_arrival(&mut self, path: ClientPath) -> Option<Expected> {
        self.timers.cancel(&Deadline::Arrival(path));
        self.moves.expected.remove(&path)
    }

    /// The client of a mobile allocation has lost its connection. It may come back with its ticket.
    pub(super) fn miss_client(&mut self, now: Instant, key: AllocationKey) {
        if let Some(mobility) = &mut self.allocations[key].mobility {
            mobility.absent = true;
        }
        let deadline = Deadline::Allocation(key);
        let expires = self.timers.deadline(&deadline).unwrap_or(now);
        self.timers.set(deadline, expires.min(now + ABSENCE));
    }

    /// What a packet that waited brings about.
    pub(super) fn next_parked(&mut self, now: Instant, out: &mut PacketBuf<'_>) -> Option<Transmit> {
        while let Some((path, remote, packet)) = self.moves.ready.pop_front() {
            out.clear(HEADROOM);
            // It waits behind none of those.
            let behind = std::mem::take(&mut self.moves.ready);
            let result = match out.extend_from_slice(&packet) {
                Ok(()) => self.client_packet(now, path, remote, out),
                Err(_) => Err(DropReason::NoRoom),
            };
            self.moves.ready = behind;
            if let Some(transmit) = self.counted(result) {
                return Some(transmit);
            }
        }
        None
    }
}
