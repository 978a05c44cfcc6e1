//! The state machine of one call.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::EndReason;
use crate::timer::LONGEST_WAIT;

/// One of the two legs of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    /// The leg that asked for the call.
    Caller,
    /// The leg that was asked for.
    Callee,
}

impl Side {
    /// Both, the caller first.
    pub const BOTH: [Side; 2] = [Side::Caller, Side::Callee];

    /// The far side.
    pub fn other(self) -> Side {
        match self {
            Side::Caller => Side::Callee,
            Side::Callee => Side::Caller,
        }
    }
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CallPhase {
    /// The callee is being looked for.
    Calling,
    /// The callee's phone rings.
    Ringing,
    /// The callee sends media, but hasn't answered (RFC 3960).
    EarlyMedia,
    /// Both sides talk.
    Answered,
    /// Over.
    Ended,
}

/// Who brought a call to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndedBy {
    /// One of the two sides.
    Side(Side),
    /// Neither: a time-out, a limit, a shutdown.
    Gateway,
}

/// Why and through whom a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Why.
    pub reason: EndReason,
    /// Through whom.
    pub by: EndedBy,
}

/// Something a side should be told that doesn't end the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The media path of one side is lost; there is time for it to come back.
    MediaLost,
    /// It came back.
    MediaRestored,
}

/// What the owner of a call has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallAction {
    /// Tell the caller that it rings.
    TellRinging,
    /// Join the legs and tell the caller that early media comes.
    ConnectEarly,
    /// Join the legs and answer the caller.
    Connect,
    /// Tell the other side that this side holds (or doesn't any more), and stop (or go on with) its media.
    Hold {
        /// Whose wish it is.
        by: Side,
        /// Held, or not any more.
        held: bool,
    },
    /// Tell both sides.
    Warn {
        /// Whose media it is about.
        about: Side,
        /// What.
        warning: Warning,
    },
    /// End the leg, in whatever way fits its state, and free what it holds. Comes once for each leg.
    EndLeg {
        /// Which.
        side: Side,
        /// How the call ended.
        ending: Ending,
    },
    /// Nothing is left to do: forget the call. Comes last, once.
    Finished {
        /// How the call ended.
        ending: Ending,
    },
}

/// One call, from the moment its two legs exist to its end.
#[derive(Debug)]
pub struct Call {
    phase: CallPhase,
    started_at: Instant,
    answered_at: Option<Instant>,
    ring_deadline: Option<Instant>,
    media_recovery: Duration,
    media_deadlines: [Option<Instant>; 2],
    held: [bool; 2],
    actions: VecDeque<CallAction>,
}

impl Call {
    /// A call that begins now, may ring for `ring_timeout`, and may be without one side's media for `media_recovery`.
    pub fn new(now: Instant, ring_timeout: Duration, media_recovery: Duration) -> Self {
        Call {
            phase: CallPhase::Calling,
            started_at: now,
            answered_at: None,
            ring_deadline: Some(now + ring_timeout.min(LONGEST_WAIT)),
            media_recovery: media_recovery.min(LONGEST_WAIT),
            media_deadlines: [None; 2],
            held: [false; 2],
            actions: VecDeque::new(),
        }
    }

    /// A call that another instance brought to `Answered`. Sides whose media are `lost` have `media_recovery` to come
    /// back.
    pub fn restored(
        now: Instant,
        started_at: Instant,
        answered_at: Instant,
        held: [bool; 2],
        lost: [bool; 2],
        media_recovery: Duration,
    ) -> Self {
        let media_recovery = media_recovery.min(LONGEST_WAIT);
        Call {
            phase: CallPhase::Answered,
            started_at,
            answered_at: Some(answered_at),
            ring_deadline: None,
            media_recovery,
            media_deadlines: lost.map(|lost| lost.then_some(now + media_recovery)),
            held,
            actions: VecDeque::new(),
        }
    }

    /// How far it has come.
    pub fn phase(&self) -> CallPhase {
        self.phase
    }

    /// When it began.
    pub fn started_at(&self) -> Instant {
        self.started_at
    }

    /// When it was answered, if it was.
    pub fn answered_at(&self) -> Option<Instant> {
        self.answered_at
    }

    /// Whether this side has put the other on hold.
    pub fn is_held_by(&self, side: Side) -> bool {
        self.held[side as usize]
    }

    /// The callee's phone rings.
    pub fn handle_ringing(&mut self) {
        if self.phase == CallPhase::Calling {
            self.phase = CallPhase::Ringing;
            self.actions.push_back(CallAction::TellRinging);
        }
    }

