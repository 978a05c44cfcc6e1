//! What is known about a source: packets lost, jitter, round trip (RFC 3550 section 6.4 and appendices A.3, A.8).

use std::time::{Duration, Instant};

use super::header::RtpHeader;
use super::rtcp::{self, NtpClock, ReportBlock, SenderInfo};
use super::sequence::{Arrival, SequenceTracker};
use super::source::clock_units;

/// Round trips above this come from a clock that was set, not from the network.
const MAX_ROUND_TRIP: u32 = 60 << 16;

/// About what we receive. When the sender changes its source the totals go on; reports are about the newest source.
#[derive(Clone, Debug, Default)]
pub struct ReceiverStatistics {
    packets: u64,
    bytes: u64,
    /// Packets lost from sources and counts that ended.
    lost_before: i64,
    source: Option<ReceivedSource>,
}

#[derive(Clone, Debug)]
struct ReceivedSource {
    ssrc: u32,
    clock_rate_hz: u32,
    tracker: SequenceTracker,
    /// Extended sequence number of the first packet of this count.
    first: u64,
    received: u64,
    expected_prior: u64,
    received_prior: u64,
    epoch: Instant,
    /// Arrival minus timestamp of the last packet, and its timestamp.
    last: Option<(u32, u32)>,
    /// Sixteen times the jitter, in clock units (appendix A.8).
    jitter: u32,
    /// Middle NTP time of the last sender report, and when it came.
    sender_report: Option<(u32, Instant)>,
}

impl ReceiverStatistics {
    /// Takes note of a packet that is authentic and wasn't seen before. `clock_rate_hz` is that of its payload type.
    pub fn packet(&mut self, now: Instant, header: &RtpHeader, payload_len: usize, clock_rate_hz: u32) {
        self.packets += 1;
        self.bytes += payload_len as u64;
        if self.source.as_ref().is_none_or(|source| source.ssrc != header.ssrc) {
            self.lost_before = self.lost();
            self.source = Some(ReceivedSource::new(now, header.ssrc, clock_rate_hz));
        }
        let Some(source) = &mut self.source else { return };
        let lost = source.lost();
        match source.tracker.update(header.sequence) {
            Arrival::Started(first) => {
                self.lost_before += lost;
                source.restart(first);
            }
            Arrival::Ahead(_) | Arrival::Behind(_) => {}
            Arrival::Suspect => return,
        }
        source.received += 1;
        source.measure_jitter(now, header.timestamp, clock_rate_hz);
    }

    /// Takes note of a sender report of the source `ssrc`.
    pub fn sender_report(&mut self, now: Instant, ssrc: u32, info: &SenderInfo) {
        if let Some(source) = self.source.as_mut().filter(|source| source.ssrc == ssrc) {
            source.sender_report = Some((rtcp::middle(info.ntp), now));
        }
    }

    /// The block for the next report; none before the first packet. Call once a report: the share of lost packets is
    /// that since the last call.
    pub fn report_block(&mut self, now: Instant) -> Option<ReportBlock> {
        let source = self.source.as_mut()?;
        let (expected, received) = (source.expected(), source.received);
        let expected_interval = expected - source.expected_prior;
        let lost_interval = expected_interval as i64 - (received - source.received_prior) as i64;
        source.expected_prior = expected;
        source.received_prior = received;
        let fraction_lost = match (lost_interval, expected_interval) {
            (..=0, _) | (_, 0) => 0,
            (lost, expected) => (((lost as u64) << 8) / expected).min(255) as u8,
        };
        let (last_sender_report, delay_since_last) = source
            .sender_report
            .map_or((0, 0), |(ntp, at)| (ntp, clock_units(now.saturating_duration_since(at), 1 << 16)));
        Some(ReportBlock {
            ssrc: source.ssrc,
            fraction_lost,
            cumulative_lost: source.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            // Counting wraps from 0 as the RFC does; ours begin with 1.
            highest_sequence: (source.tracker.highest() as u32).wrapping_sub(1 << 16),
            jitter: source.jitter >> 4,
            last_sender_report,
            delay_since_last,
        })
    }

    /// Packets received.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Their payload bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets lost in all; negative when duplicates outweigh.
    pub fn lost(&self) -> i64 {
        self.lost_before + self.source.as_ref().map_or(0, ReceivedSource::lost)
    }

