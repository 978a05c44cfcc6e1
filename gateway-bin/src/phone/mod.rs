//! A small SIP phone in the same process, which answers the test numbers over its own loopback sockets, so that a demo
//! call goes the whole way: SIP, RTP, transcoding.
//!
//! | number | does |
//! |---|---|
//! | `echo` | says back what it hears |
//! | `tone` | plays 1 kHz at -10 dBm0 |
//! | `hold-music` | plays a melody |
//! | `busy` | 486 (Busy Here) |
//! | `nobody` | rings and never answers |

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use webrtc_sip_core::codec::CodecKind;
use webrtc_sip_core::crypto::CryptoProvider;
use webrtc_sip_core::ids::DialogId;
use webrtc_sip_core::io::{PacketBuf, SocketId, Transmit};
use webrtc_sip_core::sdp::{AgreedSip, PendingSipOffer, RemoteMedia, SipLocal, SipNegotiator};
use webrtc_sip_core::sip::Headers;
use webrtc_sip_core::sip::endpoint::{
    Endpoint, EndpointConfig, EndpointLimits, IncomingInvite, SipEvent, SipSocketConfig,
};

mod media;
mod sound;

#[cfg(test)]
mod tests;

use media::{Media, Plan, Programme, RtpIdentity};
use sound::Sound;

/// Where the phone lives: other machines can't reach it.
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Calls at once; more hear 503.
const MAX_CALLS: usize = 500;
/// The longest call.
const MAX_CALL: Duration = Duration::from_secs(3600);
/// RFC 4028: finds out when the other side is gone without a BYE.
const SESSION_INTERVAL: Duration = Duration::from_secs(1800);
const MAX_DATAGRAM: usize = 65_535;
const NOT_ACCEPTABLE: u16 = 488;
const UNAVAILABLE: u16 = 503;
const SOCKET: SocketId = SocketId(0);

/// The numbers that the phone answers.
pub(crate) const NUMBERS: [&str; 5] = ["echo", "tone", "hold-music", "busy", "nobody"];

/// What happens to a call to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Answer(Programme),
    Ring,
    Refuse(u16),
}

fn service(number: &str) -> Service {
    match number {
        "echo" => Service::Answer(Programme::Echo),
        "tone" => Service::Answer(Programme::Play(Sound::Tone)),
        "hold-music" => Service::Answer(Programme::Play(Sound::Music)),
        "busy" => Service::Refuse(486),
        "nobody" => Service::Ring,
        _ => Service::Refuse(404),
    }
}

/// One call that was answered.
#[derive(Debug)]
struct Call {
    negotiator: SipNegotiator,
    /// Our offer in a 2xx, which the ACK answers.
    pending: Option<PendingSipOffer>,
    programme: Programme,
    /// Until media runs.
    socket: Option<UdpSocket>,
    media: Option<Media>,
    ends_at: Instant,
}

/// The phone.
#[derive(Debug)]
pub(crate) struct Phone {
    socket: UdpSocket,
    address: SocketAddr,
    endpoint: Endpoint,
    crypto: CryptoProvider,
    calls: BTreeMap<DialogId, Call>,
    /// Dialogs whose media ended by itself.
    silent: (mpsc::Sender<DialogId>, mpsc::Receiver<DialogId>),
}

impl Phone {
    /// Binds a free port on loopback.
    pub(crate) async fn bind(crypto: &CryptoProvider) -> io::Result<Self> {
        let socket = bind().await?;
        let address = socket.local_addr()?;
        let config = EndpointConfig {
            sockets: vec![SipSocketConfig { socket: SOCKET, bound: address, advertised: address }],
            user_agent: concat!("webrtc-sip-test-phone/", env!("CARGO_PKG_VERSION")).to_owned(),
            session_interval: Some(SESSION_INTERVAL),
            limits: EndpointLimits {
                max_dialogs: MAX_CALLS,
                max_transactions: 8 * MAX_CALLS,
                max_pending_events: 8 * MAX_CALLS,
                max_pending_messages: 8 * MAX_CALLS,
                ..EndpointLimits::default()
            },
            ..EndpointConfig::default()
        };
        let endpoint = Endpoint::new(config, crypto.clone(), &crypto.bytes());
        let silent = mpsc::channel(MAX_CALLS);
        Ok(Phone { socket, address, endpoint, crypto: crypto.clone(), calls: BTreeMap::new(), silent })
    }

