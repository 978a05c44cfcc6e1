//! Once a call is up, a media packet costs no allocation: not where it passes through, not where it is transcoded, in
//! neither direction, and not where it carries a key.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use allocation_counter::measure;
use benches::browser::{Browser, BrowserKind};
use benches::hearing::Hearing;
use benches::speech::Speech;
use webrtc_sip_core::codec::CodecKind;
use webrtc_sip_core::crypto::{CryptoProvider, DtlsCertificate};
use webrtc_sip_core::ids::{LegId, ShardId};
use webrtc_sip_core::io::{PacketBuf, SocketId, Transmit};
use webrtc_sip_core::media::{
    MediaCommand, MediaEvent, MediaShard, PlainLegConfig, ShardConfig, WebRtcLegConfig, WebRtcRemote, WebRtcSocket,
};
use webrtc_sip_core::rtp::RtpHeader;
use webrtc_sip_core::sdp::{IceCredentials, SipLocal, SipNegotiator, WebRtcLocal, WebRtcNegotiator};

const BROWSER_LEG: LegId = LegId(1);
const PHONE_LEG: LegId = LegId(2);
const WEBRTC_SOCKET: SocketId = SocketId(1);
const RTP_SOCKET: SocketId = SocketId(2);
const RTCP_SOCKET: SocketId = SocketId(3);
const HEADROOM: usize = 64;
const TICK: Duration = Duration::from_millis(5);
const WARM_UP: usize = 400;
const MEASURED: usize = 1000;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("it is an address")
}

/// A call between a browser and a phone over one shard, on a clock of its own.
struct Call {
    now: Instant,
    shard: MediaShard,
    gateway: SocketAddr,
    phone: SocketAddr,
    browser: Browser,
    browser_speech: Speech,
    phone_speech: Speech,
    /// Payload type of keys towards the phone.
    phone_keys: Option<u8>,
    /// Packets of keys that the phone heard.
    keys_heard: u64,
    phone_next: RtpHeader,
    phone_hearing: Hearing,
    /// Allocations in the shard while it handled media, and while its timers were due.
    allocations: u64,
    frame: usize,
}

impl Call {
    fn new(browser_codec: CodecKind, phone_codec: CodecKind) -> Self {
        let now = Instant::now();
        let (gateway, browser_at, phone) =
            (address("198.51.100.1:19000"), address("192.0.2.7:50000"), address("203.0.113.9:6000"));
        let crypto = CryptoProvider::system();
        let certificate = DtlsCertificate::generate(&crypto, SystemTime::now()).expect("a certificate can be made");
        let sockets = vec![WebRtcSocket { socket: WEBRTC_SOCKET, candidates: vec![gateway] }];
        let config = ShardConfig::new(ShardId(0), sockets, certificate.clone());
        let mut shard = MediaShard::new(now, config, crypto.clone(), &[7; 32]).expect("the configuration is valid");

        let local = IceCredentials { ufrag: crypto.token(4), password: crypto.token(24) };
        let mut negotiator = WebRtcNegotiator::new(
            WebRtcLocal {
                ice: local.clone(),
                ice_lite: true,
                candidates: vec![gateway],
                fingerprint: certificate.fingerprint_sha256(),
                ssrc: 11,
                cname: "gateway".to_owned(),
                msid: "gateway audio".to_owned(),
                codecs: vec![browser_codec],
                comfort_noise: false,
            },
            1,
        );
        let mut browser = Browser::new(now, &BrowserKind::new(&[browser_codec]), browser_at);
        let (answer, agreed) = negotiator.answer(browser.offer(), local.clone()).expect("the offer can be answered");
        browser.handle_answer(now, &answer).expect("the answer fits");
        shard.handle_command(
            now,
            MediaCommand::AddWebRtcLeg(Box::new(WebRtcLegConfig {
                leg: BROWSER_LEG,
                local,
                ice_lite: true,
                controlling: false,
                ssrc: 11,
                cname: "gateway".to_owned(),
            })),
        );
        let remote = agreed.remote;
        let fingerprints = remote.fingerprints.into_iter().map(|print| (print.algorithm, print.digest)).collect();
        let remote = WebRtcRemote {
            credentials: remote.ice,
            ice_lite: false,
            fingerprints,
            dtls_role: remote.dtls_role,
            candidates: remote.candidates,
        };
        shard.handle_command(now, MediaCommand::SetWebRtcRemote { leg: BROWSER_LEG, remote: Box::new(remote) });
        shard.handle_command(now, MediaCommand::SetAudio { leg: BROWSER_LEG, audio: Box::new(agreed.audio) });

        let sip = |port: &str, codec| {
            let (rtp, rtcp) = (address(&format!("198.51.100.1:{port}")), address(&format!("198.51.100.1:{port}1")));
            SipNegotiator::new(SipLocal { rtp, rtcp, codecs: vec![codec], comfort_noise: false }, 1)
        };
        let (mut ours, mut theirs) = (sip("2000", phone_codec), sip("3000", phone_codec));
        let (offer, pending) = ours.offer();
        let (answer, phone_agreed) = theirs.answer(&offer).expect("the offer can be answered");
        let agreed = ours.accept_answer(pending, &answer).expect("the answer fits");
        let plain = PlainLegConfig {
            leg: PHONE_LEG,
            rtp_socket: RTP_SOCKET,
            rtcp_socket: RTCP_SOCKET,
            ssrc: 12,
            cname: "gateway".to_owned(),
        };
        shard.handle_command(now, MediaCommand::AddPlainLeg(plain));
        let rtcp = SocketAddr::new(phone.ip(), phone.port() + 1);
        shard.handle_command(now, MediaCommand::SetPlainRemote { leg: PHONE_LEG, rtp: phone, rtcp });
        shard.handle_command(now, MediaCommand::SetAudio { leg: PHONE_LEG, audio: Box::new(agreed.audio) });
        shard.handle_command(now, MediaCommand::Bridge { a: BROWSER_LEG, b: PHONE_LEG });

        let payload_type = phone_agreed.audio.format.payload_type;
        let mut call = Call {
            now,
            shard,
            gateway,
            phone,
            browser,
            browser_speech: Speech::of_browser(browser_codec),
            phone_speech: Speech::of_phone(phone_codec),
            phone_keys: phone_agreed.audio.dtmf_accept.first().map(|dtmf| dtmf.payload_type),
            keys_heard: 0,
            phone_next: RtpHeader { payload_type, marker: true, sequence: 1, timestamp: 0, ssrc: 99 },
            phone_hearing: Hearing::default(),
            allocations: 0,
            frame: 0,
        };
        for _ in 0..200 {
            call.tick();
        }
        assert!(call.browser.is_connected(), "ICE and DTLS have two seconds");
        call
    }

