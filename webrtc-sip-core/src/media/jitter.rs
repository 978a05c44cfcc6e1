//! The jitter buffer of one direction: audio packets wait until nearly all of those before them had time to arrive.
//!
//! Time is counted in samples at 8 kHz, on the sender's axis (timestamps) and on ours (arrivals). While it plays,
//! [`JitterBuffer::next`] is asked for what comes next whenever the caller has run out of samples:
//!
//! - a packet is there: it is handed out;
//! - a later one is there: what lies between is to be concealed, or was a pause of the sender;
//! - nothing is there: the caller conceals and the sender's time stands still, so the delay grows; packets that come
//!   after all are still played. After 100 ms it counts as a pause.
//!
//! After a pause the next packet waits for its playout time again. In between, [`JitterBuffer::excess`] tells by how much
//! the delay is off its target, also for a sender with a fast or slow clock; the caller shortens or lengthens the audio
//! where it is least heard.

use std::time::{Duration, Instant};

use crate::codec::{MAX_FRAME_SAMPLES, SAMPLES_PER_MS};
use crate::io::DropReason;
use crate::rtp::{Arrival, RtpHeader, SequenceTracker};

use super::delay::DelayEstimate;

/// Packets held at once.
pub const MAX_PACKETS: usize = 32;
/// Longest payload in bytes: G.711 of 60 ms, Opus at 64 kbit/s of 60 ms, and some.
pub const MAX_PAYLOAD: usize = 512;

/// Timestamps that are this much earlier than the clock says are a new count: 1 s.
const MAX_EARLY: i64 = 8_000;
/// The same for those that are later, which a stalled network makes too: 4 s.
const MAX_LATE: i64 = 32_000;
/// Longest gap that is concealed: 100 ms; a longer one is a pause.
const MAX_CONCEALED: i64 = 800;
/// How much is concealed at a time: 20 ms.
const CONCEALED_STEP: i64 = 160;
/// Gaps are rounded down to this: 2.5 ms, the shortest Opus frame.
const GAP_UNIT: i64 = 20;
/// How much later than its time playout may begin before older packets are skipped: 40 ms.
const MAX_START_DELAY: i64 = 320;

/// The delay that a jitter buffer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JitterConfig {
    /// At least.
    pub min_delay: Duration,
    /// Before anything is known.
    pub initial_delay: Duration,
    /// At most; later packets are lost.
    pub max_delay: Duration,
}

impl Default for JitterConfig {
    fn default() -> Self {
        JitterConfig {
            min_delay: Duration::from_millis(20),
            initial_delay: Duration::from_millis(40),
            max_delay: Duration::from_millis(200),
        }
    }
}

/// A packet to be put in.
#[derive(Clone, Copy, Debug)]
pub struct AudioPacket<'a> {
    /// Its RTP header.
    pub header: RtpHeader,
    /// Its payload.
    pub payload: &'a [u8],
    /// Samples at 8 kHz that it decodes to; 0 for comfort noise.
    pub samples: usize,
    /// Whether a pause of the sender may follow: comfort noise, or Opus in discontinuous transmission.
    pub pause: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// This packet.
    Packet {
        /// Its payload type.
        payload_type: u8,
        /// Its payload.
        payload: &'a [u8],
    },
    /// Nothing came for this time, but something did for a later one.
    Lost {
        /// To be concealed, at 8 kHz: a multiple of 20.
        samples: usize,
        /// Payload type and payload of the packet that follows immediately, whose redundancy may help.
        following: Option<(u8, &'a [u8])>,
    },
    /// Nothing is there although the sender was talking: to be concealed, 10 ms.
    Starved,
    /// The sender makes a pause, or hasn't begun.
    Silence,
}

/// Counters of a jitter buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterStats {
    /// Samples at 8 kHz that had to be concealed.
    pub concealed_samples: u64,
    /// Packets that came after their time.
    pub late: u64,
    /// Packets pushed out by newer ones, or skipped to catch up.
    pub skipped: u64,
}

/// Audio packets of one source in order.
#[derive(Debug)]
pub struct JitterBuffer {
    /// `MAX_PACKETS` slots of `MAX_PAYLOAD` bytes.
    payloads: Box<[u8]>,
    /// Bit set: the slot is free.
    free: u32,
    /// In the order of their sequence numbers; never grows beyond its capacity.
    entries: Vec<Entry>,
    timeline: Option<Timeline>,
    delay: DelayEstimate,
    /// RTP clock units in a sample at 8 kHz.
    clock_divisor: u32,
    /// Our time zero.
    epoch: Option<Instant>,
    playout: Playout,
    /// The packet handed out last; 0 before the first.
    handed_out: u64,
    stats: JitterStats,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    sequence: u64,
    /// On the sender's axis.
    timestamp: i64,
    samples: i64,
    payload_type: u8,
    pause: bool,
    slot: u8,
    len: u16,
}

/// The sender's axis.
#[derive(Debug)]
struct Timeline {
    ssrc: u32,
    tracker: SequenceTracker,
    /// Newest RTP timestamp, and the same extended.
    newest: (u32, i64),
}

