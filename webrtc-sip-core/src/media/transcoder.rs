//! One direction of a call whose legs speak different codecs (or packet times): jitter buffer, decoder, encoder.
//!
//! ```text
//! unprotect_rtp -> Transcoder::handle_rtp                       one copy into a preallocated slot
//! poll_timeout due -> Transcoder::poll_transmit(.., &mut out)   until it returns false; then protect_rtp -> socket
//! ```
//!
//! Once the first packet has come, a packet is made every packet time without a break: speech, what conceals lost
//! packets, comfort noise or silence. Deadlines lie on a 5 ms grid that the caller chooses, so that many transcoders
//! wake it together. The timestamps that are sent run on without regard to the sender's.
//!
//! While DTMF events go out instead of audio, keep polling, with [`Transcoder::set_muted`].

use std::fmt;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::codec::{
    self, CodecError, CodecKind, ComfortNoise, Decoder, Encoder, MAX_FRAME_SAMPLES, OpusSettings, SAMPLES_PER_MS,
};
use crate::io::{DropReason, PacketBuf};
use crate::rtp::header::FIXED_HEADER_LEN;
use crate::rtp::{OutgoingSource, RtpPacket};

use super::AudioFormat;
use super::jitter::{AudioPacket, JitterBuffer, JitterConfig, MAX_PAYLOAD, Next};
use super::pcm::{CHANGE, CHANGEABLE, PcmQueue};

/// Deadlines lie on multiples of this.
pub const GRID: Duration = Duration::from_millis(5);
/// Formats that a sender may use.
const MAX_FORMATS: usize = 16;
/// Longest packet that is made: 60 ms.
const MAX_PACKET_SAMPLES: usize = 60 * SAMPLES_PER_MS;
/// Longest Opus payload of a sender that makes a pause: nothing but a table of contents (RFC 7587 section 3.1.3).
const OPUS_PAUSE_LEN: usize = 2;
/// A worker that was held up for longer leaves out what it missed.
const MAX_CATCH_UP: Duration = Duration::from_millis(200);
/// Excess delay that is taken out where nobody hears it: 15 ms.
const EXCESS_QUIET: i64 = 120;
/// Excess delay that is taken out wherever it is: 60 ms.
const EXCESS_ANYWHERE: i64 = 480;
/// Missing delay that is put in where nobody hears it: 7.5 ms, before there is none left.
const SHORTFALL_QUIET: i64 = -60;

/// What a transcoder turns into what.
#[derive(Clone, Copy, Debug)]
pub struct TranscoderConfig<'a> {
    /// Formats that the sender may use; up to 16 count.
    pub accept: &'a [AudioFormat],
    /// Payload type of comfort noise (RFC 3389) that the sender may use.
    pub comfort_noise: Option<u8>,
    /// The format that is made.
    pub send: AudioFormat,
    /// Its packet time in milliseconds, 10 to 60 in steps of 10. Opus has no 30 and 50; the next shorter is made.
    pub ptime_ms: u8,
    /// How Opus is made.
    pub opus: OpusSettings,
    /// The jitter buffer's limits.
    pub jitter: JitterConfig,
}

/// Counters of a transcoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TranscoderStats {
    /// Made up for packets that were lost or late, in milliseconds.
    pub concealed_ms: u64,
    /// Packets that came after their time.
    pub late: u64,
    /// Packets left out to catch up, or pushed out of the jitter buffer.
    pub skipped: u64,
    /// Audio waiting, in milliseconds.
    pub depth_ms: u32,
    /// The delay that the jitter buffer aims at, in milliseconds.
    pub target_ms: u32,
    /// 10 ms pieces taken out to shorten the delay.
    pub shortened: u64,
    /// 10 ms pieces put in to lengthen the delay.
    pub lengthened: u64,
    /// Left out because the worker was held up, in milliseconds.
    pub missed_ms: u64,
}

