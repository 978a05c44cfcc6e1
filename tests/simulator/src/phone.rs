//! A SIP phone: the core's own endpoint and offer/answer, with a voice and an ear.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use webrtc_sip_core::codec::CodecKind;
use webrtc_sip_core::crypto::CryptoProvider;
use webrtc_sip_core::ids::DialogId;
use webrtc_sip_core::io::{PacketBuf, SocketId, Transmit};
use webrtc_sip_core::rng::{Rng, Seed};
use webrtc_sip_core::sdp::{AgreedSip, Direction, PendingSipOffer, RemoteMedia, SipLocal, SipNegotiator};
use webrtc_sip_core::sip::endpoint::{
    Destination, Endpoint, EndpointConfig, Invite, SipEvent, SipSocketConfig, Transport,
};
use webrtc_sip_core::sip::{Headers, NameAddr, Uri};

use crate::audio::{Ear, Voice};
use crate::network::Network;

const SIP_PORT: u16 = 5060;
const RTP_PORT: u16 = 6000;
const SLOT: usize = 65_536;

/// What a phone does when it is called.
#[derive(Clone, Copy, Debug)]
pub enum PhoneBehaviour {
    /// Rings, then answers.
    AnswerAfter(Duration),
    /// Refuses with this status.
    Refuse(u16),
    /// Rings for ever.
    RingForEver,
    /// Doesn't take anything in.
    Dead,
}

/// Where its call is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhoneState {
    /// No call.
    Idle,
    /// It called, or is being called.
    Ringing,
    /// It talks.
    Talking,
}

/// A SIP phone with one line; further calls find it busy.
pub struct Phone {
    ip: IpAddr,
    name: String,
    /// What it does when it is called; may be changed at any time.
    pub behaviour: PhoneBehaviour,
    endpoint: Endpoint,
    rng: Rng,
    codecs: Vec<CodecKind>,
    line: Option<Line>,
    calls: u16,
    storage: Vec<u8>,
}

struct Line {
    dialog: DialogId,
    negotiator: SipNegotiator,
    pending: Option<PendingSipOffer>,
    agreed: Option<AgreedSip>,
    answer: Option<String>,
    answer_at: Option<Instant>,
    talking: bool,
    /// Who is at the other end.
    far: String,
    /// Whether it holds, and what it has asked for.
    holds: bool,
    wants_hold: bool,
    /// Whether the far side held it, as of the last offer.
    held: bool,
    rtp: SocketAddr,
    voice: Option<Voice>,
    ear: Ear,
}

impl Phone {
    /// At this address.
    pub fn new(
        ip: IpAddr,
        name: String,
        behaviour: PhoneBehaviour,
        codecs: Vec<CodecKind>,
        crypto: &CryptoProvider,
        seed: &Seed,
    ) -> Self {
        let sip = SocketAddr::new(ip, SIP_PORT);
        let config = EndpointConfig {
            sockets: vec![SipSocketConfig { socket: SocketId(0), bound: sip, advertised: sip }],
            user_agent: "phone".to_owned(),
            ..EndpointConfig::default()
        };
        let stream = format!("phone {ip}");
        Phone {
            ip,
            name,
            behaviour,
            endpoint: Endpoint::new(config, crypto.clone(), &seed_of(seed, &stream)),
            rng: Rng::split(seed, &stream),
            codecs,
            line: None,
            calls: 0,
            storage: vec![0; SLOT],
        }
    }

    /// Its address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Where its call is.
    pub fn state(&self) -> PhoneState {
        match &self.line {
            None => PhoneState::Idle,
            Some(line) if line.talking => PhoneState::Talking,
            Some(_) => PhoneState::Ringing,
        }
    }

    /// Who is at the other end of its present call.
    pub fn far(&self) -> Option<&str> {
        self.line.as_ref().map(|line| line.far.as_str())
    }

