//! A live call outlives the node it runs on.

use std::time::{Duration, Instant};

use simulator::{BrowserIndex, BrowserState, NodeIndex, PhoneBehaviour, PhoneIndex, PhoneState, World};
use webrtc_sip_core::codec::CodecKind::{self, Opus, Pcmu};
use webrtc_sip_core::gateway::{CallSnapshot, GatewayConfig, RestoreError};

const SECOND: Duration = Duration::from_secs(1);

/// A browser on the first of two nodes that talks to a phone.
struct Scene {
    world: World,
    phone: PhoneIndex,
    first: NodeIndex,
    second: NodeIndex,
    browser: BrowserIndex,
}

fn scene(seed: u64, codec: CodecKind, shards_of_second: u16) -> Scene {
    let mut world = World::new(Instant::now(), seed);
    let phone = world.add_phone(PhoneBehaviour::AnswerAfter(SECOND), vec![Pcmu]);
    let first = world.add_node(1, GatewayConfig::default());
    let second = world.add_node(shards_of_second, GatewayConfig::default());
    let browser = world.add_browser("1001", vec![codec]);
    world.connect(browser, first);
    world.run_for(SECOND);
    let (page, now) = world.browser_mut(browser);
    page.call(now, "phone0");
    world.run_for(5 * SECOND);
    Scene { world, phone, first, second, browser }
}

impl Scene {
    /// The state of the first node's only call; `time` is what it may take.
    fn write_down(&mut self, time: Duration) -> CallSnapshot {
        let (old, now) = self.world.node_mut(self.first);
        let call = old.gateway.calls().next().expect("there is a call");
        old.gateway.snapshot_call(now, call);
        self.world.run_for(time);
        *self.world.node_mut(self.first).0.snapshots.pop().expect("the call was written down")
    }

    fn restore(&mut self, snapshot: CallSnapshot) -> Result<(), RestoreError> {
        let (node, now) = self.world.node_mut(self.second);
        node.gateway.restore_call(now, snapshot).map(drop)
    }

    /// The page finds the second node and asks for a new path.
    fn come_back(&mut self, time: Duration) {
        self.world.connect(self.browser, self.second);
        self.world.run_for(time);
        let page = self.world.browser_mut(self.browser).0;
        assert!(page.is_signed_in(), "{:?}", page.errors);
        page.restart_ice();
    }

    fn assert_both_hear(&mut self, when: &str) {
        let heard = |world: &World| (world.browser(self.browser).heard(), world.phone(self.phone).heard());
        let before = heard(&self.world);
        self.world.run_for(2 * SECOND);
        let after = heard(&self.world);
        assert!(after.0 > before.0 + 90, "the browser hears the phone {when}");
        assert!(after.1 > before.1 + 90, "the phone hears the browser {when}");
    }
}

#[test]
fn a_second_instance_goes_on_with_a_call_of_one_that_died() {
    let mut scene = scene(7, Opus, 2);
    assert_eq!(scene.world.browser(scene.browser).state(), BrowserState::Talking);
    scene.assert_both_hear("at first");

    // The snapshot goes through a store, as bytes.
    let stored = serde_json::to_string(&scene.write_down(Duration::from_millis(100))).unwrap();
    // The old instance goes on for a while after that: what it still sends mustn't be repeated by its successor.
    scene.world.run_for(SECOND);
    scene.world.kill_node(scene.first);
    scene.world.run_for(SECOND);

    let snapshot: CallSnapshot = serde_json::from_str(&stored).unwrap();
    scene.restore(snapshot.clone()).unwrap();
    assert!(scene.restore(snapshot).is_err(), "once is enough");
    scene.come_back(Duration::from_millis(200));
    scene.world.run_for(2 * SECOND);
    scene.assert_both_hear("again");

    let Scene { mut world, phone, second, browser, .. } = scene;
    let media = world.browser(browser).media_address().unwrap();
    assert_eq!(world.tap().sources_towards(media), 2, "the new owner sends under a source of its own");
    assert!(world.tap().reused().is_empty(), "no SRTP index is used twice: {:?}", world.tap().reused());

    // And the call ends as any other.
    let (page, now) = world.browser_mut(browser);
    page.hang_up(now);
    world.run_for(SECOND);
    assert_eq!(world.phone(phone).state(), PhoneState::Idle);
    world.run_for(40 * SECOND);
    let stats = world.node(second).gateway.stats();
    assert_eq!((stats.calls, stats.legs, stats.sip.dialogs, stats.sip.transactions), (0, 0, 0, 0));
    assert_eq!(world.node(second).media_ports(), 0);
}

#[test]
fn a_second_restart_right_after_the_take_over_does_no_harm() {
    for pause_ms in [30, 100, 150, 400, 1000] {
        let mut scene = scene(9, Opus, 1);
        let snapshot = scene.write_down(Duration::from_millis(20));
        scene.world.kill_node(scene.first);
        scene.restore(snapshot).unwrap();
        for _ in 0..2 {
            scene.come_back(Duration::from_millis(20));
            scene.world.run_for(Duration::from_millis(pause_ms));
        }
        scene.world.run_for(2 * SECOND);
        scene.assert_both_hear(&format!("after two restarts {pause_ms} ms apart"));
    }
}

#[test]
fn a_browser_that_never_comes_back_leaves_nothing_behind() {
    let mut scene = scene(8, Opus, 1);
    let snapshot = scene.write_down(SECOND);
    scene.world.kill_node(scene.first);
    scene.world.vanish(scene.browser);
    scene.restore(snapshot).unwrap();
    scene.world.run_for(120 * SECOND);
    assert_eq!(scene.world.phone(scene.phone).state(), PhoneState::Idle, "the phone got a BYE");
    let stats = scene.world.node(scene.second).gateway.stats();
    assert_eq!((stats.sign_ins, stats.calls, stats.legs, stats.sip.dialogs), (0, 0, 0, 0), "{stats:?}");
}

#[test]
fn sequence_numbers_that_have_wrapped_survive_a_takeover() {
    let mut scene = scene(9, Pcmu, 1);
    // 50 packets a second each way: wherever they begin, 16 bits are used up after 22 minutes.
    scene.world.run_for(1320 * SECOND);
    let (page, phone) = (scene.world.browser(scene.browser), scene.world.phone(scene.phone));
    assert!(page.heard() > 65_536 && phone.heard() > 65_536);

    let snapshot = scene.write_down(Duration::from_millis(100));
    let written = serde_json::to_value(&snapshot).unwrap();
    let inbound = &written["legs"][0]["media"]["transport"]["WebRtc"]["roll_over_counters"];
    assert!(inbound[0][1].as_u64() >= Some(1), "the browser's sequence number has wrapped: {inbound}");
    scene.world.kill_node(scene.first);
    scene.world.run_for(SECOND);

    scene.restore(snapshot).unwrap();
    scene.come_back(Duration::from_millis(200));
    scene.world.run_for(2 * SECOND);
    scene.assert_both_hear("again");
}
