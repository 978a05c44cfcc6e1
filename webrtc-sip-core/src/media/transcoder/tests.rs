use proptest::prelude::*;

use super::*;
use crate::rng::Rng;
use crate::rtp::RtpHeader;

const PCMU: AudioFormat = AudioFormat { codec: CodecKind::Pcmu, payload_type: 0 };
const PCMA: AudioFormat = AudioFormat { codec: CodecKind::Pcma, payload_type: 8 };
const OPUS: AudioFormat = AudioFormat { codec: CodecKind::Opus, payload_type: 111 };

fn config<'a>(accept: &'a [AudioFormat], send: AudioFormat, ptime_ms: u8) -> TranscoderConfig<'a> {
    TranscoderConfig {
        accept,
        comfort_noise: Some(13),
        send,
        ptime_ms,
        opus: OpusSettings::default(),
        jitter: JitterConfig::default(),
    }
}

/// A sender, a transcoder and what comes out of it.
struct Setup {
    start: Instant,
    transcoder: Transcoder,
    source: OutgoingSource,
    sent: Vec<(u64, RtpHeader, Vec<u8>)>,
}

impl Setup {
    fn new(config: &TranscoderConfig<'_>) -> Self {
        let start = Instant::now();
        let transcoder = Transcoder::new(start, config).unwrap();
        Setup { start, transcoder, source: OutgoingSource::new(7, 65_530, 100), sent: Vec::new() }
    }

    fn at(&self, us: u64) -> Instant {
        self.start + Duration::from_micros(us)
    }

    fn receive(&mut self, us: u64, header: RtpHeader, payload: &[u8]) -> Result<(), DropReason> {
        let now = self.at(us);
        self.transcoder.handle_rtp(now, &RtpPacket { header, payload })
    }

    fn run_until(&mut self, us: u64) {
        let end = self.at(us);
        while let Some(due) = self.transcoder.poll_timeout().filter(|due| *due <= end) {
            assert_eq!(due.duration_since(self.start).as_micros() % 5_000, 0);
            let mut slot = [0; 600];
            let mut out = PacketBuf::empty(&mut slot, 0);
            if self.transcoder.poll_transmit(due, &mut self.source, &mut out) {
                let packet = RtpPacket::parse(out.as_slice()).unwrap();
                let ms = due.duration_since(self.start).as_millis() as u64;
                self.sent.push((ms, packet.header, packet.payload.to_vec()));
            }
        }
    }

    /// Everything that was sent, decoded.
    fn heard(&self, kind: CodecKind) -> Vec<i16> {
        let mut decoder = codec::decoder(kind).unwrap();
        let mut heard = Vec::new();
        for (_, _, payload) in &self.sent {
            let mut samples = [0; MAX_FRAME_SAMPLES];
            let count = decoder.decode(payload, &mut samples).unwrap();
            heard.extend_from_slice(&samples[..count]);
        }
        heard
    }
}

fn tone(count: usize) -> Vec<i16> {
    (0..count).map(|n| (6_000.0 * (n as f64 * 440.0 * std::f64::consts::TAU / 8_000.0).sin()) as i16).collect()
}

fn encoded(format: AudioFormat, samples: &[i16], frame: usize) -> Vec<(RtpHeader, Vec<u8>)> {
    let mut encoder = codec::encoder(format.codec, &OpusSettings::default()).unwrap();
    let units = frame as u32 * format.codec.clock_rate_hz() / 8_000;
    let packets = samples.chunks_exact(frame).enumerate().map(|(n, chunk)| {
        let mut payload = [0; 512];
        let len = encoder.encode(chunk, &mut payload).unwrap();
        let header = RtpHeader {
            payload_type: format.payload_type,
            marker: n == 0,
            sequence: (n as u16).wrapping_add(65_000),
            timestamp: 4_294_900_000u32.wrapping_add(n as u32 * units),
            ssrc: 99,
        };
        (header, payload[..len].to_vec())
    });
    packets.collect()
}

