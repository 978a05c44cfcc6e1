//! Telephone events (RFC 4733): keys that were pressed, as packets of their own between those of the audio.
//!
//! [`DtmfReceiver`] turns packets into presses and releases, [`DtmfSender`] makes packets for keys, [`DtmfRelay`] passes
//! packets on under other payload types and clocks. Events are numbers here; 0 to 15 are the keys `0-9 * # A-D`.

mod receiver;
mod relay;
mod sender;

#[cfg(test)]
mod tests;

pub use receiver::{DtmfChange, DtmfReceiver};
pub use relay::DtmfRelay;
pub use sender::{DtmfSender, MAX_QUEUED};

use std::time::Duration;

/// The highest event that is a key (section 3.2).
pub const LAST_KEY: u8 = 15;
/// Level of the tone that we say we send: -10 dBm0 (section 2.3.4).
const VOLUME: u8 = 10;
/// Longest duration of one packet's segment, in clock units (section 2.5.1.3).
const MAX_SEGMENT: u32 = 0xffff;

/// The payload of a telephone-event packet (section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// Which event.
    pub event: u8,
    /// Whether it is over.
    pub end: bool,
    /// Power level: -dBm0, 0 to 63.
    pub volume: u8,
    /// How long it has lasted since the packet's timestamp, in clock units.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Length of the payload in bytes.
    pub const LEN: usize = 4;

    /// Reads the first event of a payload; none when it is too short.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let [event, flags, high, low] = *payload.first_chunk::<{ Self::LEN }>()?;
        let duration = u16::from_be_bytes([high, low]);
        Some(TelephoneEvent { event, end: flags & 0x80 != 0, volume: flags & 0x3f, duration })
    }

    /// The payload.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let [high, low] = self.duration.to_be_bytes();
        [self.event, u8::from(self.end) << 7 | (self.volume & 0x3f), high, low]
    }
}

/// One event as it grows over its packets and segments.
#[derive(Clone, Copy, Debug)]
struct Progress {
    ssrc: u32,
    event: u8,
    /// Of the current segment.
    timestamp: u32,
    /// Clock units in segments before this one.
    earlier: u64,
    /// Clock units in this segment.
    duration: u32,
    end: bool,
}

/// What a packet means beside the event before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Another event.
    New,
    /// The same one, longer or at its end.
    Grown,
    /// Nothing new: a retransmission, a duplicate, or late.
    Old,
}

impl Progress {
    /// How much earlier than the newest event a packet may be to count as late and not as another count: 10 s at
    /// 48 kHz, a minute at 8 kHz.
    const MAX_LATE: u32 = 480_000;

    fn new(ssrc: u32, timestamp: u32, event: &TelephoneEvent) -> Self {
        Progress {
            ssrc,
            event: event.event,
            timestamp,
            earlier: 0,
            duration: u32::from(event.duration),
            end: event.end,
        }
    }

    fn total(&self) -> u64 {
        self.earlier + u64::from(self.duration)
    }

    fn update(&mut self, ssrc: u32, timestamp: u32, event: &TelephoneEvent) -> Step {
        let newer = timestamp.wrapping_sub(self.timestamp);
        if ssrc != self.ssrc {
            return Step::New;
        }
        if newer == 0 {
            let duration = u32::from(event.duration);
            if self.end || event.event != self.event || (duration <= self.duration && !event.end) {
                return Step::Old;
            }
            self.duration = self.duration.max(duration);
            self.end = event.end;
            return Step::Grown;
        }
        if newer == MAX_SEGMENT && !self.end && event.event == self.event {
            // Section 2.5.1.3: a long event goes on in another segment.
            self.timestamp = timestamp;
            self.earlier += u64::from(MAX_SEGMENT);
            self.duration = u32::from(event.duration);
            self.end = event.end;
            return Step::Grown;
        }
        if newer.wrapping_neg() <= Self::MAX_LATE { Step::Old } else { Step::New }
    }
}

fn from_units(units: u64, clock_rate_hz: u32) -> Duration {
    Duration::from_micros(units * 1_000_000 / u64::from(clock_rate_hz.max(1)))
}
