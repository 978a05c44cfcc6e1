use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::io::{DropReason, PacketBuf};
use crate::rtp::{OutgoingSource, RtpHeader, RtpPacket};
use crate::test_data;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Everything that a sender makes of what was pressed, with the time of each packet.
fn sent(keys: &[(u8, u64)], clock_rate_hz: u32) -> Vec<(u64, RtpHeader, TelephoneEvent)> {
    let start = Instant::now();
    let mut sender = DtmfSender::new(101, clock_rate_hz);
    let mut source = OutgoingSource::new(7, 65_535, 1_000);
    for (event, duration) in keys {
        assert!(sender.press(start, *event, ms(*duration), ms(60)));
    }
    let mut packets = Vec::new();
    while let Some(due) = sender.poll_timeout() {
        let mut slot = [0; 16];
        let mut out = PacketBuf::empty(&mut slot, 0);
        assert!(sender.poll_transmit(due, &mut source, &mut out));
        let packet = RtpPacket::parse(out.as_slice()).unwrap();
        let event = TelephoneEvent::parse(packet.payload).unwrap();
        packets.push((due.duration_since(start).as_millis() as u64, packet.header, event));
    }
    assert!(!sender.is_sending());
    packets
}

fn changes(receiver: &mut DtmfReceiver) -> Vec<DtmfChange> {
    std::iter::from_fn(|| receiver.poll_change()).collect()
}

#[test]
fn the_shared_event_packet_is_read() {
    let Some(path) = test_data::path("rtp/rtp_dtmf.bin") else { return };
    let bytes = std::fs::read(path).unwrap();
    let packet = RtpPacket::parse(&bytes).unwrap();
    let event = TelephoneEvent::parse(packet.payload).unwrap();
    assert_eq!(event.to_bytes(), packet.payload);
    assert!(event.event <= LAST_KEY);
}

#[test]
fn a_key_is_sent_with_growing_duration_and_three_ends() {
    let packets = sent(&[(5, 100), (11, 90)], 8_000);
    let first: Vec<_> = packets.iter().take(7).map(|(at, _, event)| (*at, event.duration, event.end)).collect();
    let expected = [(0, 160, false), (20, 320, false), (40, 480, false), (60, 640, false), (80, 800, true)];
    assert_eq!(first[..5], expected);
    assert_eq!(first[5..], [(100, 800, true), (120, 800, true)]);
    assert!(packets[..7].iter().all(|(_, header, event)| header.timestamp == 1_000 && event.event == 5));
    // The second key: 60 ms after the first is released, and so is its timestamp.
    let (at, header, event) = packets[7];
    assert_eq!((at, header.timestamp, event.event, header.marker), (160, 1_000 + 160 * 8, 11, true));
    assert_eq!(packets.last().unwrap().2.duration, 720);
    for (n, (_, header, _)) in packets.iter().enumerate() {
        assert_eq!(header.sequence, 65_535u16.wrapping_add(n as u16));
        assert_eq!(header.marker, n == 0 || n == 7);
    }
}

#[test]
fn long_keys_are_sent_in_segments_and_received_as_one() {
    let packets = sent(&[(1, 3_000)], 48_000);
    let starts: Vec<u32> = packets.iter().map(|packet| packet.1.timestamp).collect();
    let mut segments = starts.clone();
    segments.dedup();
    assert_eq!(segments, [1_000, 1_000 + 0xffff, 1_000 + 2 * 0xffff]);
    assert_eq!(packets.iter().filter(|packet| packet.2.duration == 0xffff && !packet.2.end).count(), 2);
    let mut receiver = DtmfReceiver::default();
    let start = Instant::now();
    for (at, header, event) in &packets {
        receiver.handle_packet(start + ms(*at), header, &event.to_bytes(), 48_000).unwrap();
    }
    let released = DtmfChange::Released { event: 1, duration: ms(3_000) };
    assert_eq!(changes(&mut receiver), [DtmfChange::Pressed { event: 1 }, released]);
    assert_eq!(receiver.poll_timeout(), None);
}

