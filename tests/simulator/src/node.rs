//! One gateway instance: a control plane, its media shards, and the shell around them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Instant, SystemTime};

use webrtc_sip_core::crypto::{CryptoProvider, DtlsCertificate};
use webrtc_sip_core::gateway::{
    Answer, CallRecord, Gateway, GatewayConfig, GatewayEvent, Identity, IdentityError, MediaPorts, Request, Route,
    ShardAddresses, SipSocket,
};
use webrtc_sip_core::ids::{RequestId, ShardId};
use webrtc_sip_core::io::{PacketBuf, SocketId, Transmit};
use webrtc_sip_core::media::{MediaShard, ShardConfig, WebRtcSocket};
use webrtc_sip_core::net::IpNetwork;
use webrtc_sip_core::rng::Seed;

use crate::network::{Arrival, Network};
use crate::tap::SrtpTap;

/// Room for any datagram, with headroom before it.
const SLOT: usize = 65_536 + 64;
const HEADROOM: usize = 64;
const SIP_PORT: u16 = 5060;
const WEBRTC_PORT: u16 = 40_000;
/// First RTP port; each leg takes two.
const RTP_PORT: u16 = 20_000;

/// What a node is made of.
#[derive(Clone, Debug)]
pub struct NodeSetup {
    /// Its address.
    pub ip: IpAddr,
    /// Media shards.
    pub shards: u16,
    /// Where numbers lead that aren't users'.
    pub routes: Vec<Route>,
    /// The certificate that all nodes of a cluster share.
    pub certificate: DtlsCertificate,
    /// Further settings; sockets, shards, routes, certificate and trusted networks are overwritten.
    pub config: GatewayConfig,
}

/// One gateway instance.
#[derive(Debug)]
pub struct Node {
    ip: IpAddr,
    /// The control plane, to be looked at and commanded by a test.
    pub gateway: Gateway,
    shards: Vec<MediaShard>,
    sockets: BTreeMap<SocketAddr, (SocketId, Owner)>,
    addresses: BTreeMap<SocketId, SocketAddr>,
    next_port: u16,
    /// Every call that ended here.
    pub ended: Vec<CallRecord>,
    /// Snapshots of calls that were asked for.
    pub snapshots: Vec<Box<webrtc_sip_core::gateway::CallSnapshot>>,
    storage: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Owner {
    Sip,
    Shard(usize),
}

impl Node {
    pub(crate) fn new(
        now: Instant,
        wall_clock: SystemTime,
        setup: NodeSetup,
        crypto: &CryptoProvider,
        seed: &Seed,
    ) -> Self {
        let NodeSetup { ip, shards, routes, certificate, config } = setup;
        let sip = SocketAddr::new(ip, SIP_PORT);
        let webrtc = |shard: u16| SocketAddr::new(ip, WEBRTC_PORT + shard);
        let config = GatewayConfig {
            sip_sockets: vec![SipSocket { socket: SocketId(0), bound: sip, advertised: sip }],
            shards: (0..shards)
                .map(|n| ShardAddresses { shard: ShardId(n.into()), candidates: vec![webrtc(n)] })
                .collect(),
            certificate_fingerprint: certificate.fingerprint_sha256(),
            routes,
            trusted: vec![IpNetwork { address: "10.0.0.0".parse().expect("it is an address"), prefix_len: 8 }],
            ..config
        };
        let mut sockets = BTreeMap::from([(sip, (SocketId(0), Owner::Sip))]);
        let mut media = Vec::new();
        for n in 0..shards {
            let socket = SocketId(u32::from(n) + 1);
            sockets.insert(webrtc(n), (socket, Owner::Shard(n.into())));
            let webrtc_sockets = vec![WebRtcSocket { socket, candidates: vec![webrtc(n)] }];
            let config = ShardConfig::new(ShardId(n.into()), webrtc_sockets, certificate.clone());
            media.push(MediaShard::new(now, config, crypto.clone(), seed).expect("the default time-outs are valid"));
        }
        let addresses = sockets.iter().map(|(address, (socket, _))| (*socket, *address)).collect();
        Node {
            ip,
            gateway: Gateway::new(now, wall_clock, config, crypto.clone(), seed),
            shards: media,
            sockets,
            addresses,
            next_port: RTP_PORT,
            ended: Vec::new(),
            snapshots: Vec::new(),
            storage: vec![0; SLOT],
        }
    }

