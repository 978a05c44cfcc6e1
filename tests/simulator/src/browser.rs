//! A browser with the softphone page in it: the signalling client, full ICE, DTLS-SRTP, a voice and an ear.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use webrtc_sip_core::codec::CodecKind;
use webrtc_sip_core::crypto::{CryptoProvider, DtlsCertificate};
use webrtc_sip_core::ids::LinkId;
use webrtc_sip_core::io::PacketBuf;
use webrtc_sip_core::rng::{Rng, Seed};
use webrtc_sip_core::rtp::is_rtcp;
use webrtc_sip_core::rtp::srtp::{SrtpProfile, SrtpReceiver, SrtpSender};
use webrtc_sip_core::sdp::{AgreedWebRtc, IceCredentials, PendingWebRtcOffer, WebRtcLocal, WebRtcNegotiator};
use webrtc_sip_core::transport::WebRtcRemote;
use webrtc_sip_core::transport::webrtc::{DtlsContext, Route, WebRtcConfig, WebRtcEvent, WebRtcTransport};

use crate::audio::{Ear, Voice};
use crate::network::{Arrival, Network};
use crate::phone::seed_of;

const HEARTBEAT: Duration = Duration::from_secs(4);
/// First media port; each call has one.
const MEDIA_PORT: u16 = 50_000;
const SLOT: usize = 2048;
const HEADROOM: usize = 64;

/// Where the browser's call is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrowserState {
    /// No call.
    Idle,
    /// It called and waits.
    Calling,
    /// The far side rings.
    Ringing,
    /// It is being called.
    Incoming,
    /// It talks.
    Talking,
}

/// A browser with one line; further calls find it busy.
pub struct Browser {
    ip: IpAddr,
    user: String,
    crypto: CryptoProvider,
    rng: Rng,
    context: Arc<DtlsContext>,
    fingerprint: [u8; 32],
    codecs: Vec<CodecKind>,
    link: Option<LinkId>,
    token: Option<String>,
    last_seq: u64,
    next_rpc: u64,
    pending: BTreeMap<u64, &'static str>,
    heartbeat_at: Option<Instant>,
    outgoing: VecDeque<String>,
    call: Option<Call>,
    calls: u16,
    /// Its gateway died: what another instance doesn't know of will never end.
    orphaned: bool,
    /// Calls that it was told the id of, and how often it was told that each has ended.
    known: BTreeMap<String, u32>,
    /// Reasons of the calls that ended, in order.
    pub ended: Vec<String>,
    /// `reason`s of the requests that failed, in order.
    pub errors: Vec<String>,
    /// Methods of the notifications that came, in order, without the periodic ones.
    pub notified: Vec<String>,
}

struct Call {
    id: Option<String>,
    state: BrowserState,
    /// Who is at the other end, as dialled or as shown.
    far: String,
    /// Who holds: we, the far side.
    held_by: [bool; 2],
    negotiator: WebRtcNegotiator,
    offer_from_gateway: Option<String>,
    pending: Option<PendingWebRtcOffer>,
    transport: WebRtcTransport,
    agreed: Option<AgreedWebRtc>,
    srtp: Option<(SrtpSender, SrtpReceiver)>,
    voice: Option<Voice>,
    ear: Ear,
    address: SocketAddr,
    ssrc: u32,
}

impl Browser {
    /// At this address, for this user, whose password is their name.
    pub fn new(
        ip: IpAddr,
        user: &str,
        codecs: Vec<CodecKind>,
        wall_clock: SystemTime,
        crypto: &CryptoProvider,
        seed: &Seed,
    ) -> Self {
        let own = seed_of(seed, &format!("browser {ip}"));
        let certificate = DtlsCertificate::generate(crypto, wall_clock).expect("a certificate can be made");
        let context = DtlsContext::new(&certificate, Duration::from_secs(30)).expect("the time-out is valid");
        Browser {
            ip,
            user: user.to_owned(),
            crypto: crypto.clone(),
            rng: Rng::split(&own, "browser"),
            context: Arc::new(context),
            fingerprint: certificate.fingerprint_sha256(),
            codecs,
            link: None,
            token: None,
            last_seq: 0,
            next_rpc: 0,
            pending: BTreeMap::new(),
            heartbeat_at: None,
            outgoing: VecDeque::new(),
            call: None,
            calls: 0,
            orphaned: false,
            known: BTreeMap::new(),
            ended: Vec::new(),
            errors: Vec::new(),
            notified: Vec::new(),
        }
    }

