//! Making scripts up.

use std::time::Duration;

use webrtc_sip_core::codec::CodecKind::{self, Opus, Pcma, Pcmu};
use webrtc_sip_core::rng::Rng;

use super::{Action, BROWSERS, PHONES, Script, Step, USERS};
use crate::{Conditions, PhoneBehaviour};

const MAX_STEPS: u64 = 14;
/// Statuses that phones refuse calls with.
const REFUSALS: [u16; 12] = [400, 403, 404, 408, 410, 480, 486, 488, 500, 503, 600, 603];
const KINDS: [(u64, Kind); 24] = [
    (16, Kind::Call),
    (8, Kind::PhoneCalls),
    (24, Kind::Answer),
    (8, Kind::HangUp),
    (5, Kind::PhoneHangsUp),
    (2, Kind::PhoneWill),
    (8, Kind::Hold),
    (6, Kind::PhoneHolds),
    (3, Kind::Dtmf),
    (4, Kind::RestartIce),
    (4, Kind::CutLink),
    (7, Kind::Connect),
    (1, Kind::PageVanishes),
    (1, Kind::SignOut),
    (1, Kind::PhoneVanishes),
    (2, Kind::BlackOut),
    (2, Kind::Weather),
    (2, Kind::Noise),
    (2, Kind::Tamper),
    (1, Kind::Drain),
    (1, Kind::ShutDown),
    (2, Kind::TakeOver),
    (8, Kind::Listen),
    (1, Kind::Wait),
];

#[derive(Clone, Copy)]
enum Kind {
    Call,
    PhoneCalls,
    Answer,
    HangUp,
    PhoneHangsUp,
    PhoneWill,
    Hold,
    PhoneHolds,
    Dtmf,
    RestartIce,
    CutLink,
    Connect,
    PageVanishes,
    SignOut,
    PhoneVanishes,
    BlackOut,
    Weather,
    Noise,
    Tamper,
    Drain,
    ShutDown,
    TakeOver,
    Listen,
    Wait,
}

impl Script {
    /// The script of a seed.
    pub fn random(seed: u64) -> Script {
        let mut bytes = [0x5c; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = Rng::split(&bytes, "script");
        let rng = &mut rng;
        let conditions = weather(rng);
        let browsers = std::array::from_fn(|_| codecs(rng));
        let phones = std::array::from_fn(|_| behaviour(rng));
        let count = 2 + rng.below(MAX_STEPS - 1);
        let mut steps = vec![Step { after: pause(rng), action: action(rng, Kind::Call) }];
        for _ in 0..count {
            let kind = draw_kind(rng);
            let after = if matches!(kind, Kind::Wait) { Duration::from_secs(rng.below(40)) } else { pause(rng) };
            steps.push(Step { after, action: action(rng, kind) });
        }
        Script { seed, conditions, spares_dtls: false, browsers, phones, steps }
    }
}

fn draw_kind(rng: &mut Rng) -> Kind {
    let total = KINDS.iter().map(|(weight, _)| weight).sum();
    let mut at = rng.below(total);
    for (weight, kind) in KINDS {
        if at < weight {
            return kind;
        }
        at -= weight;
    }
    Kind::Wait
}

fn action(rng: &mut Rng, kind: Kind) -> Action {
    // The third browser stays away most of the time.
    let browser = if rng.below(20) == 0 { BROWSERS - 1 } else { rng.below(BROWSERS as u64 - 1) as usize };
    let phone = rng.below(PHONES as u64) as usize;
    let flag = rng.below(2) == 0;
    match kind {
        Kind::Call => Action::Call(browser, number(rng)),
        Kind::PhoneCalls => Action::PhoneCalls(phone, browser),
        Kind::Answer => Action::Answer(browser),
        Kind::HangUp => Action::HangUp(browser),
        Kind::PhoneHangsUp => Action::PhoneHangsUp(phone),
        Kind::PhoneWill => Action::PhoneWill(phone, behaviour(rng)),
        Kind::Hold => Action::Hold(browser, flag),
        Kind::PhoneHolds => Action::PhoneHolds(phone, flag),
        Kind::Dtmf => Action::Dtmf(browser),
        Kind::RestartIce => Action::RestartIce(browser),
        Kind::CutLink => Action::CutLink(browser),
        Kind::Connect => Action::Connect(browser),
        Kind::PageVanishes => Action::PageVanishes(browser),
        Kind::SignOut => Action::SignOut(browser),
        Kind::PhoneVanishes => Action::PhoneVanishes(phone),
        Kind::BlackOut => Action::BlackOut(Duration::from_millis(200 + rng.below(8000))),
        Kind::Weather => Action::Weather(weather(rng)),
        Kind::Noise => Action::Noise,
        Kind::Tamper => Action::Tamper,
        Kind::Drain => Action::Drain,
        Kind::ShutDown => Action::ShutDown,
        Kind::TakeOver => Action::TakeOver,
        Kind::Listen | Kind::Wait => Action::Listen,
    }
}

fn number(rng: &mut Rng) -> String {
    match rng.below(16) {
        0..8 => format!("phone{}", rng.below(PHONES as u64)),
        8..13 => USERS[rng.below(2) as usize].to_owned(),
        13 => "sip:nobody@10.2.0.99".to_owned(),
        14 => "0800".to_owned(),
        _ => "not a number".to_owned(),
    }
}

/// Mostly as short as messages take, so that things cross.
fn pause(rng: &mut Rng) -> Duration {
    let longest_us = [12_000, 80_000, 1_000_000, 2_000_000][rng.below(4) as usize];
    Duration::from_micros(rng.below(longest_us))
}

fn weather(rng: &mut Rng) -> Conditions {
    let ms = Duration::from_millis;
    match rng.below(8) {
        0..4 => Conditions::default(),
        4 | 5 => Conditions { loss: 0.02, duplication: 0.01, delay: (ms(2), ms(20)) },
        6 => Conditions::bad(),
        _ => Conditions { loss: 0.2, duplication: 0.1, delay: (ms(1), ms(200)) },
    }
}

/// Opus costs a hundred times as much as G.711, so few speak it.
fn codecs(rng: &mut Rng) -> Vec<CodecKind> {
    match rng.below(24) {
        0 => vec![Opus, Pcmu],
        1..12 => vec![Pcma],
        _ => vec![Pcmu, Pcma],
    }
}

fn behaviour(rng: &mut Rng) -> PhoneBehaviour {
    match rng.below(12) {
        0 => PhoneBehaviour::Refuse(REFUSALS[rng.below(REFUSALS.len() as u64) as usize]),
        1 => PhoneBehaviour::RingForEver,
        2..7 => PhoneBehaviour::AnswerAfter(Duration::from_micros(rng.below(20_000))),
        _ => PhoneBehaviour::AnswerAfter(Duration::from_micros(rng.below(2_000_000))),
    }
}
