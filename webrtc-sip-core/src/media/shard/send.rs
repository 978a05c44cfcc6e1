//! What we make ourselves: transcoded audio, DTMF, reports.

use std::time::Instant;

use crate::io::{DropReason, PacketBuf};
use crate::media::bridge;
use crate::media::demux::LegKey;
use crate::media::leg::Destination;

use super::{LegTimer, MediaShard};

impl MediaShard {
    /// Writes what is due for a leg; none when that is nothing.
    pub(super) fn write_due(
        &mut self,
        now: Instant,
        key: LegKey,
        timer: LegTimer,
        out: &mut PacketBuf<'_>,
    ) -> Result<Option<Destination>, DropReason> {
        match timer {
            LegTimer::Playout => self.play_out(now, key, out),
            LegTimer::Digit => self.write_digit(now, key, out),
            LegTimer::Report => self.write_report(now, key, out),
            LegTimer::Transport | LegTimer::Stats | LegTimer::Release => Ok(None),
        }
    }

    /// The next packet that the transcoder behind this leg makes for the far leg.
    fn play_out(
        &mut self,
        now: Instant,
        key: LegKey,
        out: &mut PacketBuf<'_>,
    ) -> Result<Option<Destination>, DropReason> {
        let Some(far) = self.legs.get(key).and_then(|leg| leg.far) else { return Ok(None) };
        let Some((near, far)) = self.legs.get2_mut(key, far) else { return Ok(None) };
        let missed_before_ms = near.inbound.missed_ms();
        let written = bridge::play_out(now, near, far, out);
        self.missed_ms += near.inbound.missed_ms() - missed_before_ms;
        match written {
            Some(result) => {
                // There may be more: a packet time is several steps of the grid.
                self.due.push_front((key, LegTimer::Playout));
                result.map(Some)
            }
            None => {
                self.schedule_playout(key);
                Ok(None)
            }
        }
    }

    /// Sets the deadline of the transcoder behind this leg, which lies on the grid.
    pub(super) fn schedule_playout(&mut self, key: LegKey) {
        let at = self.legs.get(key).and_then(|leg| leg.inbound.poll_timeout());
        // It is on the grid already, and most packets don't change it.
        if let Some(at) = at.filter(|at| self.timers.deadline(&(key, LegTimer::Playout)) != Some(*at)) {
            self.set_timer(key, LegTimer::Playout, at);
        }
    }
}
