//! SIP phones behind one address: the gateway's own SIP endpoint, and plain RTP on a socket for each call.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use webrtc_sip_core::codec::CodecKind;
use webrtc_sip_core::crypto::CryptoProvider;
use webrtc_sip_core::ids::DialogId;
use webrtc_sip_core::io::{PacketBuf, SocketId, Transmit};
use webrtc_sip_core::rtp::{RtpHeader, is_rtcp};
use webrtc_sip_core::sdp::{AgreedSip, PendingSipOffer, RemoteMedia, SipLocal, SipNegotiator};
use webrtc_sip_core::sip::endpoint::{
    Destination, Endpoint, EndpointConfig, Invite, SipEvent, SipSocketConfig, Transport,
};
use webrtc_sip_core::sip::{NameAddr, Uri};

use crate::hearing::Hearing;

const SIP_SOCKET: SocketId = SocketId(0);
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// The SIP side of all phones.
pub struct Phones {
    /// Dialogs and transactions.
    pub endpoint: Endpoint,
    socket: UdpSocket,
    /// Where they are reached.
    pub address: SocketAddr,
    storage: Vec<u8>,
}

impl Default for Phones {
    fn default() -> Self {
        Self::new()
    }
}

impl Phones {
    /// Phones on a free port of loopback.
    pub fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
        socket.set_nonblocking(true).expect("it is a socket");
        // The system may give less.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES);
        let address = socket.local_addr().expect("it is bound");
        let config = EndpointConfig {
            sockets: vec![SipSocketConfig { socket: SIP_SOCKET, bound: address, advertised: address }],
            user_agent: "load".to_owned(),
            ..EndpointConfig::default()
        };
        let crypto = CryptoProvider::system();
        let endpoint = Endpoint::new(config, crypto.clone(), &crypto.bytes());
        Phones { endpoint, socket, address, storage: vec![0; 65_536] }
    }

    /// Reads what arrived, lets timers run, and returns what happened.
    pub fn step(&mut self, now: Instant, events: &mut VecDeque<SipEvent>) {
        loop {
            match self.socket.recv_from(&mut self.storage) {
                Ok((len, source)) => self.endpoint.handle_datagram(now, SIP_SOCKET, source, &self.storage[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // An ICMP error of an earlier send.
                Err(_) => {}
            }
        }
        if self.endpoint.poll_timeout().is_some_and(|due| due <= now) {
            self.endpoint.handle_timeout(now);
        }
        while let Some(event) = self.endpoint.poll_event() {
            events.push_back(event);
        }
        self.flush(now);
    }

    /// Sends what waits to be sent.
    pub fn flush(&mut self, now: Instant) {
        let mut packet = PacketBuf::empty(&mut self.storage, 0);
        while let Some(transmit) = self.endpoint.poll_transmit(now, &mut packet) {
            if let Transmit::Datagram { destination, .. } = transmit {
                // Lost ones are repeated.
                let _ = self.socket.send_to(packet.as_slice(), destination);
            }
            packet.clear(0);
        }
    }

    /// Calls a user of the gateway.
    pub fn call(&mut self, now: Instant, gateway: SocketAddr, user: &str, offer: &str) -> Option<DialogId> {
        let uri = |text: String| text.parse::<Uri>().expect("it is a URI");
        let request_uri = uri(format!("sip:{user}@{gateway}"));
        let from = NameAddr::new(uri(format!("sip:load@{}", self.address)));
        let destination = Destination { transport: Transport::Udp, address: gateway };
        let invite = Invite::new(destination, request_uri, from, offer.to_owned());
        self.endpoint.invite(now, invite).ok()
    }
}

/// The media of one phone call.
pub struct PhoneMedia {
    socket: UdpSocket,
    negotiator: SipNegotiator,
    pending: Option<PendingSipOffer>,
    remote: Option<SocketAddr>,
    next: RtpHeader,
    /// What arrived.
    pub hearing: Hearing,
}

impl PhoneMedia {
    /// A socket on loopback, and an SDP engine that offers and takes one codec.
    pub fn new(codec: CodecKind, ssrc: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
        socket.set_nonblocking(true).expect("it is a socket");
        let rtp = socket.local_addr().expect("it is bound");
        // Nobody listens there; what the gateway reports doesn't matter here.
        let rtcp = SocketAddr::new(rtp.ip(), rtp.port().wrapping_add(1).max(1024));
        let local = SipLocal { rtp, rtcp, codecs: vec![codec], comfort_noise: false };
        PhoneMedia {
            socket,
            negotiator: SipNegotiator::new(local, u64::from(ssrc)),
            pending: None,
            remote: None,
            next: RtpHeader { payload_type: 0, marker: true, sequence: 1, timestamp: 0, ssrc },
            hearing: Hearing::default(),
        }
    }

    /// An offer.
    pub fn offer(&mut self) -> String {
        let (sdp, pending) = self.negotiator.offer();
        self.pending = Some(pending);
        sdp
    }

    /// The answer to an offer of the gateway; none when it doesn't fit.
    pub fn answer(&mut self, offer: &[u8]) -> Option<String> {
        let (answer, agreed) = self.negotiator.answer(offer).ok()?;
        self.agree(&agreed);
        Some(answer)
    }

    /// The gateway's answer to our offer.
    pub fn handle_answer(&mut self, answer: &[u8]) {
        if let Some(pending) = self.pending.take()
            && let Ok(agreed) = self.negotiator.accept_answer(pending, answer)
        {
            self.agree(&agreed);
        }
    }

    fn agree(&mut self, agreed: &AgreedSip) {
        if let RemoteMedia::Address { rtp, .. } = agreed.remote {
            self.remote = Some(rtp);
        }
        self.next.payload_type = agreed.audio.format.payload_type;
    }

    /// Whether it knows where to send to.
    pub fn is_connected(&self) -> bool {
        self.remote.is_some()
    }

    /// Sends the next packet; says whether it did.
    pub fn speak(&mut self, payload: &[u8], timestamp_step: u32) -> bool {
        let Some(remote) = self.remote else { return false };
        let mut storage = [0; 1500];
        let mut packet = PacketBuf::empty(&mut storage, 0);
        self.next.write_packet(payload, &mut packet).expect("a frame is short");
        self.next.marker = false;
        self.next.sequence = self.next.sequence.wrapping_add(1);
        self.next.timestamp = self.next.timestamp.wrapping_add(timestamp_step);
        self.socket.send_to(packet.as_slice(), remote).is_ok()
    }

    /// Reads what arrived.
    pub fn listen(&mut self) {
        let mut storage = [0; 2048];
        loop {
            match self.socket.recv_from(&mut storage) {
                Ok((len, _)) if !is_rtcp(&storage[..len]) => self.hearing.hear(&storage[..len]),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
    }
}