/// Turns the audio packets of one leg into those of the other.
pub struct Transcoder {
    accept: SmallVec<[AudioFormat; MAX_FORMATS]>,
    comfort_noise: Option<u8>,
    jitter: JitterBuffer,
    decoders: Decoders,
    /// Whether the last thing handed out was comfort noise.
    noisy: bool,
    noise: ComfortNoise,
    pcm: PcmQueue,
    sending: Sending,
    /// When the next samples are taken; none before the first packet.
    due: Option<Instant>,
    grid: Instant,
    shortened: u64,
    lengthened: u64,
    missed_ms: u64,
}

/// What is sent.
struct Sending {
    encoder: Box<dyn Encoder>,
    payload_type: u8,
    /// Collected for the next packet.
    frame: [i16; MAX_PACKET_SAMPLES],
    collected: usize,
    packet_samples: usize,
    /// Taken at a time: 10 or 20 ms.
    step: usize,
    /// RTP timestamp of the next packet; none before the first.
    timestamp: Option<u32>,
    muted: bool,
    /// The next packet begins a talk spurt.
    marker: bool,
}

impl fmt::Debug for Transcoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcoder").field("accept", &self.accept).field("due", &self.due).finish_non_exhaustive()
    }
}

impl Transcoder {
    /// A transcoder at rest. `grid` is the origin of the caller's 5 ms grid.
    pub fn new(grid: Instant, config: &TranscoderConfig<'_>) -> Result<Self, CodecError> {
        let ptime_ms = match (config.send.codec, config.ptime_ms) {
            (CodecKind::Opus, 30) => 20,
            (CodecKind::Opus, 50) => 40,
            (_, ptime_ms @ (10 | 20 | 30 | 40 | 50 | 60)) => ptime_ms,
            _ => return Err(CodecError::FrameLength),
        };
        let packet_samples = usize::from(ptime_ms) * SAMPLES_PER_MS;
        let accept: SmallVec<[AudioFormat; MAX_FORMATS]> = config.accept.iter().copied().take(MAX_FORMATS).collect();
        let clock_rate_hz = accept.first().map_or(codec::SAMPLE_RATE_HZ, |format| format.codec.clock_rate_hz());
        let mut decoders = Decoders::default();
        for format in &accept {
            decoders.prepare(format.codec)?;
        }
        Ok(Transcoder {
            comfort_noise: config.comfort_noise,
            jitter: JitterBuffer::new(&config.jitter, clock_rate_hz),
            decoders,
            accept,
            noisy: false,
            noise: ComfortNoise::default(),
            pcm: PcmQueue::new(),
            sending: Sending {
                encoder: codec::encoder(config.send.codec, &config.opus)?,
                payload_type: config.send.payload_type,
                frame: [0; MAX_PACKET_SAMPLES],
                collected: 0,
                packet_samples,
                step: if packet_samples.is_multiple_of(20 * SAMPLES_PER_MS) { 20 } else { 10 } * SAMPLES_PER_MS,
                timestamp: None,
                muted: false,
                marker: true,
            },
            due: None,
            grid,
            shortened: 0,
            lengthened: 0,
            missed_ms: 0,
        })
    }

    /// Takes in an audio packet of the sender.
    pub fn handle_rtp(&mut self, now: Instant, packet: &RtpPacket<'_>) -> Result<(), DropReason> {
        let payload_type = packet.header.payload_type;
        let audio = if let Some(kind) = self.codec_of(payload_type) {
            let decoder = self.decoders.get(kind).ok_or(DropReason::UnknownPayloadType)?;
            let samples = decoder.sample_count(packet.payload).map_err(|_| DropReason::Malformed)?;
            self.jitter.set_clock_rate(kind.clock_rate_hz());
            let pause = kind == CodecKind::Opus && packet.payload.len() <= OPUS_PAUSE_LEN;
            AudioPacket { header: packet.header, payload: packet.payload, samples, pause }
        } else if self.comfort_noise == Some(payload_type) {
            AudioPacket { header: packet.header, payload: packet.payload, samples: 0, pause: true }
        } else {
            return Err(DropReason::UnknownPayloadType);
        };
        self.jitter.insert(now, &audio)?;
        if self.due.is_none() {
            self.due = Some(self.on_grid(now));
        }
        Ok(())
    }

