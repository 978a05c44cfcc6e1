//! From keys to packets.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::io::PacketBuf;
use crate::rtp::OutgoingSource;
use crate::rtp::header::FIXED_HEADER_LEN;
use crate::rtp::source::clock_units;

use super::{LAST_KEY, MAX_SEGMENT, TelephoneEvent, VOLUME};

/// Keys that may wait.
pub const MAX_QUEUED: usize = 64;
/// Time between two packets of an event.
const INTERVAL: Duration = Duration::from_millis(20);
/// Packets with the end flag (section 2.5.1.4).
const END_PACKETS: u8 = 3;
/// Shortest and longest press.
const MIN_DURATION: Duration = Duration::from_millis(40);
const MAX_DURATION: Duration = Duration::from_secs(6);
/// Shortest silence between two keys; a receiver needs some to tell two equal keys apart (ITU-T Q.24).
const MIN_GAP: Duration = Duration::from_millis(40);

/// Sends keys one after the other as events of one payload type.
#[derive(Debug)]
pub struct DtmfSender {
    payload_type: u8,
    clock_rate_hz: u32,
    queue: VecDeque<Key>,
    sending: Option<Sending>,
    /// When the next key may begin.
    ready_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    event: u8,
    duration: Duration,
    gap: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Sending {
    key: Key,
    started: Instant,
    /// Timestamp of the current segment.
    timestamp: u32,
    /// Clock units in segments before.
    earlier: u32,
    /// Packets so far, of which none, or some, with the end flag.
    packets: u32,
    end_packets: u8,
    due: Instant,
}

impl DtmfSender {
    /// A sender for a negotiated telephone-event format.
    pub fn new(payload_type: u8, clock_rate_hz: u32) -> Self {
        DtmfSender { payload_type, clock_rate_hz, queue: VecDeque::new(), sending: None, ready_at: None }
    }

    /// Queues a key (0 to 15) to be held for `duration` (40 ms to 6 s) and followed by at least 40 ms of silence. Says
    /// whether it was taken; a full queue and other events aren't.
    #[must_use]
    pub fn press(&mut self, now: Instant, event: u8, duration: Duration, gap: Duration) -> bool {
        if event > LAST_KEY || self.queue.len() >= MAX_QUEUED {
            return false;
        }
        let duration = duration.clamp(MIN_DURATION, MAX_DURATION);
        let gap = gap.clamp(MIN_GAP, MAX_DURATION);
        self.queue.push_back(Key { event, duration, gap });
        self.ready_at = Some(self.ready_at.map_or(now, |at| at.max(now)));
        true
    }

    /// Whether a key is being sent: audio should pause.
    pub fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// When the next packet is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.sending {
            Some(sending) => Some(sending.due),
            None if self.queue.is_empty() => None,
            None => self.ready_at,
        }
    }

    /// Writes the next packet that is due into `out`, which needs 16 bytes, or returns false when nothing is due.
    pub fn poll_transmit(&mut self, now: Instant, source: &mut OutgoingSource, out: &mut PacketBuf<'_>) -> bool {
        if self.poll_timeout().is_none_or(|due| due > now)
            || out.len() + out.tailroom() < FIXED_HEADER_LEN + TelephoneEvent::LEN
        {
            return false;
        }
        let sending = match self.sending {
            Some(sending) => sending,
            None => {
                let Some(key) = self.queue.pop_front() else { return false };
                let timestamp = source.next_timestamp(now, self.clock_rate_hz);
                Sending { key, started: now, timestamp, earlier: 0, packets: 0, end_packets: 0, due: now }
            }
        };
        self.send(sending, source, out)
    }

    fn send(&mut self, mut sending: Sending, source: &mut OutgoingSource, out: &mut PacketBuf<'_>) -> bool {
        // A packet tells what will have been played when the next one is due.
        let held = INTERVAL * (sending.packets + 1);
        let end = held >= sending.key.duration;
        let mut units = clock_units(held.min(sending.key.duration), self.clock_rate_hz) - sending.earlier;
        let segment_ends = units > MAX_SEGMENT;
        if segment_ends {
            units = MAX_SEGMENT;
        }
        let event = TelephoneEvent {
            event: sending.key.event,
            end: end && !segment_ends,
            volume: VOLUME,
            duration: units as u16,
        };
        let marker = sending.packets == 0 && sending.earlier == 0;
        let segment_start = sending.started + super::from_units(u64::from(sending.earlier), self.clock_rate_hz);
        let header = source.next_header(segment_start, self.payload_type, marker, sending.timestamp);
        if segment_ends {
            // Section 2.5.1.3: the rest goes into a new segment, whose first packet is due at once.
            sending.timestamp = sending.timestamp.wrapping_add(MAX_SEGMENT);
            sending.earlier += MAX_SEGMENT;
        } else if end {
            sending.end_packets += 1;
            sending.due += INTERVAL;
        } else {
            sending.packets += 1;
            sending.due += INTERVAL;
        }
        if sending.end_packets < END_PACKETS {
            self.sending = Some(sending);
        } else {
            self.sending = None;
            self.ready_at = Some(sending.started + sending.key.duration + sending.key.gap.max(INTERVAL * 3));
        }
        header.write_packet(&event.to_bytes(), out).is_ok()
    }
}
