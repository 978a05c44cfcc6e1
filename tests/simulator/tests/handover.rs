//! A live call outlives the node it runs on.

use std::time::{Duration, Instant};

use simulator::{BrowserIndex, BrowserState, NodeIndex, PhoneBehaviour, PhoneIndex, PhoneState, World};
use webrtc_sip_core::codec::CodecKind::{self, Opus, Pcmu};
use webrtc_sip_core::gateway::{CallSnapshot, GatewayConfig};

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

/// The state of a node's only call; `time` is what it may take.
fn write_down(world: &mut World, node: NodeIndex, time: Duration) -> CallSnapshot {
    let (old, now) = world.node_mut(node);
    let call = old.gateway.calls().next().expect("there is a call");
    old.gateway.snapshot_call(now, call);
    world.run_for(time);
    *world.node_mut(node).0.snapshots.pop().expect("the call was written down")
}

#[test]
fn a_second_instance_goes_on_with_a_call_of_one_that_died() {
    let Scene { mut world, phone, first, second, browser } = scene(7, Opus, 2);
    assert_eq!(world.browser(browser).state(), BrowserState::Talking);
    assert!(world.browser(browser).heard() > 100 && world.phone(phone).heard() > 100);

    // The snapshot goes through a store, as bytes.
    let stored = serde_json::to_string(&write_down(&mut world, first, Duration::from_millis(100))).unwrap();
    // The old instance goes on for a while after that: what it still sends mustn't be repeated by its successor.
    world.run_for(SECOND);
    world.kill_node(first);
    world.run_for(SECOND);

    let snapshot: CallSnapshot = serde_json::from_str(&stored).unwrap();
    let (node, now) = world.node_mut(second);
    node.gateway.restore_call(now, snapshot.clone()).unwrap();
    assert!(node.gateway.restore_call(now, snapshot).is_err(), "once is enough");
    world.connect(browser, second);
    world.run_for(Duration::from_millis(200));
    assert!(world.browser(browser).is_signed_in(), "{:?}", world.browser(browser).errors);
    let (page, _) = world.browser_mut(browser);
    page.restart_ice();
    world.run_for(2 * SECOND);

    let (browser_heard, phone_heard) = (world.browser(browser).heard(), world.phone(phone).heard());
    world.run_for(2 * SECOND);
    assert!(world.browser(browser).heard() > browser_heard + 90, "the browser hears the phone again");
    assert!(world.phone(phone).heard() > phone_heard + 90, "the phone hears the browser again");
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
        let Scene { mut world, phone, first, second, browser } = scene(9, Opus, 1);
        let snapshot = write_down(&mut world, first, Duration::from_millis(20));
        world.kill_node(first);
        let (node, now) = world.node_mut(second);
        node.gateway.restore_call(now, snapshot).unwrap();
        for _ in 0..2 {
            world.connect(browser, second);
            world.run_for(Duration::from_millis(20));
            world.browser_mut(browser).0.restart_ice();
            world.run_for(Duration::from_millis(pause_ms));
        }
        world.run_for(2 * SECOND);
        let (browser_heard, phone_heard) = (world.browser(browser).heard(), world.phone(phone).heard());
        world.run_for(SECOND);
        assert!(world.browser(browser).heard() > browser_heard + 40, "the browser hears, {pause_ms} ms apart");
        assert!(world.phone(phone).heard() > phone_heard + 40, "the phone hears, {pause_ms} ms apart");
    }
}

#[test]
fn a_browser_that_never_comes_back_leaves_nothing_behind() {
    let Scene { mut world, phone, first, second, browser } = scene(8, Opus, 1);
    let snapshot = write_down(&mut world, first, SECOND);
    world.kill_node(first);
    world.vanish(browser);
    let (node, now) = world.node_mut(second);
    node.gateway.restore_call(now, snapshot).unwrap();
    world.run_for(120 * SECOND);
    assert_eq!(world.phone(phone).state(), PhoneState::Idle, "the phone got a BYE");
    let stats = world.node(second).gateway.stats();
    assert_eq!((stats.sign_ins, stats.calls, stats.legs, stats.sip.dialogs), (0, 0, 0, 0), "{stats:?}");
}

#[test]
fn sequence_numbers_that_have_wrapped_survive_a_takeover() {
    let mut world = World::new(Instant::now(), 9);
    let phone = world.add_phone(PhoneBehaviour::AnswerAfter(SECOND), vec![Pcmu]);
    let first = world.add_node(1, GatewayConfig::default());
    let second = world.add_node(1, GatewayConfig::default());
    let browser = world.add_browser("1001", vec![Pcmu]);
    world.connect(browser, first);
    world.run_for(SECOND);
    let (page, now) = world.browser_mut(browser);
    page.call(now, "phone0");
    // 50 packets a second each way: wherever they begin, 16 bits are used up after 22 minutes.
    world.run_for(1320 * SECOND);
    assert!(world.browser(browser).heard() > 65_536 && world.phone(phone).heard() > 65_536);

    let (node, now) = world.node_mut(first);
    let call = node.gateway.calls().next().expect("there is a call");
    node.gateway.snapshot_call(now, call);
    world.run_for(Duration::from_millis(100));
    let (node, _) = world.node_mut(first);
    let snapshot = *node.snapshots.pop().expect("the call was written down");
    let written = serde_json::to_value(&snapshot).unwrap();
    let inbound = &written["legs"][0]["media"]["transport"]["WebRtc"]["roll_over_counters"];
    assert!(inbound[0][1].as_u64() >= Some(1), "the browser's sequence number has wrapped: {inbound}");
    world.kill_node(first);
    world.run_for(SECOND);

    let (node, now) = world.node_mut(second);
    node.gateway.restore_call(now, snapshot).unwrap();
    world.connect(browser, second);
    world.run_for(Duration::from_millis(200));
    let (page, _) = world.browser_mut(browser);
    page.restart_ice();
    world.run_for(2 * SECOND);
    let (browser_heard, phone_heard) = (world.browser(browser).heard(), world.phone(phone).heard());
    world.run_for(2 * SECOND);
    assert!(world.browser(browser).heard() > browser_heard + 90, "the browser hears the phone again");
    assert!(world.phone(phone).heard() > phone_heard + 90, "the phone hears the browser again");
}
