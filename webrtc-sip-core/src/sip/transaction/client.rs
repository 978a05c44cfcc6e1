//! The client transaction: INVITE (RFC 3261 section 17.1.1, RFC 6026 section 8.4) and the rest (section 17.1.2).

use std::time::Duration;

use smallvec::smallvec;

use super::{Effect, Effects, Timer, TimerValues};

/// Where a client transaction stands (RFC 3261 figures 5 and 6, RFC 6026 figure 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientState {
    /// INVITE sent, nothing heard.
    Calling,
    /// Another request sent, nothing heard.
    Trying,
    /// A provisional response came.
    Proceeding,
    /// A final response came (for INVITE: a failure); retransmissions of it are absorbed.
    Completed,
    /// A 2xx to INVITE came; more of them are passed up (RFC 6026).
    Accepted,
    /// Over.
    Terminated,
}

/// A client transaction's state machine.
#[derive(Clone, Debug)]
pub struct ClientTransaction {
    invite: bool,
    reliable: bool,
    values: TimerValues,
    state: ClientState,
    /// The interval that timer A or E was last set to.
    interval: Duration,
}

impl ClientTransaction {
    /// Starts a transaction for an INVITE, or for any other method but ACK, over a transport that is reliable (TCP,
    /// TLS, WebSocket) or not.
    pub fn start(invite: bool, reliable: bool, values: TimerValues) -> (Self, Effects) {
        let state = if invite { ClientState::Calling } else { ClientState::Trying };
        let (resend, give_up) = if invite { (Timer::A, Timer::B) } else { (Timer::E, Timer::F) };
        let mut effects: Effects = smallvec![Effect::Transmit, Effect::Set(give_up, values.transaction_timeout())];
        if !reliable {
            effects.push(Effect::Set(resend, values.t1));
        }
        (ClientTransaction { invite, reliable, values, state, interval: values.t1 }, effects)
    }

    /// Where it stands.
    pub fn state(&self) -> ClientState {
        self.state
    }

    /// A response with this status arrived.
    pub fn handle_response(&mut self, status: u16) -> Effects {
        match (self.invite, status) {
            (true, ..200) => self.invite_provisional(),
            (true, 200..300) => self.invite_success(),
            (true, _) => self.invite_failure(),
            (false, ..200) => self.other_provisional(),
            (false, _) => self.other_final(),
        }
    }

    fn invite_provisional(&mut self) -> Effects {
        match self.state {
            ClientState::Calling => {
                self.state = ClientState::Proceeding;
                // Once somebody is there the INVITE may take as long as it likes: both timers stop (17.1.1.2).
                smallvec![Effect::Stop(Timer::A), Effect::Stop(Timer::B), Effect::Deliver]
            }
            ClientState::Proceeding => smallvec![Effect::Deliver],
            _ => Effects::new(),
        }
    }

    fn invite_success(&mut self) -> Effects {
        match self.state {
            ClientState::Calling | ClientState::Proceeding => {
                self.state = ClientState::Accepted;
                smallvec![
                    Effect::Stop(Timer::A),
                    Effect::Stop(Timer::B),
                    Effect::Deliver,
                    Effect::Set(Timer::M, self.values.transaction_timeout()),
                ]
            }
            // RFC 6026 section 8.4: retransmissions, and those of other forks, are the transaction user's to ACK.
            ClientState::Accepted => smallvec![Effect::Deliver],
            _ => Effects::new(),
        }
    }

    fn invite_failure(&mut self) -> Effects {
        match self.state {
            ClientState::Calling | ClientState::Proceeding => {
                let mut effects: Effects =
                    smallvec![Effect::Stop(Timer::A), Effect::Stop(Timer::B), Effect::Acknowledge, Effect::Deliver];
                if self.reliable {
                    // Timer D is zero on reliable transports.
                    self.state = ClientState::Terminated;
                    effects.push(Effect::Terminate);
                } else {
                    self.state = ClientState::Completed;
                    // "At least 32 seconds" (17.1.1.2), which is 64*T1 at the default T1.
                    effects.push(Effect::Set(Timer::D, self.values.transaction_timeout()));
                }
                effects
            }
            ClientState::Completed => smallvec![Effect::Acknowledge],
            _ => Effects::new(),
        }
    }

    fn other_provisional(&mut self) -> Effects {
        match self.state {
            ClientState::Trying => {
                self.state = ClientState::Proceeding;
                smallvec![Effect::Deliver]
            }
            ClientState::Proceeding => smallvec![Effect::Deliver],
            _ => Effects::new(),
        }
    }

    fn other_final(&mut self) -> Effects {
        match self.state {
            ClientState::Trying | ClientState::Proceeding => {
                let mut effects: Effects = smallvec![Effect::Stop(Timer::E), Effect::Stop(Timer::F), Effect::Deliver];
                if self.reliable {
                    self.state = ClientState::Terminated;
                    effects.push(Effect::Terminate);
                } else {
                    self.state = ClientState::Completed;
                    effects.push(Effect::Set(Timer::K, self.values.t4));
                }
                effects
            }
            _ => Effects::new(),
        }
    }

    /// A timer fired.
    pub fn handle_timer(&mut self, timer: Timer) -> Effects {
        match (timer, self.state) {
            (Timer::A, ClientState::Calling) => {
                // Doubles without a ceiling (17.1.1.2); timer B ends it after seven.
                self.interval *= 2;
                smallvec![Effect::Transmit, Effect::Set(Timer::A, self.interval)]
            }
            (Timer::E, ClientState::Trying) => {
                self.interval = (self.interval * 2).min(self.values.t2);
                smallvec![Effect::Transmit, Effect::Set(Timer::E, self.interval)]
            }
            // Someone is there, so T2 is often enough (17.1.2.2).
            (Timer::E, ClientState::Proceeding) => smallvec![Effect::Transmit, Effect::Set(Timer::E, self.values.t2)],
            (Timer::B, ClientState::Calling) | (Timer::F, ClientState::Trying | ClientState::Proceeding) => {
                self.state = ClientState::Terminated;
                smallvec![Effect::TimedOut, Effect::Terminate]
            }
            (Timer::D | Timer::K, ClientState::Completed) | (Timer::M, ClientState::Accepted) => {
                self.state = ClientState::Terminated;
                smallvec![Effect::Terminate]
            }
            _ => Effects::new(),
        }
    }

    /// The transport failed or the owner gives up: whatever state it is in, it ends. The caller tells the owner.
    pub fn abandon(&mut self) -> Effects {
        self.state = ClientState::Terminated;
        smallvec![Effect::Terminate]
    }
}
