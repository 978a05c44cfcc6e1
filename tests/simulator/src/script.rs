//! Random call scripts: what people, pages, phones and networks do, and what must hold in the end whatever they do.
//!
//! A [`Script`] is a function of its seed. [`Script::run`] plays it in a small world of its own and says what came out
//! ([`Outcome`]), or which rule was broken ([`Violation`]).

mod checks;
mod random;
mod run;

use std::time::Duration;

use webrtc_sip_core::codec::CodecKind;

use crate::{Conditions, PhoneBehaviour};

pub use checks::Violation;

/// What happens, and when.
#[derive(Clone, Debug)]
pub struct Script {
    /// Whose function it is; the world is made from it too.
    pub seed: u64,
    /// How the network behaves at first.
    pub conditions: Conditions,
    /// [`crate::Network::spares_dtls`].
    pub spares_dtls: bool,
    /// What each browser can speak. The last one belongs to the same user as the first and isn't signed in at first.
    pub browsers: [Vec<CodecKind>; BROWSERS],
    /// What each phone does when it is called.
    pub phones: [PhoneBehaviour; PHONES],
    /// In order.
    pub steps: Vec<Step>,
}

/// Browsers in a script.
pub const BROWSERS: usize = 3;
/// Phones in a script.
pub const PHONES: usize = 2;
/// Who sits before each browser.
const USERS: [&str; BROWSERS] = ["1001", "1002", "1001"];

impl std::fmt::Display for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "script {}: {:?}", self.seed, self.conditions)?;
        writeln!(f, "  browsers {:?}, phones {:?}", self.browsers, self.phones)?;
        self.steps.iter().try_for_each(|Step { after, action }| writeln!(f, "  {after:>9.1?} later {action:?}"))
    }
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub struct Step {
    /// How long after the step before.
    pub after: Duration,
    /// What.
    pub action: Action,
}

/// Something that somebody does. What can't be done at that moment isn't.
#[derive(Clone, Debug)]
pub enum Action {
    /// A browser calls a number.
    Call(usize, String),
    /// A phone calls the user before a browser.
    PhoneCalls(usize, usize),
    /// A browser answers.
    Answer(usize),
    /// A browser hangs up, cancels or declines.
    HangUp(usize),
    /// A phone hangs up, cancels or refuses.
    PhoneHangsUp(usize),
    /// A phone will do this when it is called.
    PhoneWill(usize, PhoneBehaviour),
    /// A browser holds, or resumes.
    Hold(usize, bool),
    /// A phone holds, or resumes.
    PhoneHolds(usize, bool),
    /// A browser presses keys.
    Dtmf(usize),
    /// A browser restarts ICE.
    RestartIce(usize),
    /// A browser's WebSocket is cut.
    CutLink(usize),
    /// A browser opens a WebSocket: it resumes, or signs in.
    Connect(usize),
    /// A browser's page is gone.
    PageVanishes(usize),
    /// A browser signs out.
    SignOut(usize),
    /// A phone is gone.
    PhoneVanishes(usize),
    /// Nothing gets through for a while.
    BlackOut(Duration),
    /// The network changes.
    Weather(Conditions),
    /// Random bytes come to every port of the gateway, from a stranger.
    Noise,
    /// A datagram that was on the wire a moment ago comes to the gateway once more, damaged.
    Tamper,
    /// The gateway is told to take no more calls.
    Drain,
    /// The gateway is told to stop.
    ShutDown,
    /// The gateway dies, and another instance goes on with its calls.
    TakeOver,
    /// The network recovers, and after a while everybody who talks must hear what they should.
    Listen,
}

/// What came out of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// [`crate::World::trace`] at the end.
    pub trace: u64,
    /// How the calls of each browser ended, as it was told.
    pub ended: Vec<Vec<String>>,
    /// Who was found to talk with whom, and whether they heard each other.
    pub heard: Vec<String>,
}
