//! A browser's media: a full ICE agent, DTLS and SRTP, made of the gateway's own parts. It does no I/O.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use webrtc_sip_core::codec::CodecKind;
use webrtc_sip_core::crypto::{CryptoProvider, DtlsCertificate};
use webrtc_sip_core::io::PacketBuf;
use webrtc_sip_core::rtp::srtp::{SrtpReceiver, SrtpSender};
use webrtc_sip_core::rtp::{RtpHeader, is_rtcp};
use webrtc_sip_core::sdp::{
    AgreedAudio, AgreedWebRtc, IceCredentials, PendingWebRtcOffer, SdpError, WebRtcLocal, WebRtcNegotiator,
};
use webrtc_sip_core::transport::WebRtcRemote;
use webrtc_sip_core::transport::webrtc::{DtlsContext, Route, WebRtcConfig, WebRtcTransport};

use crate::hearing::Hearing;

const TIMEOUT: Duration = Duration::from_secs(30);

/// What browsers share, so that a thousand of them start quickly.
#[derive(Clone)]
pub struct BrowserKind {
    crypto: CryptoProvider,
    context: Arc<DtlsContext>,
    fingerprint: [u8; 32],
    codecs: Vec<CodecKind>,
}

impl BrowserKind {
    /// Browsers that offer and take these codecs.
    pub fn new(codecs: &[CodecKind]) -> Self {
        let crypto = CryptoProvider::system();
        let certificate = DtlsCertificate::generate(&crypto, SystemTime::now()).expect("a certificate can be made");
        let context = DtlsContext::new(&certificate, TIMEOUT).expect("the time-out is valid");
        BrowserKind {
            crypto,
            context: Arc::new(context),
            fingerprint: certificate.fingerprint_sha256(),
            codecs: codecs.to_vec(),
        }
    }

    fn credentials(&self) -> IceCredentials {
        IceCredentials { ufrag: self.crypto.token(4), password: self.crypto.token(24) }
    }
}

/// One `RTCPeerConnection` with a microphone.
pub struct Browser {
    kind: BrowserKind,
    address: SocketAddr,
    negotiator: WebRtcNegotiator,
    pending: Option<PendingWebRtcOffer>,
    transport: WebRtcTransport,
    agreed: Option<AgreedAudio>,
    srtp: Option<(SrtpSender, SrtpReceiver)>,
    next: RtpHeader,
    /// What arrived.
    pub hearing: Hearing,
}

impl Browser {
    /// A browser whose socket is bound to `address`.
    pub fn new(now: Instant, kind: &BrowserKind, address: SocketAddr) -> Self {
        let (ice, ssrc, cname) = (kind.credentials(), kind.crypto.u32(), kind.crypto.token(16));
        let local = WebRtcLocal {
            ice: ice.clone(),
            ice_lite: false,
            candidates: vec![address],
            fingerprint: kind.fingerprint,
            ssrc,
            msid: format!("{cname} audio"),
            cname,
            codecs: kind.codecs.clone(),
            comfort_noise: false,
        };
        let config = WebRtcConfig {
            local: ice,
            ice_lite: false,
            controlling: true,
            tie_breaker: u64::from(ssrc),
            candidates: vec![address],
            ice_timeout: TIMEOUT,
        };
        Browser {
            kind: kind.clone(),
            address,
            negotiator: WebRtcNegotiator::new(local, u64::from(ssrc)),
            pending: None,
            transport: WebRtcTransport::new(now, Arc::clone(&kind.context), &config),
            agreed: None,
            srtp: None,
            next: RtpHeader { payload_type: 0, marker: true, sequence: 1, timestamp: 0, ssrc },
            hearing: Hearing::default(),
        }
    }

    /// `createOffer` and `setLocalDescription`.
    pub fn offer(&mut self) -> String {
        let (sdp, pending) = self.negotiator.offer(None);
        self.pending = Some(pending);
        sdp
    }

    /// `setRemoteDescription` with the answer to [`Browser::offer`].
    pub fn handle_answer(&mut self, now: Instant, sdp: &str) -> Result<(), SdpError> {
        let Some(pending) = self.pending.take() else { return Ok(()) };
        let agreed = self.negotiator.accept_answer(pending, sdp)?;
        self.agree(now, agreed);
        Ok(())
    }

    /// `setRemoteDescription` with an offer, `createAnswer` and `setLocalDescription`.
    pub fn answer(&mut self, now: Instant, offer: &str) -> Result<String, SdpError> {
        let (sdp, agreed) = self.negotiator.answer(offer, self.kind.credentials())?;
        self.agree(now, agreed);
        Ok(sdp)
    }