    /// The callee sends media before it answers.
    pub fn handle_early_media(&mut self) {
        if self.phase < CallPhase::EarlyMedia {
            self.phase = CallPhase::EarlyMedia;
            self.actions.push_back(CallAction::ConnectEarly);
        }
    }

    /// The callee answered.
    pub fn handle_answered(&mut self, now: Instant) {
        if self.phase < CallPhase::Answered {
            self.phase = CallPhase::Answered;
            self.answered_at = Some(now);
            self.ring_deadline = None;
            self.actions.push_back(CallAction::Connect);
        }
    }

    /// This side puts the other on hold, or takes it off. Says whether that changes anything.
    pub fn handle_hold(&mut self, by: Side, held: bool) -> bool {
        let changes = self.phase == CallPhase::Answered && self.held[by as usize] != held;
        if changes {
            self.held[by as usize] = held;
            self.actions.push_back(CallAction::Hold { by, held });
        }
        changes
    }

    /// The media path of this side is lost.
    pub fn handle_media_lost(&mut self, now: Instant, about: Side) {
        let deadline = &mut self.media_deadlines[about as usize];
        if self.phase != CallPhase::Ended && deadline.is_none() {
            *deadline = Some(now + self.media_recovery);
            self.actions.push_back(CallAction::Warn { about, warning: Warning::MediaLost });
        }
    }

    /// The media path of this side works.
    pub fn handle_media_connected(&mut self, about: Side) {
        let was_lost = self.media_deadlines[about as usize].take().is_some();
        if was_lost && self.phase != CallPhase::Ended {
            self.actions.push_back(CallAction::Warn { about, warning: Warning::MediaRestored });
        }
    }

    /// This side left: hung up, cancelled, refused, or was lost. What that means to the other depends on how far the
    /// call has come; `reason` says what happened.
    pub fn handle_left(&mut self, by: Side, reason: EndReason) {
        let reason = match (by, reason) {
            // Hanging up before there was an answer is cancelling for the caller and declining for the callee.
            (Side::Caller, EndReason::Hangup) if self.phase < CallPhase::Answered => EndReason::Cancelled,
            (Side::Callee, EndReason::Hangup) if self.phase < CallPhase::Answered => EndReason::Rejected,
            (_, reason) => reason,
        };
        self.end(Ending { reason, by: EndedBy::Side(by) });
    }

    /// The gateway ends the call by itself.
    pub fn handle_gateway_end(&mut self, reason: EndReason) {
        self.end(Ending { reason, by: EndedBy::Gateway });
    }

