//! One direction of a call: how what one leg's peer sends reaches the other's.
//!
//! Same codec: packets pass through, and only headers change. Different codecs: through a jitter buffer, a decoder and
//! an encoder, on our own clock. Both number what they send with the far leg's one source, so that going from one to
//! the other, or to another far leg, is no jump for its peer.

use std::time::Instant;

use crate::codec::CodecKind;
use crate::io::{DropReason, PacketBuf};
use crate::rtp::header::FIXED_HEADER_LEN;
use crate::rtp::{DtmfRelay, RtpPacket};

use super::config::ShardConfig;
use super::leg::{Audio, Destination, Leg, PayloadKind};
use super::relay::Relay;
use super::transcoder::{Transcoder, TranscoderConfig};

/// G.711 packets up to this are passed through whatever packet time the far peer asked for: RFC 3551 section 4.2 has
/// 20 ms as the default that everybody takes.
const PTIME_EVERYBODY_TAKES_MS: usize = 20;
/// Packets in a row that could pass through before transcoding stops. A peer that changes its codec all the time gets
/// it transcoded all the time, rather than a new transcoder each time.
const PACKETS_BEFORE_PASSING: u32 = 50;

/// How what a leg's peer sends reaches the far leg. Decided anew when either leg's agreement changes.
#[derive(Default)]
pub(super) struct Inbound {
    relay: Option<Relay>,
    /// Passes on what the peer presses; none when the far peer takes no telephone events.
    pub(super) digits: Option<DtmfRelay>,
    transcoder: Option<Box<Transcoder>>,
    /// Packets in a row that could have passed through while transcoding.
    could_pass: u32,
}

/// What became of a packet.
pub(super) enum Forward {
    /// It stands ready, rewritten and protected, to be sent here.
    Now(Destination),
    /// It waits in the jitter buffer.
    Later,
}

impl Inbound {
    /// When the transcoder has its next samples to take.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.transcoder.as_ref()?.poll_timeout()
    }

    /// What the transcoder left out because it was asked too late.
    pub(super) fn missed_ms(&self) -> u64 {
        self.transcoder.as_ref().map_or(0, |transcoder| transcoder.stats().missed_ms)
    }
}

/// Decides how `near`'s audio reaches `far`.
pub(super) fn decide(near: &mut Leg, far: &mut Leg) {
    near.inbound = Inbound::default();
    near.concealed_before_ms = near.stats.concealed_ms;
    near.stats.jitter_buffer_ms = 0;
    far.stats.transcoding = false;
    let (Some(ours), Some(theirs)) = (&near.audio, &far.audio) else { return };
    near.inbound.relay = Some(relay(ours, theirs));
    near.inbound.digits =
        theirs.config.dtmf_send.map(|format| DtmfRelay::new(format.payload_type, format.clock_rate_hz));
}

fn relay(near: &Audio, far: &Audio) -> Relay {
    let format = far.config.format;
    let clock_rate_hz = format.codec.clock_rate_hz();
    let mut relay = Relay::new(clock_rate_hz);
    for accepted in near.config.accept.iter().filter(|accepted| accepted.codec == format.codec) {
        relay.map_payload_type(accepted.payload_type, format.payload_type);
    }
    if let (Some(from), Some(to), 8_000) = (near.config.comfort_noise, far.config.comfort_noise, clock_rate_hz) {
        relay.map_payload_type(from, to);
    }
    relay
}

/// Whether the far peer takes packets of this codec and length as they are.
fn passes_through(far: &Audio, codec: CodecKind, payload_len: usize) -> bool {
    let ptime_ms = usize::from(far.config.ptime_ms).max(PTIME_EVERYBODY_TAKES_MS);
    // An Opus decoder takes all lengths, whatever was asked for (RFC 7587 section 6.1).
    far.config.format.codec == codec && (codec == CodecKind::Opus || payload_len <= 8 * ptime_ms)
}

/// Takes a valid audio or comfort noise packet from `near`'s peer to `far`'s. `grid` is the origin of the 5 ms grid.
pub(super) fn forward(
    now: Instant,
    near: &mut Leg,
    far: &mut Leg,
    kind: PayloadKind,
    config: &ShardConfig,
    grid: Instant,
    packet: &mut PacketBuf<'_>,
) -> Result<Forward, DropReason> {
    let (Some(ours), Some(theirs)) = (&near.audio, &far.audio) else { return Err(DropReason::OutOfState) };
    if !theirs.config.send {
        return Err(DropReason::DirectionInactive);
    }
    let payload_len = packet.len().saturating_sub(FIXED_HEADER_LEN);
    let inbound = &mut near.inbound;
    if let PayloadKind::Audio(codec) = kind {
        let passes = passes_through(theirs, codec, payload_len);
        inbound.could_pass = if passes { inbound.could_pass + 1 } else { 0 };
        if !passes && inbound.transcoder.is_none() {
            inbound.transcoder = Some(Box::new(transcoder(ours, theirs, config, grid)?));
            far.stats.transcoding = true;
        } else if inbound.could_pass >= PACKETS_BEFORE_PASSING && inbound.transcoder.take().is_some() {
            far.stats.transcoding = false;
        }
    }
    if let Some(transcoder) = &mut inbound.transcoder {
        let parsed = RtpPacket::parse(packet.as_slice()).map_err(|_| DropReason::Malformed)?;
        transcoder.handle_rtp(now, &parsed)?;
        return Ok(Forward::Later);
    }
    if far.sends_digits() || far.transport.rtp_destination().is_none() {
        // What isn't sent is no loss: the relay begins anew afterwards.
        inbound.relay = Some(relay(ours, theirs));
        return Err(DropReason::OutOfState);
    }
    let relay = inbound.relay.as_mut().ok_or(DropReason::OutOfState)?;
    relay.handle_rtp(now, packet, &mut far.source)?;
    far.send_rtp(packet).map(Forward::Now)
}

fn transcoder(near: &Audio, far: &Audio, config: &ShardConfig, grid: Instant) -> Result<Transcoder, DropReason> {
    let config = TranscoderConfig {
        accept: &near.config.accept,
        comfort_noise: near.config.comfort_noise,
        send: far.config.format,
        ptime_ms: far.config.ptime_ms,
        opus: config.opus,
        jitter: config.jitter,
    };
    Transcoder::new(grid, &config).map_err(|_| DropReason::LimitReached)
}

/// Writes the next packet that is due, ready to be sent; none when nothing is due yet.
pub(super) fn play_out(
    now: Instant,
    near: &mut Leg,
    far: &mut Leg,
    out: &mut PacketBuf<'_>,
) -> Option<Result<Destination, DropReason>> {
    let transcoder = near.inbound.transcoder.as_mut()?;
    let may_send = far.audio.as_ref().is_some_and(|audio| audio.config.send);
    // A key goes instead of audio, whoever presses it (RFC 4733 section 2.2).
    let sends = may_send && !near.presses && !far.sends_digits() && far.transport.rtp_destination().is_some();
    transcoder.set_muted(!sends);
    let written = transcoder.poll_transmit(now, &mut far.source, out);
    let stats = transcoder.stats();
    near.stats.concealed_ms = near.concealed_before_ms + stats.concealed_ms;
    near.stats.jitter_buffer_ms = stats.depth_ms;
    written.then(|| far.send_rtp(out))
}