    /// Its address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The user who sits before it.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether it has a session token.
    pub fn is_signed_in(&self) -> bool {
        self.token.is_some()
    }

    /// Whether it has an open WebSocket.
    pub fn is_linked(&self) -> bool {
        self.link.is_some()
    }

    /// Where its call is.
    pub fn state(&self) -> BrowserState {
        self.call.as_ref().map_or(BrowserState::Idle, |call| call.state.clone())
    }

    /// Packets with sound in them that it heard in its present call.
    pub fn heard(&self) -> u64 {
        self.call.as_ref().map_or(0, |call| call.ear.audible)
    }

    /// Who is at the other end of its present call, as dialled or as shown.
    pub fn far(&self) -> Option<&str> {
        self.call.as_ref().map(|call| call.far.as_str())
    }

    /// Whether it holds the far side.
    pub fn holds(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.held_by[0])
    }

    /// Whether the far side holds it, as far as it was told.
    pub fn is_held(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.held_by[1])
    }

    /// Calls that didn't end exactly once, of those that a live sign-in had: their ids, and how often each ended.
    pub fn ended_wrongly(&self) -> impl Iterator<Item = (&str, u32)> {
        self.known.iter().filter(|(_, ends)| **ends != 1).map(|(id, ends)| (id.as_str(), *ends))
    }

    /// Whether media can flow in its present call.
    pub fn is_connected(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.transport.media_route().is_some() && call.srtp.is_some())
    }

    /// Where its present call's media are.
    pub fn media_address(&self) -> Option<SocketAddr> {
        self.call.as_ref().map(|call| call.address)
    }

    pub(crate) fn link(&self) -> Option<LinkId> {
        self.link
    }

    pub(crate) fn srtp_profile(&self) -> Option<(SocketAddr, SrtpProfile)> {
        let call = self.call.as_ref()?;
        Some((call.address, call.srtp.as_ref()?.1.profile()))
    }

    // Signalling

    fn request(&mut self, method: &'static str, params: Value) {
        self.next_rpc += 1;
        self.pending.insert(self.next_rpc, method);
        let message = json!({"jsonrpc": "2.0", "id": self.next_rpc, "method": method, "params": params});
        self.outgoing.push_back(message.to_string());
    }

    /// A new WebSocket is open: signs in, or resumes with the token from before.
    pub fn handle_link(&mut self, now: Instant, link: LinkId) {
        self.link = Some(link);
        self.heartbeat_at = Some(now + HEARTBEAT);
        match self.token.clone() {
            Some(token) => self.request("session.resume", json!({"token": token, "after": self.last_seq})),
            None => self.request("session.signIn", json!({"user": self.user, "password": self.user})),
        }
    }

    /// The WebSocket is gone.
    pub(crate) fn handle_link_closed(&mut self) {
        self.link = None;
        self.heartbeat_at = None;
        self.outgoing.clear();
        // What was asked for but not answered is lost; a call that was to be made is looked after on resumption.
        if self.pending.values().any(|method| *method == "call.create") {
            self.call = None;
        }
        self.pending.clear();
    }

    /// The gateway is dead.
    pub(crate) fn handle_gateway_death(&mut self) {
        self.orphaned = true;
        self.handle_link_closed();
    }

    /// There is no sign-in any more: nobody will tell it how its calls ended.
    fn forget_sign_in(&mut self) {
        self.token = None;
        self.orphaned = false;
        self.last_seq = 0;
        self.call = None;
        self.known.retain(|_, ends| *ends > 0);
    }

    /// Signs out.
    pub fn sign_out(&mut self) {
        if self.token.is_some() && self.link.is_some() {
            self.request("session.signOut", json!({}));
        }
    }

    /// A message came over the WebSocket.
    pub fn handle_message(&mut self, now: Instant, text: &str) {
        let message: Value = serde_json::from_str(text).expect("the gateway sends JSON");
        if let Some(method) = message["method"].as_str() {
            let seq = message["params"]["seq"].as_u64().expect("notifications are numbered");
            // A resumption may repeat what was seen already.
            if seq <= self.last_seq {
                return;
            }
            self.last_seq = seq;
            if method != "call.stats" {
                self.notified.push(method.to_owned());
            }
            return self.on_notification(now, method, &message["params"]);
        }
        let Some(method) = message["id"].as_u64().and_then(|id| self.pending.remove(&id)) else { return };
        match message.get("result") {
            Some(result) => self.on_result(now, method, result),
            None => {
                let reason = message["error"]["data"]["reason"].as_str().expect("errors have a reason");
                self.errors.push(reason.to_owned());
                match method {
                    "call.create" => self.call = None,
                    "session.resume" => {
                        self.forget_sign_in();
                        self.request("session.signIn", json!({"user": self.user, "password": self.user}));
                    }
                    "call.update" => {
                        if let Some(call) = self.call.as_mut() {
                            call.pending = None;
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn on_result(&mut self, now: Instant, method: &str, result: &Value) {
        match method {
            "session.signIn" => {
                self.token = result["token"].as_str().map(str::to_owned);
                self.last_seq = 0;
            }
            "session.resume" => self.on_resumed(result),
            "session.signOut" => self.forget_sign_in(),
            "call.create" | "call.update" => {
                let Some(call) = self.call.as_mut() else { return };
                if let Some(id) = result["callId"].as_str() {
                    call.id = Some(id.to_owned());
                    self.known.entry(id.to_owned()).or_default();
                }
                let sdp = result["sdp"].as_str().expect("the answer has an SDP");
                if let Some(pending) = call.pending.take() {
                    let agreed =
                        call.negotiator.accept_answer(pending, sdp).expect("the gateway's answer fits our offer");
                    call.agree(now, agreed);
                }
            }
            _ => {}
        }
    }

    fn on_notification(&mut self, now: Instant, method: &str, params: &Value) {
        let id = params["callId"].as_str();
        if method == "call.incoming" {
            let sdp = params["sdp"].as_str().expect("the call comes with an offer").to_owned();
            let from = params["from"].as_str().expect("somebody calls").to_owned();
            return self.on_incoming(now, id.expect("the call has an id").to_owned(), from, sdp);
        }
        if method == "session.displaced" {
            return self.forget_sign_in();
        }
        if method == "call.ended" {
            *self.known.entry(id.expect("a call ends").to_owned()).or_default() += 1;
            self.ended.push(params["reason"].as_str().expect("an end has a reason").to_owned());
        }
        // The notification may overtake the response that tells the id.
        let Some(call) = self.call.as_mut().filter(|call| call.id.is_none() || call.id.as_deref() == id) else {
            return;
        };
        match method {
            "call.ringing" if call.state == BrowserState::Calling => call.state = BrowserState::Ringing,
            "call.answered" => call.state = BrowserState::Talking,
            "call.held" => call.held_by[usize::from(params["by"] == "remote")] = true,
            "call.resumed" => call.held_by[usize::from(params["by"] == "remote")] = false,
            "call.ended" => {
                call.transport.close(now);
                self.call = None;
            }
            _ => {}
        }
    }

    /// Of the calls that the gateway still has, only the one on the screen goes on, and only if both agree on it.
    fn on_resumed(&mut self, result: &Value) {
        let calls = result["calls"].as_array().cloned().unwrap_or_default();
        if std::mem::take(&mut self.orphaned) {
            let lives = |id: &str| calls.iter().any(|listed| listed["callId"] == id);
            self.known.retain(|id, ends| *ends > 0 || lives(id));
            // A call that ended after it was written down lives again.
            self.known.iter_mut().filter(|(id, _)| lives(id)).for_each(|(_, ends)| *ends = 0);
            self.call = self.call.take().filter(|call| call.id.as_deref().is_some_and(lives));
        }
        for listed in calls {
            let id = listed["callId"].as_str().expect("a call has an id");
            self.known.entry(id.to_owned()).or_default();
            let ours = self.call.as_ref().filter(|call| call.id.as_deref() == Some(id));
            let agrees = ours.is_some_and(|call| match listed["state"].as_str() {
                Some("incoming") => call.offer_from_gateway.is_some(),
                _ => call.agreed.is_some(),
            });
            if !agrees {
                self.request("call.hangup", json!({ "callId": id }));
            } else if let Some(call) = self.call.as_mut() {
                call.held_by = ["held", "heldByRemote"].map(|who| listed[who] == true);
                if call.pending.take().is_some() {
                    // The answer to our last offer is lost, and the gateway may have acted upon it.
                    self.restart_ice();
                }
            }
        }
    }

    fn on_incoming(&mut self, now: Instant, id: String, from: String, sdp: String) {
        self.known.entry(id.clone()).or_default();
        if self.call.is_some() {
            return self.request("call.reject", json!({"callId": id, "reason": "busy"}));
        }
        let mut call = self.new_call(now, BrowserState::Incoming, from);
        call.id = Some(id);
        call.offer_from_gateway = Some(sdp);
        self.call = Some(call);
    }

    // What the person does

    /// Calls a number.
    pub fn call(&mut self, now: Instant, to: &str) {
        if self.call.is_some() || self.token.is_none() || self.link.is_none() {
            return;
        }
        let mut call = self.new_call(now, BrowserState::Calling, to.to_owned());
        let (sdp, pending) = call.negotiator.offer(None);
        call.pending = Some(pending);
        self.call = Some(call);
        self.request("call.create", json!({"to": to, "sdp": sdp}));
    }

    /// Answers the incoming call.
    pub fn answer(&mut self, now: Instant) {
        let fresh = self.draw_credentials();
        let Some(call) = self.call.as_mut() else { return };
        let Some(offer) = call.offer_from_gateway.take() else { return };
        let (sdp, agreed) = call.negotiator.answer(&offer, fresh).expect("the gateway's offer can be answered");
        call.agree(now, agreed);
        let params = json!({"callId": call.id, "sdp": sdp});
        self.request("call.answer", params);
    }

    /// Hangs up, cancels or declines, as fits.
    pub fn hang_up(&mut self, now: Instant) {
        let Some(call) = self.call.as_mut() else { return };
        // Before the response there is no id to hang up with.
        let Some(id) = call.id.clone() else { return };
        let method = if call.state == BrowserState::Incoming { "call.reject" } else { "call.hangup" };
        call.transport.handle_timeout(now);
        self.request(method, json!({"callId": id}));
    }

    /// Holds or resumes.
    pub fn hold(&mut self, held: bool) {
        self.with_call_id(if held { "call.hold" } else { "call.resume" }, json!({}));
    }

    /// Presses keys.
    pub fn dtmf(&mut self, digits: &str) {
        self.with_call_id("call.dtmf", json!({ "digits": digits }));
    }

    /// Restarts ICE, as after a change of network or of gateway.
    pub fn restart_ice(&mut self) {
        let fresh = self.draw_credentials();
        let Some(call) = self.call.as_mut().filter(|call| call.pending.is_none() && call.agreed.is_some()) else {
            return;
        };
        let (sdp, pending) = call.negotiator.offer(Some(fresh.clone()));
        call.pending = Some(pending);
        call.transport.restart_ice(fresh);
        self.with_call_id("call.update", json!({ "sdp": sdp }));
    }

    fn with_call_id(&mut self, method: &'static str, mut params: Value) {
        if let Some(id) = self.call.as_ref().and_then(|call| call.id.clone()) {
            params["callId"] = id.into();
            self.request(method, params);
        }
    }

    /// Everything stops: the page is gone.
    pub(crate) fn vanish(&mut self) {
        self.handle_link_closed();
        self.forget_sign_in();
    }

    fn draw_credentials(&self) -> IceCredentials {
        IceCredentials { ufrag: self.crypto.token(4), password: self.crypto.token(24) }
    }

    fn new_call(&mut self, now: Instant, state: BrowserState, far: String) -> Call {
        self.calls = self.calls.wrapping_add(1) % 1000;
        let address = SocketAddr::new(self.ip, MEDIA_PORT + self.calls);
        let (ice, ssrc, cname) = (self.draw_credentials(), self.rng.u32(), self.rng.token(16));
        let local = WebRtcLocal {
            ice: ice.clone(),
            ice_lite: false,
            candidates: vec![address],
            fingerprint: self.fingerprint,
            ssrc,
            msid: format!("{cname} audio"),
            cname,
            codecs: self.codecs.clone(),
            comfort_noise: false,
        };
        let config = WebRtcConfig {
            local: ice,
            ice_lite: false,
            controlling: true,
            tie_breaker: self.rng.u64(),
            candidates: vec![address],
            ice_timeout: Duration::from_secs(30),
        };
        Call {
            id: None,
            state,
            far,
            held_by: [false; 2],
            negotiator: WebRtcNegotiator::new(local, self.rng.u64() >> 2),
            offer_from_gateway: None,
            pending: None,
            transport: WebRtcTransport::new(now, Arc::clone(&self.context), &config),
            agreed: None,
            srtp: None,
            voice: None,
            ear: Ear::default(),
            address,
            ssrc,
        }
    }

    // Media and time

    /// A media packet came.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if let Some(call) = self.call.as_mut().filter(|call| call.address == to) {
            call.handle_datagram(now, from, bytes);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.heartbeat_at.is_some_and(|at| at <= now) {
            self.heartbeat_at = Some(now + HEARTBEAT);
            self.request("session.heartbeat", json!({ "after": self.last_seq }));
        }
        if let Some(call) = self.call.as_mut()
            && call.transport.poll_timeout().is_some_and(|due| due <= now)
        {
            call.transport.handle_timeout(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let call = self.call.as_ref();
        let voice = call.filter(|call| call.may_speak()).and_then(|call| call.voice.as_ref()).map(Voice::next_at);
        [self.heartbeat_at, call.and_then(|call| call.transport.poll_timeout()), voice].into_iter().flatten().min()
    }

    /// Sends what is ready.
    pub fn drain(&mut self, now: Instant, network: &mut Network) {
        if let Some(link) = self.link {
            for text in self.outgoing.drain(..) {
                network.send_message(now, Arrival::ToGateway { link, text });
            }
        }
        if let Some(call) = self.call.as_mut() {
            call.drain(now, network);
        }
    }
}

impl Call {
    fn agree(&mut self, now: Instant, agreed: AgreedWebRtc) {
        let remote = WebRtcRemote {
            credentials: agreed.remote.ice.clone(),
            ice_lite: agreed.remote.ice_lite,
            fingerprints: agreed.remote.fingerprints.iter().map(|f| (f.algorithm.clone(), f.digest.clone())).collect(),
            dtls_role: agreed.remote.dtls_role,
            candidates: agreed.remote.candidates.clone(),
        };
        self.transport.set_remote(now, &remote);
        self.agreed = Some(agreed);
    }

    fn may_speak(&self) -> bool {
        self.srtp.is_some()
            && self.transport.media_route().is_some()
            && self.agreed.as_ref().is_some_and(|a| a.audio.send)
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        let route = Route { local: self.address, remote: from };
        // RFC 7983: what the first byte says.
        match bytes.first() {
            Some(0..=3) => drop(self.transport.handle_stun(now, route, bytes)),
            Some(20..=63) => drop(self.transport.handle_dtls(now, route, bytes)),
            Some(128..=191) if !is_rtcp(bytes) => self.handle_rtp(bytes),
            _ => {}
        }
    }

    fn handle_rtp(&mut self, bytes: &[u8]) {
        let (Some((_, receiver)), Some(agreed)) = (self.srtp.as_mut(), &self.agreed) else { return };
        let mut storage = [0u8; SLOT];
        let Some(room) = storage.get_mut(..bytes.len()) else { return };
        room.copy_from_slice(bytes);
        let mut packet = PacketBuf::filled(&mut storage, 0, bytes.len());
        if receiver.unprotect_rtp(&mut packet).is_ok() {
            self.ear.hear(&agreed.audio, packet.as_slice());
        }
    }

    fn drain(&mut self, now: Instant, network: &mut Network) {
        while let Some(event) = self.transport.poll_event() {
            if matches!(event, WebRtcEvent::Connected)
                && self.srtp.is_none()
                && let Some(keys) = self.transport.keys()
            {
                self.srtp = Some((SrtpSender::new(&keys.local), SrtpReceiver::new(&keys.remote, 16)));
            }
        }
        while let Some((route, bytes)) = self.transport.poll_transmit() {
            network.send_datagram(now, route.local, route.remote, &bytes);
        }
        if !self.may_speak() {
            return;
        }
        let (Some(agreed), Some(route)) = (&self.agreed, self.transport.media_route()) else { return };
        let format = agreed.audio.format;
        if self.voice.as_ref().is_none_or(|voice| voice.format() != format) {
            // RFC 3550 section 5.1: both begin anywhere.
            self.voice = Some(Voice::new(now, format, self.ssrc, self.ssrc as u16));
        }
        let (Some(voice), Some((sender, _))) = (self.voice.as_mut(), self.srtp.as_mut()) else { return };
        let mut storage = [0u8; SLOT];
        let mut packet = PacketBuf::empty(&mut storage, HEADROOM);
        while voice.speak(now, &mut packet) {
            if sender.protect_rtp(&mut packet).is_ok() {
                network.send_datagram(now, route.local, route.remote, packet.as_slice());
            }
            packet.clear(HEADROOM);
        }
    }
}
