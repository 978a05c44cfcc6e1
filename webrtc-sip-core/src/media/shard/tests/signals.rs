//! DTMF, RTCP, time-outs and limits.

use std::time::Duration;

use crate::codec::CodecKind;
use crate::crypto::{CryptoProvider, DtlsCertificate};
use crate::ids::LegId;
use crate::io::{DropReason, PacketBuf};
use crate::media::{DtlsRole, DtmfDigit, MediaCommand, MediaEvent, MediaFailure};
use crate::rtp::dtmf::TelephoneEvent;
use crate::rtp::rtcp::{self, RtcpWriter, SenderInfo};
use crate::rtp::{DtmfSender, OutgoingSource, RtpPacket};

use super::world::{MS, World, gateway_address};

/// The keys that were reported for a leg.
fn keys(world: &World, leg: u64) -> String {
    let digit = |event: &MediaEvent| match event {
        MediaEvent::Dtmf { leg: seen, digit, duration } if *seen == LegId(leg) => {
            assert!((80..=120).contains(&duration.as_millis()), "{duration:?}");
            Some(digit.to_char())
        }
        _ => None,
    };
    world.events.iter().filter_map(digit).collect()
}

/// The packets of a key that is held for 100 ms, each with its due time.
fn press(source: &mut OutgoingSource, world: &World, event: u8, clock_rate_hz: u32) -> Vec<(Duration, Vec<u8>)> {
    let mut sender = DtmfSender::new(101, clock_rate_hz);
    assert!(sender.press(world.now, event, 100 * MS, 50 * MS));
    let mut packets = Vec::new();
    while let Some(due) = sender.poll_timeout() {
        let mut storage = [0; 64];
        let mut out = PacketBuf::empty(&mut storage, 0);
        assert!(sender.poll_transmit(due, source, &mut out));
        packets.push((due.duration_since(world.now), out.as_slice().to_vec()));
    }
    packets
}

/// Event, end and duration in milliseconds of the telephone events among what was heard.
fn events(heard: &[crate::media::testing::Heard], clock_rate_hz: u32) -> Vec<(u8, bool, u32)> {
    let events = heard.iter().filter(|heard| heard.header.payload_type == 101);
    let read = |heard: &crate::media::testing::Heard| {
        let event = TelephoneEvent::parse(&heard.payload).unwrap();
        (event.event, event.end, u32::from(event.duration) * 1_000 / clock_rate_hz)
    };
    events.map(read).collect()
}

#[test]
fn keys_cross_between_the_clocks_both_ways() {
    let mut world = World::call(31, CodecKind::Opus, CodecKind::Pcmu);
    let mut source = OutgoingSource::new(0x5555, 1, 1);
    for (number, event) in [1u8, 11, 9].into_iter().enumerate() {
        let from_browser = press(&mut world.browsers[0].source.clone(), &world, event, 48_000);
        let from_phone = press(&mut source, &world, event + number as u8, 8_000);
        let begin = world.now;
        for _ in 0..200 {
            let elapsed = world.now.duration_since(begin);
            for (_, packet) in from_browser.iter().filter(|(due, _)| *due == elapsed) {
                let packet = RtpPacket::parse(packet).unwrap();
                let header = crate::rtp::RtpHeader { ssrc: 0xb0b0_b0b0, ..packet.header };
                let now = world.now;
                world.browsers[0].source.sent(now, header.sequence, header.timestamp);
                world.browsers[0].send_packet(&header, packet.payload);
            }
            for (_, packet) in from_phone.iter().filter(|(due, _)| *due == elapsed) {
                let packet = RtpPacket::parse(packet).unwrap();
                world.phones[0].send_packet(&packet.header, packet.payload);
            }
            world.step();
        }
    }
    assert_eq!(keys(&world, 100), "1#9");
    assert_eq!(keys(&world, 200), "1A#");
    let at_phone = events(&world.phones[0].heard, 8_000);
    let at_browser = events(&world.browsers[0].heard, 48_000);
    for (heard, wanted) in [(&at_phone, [1u8, 11, 9]), (&at_browser, [1, 12, 11])] {
        let ends: Vec<_> = heard.iter().filter(|event| event.1).map(|event| (event.0, event.2)).collect();
        let wanted: Vec<_> = wanted.iter().flat_map(|event| [(*event, 100); 3]).collect();
        assert_eq!(ends, wanted);
    }
}

