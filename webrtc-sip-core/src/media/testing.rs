//! A simulated browser: the same transport as ours as the full, controlling ICE agent, with SRTP on top. Tests and the
//! simulator talk to a gateway through it.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::crypto::DtlsCertificate;
use crate::io::PacketBuf;
use crate::rtp::header::RtpPacket;
use crate::rtp::srtp::{SrtpReceiver, SrtpSender};
use crate::rtp::{OutgoingSource, RtpHeader, is_rtcp};
use crate::transport::webrtc::{DtlsContext, PacketKind, Route, WebRtcConfig, WebRtcEvent, WebRtcTransport};
use crate::transport::{DtlsRole, IceCredentials, WebRtcRemote};

/// An RTP packet as it was heard.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) at: Instant,
    pub(crate) header: RtpHeader,
    pub(crate) payload: Vec<u8>,
    /// Extended sequence number under which it was decrypted; the plain sequence number where nothing is encrypted.
    pub(crate) index: u64,
}

pub(crate) struct SimulatedBrowser {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: DtlsCertificate,
    pub(crate) credentials: IceCredentials,
    pub(crate) transport: WebRtcTransport,
    pub(crate) events: Vec<WebRtcEvent>,
    pub(crate) heard: Vec<Heard>,
    pub(crate) rtcp_heard: Vec<Vec<u8>>,
    /// SSRC and index of everything heard; a repetition is a catastrophe for the keys.
    pub(crate) indices: BTreeSet<(u32, u64)>,
    pub(crate) refused: usize,
    pub(crate) dtls_heard: usize,
    pub(crate) source: OutgoingSource,
    srtp: Option<(SrtpSender, SrtpReceiver)>,
    outbox: VecDeque<(SocketAddr, Vec<u8>)>,
}

impl SimulatedBrowser {
    pub(crate) fn new(now: Instant, address: SocketAddr, certificate: DtlsCertificate, name: &str) -> Self {
        let credentials =
            IceCredentials { ufrag: format!("{name}-u"), password: format!("{name}-password-22-characters") };
        let config = WebRtcConfig {
            local: credentials.clone(),
            ice_lite: false,
            controlling: true,
            tie_breaker: 7,
            candidates: vec![address],
            ice_timeout: Duration::from_secs(30),
        };
        let context = DtlsContext::new(&certificate, Duration::from_secs(30)).expect("the time-out is fine");
        SimulatedBrowser {
            address,
            certificate,
            credentials,
            transport: WebRtcTransport::new(now, Arc::new(context), &config),
            events: Vec::new(),
            heard: Vec::new(),
            rtcp_heard: Vec::new(),
            indices: BTreeSet::new(),
            refused: 0,
            dtls_heard: 0,
            source: OutgoingSource::new(0xb0b0_b0b0, 1_000, 50_000),
            srtp: None,
            outbox: VecDeque::new(),
        }
    }

    /// Our half of the description, as the gateway gets it.
    pub(crate) fn description(&self, gateway_role: DtlsRole, candidates: bool) -> WebRtcRemote {
        let candidate = candidate_line(self.address);
        WebRtcRemote {
            credentials: self.credentials.clone(),
            ice_lite: false,
            fingerprints: vec![("sha-256".to_owned(), self.certificate.fingerprint_sha256().to_vec())],
            dtls_role: gateway_role,
            candidates: if candidates { vec![candidate] } else { vec![] },
        }
    }

    /// The gateway's half.
    pub(crate) fn set_remote(&mut self, now: Instant, remote: &WebRtcRemote) {
        self.transport.set_remote(now, remote);
    }

    /// New credentials of ours, for an offer with an ICE restart.
    pub(crate) fn restart_ice(&mut self, name: &str) {
        self.credentials =
            IceCredentials { ufrag: format!("{name}-u"), password: format!("{name}-password-22-characters") };
        self.transport.restart_ice(self.credentials.clone());
    }

