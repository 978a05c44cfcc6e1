//! DTMF (RFC 4733): what peers press, and what we press.

use std::time::{Duration, Instant};

use crate::io::{DropReason, PacketBuf};
use crate::media::DtmfDigit;
use crate::media::demux::LegKey;
use crate::media::leg::Destination;
use crate::rtp::RtpHeader;

use super::MediaShard;

impl MediaShard {
    pub(super) fn write_digit(
        &mut self,
        now: Instant,
        key: LegKey,
        out: &mut PacketBuf<'_>,
    ) -> Result<Option<Destination>, DropReason> {
        let _ = (now, key, out);
        Ok(None)
    }

    pub(super) fn relay_digit(
        &mut self,
        now: Instant,
        key: LegKey,
        header: &RtpHeader,
        clock_rate_hz: u32,
        packet: &mut PacketBuf<'_>,
    ) -> Result<Option<Destination>, DropReason> {
        let _ = (now, key, header, clock_rate_hz, packet);
        Ok(None)
    }

    pub(super) fn send_digits(
        &mut self,
        now: Instant,
        key: LegKey,
        digits: &[DtmfDigit],
        duration: Duration,
        gap: Duration,
    ) {
        let _ = (now, key, digits, duration, gap);
    }
}
