use proptest::prelude::*;

use super::*;
use crate::test_data;

struct Setup {
    start: Instant,
    buffer: JitterBuffer,
}

impl Setup {
    fn new() -> Self {
        Setup { start: Instant::now(), buffer: JitterBuffer::new(&JitterConfig::default(), 8_000) }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// A packet of 20 ms whose payload is its number.
    fn insert(&mut self, ms: u64, number: u16) -> Result<(), DropReason> {
        self.insert_as(ms, 1, number, u32::from(number) * 160)
    }

    fn insert_as(&mut self, ms: u64, ssrc: u32, sequence: u16, timestamp: u32) -> Result<(), DropReason> {
        let header = RtpHeader { payload_type: 0, marker: false, sequence, timestamp, ssrc };
        let payload = sequence.to_be_bytes();
        self.buffer.insert(self.at(ms), &AudioPacket { header, payload: &payload, samples: 160, pause: false })
    }

    fn next(&mut self, ms: u64) -> Heard {
        let now = self.at(ms);
        heard(self.buffer.next(now))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Packet(u16),
    Lost(usize, bool),
    Starved,
    Silence,
}

fn heard(next: Next<'_>) -> Heard {
    match next {
        Next::Packet { payload, .. } => Heard::Packet(u16::from_be_bytes([payload[0], payload[1]])),
        Next::Lost { samples, following } => Heard::Lost(samples, following.is_some()),
        Next::Starved => Heard::Starved,
        Next::Silence => Heard::Silence,
    }
}

#[test]
fn packets_wait_for_the_initial_delay_and_come_in_order() {
    let mut setup = Setup::new();
    setup.insert(0, 10).unwrap();
    assert_eq!(setup.next(0), Heard::Silence);
    setup.insert(20, 12).unwrap();
    setup.insert(25, 11).unwrap();
    assert_eq!(setup.insert(26, 11), Err(DropReason::Replayed));
    assert_eq!(setup.next(39), Heard::Silence);
    assert_eq!([40, 60, 80].map(|ms| setup.next(ms)), [10, 11, 12].map(Heard::Packet));
    assert_eq!(setup.insert(81, 12), Err(DropReason::Replayed));
    assert_eq!(setup.insert(81, 11), Err(DropReason::TooLate));
}

#[test]
fn a_gap_is_concealed_once_and_its_packet_is_late() {
    let mut setup = Setup::new();
    for number in [1, 2, 5, 6] {
        setup.insert(u64::from(number) * 20, number).unwrap();
    }
    assert_eq!(setup.next(60), Heard::Packet(1));
    assert_eq!(setup.next(80), Heard::Packet(2));
    assert_eq!(setup.next(100), Heard::Lost(160, false));
    assert_eq!(setup.insert(101, 3), Err(DropReason::TooLate));
    assert_eq!(setup.next(120), Heard::Lost(160, true));
    assert_eq!(setup.next(140), Heard::Packet(5));
    assert_eq!(setup.buffer.stats(), JitterStats { concealed_samples: 320, late: 1, skipped: 0 });
}

#[test]
fn starving_stops_the_senders_time() {
    let mut setup = Setup::new();
    setup.insert(0, 1).unwrap();
    assert_eq!(setup.next(40), Heard::Packet(1));
    assert_eq!([60, 70].map(|ms| setup.next(ms)), [Heard::Starved; 2]);
    // The packet that was only late is played, and nothing was lost.
    setup.insert(75, 2).unwrap();
    assert_eq!(setup.next(80), Heard::Packet(2));
    // When packets are lost, what was concealed meanwhile counts for them.
    assert_eq!([100, 110, 120].map(|ms| setup.next(ms)), [Heard::Starved; 3]);
    setup.insert(125, 5).unwrap();
    assert_eq!(setup.next(130), Heard::Lost(80, true));
    assert_eq!(setup.next(140), Heard::Packet(5));
}

#[test]
fn a_long_gap_is_a_pause() {
    let mut setup = Setup::new();
    setup.insert(0, 1).unwrap();
    assert_eq!(setup.next(40), Heard::Packet(1));
    for ms in (60..160).step_by(10) {
        assert_eq!(setup.next(ms), Heard::Starved);
    }
    assert_eq!(setup.next(160), Heard::Silence);
    // Discontinuous transmission: the numbers go on, the time jumps. The delay is built up again.
    setup.insert_as(1_000, 1, 2, 160 + 8_000).unwrap();
    assert_eq!(setup.next(1_010), Heard::Silence);
    assert_eq!(setup.next(1_040), Heard::Packet(2));
}

#[test]
fn comfort_noise_announces_a_pause() {
    let mut setup = Setup::new();
    setup.insert(0, 1).unwrap();
    let header = RtpHeader { payload_type: 13, marker: false, sequence: 2, timestamp: 320, ssrc: 1 };
    let noise = AudioPacket { header, payload: &[0, 40], samples: 0, pause: true };
    setup.buffer.insert(setup.at(20), &noise).unwrap();
    assert_eq!(setup.next(40), Heard::Packet(1));
    assert_eq!(setup.next(60), Heard::Packet(40));
    assert_eq!(setup.next(60), Heard::Silence);
    assert_eq!(setup.buffer.stats().concealed_samples, 0);
}

#[test]
fn a_new_source_and_jumps_start_over() {
    let mut setup = Setup::new();
    setup.insert(0, 1).unwrap();
    assert_eq!(setup.next(40), Heard::Packet(1));
    setup.insert_as(50, 2, 40_000, 77).unwrap();
    assert_eq!(setup.next(60), Heard::Silence);
    assert_eq!(setup.next(90), Heard::Packet(40_000));
    // The same source with other timestamps: as if there was no jump.
    setup.insert_as(70, 2, 40_001, 3_000_000_000).unwrap();
    setup.insert_as(90, 2, 40_002, 3_000_000_160).unwrap();
    assert_eq!([110, 130].map(|ms| setup.next(ms)), [40_001, 40_002].map(Heard::Packet));
    // With other sequence numbers: two packets prove it.
    assert_eq!(setup.insert_as(110, 2, 7, 3_000_000_320), Err(DropReason::OutOfState));
    setup.insert_as(130, 2, 8, 3_000_000_480).unwrap();
    assert_eq!(setup.next(150), Heard::Lost(160, true));
    assert_eq!(setup.next(170), Heard::Packet(8));
}

#[test]
fn the_oldest_give_way_and_a_stall_is_caught_up() {
    let mut setup = Setup::new();
    for number in 0..MAX_PACKETS as u16 + 4 {
        setup.insert(0, number).unwrap();
    }
    assert_eq!(setup.buffer.stats().skipped, 4);
    assert_eq!(setup.buffer.depth_ms(), 640);
    let big = [0; MAX_PAYLOAD + 1];
    let header = RtpHeader { payload_type: 0, marker: false, sequence: 99, timestamp: 0, ssrc: 1 };
    let packet = AudioPacket { header, payload: &big, samples: 160, pause: false };
    assert_eq!(setup.buffer.insert(setup.start, &packet), Err(DropReason::LimitReached));
}

#[test]
fn excess_shows_a_delay_beyond_the_target() {
    let mut setup = Setup::new();
    for number in 0..3 {
        setup.insert(u64::from(number) * 20, number).unwrap();
    }
    assert_eq!(setup.next(40), Heard::Packet(0));
    let now = setup.at(40);
    // 20 ms were handed out and are not played.
    assert_eq!(setup.buffer.excess(now, 160), 0);
    let now = setup.at(100);
    assert_eq!(setup.buffer.excess(now, 160), 480);
    assert_eq!(setup.buffer.excess(now, 0), 320);
}

/// Arrival (ms), sequence number, timestamp and payload length of each packet of an rtpdump file.
fn rtpdump(bytes: &[u8]) -> Vec<(u64, u16, u32, usize)> {
    // One line of text, then 16 bytes of file header, then for each packet: length, RTP length, offset in ms.
    let mut at = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1 + 16;
    let mut packets = Vec::new();
    while at + 8 <= bytes.len() {
        let len = usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        let ms = u32::from_be_bytes(bytes[at + 4..at + 8].try_into().unwrap());
        let packet = crate::rtp::RtpPacket::parse(&bytes[at + 8..at + len]).unwrap();
        packets.push((u64::from(ms), packet.header.sequence, packet.header.timestamp, packet.payload.len()));
        at += len;
    }
    packets
}

#[test]
fn the_shared_recordings_play_through() {
    // 16 kHz, two channels, 16 bits; samples are counted at 8 kHz.
    const BYTES_PER_SAMPLE: usize = 8;
    for (name, most_concealed) in [("rtp/HRTF_pcm16wb.rtp", 0.01), ("rtp/HRTF_pcm16wb_jitter.rtp", 0.08)] {
        let Some(path) = test_data::path(name) else { return };
        let packets = rtpdump(&std::fs::read(path).unwrap());
        let (first, last) = (packets[0].0, packets[packets.len() - 1].0);
        let mut setup = Setup::new();
        // The recordings are of 16 kHz; the buffer's clock only knows multiples of 8.
        setup.buffer.set_clock_rate(16_000);
        let mut waiting = packets.iter().peekable();
        let (mut played, mut queued) = (0, 0i64);
        for ms in (first..last).step_by(10) {
            while let Some((at, sequence, timestamp, len)) = waiting.next_if(|packet| packet.0 <= ms) {
                let header =
                    RtpHeader { payload_type: 0, marker: false, sequence: *sequence, timestamp: *timestamp, ssrc: 1 };
                let samples = len / BYTES_PER_SAMPLE;
                let packet = AudioPacket { header, payload: &sequence.to_be_bytes(), samples, pause: false };
                let _ = setup.buffer.insert(setup.start + Duration::from_millis(*at), &packet);
            }
            queued -= 80;
            while queued < 0 {
                match setup.next(ms) {
                    Heard::Packet(_) => {
                        played += 1;
                        queued += (packets[0].3 / BYTES_PER_SAMPLE) as i64;
                    }
                    Heard::Lost(samples, _) => queued += samples as i64,
                    Heard::Starved | Heard::Silence => queued += 80,
                }
            }
        }
        let concealed = setup.buffer.stats().concealed_samples as f64 / ((last - first) * 8) as f64;
        assert!(concealed <= most_concealed, "{name}: {concealed} concealed, {:?}", setup.buffer.stats());
        assert!(played as f64 > packets.len() as f64 * 0.9, "{name}: {played} of {} played", packets.len());
    }
}

proptest! {
    /// Whatever arrives and whenever, packets come out in order and once, and memory is bounded.
    #[test]
    fn order_and_bounds_hold(
        steps in proptest::collection::vec((0u64..30, -6i32..6, 0u8..30, any::<u32>(), 0usize..400), 1..400)
    ) {
        let mut setup = Setup::new();
        let (mut ms, mut number) = (0, 100u16);
        let mut last: Option<u16> = None;
        for (step, distance, kind, random, samples) in steps {
            ms += step;
            number = number.wrapping_add(1);
            let sequence = number.wrapping_add(distance as u16);
            let wild = kind == 0;
            let timestamp = if wild { random } else { u32::from(sequence) * 160 };
            let header = RtpHeader { payload_type: 0, marker: false, sequence, timestamp, ssrc: 1 };
            let payload = sequence.to_be_bytes();
            let packet = AudioPacket { header, payload: &payload, samples, pause: kind == 1 };
            let _ = setup.buffer.insert(setup.at(ms), &packet);
            prop_assert!(setup.buffer.entries.len() <= MAX_PACKETS);
            prop_assert_eq!(setup.buffer.entries.len() as u32, MAX_PACKETS as u32 - setup.buffer.free.count_ones());
            match setup.next(ms) {
                Heard::Packet(sequence) => {
                    if let Some(last) = last {
                        prop_assert!(sequence.wrapping_sub(last) as i16 > 0, "{sequence} after {last}");
                    }
                    last = Some(sequence);
                }
                Heard::Lost(samples, _) => prop_assert!(samples > 0 && samples % 20 == 0 && samples <= MAX_FRAME_SAMPLES),
                Heard::Starved | Heard::Silence => {}
            }
            let now = setup.at(ms);
            prop_assert!(setup.buffer.excess(now, 0).abs() < 1 << 40);
        }
    }
}
