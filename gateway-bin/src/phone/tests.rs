//! Calls to the phone from a second endpoint over real loopback sockets.

use super::*;
use webrtc_sip_core::rtp::{RtpHeader, RtpPacket};
use webrtc_sip_core::sdp::Direction;
use webrtc_sip_core::sip::endpoint::{Destination, Invite, Transport};

const PATIENCE: Duration = Duration::from_secs(10);

/// A SIP user agent with one call.
struct Caller {
    socket: UdpSocket,
    endpoint: Endpoint,
    phone: SocketAddr,
    rtp: UdpSocket,
    negotiator: SipNegotiator,
    pending: Option<PendingSipOffer>,
}

impl Caller {
    async fn new(phone: SocketAddr) -> Self {
        let socket = bind().await.unwrap();
        let address = socket.local_addr().unwrap();
        let config = EndpointConfig {
            sockets: vec![SipSocketConfig { socket: SOCKET, bound: address, advertised: address }],
            ..EndpointConfig::default()
        };
        let crypto = CryptoProvider::system();
        let endpoint = Endpoint::new(config, crypto.clone(), &crypto.bytes());
        let rtp = bind().await.unwrap();
        let media = rtp.local_addr().unwrap();
        let codecs = vec![CodecKind::Pcmu, CodecKind::Pcma];
        let negotiator = SipNegotiator::new(SipLocal { rtp: media, rtcp: media, codecs, comfort_noise: false }, 7);
        Caller { socket, endpoint, phone, rtp, negotiator, pending: None }
    }

    fn invite(&mut self, number: &str) -> DialogId {
        let (offer, pending) = self.negotiator.offer();
        self.pending = Some(pending);
        let request_uri = format!("sip:{number}@{}", self.phone).parse().unwrap();
        let from = "<sip:test@localhost>".parse().unwrap();
        let destination = Destination { transport: Transport::Udp, address: self.phone };
        let invite = Invite::new(destination, request_uri, from, offer);
        self.endpoint.invite(Instant::now(), invite).unwrap()
    }

    /// Carries packets until the endpoint has something to tell.
    async fn event(&mut self) -> SipEvent {
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            if let Some(event) = self.endpoint.poll_event() {
                return event;
            }
            self.flush();
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    let (len, source) = received.unwrap();
                    self.endpoint.handle_datagram(Instant::now(), SOCKET, source, &buffer[..len]);
                }
                () = sleep_until(self.endpoint.poll_timeout()) => self.endpoint.handle_timeout(Instant::now()),
            }
        }
    }

    fn flush(&mut self) {
        let mut storage = vec![0; MAX_DATAGRAM];
        loop {
            let mut packet = PacketBuf::empty(&mut storage, 0);
            let Some(transmit) = self.endpoint.poll_transmit(Instant::now(), &mut packet) else { return };
            let Transmit::Datagram { destination, .. } = transmit else { panic!("nothing here goes by stream") };
            self.socket.try_send_to(packet.as_slice(), destination).unwrap();
        }
    }

    /// Calls a number that answers; returns where its media is.
    async fn call(&mut self, number: &str) -> (DialogId, SocketAddr) {
        let dialog = self.invite(number);
        let body = loop {
            match self.event().await {
                SipEvent::Answered { body, .. } => break body,
                SipEvent::Ringing { .. } => {}
                other => panic!("{other:?}"),
            }
        };
        self.flush();
        (dialog, self.read_answer(&body))
    }

    fn read_answer(&mut self, body: &[u8]) -> SocketAddr {
        let agreed = self.negotiator.accept_answer(self.pending.take().unwrap(), body).unwrap();
        let RemoteMedia::Address { rtp, .. } = agreed.remote else { panic!("the phone has an address") };
        rtp
    }

    fn hang_up(&mut self, dialog: DialogId) {
        self.endpoint.bye(Instant::now(), dialog, None).unwrap();
        self.flush();
    }

    async fn hear(&self) -> (RtpHeader, Vec<u8>) {
        let mut buffer = [0; 1500];
        let len = self.rtp.recv(&mut buffer).await.unwrap();
        let packet = RtpPacket::parse(&buffer[..len]).unwrap();
        (packet.header, packet.payload.to_vec())
    }

    async fn say(&self, to: SocketAddr, header: RtpHeader, payload: &[u8]) {
        let bytes = [&header.to_bytes()[..], payload].concat();
        self.rtp.send_to(&bytes, to).await.unwrap();
    }
}

