//! A call that goes on, with sound, while other things happen: a browser made of the core's parts talks to `echo`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use webrtc_sip_core::crypto::{CryptoProvider, DtlsCertificate};
use webrtc_sip_core::io::PacketBuf;
use webrtc_sip_core::rtp::srtp::{SrtpReceiver, SrtpSender};
use webrtc_sip_core::rtp::{RtpHeader, is_rtcp};
use webrtc_sip_core::transport::WebRtcRemote;
use webrtc_sip_core::transport::webrtc::{DtlsContext, Route, WebRtcConfig, WebRtcTransport};

use super::client::{Client, ice_credentials, negotiator};
use super::{PATIENCE, eventually};

const FRAME: Duration = Duration::from_millis(20);
const HEARTBEAT: Duration = Duration::from_secs(3);
const HEADROOM: usize = 64;

/// The call; it ends with this.
pub(crate) struct HealthyCall {
    heard: Arc<AtomicU64>,
    /// What the gateway told besides figures.
    told: Arc<Mutex<Vec<Value>>>,
    /// Where the gateway takes this call's media.
    pub(crate) media: SocketAddr,
    task: JoinHandle<()>,
}

impl HealthyCall {
    /// Signs `1001` in and calls `echo`; returns when the echo is heard.
    pub(crate) async fn start(gateway: SocketAddr) -> Self {
        let mut client = Client::sign_in(gateway, "1001").await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
        let mut browser = Browser::new(&socket);
        let media = browser.call(&mut client).await;
        let (heard, told) = (Arc::default(), Arc::default());
        let task = tokio::spawn(browser.run(client, socket, Arc::clone(&heard), Arc::clone(&told)));
        let call = HealthyCall { heard, told, media, task };
        assert!(eventually(PATIENCE, async || call.heard.load(Ordering::Relaxed) > 10).await, "the echo is heard");
        call.told.lock().expect("nobody panics").clear();
        call
    }

    /// Packets heard so far.
    pub(crate) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Fails when the call noticed something, or hears less than nearly all of what it says from now on.
    pub(crate) async fn noticed_nothing(&self) {
        let before = self.heard();
        tokio::time::sleep(25 * FRAME).await;
        let heard = self.heard() - before;
        assert!(heard >= 20, "of 25 packets {heard} came back");
        let told = self.told.lock().expect("nobody panics");
        assert!(told.is_empty(), "{told:?}");
    }
}

impl Drop for HealthyCall {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Browser {
    address: SocketAddr,
    fingerprint: [u8; 32],
    transport: WebRtcTransport,
    srtp: Option<(SrtpSender, SrtpReceiver)>,
    header: RtpHeader,
}

impl Browser {
    fn new(socket: &UdpSocket) -> Self {
        let address = socket.local_addr().expect("it is bound");
        let certificate = DtlsCertificate::generate(&CryptoProvider::system(), SystemTime::now()).expect("it is made");
        let context = DtlsContext::new(&certificate, PATIENCE).expect("the time-out is valid");
        let config = WebRtcConfig {
            local: ice_credentials(),
            ice_lite: false,
            controlling: true,
            tie_breaker: 7,
            candidates: vec![address],
            ice_timeout: PATIENCE,
        };
        Browser {
            address,
            fingerprint: certificate.fingerprint_sha256(),
            transport: WebRtcTransport::new(Instant::now(), Arc::new(context), &config),
            srtp: None,
            header: RtpHeader { payload_type: 0, marker: false, sequence: 0, timestamp: 0, ssrc: 7 },
        }
    }

