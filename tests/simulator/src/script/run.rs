//! Playing a script.

use std::time::{Duration, Instant};

use webrtc_sip_core::codec::CodecKind::{Pcma, Pcmu};
use webrtc_sip_core::gateway::GatewayConfig;
use webrtc_sip_core::rng::Rng;

use super::checks::{self, Violation};
use super::{Action, Outcome, Script, USERS};
use crate::{BrowserIndex, Conditions, DrainOrder, NodeIndex, PhoneIndex, World};

/// From where strangers send.
const STRANGER: &str = "10.9.9.9:5060";
/// Longer than everything that may still be waited for when everybody has gone: the resumption window, ringing, SIP's
/// transactions behind them, and the 180 s that an INVITE may go without a final response.
const ALL_TIMEOUTS: Duration = Duration::from_secs(240);

/// A script that is being played.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) node: NodeIndex,
    pub(super) browsers: Vec<BrowserIndex>,
    pub(super) phones: Vec<PhoneIndex>,
    /// Whether somebody meddled with signalling: then nobody can say who should hear whom.
    pub(super) tampered: bool,
    pub(super) heard: Vec<String>,
    rng: Rng,
}

impl Script {
    /// Plays it from `start` on, which may be any instant.
    pub fn run(&self, start: Instant, drain_order: DrainOrder) -> Result<Outcome, Violation> {
        let mut stage = Stage::set(self, start, drain_order);
        for step in &self.steps {
            stage.world.run_for(step.after);
            stage.act(&step.action)?;
        }
        stage.end()?;
        let browsers = stage.browsers.iter().map(|browser| stage.world.browser(*browser));
        Ok(Outcome {
            trace: stage.world.trace(),
            ended: browsers.map(|browser| browser.ended.clone()).collect(),
            heard: stage.heard,
        })
    }
}

impl Stage {
    fn set(script: &Script, start: Instant, drain_order: DrainOrder) -> Self {
        let mut world = World::new(start, script.seed);
        world.drain_order = drain_order;
        world.network.spares_dtls = script.spares_dtls;
        let phones = script.phones.map(|behaviour| world.add_phone(behaviour, vec![Pcmu, Pcma]));
        let node = world.add_node(1 + (script.seed % 2) as u16, GatewayConfig::default());
        let users = USERS.into_iter().zip(&script.browsers);
        let browsers: Vec<_> = users.map(|(user, codecs)| world.add_browser(user, codecs.clone())).collect();
        for browser in &browsers[..2] {
            world.connect(*browser, node);
        }
        world.run_for(Duration::from_millis(20));
        world.network.conditions = script.conditions;
        let mut seed = [0x6e; 32];
        seed[..8].copy_from_slice(&script.seed.to_le_bytes());
        let rng = Rng::split(&seed, "stage");
        Stage { world, node, browsers, phones: phones.to_vec(), tampered: false, heard: Vec::new(), rng }
    }

    fn act(&mut self, action: &Action) -> Result<(), Violation> {
        let world = &mut self.world;
        let browser = |n: usize| self.browsers[n];
        let phone = |n: usize| self.phones[n];
        match action {
            Action::Call(n, to) => {
                let (browser, now) = world.browser_mut(browser(*n));
                browser.call(now, to);
            }
            Action::PhoneCalls(n, callee) => {
                let gateway = world.node(self.node).sip_address();
                let (phone, now) = world.phone_mut(phone(*n));
                phone.call(now, gateway, USERS[*callee]);
            }
            Action::Answer(n) => {
                let (browser, now) = world.browser_mut(browser(*n));
                browser.answer(now);
            }
            Action::HangUp(n) => {
                let (browser, now) = world.browser_mut(browser(*n));
                browser.hang_up(now);
            }
            Action::PhoneHangsUp(n) => {
                let (phone, now) = world.phone_mut(phone(*n));
                phone.hang_up(now);
            }
            Action::PhoneWill(n, behaviour) => {
                let (phone, _) = world.phone_mut(phone(*n));
                if !phone.is_dead() {
                    phone.behaviour = *behaviour;
                }
            }
            Action::Hold(n, held) => world.browser_mut(browser(*n)).0.hold(*held),
            Action::PhoneHolds(n, held) => {
                let (phone, now) = world.phone_mut(phone(*n));
                phone.hold(now, *held);
            }
            Action::Dtmf(n) => world.browser_mut(browser(*n)).0.dtmf("12#"),
            Action::RestartIce(n) => world.browser_mut(browser(*n)).0.restart_ice(),
            Action::CutLink(n) => world.disconnect(browser(*n)),
            Action::Connect(n) => world.connect(browser(*n), self.node),
            Action::PageVanishes(n) => world.vanish(browser(*n)),
            Action::SignOut(n) => world.browser_mut(browser(*n)).0.sign_out(),
            Action::PhoneVanishes(n) => world.phone_mut(phone(*n)).0.vanish(),
            Action::BlackOut(time) => self.black_out(*time),
            Action::Weather(conditions) => world.network.conditions = *conditions,
            Action::Noise => self.make_noise(),
            Action::Tamper => self.tamper(),
            Action::Drain => {
                let (node, now) = world.node_mut(self.node);
                node.gateway.handle_drain(now);
            }
            Action::ShutDown => {
                let (node, now) = world.node_mut(self.node);
                node.gateway.handle_shutdown(now);
            }
            Action::TakeOver => self.take_over(),
            Action::Listen => return checks::listen(self),
        }
        Ok(())
    }

