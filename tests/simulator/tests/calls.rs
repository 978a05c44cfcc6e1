//! What a person would try first, on a fake clock.

use std::time::{Duration, Instant};

use simulator::{BrowserState, Conditions, PhoneBehaviour, PhoneState, World};
use webrtc_sip_core::codec::CodecKind::{Opus, Pcma, Pcmu};
use webrtc_sip_core::gateway::GatewayConfig;

const SECOND: Duration = Duration::from_secs(1);
const ANSWER: PhoneBehaviour = PhoneBehaviour::AnswerAfter(Duration::from_millis(500));

struct Fixture {
    world: World,
    node: simulator::NodeIndex,
    browser: simulator::BrowserIndex,
    phone: simulator::PhoneIndex,
}

fn fixture(seed: u64, conditions: Conditions) -> Fixture {
    let mut world = World::new(Instant::now(), seed);
    world.network.conditions = conditions;
    let phone = world.add_phone(ANSWER, vec![Pcmu, Pcma]);
    let node = world.add_node(1, GatewayConfig::default());
    let browser = world.add_browser("1001", vec![Opus, Pcmu]);
    world.connect(browser, node);
    world.run_for(SECOND);
    assert!(world.browser(browser).is_signed_in());
    Fixture { world, node, browser, phone }
}

impl Fixture {
    fn both_hear(&mut self) -> bool {
        let before = (self.world.browser(self.browser).heard(), self.world.phone(self.phone).heard());
        self.world.run_for(SECOND);
        let (browser, phone) = (self.world.browser(self.browser).heard(), self.world.phone(self.phone).heard());
        browser >= before.0 + 40 && phone >= before.1 + 40
    }

    fn nothing_is_left(&mut self) {
        // Long enough for every SIP transaction (64*T1).
        self.world.run_for(40 * SECOND);
        let node = self.world.node(self.node);
        let stats = node.gateway.stats();
        assert_eq!((stats.calls, stats.legs, stats.requests), (0, 0, 0), "{stats:?}");
        assert_eq!((stats.sip.dialogs, stats.sip.transactions), (0, 0), "{stats:?}");
        assert_eq!(node.media_ports(), 0);
        for shard in node.shards() {
            assert_eq!(shard.stats().legs, 0);
            assert_eq!(shard.stats().held, 0);
        }
        assert!(self.world.tap().reused().is_empty());
    }
}

#[test]
fn a_browser_calls_a_phone_and_both_hear_each_other() {
    for conditions in [Conditions::default(), Conditions { loss: 0.02, ..Conditions::bad() }] {
        let mut f = fixture(1, conditions);
        let (browser, now) = f.world.browser_mut(f.browser);
        browser.call(now, "phone0");
        f.world.run_for(5 * SECOND);
        assert_eq!(f.world.browser(f.browser).state(), BrowserState::Talking);
        assert_eq!(f.world.phone(f.phone).state(), PhoneState::Talking);
        assert!(f.both_hear(), "{conditions:?}");
        let (browser, now) = f.world.browser_mut(f.browser);
        browser.hang_up(now);
        f.world.run_for(5 * SECOND);
        assert_eq!(f.world.phone(f.phone).state(), PhoneState::Idle);
        assert_eq!(f.world.browser(f.browser).ended, ["hangup"]);
        f.nothing_is_left();
    }
}

#[test]
fn a_phone_calls_a_browser_and_hangs_up() {
    let mut f = fixture(2, Conditions::default());
    let gateway = f.world.node(f.node).sip_address();
    let (phone, now) = f.world.phone_mut(f.phone);
    phone.call(now, gateway, "1001");
    f.world.run_for(SECOND);
    assert_eq!(f.world.browser(f.browser).state(), BrowserState::Incoming);
    let (browser, now) = f.world.browser_mut(f.browser);
    browser.answer(now);
    f.world.run_for(2 * SECOND);
    assert!(f.both_hear());
    let (phone, now) = f.world.phone_mut(f.phone);
    phone.hang_up(now);
    f.world.run_for(SECOND);
    assert_eq!(f.world.browser(f.browser).ended, ["hangup"]);
    f.nothing_is_left();
}

#[test]
fn ice_may_be_restarted_again_right_after_a_restart() {
    for pause_ms in [15, 25, 40, 80, 200, 1000] {
        let mut f = fixture(3, Conditions::default());
        let (browser, now) = f.world.browser_mut(f.browser);
        browser.call(now, "phone0");
        f.world.run_for(5 * SECOND);
        for _ in 0..3 {
            f.world.browser_mut(f.browser).0.restart_ice();
            f.world.run_for(Duration::from_millis(pause_ms));
        }
        f.world.run_for(2 * SECOND);
        assert!(f.both_hear(), "restarts {pause_ms} ms apart");
    }
}