    /// Whether it waits for the answer to an offer.
    pub fn is_negotiating(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.pending.is_some())
    }

    /// Whether it holds the far side. It goes on speaking then, as if it played music.
    pub fn holds(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.holds)
    }

    /// Whether the far side holds it, as of the last offer.
    pub fn is_held(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.held)
    }

    /// Packets with sound in them that it heard in its present call.
    pub fn heard(&self) -> u64 {
        self.line.as_ref().map_or(0, |line| line.ear.audible)
    }

    /// Dialogs and transactions that it still holds.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn new_line(&mut self, dialog: DialogId, far: &str) -> Line {
        self.calls = self.calls.wrapping_add(1) % 1000;
        let port = RTP_PORT + 2 * self.calls;
        let (rtp, rtcp) = (SocketAddr::new(self.ip, port), SocketAddr::new(self.ip, port + 1));
        let local = SipLocal { rtp, rtcp, codecs: self.codecs.clone(), comfort_noise: false };
        Line {
            dialog,
            negotiator: SipNegotiator::new(local, self.rng.u64()),
            pending: None,
            agreed: None,
            answer: None,
            answer_at: None,
            talking: false,
            far: far.to_owned(),
            holds: false,
            wants_hold: false,
            held: false,
            rtp,
            voice: None,
            ear: Ear::default(),
        }
    }

    /// Calls a user of the gateway at `gateway`.
    pub fn call(&mut self, now: Instant, gateway: SocketAddr, user: &str) {
        if self.line.is_some() || self.is_dead() {
            return;
        }
        let mut line = self.new_line(DialogId(0), user);
        let (offer, pending) = line.negotiator.offer();
        line.pending = Some(pending);
        let uri = |text: String| text.parse::<Uri>().expect("it is a URI");
        let request_uri = uri(format!("sip:{user}@{gateway}"));
        let from = NameAddr::new(uri(format!("sip:{}@{}", self.name, self.ip)));
        let destination = Destination { transport: Transport::Udp, address: gateway };
        let invite = Invite::new(destination, request_uri, from, offer);
        if let Ok(dialog) = self.endpoint.invite(now, invite) {
            line.dialog = dialog;
            self.line = Some(line);
        }
    }

    /// Hangs up, cancels or refuses, as fits.
    pub fn hang_up(&mut self, now: Instant) {
        let Some(line) = self.line.take() else { return };
        if line.talking {
            let _ = self.endpoint.bye(now, line.dialog, None);
        } else if line.answer.is_some() {
            let _ = self.endpoint.reject(now, line.dialog, 486, &Headers::default());
        } else {
            let _ = self.endpoint.cancel(now, line.dialog, None);
        }
    }

    /// Puts the far side on hold, or takes it off.
    pub fn hold(&mut self, now: Instant, held: bool) {
        let Some(line) = self.line.as_mut().filter(|line| line.talking && line.pending.is_none()) else { return };
        line.negotiator.set_direction(if held { Direction::SendOnly } else { Direction::SendRecv });
        let (offer, pending) = line.negotiator.offer();
        if self.endpoint.reinvite(now, line.dialog, offer.into()).is_ok() {
            line.pending = Some(pending);
            line.wants_hold = held;
        } else {
            line.keep_direction();
        }
    }

    /// Forgets its call without telling anybody, as when its battery is empty.
    pub fn vanish(&mut self) {
        self.line = None;
        self.behaviour = PhoneBehaviour::Dead;
    }

    /// Whether it vanished.
    pub fn is_dead(&self) -> bool {
        matches!(self.behaviour, PhoneBehaviour::Dead)
    }

    /// A SIP message or a media packet came.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if self.is_dead() {
            return;
        }
        if to.port() == SIP_PORT {
            self.endpoint.handle_datagram(now, SocketId(0), from, bytes);
            return;
        }
        if let Some(line) = self.line.as_mut().filter(|line| line.rtp == to)
            && let Some(agreed) = &line.agreed
        {
            line.ear.hear(&agreed.audio, bytes);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.endpoint.poll_timeout().is_some_and(|due| due <= now) {
            self.endpoint.handle_timeout(now);
        }
        if let Some(line) = self.line.as_mut().filter(|line| line.answer_at.is_some_and(|at| at <= now)) {
            line.answer_at = None;
            if let Some(answer) = line.answer.take() {
                let _ = self.endpoint.answer(now, line.dialog, answer.into());
                line.start_talking(now, &mut self.rng);
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.is_dead() {
            return None;
        }
        let line = self.line.as_ref();
        let voice = line.and_then(|line| line.voice.as_ref()).map(Voice::next_at);
        [self.endpoint.poll_timeout(), line.and_then(|line| line.answer_at), voice].into_iter().flatten().min()
    }

    /// Sends what is ready.
    pub fn drain(&mut self, now: Instant, network: &mut Network) {
        while let Some(event) = self.endpoint.poll_event() {
            self.on_event(now, event);
        }
        let sip = SocketAddr::new(self.ip, SIP_PORT);
        let mut out = PacketBuf::empty(&mut self.storage, 0);
        while let Some(transmit) = self.endpoint.poll_transmit(now, &mut out) {
            if let Transmit::Datagram { destination, .. } = transmit
                && !matches!(self.behaviour, PhoneBehaviour::Dead)
            {
                network.send_datagram(now, sip, destination, out.as_slice());
            }
            out.clear(0);
        }
        let Some(line) = self.line.as_mut().filter(|line| line.talking) else { return };
        let Some(AgreedSip { audio, remote: RemoteMedia::Address { rtp, .. }, .. }) = &line.agreed else { return };
        if let Some(voice) = line.voice.as_mut() {
            while voice.speak(now, &mut out) {
                if audio.send {
                    network.send_datagram(now, line.rtp, *rtp, out.as_slice());
                }
                out.clear(0);
            }
        }
    }

    fn on_event(&mut self, now: Instant, event: SipEvent) {
        if let SipEvent::IncomingInvite(invite) = event {
            let from = invite.from.uri.user().unwrap_or_default().into_owned();
            return self.on_invite(now, invite.dialog, &from, &invite.body);
        }
        let Some(line) = self.line.as_mut() else { return };
        match event {
            SipEvent::Answered { dialog, body } | SipEvent::ReinviteAnswered { dialog, body }
                if dialog == line.dialog =>
            {
                if let Some(pending) = line.pending.take()
                    && let Ok(agreed) = line.negotiator.accept_answer(pending, &body)
                {
                    line.agreed = Some(agreed);
                    line.holds = line.wants_hold;
                    line.start_talking(now, &mut self.rng);
                }
            }
            SipEvent::ReinviteFailed { dialog, .. } if dialog == line.dialog => {
                line.pending = None;
                line.keep_direction();
            }
            SipEvent::Reinvited { dialog, body } if dialog == line.dialog => {
                let answered = line.negotiator.answer(&body);
                match answered {
                    Ok((answer, agreed)) => {
                        line.held = agreed.remote_hold;
                        line.agreed = Some(agreed);
                        let _ = self.endpoint.answer_reinvite(now, dialog, 200, answer.into());
                    }
                    Err(_) => {
                        let _ = self.endpoint.answer_reinvite(now, dialog, 488, Default::default());
                    }
                }
            }
            SipEvent::Failed { dialog, .. } | SipEvent::Cancelled { dialog, .. } | SipEvent::Ended { dialog, .. }
                if dialog == line.dialog =>
            {
                self.line = None;
            }
            _ => {}
        }
    }

    fn on_invite(&mut self, now: Instant, dialog: DialogId, from: &str, offer: &[u8]) {
        let refuse = |phone: &mut Phone, status| {
            let _ = phone.endpoint.reject(now, dialog, status, &Headers::default());
        };
        if self.line.is_some() {
            return refuse(self, 486);
        }
        let answer_at = match self.behaviour {
            PhoneBehaviour::AnswerAfter(time) => Some(now + time),
            PhoneBehaviour::RingForEver => None,
            PhoneBehaviour::Refuse(status) => return refuse(self, status),
            PhoneBehaviour::Dead => return,
        };
        let mut line = self.new_line(dialog, from);
        let Ok((answer, agreed)) = line.negotiator.answer(offer) else { return refuse(self, 488) };
        line.answer = Some(answer);
        line.agreed = Some(agreed);
        line.answer_at = answer_at;
        self.line = Some(line);
        let _ = self.endpoint.ring(now, dialog, 180, None);
    }
}

impl Line {
    /// What was asked for isn't granted, so what is in force stays.
    fn keep_direction(&mut self) {
        self.wants_hold = self.holds;
        self.negotiator.set_direction(if self.holds { Direction::SendOnly } else { Direction::SendRecv });
    }

    fn start_talking(&mut self, now: Instant, rng: &mut Rng) {
        self.talking = true;
        let Some(agreed) = &self.agreed else { return };
        let format = agreed.audio.format;
        if self.voice.as_ref().is_none_or(|voice| voice.format() != format) {
            self.voice = Some(Voice::new(now, format, rng.u32(), rng.u16()));
        }
    }
}

/// A seed of its own for each actor.
pub(crate) fn seed_of(seed: &Seed, name: &str) -> Seed {
    let mut own = [0; 32];
    Rng::split(seed, name).fill(&mut own);
    own
}