    fn agree(&mut self, now: Instant, agreed: AgreedWebRtc) {
        let remote = agreed.remote;
        let fingerprints = remote.fingerprints.into_iter().map(|print| (print.algorithm, print.digest)).collect();
        let remote = WebRtcRemote {
            credentials: remote.ice,
            ice_lite: remote.ice_lite,
            fingerprints,
            dtls_role: remote.dtls_role,
            candidates: remote.candidates,
        };
        self.transport.set_remote(now, &remote);
        self.next.payload_type = agreed.audio.format.payload_type;
        self.agreed = Some(agreed.audio);
    }

    /// The codec that was agreed on.
    pub fn codec(&self) -> Option<CodecKind> {
        self.agreed.as_ref().map(|audio| audio.format.codec)
    }

    /// The payload type of keys, where they were agreed on.
    pub fn dtmf_payload_type(&self) -> Option<u8> {
        self.agreed.as_ref()?.dtmf_send.map(|dtmf| dtmf.payload_type)
    }

    /// Whether media can flow.
    pub fn is_connected(&self) -> bool {
        self.srtp.is_some() && self.transport.media_route().is_some()
    }

    /// A datagram arrived; media is decrypted in place.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        let route = Route { local: self.address, remote: from };
        // RFC 7983: what the first byte says. What the transport refuses shows in that nothing connects.
        match datagram.first() {
            Some(0..=3) => drop(self.transport.handle_stun(now, route, datagram)),
            Some(20..=63) => drop(self.transport.handle_dtls(now, route, datagram)),
            Some(128..=191) if !is_rtcp(datagram) => self.handle_media(datagram),
            _ => {}
        }
        self.settle();
    }

    fn handle_media(&mut self, datagram: &mut [u8]) {
        let Some((_, receiver)) = &mut self.srtp else { return };
        let len = datagram.len();
        let mut packet = PacketBuf::filled(datagram, 0, len);
        match receiver.unprotect_rtp(&mut packet) {
            Ok(_) => self.hearing.hear(packet.as_slice()),
            Err(_) => self.hearing.refused += 1,
        }
    }

    fn settle(&mut self) {
        while self.transport.poll_event().is_some() {}
        if self.srtp.is_none()
            && let Some(keys) = self.transport.keys()
        {
            self.srtp = Some((SrtpSender::new(&keys.local), SrtpReceiver::new(&keys.remote, 4)));
        }
    }

    /// ICE's and DTLS's timers, where they are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.transport.poll_timeout().is_some_and(|due| due <= now) {
            self.transport.handle_timeout(now);
            self.settle();
        }
    }

    /// The next STUN or DTLS datagram to send, and where to.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.transport.poll_transmit().map(|(route, datagram)| (route.remote, datagram))
    }

    /// Writes the next packet of the microphone; says where it goes, or nothing while there is no way.
    pub fn speak(&mut self, payload: &[u8], timestamp_step: u32, out: &mut PacketBuf<'_>) -> Option<SocketAddr> {
        let header = self.next;
        let destination = self.send(header, payload, out)?;
        self.next.marker = false;
        self.next.sequence = header.sequence.wrapping_add(1);
        self.next.timestamp = header.timestamp.wrapping_add(timestamp_step);
        Some(destination)
    }

    /// Writes a telephone-event packet (RFC 4733) in the place of a packet of the microphone.
    pub fn press(&mut self, event: [u8; 4], first: bool, start: u32, out: &mut PacketBuf<'_>) -> Option<SocketAddr> {
        let payload_type = self.dtmf_payload_type()?;
        let step = self.codec()?.clock_rate_hz() / 50;
        let header = RtpHeader { payload_type, marker: first, timestamp: start, ..self.next };
        let destination = self.send(header, &event, out)?;
        self.next.sequence = header.sequence.wrapping_add(1);
        self.next.timestamp = self.next.timestamp.wrapping_add(step);
        Some(destination)
    }

    /// Timestamp of the next packet of the microphone.
    pub fn timestamp(&self) -> u32 {
        self.next.timestamp
    }

    fn send(&mut self, header: RtpHeader, payload: &[u8], out: &mut PacketBuf<'_>) -> Option<SocketAddr> {
        let route = self.transport.media_route()?;
        let (sender, _) = self.srtp.as_mut()?;
        header.write_packet(payload, out).ok()?;
        sender.protect_rtp(out).ok()?;
        Some(route.remote)
    }
}