    /// Hands media to the shard; what it routes on at once arrives.
    fn media(&mut self, socket: SocketId, source: SocketAddr, datagram: &[u8]) {
        let mut slot = [0u8; 2048];
        slot[HEADROOM..HEADROOM + datagram.len()].copy_from_slice(datagram);
        let mut packet = PacketBuf::filled(&mut slot, HEADROOM, datagram.len());
        let mut route = None;
        let counted = measure(|| route = self.shard.handle_datagram(self.now, socket, source, &mut packet));
        self.allocations += counted.count_total;
        if let Some(route) = route {
            self.arrive(route, packet.as_mut_slice());
        }
    }

    fn arrive(&mut self, route: Transmit, datagram: &mut [u8]) {
        match route {
            Transmit::Datagram { socket: WEBRTC_SOCKET, .. } => {
                self.browser.handle_datagram(self.now, self.gateway, datagram);
            }
            Transmit::Datagram { socket: RTP_SOCKET, destination } if destination == self.phone => {
                self.phone_hearing.hear(datagram);
                self.keys_heard += u64::from(self.phone_keys == Some(datagram[1] & 0x7f));
            }
            _ => {}
        }
    }

    /// Time goes on: timers, what they make the shard send, and the browser's ICE and DTLS.
    fn tick(&mut self) {
        self.now += TICK;
        self.browser.handle_timeout(self.now);
        while let Some((_, datagram)) = self.browser.poll_transmit() {
            // Not media: STUN and DTLS may allocate.
            let (mut slot, len) = ([0u8; 2048], datagram.len());
            slot[..len].copy_from_slice(&datagram);
            let mut packet = PacketBuf::filled(&mut slot, 0, len);
            self.shard.handle_datagram(self.now, WEBRTC_SOCKET, address("192.0.2.7:50000"), &mut packet);
            self.drain();
        }
        if self.shard.poll_timeout().is_some_and(|due| due <= self.now) {
            let counted = measure(|| self.shard.handle_timeout(self.now));
            self.allocations += counted.count_total;
        }
        self.drain();
        while let Some(event) = self.shard.poll_event() {
            assert!(!matches!(event, MediaEvent::Failed { .. } | MediaEvent::Disconnected { .. }), "{event:?}");
        }
    }