    /// Where SIP for the test numbers goes.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the future is dropped.
    pub(crate) async fn run(&mut self) {
        let mut datagram = vec![0; MAX_DATAGRAM];
        let mut storage = vec![0; MAX_DATAGRAM];
        loop {
            self.drain(&mut storage).await;
            let longest = self.calls.values().map(|call| call.ends_at).min();
            let due = self.endpoint.poll_timeout().into_iter().chain(longest).min();
            tokio::select! {
                received = self.socket.recv_from(&mut datagram) => {
                    // An error is an ICMP answer to an earlier send.
                    if let Ok((len, source)) = received {
                        self.endpoint.handle_datagram(Instant::now(), SOCKET, source, &datagram[..len]);
                    }
                }
                dialog = self.silent.1.recv() => {
                    if let Some(dialog) = dialog {
                        self.hang_up(dialog);
                    }
                }
                () = sleep_until(due) => {
                    let now = Instant::now();
                    let over: Vec<_> =
                        self.calls.iter().filter(|(_, call)| call.ends_at <= now).map(|(dialog, _)| *dialog).collect();
                    over.into_iter().for_each(|dialog| self.hang_up(dialog));
                    self.endpoint.handle_timeout(now);
                }
            }
        }
    }

    async fn drain(&mut self, storage: &mut [u8]) {
        loop {
            while let Some(event) = self.endpoint.poll_event() {
                self.handle_event(event).await;
            }
            let mut packet = PacketBuf::empty(storage, 0);
            let Some(transmit) = self.endpoint.poll_transmit(Instant::now(), &mut packet) else { return };
            if let Transmit::Datagram { destination, .. } = transmit {
                // What isn't sent is repeated by the transaction.
                let _ = self.socket.try_send_to(packet.as_slice(), destination);
            }
        }
    }

    async fn handle_event(&mut self, event: SipEvent) {
        let now = Instant::now();
        match event {
            SipEvent::IncomingInvite(invite) => self.incoming(now, *invite).await,
            SipEvent::Confirmed { dialog, body } => self.confirmed(dialog, &body),
            SipEvent::Reinvited { dialog, body } => self.reinvited(now, dialog, &body),
            SipEvent::Cancelled { dialog, .. } | SipEvent::Ended { dialog, .. } | SipEvent::Failed { dialog, .. } => {
                self.calls.remove(&dialog);
            }
            // No TCP here; everything else belongs to calls that we make, and we make none.
            SipEvent::OpenFlow { flow, .. } => self.endpoint.handle_flow_closed(now, flow),
            _ => {}
        }
    }

    async fn incoming(&mut self, now: Instant, invite: IncomingInvite) {
        let dialog = invite.dialog;
        let refused = match service(&invite.request_uri.user().unwrap_or_default()) {
            Service::Ring => {
                // Fails only when the caller gave up in the meantime.
                let _ = self.endpoint.ring(now, dialog, 180, None);
                return;
            }
            Service::Refuse(status) => status,
            Service::Answer(programme) => match self.answer(now, &invite, programme).await {
                Ok(()) => return,
                Err(status) => status,
            },
        };
        let _ = self.endpoint.reject(now, dialog, refused, &Headers::default());
    }

