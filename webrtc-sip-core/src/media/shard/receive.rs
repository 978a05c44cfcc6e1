//! What arrives from the network.

use std::net::SocketAddr;
use std::time::Instant;

use crate::io::{DropReason, PacketBuf, SocketId};
use crate::media::MediaEvent;
use crate::media::bridge::{self, Forward};
use crate::media::demux::{Candidates, LegKey, SocketUse};
use crate::media::leg::{Destination, Leg, LegTransport, PayloadKind};
use crate::rtp::{RtpHeader, RtpPacket, is_rtcp};
use crate::stun::peek;
use crate::transport::webrtc::{PacketKind, Route};

use super::MediaShard;

type Forwarded = Result<Option<Destination>, DropReason>;

impl MediaShard {
    pub(super) fn receive(
        &mut self,
        now: Instant,
        socket: SocketId,
        source: SocketAddr,
        packet: &mut PacketBuf<'_>,
    ) -> Forwarded {
        match self.demux.socket_use(socket).ok_or(DropReason::UnknownSource)? {
            SocketUse::WebRtc(candidates) => self.receive_webrtc(now, socket, candidates, source, packet),
            SocketUse::Rtp(key) => self.receive_rtp(now, key, (socket, source), packet),
            SocketUse::Muxed(key) if !is_rtcp(packet.as_slice()) => {
                self.receive_rtp(now, key, (socket, source), packet)
            }
            SocketUse::Rtcp(key) | SocketUse::Muxed(key) => self.receive_rtcp(now, key, source, packet),
        }
    }

    fn receive_webrtc(
        &mut self,
        now: Instant,
        socket: SocketId,
        candidates: Candidates,
        source: SocketAddr,
        packet: &mut PacketBuf<'_>,
    ) -> Forwarded {
        let kind = PacketKind::of(packet.as_slice()).ok_or(DropReason::NotRecognised)?;
        let known = self.demux.leg_of_source(socket, source).ok_or(DropReason::UnknownSource);
        match kind {
            PacketKind::Rtp => return self.receive_rtp(now, known?, (socket, source), packet),
            PacketKind::Rtcp => return self.receive_rtcp(now, known?, source, packet),
            PacketKind::Stun | PacketKind::Dtls => {}
        }
        let key = if kind == PacketKind::Dtls { known? } else { self.leg_of_stun(packet.as_slice(), known)? };
        let local = candidates.towards(source).ok_or(DropReason::UnknownSource)?;
        let route = Route { local, remote: source };
        let Some(Leg { transport: LegTransport::WebRtc(leg), .. }) = self.legs.get_mut(key) else {
            return Err(DropReason::UnknownSource);
        };
        let result = if kind == PacketKind::Dtls {
            leg.transport.handle_dtls(now, route, packet.as_slice())
        } else {
            let result = leg.transport.handle_stun(now, route, packet.as_slice());
            if result.is_ok() {
                leg.last_heard = now;
            }
            result
        };
        self.sync_webrtc(now, key);
        result.map(|()| None)
    }

    fn leg_of_stun(&self, packet: &[u8], known: Result<LegKey, DropReason>) -> Result<LegKey, DropReason> {
        match peek::target(packet).ok_or(DropReason::NotRecognised)? {
            peek::Target::Request { local_ufrag } => self.demux.leg_of_ufrag(local_ufrag),
            peek::Target::Response { transaction } => self.demux.leg_of_transaction(&transaction).or(known.ok()),
        }
        .ok_or(DropReason::UnknownSource)
    }

    fn receive_rtp(&mut self, now: Instant, key: LegKey, source: Destination, packet: &mut PacketBuf<'_>) -> Forwarded {
        let leg = self.legs.get_mut(key).ok_or(DropReason::UnknownSource)?;
        let was_heard = leg.heard;
        let taken = leg.take_in(now, source.1, packet);
        self.rtp_packets += u64::from(taken.is_ok());
        let id = leg.id;
        if leg.heard && !was_heard {
            self.emit(MediaEvent::FirstMedia { leg: id });
        }
        if taken.is_ok() {
            self.follow_media(key, source);
        }
        let result = taken.and_then(|(header, kind)| self.forward(now, key, &header, kind, packet));
        if result.is_err()
            && let Some(leg) = self.legs.get_mut(key)
        {
            leg.stats.dropped += 1;
        }
        result
    }

    /// Sends media to where the browser's comes from, as far as its transport allows.
    fn follow_media(&mut self, key: LegKey, (socket, source): Destination) {
        let Some(Leg { transport: LegTransport::WebRtc(leg), .. }) = self.legs.get_mut(key) else { return };
        if leg.media_route == Some((socket, source)) {
            return;
        }
        let Some(SocketUse::WebRtc(candidates)) = self.demux.socket_use(socket) else { return };
        let Some(local) = candidates.towards(source) else { return };
        if leg.transport.heard_media(Route { local, remote: source }) {
            leg.media_route = leg.transport.media_route().and_then(|route| self.demux.resolve(route));
        }
    }

    fn forward(
        &mut self,
        now: Instant,
        key: LegKey,
        header: &RtpHeader,
        kind: PayloadKind,
        packet: &mut PacketBuf<'_>,
    ) -> Forwarded {
        if let PayloadKind::Dtmf(clock_rate_hz) = kind {
            return self.relay_digit(now, key, header, clock_rate_hz, packet);
        }
        let far_key = self.legs.get(key).and_then(|leg| leg.far).ok_or(DropReason::OutOfState)?;
        let Some((near, far)) = self.legs.get2_mut(key, far_key) else { return Err(DropReason::OutOfState) };
        match bridge::forward(now, near, far, kind, &self.config, self.origin, packet)? {
            Forward::Now(destination) => Ok(Some(destination)),
            Forward::Later => {
                self.schedule_playout(key);
                Ok(None)
            }
        }
    }
}

impl Leg {
    /// Authenticates, decrypts and checks an RTP packet, and counts it.
    fn take_in(
        &mut self,
        now: Instant,
        source: SocketAddr,
        packet: &mut PacketBuf<'_>,
    ) -> Result<(RtpHeader, PayloadKind), DropReason> {
        if let LegTransport::Plain(plain) = &self.transport {
            plain.may_send_rtp(now, source)?;
        }
        self.transport.unprotect_rtp(packet)?;
        let parsed = RtpPacket::parse(packet.as_slice()).map_err(|_| DropReason::Malformed)?;
        let (header, payload_len) = (parsed.header, parsed.payload.len());
        let audio = self.audio.as_ref().ok_or(DropReason::OutOfState)?;
        let kind = audio.kind_of(header.payload_type).ok_or(DropReason::UnknownPayloadType)?;
        match &mut self.transport {
            LegTransport::Plain(plain) => plain.heard_rtp(now, source),
            LegTransport::WebRtc(webrtc) => webrtc.last_heard = now,
        }
        let clock_rate_hz = match kind {
            PayloadKind::Audio(codec) => {
                self.stats.receive_codec = Some(codec);
                codec.clock_rate_hz()
            }
            PayloadKind::ComfortNoise => 8_000,
            PayloadKind::Dtmf(clock_rate_hz) => clock_rate_hz,
        };
        let may_receive = audio.config.receive;
        self.received.packet(now, &header, payload_len, clock_rate_hz);
        // What a peer sends while it is held was received all the same, and is no loss (RFC 3550 section 6.4.1).
        if !may_receive {
            return Err(DropReason::DirectionInactive);
        }
        self.last_media = now;
        self.silence_reported = false;
        self.heard = true;
        Ok((header, kind))
    }
}
