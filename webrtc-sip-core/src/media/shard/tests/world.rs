//! The surroundings of a shard: a clock, a network, browsers and phones.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use crate::codec::CodecKind;
use crate::crypto::{CryptoProvider, DtlsCertificate};
use crate::ids::{LegId, ShardId};
use crate::io::{PacketBuf, SocketId, Transmit};
use crate::media::testing::{Heard, SimulatedBrowser, candidate_line};
use crate::media::{
    AudioConfig, AudioFormat, DtlsRole, DtmfFormat, IceCredentials, LegStats, MediaCommand, MediaEvent, MediaShard,
    PlainLegConfig, ShardConfig, WebRtcLegConfig, WebRtcRemote, WebRtcSocket,
};
use crate::rng::Rng;
use crate::rtp::header::RtpPacket;
use crate::rtp::{OutgoingSource, RtpHeader, is_rtcp};

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const WEBRTC_SOCKET: SocketId = SocketId(1);

/// A SIP phone's media: plain RTP on one address, RTCP one above.
pub(super) struct Phone {
    pub(super) address: SocketAddr,
    pub(super) gateway: SocketAddr,
    pub(super) source: OutgoingSource,
    pub(super) heard: Vec<Heard>,
    pub(super) rtcp_heard: Vec<Vec<u8>>,
    outbox: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
}

impl Phone {
    pub(super) fn send_rtp(&mut self, now: Instant, payload_type: u8, timestamp: u32, marker: bool, payload: &[u8]) {
        let header = self.source.next_header(now, payload_type, marker, timestamp);
        self.send_packet(&header, payload);
    }

    pub(super) fn send_packet(&mut self, header: &RtpHeader, payload: &[u8]) {
        let mut packet = header.to_bytes().to_vec();
        packet.extend_from_slice(payload);
        self.outbox.push((self.address, self.gateway, packet));
    }

    pub(super) fn send_rtcp(&mut self, compound: &[u8]) {
        let port = |address: SocketAddr| SocketAddr::new(address.ip(), address.port() + 1);
        self.outbox.push((port(self.address), port(self.gateway), compound.to_vec()));
    }
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) shard: MediaShard,
    pub(super) browsers: Vec<SimulatedBrowser>,
    pub(super) phones: Vec<Phone>,
    pub(super) events: Vec<MediaEvent>,
    pub(super) loss: f64,
    pub(super) jitter_ms: u64,
    /// How often `poll_timeout` was due.
    pub(super) wake_ups: usize,
    under_way: Vec<(Instant, u64, SocketAddr, SocketAddr, Vec<u8>)>,
    order: u64,
    rng: Rng,
    pub(super) certificate: DtlsCertificate,
    pub(super) relayed_in_place: usize,
}

pub(super) fn gateway_address() -> SocketAddr {
    "192.0.2.1:40000".parse().expect("an address")
}

fn plain_address(socket: SocketId) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 20_000 + socket.0 as u16))
}

pub(super) fn gateway_credentials(name: &str) -> IceCredentials {
    IceCredentials { ufrag: format!("gw-{name}"), password: format!("gw-{name}-password-of-22-chars") }
}

/// What is agreed on with a peer that does one codec, DTMF beside it, and 20 ms.
pub(super) fn audio(codec: CodecKind) -> AudioConfig {
    let payload_type = match codec {
        CodecKind::Opus => 111,
        CodecKind::Pcmu => 0,
        CodecKind::Pcma => 8,
    };
    let format = AudioFormat { codec, payload_type };
    let dtmf = DtmfFormat { payload_type: 101, clock_rate_hz: codec.clock_rate_hz() };
    AudioConfig {
        send: true,
        receive: true,
        format,
        accept: vec![format],
        dtmf_send: Some(dtmf),
        dtmf_accept: vec![dtmf],
        comfort_noise: None,
        ptime_ms: 20,
    }
}

pub(super) fn new_shard(now: Instant, certificate: &DtlsCertificate, seed: u8) -> MediaShard {
    let socket = WebRtcSocket { socket: WEBRTC_SOCKET, candidates: vec![gateway_address()] };
    let config = ShardConfig::new(ShardId(0), vec![socket], certificate.clone());
    MediaShard::new(now, config, CryptoProvider::seeded(&[seed; 32]), &[seed; 32]).expect("the configuration is fine")
}

