//! A gateway in one thread: both planes of the core driven from one plain loop over UDP sockets, without a runtime.
//!
//! ```text
//! cargo run --package examples --bin one_loop -- 127.0.0.1:5060 127.0.0.1:7000
//! ```
//! The first address takes SIP; the second one takes clients, one JSON-RPC message in each datagram instead of a
//! WebSocket frame. Port 0 takes any; what was taken is printed. Everybody's password is their name: this shows how the
//! core is driven, not how a gateway is run. A real loop would wait with epoll instead of looking once a millisecond.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use webrtc_sip_core::crypto::{CryptoProvider, DtlsCertificate};
use webrtc_sip_core::gateway::{
    Answer, Gateway, GatewayConfig, GatewayEvent, Identity, IdentityError, MediaPorts, Request, ShardAddresses,
    SipSocket,
};
use webrtc_sip_core::ids::{LinkId, ShardId};
use webrtc_sip_core::io::{PacketBuf, SocketId, Transmit};
use webrtc_sip_core::media::{MediaShard, ShardConfig, WebRtcSocket};
use webrtc_sip_core::net::IpNetwork;

const SIP: SocketId = SocketId(0);
const WEBRTC: SocketId = SocketId(1);
const SHARD: ShardId = ShardId(0);
/// Room in front of a packet, for a header that grows.
const HEADROOM: usize = 64;
/// Any datagram, with room before and after it.
const SLOT: usize = HEADROOM + 65_535 + 64;
const MAX_CLIENTS: usize = 100;
/// Datagrams of one socket before the others have their turn.
const BUDGET: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let addresses: Vec<String> = std::env::args().skip(1).collect();
    let [sip, clients] = addresses.as_slice() else { return Err("usage: one_loop SIP_ADDRESS CLIENT_ADDRESS".into()) };
    let mut gateway = OneLoop::new(sip.parse()?, clients.parse()?)?;
    println!("SIP {} clients {}", gateway.sockets[&SIP].local_addr()?, gateway.clients.local_addr()?);
    let mut storage = vec![0; SLOT];
    loop {
        let received = gateway.receive(&mut storage);
        gateway.handle_timeouts();
        gateway.drain(&mut storage);
        if !received {
            std::thread::sleep(gateway.wait());
        }
    }
}

struct OneLoop {
    gateway: Gateway,
    shard: MediaShard,
    /// SIP, WebRTC, and two for each plain leg.
    sockets: BTreeMap<SocketId, UdpSocket>,
    next_socket: u32,
    clients: UdpSocket,
    links: BTreeMap<LinkId, SocketAddr>,
    next_link: u64,
}

impl OneLoop {
    fn new(sip: SocketAddr, clients: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let (now, crypto) = (Instant::now(), CryptoProvider::system());
        let (sip, webrtc) = (bind(sip)?, bind(SocketAddr::new(sip.ip(), 0))?);
        let (sip_address, webrtc_address) = (sip.local_addr()?, webrtc.local_addr()?);
        let certificate = DtlsCertificate::generate(&crypto, SystemTime::now())?;
        let config = GatewayConfig {
            sip_sockets: vec![SipSocket { socket: SIP, bound: sip_address, advertised: sip_address }],
            shards: vec![ShardAddresses { shard: SHARD, candidates: vec![webrtc_address] }],
            certificate_fingerprint: certificate.fingerprint_sha256(),
            trusted: vec![IpNetwork { address: IpAddr::from([127, 0, 0, 0]), prefix_len: 8 }],
            ..GatewayConfig::default()
        };
        let webrtc_socket = WebRtcSocket { socket: WEBRTC, candidates: vec![webrtc_address] };
        let shard_config = ShardConfig::new(SHARD, vec![webrtc_socket], certificate);
        Ok(OneLoop {
            gateway: Gateway::new(now, SystemTime::now(), config, crypto.clone(), &crypto.bytes()),
            shard: MediaShard::new(now, shard_config, crypto.clone(), &crypto.bytes())?,
            sockets: BTreeMap::from([(SIP, sip), (WEBRTC, webrtc)]),
            next_socket: WEBRTC.0 + 1,
            clients: bind(clients)?,
            links: BTreeMap::new(),
            next_link: 1,
        })
    }

    /// Takes in what has arrived; says whether there was anything.
    fn receive(&mut self, storage: &mut [u8]) -> bool {
        let mut received = false;
        for (id, socket) in &self.sockets {
            for _ in 0..BUDGET {
                // Besides "nothing there" an error is an ICMP message about something sent earlier.
                let Ok((len, source)) = socket.recv_from(&mut storage[HEADROOM..SLOT - HEADROOM]) else { break };
                received = true;
                let now = Instant::now();
                let mut packet = PacketBuf::filled(storage, HEADROOM, len);
                if *id == SIP {
                    self.gateway.handle_sip_datagram(now, SIP, source, packet.as_slice());
                } else if let Some(transmit) = self.shard.handle_datagram(now, *id, source, &mut packet) {
                    // Relayed in place.
                    send(&self.sockets, transmit, packet.as_slice());
                }
            }
        }
        while let Ok((len, source)) = self.clients.recv_from(storage) {
            received = true;
            if let Some(link) = self.link_of(source) {
                self.gateway.handle_client_message(Instant::now(), link, None, &storage[..len]);
            }
        }
        received
    }

