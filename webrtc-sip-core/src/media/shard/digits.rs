//! DTMF (RFC 4733): what peers press is reported and passed on; what we are told to press is sent.

use std::time::{Duration, Instant};

use crate::io::{DropReason, PacketBuf};
use crate::media::demux::LegKey;
use crate::media::leg::{Destination, Leg};
use crate::media::{DtmfDigit, MediaEvent};
use crate::rtp::DtmfSender;
use crate::rtp::dtmf::DtmfChange;
use crate::rtp::{RtpHeader, RtpPacket};

use super::{LegTimer, MediaShard};

impl MediaShard {
    /// A telephone-event packet of this leg's peer: takes note of it, and passes it on under the far leg's payload
    /// type and clock.
    pub(super) fn relay_digit(
        &mut self,
        now: Instant,
        key: LegKey,
        header: &RtpHeader,
        clock_rate_hz: u32,
        packet: &mut PacketBuf<'_>,
    ) -> Result<Option<Destination>, DropReason> {
        let Some(leg) = self.legs.get_mut(key) else { return Err(DropReason::OutOfState) };
        let payload = RtpPacket::parse(packet.as_slice()).map_err(|_| DropReason::Malformed)?.payload;
        match leg.digits_heard.handle_packet(now, header, payload, clock_rate_hz) {
            // Other events than keys (flash, fax tones) aren't reported, but they are passed on.
            Ok(()) | Err(DropReason::UnknownPayloadType) => {}
            Err(reason) => return Err(reason),
        }
        let far = leg.far;
        self.report_digits(key);
        let far = far.ok_or(DropReason::OutOfState)?;
        let Some((near, far)) = self.legs.get2_mut(key, far) else { return Err(DropReason::OutOfState) };
        if !far.audio.as_ref().is_some_and(|audio| audio.config.send) {
            return Err(DropReason::DirectionInactive);
        }
        let relay = near.inbound.digits.as_mut().ok_or(DropReason::UnknownPayloadType)?;
        if far.sends_digits() || far.transport.rtp_destination().is_none() {
            return Err(DropReason::OutOfState);
        }
        relay.handle_packet(now, packet, clock_rate_hz, &mut far.source)?;
        far.send_rtp(packet).map(Some)
    }

    /// Tells the control plane of keys that were released, and when one is to count as released.
    fn report_digits(&mut self, key: LegKey) {
        while let Some(leg) = self.legs.get_mut(key) {
            let id = leg.id;
            match leg.digits_heard.poll_change() {
                Some(DtmfChange::Pressed { .. }) => leg.presses = true,
                Some(DtmfChange::Released { event, duration }) => {
                    leg.presses = false;
                    if let Some(digit) = DtmfDigit::from_event(event) {
                        self.emit(MediaEvent::Dtmf { leg: id, digit, duration });
                    }
                }
                None => {
                    match leg.digits_heard.poll_timeout() {
                        Some(at) => self.set_timer(key, LegTimer::Release, at),
                        None => drop(self.timers.cancel(&(key, LegTimer::Release))),
                    }
                    return;
                }
            }
        }
    }

    /// A key whose end was lost is released by the clock.
    pub(super) fn release_digit(&mut self, now: Instant, key: LegKey) {
        if let Some(leg) = self.legs.get_mut(key) {
            leg.digits_heard.handle_timeout(now);
            self.report_digits(key);
        }
    }

    /// Queues keys to be sent to the leg's peer. Without a negotiated telephone-event format there is no way to.
    pub(super) fn send_digits(
        &mut self,
        now: Instant,
        key: LegKey,
        digits: &[DtmfDigit],
        duration: Duration,
        gap: Duration,
    ) {
        let Some(leg) = self.legs.get_mut(key) else { return };
        let format = leg.audio.as_ref().and_then(|audio| audio.config.dtmf_send);
        for digit in digits {
            let sender = match (&mut leg.digits, format) {
                (Some(sender), _) => sender,
                (empty, Some(format)) => empty.insert(DtmfSender::new(format.payload_type, format.clock_rate_hz)),
                (None, None) => {
                    self.drops.count(DropReason::OutOfState);
                    continue;
                }
            };
            if !sender.press(now, digit.event(), duration, gap) {
                self.drops.count(DropReason::LimitReached);
            }
        }
        self.schedule_digit(key);
    }

    fn schedule_digit(&mut self, key: LegKey) {
        let at = self.legs.get(key).and_then(|leg| leg.digits.as_ref()?.poll_timeout());
        if let Some(at) = at {
            self.set_timer(key, LegTimer::Digit, at);
        }
    }

    /// The next packet of a key that we press.
    pub(super) fn write_digit(
        &mut self,
        now: Instant,
        key: LegKey,
        out: &mut PacketBuf<'_>,
    ) -> Result<Option<Destination>, DropReason> {
        let Some(leg) = self.legs.get_mut(key) else { return Ok(None) };
        let result = leg.write_digit(now, out);
        self.schedule_digit(key);
        result
    }
}

impl Leg {
    fn write_digit(&mut self, now: Instant, out: &mut PacketBuf<'_>) -> Result<Option<Destination>, DropReason> {
        let Some(sender) = &mut self.digits else { return Ok(None) };
        if !sender.poll_transmit(now, &mut self.source, out) {
            return Ok(None);
        }
        if !self.audio.as_ref().is_some_and(|audio| audio.config.send) {
            return Err(DropReason::DirectionInactive);
        }
        self.send_rtp(out).map(Some)
    }
}