impl World {
    pub(super) fn new(seed: u8) -> World {
        let now = Instant::now();
        let certificate = DtlsCertificate::generate(&CryptoProvider::system(), SystemTime::now()).expect("a key");
        let mut shard = new_shard(now, &certificate, seed);
        shard.handle_wall_clock(now, SystemTime::now());
        World {
            now,
            shard,
            browsers: Vec::new(),
            phones: Vec::new(),
            events: Vec::new(),
            loss: 0.0,
            jitter_ms: 0,
            wake_ups: 0,
            under_way: Vec::new(),
            order: 0,
            rng: Rng::split(&[seed; 32], "link"),
            certificate,
            relayed_in_place: 0,
        }
    }

    pub(super) fn command(&mut self, command: MediaCommand) {
        self.shard.handle_command(self.now, command);
    }

    /// The gateway's half of the description.
    pub(super) fn gateway_description(&self, name: &str, lite: bool, browser_role: DtlsRole) -> WebRtcRemote {
        WebRtcRemote {
            credentials: gateway_credentials(name),
            ice_lite: lite,
            fingerprints: vec![("sha-256".to_owned(), self.certificate.fingerprint_sha256().to_vec())],
            dtls_role: browser_role,
            candidates: vec![candidate_line(gateway_address())],
        }
    }

    /// Adds a browser and its leg. The index in `browsers` is returned; the leg's id is 100 more.
    pub(super) fn add_browser(&mut self, lite: bool, gateway_role: DtlsRole, codec: CodecKind) -> usize {
        let at = self.browsers.len();
        let (leg, name) = (LegId(100 + at as u64), format!("browser{at}"));
        let certificate = DtlsCertificate::generate(&CryptoProvider::system(), SystemTime::now()).expect("a key");
        let address = SocketAddr::from(([198, 51, 100, 7 + at as u8], 50_000));
        let mut browser = SimulatedBrowser::new(self.now, address, certificate, &name);
        self.command(MediaCommand::AddWebRtcLeg(Box::new(WebRtcLegConfig {
            leg,
            local: gateway_credentials(&name),
            ice_lite: lite,
            controlling: false,
            ssrc: 0x1000 + at as u32,
            cname: format!("cname{at}"),
        })));
        let remote = Box::new(browser.description(gateway_role, true));
        self.command(MediaCommand::SetWebRtcRemote { leg, remote });
        self.command(MediaCommand::SetAudio { leg, audio: Box::new(audio(codec)) });
        let browser_role = match gateway_role {
            DtlsRole::Client => DtlsRole::Server,
            DtlsRole::Server => DtlsRole::Client,
        };
        browser.set_remote(self.now, &self.gateway_description(&name, lite, browser_role));
        self.browsers.push(browser);
        at
    }

    /// Adds a phone and its leg. The index in `phones` is returned; the leg's id is 200 more.
    pub(super) fn add_phone(&mut self, codec: CodecKind) -> usize {
        let at = self.phones.len();
        let leg = LegId(200 + at as u64);
        let (rtp_socket, rtcp_socket) = (SocketId(10 + 2 * at as u32), SocketId(11 + 2 * at as u32));
        let address = SocketAddr::from(([203, 0, 113, 20 + at as u8], 30_000));
        self.command(MediaCommand::AddPlainLeg(PlainLegConfig {
            leg,
            rtp_socket,
            rtcp_socket,
            ssrc: 0x2000 + at as u32,
            cname: format!("phone-cname{at}"),
        }));
        let rtcp = SocketAddr::new(address.ip(), address.port() + 1);
        self.command(MediaCommand::SetPlainRemote { leg, rtp: address, rtcp });
        self.command(MediaCommand::SetAudio { leg, audio: Box::new(audio(codec)) });
        let source = OutgoingSource::new(0xfee0 + at as u32, 65_500, 0xffff_f000);
        self.phones.push(Phone {
            address,
            gateway: plain_address(rtp_socket),
            source,
            heard: Vec::new(),
            rtcp_heard: Vec::new(),
            outbox: Vec::new(),
        });
        at
    }

    fn put(&mut self, from: SocketAddr, to: SocketAddr, datagram: Vec<u8>) {
        if self.rng.chance(self.loss) {
            return;
        }
        let arrival = self.now + (2 + self.rng.below(self.jitter_ms + 1)) as u32 * MS;
        self.order += 1;
        self.under_way.push((arrival, self.order, from, to, datagram));
    }