    /// Answers, or says with which status to refuse.
    async fn answer(&mut self, now: Instant, invite: &IncomingInvite, programme: Programme) -> Result<(), u16> {
        let socket = bind().await.map_err(|_| UNAVAILABLE)?;
        let rtp = socket.local_addr().map_err(|_| UNAVAILABLE)?;
        // RTCP that comes to the RTP port is recognised and left out.
        let local = SipLocal { rtp, rtcp: rtp, codecs: vec![CodecKind::Pcmu, CodecKind::Pcma], comfort_noise: false };
        let mut negotiator = SipNegotiator::new(local, u64::from(self.crypto.u32()));
        let (sdp, agreed, pending) = if invite.body.is_empty() {
            let (offer, pending) = negotiator.offer();
            (offer, None, Some(pending))
        } else {
            let (answer, agreed) = negotiator.answer(&invite.body).map_err(|_| NOT_ACCEPTABLE)?;
            (answer, Some(agreed), None)
        };
        self.endpoint.answer(now, invite.dialog, Bytes::from(sdp)).map_err(|_| UNAVAILABLE)?;
        let ends_at = now + MAX_CALL;
        let mut call = Call { negotiator, pending, programme, socket: Some(socket), media: None, ends_at };
        if let Some(agreed) = agreed {
            self.plan(&mut call, invite.dialog, agreed);
        }
        self.calls.insert(invite.dialog, call);
        Ok(())
    }

    /// The ACK; it answers the offer that we made when the INVITE had none.
    fn confirmed(&mut self, dialog: DialogId, body: &[u8]) {
        let Some(mut call) = self.calls.remove(&dialog) else { return };
        let agreed = call.pending.take().map(|pending| call.negotiator.accept_answer(pending, body));
        let refused = matches!(agreed, Some(Err(_)));
        if let Some(Ok(agreed)) = agreed {
            self.plan(&mut call, dialog, agreed);
        }
        self.calls.insert(dialog, call);
        if refused {
            self.hang_up(dialog);
        }
    }

    fn reinvited(&mut self, now: Instant, dialog: DialogId, offer: &[u8]) {
        let Some(mut call) = self.calls.remove(&dialog) else { return };
        let (status, answer) = if offer.is_empty() {
            let (offer, pending) = call.negotiator.offer();
            call.pending = Some(pending);
            (200, offer)
        } else {
            match call.negotiator.answer(offer) {
                Ok((answer, agreed)) => {
                    self.plan(&mut call, dialog, agreed);
                    (200, answer)
                }
                Err(_) => (NOT_ACCEPTABLE, String::new()),
            }
        };
        self.calls.insert(dialog, call);
        // Fails only when the dialog ended in the meantime.
        let _ = self.endpoint.answer_reinvite(now, dialog, status, Bytes::from(answer));
    }

    /// Starts the media of a call, or changes it.
    fn plan(&self, call: &mut Call, dialog: DialogId, agreed: AgreedSip) {
        let remote = match agreed.remote {
            RemoteMedia::Address { rtp, .. } => Some(rtp),
            // Whoever calls us is on this machine and has no need of names.
            RemoteMedia::Named { .. } | RemoteMedia::Nowhere => None,
        };
        let plan = Plan { remote, audio: agreed.audio };
        if let Some(media) = &call.media {
            media.replan(plan);
        } else if let Some(socket) = call.socket.take() {
            let [a, b, c] = [self.crypto.u32(), self.crypto.u32(), self.crypto.u32()];
            let identity = RtpIdentity { ssrc: a, sequence: b as u16, timestamp: c };
            let silent = self.silent.0.clone();
            // There is room for every call once.
            let ended = move || {
                let _ = silent.try_send(dialog);
            };
            call.media = Some(Media::start(socket, call.programme, plan, identity, ended));
        }
    }

    fn hang_up(&mut self, dialog: DialogId) {
        if self.calls.remove(&dialog).is_some() {
            // Fails only when the other side hung up in the meantime.
            let _ = self.endpoint.bye(Instant::now(), dialog, None);
        }
    }
}

/// A socket on a free loopback port. Sending without waiting works only once the runtime has seen that it is writable.
async fn bind() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((HOME, 0)).await?;
    socket.writable().await?;
    Ok(socket)
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
