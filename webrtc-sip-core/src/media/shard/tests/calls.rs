//! Calls between a browser and a phone.

use std::time::Duration;

use crate::codec::CodecKind;
use crate::ids::LegId;
use crate::io::DropReason;
use crate::media::{DtlsRole, MediaCommand, MediaEvent};

use super::world::{MS, World};

/// Both sides talk for `packets` packets of 20 ms; payloads are numbered.
pub(super) fn talk(world: &mut World, packets: u32, browser_payload_type: u8, phone_payload_type: u8, clock: u32) {
    for number in 0..packets {
        let payload = vec![number as u8; 160];
        let timestamp = 7_000 + number * clock / 50;
        let now = world.now;
        world.browsers[0].send_rtp(now, browser_payload_type, timestamp, false, &payload);
        world.phones[0].send_rtp(now, phone_payload_type, timestamp, false, &payload);
        world.run(20 * MS);
    }
    world.run(300 * MS);
}

#[test]
fn the_same_codec_passes_through_in_place() {
    let mut world = World::call(1, CodecKind::Pcmu, CodecKind::Pcmu);
    talk(&mut world, 100, 0, 0, 8_000);
    let phone = &world.phones[0].heard;
    assert_eq!(phone.len(), 100);
    assert!(phone.iter().enumerate().all(|(at, heard)| heard.payload == vec![at as u8; 160]));
    assert!(phone.windows(2).all(|pair| {
        let next = (pair[0].header.sequence.wrapping_add(1), pair[0].header.timestamp.wrapping_add(160));
        next == (pair[1].header.sequence, pair[1].header.timestamp)
    }));
    assert!(phone.iter().all(|heard| heard.header.ssrc == 0x2000 && heard.header.payload_type == 0));
    let browser = &world.browsers[0].heard;
    assert_eq!(browser.len(), 100);
    assert!(browser.iter().all(|heard| heard.header.ssrc == 0x1000));
    assert_eq!(world.relayed_in_place, 200);
    assert_eq!(world.saw(|event| matches!(event, MediaEvent::FirstMedia { .. })), 2);
}

#[test]
fn every_way_of_connecting_carries_media() {
    for lite in [true, false] {
        for role in [DtlsRole::Client, DtlsRole::Server] {
            let mut world = World::new(3);
            (world.loss, world.jitter_ms) = (0.05, 30);
            world.add_browser(lite, role, CodecKind::Opus);
            world.add_phone(CodecKind::Opus);
            world.command(MediaCommand::Bridge { a: LegId(200), b: LegId(100) });
            assert!(world.run_until(Duration::from_secs(10), |world| world.connected(100) == 1), "{lite} {role:?}");
            talk(&mut world, 100, 111, 111, 48_000);
            assert!(world.phones[0].heard.len() > 60, "{}", world.phones[0].heard.len());
            assert!(world.browsers[0].heard.len() > 60, "{}", world.browsers[0].heard.len());
        }
    }
}

#[test]
fn a_removed_leg_leaves_nothing_behind() {
    let mut world = World::call(4, CodecKind::Pcmu, CodecKind::Pcmu);
    talk(&mut world, 10, 0, 0, 8_000);
    let before = world.shard.stats();
    assert_eq!((before.legs, before.bridges), (2, 1));
    for leg in [LegId(100), LegId(200)] {
        world.command(MediaCommand::RemoveLeg { leg });
    }
    world.run(100 * MS);
    let after = world.shard.stats();
    assert_eq!((after.legs, after.bridges, after.held), (0, 0, 0));
    assert_eq!(world.saw(|event| matches!(event, MediaEvent::LegRemoved { .. })), 2);
    assert_eq!(world.browsers[0].count(crate::transport::webrtc::WebRtcEvent::Closed), 1);
    assert_eq!(world.shard.poll_timeout(), None);
}