#[derive(Clone, Copy, Debug)]
enum Playout {
    /// Waits for the first packet's time, or for the end of a pause.
    Waiting,
    Playing(Playing),
}

#[derive(Clone, Copy, Debug)]
struct Playing {
    /// The sender's time up to which everything was handed out.
    position: i64,
    /// A pause may follow the packet handed out last.
    pause: bool,
    /// Samples concealed while nothing was there. If the packets for them turn out to be lost, they are done already.
    starved: i64,
}

impl JitterBuffer {
    /// An empty buffer for a source with this RTP clock.
    pub fn new(config: &JitterConfig, clock_rate_hz: u32) -> Self {
        let samples = |duration: Duration| duration.as_millis().min(1_000) as i64 * SAMPLES_PER_MS as i64;
        JitterBuffer {
            payloads: vec![0; MAX_PACKETS * MAX_PAYLOAD].into_boxed_slice(),
            free: u32::MAX,
            entries: Vec::with_capacity(MAX_PACKETS),
            timeline: None,
            delay: DelayEstimate::new(
                samples(config.min_delay),
                samples(config.initial_delay),
                samples(config.max_delay),
            ),
            clock_divisor: clock_divisor(clock_rate_hz),
            epoch: None,
            playout: Playout::Waiting,
            handed_out: 0,
            stats: JitterStats::default(),
        }
    }

    /// Forgets all packets and goes on with a source of another RTP clock.
    pub fn set_clock_rate(&mut self, clock_rate_hz: u32) {
        if self.clock_divisor != clock_divisor(clock_rate_hz) {
            self.clock_divisor = clock_divisor(clock_rate_hz);
            self.clear();
        }
    }

