//! ICE restarts, and another instance that goes on with a call.

use std::time::Duration;

use crate::codec::CodecKind;
use crate::ids::{LegId, RequestId};
use crate::io::SocketId;
use crate::media::{
    DtlsRole, LegSnapshot, MediaCommand, MediaEvent, MediaFailure, RestoreLegConfig, RestoreTransport,
    TransportSnapshot,
};
use crate::rtp::OutgoingSource;
use crate::transport::webrtc::WebRtcEvent;

use super::world::{MS, World, gateway_credentials, new_shard};

/// Both sides send numbered packets of 20 ms.
fn talk(world: &mut World, packets: u32) {
    for number in 0..packets {
        let payload = vec![number as u8; 160];
        let now = world.now;
        world.browsers[0].send_rtp(now, 0, 160 * number, false, &payload);
        world.phones[0].send_rtp(now, 0, 160 * number, false, &payload);
        world.run(20 * MS);
    }
    world.run(100 * MS);
}

/// The browser asks for an ICE restart, and gets its answer.
fn restart_ice(world: &mut World, gateway_name: &str, browser_name: &str) {
    world.browsers[0].restart_ice(browser_name);
    let remote = Box::new(world.browsers[0].description(DtlsRole::Server, true));
    world.command(MediaCommand::SetWebRtcRemote { leg: LegId(100), remote });
    let answer = world.gateway_description(gateway_name, true, DtlsRole::Client);
    let now = world.now;
    world.browsers[0].set_remote(now, &answer);
}

fn snapshot(world: &mut World, leg: u64) -> LegSnapshot {
    world.command(MediaCommand::SnapshotLeg { request: RequestId(leg), leg: LegId(leg) });
    world.step();
    let taken = world.events.iter().find_map(|event| match event {
        MediaEvent::Snapshot { request, snapshot, .. } if *request == RequestId(leg) => snapshot.clone(),
        _ => None,
    });
    let json = serde_json::to_string(&taken.expect("the leg is connected")).unwrap();
    serde_json::from_str(&json).unwrap()
}

#[test]
fn an_ice_restart_interrupts_nothing() {
    let mut world = World::call(21, CodecKind::Pcmu, CodecKind::Pcmu);
    talk(&mut world, 20);
    let dtls_heard = world.browsers[0].dtls_heard;
    world.command(MediaCommand::RestartIce { leg: LegId(100), local: gateway_credentials("again") });
    restart_ice(&mut world, "again", "browser-again");
    talk(&mut world, 50);
    assert_eq!(world.connected(100), 2);
    assert_eq!(world.browsers[0].dtls_heard, dtls_heard);
    assert_eq!((world.phones[0].heard.len(), world.browsers[0].heard.len()), (70, 70));
    assert_eq!(world.browsers[0].indices.len(), 70);
}

#[test]
fn another_instance_goes_on_with_the_call() {
    let mut world = World::call(22, CodecKind::Pcmu, CodecKind::Pcmu);
    // The browser's sequence numbers wrap before the take-over, and the phone's do too.
    world.browsers[0].source = OutgoingSource::new(0xb0b0_b0b0, 65_500, 1);
    talk(&mut world, 60);
    let (webrtc, plain) = (snapshot(&mut world, 100), snapshot(&mut world, 200));
    let TransportSnapshot::WebRtc(state) = &webrtc.transport else { panic!("a WebRTC leg") };
    assert_eq!(state.roll_over_counters, [(0xb0b0_b0b0, 1)]);
    assert!(!format!("{webrtc:?}").contains(&state.local.password), "secrets stay out of logs");
    for leg in [LegId(100), LegId(200)] {
        world.command(MediaCommand::HandOverLeg { leg });
    }
    world.run(100 * MS);
    assert_eq!(world.browsers[0].count(WebRtcEvent::Closed), 0);
    assert!(world.phones[0].rtcp_heard.iter().all(|packet| !packet.windows(2).any(|pair| pair == [0x81, 203])));

    let dtls_heard = world.browsers[0].dtls_heard;
    world.shard = new_shard(world.now, &world.certificate, 99);
    let transport = RestoreTransport::WebRtc { local: gateway_credentials("second"), ssrc: 0x7777 };
    let config = RestoreLegConfig { leg: LegId(100), snapshot: webrtc, transport };
    world.command(MediaCommand::RestoreLeg(Box::new(config)));
    let transport = RestoreTransport::Plain { rtp_socket: SocketId(10), rtcp_socket: SocketId(11) };
    let config = RestoreLegConfig { leg: LegId(200), snapshot: plain, transport };
    world.command(MediaCommand::RestoreLeg(Box::new(config)));
    world.command(MediaCommand::Bridge { a: LegId(100), b: LegId(200) });
    restart_ice(&mut world, "second", "browser-second");
    assert!(world.run_until(Duration::from_secs(2), |world| world.connected(100) == 2));
    talk(&mut world, 60);

    let browser = &world.browsers[0];
    assert_eq!(browser.dtls_heard, dtls_heard, "no second handshake");
    assert_eq!(browser.heard.len(), 120);
    assert!(browser.heard[60..].iter().all(|heard| heard.header.ssrc == 0x7777 && heard.index < 65_536));
    assert_eq!(browser.indices.len(), browser.heard.len(), "no index is used twice under one source");
    assert_eq!(browser.refused, 0);
    let phone = &world.phones[0].heard;
    assert_eq!(phone.len(), 120);
    assert!(phone.iter().all(|heard| heard.header.ssrc == 0x2000));
    let step = phone[60].header.sequence.wrapping_sub(phone[59].header.sequence);
    assert!((1..2_000).contains(&step), "{step}");
}

#[test]
fn a_snapshot_before_the_keys_is_none_and_a_used_source_is_refused() {
    let mut world = World::new(23);
    world.add_browser(true, DtlsRole::Server, CodecKind::Opus);
    world.command(MediaCommand::SnapshotLeg { request: RequestId(1), leg: LegId(100) });
    world.command(MediaCommand::SnapshotLeg { request: RequestId(2), leg: LegId(999) });
    world.step();
    assert_eq!(world.saw(|event| matches!(event, MediaEvent::Snapshot { snapshot: None, .. })), 2);
    assert!(world.run_until(Duration::from_secs(2), |world| world.connected(100) == 1));
    let taken = snapshot(&mut world, 100);
    let restore = |world: &mut World, leg: u64, ssrc: u32, taken: LegSnapshot| {
        let local = gateway_credentials(&format!("restored{leg}"));
        let transport = RestoreTransport::WebRtc { local, ssrc };
        let config = RestoreLegConfig { leg: LegId(leg), snapshot: taken, transport };
        world.command(MediaCommand::RestoreLeg(Box::new(config)));
        world.step();
        let refused = MediaFailure::NotRestorable;
        world.saw(|event| matches!(event, MediaEvent::Failed { reason, .. } if *reason == refused))
    };
    assert_eq!(restore(&mut world, 300, 0x1000, taken.clone()), 1, "the source of the old owner");
    assert_eq!(restore(&mut world, 301, 0x1001, LegSnapshot { version: 2, ..taken.clone() }), 2);
    assert_eq!(restore(&mut world, 302, 0x1001, taken), 2);
    assert_eq!(world.shard.stats().legs, 2);
}