    /// Interarrival jitter in microseconds.
    pub fn jitter_us(&self) -> u32 {
        let Some(source) = &self.source else { return 0 };
        to_us(source.jitter >> 4, source.clock_rate_hz)
    }
}

impl ReceivedSource {
    fn new(now: Instant, ssrc: u32, clock_rate_hz: u32) -> Self {
        ReceivedSource {
            ssrc,
            clock_rate_hz,
            tracker: SequenceTracker::default(),
            first: 0,
            received: 0,
            expected_prior: 0,
            received_prior: 0,
            epoch: now,
            last: None,
            jitter: 0,
            sender_report: None,
        }
    }

    fn restart(&mut self, first: u64) {
        self.first = first;
        self.received = 0;
        self.expected_prior = 0;
        self.received_prior = 0;
        self.last = None;
    }

    fn expected(&self) -> u64 {
        if self.tracker.highest() == 0 { 0 } else { self.tracker.highest() - self.first + 1 }
    }

    fn lost(&self) -> i64 {
        self.expected() as i64 - self.received as i64
    }

    fn measure_jitter(&mut self, now: Instant, timestamp: u32, clock_rate_hz: u32) {
        if self.clock_rate_hz != clock_rate_hz {
            self.jitter = (u64::from(self.jitter) * u64::from(clock_rate_hz) / u64::from(self.clock_rate_hz.max(1)))
                .min(u64::from(u32::MAX)) as u32;
            self.clock_rate_hz = clock_rate_hz;
            self.last = None;
        }
        let arrival = clock_units(now.saturating_duration_since(self.epoch), clock_rate_hz);
        let transit = arrival.wrapping_sub(timestamp);
        match self.last {
            // Packets of one event or frame share a timestamp and were sent at different times.
            Some((_, same)) if same == timestamp => return,
            Some((last, _)) => {
                // A jump of the timestamp is no jitter; a second is more than any of it.
                let distance = (transit.wrapping_sub(last) as i32).unsigned_abs().min(clock_rate_hz);
                self.jitter = self.jitter + distance - ((self.jitter + 8) >> 4);
            }
            None => {}
        }
        self.last = Some((transit, timestamp));
    }
}

/// About what we send: our counts, and what the other side reports.
#[derive(Clone, Debug, Default)]
pub struct SenderStatistics {
    packets: u64,
    bytes: u64,
    remote_lost: i64,
    remote_fraction_lost: u8,
    remote_jitter: u32,
    round_trip: Option<Duration>,
}

impl SenderStatistics {
    /// Takes note of a packet that was sent.
    pub fn packet(&mut self, payload_len: usize) {
        self.packets += 1;
        self.bytes += payload_len as u64;
    }

    /// Our part of a sender report; `rtp_timestamp` is that of `now` ([`super::OutgoingSource::timestamp_at`]). None
    /// when nothing was sent yet.
    pub fn sender_info(&self, now: Instant, clock: &NtpClock, rtp_timestamp: u32) -> Option<SenderInfo> {
        (self.packets > 0).then(|| SenderInfo {
            ntp: clock.ntp(now),
            rtp_timestamp,
            packets: self.packets as u32,
            octets: self.bytes as u32,
        })
    }

    /// Takes note of a report about our source.
    pub fn report(&mut self, now: Instant, clock: &NtpClock, block: &ReportBlock) {
        self.remote_lost = i64::from(block.cumulative_lost);
        self.remote_fraction_lost = block.fraction_lost;
        self.remote_jitter = block.jitter;
        if block.last_sender_report != 0 {
            // RFC 3550 section 6.4.1, figure 2: what has passed since our report, less the time it lay over there.
            let passed = clock.middle(now).wrapping_sub(block.last_sender_report);
            let units = passed.wrapping_sub(block.delay_since_last);
            // Rounding can make it a little less than nothing.
            let units = if units > u32::MAX - 66 { 0 } else { units };
            if units <= MAX_ROUND_TRIP {
                self.round_trip = Some(Duration::from_micros((u64::from(units) * 1_000_000) >> 16));
            }
        }
    }

    /// Packets sent.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Their payload bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets that the other side lost in all.
    pub fn remote_lost(&self) -> i64 {
        self.remote_lost
    }

    /// Share of packets lost in its last report, in 1/256.
    pub fn remote_fraction_lost(&self) -> u8 {
        self.remote_fraction_lost
    }