    /// One millisecond.
    pub(super) fn step(&mut self) {
        self.now += MS;
        let (mut due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.under_way).into_iter().partition(|packet| packet.0 <= self.now);
        self.under_way = later;
        due.sort_by_key(|packet| (packet.0, packet.1));
        for (_, _, from, to, datagram) in due {
            self.deliver(from, to, &datagram);
        }
        for browser in &mut self.browsers {
            browser.handle_timeout(self.now);
        }
        if self.shard.poll_timeout().is_some_and(|due| due <= self.now) {
            self.wake_ups += 1;
            self.shard.handle_timeout(self.now);
        }
        self.collect();
    }

    fn collect(&mut self) {
        let mut storage = [0; 1500];
        loop {
            let mut out = PacketBuf::empty(&mut storage, 0);
            let Some(transmit) = self.shard.poll_transmit(self.now, &mut out) else { break };
            let datagram = out.as_slice().to_vec();
            self.put_transmit(transmit, datagram);
        }
        while let Some(event) = self.shard.poll_event() {
            self.events.push(event);
        }
        for at in 0..self.browsers.len() {
            let from = self.browsers[at].address;
            while let Some((to, datagram)) = self.browsers[at].poll_transmit() {
                self.put(from, to, datagram);
            }
        }
        for at in 0..self.phones.len() {
            for (from, to, datagram) in std::mem::take(&mut self.phones[at].outbox) {
                self.put(from, to, datagram);
            }
        }
    }

    fn put_transmit(&mut self, transmit: Transmit, datagram: Vec<u8>) {
        let Transmit::Datagram { socket, destination } = transmit else { panic!("media has no byte streams") };
        let from = if socket == WEBRTC_SOCKET { gateway_address() } else { plain_address(socket) };
        self.put(from, destination, datagram);
    }

    /// Brings a datagram to whoever has that address.
    pub(super) fn deliver(&mut self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        if to.ip() == gateway_address().ip() {
            let socket = if to == gateway_address() { WEBRTC_SOCKET } else { SocketId(u32::from(to.port()) - 20_000) };
            let mut storage = [0; 1600];
            storage[..datagram.len()].copy_from_slice(datagram);
            let mut packet = PacketBuf::filled(&mut storage, 0, datagram.len());
            if let Some(transmit) = self.shard.handle_datagram(self.now, socket, from, &mut packet) {
                self.relayed_in_place += 1;
                let datagram = packet.as_slice().to_vec();
                self.put_transmit(transmit, datagram);
            }
            return;
        }
        if let Some(browser) = self.browsers.iter_mut().find(|browser| browser.address == to) {
            browser.handle_datagram(self.now, from, datagram);
        }
        for phone in &mut self.phones {
            if phone.address == to && !is_rtcp(datagram) {
                let parsed = RtpPacket::parse(datagram).expect("the gateway sends RTP");
                let index = u64::from(parsed.header.sequence);
                let payload = parsed.payload.to_vec();
                phone.heard.push(Heard { at: self.now, header: parsed.header, payload, index });
            } else if phone.address.ip() == to.ip() && is_rtcp(datagram) {
                phone.rtcp_heard.push(datagram.to_vec());
            }
        }
    }

    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.step();
        }
    }

    pub(super) fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&World) -> bool) -> bool {
        let end = self.now + limit;
        while self.now < end {
            self.step();
            if done(self) {
                return true;
            }
        }
        false
    }

    pub(super) fn saw(&self, wanted: impl Fn(&MediaEvent) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }

    pub(super) fn connected(&self, leg: u64) -> usize {
        self.saw(|event| matches!(event, MediaEvent::Connected { leg: seen } if *seen == LegId(leg)))
    }

    /// The figures of a bridged leg from its last report.
    pub(super) fn last_figures(&self, leg: u64) -> LegStats {
        let figures = self.events.iter().rev().find_map(|event| match event {
            MediaEvent::Stats { leg: of, stats } if *of == LegId(leg) => Some(*stats),
            _ => None,
        });
        figures.expect("a bridged leg reports")
    }

    /// A browser and a phone in a call, connected.
    pub(super) fn call(seed: u8, browser_codec: CodecKind, phone_codec: CodecKind) -> World {
        let mut world = World::new(seed);
        world.add_browser(true, DtlsRole::Server, browser_codec);
        world.add_phone(phone_codec);
        world.command(MediaCommand::Bridge { a: LegId(100), b: LegId(200) });
        assert!(world.run_until(Duration::from_secs(3), |world| world.connected(100) == 1));
        world
    }
}