#[test]
fn a_lost_end_releases_by_the_clock_or_the_next_key() {
    let packets = sent(&[(5, 100), (5, 100)], 8_000);
    let start = Instant::now();
    let mut receiver = DtmfReceiver::default();
    let feed = |receiver: &mut DtmfReceiver, n: usize| {
        let (at, header, event) = packets[n];
        receiver.handle_packet(start + ms(at), &header, &event.to_bytes(), 8_000).unwrap();
        changes(receiver)
    };
    assert_eq!(feed(&mut receiver, 0), [DtmfChange::Pressed { event: 5 }]);
    assert_eq!(feed(&mut receiver, 1), []);
    assert_eq!(
        feed(&mut receiver, 7),
        [DtmfChange::Released { event: 5, duration: ms(40) }, DtmfChange::Pressed { event: 5 }]
    );
    let due = receiver.poll_timeout().unwrap();
    receiver.handle_timeout(due - ms(1));
    assert_eq!(changes(&mut receiver), []);
    receiver.handle_timeout(due);
    assert_eq!(changes(&mut receiver), [DtmfChange::Released { event: 5, duration: ms(20) }]);
    // Its end comes after all.
    assert_eq!(feed(&mut receiver, packets.len() - 1), []);
    assert_eq!(feed(&mut receiver, 3), []);
}

#[test]
fn other_events_and_short_payloads_are_refused() {
    let mut receiver = DtmfReceiver::default();
    let header = RtpHeader { payload_type: 101, marker: true, sequence: 1, timestamp: 1, ssrc: 1 };
    let now = Instant::now();
    assert_eq!(receiver.handle_packet(now, &header, &[16, 0, 0, 0], 8_000), Err(DropReason::UnknownPayloadType));
    assert_eq!(receiver.handle_packet(now, &header, &[1, 0, 0], 8_000), Err(DropReason::Malformed));
    let mut sender = DtmfSender::new(101, 8_000);
    assert!(!sender.press(now, 16, ms(100), ms(50)));
    assert!((0..MAX_QUEUED).all(|_| sender.press(now, 1, ms(100), ms(50))));
    assert!(!sender.press(now, 1, ms(100), ms(50)));
}

#[test]
fn relayed_events_keep_their_length_under_another_clock() {
    for (from, to) in [(8_000, 48_000), (48_000, 8_000), (8_000, 8_000)] {
        for duration in [100, 4_000] {
            let start = Instant::now();
            let mut relay = DtmfRelay::new(96, to);
            let mut source = OutgoingSource::new(0xabcd, 10, 77);
            let mut receiver = DtmfReceiver::default();
            let packets = sent(&[(9, duration), (3, 60)], from);
            for (at, header, event) in &packets {
                let mut slot = [0; 32];
                let mut packet = PacketBuf::empty(&mut slot, 0);
                header.write_packet(&event.to_bytes(), &mut packet).unwrap();
                relay.handle_packet(start + ms(*at), &mut packet, from, &mut source).unwrap();
                let ours = RtpPacket::parse(packet.as_slice()).unwrap();
                assert_eq!((ours.header.ssrc, ours.header.payload_type), (0xabcd, 96));
                receiver.handle_packet(start + ms(*at), &ours.header, ours.payload, to).unwrap();
                // A duplicate goes nowhere.
                header.write_packet(&event.to_bytes(), &mut packet).unwrap();
                let again = relay.handle_packet(start + ms(*at), &mut packet, from, &mut source);
                assert_eq!(again, Err(DropReason::Replayed));
            }
            assert_eq!(source.sequence(), 9 + packets.len() as u16);
        }
    }
}