    /// Jitter that it sees, in microseconds, when our RTP clock has this rate.
    pub fn remote_jitter_us(&self, clock_rate_hz: u32) -> u32 {
        to_us(self.remote_jitter, clock_rate_hz)
    }

    /// The last round trip.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }
}

fn to_us(units: u32, clock_rate_hz: u32) -> u32 {
    (u64::from(units) * 1_000_000 / u64::from(clock_rate_hz.max(1))).min(u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn header(sequence: u16, timestamp: u32, ssrc: u32) -> RtpHeader {
        RtpHeader { payload_type: 0, marker: false, sequence, timestamp, ssrc }
    }

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn loss_is_counted_as_in_appendix_a3() {
        let start = Instant::now();
        let mut statistics = ReceiverStatistics::default();
        assert_eq!(statistics.report_block(start), None);
        for n in (0..100u16).filter(|n| n % 10 != 5) {
            statistics.packet(start, &header(65_500u16.wrapping_add(n), u32::from(n) * 160, 7), 160, 8_000);
        }
        let block = statistics.report_block(start).unwrap();
        assert_eq!((block.ssrc, block.cumulative_lost, block.fraction_lost), (7, 10, 25));
        assert_eq!(block.highest_sequence, 1 << 16 | 63);
        // A late packet and a duplicate; nothing lost since.
        statistics.packet(start, &header(65_505, 800, 7), 160, 8_000);
        statistics.packet(start, &header(65_505, 800, 7), 160, 8_000);
        let block = statistics.report_block(start).unwrap();
        assert_eq!((block.cumulative_lost, block.fraction_lost), (8, 0));
        // Another source: its reports begin anew, the totals don't.
        statistics.packet(start, &header(1, 0, 8), 160, 8_000);
        statistics.packet(start, &header(3, 320, 8), 160, 8_000);
        let block = statistics.report_block(start).unwrap();
        assert_eq!((block.ssrc, block.cumulative_lost, block.fraction_lost), (8, 1, 85));
        assert_eq!((statistics.lost(), statistics.packets(), statistics.bytes()), (9, 94, 94 * 160));
    }

    #[test]
    fn jitter_settles_at_the_mean_deviation() {
        let start = Instant::now();
        let mut statistics = ReceiverStatistics::default();
        // Every other packet is 8 ms late: each differs from the one before by 8 ms.
        for n in 0..400u64 {
            let now = start + ms(n * 20 + (n % 2) * 8);
            statistics.packet(now, &header(n as u16, n as u32 * 960, 7), 100, 48_000);
        }
        assert!((7_900..=8_100).contains(&statistics.jitter_us()), "{}", statistics.jitter_us());
        let jitter = statistics.report_block(start).unwrap().jitter;
        assert!((379..=389).contains(&jitter), "{jitter}");
        // Events repeat their timestamp, and timestamps may jump: neither is jitter of note.
        statistics.packet(start + ms(8_500), &header(400, 399 * 960, 7), 4, 48_000);
        assert!(statistics.jitter_us() <= 8_100);
        // Another clock: the same jitter in other units.
        statistics.packet(start + ms(8_520), &header(401, 5, 7), 100, 8_000);
        assert!((7_700..=8_100).contains(&statistics.jitter_us()), "{}", statistics.jitter_us());
    }

    #[test]
    fn the_round_trip_leaves_out_the_time_at_the_other_side() {
        let start = Instant::now();
        let clock = NtpClock::new(start, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let mut ours = SenderStatistics::default();
        assert_eq!(ours.sender_info(start, &clock, 0), None);
        ours.packet(160);
        let info = ours.sender_info(start, &clock, 5).unwrap();
        assert_eq!((info.packets, info.octets, info.rtp_timestamp), (1, 160, 5));

        let mut theirs = ReceiverStatistics::default();
        theirs.packet(start + ms(30), &header(1, 0, 7), 160, 8_000);
        theirs.sender_report(start + ms(30), 7, &info);
        let block = theirs.report_block(start + ms(530)).unwrap();
        ours.report(start + ms(600), &clock, &block);
        let round_trip = ours.round_trip().unwrap().as_micros();
        assert!((99_900..100_100).contains(&round_trip), "{round_trip}");
        // A report that can't be of our time is left out.
        ours.report(start + ms(600), &clock, &ReportBlock { last_sender_report: 1, ..block });
        assert_eq!(ours.round_trip().unwrap().as_micros(), round_trip);
        assert_eq!(ours.remote_jitter_us(8_000), 0);
    }
}