    fn drain(&mut self) {
        loop {
            let mut slot = [0u8; 1500];
            let mut packet = PacketBuf::empty(&mut slot, 0);
            let mut route = None;
            let counted = measure(|| route = self.shard.poll_transmit(self.now, &mut packet));
            let Some(route) = route else { return };
            // Above 191 and below 128 it is no media (RFC 7983).
            if (128..=191).contains(&packet.as_slice()[0]) {
                self.allocations += counted.count_total;
            }
            self.arrive(route, packet.as_mut_slice());
        }
    }

    /// 20 ms: a packet from each side; `write` makes the browser's.
    fn step(&mut self, write: impl FnOnce(&mut Self, &mut PacketBuf<'_>)) {
        let mut slot = [0u8; 1500];
        let mut packet = PacketBuf::empty(&mut slot, 0);
        write(self, &mut packet);
        let datagram = packet.as_slice().to_vec();
        self.media(WEBRTC_SOCKET, address("192.0.2.7:50000"), &datagram);
        self.phone_speaks();
        self.frame += 1;
        for _ in 0..4 {
            self.tick();
        }
    }

    /// 20 ms of speech both ways.
    fn talk(&mut self) {
        self.step(|call, packet| {
            let (payload, step) = (call.browser_speech.payload(call.frame), call.browser_speech.timestamp_step());
            call.browser.speak(payload, step, packet).expect("the browser is connected");
        });
    }

    fn phone_speaks(&mut self) {
        let mut slot = [0u8; 1500];
        let mut packet = PacketBuf::empty(&mut slot, 0);
        self.phone_next.write_packet(self.phone_speech.payload(self.frame), &mut packet).expect("it fits");
        self.phone_next.marker = false;
        self.phone_next.sequence = self.phone_next.sequence.wrapping_add(1);
        self.phone_next.timestamp += self.phone_speech.timestamp_step();
        let datagram = packet.as_slice().to_vec();
        self.media(RTP_SOCKET, self.phone, &datagram);
    }

    /// 100 ms of a key that the browser's user presses.
    fn press(&mut self, key: u8) {
        let start = self.browser.timestamp();
        let clock = if self.browser_speech.codec == CodecKind::Opus { 48_000 } else { 8_000 };
        for number in 1..=7u32 {
            // RFC 4733 section 2.5.1.4: the last packet comes three times.
            let duration = (number.min(5) * clock / 50) as u16;
            let [high, low] = duration.to_be_bytes();
            let end = if number >= 5 { 0x80 } else { 0 };
            let event = [key, end | 10, high, low];
            self.step(|call, packet| {
                call.browser.press(event, number == 1, start, packet).expect("keys were agreed on");
            });
        }
    }

    /// Talks until everything that grows has grown, and forgets what was counted.
    fn warm_up(&mut self) {
        for key in 0..WARM_UP / 100 {
            for _ in 0..100 {
                self.talk();
            }
            self.press(key as u8);
        }
        self.keys_heard = 0;
        self.allocations = 0;
        self.browser.hearing = Hearing::default();
        self.phone_hearing = Hearing::default();
    }

    fn assert_talks_without_allocating(&mut self) {
        self.warm_up();
        for _ in 0..MEASURED {
            self.talk();
        }
        let (browser, phone) = (self.browser.hearing, self.phone_hearing);
        // A jitter buffer may lengthen or shorten the sound by some frames.
        for (who, hearing) in [("browser", browser), ("phone", phone)] {
            assert!(hearing.packets.abs_diff(MEASURED as u64) <= 5, "the {who} heard {hearing:?}");
            assert_eq!((hearing.missing, hearing.refused), (0, 0), "{who}");
        }
        assert_eq!(self.allocations, 0, "allocations in {} packets", browser.packets + phone.packets);
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(vec![0u8; 100]))).count_total, 1);
}

#[test]
fn what_passes_through_is_not_allocated() {
    Call::new(CodecKind::Pcmu, CodecKind::Pcmu).assert_talks_without_allocating();
    Call::new(CodecKind::Opus, CodecKind::Opus).assert_talks_without_allocating();
}

#[test]
fn what_is_transcoded_is_not_allocated() {
    Call::new(CodecKind::Opus, CodecKind::Pcmu).assert_talks_without_allocating();
    Call::new(CodecKind::Pcma, CodecKind::Opus).assert_talks_without_allocating();
}

#[test]
fn keys_are_not_allocated() {
    for (browser, phone) in [(CodecKind::Pcmu, CodecKind::Pcmu), (CodecKind::Opus, CodecKind::Pcmu)] {
        let mut call = Call::new(browser, phone);
        call.warm_up();
        for key in 0..10 {
            call.press(key);
            call.talk();
        }
        assert!(call.keys_heard >= 70, "the phone heard {} packets of keys", call.keys_heard);
        assert_eq!(call.allocations, 0, "allocations in ten keys");
    }
}