#[test]
fn keys_are_pressed_on_command_and_audio_waits() {
    for (browser, phone) in [(CodecKind::Pcmu, CodecKind::Pcmu), (CodecKind::Opus, CodecKind::Pcmu)] {
        let mut world = World::call(32, browser, phone);
        let digits = "5#".chars().filter_map(DtmfDigit::from_char).collect();
        world.command(MediaCommand::SendDtmf { leg: LegId(200), digits, duration: 100 * MS, gap: 60 * MS });
        for number in 0..50u32 {
            let now = world.now;
            let (payload_type, clock) = if browser == CodecKind::Opus { (111, 960) } else { (0, 160) };
            world.browsers[0].send_rtp(now, payload_type, clock * number, false, &[0xfc; 160]);
            world.run(20 * MS);
        }
        let heard = &world.phones[0].heard;
        let ends: Vec<_> = events(heard, 8_000).into_iter().filter(|event| event.1).collect();
        assert_eq!(
            ends,
            [(5, true, 100), (5, true, 100), (5, true, 100), (11, true, 100), (11, true, 100), (11, true, 100)]
        );
        assert!(heard.windows(2).all(|pair| pair[0].header.sequence.wrapping_add(1) == pair[1].header.sequence));
        // No audio between the packets of one key.
        let kinds: Vec<bool> = heard.iter().map(|heard| heard.header.payload_type == 101).collect();
        let runs = kinds.chunk_by(|a, b| a == b).filter(|run| run[0]).count();
        assert_eq!(runs, 2, "{browser:?}");
        assert!(kinds.iter().filter(|key| !**key).count() > 20);
    }
}

#[test]
fn reports_go_both_ways_and_end_with_bye() {
    let mut world = World::call(33, CodecKind::Pcmu, CodecKind::Pcmu);
    for number in 0..600u32 {
        let now = world.now;
        // Every tenth packet of the phone is lost.
        if number % 10 != 9 {
            world.phones[0].send_rtp(now, 0, 160 * number, false, &[0xff; 160]);
        } else {
            let _ = world.phones[0].source.next_header(now, 0, false, 160 * number);
        }
        world.browsers[0].send_rtp(now, 0, 160 * number, false, &[0xff; 160]);
        if let (Some(last), 0) = (world.browsers[0].rtcp_heard.last(), number % 50) {
            let theirs = rtcp::parse(last).unwrap();
            let info = theirs.sender_info.unwrap();
            let block = rtcp::ReportBlock {
                ssrc: 0x1000,
                cumulative_lost: 7,
                jitter: 80,
                last_sender_report: (info.ntp >> 16) as u32,
                delay_since_last: 0,
                ..rtcp::ReportBlock::default()
            };
            let mut storage = [0; 256];
            let mut out = PacketBuf::empty(&mut storage, 0);
            let sender_info = Some(SenderInfo { ntp: 1 << 32, ..SenderInfo::default() });
            let writer = RtcpWriter { ssrc: 0xb0b0_b0b0, cname: "browser", sender_info, blocks: &[block], bye: false };
            writer.write(&mut out).unwrap();
            world.browsers[0].send_rtcp(out.as_slice());
            let writer = RtcpWriter { ssrc: 0xfee0, cname: "phone", sender_info, blocks: &[], bye: false };
            writer.write(&mut out).unwrap();
            world.phones[0].send_rtcp(out.as_slice());
            let now = world.now;
            world.browsers[0].handle_timeout(now);
        }
        world.run(20 * MS);
    }
    let at_phone: Vec<_> = world.phones[0].rtcp_heard.iter().map(|packet| rtcp::parse(packet).unwrap()).collect();
    assert!((2..=6).contains(&at_phone.len()), "{}", at_phone.len());
    let last = at_phone.last().unwrap();
    assert_eq!(last.ssrc, Some(0x2000));
    assert!(last.sender_info.unwrap().packets > 300);
    assert!((24..=27).contains(&last.blocks[0].fraction_lost), "{}", last.blocks[0].fraction_lost);
    assert_eq!(last.blocks[0].last_sender_report, 1 << 16);
    let stats = world.last_figures(100);
    assert_eq!((stats.remote_packets_lost, stats.remote_jitter_us), (7, 10_000));
    assert!(stats.round_trip_us.is_some());
    assert!(stats.packets_received > 400 && stats.packets_sent > 400);

    world.command(MediaCommand::RemoveLeg { leg: LegId(100) });
    world.command(MediaCommand::RemoveLeg { leg: LegId(200) });
    world.run(50 * MS);
    for heard in [&world.browsers[0].rtcp_heard, &world.phones[0].rtcp_heard] {
        assert_eq!(rtcp::parse(heard.last().unwrap()).unwrap().bye.len(), 1);
    }
}

