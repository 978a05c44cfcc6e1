//! One leg as its shard keeps it.

use std::net::SocketAddr;
use std::time::Instant;

use crate::codec::CodecKind;
use crate::ids::LegId;
use crate::io::{DropReason, PacketBuf, SocketId};
use crate::rtp::header::FIXED_HEADER_LEN;
use crate::rtp::srtp::{SrtpReceiver, SrtpSender};
use crate::rtp::statistics::{ReceiverStatistics, SenderStatistics};
use crate::rtp::{DtmfReceiver, DtmfSender, OutgoingSource};
use crate::transport::plain::PlainTransport;
use crate::transport::webrtc::{MediaKeys, WebRtcTransport};

use super::bridge::Inbound;
use super::command::{AudioConfig, DtmfFormat};
use super::demux::LegKey;
use super::event::LegStats;

/// Formats of one agreement that are looked at.
const MAX_FORMATS: usize = 16;

/// Socket and address.
pub(super) type Destination = (SocketId, SocketAddr);

pub(super) struct Leg {
    pub(super) id: LegId,
    pub(super) cname: String,
    pub(super) transport: LegTransport,
    pub(super) audio: Option<Box<Audio>>,
    /// The leg that it is bridged with.
    pub(super) far: Option<LegKey>,
    /// What we send to the peer.
    pub(super) source: OutgoingSource,
    /// How what the peer sends reaches the far leg.
    pub(super) inbound: Inbound,
    pub(super) received: ReceiverStatistics,
    pub(super) sent: SenderStatistics,
    pub(super) stats: LegStats,
    /// What earlier transcoders concealed.
    pub(super) concealed_before_ms: u64,
    /// Keys that the peer presses, and whether it presses one now.
    pub(super) digits_heard: DtmfReceiver,
    pub(super) presses: bool,
    /// Keys that we press; none before the first.
    pub(super) digits: Option<DtmfSender>,
    /// When media last arrived, or could have begun to.
    pub(super) last_media: Instant,
    pub(super) heard: bool,
    pub(super) silence_reported: bool,
}

impl Leg {
    pub(super) fn new(now: Instant, id: LegId, cname: &str, transport: LegTransport, source: OutgoingSource) -> Self {
        Leg {
            id,
            cname: cname.to_owned(),
            transport,
            audio: None,
            far: None,
            source,
            inbound: Inbound::default(),
            received: ReceiverStatistics::default(),
            sent: SenderStatistics::default(),
            stats: LegStats::default(),
            concealed_before_ms: 0,
            digits_heard: DtmfReceiver::default(),
            presses: false,
            digits: None,
            last_media: now,
            heard: false,
            silence_reported: false,
        }
    }

    /// The figures as they are now.
    pub(super) fn figures(&self) -> LegStats {
        let clock_rate_hz = self.send_clock_rate_hz();
        LegStats {
            packets_received: self.received.packets(),
            bytes_received: self.received.bytes(),
            packets_sent: self.sent.packets(),
            bytes_sent: self.sent.bytes(),
            packets_lost: self.received.lost().max(0) as u64,
            jitter_us: self.received.jitter_us(),
            remote_packets_lost: self.sent.remote_lost().max(0) as u64,
            remote_jitter_us: self.sent.remote_jitter_us(clock_rate_hz),
            round_trip_us: self.sent.round_trip().map(|round_trip| round_trip.as_micros() as u32),
            ..self.stats
        }
    }

    /// Clock of what we send.
    pub(super) fn send_clock_rate_hz(&self) -> u32 {
        self.audio.as_ref().map_or(8_000, |audio| audio.config.format.codec.clock_rate_hz())
    }

    /// Forgets the far leg. Our source goes on whoever feeds it next.
    pub(super) fn leave_bridge(&mut self) {
        self.far = None;
        self.inbound = Inbound::default();
        self.stats.transcoding = false;
        self.stats.jitter_buffer_ms = 0;
        self.concealed_before_ms = self.stats.concealed_ms;
    }

    /// Whether DTMF goes out now, so that audio has to wait.
    pub(super) fn sends_digits(&self) -> bool {
        self.digits.as_ref().is_some_and(DtmfSender::is_sending)
    }

    /// Sends a packet that stands ready, and counts it.
    pub(super) fn send_rtp(&mut self, packet: &mut PacketBuf<'_>) -> Result<Destination, DropReason> {
        let payload_len = packet.len().saturating_sub(FIXED_HEADER_LEN);
        let destination = self.transport.send_rtp(packet)?;
        self.sent.packet(payload_len);
        Ok(destination)
    }
}

pub(super) enum LegTransport {
    WebRtc(Box<WebRtcLeg>),
    Plain(PlainTransport),
}

pub(super) struct WebRtcLeg {
    pub(super) transport: WebRtcTransport,
    pub(super) srtp: Option<Srtp>,
    /// Entries of the demultiplexer that belong to this leg.
    pub(super) sources: Vec<Destination>,
    pub(super) ufrags: Vec<String>,
    /// Our synchronisation sources under these keys at earlier owners.
    pub(super) used_ssrcs: Vec<u32>,
    /// Where media goes; none while there is no path or no consent.
    pub(super) media_route: Option<Destination>,
    /// When anything authentic last arrived.
    pub(super) last_heard: Instant,
}