    fn black_out(&mut self, time: Duration) {
        let before = self.world.network.conditions;
        self.world.network.conditions = Conditions { loss: 1.0, ..before };
        self.world.run_for(time);
        self.world.network.conditions = before;
    }

    fn make_noise(&mut self) {
        let from = STRANGER.parse().expect("it is an address");
        for to in self.world.addresses() {
            for _ in 0..4 {
                let mut bytes = vec![0; self.rng.below(300) as usize];
                self.rng.fill(&mut bytes);
                let now = self.world.now();
                self.world.network.inject(now, from, to, bytes);
            }
        }
    }

    /// Damages a datagram that went to the gateway.
    fn tamper(&mut self) {
        let addresses = self.world.addresses();
        let towards: Vec<_> =
            self.world.network.recent().filter(|(_, to, _)| addresses.contains(to)).cloned().collect();
        let at = self.rng.below(towards.len() as u64) as usize;
        let Some((from, to, mut bytes)) = towards.get(at).cloned() else { return };
        self.tampered = true;
        for _ in 0..=self.rng.below(4) {
            let at = self.rng.below(bytes.len() as u64) as usize;
            if let Some(byte) = bytes.get_mut(at) {
                *byte = self.rng.u16() as u8;
            }
        }
        if self.rng.below(4) == 0 {
            bytes.truncate(self.rng.below(bytes.len() as u64) as usize);
        }
        let now = self.world.now();
        self.world.network.inject(now, from, to, bytes);
    }

    /// The node dies. What it had written down goes on at another one, and the pages come back by themselves.
    fn take_over(&mut self) {
        let calls: Vec<_> = self.world.node(self.node).gateway.calls().collect();
        let (node, now) = self.world.node_mut(self.node);
        calls.into_iter().for_each(|call| node.gateway.snapshot_call(now, call));
        self.world.run_for(Duration::from_millis(self.rng.below(100)));
        let (node, _) = self.world.node_mut(self.node);
        let snapshots = std::mem::take(&mut node.snapshots);
        let connected: Vec<_> =
            self.browsers.iter().copied().filter(|browser| self.world.browser(*browser).is_linked()).collect();
        self.world.kill_node(self.node);
        self.node = self.world.add_node(2, GatewayConfig::default());
        let (node, now) = self.world.node_mut(self.node);
        for snapshot in snapshots {
            node.gateway.restore_call(now, *snapshot).expect("it is the first to go on with the call");
        }
        for browser in connected {
            self.world.connect(browser, self.node);
        }
        self.world.run_for(Duration::from_millis(50));
        for browser in self.browsers.clone() {
            self.world.browser_mut(browser).0.restart_ice();
        }
    }

    /// Everybody hangs up and goes; all time-outs pass; nothing is left.
    fn end(&mut self) -> Result<(), Violation> {
        self.world.network.conditions = Conditions::default();
        for _ in 0..3 {
            self.hang_up_everywhere();
            self.world.run_for(Duration::from_secs(1));
        }
        checks::each_call_ended_once(self)?;
        for n in 0..self.browsers.len() {
            let browser = self.browsers[n];
            match self.rng.below(3) {
                0 => self.world.vanish(browser),
                1 => self.world.disconnect(browser),
                // Signed out, but the page stays open for a while.
                _ => self.world.browser_mut(browser).0.sign_out(),
            }
        }
        self.world.run_for(Duration::from_secs(1));
        for browser in self.browsers.clone() {
            self.world.vanish(browser);
        }
        self.world.run_for(ALL_TIMEOUTS);
        checks::nothing_is_left(self)
    }

    /// One after the other: what happens at the same moment may happen in either order.
    fn hang_up_everywhere(&mut self) {
        const BREATH: Duration = Duration::from_micros(137);
        for n in 0..self.browsers.len() {
            self.world.run_for(BREATH);
            let (browser, now) = self.world.browser_mut(self.browsers[n]);
            browser.hang_up(now);
        }
        for n in 0..self.phones.len() {
            self.world.run_for(BREATH);
            let (phone, now) = self.world.phone_mut(self.phones[n]);
            phone.hang_up(now);
        }
    }
}
