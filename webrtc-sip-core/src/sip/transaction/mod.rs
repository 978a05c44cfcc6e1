//! Transactions (RFC 3261 section 17, corrected by RFC 6026): the state machines alone.
//!
//! A machine holds no message and sends nothing. It is told what happened and says what to do about it as a short list
//! of [`Effect`]s, so that the tables of the RFC can be tested line by line. Messages, routes and timers live in
//! [`super::endpoint`].

mod client;
mod server;

pub use client::{ClientState, ClientTransaction};
pub use server::{ServerState, ServerTransaction};

use std::time::Duration;

use smallvec::SmallVec;

/// The base values that every transaction timer derives from (RFC 3261 section 17.1.1.1 and appendix A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerValues {
    /// Estimate of the round-trip time; 500 ms.
    pub t1: Duration,
    /// Longest interval between retransmissions of non-INVITE requests and INVITE responses; 4 s.
    pub t2: Duration,
    /// How long a message may stay in the network; 5 s.
    pub t4: Duration,
}

impl Default for TimerValues {
    fn default() -> Self {
        TimerValues { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl TimerValues {
    /// 64 times T1, the time after which a transaction has failed (32 s by default).
    pub fn transaction_timeout(&self) -> Duration {
        self.t1.saturating_mul(64)
    }
}

/// The timers of RFC 3261 appendix A and RFC 6026 section 7 (L and M).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// INVITE request retransmission, unreliable transports only.
    A,
    /// INVITE client transaction time-out.
    B,
    /// Wait for response retransmissions after a failure to an INVITE.
    D,
    /// Non-INVITE request retransmission, unreliable transports only.
    E,
    /// Non-INVITE client transaction time-out.
    F,
    /// INVITE response retransmission.
    G,
    /// Wait for the ACK to a failure response.
    H,
    /// Wait for ACK retransmissions.
    I,
    /// Wait for non-INVITE request retransmissions.
    J,
    /// Wait for response retransmissions to a non-INVITE.
    K,
    /// Wait for INVITE retransmissions after a 2xx.
    L,
    /// Wait for 2xx retransmissions and those of other forks.
    M,
}

/// What a transaction wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send the transaction's message: a client's request, a server's latest response.
    Transmit,
    /// Send the ACK to the failure response, hop by hop (RFC 3261 section 17.1.1.3).
    Acknowledge,
    /// Pass the message that was just received to the transaction user.
    Deliver,
    /// Set a timer, replacing its earlier deadline.
    Set(Timer, Duration),
    /// Stop a timer.
    Stop(Timer),
    /// Tell the transaction user that nobody answered (or that no ACK came).
    TimedOut,
    /// The transaction is over; nothing of it may remain.
    Terminate,
}

/// The effects of one input, in order.
pub type Effects = SmallVec<[Effect; 4]>;

#[cfg(test)]
mod tests;