    /// Its address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Where it takes SIP.
    pub fn sip_address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, SIP_PORT)
    }

    /// RTP ports in use, two a leg.
    pub fn media_ports(&self) -> usize {
        self.sockets.keys().filter(|address| (RTP_PORT..WEBRTC_PORT).contains(&address.port())).count()
    }

    /// Every address it receives datagrams at.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.sockets.keys().copied()
    }

    /// The media planes, to be looked at by a test.
    pub fn shards(&self) -> &[MediaShard] {
        &self.shards
    }

    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        net: &mut Wire<'_>,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) {
        let Some((socket, owner)) = self.sockets.get(&to).copied() else { return };
        match owner {
            Owner::Sip => self.gateway.handle_sip_datagram(now, socket, from, bytes),
            Owner::Shard(shard) => {
                let Some(room) = self.storage.get_mut(HEADROOM..HEADROOM + bytes.len()) else { return };
                room.copy_from_slice(bytes);
                let mut packet = PacketBuf::filled(&mut self.storage, HEADROOM, bytes.len());
                let route = self.shards[shard].handle_datagram(now, socket, from, &mut packet);
                if let Some(Transmit::Datagram { socket, destination }) = route {
                    let from = self.addresses[&socket];
                    net.send(now, from, destination, packet.as_slice());
                }
            }
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.gateway.poll_timeout().is_some_and(|due| due <= now) {
            self.gateway.handle_timeout(now);
        }
        for shard in &mut self.shards {
            if shard.poll_timeout().is_some_and(|due| due <= now) {
                shard.handle_timeout(now);
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.shards.iter().map(MediaShard::poll_timeout).chain([self.gateway.poll_timeout()]).flatten().min()
    }

    /// Carries out everything that is ready, until nothing is; in one order or in the other.
    pub(crate) fn drain(&mut self, now: Instant, net: &mut Wire<'_>, reversed: bool) {
        let mut steps = [Node::send_sip, Node::drain_shards, Node::execute_events];
        if reversed {
            steps.reverse();
        }
        // Each step says whether there was anything; all of them are taken in each round.
        while steps.iter().fold(false, |busy, step| step(self, now, net) | busy) {}
    }

    fn send_sip(&mut self, now: Instant, net: &mut Wire<'_>) -> bool {
        let mut busy = false;
        let mut out = PacketBuf::empty(&mut self.storage, HEADROOM);
        while let Some(transmit) = self.gateway.poll_transmit(now, &mut out) {
            if let Transmit::Datagram { socket, destination } = transmit {
                net.send(now, self.addresses[&socket], destination, out.as_slice());
            }
            out.clear(HEADROOM);
            busy = true;
        }
        busy
    }

    fn drain_shards(&mut self, now: Instant, net: &mut Wire<'_>) -> bool {
        let mut busy = false;
        let mut out = PacketBuf::empty(&mut self.storage, HEADROOM);
        for shard in &mut self.shards {
            while let Some(transmit) = shard.poll_transmit(now, &mut out) {
                if let Transmit::Datagram { socket, destination } = transmit
                    && let Some(from) = self.addresses.get(&socket)
                {
                    net.send(now, *from, destination, out.as_slice());
                }
                out.clear(HEADROOM);
                busy = true;
            }
            while let Some(event) = shard.poll_event() {
                self.gateway.handle_media_event(now, event);
                busy = true;
            }
        }
        busy
    }

    fn execute_events(&mut self, now: Instant, net: &mut Wire<'_>) -> bool {
        let mut busy = false;
        while let Some(event) = self.gateway.poll_event() {
            self.execute(now, net, event);
            busy = true;
        }
        busy
    }

    fn execute(&mut self, now: Instant, net: &mut Wire<'_>, event: GatewayEvent) {
        match event {
            GatewayEvent::Media { shard, command } => {
                if let Some(shard) = self.shards.get_mut(shard.0 as usize) {
                    shard.handle_command(now, command);
                }
            }
            GatewayEvent::ClientSend { link, text } => net.network.send_message(now, Arrival::ToClient { link, text }),
            GatewayEvent::ClientClose { link, .. } => net.network.send_message(now, Arrival::ClientClosed { link }),
            GatewayEvent::Request { id, request } => self.answer(now, id, request),
            GatewayEvent::ReleaseMediaPorts { rtp, rtcp, .. } => {
                for socket in [rtp, rtcp] {
                    if let Some(address) = self.addresses.remove(&socket) {
                        self.sockets.remove(&address);
                    }
                }
            }
            GatewayEvent::CallEnded(record) => self.ended.push(*record),
            GatewayEvent::CallSnapshot { snapshot, .. } => self.snapshots.extend(snapshot),
            GatewayEvent::OpenFlow { flow, .. } => self.gateway.handle_flow_closed(now, flow),
            GatewayEvent::CloseFlow { .. } | GatewayEvent::Proxy(_) | GatewayEvent::Drained => {}
        }
    }

    /// The answers of a shell: every user's password is their name.
    fn answer(&mut self, now: Instant, id: RequestId, request: Request) {
        let answer = match request {
            Request::Authenticate { user, password, .. } if user == password => {
                Answer::Identity(Ok(Identity { user, display_name: None, sip_credentials: None }))
            }
            Request::Authenticate { .. } => Answer::Identity(Err(IdentityError::Refused)),
            Request::BindMediaPorts { shard, .. } => Answer::MediaPorts(Some(self.bind(shard))),
            Request::Resolve { .. } => Answer::Addresses(Vec::new()),
        };
        self.gateway.handle_answer(now, id, answer);
    }

    fn bind(&mut self, shard: ShardId) -> MediaPorts {
        while self.sockets.contains_key(&SocketAddr::new(self.ip, self.next_port)) {
            self.advance_port();
        }
        let port = self.next_port;
        self.advance_port();
        let [rtp, rtcp] = [port, port + 1].map(|port| {
            let (socket, address) = (SocketId(port.into()), SocketAddr::new(self.ip, port));
            self.sockets.insert(address, (socket, Owner::Shard(shard.0 as usize)));
            self.addresses.insert(socket, address);
            socket
        });
        MediaPorts { shard, rtp, rtcp, advertised: SocketAddr::new(self.ip, port) }
    }

    fn advance_port(&mut self) {
        self.next_port = if self.next_port + 2 < WEBRTC_PORT { self.next_port + 2 } else { RTP_PORT };
    }
}

/// The network with somebody listening in.
pub(crate) struct Wire<'a> {
    pub(crate) network: &'a mut Network,
    pub(crate) tap: &'a mut SrtpTap,
    pub(crate) profiles: &'a BTreeMap<SocketAddr, webrtc_sip_core::rtp::srtp::SrtpProfile>,
}

impl Wire<'_> {
    fn send(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if let Some(profile) = self.profiles.get(&to) {
            self.tap.watch(to, bytes, Some(*profile));
        }
        self.network.send_datagram(now, from, to, bytes);
    }
}