    pub(crate) fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let route = Route { local: self.address, remote: from };
        match PacketKind::of(datagram) {
            Some(PacketKind::Stun) => {
                self.refused += usize::from(self.transport.handle_stun(now, route, datagram).is_err())
            }
            Some(PacketKind::Dtls) => {
                self.dtls_heard += 1;
                self.refused += usize::from(self.transport.handle_dtls(now, route, datagram).is_err());
            }
            Some(PacketKind::Rtp | PacketKind::Rtcp) => self.hear(now, datagram),
            None => self.refused += 1,
        }
        self.settle();
    }

    fn hear(&mut self, now: Instant, datagram: &[u8]) {
        let Some((_, receiver)) = &mut self.srtp else {
            self.refused += 1;
            return;
        };
        let mut storage = datagram.to_vec();
        let len = storage.len();
        let mut packet = PacketBuf::filled(&mut storage, 0, len);
        if is_rtcp(datagram) {
            match receiver.unprotect_rtcp(&mut packet) {
                Ok(_) => self.rtcp_heard.push(packet.as_slice().to_vec()),
                Err(_) => self.refused += 1,
            }
            return;
        }
        let Ok(index) = receiver.unprotect_rtp(&mut packet) else {
            self.refused += 1;
            return;
        };
        let parsed = RtpPacket::parse(packet.as_slice()).expect("an authentic packet of the gateway is RTP");
        self.indices.insert((parsed.header.ssrc, index));
        self.heard.push(Heard { at: now, header: parsed.header, payload: parsed.payload.to_vec(), index });
    }

    fn settle(&mut self) {
        if self.srtp.is_none()
            && let Some(keys) = self.transport.keys()
        {
            self.srtp = Some((SrtpSender::new(&keys.local), SrtpReceiver::new(&keys.remote, 8)));
        }
        while let Some(event) = self.transport.poll_event() {
            self.events.push(event);
        }
        while let Some((route, datagram)) = self.transport.poll_transmit() {
            self.outbox.push_back((route.remote, datagram));
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.transport.poll_timeout().is_none_or(|due| due <= now) {
            self.transport.handle_timeout(now);
        }
        self.settle();
    }

    /// Where to, and what.
    pub(crate) fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.settle();
        self.outbox.pop_front()
    }

    /// Sends the next packet of our microphone, if there is a path.
    pub(crate) fn send_rtp(&mut self, now: Instant, payload_type: u8, timestamp: u32, marker: bool, payload: &[u8]) {
        let header = self.source.next_header(now, payload_type, marker, timestamp);
        self.send_packet(&header, payload);
    }

    /// Sends a packet with any header.
    pub(crate) fn send_packet(&mut self, header: &RtpHeader, payload: &[u8]) {
        let (Some(route), Some((sender, _))) = (self.transport.media_route(), &mut self.srtp) else { return };
        let mut storage = [0; 1500];
        let mut packet = PacketBuf::empty(&mut storage, 0);
        header.write_packet(payload, &mut packet).expect("test payloads are short");
        sender.protect_rtp(&mut packet).expect("the numbers are new");
        self.outbox.push_back((route.remote, packet.as_slice().to_vec()));
    }

    /// Sends a compound RTCP packet.
    pub(crate) fn send_rtcp(&mut self, compound: &[u8]) {
        let (Some(route), Some((sender, _))) = (self.transport.media_route(), &mut self.srtp) else { return };
        let mut storage = [0; 1500];
        let mut packet = PacketBuf::empty(&mut storage, 0);
        packet.extend_from_slice(compound).expect("test packets are short");
        sender.protect_rtcp(&mut packet).expect("the keys are fresh");
        self.outbox.push_back((route.remote, packet.as_slice().to_vec()));
    }

    pub(crate) fn count(&self, event: WebRtcEvent) -> usize {
        self.events.iter().filter(|seen| **seen == event).count()
    }
}

/// A host candidate as SDP has it.
pub(crate) fn candidate_line(address: SocketAddr) -> String {
    format!("candidate:1 1 udp 2130706431 {} {} typ host", address.ip(), address.port())
}