    async fn call(&mut self, client: &mut Client) -> SocketAddr {
        let mut negotiator = negotiator(self.address, self.fingerprint, ice_credentials());
        let (sdp, pending) = negotiator.offer(None);
        let response = client.request("call.create", json!({ "to": "echo", "sdp": sdp })).await;
        let answer = response["result"]["sdp"].as_str().unwrap_or_else(|| panic!("{response}"));
        let remote = negotiator.accept_answer(pending, answer).expect("the answer fits").remote;
        let remote = WebRtcRemote {
            credentials: remote.ice.clone(),
            ice_lite: remote.ice_lite,
            fingerprints: remote.fingerprints.iter().map(|f| (f.algorithm.clone(), f.digest.clone())).collect(),
            dtls_role: remote.dtls_role,
            candidates: remote.candidates.clone(),
        };
        self.transport.set_remote(Instant::now(), &remote);
        let mut words = remote.candidates[0].split(' ').skip(4);
        let mut word = || words.next().expect("a candidate has an address and a port");
        SocketAddr::new(word().parse().expect("an address"), word().parse().expect("a port"))
    }

    async fn run(mut self, mut client: Client, socket: UdpSocket, heard: Arc<AtomicU64>, told: Arc<Mutex<Vec<Value>>>) {
        let mut buffer = [0; 2048];
        let mut speak = tokio::time::interval(FRAME);
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        loop {
            self.flush(&socket).await;
            let due = self.transport.poll_timeout().unwrap_or_else(|| Instant::now() + FRAME);
            tokio::select! {
                received = socket.recv_from(&mut buffer) => {
                    let (len, source) = received.expect("the socket works");
                    if self.take(source, &mut buffer[..len]) {
                        heard.fetch_add(1, Ordering::Relaxed);
                    }
                }
                _ = speak.tick() => self.speak(&socket).await,
                _ = heartbeat.tick() => drop(client.send("session.heartbeat", json!({})).await),
                message = futures_util::StreamExt::next(&mut client.socket) => {
                    // The link ends with the gateway.
                    let Some(Ok(frame)) = message else { return };
                    let message: Value = serde_json::from_str(&frame.into_text().unwrap_or_default()).unwrap_or_default();
                    let is_answer = message["id"].is_u64() && message["result"].is_object();
                    if !is_answer && message["method"] != "call.stats" {
                        told.lock().expect("nobody panics").push(message);
                    }
                }
                () = tokio::time::sleep_until(due.into()) => self.transport.handle_timeout(Instant::now()),
            }
        }
    }

    /// Takes in a datagram; says whether it was sound.
    fn take(&mut self, source: SocketAddr, bytes: &mut [u8]) -> bool {
        let (now, route) = (Instant::now(), Route { local: self.address, remote: source });
        match bytes.first() {
            Some(0..=3) => drop(self.transport.handle_stun(now, route, bytes)),
            Some(20..=63) => drop(self.transport.handle_dtls(now, route, bytes)),
            Some(128..=191) if !is_rtcp(bytes) => {
                let len = bytes.len();
                let mut packet = PacketBuf::filled(bytes, 0, len);
                return self.srtp.as_mut().is_some_and(|(_, receiver)| receiver.unprotect_rtp(&mut packet).is_ok());
            }
            _ => {}
        }
        false
    }

    async fn flush(&mut self, socket: &UdpSocket) {
        while self.transport.poll_event().is_some() {}
        if self.srtp.is_none()
            && let Some(keys) = self.transport.keys()
        {
            self.srtp = Some((SrtpSender::new(&keys.local), SrtpReceiver::new(&keys.remote, 16)));
        }
        while let Some((route, bytes)) = self.transport.poll_transmit() {
            socket.send_to(&bytes, route.remote).await.expect("the socket works");
        }
    }

    async fn speak(&mut self, socket: &UdpSocket) {
        let (Some((sender, _)), Some(route)) = (self.srtp.as_mut(), self.transport.media_route()) else { return };
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(160);
        let mut storage = [0; 512];
        let mut packet = PacketBuf::empty(&mut storage, HEADROOM);
        self.header.write_packet(&[0x55; 160], &mut packet).expect("the buffer is large enough");
        sender.protect_rtp(&mut packet).expect("there is room for the tag");
        socket.send_to(packet.as_slice(), route.remote).await.expect("the socket works");
    }
}