#[test]
fn a_new_far_side_is_no_jump_for_the_browser() {
    let mut world = World::call(6, CodecKind::Pcmu, CodecKind::Pcmu);
    talk(&mut world, 30, 0, 0, 8_000);
    world.add_phone(CodecKind::Pcmu);
    world.command(MediaCommand::Bridge { a: LegId(100), b: LegId(201) });
    for number in 0..30u32 {
        let now = world.now;
        world.phones[1].send_rtp(now, 0, 999_999 + 160 * number, false, &[7; 160]);
        world.phones[0].send_rtp(now, 0, 160 * number, false, &[9; 160]);
        world.run(20 * MS);
    }
    let heard = &world.browsers[0].heard;
    assert_eq!(heard.len(), 60);
    assert!(heard.windows(2).all(|pair| pair[0].header.sequence.wrapping_add(1) == pair[1].header.sequence));
    assert!(heard[30..].iter().all(|heard| heard.payload == [7; 160]));
    assert!(heard.windows(2).all(|pair| pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp) < 8_000));
    assert_eq!(world.browsers[0].indices.len(), 60);
}

#[test]
fn strangers_change_nothing() {
    let mut world = World::call(7, CodecKind::Pcmu, CodecKind::Pcmu);
    talk(&mut world, 10, 0, 0, 8_000);
    let (browser, phone) = (world.browsers[0].address, world.phones[0].gateway);
    let thief = "203.0.113.250:9999".parse().unwrap();
    let mut rng = crate::rng::Rng::split(&[8; 32], "junk");
    for round in 0..3_000u32 {
        let mut junk = vec![0; 12 + rng.below(200) as usize];
        rng.fill(&mut junk);
        junk[0] = [0, 1, 22, 23, 0x80, 0x80, 0x90, 0xb1][round as usize % 8];
        if round % 3 == 0 {
            junk[1] = [0, 200, 101, 8][round as usize % 4];
        }
        let from = if round % 2 == 0 { thief } else { browser };
        world.deliver(from, super::world::gateway_address(), &junk);
        world.deliver(thief, phone, &junk);
    }
    world.phones[0].heard.clear();
    world.browsers[0].heard.clear();
    talk(&mut world, 50, 0, 0, 8_000);
    assert_eq!((world.phones[0].heard.len(), world.browsers[0].heard.len()), (50, 50));
    assert_eq!(world.shard.stats().legs, 2);
}

/// 400 Hz at about -10 dB.
fn sine(at: usize) -> i16 {
    let phase = at as f64 * 400.0 / 8_000.0 * std::f64::consts::TAU;
    (phase.sin() * 10_000.0) as i16
}

/// How much of the energy is the 400 Hz tone, 0 to 1.
fn purity(samples: &[i16]) -> f64 {
    let (mut re, mut im, mut energy) = (0.0, 0.0, 0.0);
    for (at, sample) in samples.iter().enumerate() {
        let (phase, sample) = (at as f64 * 400.0 / 8_000.0 * std::f64::consts::TAU, f64::from(*sample));
        re += sample * phase.cos();
        im += sample * phase.sin();
        energy += sample * sample;
    }
    2.0 * (re * re + im * im) / (samples.len() as f64 * energy).max(1.0)
}

fn decode(codec: CodecKind, heard: &[crate::media::testing::Heard]) -> Vec<i16> {
    let mut decoder = crate::codec::decoder(codec).unwrap();
    let mut samples = [0; crate::codec::MAX_FRAME_SAMPLES];
    let mut all = Vec::new();
    for packet in heard {
        let count = decoder.decode(&packet.payload, &mut samples).unwrap();
        all.extend_from_slice(&samples[..count]);
    }
    all
}

/// Both sides play a tone for `packets` packets of 20 ms, each in its own codec.
fn play_tone(world: &mut World, browser: (CodecKind, u8), phone: (CodecKind, u8), packets: usize) {
    let settings = crate::codec::OpusSettings::default();
    let mut encoders = [browser.0, phone.0].map(|codec| crate::codec::encoder(codec, &settings).unwrap());
    let mut payload = [0; 400];
    for number in 0..packets {
        let frame: Vec<i16> = (number * 160..(number + 1) * 160).map(sine).collect();
        let now = world.now;
        let len = encoders[0].encode(&frame, &mut payload).unwrap();
        let timestamp = number as u32 * browser.0.clock_rate_hz() / 50;
        world.browsers[0].send_rtp(now, browser.1, timestamp, false, &payload[..len]);
        let len = encoders[1].encode(&frame, &mut payload).unwrap();
        let timestamp = number as u32 * phone.0.clock_rate_hz() / 50;
        world.phones[0].send_rtp(now, phone.1, timestamp, false, &payload[..len]);
        world.run(20 * MS);
    }
}