fn level(samples: &[i16]) -> f64 {
    (samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
}

#[test]
fn every_pair_of_codecs_and_packet_times_carries_the_signal() {
    let speech = tone(8_000 * 2);
    for (from, frame) in [(OPUS, 160), (OPUS, 480), (PCMU, 160), (PCMA, 80), (PCMU, 480)] {
        for (to, ptime) in [(PCMU, 20), (PCMA, 30), (OPUS, 20), (OPUS, 60), (PCMU, 60), (PCMA, 10), (OPUS, 10)] {
            let mut setup = Setup::new(&config(&[from], to, ptime));
            for (n, (header, payload)) in encoded(from, &speech, frame).into_iter().enumerate() {
                let us = (n * frame * 125) as u64;
                setup.run_until(us);
                setup.receive(us, header, &payload).unwrap();
            }
            let case = format!("{from:?} of {frame} samples to {to:?} of {ptime} ms");
            let heard = setup.heard(to.codec);
            assert!(heard.len() > 8_000 * 18 / 10, "{case}: {}", heard.len());
            let ratio = level(&heard[4_000..]) / level(&speech);
            assert!((0.9..1.1).contains(&ratio), "{case}: level ratio {ratio}, {:?}", setup.transcoder.stats());
            assert_eq!(setup.transcoder.stats().concealed_ms, 0, "{case}");
            let units = u32::from(ptime) * to.codec.clock_rate_hz() / 1_000;
            for (n, (_, header, _)) in setup.sent.iter().enumerate() {
                let expected = RtpHeader {
                    payload_type: to.payload_type,
                    marker: n == 0,
                    sequence: 65_530u16.wrapping_add(n as u16),
                    timestamp: 100 + n as u32 * units,
                    ssrc: 7,
                };
                assert_eq!(*header, expected, "{case}");
            }
        }
    }
}

#[test]
fn loss_and_jitter_are_smoothed() {
    let speech = tone(8_000 * 20);
    for from in [OPUS, PCMU] {
        let mut rng = Rng::split(&[4; 32], "jitter");
        let mut arrivals = Vec::new();
        for (n, (header, payload)) in encoded(from, &speech, 160).into_iter().enumerate() {
            // 3 % loss, up to 30 ms of jitter.
            if !rng.chance(0.03) {
                arrivals.push((n as u64 * 20_000 + rng.below(30_000), header, payload));
            }
        }
        arrivals.sort_by_key(|arrival| arrival.0);
        let mut setup = Setup::new(&config(&[from], PCMA, 20));
        for (us, header, payload) in arrivals {
            setup.run_until(us);
            let _ = setup.receive(us, header, &payload);
        }
        let stats = setup.transcoder.stats();
        assert!((300..1_600).contains(&stats.concealed_ms), "{from:?}: {stats:?}");
        assert!(stats.late < 30 && stats.target_ms <= 60, "{from:?}: {stats:?}");
        let heard = setup.heard(CodecKind::Pcma);
        let ratio = level(&heard[8_000..]) / level(&speech);
        assert!((0.85..1.1).contains(&ratio), "{from:?}: {ratio}");
    }
}

#[test]
fn a_fast_and_a_slow_clock_are_followed() {
    // A tenth of a per cent, ten times more than real clocks, for a minute: 60 ms in all. Silence between words.
    let words: Vec<i16> =
        tone(8_000 * 60).into_iter().enumerate().map(|(n, s)| if n % 8_000 < 5_000 { s } else { 0 }).collect();
    for interval_us in [19_980u64, 20_020] {
        let mut setup = Setup::new(&config(&[PCMU], PCMA, 20));
        let mut deepest = 0;
        for (n, (header, payload)) in encoded(PCMU, &words, 160).into_iter().enumerate() {
            let us = n as u64 * interval_us;
            setup.run_until(us);
            setup.receive(us, header, &payload).unwrap();
            deepest = deepest.max(setup.transcoder.stats().depth_ms);
        }
        let stats = setup.transcoder.stats();
        assert!(deepest <= 80, "{interval_us}: {deepest} ms deep");
        assert_eq!((stats.late, stats.skipped), (0, 0), "{interval_us}: {stats:?}");
        assert!(stats.concealed_ms <= 20, "{interval_us}: {stats:?}");
        let changes = if interval_us < 20_000 { stats.shortened } else { stats.lengthened };
        assert!(changes >= 2, "{interval_us}: {stats:?}");
    }
}

#[test]
fn a_stalled_network_is_caught_up() {
    let speech = tone(8_000 * 10);
    let mut setup = Setup::new(&config(&[PCMU], PCMA, 20));
    let mut arrivals: Vec<_> = encoded(PCMU, &speech, 160).into_iter().enumerate().collect();
    let mut last = 0;
    for (n, (header, payload)) in arrivals.drain(..) {
        // Between 2.0 and 2.3 s nothing arrives.
        let us = n as u64 * 20_000;
        let us = if (2_000_000..2_300_000).contains(&us) { 2_300_000 } else { us };
        last = us;
        setup.run_until(us);
        let _ = setup.receive(us, header, &payload);
    }
    setup.run_until(last);
    let stats = setup.transcoder.stats();
    assert!(stats.depth_ms <= 140, "{stats:?}");
    assert!(stats.concealed_ms <= 300, "{stats:?}");
}

#[test]
fn comfort_noise_is_heard_in_a_pause_and_silence_without() {
    for noise in [true, false] {
        let mut setup = Setup::new(&config(&[PCMU], PCMA, 20));
        let packets = encoded(PCMU, &tone(8_000), 160);
        for (n, (header, payload)) in packets.iter().enumerate() {
            setup.run_until(n as u64 * 20_000);
            setup.receive(n as u64 * 20_000, *header, payload).unwrap();
        }
        if noise {
            let last = packets.last().unwrap().0;
            let header = RtpHeader {
                payload_type: 13,
                sequence: last.sequence.wrapping_add(1),
                timestamp: last.timestamp.wrapping_add(160),
                ..last
            };
            setup.receive(1_000_000, header, &[30]).unwrap();
        }
        setup.run_until(3_000_000);
        let heard = setup.heard(CodecKind::Pcma);
        let pause = level(&heard[heard.len() - 8_000..]);
        // -30 dBov is 1,036; the A-law of silence is 8.
        assert!(if noise { (800.0..1_300.0).contains(&pause) } else { pause < 10.0 }, "{pause}");
        assert_eq!(setup.transcoder.stats().concealed_ms == 0, noise);
    }
}

#[test]
fn muting_keeps_time_and_marks_the_next_packet() {
    let mut setup = Setup::new(&config(&[PCMU], PCMA, 20));
    for (n, (header, payload)) in encoded(PCMU, &tone(8_000), 160).into_iter().enumerate() {
        let us = n as u64 * 20_000;
        setup.transcoder.set_muted((400_000..600_000).contains(&us));
        setup.run_until(us);
        setup.receive(us, header, &payload).unwrap();
    }
    let gap = setup.sent.windows(2).find(|pair| pair[1].0 - pair[0].0 > 20).unwrap();
    let (before, after) = (&gap[0], &gap[1]);
    assert_eq!(u64::from(after.1.timestamp - before.1.timestamp), (after.0 - before.0) * 8);
    assert_eq!(after.1.sequence, before.1.sequence.wrapping_add(1));
    assert!(after.1.marker && !before.1.marker);
}

#[test]
fn a_worker_that_was_held_up_leaves_out_what_it_missed() {
    let mut setup = Setup::new(&config(&[PCMU], PCMA, 20));
    let packets = encoded(PCMU, &tone(800), 160);
    setup.receive(0, packets[0].0, &packets[0].1).unwrap();
    setup.run_until(100_000);
    let before = setup.sent.len();
    let late = setup.at(5_000_000);
    let missed = late - setup.transcoder.poll_timeout().unwrap();
    let mut slot = [0; 600];
    let mut made = 0;
    while setup.transcoder.poll_transmit(late, &mut setup.source, &mut PacketBuf::empty(&mut slot, 0)) {
        made += 1;
    }
    assert!(before >= 5 && made == 1, "{before} and {made}");
    let timestamp = RtpPacket::parse(&slot[..172]).unwrap().header.timestamp;
    assert!(timestamp >= 100 + 4_900 * 8, "{timestamp}");
    assert_eq!(u128::from(setup.transcoder.stats().missed_ms), missed.as_millis());
}

#[test]
fn unknown_and_broken_packets_are_refused() {
    let mut setup = Setup::new(&config(&[OPUS, PCMU], PCMA, 20));
    let header = RtpHeader { payload_type: 8, marker: false, sequence: 1, timestamp: 1, ssrc: 1 };
    assert_eq!(setup.receive(0, header, &[0; 160]), Err(DropReason::UnknownPayloadType));
    assert_eq!(setup.receive(0, RtpHeader { payload_type: 111, ..header }, &[]), Err(DropReason::Malformed));
    assert_eq!(setup.receive(0, RtpHeader { payload_type: 0, ..header }, &[0; 600]), Err(DropReason::LimitReached));
    assert_eq!(setup.transcoder.poll_timeout(), None);
    assert!(Transcoder::new(setup.start, &config(&[PCMU], PCMA, 25)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a sender does, a packet goes out every 20 ms with the next numbers.
    #[test]
    fn the_output_is_steady(
        packets in proptest::collection::vec(
            (0u64..60, 0u8..4, any::<u16>(), any::<u32>(), proptest::collection::vec(any::<u8>(), 0..200)), 1..60
        )
    ) {
        let mut setup = Setup::new(&config(&[OPUS, PCMU, PCMA], OPUS, 20));
        let mut ms = 0;
        let mut regular = 0u16;
        for (step, kind, sequence, timestamp, payload) in packets {
            ms += step;
            setup.run_until(ms * 1_000);
            regular = regular.wrapping_add(1);
            let payload_type = [0, 8, 13, 111][usize::from(kind)];
            let header = if sequence % 3 == 0 {
                RtpHeader { payload_type, marker: false, sequence, timestamp, ssrc: timestamp & 1 }
            } else {
                RtpHeader { payload_type, marker: false, sequence: regular, timestamp: ms as u32 * 8, ssrc: 1 }
            };
            let _ = setup.receive(ms * 1_000, header, &payload);
        }
        for pair in setup.sent.windows(2) {
            prop_assert_eq!(pair[1].0 - pair[0].0, 20);
            prop_assert_eq!(pair[1].1.sequence, pair[0].1.sequence.wrapping_add(1));
            prop_assert_eq!(pair[1].1.timestamp, pair[0].1.timestamp + 960);
        }
    }
}
