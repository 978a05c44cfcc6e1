//! RTCP (RFC 3550 section 6): what peers report, and what we do.

use std::net::SocketAddr;
use std::time::Instant;

use crate::io::{DropReason, PacketBuf};
use crate::media::demux::LegKey;
use crate::media::leg::{Destination, LegTransport};

use super::MediaShard;

impl MediaShard {
    pub(super) fn receive_rtcp(
        &mut self,
        now: Instant,
        key: LegKey,
        source: SocketAddr,
        packet: &mut PacketBuf<'_>,
    ) -> Result<Option<Destination>, DropReason> {
        let leg = self.legs.get_mut(key).ok_or(DropReason::UnknownSource)?;
        if let LegTransport::Plain(plain) = &leg.transport {
            plain.may_send_rtcp(source)?;
        }
        leg.transport.unprotect_rtcp(packet)?;
        match &mut leg.transport {
            LegTransport::Plain(plain) => plain.heard_rtcp(source),
            LegTransport::WebRtc(webrtc) => webrtc.last_heard = now,
        }
        Ok(None)
    }

    pub(super) fn schedule_report(&mut self, now: Instant, key: LegKey, first: bool) {
        let _ = (now, key, first);
    }

    pub(super) fn send_bye(&mut self, now: Instant, key: LegKey) {
        let _ = (now, key);
    }

    pub(super) fn write_report(
        &mut self,
        now: Instant,
        key: LegKey,
        out: &mut PacketBuf<'_>,
    ) -> Result<Option<Destination>, DropReason> {
        let _ = (now, key, out);
        Ok(None)
    }
}