#[test]
fn a_tone_is_a_tone_on_the_other_side() {
    let mut world = World::call(8, CodecKind::Opus, CodecKind::Pcma);
    (world.loss, world.jitter_ms) = (0.01, 15);
    play_tone(&mut world, (CodecKind::Opus, 111), (CodecKind::Pcma, 8), 250);
    assert_eq!(world.shard.stats().transcoding_bridges, 1);
    for (codec, heard, payload_type) in
        [(CodecKind::Pcma, &world.phones[0].heard, 8), (CodecKind::Opus, &world.browsers[0].heard, 111)]
    {
        assert!((230..=250).contains(&heard.len()), "{codec:?} {}", heard.len());
        assert!(heard.iter().all(|heard| heard.header.payload_type == payload_type));
        let samples = decode(codec, heard);
        // Whatever was lost or shifted, most stretches of 100 ms hold the tone and nothing else.
        let stretches: Vec<f64> = samples[8_000..].chunks_exact(800).map(purity).collect();
        let good = stretches.iter().filter(|purity| **purity > 0.9).count();
        assert!(good * 10 >= stretches.len() * 7, "{codec:?}: {good} of {}", stretches.len());
    }
    assert_eq!(world.relayed_in_place, 0);
    assert_eq!(world.browsers[0].indices.len(), world.browsers[0].heard.len());
}

#[test]
fn a_change_of_codec_within_the_agreement_is_followed() {
    let mut world = World::call(9, CodecKind::Opus, CodecKind::Pcmu);
    let mut both = super::world::audio(CodecKind::Opus);
    both.accept.push(crate::media::AudioFormat { codec: CodecKind::Pcmu, payload_type: 0 });
    world.command(MediaCommand::SetAudio { leg: LegId(100), audio: Box::new(both) });
    play_tone(&mut world, (CodecKind::Opus, 111), (CodecKind::Pcmu, 0), 100);
    let in_place = world.relayed_in_place;
    assert_eq!(in_place, 0);
    // The browser falls back to G.711, which the phone speaks too.
    play_tone(&mut world, (CodecKind::Pcmu, 0), (CodecKind::Pcmu, 0), 150);
    assert!(world.relayed_in_place >= 95, "{}", world.relayed_in_place);
    let heard = &world.phones[0].heard;
    assert!(heard.windows(2).all(|pair| pair[0].header.sequence.wrapping_add(1) == pair[1].header.sequence));
    assert!(heard.len() >= 240, "{}", heard.len());
}

#[test]
fn playout_wakes_the_worker_on_a_grid() {
    let mut world = World::new(10);
    for at in 0..5u64 {
        world.add_browser(true, DtlsRole::Server, CodecKind::Opus);
        world.add_phone(CodecKind::Pcmu);
        world.command(MediaCommand::Bridge { a: LegId(100 + at), b: LegId(200 + at) });
    }
    assert!(world.run_until(Duration::from_secs(3), |world| (100..105).all(|leg| world.connected(leg) == 1)));
    // Each call's packets come at another time.
    for at in 0..5 {
        let now = world.now;
        world.phones[at].send_rtp(now, 0, 0, false, &[0xff; 160]);
        world.run(3 * MS);
    }
    world.run(Duration::from_secs(2));
    let before = world.wake_ups;
    world.run(Duration::from_secs(1));
    let wake_ups = world.wake_ups - before;
    assert!((50..=210).contains(&wake_ups), "{wake_ups}");
    for browser in &world.browsers {
        assert!(browser.heard.len() > 100);
        assert!(browser.heard.windows(2).all(|pair| pair[1].at - pair[0].at == 20 * MS));
    }
}

#[test]
fn the_same_seed_makes_the_same_trace() {
    let trace = || {
        let mut world = World::call(11, CodecKind::Opus, CodecKind::Pcmu);
        world.jitter_ms = 40;
        play_tone(&mut world, (CodecKind::Opus, 111), (CodecKind::Pcmu, 0), 100);
        world.command(MediaCommand::RemoveLeg { leg: LegId(100) });
        world.run(100 * MS);
        let heard = world.phones[0].heard.iter().chain(&world.browsers[0].heard);
        let heard: Vec<_> = heard.map(|heard| (heard.header, heard.payload.clone())).collect();
        (format!("{:?}", world.events), heard, world.shard.drops().clone())
    };
    assert_eq!(trace(), trace());
}