    /// When the next samples are to be taken; on the grid.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Writes the next packet that is due into `out`, which needs 492 bytes, or returns false when nothing is due yet.
    pub fn poll_transmit(&mut self, now: Instant, source: &mut OutgoingSource, out: &mut PacketBuf<'_>) -> bool {
        while let Some(due) = self.due.filter(|due| *due <= now) {
            if now.saturating_duration_since(due) > MAX_CATCH_UP {
                self.catch_up(due, now);
                continue;
            }
            self.due = Some(due + Duration::from_millis((self.sending.step / SAMPLES_PER_MS) as u64));
            self.fill(due);
            let sending = &mut self.sending;
            let end = sending.collected + sending.step;
            self.pcm.take(&mut sending.frame[sending.collected..end]);
            sending.collected = end;
            if end >= sending.packet_samples && sending.finish(now, source, out) {
                return true;
            }
        }
        false
    }

    /// While muted the time goes on, but no packets are made.
    pub fn set_muted(&mut self, muted: bool) {
        self.sending.marker |= self.sending.muted && !muted;
        self.sending.muted = muted;
    }

    /// Its counters.
    pub fn stats(&self) -> TranscoderStats {
        let jitter = self.jitter.stats();
        TranscoderStats {
            concealed_ms: jitter.concealed_samples / SAMPLES_PER_MS as u64,
            late: jitter.late,
            skipped: jitter.skipped,
            depth_ms: self.jitter.depth_ms(),
            target_ms: self.jitter.target_ms(),
            shortened: self.shortened,
            lengthened: self.lengthened,
            missed_ms: self.missed_ms,
        }
    }

    fn codec_of(&self, payload_type: u8) -> Option<CodecKind> {
        self.accept.iter().find(|format| format.payload_type == payload_type).map(|format| format.codec)
    }

    /// The first point of the grid that isn't before `now`.
    fn on_grid(&self, now: Instant) -> Instant {
        let past = now.saturating_duration_since(self.grid).as_nanos() % GRID.as_nanos();
        if past == 0 { now } else { now + GRID - Duration::from_nanos(past as u64) }
    }

    /// Leaves out what could not be made in time, since `due`.
    fn catch_up(&mut self, due: Instant, now: Instant) {
        let next = self.on_grid(now);
        self.due = Some(next);
        self.missed_ms += next.saturating_duration_since(due).as_millis() as u64;
        self.pcm.clear();
        self.sending.collected = 0;
        self.sending.timestamp = None;
        self.sending.marker = true;
    }

    /// Decodes or makes up samples until there is a step of them.
    fn fill(&mut self, now: Instant) {
        while self.pcm.len() < self.sending.step {
            self.append(now);
        }
        let excess = self.jitter.excess(now, self.pcm.len());
        if (SHORTFALL_QUIET..=EXCESS_QUIET).contains(&excess) {
            return;
        }
        // Packets of 10 ms are too short for a change by themselves.
        if self.pcm.len() < CHANGEABLE {
            self.append(now);
        }
        if excess > EXCESS_ANYWHERE || (excess > 0 && self.pcm.is_quiet()) {
            self.pcm.shorten();
            self.shortened += 1;
            while self.pcm.len() < self.sending.step {
                self.append(now);
            }
        } else if excess < 0 && self.pcm.is_quiet() {
            self.pcm.lengthen();
            self.lengthened += 1;
        }
    }

    /// Appends what comes next, at least 2.5 ms.
    fn append(&mut self, now: Instant) {
        let Self { jitter, decoders, pcm, noise, .. } = self;
        match jitter.next(now) {
            Next::Packet { payload_type, payload } => {
                if let Some(format) = self.accept.iter().find(|format| format.payload_type == payload_type) {
                    self.noisy = false;
                    decoders.decode(format.codec, payload, pcm);
                } else {
                    self.noisy = true;
                    noise.update(payload);
                }
            }
            Next::Lost { samples, following } => {
                let following = following.and_then(|(payload_type, payload)| {
                    let format = self.accept.iter().find(|format| format.payload_type == payload_type)?;
                    Some((format.codec, payload))
                });
                decoders.conceal(samples, following, pcm);
            }
            Next::Starved => decoders.conceal(CHANGE, None, pcm),
            Next::Silence => decoders.pause(self.noisy, noise, pcm),
        }
    }
}

