//! What arrived from one peer, as RTCP counts it (RFC 3550 sections 6.4.1 and A).

use std::time::{Duration, Instant};

use crate::rtp::RtpHeader;

/// RFC 3550 appendix A.1: a larger jump is a source that started again.
const MAX_DROPOUT: u16 = 3_000;

/// Reception statistics of a peer. When it changes its source, sums go on and sequence numbers begin anew.
#[derive(Debug, Default)]
pub(super) struct Reception {
    source: Option<Source>,
    lost_before: u64,
    last_sender_report: Option<(Instant, u32)>,
}

#[derive(Debug)]
struct Source {
    ssrc: u32,
    clock_rate_hz: u32,
    began: Instant,
    base: u64,
    highest: u64,
    received: u64,
    /// Expected and received at the last report (appendix A.3).
    reported: (u64, u64),
    transit: Option<u32>,
    /// Sixteenths of a timestamp unit (appendix A.8).
    jitter: u32,
}

/// A report block about this peer (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReceptionReport {
    pub(super) ssrc: u32,
    pub(super) fraction_lost: u8,
    /// 24 bits, signed.
    pub(super) cumulative_lost: i32,
    pub(super) extended_highest_sequence: u32,
    pub(super) jitter: u32,
    pub(super) last_sender_report: u32,
    /// In units of 1/65536 s.
    pub(super) delay_since_last_sender_report: u32,
}

impl Reception {
    /// A valid packet of an audio format with this clock.
    pub(super) fn record(&mut self, now: Instant, header: &RtpHeader, clock_rate_hz: u32) {
        self.place(now, header, clock_rate_hz);
        if let Some(source) = &mut self.source {
            source.measure_jitter(now, header.timestamp);
        }
    }

    /// A valid packet whose timestamp says nothing about its journey: telephone events repeat one (RFC 4733 section
    /// 2.5.1.1), and may run on a clock of their own.
    pub(super) fn count(&mut self, now: Instant, header: &RtpHeader) {
        let clock_rate_hz = self.source.as_ref().map_or(8_000, |source| source.clock_rate_hz);
        self.place(now, header, clock_rate_hz);
    }

    fn place(&mut self, now: Instant, header: &RtpHeader, clock_rate_hz: u32) {
        let continues = self.source.as_ref().is_some_and(|source| {
            let distance = header.sequence.wrapping_sub(source.highest as u16);
            let near = (distance.wrapping_add(MAX_DROPOUT)) < 2 * MAX_DROPOUT;
            source.ssrc == header.ssrc && source.clock_rate_hz == clock_rate_hz && near
        });
        if !continues {
            self.lost_before = self.packets_lost();
            self.source = Some(Source::new(now, header, clock_rate_hz));
        }
        if let Some(source) = &mut self.source {
            source.place(header.sequence);
        }
    }

    /// The peer's sender report, by the middle 32 bits of its NTP timestamp.
    pub(super) fn record_sender_report(&mut self, now: Instant, middle_of_ntp: u32) {
        self.last_sender_report = Some((now, middle_of_ntp));
    }

    /// The peer's current source.
    pub(super) fn ssrc(&self) -> Option<u32> {
        self.source.as_ref().map(|source| source.ssrc)
    }

    /// Packets that never arrived, over all sources.
    pub(super) fn packets_lost(&self) -> u64 {
        self.lost_before + self.source.as_ref().map_or(0, |source| source.expected().saturating_sub(source.received))
    }

    /// Interarrival jitter in microseconds.
    pub(super) fn jitter_us(&self) -> u32 {
        self.source.as_ref().map_or(0, |source| {
            let micros = u64::from(source.jitter >> 4) * 1_000_000 / u64::from(source.clock_rate_hz.max(1));
            micros.try_into().unwrap_or(u32::MAX)
        })
    }

