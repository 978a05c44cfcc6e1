//! Hold: nothing passes, and nothing is lost.

use crate::codec::CodecKind;
use crate::ids::LegId;
use crate::io::DropReason;
use crate::media::MediaCommand;
use crate::rtp::rtcp;

use super::calls::talk;
use super::world::{World, audio};

#[test]
fn hold_and_unbridged_legs_hear_nothing() {
    let mut world = World::call(5, CodecKind::Pcmu, CodecKind::Pcmu);
    let mut held = audio(CodecKind::Pcmu);
    held.send = false;
    world.command(MediaCommand::SetAudio { leg: LegId(200), audio: Box::new(held) });
    talk(&mut world, 20, 0, 0, 8_000);
    assert_eq!((world.phones[0].heard.len(), world.browsers[0].heard.len()), (0, 20));
    assert_eq!(world.shard.drops().get(DropReason::DirectionInactive), 20);
    world.command(MediaCommand::Unbridge { leg: LegId(100) });
    talk(&mut world, 20, 0, 0, 8_000);
    assert_eq!((world.phones[0].heard.len(), world.browsers[0].heard.len()), (0, 20));
}

#[test]
fn what_arrives_during_hold_is_no_loss() {
    // The same codec on both sides passes through; another goes through a jitter buffer.
    for (codec, payload_type) in [(CodecKind::Pcmu, 0), (CodecKind::Pcma, 8)] {
        let mut world = World::call(14, codec, CodecKind::Pcmu);
        let mut agreed = audio(codec);
        for (active, packets) in [(true, 100), (false, 200), (true, 400)] {
            (agreed.send, agreed.receive) = (active, active);
            world.command(MediaCommand::SetAudio { leg: LegId(100), audio: Box::new(agreed.clone()) });
            world.phones[0].heard.clear();
            world.browsers[0].heard.clear();
            talk(&mut world, packets, payload_type, 0, 8_000);
            for heard in [world.phones[0].heard.len(), world.browsers[0].heard.len()] {
                let expected = if active { packets as usize } else { 0 };
                assert!(heard.abs_diff(expected) <= 20, "{codec:?}, active {active}: {heard} of {packets}");
            }
        }
        for (leg, name) in [(100, "browser"), (200, "phone")] {
            let figures = world.last_figures(leg);
            assert!(figures.packets_received > 400, "{name}, {codec:?}: {figures:?}");
            assert_eq!(figures.packets_lost, 0, "{name}, {codec:?}");
        }
        let reports = world.browsers[0].rtcp_heard.iter().map(|packet| rtcp::parse(packet).unwrap());
        let blocks: Vec<_> = reports.flat_map(|report| report.blocks).collect();
        assert!(blocks.len() > 1, "{codec:?}");
        assert!(blocks.iter().all(|block| (block.fraction_lost, block.cumulative_lost) == (0, 0)), "{blocks:?}");
    }
}