/// Both directions of SRTP.
pub(super) struct Srtp {
    pub(super) sender: SrtpSender,
    pub(super) receiver: SrtpReceiver,
}

impl Srtp {
    pub(super) fn new(keys: &MediaKeys, max_ssrcs: usize) -> Self {
        Srtp { sender: SrtpSender::new(&keys.local), receiver: SrtpReceiver::new(&keys.remote, max_ssrcs) }
    }
}

impl LegTransport {
    /// Decrypts what is encrypted.
    pub(super) fn unprotect_rtp(&mut self, packet: &mut PacketBuf<'_>) -> Result<(), DropReason> {
        match self {
            LegTransport::WebRtc(leg) => {
                let srtp = leg.srtp.as_mut().ok_or(DropReason::OutOfState)?;
                srtp.receiver.unprotect_rtp(packet).map(|_| ()).map_err(|error| error.drop_reason())
            }
            LegTransport::Plain(_) => Ok(()),
        }
    }

    /// Decrypts what is encrypted.
    pub(super) fn unprotect_rtcp(&mut self, packet: &mut PacketBuf<'_>) -> Result<(), DropReason> {
        match self {
            LegTransport::WebRtc(leg) => {
                let srtp = leg.srtp.as_mut().ok_or(DropReason::OutOfState)?;
                srtp.receiver.unprotect_rtcp(packet).map(|_| ()).map_err(|error| error.drop_reason())
            }
            LegTransport::Plain(_) => Ok(()),
        }
    }

    /// Encrypts where the leg is encrypted, and says where the packet goes.
    pub(super) fn send_rtp(&mut self, packet: &mut PacketBuf<'_>) -> Result<Destination, DropReason> {
        let destination = self.rtp_destination().ok_or(DropReason::OutOfState)?;
        if let LegTransport::WebRtc(leg) = self {
            let srtp = leg.srtp.as_mut().ok_or(DropReason::OutOfState)?;
            srtp.sender.protect_rtp(packet).map_err(|error| error.drop_reason())?;
        }
        Ok(destination)
    }

    /// Encrypts where the leg is encrypted, and says where the packet goes.
    pub(super) fn send_rtcp(&mut self, packet: &mut PacketBuf<'_>) -> Result<Destination, DropReason> {
        let destination = self.rtcp_destination().ok_or(DropReason::OutOfState)?;
        if let LegTransport::WebRtc(leg) = self {
            let srtp = leg.srtp.as_mut().ok_or(DropReason::OutOfState)?;
            srtp.sender.protect_rtcp(packet).map_err(|error| error.drop_reason())?;
        }
        Ok(destination)
    }

    pub(super) fn rtp_destination(&self) -> Option<Destination> {
        match self {
            LegTransport::WebRtc(leg) => leg.media_route.filter(|_| leg.srtp.is_some()),
            LegTransport::Plain(plain) => Some((plain.sockets().rtp, plain.rtp_destination()?)),
        }
    }

    fn rtcp_destination(&self) -> Option<Destination> {
        match self {
            LegTransport::WebRtc(_) => self.rtp_destination(),
            LegTransport::Plain(plain) => Some((plain.sockets().rtcp, plain.rtcp_destination()?)),
        }
    }
}

/// What a payload type of the peer stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PayloadKind {
    /// Audio.
    Audio(CodecKind),
    /// Telephone events with this clock.
    Dtmf(u32),
    /// Comfort noise (RFC 3389).
    ComfortNoise,
}

/// What is agreed on, with payload types ready to be looked up.
pub(super) struct Audio {
    pub(super) config: AudioConfig,
    kinds: [Option<PayloadKind>; 128],
}

impl Audio {
    pub(super) fn new(mut config: AudioConfig) -> Self {
        // RFC 3551 has no use for others, and a jitter buffer no room.
        config.ptime_ms = (config.ptime_ms / 10 * 10).clamp(10, 60);
        config.accept.truncate(MAX_FORMATS);
        config.dtmf_accept.truncate(MAX_FORMATS);
        let mut kinds = [None; 128];
        let mut set = |payload_type: u8, kind| {
            if let Some(slot) = kinds.get_mut(usize::from(payload_type)) {
                *slot = Some(kind);
            }
        };
        if let Some(payload_type) = config.comfort_noise {
            set(payload_type, PayloadKind::ComfortNoise);
        }
        for DtmfFormat { payload_type, clock_rate_hz } in &config.dtmf_accept {
            // A clock of 0 would divide by zero and means nothing.
            if *clock_rate_hz > 0 {
                set(*payload_type, PayloadKind::Dtmf(*clock_rate_hz));
            }
        }
        for format in &config.accept {
            set(format.payload_type, PayloadKind::Audio(format.codec));
        }
        Audio { config, kinds }
    }

    pub(super) fn kind_of(&self, payload_type: u8) -> Option<PayloadKind> {
        self.kinds.get(usize::from(payload_type)).copied().flatten()
    }
}
