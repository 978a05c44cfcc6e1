//! What must hold.

use std::time::Duration;

use super::run::Stage;
use crate::{BrowserState, PhoneState, World};

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(String);

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn require(holds: bool, message: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation(message())) }
}

/// How long it may take, on a good network, until everybody hears what they should: SIP repeats a lost message after
/// up to 4 s (RFC 3261 section 17.1.2.1), DTLS one after up to 8 s when there was a black-out, and a phone whose re-INVITE
/// went to an instance that died gives its call up after 32 s.
const RECOVERY: Duration = Duration::from_secs(40);
const WINDOW: Duration = Duration::from_millis(400);
/// Of the 20 packets in a window.
const ENOUGH: u64 = 15;

/// Two who talk with each other.
#[derive(Debug, PartialEq, Eq)]
struct Pair {
    who: [String; 2],
    /// Whether each of them should hear the other.
    hears: [bool; 2],
    /// What they agree on is about to change.
    negotiates: bool,
}

/// Packets with sound in them that each of a pair has heard.
type Heard = [u64; 2];

/// The network recovers; then media must flow exactly where both sides agreed.
pub(super) fn listen(stage: &mut Stage) -> Result<(), Violation> {
    if stage.tampered {
        return Ok(());
    }
    let weather = std::mem::take(&mut stage.world.network.conditions);
    let deadline = stage.world.now() + RECOVERY;
    loop {
        let before = pairs(stage);
        stage.world.run_for(WINDOW);
        let after = pairs(stage);
        let wrong = what_is_wrong(&before, &after);
        match wrong {
            None => {
                stage
                    .heard
                    .extend(after.into_iter().map(|(Pair { who, hears, .. }, _)| format!("{who:?} hear: {hears:?}")));
                break;
            }
            Some(wrong) if stage.world.now() >= deadline => return Err(Violation(wrong)),
            Some(_) => {}
        }
    }
    stage.world.network.conditions = weather;
    Ok(())
}

fn what_is_wrong(before: &[(Pair, Heard)], after: &[(Pair, Heard)]) -> Option<String> {
    if before.iter().map(|(pair, _)| pair).ne(after.iter().map(|(pair, _)| pair)) {
        return Some("who talks with whom keeps changing".to_owned());
    }
    if after.iter().any(|(pair, _)| pair.negotiates) {
        return Some("a phone never gets an answer to its offer".to_owned());
    }
    before.iter().zip(after).find_map(|((pair, before), (_, after))| {
        let heard = [0, 1].map(|n| after[n].saturating_sub(before[n]));
        let right =
            heard.into_iter().zip(pair.hears).all(|(heard, hears)| if hears { heard >= ENOUGH } else { heard == 0 });
        (!right).then(|| format!("{pair:?}, but they hear {heard:?} packets in {WINDOW:?}"))
    })
}

/// Everybody who talks with somebody who talks with them, and whom the gateway can reach.
fn pairs(stage: &Stage) -> Vec<(Pair, Heard)> {
    let world = &stage.world;
    let mut found = Vec::new();
    let talking: Vec<_> = stage.browsers.iter().map(|index| world.browser(*index)).collect();
    let talking: Vec<_> = talking.into_iter().filter(|b| b.state() == BrowserState::Talking && b.is_linked()).collect();
    for (n, browser) in talking.iter().enumerate() {
        for other in &talking[n + 1..] {
            if browser.far() == Some(other.user()) && other.far() == Some(browser.user()) {
                let who = [browser.user(), other.user()].map(str::to_owned);
                let quiet = [browser, other].iter().any(|browser| browser.holds() || browser.is_held());
                found.push((Pair { who, hears: [!quiet; 2], negotiates: false }, [browser.heard(), other.heard()]));
            }
        }
        for (n, phone) in stage.phones.iter().enumerate() {
            let (phone, name) = (world.phone(*phone), format!("phone{n}"));
            let talks = phone.state() == PhoneState::Talking && !phone.is_dead();
            if talks && browser.far() == Some(name.as_str()) && phone.far() == Some(browser.user()) {
                let who = [browser.user().to_owned(), name];
                // A phone that holds sends music (RFC 3264 section 8.4), which the browser hears.
                let music = !browser.holds() && !phone.is_held();
                let hears = [music, music && !browser.is_held() && !phone.holds()];
                found.push((Pair { who, hears, negotiates: phone.is_negotiating() }, [browser.heard(), phone.heard()]));
            }
        }
    }
    found
}

/// Everybody has hung up, and whoever is connected has been told.
pub(super) fn each_call_ended_once(stage: &Stage) -> Result<(), Violation> {
    for index in &stage.browsers {
        let browser = stage.world.browser(*index);
        let wrong =
            browser.ended_wrongly().find(|(_, ends)| *ends > 1 || (browser.is_linked() && browser.is_signed_in()));
        require(wrong.is_none(), || {
            format!("a call of browser {} ended so often: {wrong:?} {:?}", browser.user(), browser.notified)
        })?;
    }
    Ok(())
}

/// Everybody has gone, and every time-out has passed.
pub(super) fn nothing_is_left(stage: &Stage) -> Result<(), Violation> {
    let node = stage.world.node(stage.node);
    let stats = node.gateway.stats();
    let gauges = [
        ("sign-ins", stats.sign_ins),
        ("links", stats.links),
        ("calls", stats.calls),
        ("legs", stats.legs),
        ("requests", stats.requests),
        ("timers", stats.timers),
        ("audio calls", stats.audio.current),
        ("transcoding calls", stats.transcoding.current),
        ("incoming calls", stats.incoming.current),
        ("outgoing calls", stats.outgoing.current),
        ("SIP transactions", stats.sip.transactions as u64),
        ("SIP dialogs", stats.sip.dialogs as u64),
        ("SIP flows", stats.sip.flows as u64),
        ("SIP timers", stats.sip.timers as u64),
        ("media ports", node.media_ports() as u64),
        ("media legs", node.shards().iter().map(|shard| shard.stats().legs as u64).sum()),
        ("media bridges", node.shards().iter().map(|shard| shard.stats().bridges as u64).sum()),
        ("held packets", node.shards().iter().map(|shard| shard.stats().held as u64).sum()),
    ];
    for (what, count) in gauges {
        require(count == 0, || format!("{count} {what} are left: {stats:?}"))?;
    }
    let begun = stats.incoming.total + stats.outgoing.total;
    require(begun == node.ended.len() as u64, || format!("{begun} calls began, {} ended", node.ended.len()))?;
    let mut ids: Vec<_> = node.ended.iter().map(|record| record.call).collect();
    ids.sort();
    ids.dedup();
    require(ids.len() == node.ended.len(), || format!("a call ended twice: {:?}", node.ended))?;
    phones_are_free(stage)?;
    let reused = stage.world.tap().reused();
    require(reused.is_empty(), || format!("SRTP indices were used twice: {reused:?}"))
}

fn phones_are_free(stage: &Stage) -> Result<(), Violation> {
    let world: &World = &stage.world;
    for phone in stage.phones.iter().map(|phone| world.phone(*phone)).filter(|phone| !phone.is_dead()) {
        let stats = phone.endpoint().stats();
        let free = (stats.dialogs, stats.transactions) == (0, 0) && phone.state() == PhoneState::Idle;
        require(free, || format!("the phone at {} isn't free: {stats:?}", phone.ip()))?;
    }
    Ok(())
}
