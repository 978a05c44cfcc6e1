//! The server transaction: INVITE (RFC 3261 section 17.2.1, RFC 6026 section 8.5) and the rest (section 17.2.2).

use std::time::Duration;

use smallvec::smallvec;

use super::{Effect, Effects, Timer, TimerValues};

/// Where a server transaction stands (RFC 3261 figures 7 and 8, RFC 6026 figure 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// A request other than INVITE came and nothing was answered.
    Trying,
    /// An INVITE came, or a provisional response was sent.
    Proceeding,
    /// A final response was sent (for INVITE: a failure).
    Completed,
    /// The ACK to a failure came.
    Confirmed,
    /// A 2xx to INVITE was sent; INVITE retransmissions are absorbed (RFC 6026).
    Accepted,
    /// Over.
    Terminated,
}

/// A server transaction's state machine.
#[derive(Clone, Debug)]
pub struct ServerTransaction {
    invite: bool,
    reliable: bool,
    values: TimerValues,
    state: ServerState,
    /// The interval that timer G was last set to.
    interval: Duration,
}

impl ServerTransaction {
    /// Starts a transaction for a request that just arrived. The request itself is delivered by whoever starts this.
    ///
    /// The 100 (Trying) that section 17.2.1 wants within 200 ms is a response like any other here: the endpoint sends
    /// it at once.
    pub fn start(invite: bool, reliable: bool, values: TimerValues) -> Self {
        let state = if invite { ServerState::Proceeding } else { ServerState::Trying };
        ServerTransaction { invite, reliable, values, state, interval: values.t1 }
    }

    /// Where it stands.
    pub fn state(&self) -> ServerState {
        self.state
    }

    /// Whether a response may still be sent.
    pub fn can_respond(&self) -> bool {
        matches!(self.state, ServerState::Trying | ServerState::Proceeding)
    }

    /// The same request arrived again.
    pub fn handle_retransmission(&mut self) -> Effects {
        match self.state {
            ServerState::Proceeding | ServerState::Completed => smallvec![Effect::Transmit],
            _ => Effects::new(),
        }
    }

    /// The ACK to a failure response arrived (an ACK to a 2xx is not part of the transaction).
    pub fn handle_ack(&mut self) -> Effects {
        if !self.invite || self.state != ServerState::Completed {
            return Effects::new();
        }
        let mut effects: Effects = smallvec![Effect::Stop(Timer::G), Effect::Stop(Timer::H)];
        if self.reliable {
            self.state = ServerState::Terminated;
            effects.push(Effect::Terminate);
        } else {
            self.state = ServerState::Confirmed;
            effects.push(Effect::Set(Timer::I, self.values.t4));
        }
        effects
    }

    /// The transaction user answers with this status. Nothing happens when a final response was sent before.
    pub fn respond(&mut self, status: u16) -> Effects {
        if !self.can_respond() {
            return Effects::new();
        }
        let timeout = self.values.transaction_timeout();
        match (self.invite, status) {
            (_, ..200) => {
                self.state = ServerState::Proceeding;
                smallvec![Effect::Transmit]
            }
            (true, 200..300) => {
                // The 2xx is retransmitted by the transaction user until its ACK comes (13.3.1.4), not from here.
                self.state = ServerState::Accepted;
                smallvec![Effect::Transmit, Effect::Set(Timer::L, timeout)]
            }
            (true, _) => {
                self.state = ServerState::Completed;
                let mut effects: Effects = smallvec![Effect::Transmit, Effect::Set(Timer::H, timeout)];
                if !self.reliable {
                    effects.push(Effect::Set(Timer::G, self.values.t1));
                }
                effects
            }
            (false, _) if self.reliable => {
                self.state = ServerState::Terminated;
                smallvec![Effect::Transmit, Effect::Terminate]
            }
            (false, _) => {
                self.state = ServerState::Completed;
                smallvec![Effect::Transmit, Effect::Set(Timer::J, timeout)]
            }
        }
    }

    /// A timer fired.
    pub fn handle_timer(&mut self, timer: Timer) -> Effects {
        match (timer, self.state) {
            (Timer::G, ServerState::Completed) => {
                self.interval = (self.interval * 2).min(self.values.t2);
                smallvec![Effect::Transmit, Effect::Set(Timer::G, self.interval)]
            }
            (Timer::H, ServerState::Completed) => {
                self.state = ServerState::Terminated;
                smallvec![Effect::TimedOut, Effect::Terminate]
            }
            (Timer::I, ServerState::Confirmed)
            | (Timer::J, ServerState::Completed)
            | (Timer::L, ServerState::Accepted) => {
                self.state = ServerState::Terminated;
                smallvec![Effect::Terminate]
            }
            _ => Effects::new(),
        }
    }
}