    /// The report block that is due; the fraction counts from the last one.
    pub(super) fn report(&mut self, now: Instant) -> Option<ReceptionReport> {
        let last_sender_report = self.last_sender_report;
        let source = self.source.as_mut()?;
        let (expected, received) = (source.expected(), source.received);
        let interval_expected = expected - source.reported.0.min(expected);
        let interval_received = received - source.reported.1.min(received);
        source.reported = (expected, received);
        let interval_lost = interval_expected.saturating_sub(interval_received);
        let fraction_lost = (interval_lost * 256).checked_div(interval_expected).unwrap_or(0).min(255) as u8;
        let lost = expected as i64 - received as i64;
        let (middle, delay) =
            last_sender_report.map_or((0, Duration::ZERO), |(at, middle)| (middle, now.saturating_duration_since(at)));
        Some(ReceptionReport {
            ssrc: source.ssrc,
            fraction_lost,
            cumulative_lost: lost.clamp(-0x80_0000, 0x7f_ffff) as i32,
            extended_highest_sequence: source.highest as u32,
            jitter: source.jitter >> 4,
            last_sender_report: middle,
            delay_since_last_sender_report: (delay.as_micros() * 65_536 / 1_000_000) as u32,
        })
    }
}

impl Source {
    fn new(now: Instant, header: &RtpHeader, clock_rate_hz: u32) -> Self {
        // One cycle up, so that a packet from before the first one doesn't count below zero.
        let first = (1 << 16) + u64::from(header.sequence);
        Source {
            ssrc: header.ssrc,
            clock_rate_hz,
            began: now,
            base: first,
            highest: first,
            received: 0,
            reported: (0, 0),
            transit: None,
            jitter: 0,
        }
    }

    fn expected(&self) -> u64 {
        self.highest + 1 - self.base
    }

    fn place(&mut self, sequence: u16) {
        self.received += 1;
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if ahead < MAX_DROPOUT {
            self.highest += u64::from(ahead);
        }
    }

    fn measure_jitter(&mut self, now: Instant, timestamp: u32) {
        let elapsed = now.saturating_duration_since(self.began).as_micros();
        let arrival = (elapsed * u128::from(self.clock_rate_hz) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let difference = (transit.wrapping_sub(before) as i32).unsigned_abs();
            // A pause in which the source's clock stood still isn't jitter.
            if difference < 2 * self.clock_rate_hz {
                self.jitter = (self.jitter + difference).saturating_sub((self.jitter + 8) >> 4);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(sequence: u16, timestamp: u32) -> RtpHeader {
        RtpHeader { payload_type: 0, marker: false, sequence, timestamp, ssrc: 5 }
    }

    #[test]
    fn loss_is_counted_over_a_wrap() {
        let start = Instant::now();
        let mut reception = Reception::default();
        for (step, sequence) in [65_533u16, 65_534, 65_535, 2, 3, 1].into_iter().enumerate() {
            reception.record(start + Duration::from_millis(20 * step as u64), &header(sequence, 0), 8_000);
        }
        assert_eq!(reception.packets_lost(), 1);
        let report = reception.report(start).unwrap();
        assert_eq!((report.cumulative_lost, report.fraction_lost), (1, 36));
        assert_eq!(report.extended_highest_sequence & 0xffff, 3);
        reception.record(start, &header(4, 0), 8_000);
        assert_eq!(reception.report(start).unwrap().fraction_lost, 0);
    }

    #[test]
    fn an_even_clock_has_no_jitter_and_an_uneven_one_has() {
        let start = Instant::now();
        let run = |wobble: u64| {
            let mut reception = Reception::default();
            for step in 0..500u64 {
                let late = if step % 2 == 0 { wobble } else { 0 };
                let at = start + Duration::from_millis(20 * step + late);
                reception.record(at, &header(step as u16, 160 * step as u32), 8_000);
            }
            reception.jitter_us()
        };
        assert_eq!(run(0), 0);
        let jitter = run(10);
        assert!((9_000..=10_500).contains(&jitter), "{jitter}");
    }

    #[test]
    fn a_new_source_keeps_the_sum() {
        let now = Instant::now();
        let mut reception = Reception::default();
        reception.record(now, &header(1, 0), 8_000);
        reception.record(now, &header(4, 0), 8_000);
        let other = RtpHeader { ssrc: 6, ..header(40_000, 0) };
        reception.record(now, &other, 8_000);
        assert_eq!((reception.packets_lost(), reception.ssrc()), (2, Some(6)));
    }
}