#[test]
fn relayed_presses_and_releases_are_those_of_the_sender() {
    for (from, to) in [(8_000, 48_000), (48_000, 8_000)] {
        let start = Instant::now();
        let mut relay = DtmfRelay::new(96, to);
        let mut source = OutgoingSource::new(0xabcd, 10, 77);
        let mut receiver = DtmfReceiver::default();
        let mut all = Vec::new();
        for (at, header, event) in sent(&[(9, 4_000), (3, 60)], from) {
            let mut slot = [0; 32];
            let mut packet = PacketBuf::empty(&mut slot, 0);
            header.write_packet(&event.to_bytes(), &mut packet).unwrap();
            relay.handle_packet(start + ms(at), &mut packet, from, &mut source).unwrap();
            let ours = RtpPacket::parse(packet.as_slice()).unwrap();
            receiver.handle_packet(start + ms(at), &ours.header, ours.payload, to).unwrap();
            all.extend(changes(&mut receiver));
        }
        let expected = [
            DtmfChange::Pressed { event: 9 },
            DtmfChange::Released { event: 9, duration: ms(4_000) },
            DtmfChange::Pressed { event: 3 },
            DtmfChange::Released { event: 3, duration: ms(60) },
        ];
        assert_eq!(all, expected, "{from} to {to}");
    }
}

proptest! {
    /// However packets are lost, repeated and reordered, each key that is heard of is pressed once and released once.
    #[test]
    fn each_key_is_pressed_and_released_once(
        keys in proptest::collection::vec((0u8..16, 40u64..300), 1..6),
        fate in proptest::collection::vec(0u8..10, 200),
    ) {
        let start = Instant::now();
        let packets = sent(&keys, 8_000);
        let mut arrivals = Vec::new();
        for (n, (at, header, event)) in packets.iter().enumerate() {
            match fate[n % fate.len()] {
                0..3 => {}
                3 => arrivals.extend([(*at, header, event), (*at + 7, header, event)]),
                4 => arrivals.push((*at + 35, header, event)),
                _ => arrivals.push((*at, header, event)),
            }
        }
        arrivals.sort_by_key(|arrival| arrival.0);
        let heard: std::collections::BTreeSet<u32> = arrivals.iter().map(|arrival| arrival.1.timestamp).collect();
        let mut receiver = DtmfReceiver::default();
        let mut all = Vec::new();
        for (at, header, event) in arrivals {
            receiver.handle_timeout(start + ms(at));
            all.extend(changes(&mut receiver));
            receiver.handle_packet(start + ms(at), header, &event.to_bytes(), 8_000).unwrap();
            all.extend(changes(&mut receiver));
        }
        receiver.handle_timeout(start + ms(100_000));
        all.extend(changes(&mut receiver));
        prop_assert!(all.len() % 2 == 0);
        // A key of which only a late packet came, when the next one was there already, goes unheard.
        prop_assert!(all.len() / 2 <= heard.len());
        prop_assert!(all.len() / 2 + 2 >= heard.len());
        for pair in all.chunks(2) {
            let (DtmfChange::Pressed { event }, DtmfChange::Released { event: released, .. }) = (pair[0], pair[1]) else {
                return Err(TestCaseError::fail(format!("{pair:?}")));
            };
            prop_assert_eq!(event, released);
        }
    }

    #[test]
    fn arbitrary_packets_do_no_harm(
        packets in proptest::collection::vec((any::<u16>(), any::<u32>(), 0u32..2, any::<[u8; 4]>(), 0u64..500), 0..50)
    ) {
        let start = Instant::now();
        let mut receiver = DtmfReceiver::default();
        let mut relay = DtmfRelay::new(96, 48_000);
        let mut source = OutgoingSource::new(1, 1, 1);
        let mut at = 0;
        for (sequence, timestamp, ssrc, payload, step) in packets {
            at += step;
            let header = RtpHeader { payload_type: 101, marker: false, sequence, timestamp, ssrc };
            let _ = receiver.handle_packet(start + ms(at), &header, &payload, 8_000);
            prop_assert!(changes(&mut receiver).len() <= 3);
            let mut slot = [0; 32];
            let mut packet = PacketBuf::empty(&mut slot, 0);
            header.write_packet(&payload, &mut packet).unwrap();
            let _ = relay.handle_packet(start + ms(at), &mut packet, 8_000, &mut source);
        }
    }
}
