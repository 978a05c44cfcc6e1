//! [`OutgoingSource`]: what we send on one leg, as one synchronisation source with one run of sequence numbers and
//! timestamps, whoever makes the packets: relay, transcoder or DTMF.

use std::time::{Duration, Instant};

use super::header::RtpHeader;

/// Least distance between the timestamps of two runs of packets, so that they don't share one.
const MIN_STEP: Duration = Duration::from_millis(10);

/// Our synchronisation source on one leg.
#[derive(Clone, Debug)]
pub struct OutgoingSource {
    ssrc: u32,
    /// Of the newest packet.
    sequence: u16,
    /// Of the newest packet.
    timestamp: u32,
    /// The moment that its timestamp stands for; none before the first.
    sent_at: Option<Instant>,
}

impl OutgoingSource {
    /// A source that hasn't sent. RFC 3550 section 5.1 wants both starting points random.
    pub fn new(ssrc: u32, first_sequence: u16, first_timestamp: u32) -> Self {
        OutgoingSource { ssrc, sequence: first_sequence.wrapping_sub(1), timestamp: first_timestamp, sent_at: None }
    }

    /// Synchronisation source.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Sequence number of the newest packet, or the one before the first.
    pub fn sequence(&self) -> u16 {
        self.sequence
    }

    /// The timestamp that belongs to `now`, for RTCP sender reports and for a new run of packets: the newest packet's
    /// plus the time since, in units of `clock_rate_hz`.
    pub fn timestamp_at(&self, now: Instant, clock_rate_hz: u32) -> u32 {
        let Some(sent_at) = self.sent_at else { return self.timestamp };
        self.timestamp.wrapping_add(clock_units(now.saturating_duration_since(sent_at), clock_rate_hz))
    }

    /// The timestamp with which a new run of packets may begin: as [`OutgoingSource::timestamp_at`], but after the
    /// newest packet's.
    pub fn next_timestamp(&self, now: Instant, clock_rate_hz: u32) -> u32 {
        let Some(sent_at) = self.sent_at else { return self.timestamp };
        let elapsed = now.saturating_duration_since(sent_at).max(MIN_STEP);
        self.timestamp.wrapping_add(clock_units(elapsed, clock_rate_hz))
    }

    /// The header of the next packet. `at` is the moment that `timestamp` stands for: now for audio, the beginning of
    /// the event for telephone events (RFC 4733 section 2.2).
    pub fn next_header(&mut self, at: Instant, payload_type: u8, marker: bool, timestamp: u32) -> RtpHeader {
        let header =
            RtpHeader { payload_type, marker, sequence: self.sequence.wrapping_add(1), timestamp, ssrc: self.ssrc };
        self.sent(at, header.sequence, timestamp);
        header
    }

    /// Takes note of a packet with numbers of the caller's choice; a reordered one changes nothing.
    pub fn sent(&mut self, at: Instant, sequence: u16, timestamp: u32) {
        let newer = sequence.wrapping_sub(self.sequence) as i16 > 0;
        if newer || self.sent_at.is_none() {
            self.sequence = sequence;
            self.timestamp = timestamp;
            self.sent_at = Some(at);
        }
    }
}

/// A duration in units of a clock; wraps like a timestamp.
pub(crate) fn clock_units(duration: Duration, clock_rate_hz: u32) -> u32 {
    (duration.as_micros() * u128::from(clock_rate_hz) / 1_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_between_packets() {
        let start = Instant::now();
        let mut source = OutgoingSource::new(1, 65_535, u32::MAX);
        let first = source.next_timestamp(start, 8_000);
        assert_eq!(source.next_header(start, 0, true, first).sequence, 65_535);
        assert_eq!(source.timestamp_at(start + Duration::from_millis(20), 8_000), 159);
        assert_eq!(source.next_timestamp(start, 48_000), 479);
        assert_eq!(source.next_header(start, 0, false, 160).sequence, 0);
        source.sent(start + Duration::from_secs(1), 65_535, 7);
        assert_eq!((source.sequence(), source.timestamp_at(start, 8_000)), (0, 160));
    }
}
