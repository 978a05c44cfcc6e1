//! RTCP (RFC 3550 section 6): what peers report, and what we do. Reports end here; each leg has its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::io::{DropReason, PacketBuf};
use crate::media::demux::LegKey;
use crate::media::leg::{Destination, Leg, LegTransport};
use crate::rtp::rtcp::{self, NtpClock, RtcpWriter};

use super::{LegTimer, MediaShard};

/// RFC 3550 section 6.2.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// Two parties need no more than the minimum, which is drawn between half and one and a half times that, divided by
/// e - 3/2 (RFC 3550 section 6.3.1).
const COMPENSATION: f64 = std::f64::consts::E - 1.5;
/// Room for a report with CNAME, BYE and authentication.
const REPORT_BYTES: usize = 512;

impl MediaShard {
    pub(super) fn receive_rtcp(
        &mut self,
        now: Instant,
        key: LegKey,
        source: SocketAddr,
        packet: &mut PacketBuf<'_>,
    ) -> Result<Option<Destination>, DropReason> {
        let clock = self.ntp;
        let leg = self.legs.get_mut(key).ok_or(DropReason::UnknownSource)?;
        if let LegTransport::Plain(plain) = &leg.transport {
            plain.may_send_rtcp(source)?;
        }
        leg.transport.unprotect_rtcp(packet)?;
        let report = rtcp::parse(packet.as_slice()).map_err(|_| DropReason::Malformed)?;
        match &mut leg.transport {
            LegTransport::Plain(plain) => plain.heard_rtcp(source),
            LegTransport::WebRtc(webrtc) => webrtc.last_heard = now,
        }
        if let (Some(ssrc), Some(info)) = (report.ssrc, report.sender_info) {
            leg.received.sender_report(now, ssrc, &info);
        }
        for block in report.blocks.iter().filter(|block| block.ssrc == leg.source.ssrc()) {
            leg.sent.report(now, &clock, block);
        }
        Ok(None)
    }

    /// Sets when a leg reports next; the first time comes after half of that (RFC 3550 section 6.2).
    pub(super) fn schedule_report(&mut self, now: Instant, key: LegKey, first: bool) {
        let drawn = 0.5 + self.rng.below(1_000) as f64 / 1_000.0;
        let interval = REPORT_INTERVAL.mul_f64(drawn / COMPENSATION);
        self.set_timer(key, LegTimer::Report, now + if first { interval / 2 } else { interval });
    }

    /// The report that is due; none while there is nothing to report, or nowhere to send it.
    pub(super) fn write_report(
        &mut self,
        now: Instant,
        key: LegKey,
        out: &mut PacketBuf<'_>,
    ) -> Result<Option<Destination>, DropReason> {
        self.schedule_report(now, key, false);
        let clock = self.ntp;
        let Some(leg) = self.legs.get_mut(key) else { return Ok(None) };
        leg.write_report(now, &clock, false, out)
    }

    /// Says that our source ends (RFC 3550 section 6.3.7), if anybody heard of it.
    pub(super) fn send_bye(&mut self, now: Instant, key: LegKey) {
        let clock = self.ntp;
        let mut storage = [0; REPORT_BYTES];
        let mut out = PacketBuf::empty(&mut storage, 0);
        let Some(leg) = self.legs.get_mut(key) else { return };
        if let Ok(Some(destination)) = leg.write_report(now, &clock, true, &mut out) {
            let datagram = out.as_slice().to_vec();
            self.queue_datagram(destination, datagram);
        }
    }
}

impl Leg {
    fn write_report(
        &mut self,
        now: Instant,
        clock: &NtpClock,
        bye: bool,
        out: &mut PacketBuf<'_>,
    ) -> Result<Option<Destination>, DropReason> {
        if self.transport.rtp_destination().is_none() {
            return Ok(None);
        }
        let timestamp = self.source.timestamp_at(now, self.send_clock_rate_hz());
        let sender_info = self.sent.sender_info(now, clock, timestamp);
        let block = self.received.report_block(now);
        if sender_info.is_none() && block.is_none() {
            return Ok(None);
        }
        let writer =
            RtcpWriter { ssrc: self.source.ssrc(), cname: &self.cname, sender_info, blocks: block.as_slice(), bye };
        writer.write(out).map_err(|_| DropReason::NoRoom)?;
        self.transport.send_rtcp(out).map(Some)
    }
}