/// Runs `script` against a phone; afterwards the phone holds nothing.
async fn with_phone<F: Future<Output = ()>>(script: impl FnOnce(SocketAddr) -> F) {
    let mut phone = Phone::bind(&CryptoProvider::system()).await.unwrap();
    let address = phone.address();
    let work = async {
        tokio::select! {
            () = phone.run() => panic!("the phone never ends by itself"),
            () = script(address) => {}
        }
        while !phone.calls.is_empty() || phone.endpoint.stats().dialogs > 0 {
            let _ = tokio::time::timeout(Duration::from_millis(10), phone.run()).await;
        }
    };
    tokio::time::timeout(PATIENCE, work).await.expect("the script ends, and the phone holds nothing, in time");
}

#[tokio::test]
async fn echo_returns_what_it_hears_under_its_own_source() {
    with_phone(|address| async move {
        let mut caller = Caller::new(address).await;
        let (dialog, remote) = caller.call("echo").await;
        let mut previous: Option<RtpHeader> = None;
        for index in 0..10u16 {
            let payload = [index as u8; 160];
            // The source changes half-way, as after a transfer.
            let ssrc = if index < 5 { 1 } else { 2 };
            let timestamp = u32::from(index) * 160 + ssrc * 100_000;
            let header = RtpHeader { payload_type: 0, marker: index == 0, sequence: 900 * index, timestamp, ssrc };
            caller.say(remote, header, &payload).await;
            let (heard, echoed) = caller.hear().await;
            assert_eq!(echoed, payload);
            if let Some(previous) = previous {
                assert_eq!(heard.ssrc, previous.ssrc);
                assert_eq!(heard.sequence, previous.sequence.wrapping_add(1));
                if index != 5 {
                    assert_eq!(heard.timestamp, previous.timestamp.wrapping_add(160));
                }
            }
            previous = Some(heard);
        }
        caller.hang_up(dialog);
    })
    .await;
}

#[tokio::test]
async fn the_tone_plays_every_20_ms_and_stops_on_hold() {
    with_phone(|address| async move {
        let mut caller = Caller::new(address).await;
        let (dialog, _) = caller.call("tone").await;
        let first = caller.hear().await;
        let begun = Instant::now();
        let mut last = first.0;
        for _ in 0..10 {
            let (header, payload) = caller.hear().await;
            assert_eq!((header.sequence.wrapping_sub(last.sequence), payload.len()), (1, 160));
            assert_eq!(header.timestamp.wrapping_sub(last.timestamp) % 160, 0);
            last = header;
        }
        assert!((150..1000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());

        caller.negotiator.set_direction(Direction::Inactive);
        let (offer, pending) = caller.negotiator.offer();
        caller.pending = Some(pending);
        caller.endpoint.reinvite(Instant::now(), dialog, Bytes::from(offer)).unwrap();
        let SipEvent::ReinviteAnswered { body, .. } = caller.event().await else { panic!("the phone takes a hold") };
        caller.flush();
        caller.read_answer(&body);
        // What was under way has arrived after a moment; then it is quiet.
        while tokio::time::timeout(Duration::from_millis(60), caller.hear()).await.is_ok() {}
        caller.hang_up(dialog);
    })
    .await;
}

#[tokio::test]
async fn music_is_heard_in_the_caller_s_codec() {
    with_phone(|address| async move {
        let mut caller = Caller::new(address).await;
        let media = caller.rtp.local_addr().unwrap();
        let local = SipLocal { rtp: media, rtcp: media, codecs: vec![CodecKind::Pcma], comfort_noise: false };
        caller.negotiator = SipNegotiator::new(local, 8);
        let (dialog, _) = caller.call("hold-music").await;
        let (header, payload) = caller.hear().await;
        assert_eq!((header.payload_type, payload.len()), (8, 160));
        caller.hang_up(dialog);
    })
    .await;
}

#[tokio::test]
async fn busy_and_unknown_numbers_are_refused() {
    with_phone(|address| async move {
        for (number, status) in [("busy", 486), ("12345", 404)] {
            let mut caller = Caller::new(address).await;
            caller.invite(number);
            let SipEvent::Failed { failure, .. } = caller.event().await else { panic!("{number} refuses") };
            assert_eq!(failure.status, status);
            caller.flush();
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_rings_until_the_caller_gives_up() {
    with_phone(|address| async move {
        let mut caller = Caller::new(address).await;
        let dialog = caller.invite("nobody");
        assert!(matches!(caller.event().await, SipEvent::Ringing { status: 180, .. }));
        caller.endpoint.cancel(Instant::now(), dialog, None).unwrap();
        let SipEvent::Failed { failure, .. } = caller.event().await else { panic!("487 follows the CANCEL") };
        assert_eq!(failure.status, 487);
        caller.flush();
    })
    .await;
}