    /// Call when `poll_timeout` is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if due(self.ring_deadline) {
            self.handle_gateway_end(EndReason::NoAnswer);
        } else if self.media_deadlines.into_iter().any(due) {
            self.handle_gateway_end(EndReason::MediaFailed);
        }
    }

    /// When `handle_timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.media_deadlines.into_iter().flatten().chain(self.ring_deadline).min()
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<CallAction> {
        self.actions.pop_front()
    }

    /// Ends the call, unless it has ended: the first reason stands.
    fn end(&mut self, ending: Ending) {
        if self.phase == CallPhase::Ended {
            return;
        }
        self.phase = CallPhase::Ended;
        self.ring_deadline = None;
        self.media_deadlines = [None; 2];
        // What was to be told before doesn't matter to anybody any more.
        self.actions.clear();
        self.actions.extend(Side::BOTH.map(|side| CallAction::EndLeg { side, ending }));
        self.actions.push_back(CallAction::Finished { ending });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RING: Duration = Duration::from_secs(60);
    const RECOVERY: Duration = Duration::from_secs(30);

    fn actions(call: &mut Call) -> Vec<CallAction> {
        std::iter::from_fn(|| call.poll_action()).collect()
    }

    fn ending(actions: &[CallAction]) -> Option<Ending> {
        actions.iter().find_map(|action| match action {
            CallAction::Finished { ending } => Some(*ending),
            _ => None,
        })
    }

    #[test]
    fn a_call_rings_is_answered_and_hung_up() {
        let now = Instant::now();
        let mut call = Call::new(now, RING, RECOVERY);
        call.handle_ringing();
        call.handle_ringing();
        assert_eq!(actions(&mut call), [CallAction::TellRinging]);
        call.handle_early_media();
        call.handle_ringing();
        assert_eq!(actions(&mut call), [CallAction::ConnectEarly]);
        call.handle_answered(now + Duration::from_secs(5));
        assert_eq!(actions(&mut call), [CallAction::Connect]);
        assert_eq!(call.poll_timeout(), None);
        call.handle_left(Side::Callee, EndReason::Hangup);
        let done = actions(&mut call);
        assert_eq!(ending(&done), Some(Ending { reason: EndReason::Hangup, by: EndedBy::Side(Side::Callee) }));
        assert_eq!(done.len(), 3);
        call.handle_left(Side::Caller, EndReason::Hangup);
        assert_eq!(actions(&mut call), []);
    }

    #[test]
    fn leaving_early_has_another_name_on_each_side() {
        for (by, expected) in [(Side::Caller, EndReason::Cancelled), (Side::Callee, EndReason::Rejected)] {
            let mut call = Call::new(Instant::now(), RING, RECOVERY);
            call.handle_left(by, EndReason::Hangup);
            assert_eq!(ending(&actions(&mut call)).unwrap().reason, expected);
        }
    }

    #[test]
    fn waits_end_however_long_they_are() {
        let now = Instant::now();
        let mut call = Call::new(now, Duration::MAX, Duration::MAX);
        assert_eq!(call.poll_timeout(), Some(now + LONGEST_WAIT));
        call.handle_media_lost(now, Side::Caller);
        Call::restored(now, now, now, [false; 2], [true; 2], Duration::MAX).handle_timeout(now + LONGEST_WAIT);
    }

    #[test]
    fn nobody_answers() {
        let now = Instant::now();
        let mut call = Call::new(now, RING, RECOVERY);
        assert_eq!(call.poll_timeout(), Some(now + RING));
        call.handle_timeout(now + RING - Duration::from_millis(1));
        assert_eq!(actions(&mut call), []);
        call.handle_timeout(now + RING);
        assert_eq!(ending(&actions(&mut call)), Some(Ending { reason: EndReason::NoAnswer, by: EndedBy::Gateway }));
    }

    #[test]
    fn lost_media_may_come_back() {
        let now = Instant::now();
        let mut call = Call::new(now, RING, RECOVERY);
        call.handle_answered(now);
        actions(&mut call);
        call.handle_media_connected(Side::Caller);
        assert_eq!(actions(&mut call), []);
        call.handle_media_lost(now, Side::Caller);
        call.handle_media_lost(now + Duration::from_secs(1), Side::Caller);
        call.handle_media_connected(Side::Caller);
        assert_eq!(
            actions(&mut call),
            [Warning::MediaLost, Warning::MediaRestored]
                .map(|warning| CallAction::Warn { about: Side::Caller, warning })
        );
        call.handle_media_lost(now, Side::Callee);
        call.handle_timeout(now + RECOVERY);
        assert_eq!(ending(&actions(&mut call)).unwrap().reason, EndReason::MediaFailed);
    }

    #[test]
    fn hold_is_per_side_and_only_in_an_answered_call() {
        let now = Instant::now();
        let mut call = Call::new(now, RING, RECOVERY);
        assert!(!call.handle_hold(Side::Caller, true));
        call.handle_answered(now);
        actions(&mut call);
        assert!(call.handle_hold(Side::Caller, true));
        assert!(!call.handle_hold(Side::Caller, true));
        assert!(call.handle_hold(Side::Callee, true));
        assert!(call.handle_hold(Side::Caller, false));
        assert!(call.is_held_by(Side::Callee) && !call.is_held_by(Side::Caller));
        assert_eq!(actions(&mut call).len(), 3);
    }

    proptest! {
        /// Whatever happens in whatever order, each leg is ended once and the end comes once, last, and for good.
        #[test]
        fn every_call_ends_exactly_once(steps in proptest::collection::vec((0u8..9, any::<bool>()), 0..40)) {
            let start = Instant::now();
            let mut call = Call::new(start, RING, RECOVERY);
            let mut seen = Vec::new();
            for (index, (step, flag)) in steps.into_iter().enumerate() {
                let now = start + Duration::from_secs(index as u64);
                let side = if flag { Side::Caller } else { Side::Callee };
                match step {
                    0 => call.handle_ringing(),
                    1 => call.handle_early_media(),
                    2 => call.handle_answered(now),
                    3 => { call.handle_hold(side, index % 2 == 0); }
                    4 => call.handle_media_lost(now, side),
                    5 => call.handle_media_connected(side),
                    6 => call.handle_left(side, EndReason::Hangup),
                    7 => call.handle_timeout(now),
                    _ => seen.extend(actions(&mut call)),
                }
            }
            call.handle_gateway_end(EndReason::ServerShutdown);
            seen.extend(actions(&mut call));
            let finished = seen.iter().filter(|action| matches!(action, CallAction::Finished { .. })).count();
            let ended = seen.iter().filter(|action| matches!(action, CallAction::EndLeg { .. })).count();
            prop_assert_eq!((finished, ended), (1, 2));
            prop_assert!(matches!(seen.last(), Some(CallAction::Finished { .. })), "the end comes last");
            prop_assert_eq!(call.poll_timeout(), None);
        }
    }
}