    /// Forgets all packets; what was learned of the network's jitter stays.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.free = u32::MAX;
        self.timeline = None;
        self.delay.forget_transit();
        self.playout = Playout::Waiting;
        self.handed_out = 0;
    }

    /// Puts a packet in, or says why not.
    pub fn insert(&mut self, now: Instant, packet: &AudioPacket<'_>) -> Result<(), DropReason> {
        if packet.payload.len() > MAX_PAYLOAD || packet.samples > MAX_FRAME_SAMPLES {
            return Err(DropReason::LimitReached);
        }
        let now = self.clock(now);
        let (sequence, timestamp) = self.place(now, &packet.header)?;
        let Err(index) = self.entries.binary_search_by_key(&sequence, |entry| entry.sequence) else {
            return Err(DropReason::Replayed);
        };
        self.delay.packet(now, now - timestamp);
        if sequence == self.handed_out {
            return Err(DropReason::Replayed);
        }
        let end = timestamp + packet.samples as i64;
        let passed = matches!(self.playout, Playout::Playing(playing) if packet.samples > 0 && end <= playing.position);
        if sequence < self.handed_out || passed {
            self.stats.late += 1;
            return Err(DropReason::TooLate);
        }
        let index = self.make_room(index);
        let slot = self.free.trailing_zeros() as u8;
        self.free &= !(1 << slot);
        let at = usize::from(slot) * MAX_PAYLOAD;
        self.payloads[at..at + packet.payload.len()].copy_from_slice(packet.payload);
        self.entries.insert(
            index,
            Entry {
                sequence,
                timestamp,
                samples: packet.samples as i64,
                payload_type: packet.header.payload_type,
                pause: packet.pause,
                slot,
                len: packet.payload.len() as u16,
            },
        );
        Ok(())
    }

    /// What comes next, to be asked whenever more samples are needed.
    pub fn next(&mut self, now: Instant) -> Next<'_> {
        let now = self.clock(now);
        match self.playout {
            Playout::Waiting => self.start(now),
            Playout::Playing(playing) => self.play(now, playing),
        }
    }

    /// By how many samples at 8 kHz the delay is longer than its target, when `queued` samples were handed out and not
    /// played yet; 0 in a pause.
    pub fn excess(&mut self, now: Instant, queued: usize) -> i64 {
        let now = self.clock(now);
        match (self.playout, self.delay.least()) {
            (Playout::Playing(playing), Some(least)) => {
                now - (playing.position - queued as i64) - least - self.delay.target()
            }
            _ => 0,
        }
    }

    /// How much audio is waiting, in milliseconds.
    pub fn depth_ms(&self) -> u32 {
        let samples: i64 = self.entries.iter().map(|entry| entry.samples).sum();
        samples as u32 / SAMPLES_PER_MS as u32
    }

    /// The delay that is aimed at, in milliseconds.
    pub fn target_ms(&self) -> u32 {
        self.delay.target() as u32 / SAMPLES_PER_MS as u32
    }

    /// Its counters.
    pub fn stats(&self) -> JitterStats {
        self.stats
    }

    /// Our time in samples since the first packet. Never negative and far from any limit.
    fn clock(&mut self, now: Instant) -> i64 {
        let epoch = *self.epoch.get_or_insert(now);
        let micros = now.saturating_duration_since(epoch).as_micros() as i64;
        micros * SAMPLES_PER_MS as i64 / 1_000
    }

    /// Extended sequence number, and timestamp on the sender's axis.
    fn place(&mut self, now: i64, header: &RtpHeader) -> Result<(u64, i64), DropReason> {
        if self.timeline.as_ref().is_none_or(|timeline| timeline.ssrc != header.ssrc) {
            self.clear();
        }
        let timeline = self.timeline.get_or_insert_with(|| Timeline {
            ssrc: header.ssrc,
            tracker: SequenceTracker::default(),
            newest: (header.timestamp, 0),
        });
        let newest_before = timeline.tracker.highest();
        let (sequence, started) = match timeline.tracker.update(header.sequence) {
            Arrival::Started(sequence) => (sequence, newest_before != 0),
            Arrival::Ahead(sequence) | Arrival::Behind(sequence) => (sequence, false),
            Arrival::Suspect => return Err(DropReason::OutOfState),
        };
        let divisor = i64::from(self.clock_divisor);
        let step = i64::from(header.timestamp.wrapping_sub(timeline.newest.0) as i32);
        let mut extended = timeline.newest.1 + step;
        if let Some(least) = self.delay.least() {
            let lateness = now - extended.div_euclid(divisor) - least;
            let jumped = !(-MAX_EARLY..MAX_LATE).contains(&lateness);
            if jumped && sequence <= newest_before {
                return Err(DropReason::TooLate);
            }
            if jumped || started {
                // Take the packet for one without delay, so that the axis goes on.
                extended = (now - least) * divisor;
            }
        }
        if sequence > newest_before {
            timeline.newest = (header.timestamp, extended);
        }
        Ok((sequence, extended.div_euclid(divisor)))
    }

    /// Frees a slot for an entry at `index`, by giving up the oldest packet, and returns where the entry goes now.
    fn make_room(&mut self, index: usize) -> usize {
        if self.entries.len() < MAX_PACKETS {
            return index;
        }
        self.stats.skipped += 1;
        self.release(0);
        index.saturating_sub(1)
    }

    fn release(&mut self, index: usize) -> Entry {
        let entry = self.entries.remove(index);
        self.free |= 1 << entry.slot;
        entry
    }

    /// Waiting: is it the first packet's time?
    fn start(&mut self, now: i64) -> Next<'_> {
        let Some(least) = self.delay.least() else { return Next::Silence };
        let delay = least + self.delay.target();
        let due = |entry: &Entry| entry.timestamp + delay;
        if self.entries.first().is_none_or(|first| due(first) > now) {
            return Next::Silence;
        }
        // After a stall there may be more than fits the delay: catch up at once, while nothing is heard anyway.
        while self.entries.get(1).is_some_and(|second| now - due(second) > MAX_START_DELAY) {
            self.stats.skipped += 1;
            self.release(0);
        }
        self.hand_out()
    }

    fn play(&mut self, now: i64, mut playing: Playing) -> Next<'_> {
        let Some(first) = self.entries.first().copied() else { return self.starve(playing) };
        let mut gap = first.timestamp - playing.position;
        if gap >= GAP_UNIT && first.sequence == self.handed_out + 1 {
            // Nothing is missing: the sender made a pause.
            self.playout = Playout::Waiting;
            return self.start(now);
        }
        let done = gap.min(playing.starved).max(0);
        gap = (gap - done) / GAP_UNIT * GAP_UNIT;
        if gap <= 0 {
            return self.hand_out();
        }
        if gap > MAX_CONCEALED {
            self.playout = Playout::Waiting;
            return self.start(now);
        }
        let adjacent = gap <= first.samples;
        let samples = if adjacent { gap } else { gap.min(CONCEALED_STEP) };
        playing.position += done + samples;
        playing.starved -= done;
        self.playout = Playout::Playing(playing);
        self.stats.concealed_samples += samples as u64;
        let following = adjacent.then(|| (first.payload_type, self.payload(&first)));
        Next::Lost { samples: samples as usize, following }
    }

    fn starve(&mut self, mut playing: Playing) -> Next<'_> {
        if playing.pause || playing.starved >= MAX_CONCEALED {
            self.playout = Playout::Waiting;
            return Next::Silence;
        }
        playing.starved += 10 * SAMPLES_PER_MS as i64;
        self.playout = Playout::Playing(playing);
        self.stats.concealed_samples += 10 * SAMPLES_PER_MS as u64;
        Next::Starved
    }

    /// Hands out the first packet.
    fn hand_out(&mut self) -> Next<'_> {
        let entry = self.release(0);
        self.handed_out = entry.sequence;
        let position = entry.timestamp + entry.samples;
        self.playout = Playout::Playing(Playing { position, pause: entry.pause, starved: 0 });
        Next::Packet { payload_type: entry.payload_type, payload: self.payload(&entry) }
    }

    fn payload(&self, entry: &Entry) -> &[u8] {
        let at = usize::from(entry.slot) * MAX_PAYLOAD;
        &self.payloads[at..at + usize::from(entry.len)]
    }
}

fn clock_divisor(clock_rate_hz: u32) -> u32 {
    (clock_rate_hz / crate::codec::SAMPLE_RATE_HZ).max(1)
}

#[cfg(test)]
mod tests;
