//! What the servers of a process ask of each other. They share listening addresses, and the system may bring a client's
//! request to another one than has what the request names. Whoever got it asks by [`TurnEvent::Ask`]; the owner brings the
//! question to the other server and the answer back, and moves the sockets that go along.

use std::net::SocketAddr;
use std::time::Instant;

use crate::ids::{AllocationId, RequestId};

use super::arrival::Moving;
use super::event::{RelaySocket, TurnEvent};
use super::mobility::Refreshed;
use super::quota::Account;
use super::requests::{Pending, Reservation};
use super::ticket::Ticket;
use super::{Deadline, TurnServer};

/// What one server asks another.
#[derive(Debug)]
pub struct Question(pub(super) Wish);

#[derive(Debug)]
pub(super) enum Wish {
    /// The port that is kept under this token for this account (RFC 8656 section 7.2).
    Reservation { token: [u8; 8], account: Account },
    /// To carry out a Refresh request that shows a ticket (RFC 8016 section 3.2).
    Refresh { asker: u8, remote: SocketAddr, request: Box<[u8]>, ticket: Ticket },
    /// The allocation whose client has arrived at the asking server.
    Allocation { asker: u8, allocation: AllocationId, serial: u32 },
}

/// What the other one gives away for that.
#[derive(Debug)]
pub struct Answer(pub(super) Given);

#[derive(Debug)]
pub(super) enum Given {
    Nothing,
    Reservation {
        token: [u8; 8],
        reservation: Box<Reservation>,
    },
    /// None where the allocation isn't here.
    Refreshed(Option<Box<Refreshed>>),
    Allocation(Option<Box<Moving>>),
}

impl Answer {
    /// The answer where there is no such server, or it can't be reached now.
    pub fn nothing() -> Self {
        Answer(Given::Nothing)
    }

    /// The sockets that go along. They are the asking server's from now on, whose owner numbers them anew.
    pub fn sockets_mut(&mut self) -> &mut [RelaySocket] {
        match &mut self.0 {
            Given::Nothing | Given::Refreshed(_) | Given::Allocation(None) => &mut [],
            Given::Allocation(Some(moving)) => &mut moving.allocation.relays,
            Given::Reservation { reservation, .. } => std::slice::from_mut(&mut reservation.relay),
        }
    }
}

impl TurnServer {
    /// Answers another server. What is given away is no longer this server's.
    pub fn handle_question(&mut self, now: Instant, question: Question) -> Answer {
        let now = self.clock(now);
        let Question(wish) = question;
        Answer(match wish {
            Wish::Reservation { token, account } => match self.take_reservation(&token, &account) {
                Some(reservation) => Given::Reservation { token, reservation: Box::new(reservation) },
                None => Given::Nothing,
            },
            Wish::Refresh { asker, remote, request, ticket } => {
                Given::Refreshed(self.refresh_by_ticket(now, asker, remote, &request, ticket).map(Box::new))
            }
            Wish::Allocation { asker, allocation, serial } => {
                Given::Allocation(self.give_away(asker, allocation, serial))
            }
        })
    }

    /// The answer to a [`TurnEvent::Ask`]. Those that come too late are taken too: the socket of a reservation is closed, an
    /// allocation waits for its client.
    pub fn handle_server_answer(&mut self, now: Instant, id: RequestId, answer: Answer) {
        let now = self.clock(now);
        match answer.0 {
            Given::Nothing if self.unanswered(now, id) => {}
            Given::Nothing => self.handle_answer(now, id, &[]),
            Given::Reservation { reservation, .. } => self.handle_answer(now, id, &[reservation.relay]),
            Given::Refreshed(refreshed) => self.visit_answered(now, id, refreshed.map(|refreshed| *refreshed)),
            Given::Allocation(Some(moving)) => self.allocation_arrived(now, id, *moving),
            Given::Allocation(None) => self.allocation_refused(id),
        }
    }

    /// Takes back what [`TurnServer::handle_question`] gave away and nobody came to have.
    pub fn handle_undelivered(&mut self, now: Instant, answer: Answer) {
        self.clock(now);
        match answer.0 {
            // The client asks again.
            Given::Nothing | Given::Refreshed(_) | Given::Allocation(None) => {}
            Given::Allocation(Some(moving)) => self.allocation_returned(*moving),
            Given::Reservation { token, reservation } => {
                self.timers.set(Deadline::Reservation(token), reservation.expires);
                self.reservations.insert(token, *reservation);
            }
        }
    }

    /// Asks the server that made this reservation.
    pub(super) fn ask_for_reservation(&mut self, now: Instant, token: [u8; 8], pending: Pending) {
        let wish = Wish::Reservation { token, account: pending.account().clone() };
        let id = self.wait_for(now, pending);
        self.events.push_back(TurnEvent::Ask { id, server: token[0], question: Question(wish) });
    }
}