#[test]
fn from_relay_to_transcoder_and_to_another_peer_is_one_run_of_numbers() {
    let mut world = World::call(12, CodecKind::Opus, CodecKind::Opus);
    world.add_phone(CodecKind::Pcma);
    play_tone(&mut world, (CodecKind::Opus, 111), (CodecKind::Opus, 111), 50);
    world.command(MediaCommand::Bridge { a: LegId(100), b: LegId(201) });
    let mut encoder = crate::codec::encoder(CodecKind::Pcma, &crate::codec::OpusSettings::default()).unwrap();
    let mut payload = [0; 400];
    for number in 0..50usize {
        let frame: Vec<i16> = (number * 160..(number + 1) * 160).map(sine).collect();
        let len = encoder.encode(&frame, &mut payload).unwrap();
        let now = world.now;
        world.phones[1].send_rtp(now, 8, 160 * number as u32, false, &payload[..len]);
        world.run(20 * MS);
    }
    let heard = &world.browsers[0].heard;
    assert!(heard.len() > 90, "{}", heard.len());
    let steps = heard.windows(2).map(|pair| {
        let sequence = pair[1].header.sequence.wrapping_sub(pair[0].header.sequence);
        (sequence, pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp))
    });
    assert!(steps.clone().all(|(sequence, _)| sequence == 1));
    // At most the pause in between: 100 ms of the 48 kHz clock.
    assert!(steps.clone().all(|(_, timestamp)| (480..=4_800).contains(&timestamp)), "{:?}", steps.collect::<Vec<_>>());
    assert_eq!(world.browsers[0].refused, 0);
}

#[test]
fn legs_that_end_in_the_middle_of_everything_leave_nothing_behind() {
    let mut world = World::call(13, CodecKind::Opus, CodecKind::Pcmu);
    play_tone(&mut world, (CodecKind::Opus, 111), (CodecKind::Pcmu, 0), 20);
    for leg in [LegId(100), LegId(200)] {
        let digits = "0123456789".chars().filter_map(crate::media::DtmfDigit::from_char).collect();
        world.command(MediaCommand::SendDtmf { leg, digits, duration: 100 * MS, gap: 60 * MS });
    }
    world.command(MediaCommand::RestartIce { leg: LegId(100), local: super::world::gateway_credentials("pending") });
    world.run(333 * MS);
    world.command(MediaCommand::RemoveLeg { leg: LegId(100) });
    world.command(MediaCommand::RemoveLeg { leg: LegId(200) });
    world.run(100 * MS);
    let stats = world.shard.stats();
    assert_eq!((stats.legs, stats.bridges, stats.transcoding_bridges, stats.held), (0, 0, 0, 0));
    assert_eq!(world.shard.poll_timeout(), None);
    // Commands and packets for what is gone.
    world.command(MediaCommand::Bridge { a: LegId(100), b: LegId(200) });
    world.command(MediaCommand::RemoveLeg { leg: LegId(100) });
    play_tone(&mut world, (CodecKind::Opus, 111), (CodecKind::Pcmu, 0), 5);
    assert_eq!(world.shard.stats().held, 0);
    assert_eq!(world.saw(|event| matches!(event, MediaEvent::LegRemoved { .. })), 3);
}

#[test]
fn a_browser_cannot_take_anothers_address() {
    let mut world = World::call(14, CodecKind::Pcmu, CodecKind::Pcmu);
    world.add_browser(true, DtlsRole::Server, CodecKind::Pcmu);
    assert!(world.run_until(Duration::from_secs(3), |world| world.connected(101) == 1));
    // The second browser's checks, as if they came from the first one's address.
    let (victim, gateway) = (world.browsers[0].address, super::world::gateway_address());
    let mut forged = 0;
    for _ in 0..200 {
        world.now += 20 * MS;
        let now = world.now;
        world.browsers[1].handle_timeout(now);
        while let Some((_, datagram)) = world.browsers[1].poll_transmit() {
            world.deliver(victim, gateway, &datagram);
            forged += 1;
        }
        world.browsers[0].send_rtp(now, 0, 160 * forged, false, &[5; 160]);
        world.step();
    }
    assert!(forged > 0);
    assert!(world.phones[0].heard.len() > 190, "{}", world.phones[0].heard.len());
    assert_eq!(world.shard.drops().get(DropReason::Forbidden), 1);
}