#[test]
fn silence_is_reported_once() {
    let mut world = World::call(34, CodecKind::Pcmu, CodecKind::Pcmu);
    let silent =
        |world: &World| world.saw(|event| matches!(event, MediaEvent::MediaTimeout { leg } if *leg == LegId(200)));
    world.run(Duration::from_secs(25));
    assert_eq!(silent(&world), 0);
    world.run(Duration::from_secs(20));
    assert_eq!(silent(&world), 1);
    let now = world.now;
    world.phones[0].send_rtp(now, 0, 0, false, &[0xff; 160]);
    world.run(Duration::from_secs(50));
    assert_eq!(silent(&world), 2);
}

#[test]
fn a_wrong_certificate_and_a_full_shard_are_told() {
    let mut world = World::new(35);
    world.add_browser(true, DtlsRole::Server, CodecKind::Opus);
    let other = DtlsCertificate::generate(&CryptoProvider::system(), std::time::SystemTime::now()).unwrap();
    let mut remote = world.browsers[0].description(DtlsRole::Server, false);
    remote.fingerprints = vec![("sha-256".to_owned(), other.fingerprint_sha256().to_vec())];
    world.command(MediaCommand::RemoveLeg { leg: LegId(100) });
    world.command(MediaCommand::AddWebRtcLeg(Box::new(crate::media::WebRtcLegConfig {
        leg: LegId(100),
        local: super::world::gateway_credentials("browser0"),
        ice_lite: true,
        controlling: false,
        ssrc: 1,
        cname: "c".to_owned(),
    })));
    world.command(MediaCommand::SetWebRtcRemote { leg: LegId(100), remote: Box::new(remote) });
    let mismatch = MediaFailure::FingerprintMismatch;
    let failed = |event: &MediaEvent| matches!(event, MediaEvent::Failed { reason, .. } if *reason == mismatch);
    assert!(world.run_until(Duration::from_secs(3), |world| world.saw(failed) == 1));
    assert_eq!(world.connected(100), 0);
    // The same user name fragment, socket or id twice is refused, and changes nothing.
    let legs = world.shard.stats().legs;
    world.add_phone(CodecKind::Pcmu);
    world.phones.clear();
    world.add_phone(CodecKind::Pcmu);
    assert_eq!(world.shard.stats().legs, legs + 1);
}

#[test]
fn plain_media_is_taken_from_its_peer_only() {
    let mut world = World::call(36, CodecKind::Pcmu, CodecKind::Pcmu);
    let thief = "203.0.113.99:5555".parse().unwrap();
    let gateway = world.phones[0].gateway;
    let now = world.now;
    world.phones[0].send_rtp(now, 0, 0, false, &[1; 160]);
    world.run(20 * MS);
    let mut packet = vec![0x80, 0, 0, 9, 0, 0, 0, 1, 9, 9, 9, 9];
    packet.extend_from_slice(&[2; 160]);
    world.deliver(thief, gateway, &packet);
    // An unknown payload type, from the peer itself.
    packet[1] = 96;
    let phone = world.phones[0].address;
    world.deliver(phone, gateway, &packet);
    world.run(20 * MS);
    assert_eq!(world.browsers[0].heard.len(), 1);
    assert_eq!(world.shard.drops().get(DropReason::Forbidden), 1);
    assert_eq!(world.shard.drops().get(DropReason::UnknownPayloadType), 1);
    assert_ne!(phone, gateway_address());
}