impl Sending {
    /// Makes a packet of what was collected; false when none is to be sent.
    fn finish(&mut self, now: Instant, source: &mut OutgoingSource, out: &mut PacketBuf<'_>) -> bool {
        let clock_rate_hz = self.encoder.kind().clock_rate_hz();
        let timestamp = self.timestamp.unwrap_or_else(|| source.next_timestamp(now, clock_rate_hz));
        let units = self.packet_samples as u32 * (clock_rate_hz / codec::SAMPLE_RATE_HZ);
        self.timestamp = Some(timestamp.wrapping_add(units));
        self.collected = 0;
        if self.muted {
            return false;
        }
        out.truncate(0);
        let room = out.tailroom().min(FIXED_HEADER_LEN + MAX_PAYLOAD);
        let Ok(bytes) = out.grow_back(room) else { return false };
        let Some((header, payload)) = bytes.split_at_mut_checked(FIXED_HEADER_LEN) else { return false };
        let Ok(len) = self.encoder.encode(&self.frame[..self.packet_samples], payload) else {
            out.truncate(0);
            return false;
        };
        let written = source.next_header(now, self.payload_type, self.marker, timestamp).to_bytes();
        header.copy_from_slice(&written);
        out.truncate(FIXED_HEADER_LEN + len);
        self.marker = false;
        true
    }
}

/// One decoder for each codec that the sender may use.
#[derive(Default)]
struct Decoders {
    opus: Option<Box<dyn Decoder>>,
    pcmu: Option<Box<dyn Decoder>>,
    pcma: Option<Box<dyn Decoder>>,
    /// The one used last.
    current: Option<CodecKind>,
}

impl Decoders {
    fn slot(&mut self, kind: CodecKind) -> &mut Option<Box<dyn Decoder>> {
        match kind {
            CodecKind::Opus => &mut self.opus,
            CodecKind::Pcmu => &mut self.pcmu,
            CodecKind::Pcma => &mut self.pcma,
        }
    }

    fn prepare(&mut self, kind: CodecKind) -> Result<(), CodecError> {
        let slot = self.slot(kind);
        if slot.is_none() {
            *slot = Some(codec::decoder(kind)?);
        }
        Ok(())
    }

    fn get(&mut self, kind: CodecKind) -> Option<&mut Box<dyn Decoder>> {
        self.slot(kind).as_mut()
    }

    fn decode(&mut self, kind: CodecKind, payload: &[u8], pcm: &mut PcmQueue) {
        self.current = Some(kind);
        let Some(decoder) = self.get(kind) else { return };
        let samples = decoder.sample_count(payload).unwrap_or(0);
        let decoded = pcm.append(samples, |room| decoder.decode(payload, room).unwrap_or(0));
        if decoded < samples {
            self.conceal(samples - decoded, None, pcm);
        }
    }

    /// Makes up samples, from the redundancy in the packet that follows where that is of the same codec.
    fn conceal(&mut self, samples: usize, following: Option<(CodecKind, &[u8])>, pcm: &mut PcmQueue) {
        let current = self.current;
        let decoder = current.and_then(|kind| self.get(kind));
        pcm.append(samples, |room| {
            match (decoder, following) {
                (Some(decoder), Some((kind, payload))) if current == Some(kind) => decoder.recover(payload, room),
                (Some(decoder), _) => decoder.conceal(room),
                (None, _) => room.fill(0),
            }
            samples.min(MAX_FRAME_SAMPLES)
        });
    }

    /// 10 ms of a pause: comfort noise, Opus's own, or silence.
    fn pause(&mut self, noisy: bool, noise: &mut ComfortNoise, pcm: &mut PcmQueue) {
        let opus = self.opus.as_mut().filter(|_| self.current == Some(CodecKind::Opus));
        pcm.append(CHANGE, |room| {
            match opus {
                _ if noisy => noise.generate(room),
                Some(opus) => opus.conceal(room),
                None => room.fill(0),
            }
            CHANGE
        });
    }
}

#[cfg(test)]
mod tests;