    /// The first message of an address opens a link.
    fn link_of(&mut self, client: SocketAddr) -> Option<LinkId> {
        if let Some((link, _)) = self.links.iter().find(|(_, address)| **address == client) {
            return Some(*link);
        }
        if self.links.len() >= MAX_CLIENTS {
            return None;
        }
        let link = LinkId(self.next_link);
        self.next_link += 1;
        self.links.insert(link, client);
        self.gateway.handle_websocket_opened(Instant::now(), link);
        Some(link)
    }

    fn handle_timeouts(&mut self) {
        let now = Instant::now();
        if self.gateway.poll_timeout().is_some_and(|due| due <= now) {
            self.gateway.handle_timeout(now);
        }
        if self.shard.poll_timeout().is_some_and(|due| due <= now) {
            self.shard.handle_timeout(now);
        }
    }

    /// Sends and does all that is ready. The planes give each other more to do, so it goes round until nothing is left.
    fn drain(&mut self, storage: &mut [u8]) {
        let mut idle = false;
        while !idle {
            idle = true;
            let now = Instant::now();
            let mut packet = PacketBuf::empty(storage, HEADROOM);
            while let Some(transmit) =
                self.gateway.poll_transmit(now, &mut packet).or_else(|| self.shard.poll_transmit(now, &mut packet))
            {
                send(&self.sockets, transmit, packet.as_slice());
                packet.clear(HEADROOM);
                idle = false;
            }
            while let Some(event) = self.shard.poll_event() {
                self.gateway.handle_media_event(now, event);
                idle = false;
            }
            while let Some(event) = self.gateway.poll_event() {
                self.execute(now, event);
                idle = false;
            }
        }
    }

    fn execute(&mut self, now: Instant, event: GatewayEvent) {
        match event {
            GatewayEvent::Media { command, .. } => self.shard.handle_command(now, command),
            GatewayEvent::ClientSend { link, text } => {
                if let Some(client) = self.links.get(&link) {
                    // Lost, as datagrams may be; a client asks again.
                    let _ = self.clients.send_to(text.as_bytes(), client);
                }
            }
            GatewayEvent::ClientClose { link, .. } => drop(self.links.remove(&link)),
            GatewayEvent::Request { id, request } => {
                let answer = self.answer(request);
                self.gateway.handle_answer(now, id, answer);
            }
            GatewayEvent::ReleaseMediaPorts { rtp, rtcp, .. } => {
                self.sockets.remove(&rtp);
                self.sockets.remove(&rtcp);
            }
            // SIP over UDP only.
            GatewayEvent::OpenFlow { flow, .. } => self.gateway.handle_flow_closed(now, flow),
            GatewayEvent::CallEnded(record) => println!("{} ended: {}", record.call, record.reason.name()),
            // There is no proxy.
            GatewayEvent::Proxy(_) => {}
            GatewayEvent::CloseFlow { .. } | GatewayEvent::CallSnapshot { .. } | GatewayEvent::Drained => {}
        }
    }

    fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::Authenticate { user, password, .. } if user == password => {
                Answer::Identity(Ok(Identity { user, display_name: None, sip_credentials: None }))
            }
            Request::Authenticate { .. } => Answer::Identity(Err(IdentityError::Refused)),
            Request::BindMediaPorts { shard, .. } => Answer::MediaPorts(self.bind_pair(shard).ok()),
            Request::Resolve { host } => {
                let addresses = (host.as_str(), 0).to_socket_addrs().map(|found| found.map(|each| each.ip()).collect());
                Answer::Addresses(addresses.unwrap_or_default())
            }
        }
    }

    /// RTCP is on the port after RTP (RFC 3550 section 11).
    fn bind_pair(&mut self, shard: ShardId) -> io::Result<MediaPorts> {
        let ip = self.sockets[&SIP].local_addr()?.ip();
        let rtp = bind(SocketAddr::new(ip, 0))?;
        let advertised = rtp.local_addr()?;
        let rtcp = bind(SocketAddr::new(ip, advertised.port().saturating_add(1)))?;
        let ids = [SocketId(self.next_socket), SocketId(self.next_socket + 1)];
        self.next_socket += 2;
        self.sockets.extend(ids.into_iter().zip([rtp, rtcp]));
        Ok(MediaPorts { shard, rtp: ids[0], rtcp: ids[1], advertised })
    }

    /// Until the next deadline, but a packet may come any time.
    fn wait(&self) -> Duration {
        let due = [self.gateway.poll_timeout(), self.shard.poll_timeout()].into_iter().flatten().min();
        let left = due.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
        left.min(Duration::from_millis(1))
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn send(sockets: &BTreeMap<SocketId, UdpSocket>, transmit: Transmit, bytes: &[u8]) {
    if let Transmit::Datagram { socket, destination } = transmit
        && let Some(socket) = sockets.get(&socket)
    {
        // What the system doesn't take is lost, which SIP, ICE, DTLS and RTP are made for.
        let _ = socket.send_to(bytes, destination);
    }
}
