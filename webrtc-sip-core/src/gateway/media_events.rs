//! What the media plane reports, and what it is told of an agreement.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::call::{CallPhase, EndReason, Side};
use crate::ids::{CallId, LegId};
use crate::media::{AudioConfig, DtmfDigit, LegStats, MediaCommand, MediaEvent, MediaFailure};

use super::Gateway;
use super::session::millis;

impl Gateway {
    pub(super) fn on_media_event(&mut self, now: Instant, event: MediaEvent) {
        match event {
            MediaEvent::Connected { leg } => {
                self.with_leg(leg, |this, call, side| {
                    this.with_call(now, call, |call| call.handle_media_connected(side));
                });
            }
            MediaEvent::Disconnected { leg } | MediaEvent::Closed { leg } => {
                self.with_leg(leg, |this, call, side| {
                    this.with_call(now, call, |call| call.handle_media_lost(now, side));
                });
            }
            MediaEvent::Failed { leg, reason } => {
                self.with_leg(leg, |this, call, side| this.on_media_failure(now, call, side, reason));
            }
            MediaEvent::FirstMedia { .. } => {}
            MediaEvent::MediaTimeout { leg } => {
                self.with_leg(leg, |this, call, side| this.on_silence(now, call, side));
            }
            MediaEvent::Dtmf { leg, digit, duration } => {
                self.with_leg(leg, |this, call, side| this.on_dtmf(call, side, digit, duration));
            }
            MediaEvent::Stats { leg, stats } => {
                self.with_leg(leg, |this, call, side| this.on_stats(call, side, stats));
            }
            MediaEvent::LegRemoved { leg, stats } => {
                self.with_leg(leg, |this, call, side| {
                    if let Some(entry) = this.calls.get_mut(&call) {
                        entry.leg_mut(side).stats = Some(stats);
                    }
                    this.leg_is_free(call, side);
                });
            }
            MediaEvent::Snapshot { request, snapshot, .. } => self.on_leg_snapshot(request, snapshot.map(|s| *s)),
        }
    }

    /// Reports about legs that are gone are of no use to anybody.
    fn with_leg(&mut self, leg: LegId, act: impl FnOnce(&mut Self, CallId, Side)) {
        if let Some((call, side)) = self.legs.get(&leg).copied() {
            act(self, call, side);
        }
    }

    fn on_media_failure(&mut self, now: Instant, call: CallId, side: Side, reason: MediaFailure) {
        self.counters.failed_ice += u64::from(reason == MediaFailure::IceFailed);
        let reason = match reason {
            MediaFailure::LimitReached => EndReason::TooMany,
            _ => EndReason::MediaFailed,
        };
        self.with_call(now, call, |call| call.handle_left(side, reason));
    }

    /// Nothing arrives from a side that may send. The far side is told; whether a SIP peer is still there, SIP finds
    /// out.
    fn on_silence(&mut self, now: Instant, call: CallId, side: Side) {
        for told in Side::BOTH {
            let about = if told == side { "local" } else { "remote" };
            self.notify_leg(call, told, "call.warning", json!({ "reason": "media_timeout", "side": about }));
        }
        self.probe_sip(now, call, side);
    }

    /// A key from one side, told to a browser on the other.
    pub(super) fn on_dtmf(&mut self, call: CallId, from: Side, digit: DtmfDigit, duration: Duration) {
        let params = json!({ "digit": digit.to_char(), "durationMs": millis(duration) });
        self.notify_leg(call, from.other(), "call.dtmf", params);
    }

    fn on_stats(&mut self, call: CallId, side: Side, stats: LegStats) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        let before = entry.leg_mut(side).stats.replace(stats).unwrap_or_default();
        if entry.call.phase() != CallPhase::Answered || entry.leg(side).browser().is_none() {
            return;
        }
        let far = entry.leg(side.other()).stats.unwrap_or_default();
        let params = json!({
            "roundTripMs": stats.round_trip_us.map(|us| us / 1000),
            "packetsLost": stats.packets_lost,
            "lossPercent": loss_percent(&before, &stats),
            "jitterMs": stats.jitter_us / 1000,
            "codec": stats.send_codec.map(|codec| codec.encoding_name()),
            "farCodec": far.send_codec.map(|codec| codec.encoding_name()),
            "transcoding": stats.transcoding,
            "farPacketsLost": far.packets_lost,
            "farJitterMs": far.jitter_us / 1000,
        });
        self.notify_leg(call, side, "call.stats", params);
    }

    // Agreements

    /// Tells the shard what a leg agreed on, with this side's own hold applied.
    pub(super) fn apply_audio(&mut self, call: CallId, side: Side) {
        let Some(entry) = self.calls.get(&call) else { return };
        let leg = entry.leg(side);
        let Some(mut audio) = leg.audio.clone() else { return };
        if leg.browser().is_some() && entry.call.is_held_by(side) {
            audio.send = false;
            audio.receive = false;
        }
        let command = MediaCommand::SetAudio { leg: leg.id, audio: Box::new(audio) };
        self.media_command(call, command);
        self.count_transcoding(call);
    }

    /// Joins the two legs, once.
    pub(super) fn bridge(&mut self, call: CallId) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        if !std::mem::replace(&mut entry.bridged, true) {
            self.join(call);
        }
    }

    pub(super) fn join(&mut self, call: CallId) {
        let Some(entry) = self.calls.get(&call) else { return };
        let [a, b] = Side::BOTH.map(|side| entry.leg(side).id);
        self.media_command(call, MediaCommand::Bridge { a, b });
        self.count_transcoding(call);
    }

    fn count_transcoding(&mut self, call: CallId) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        let codec = |side: Side| entry.leg(side).audio.as_ref().map(|audio: &AudioConfig| audio.format.codec);
        let (Some(a), Some(b)) = (codec(Side::Caller), codec(Side::Callee)) else { return };
        let transcodes = entry.bridged && a != b;
        if transcodes != entry.transcoding {
            entry.transcoding = transcodes;
            if transcodes { self.counters.transcoding.begin() } else { self.counters.transcoding.end() }
        }
    }
}

/// The share of packets lost between two reports, to a tenth; none when no packets were expected. One bad moment is
/// not to show for the rest of the call.
fn loss_percent(before: &LegStats, now: &LegStats) -> Option<f64> {
    // A packet that comes late is taken off the count of lost ones again.
    let lost = now.packets_lost.saturating_sub(before.packets_lost);
    let expected = lost + now.packets_received.saturating_sub(before.packets_received);
    (expected > 0).then(|| (1000.0 * lost as f64 / expected as f64).round() / 10.0)
}
