//! Sans-IO state machines that join WebRTC browsers to SIP.
//!
//! The library decides and its embedder acts. It opens no socket, starts no thread and reads no clock: packets come in
//! as bytes, time as `now: Instant`, randomness as a seed and a [`crypto::CryptoProvider`]. So the whole of it runs under
//! any runtime or none, and in tests on a fake clock.
//!
//! Two state machines are enough for a gateway. [`gateway::Gateway`] is the control plane: sign-ins, the JSON protocol of
//! the pages, SIP, offer/answer, calls. [`media::MediaShard`] is the media plane, one for each worker thread: ICE,
//! DTLS-SRTP, RTP, transcoding. They exchange [`media::MediaCommand`] and [`media::MediaEvent`], plain data that the
//! embedder carries from one to the other. Whoever needs less takes a layer below: each is usable without those above it.
//!
//! # Modules
//!
//! From top to bottom; each knows only those below it.
//!
//! | module | subject | begin with |
//! |---|---|---|
//! | [`gateway`] | the control plane of one process | [`gateway::Gateway`], [`gateway::GatewayEvent`] |
//! | [`call`] | what a call of two legs does as a whole; why it ended | [`call::Call`] |
//! | [`media`] | the media plane of one worker | [`media::MediaShard`], [`media::MediaCommand`] |
//! | [`turn`] | a TURN server | [`turn::TurnServer`] |
//! | [`transport`] | one leg's path: ICE with DTLS-SRTP, or plain RTP | [`transport::webrtc`], [`transport::plain`] |
//! | [`codec`] | Opus, G.711, comfort noise | [`codec::decoder`], [`codec::encoder`] |
//! | [`rtp`] | RTP, RTCP, SRTP, telephone events | [`rtp::RtpPacket`], [`rtp::srtp`] |
//! | [`sip`] | messages, transactions, dialogs, registrations | [`sip::endpoint`], [`sip::Message`] |
//! | [`sdp`] | descriptions, offer/answer | [`sdp::WebRtcNegotiator`], [`sdp::SipNegotiator`] |
//! | [`stun`] | STUN messages with the attributes of TURN | [`stun::Message`], [`stun::MessageWriter`] |
//! | [`crypto`] | secure randomness, certificates | [`crypto::CryptoProvider`] |
//! | [`io`], [`net`], [`ids`], [`timer`], [`rng`] | packets and where they go; address ranges; identifiers; deadlines; seeded randomness | [`io::PacketBuf`] |
//!
//! # Driving a state machine
//!
//! All of them have the same verbs. Tell it what happened by `handle_*`. Then send what `poll_transmit` writes until it
//! returns `None`, carry out what `poll_event` returns until it returns `None`, and call `handle_timeout` at the moment
//! that `poll_timeout` names, unless something happens before.
//!
//! Here a page signs in, over a WebSocket that the embedder would have accepted:
//!
//! ```
//! use std::time::{Instant, SystemTime};
//!
//! use webrtc_sip_core::crypto::CryptoProvider;
//! use webrtc_sip_core::gateway::{Answer, Gateway, GatewayConfig, GatewayEvent, Identity, IdentityError, Request};
//! use webrtc_sip_core::ids::LinkId;
//!
//! let crypto = CryptoProvider::system();
//! let seed = crypto.bytes();
//! let mut gateway = Gateway::new(Instant::now(), SystemTime::now(), GatewayConfig::default(), crypto, &seed);
//!
//! let page = LinkId(1);
//! gateway.handle_websocket_opened(Instant::now(), page);
//! let sign_in = r#"{"jsonrpc":"2.0","id":1,"method":"session.signIn","params":{"user":"alice","password":"secret"}}"#;
//! gateway.handle_client_message(Instant::now(), page, None, sign_in.as_bytes());
//!
//! let mut sent = Vec::new();
//! while let Some(event) = gateway.poll_event() {
//!     match event {
//!         // The library knows no passwords; the embedder does, and answers now or later.
//!         GatewayEvent::Request { id, request: Request::Authenticate { user, password, .. } } => {
//!             let known = user == "alice" && password == "secret";
//!             let identity = Identity { user, display_name: Some("Alice".to_owned()), sip_credentials: None };
//!             let answer = known.then_some(identity).ok_or(IdentityError::Refused);
//!             gateway.handle_answer(Instant::now(), id, Answer::Identity(answer));
//!         }
//!         GatewayEvent::ClientSend { link, text } if link == page => sent.push(text),
//!         other => println!("{other:?}"),
//!     }
//! }
//! assert!(sent[0].contains("\"displayName\":\"Alice\""));
//! ```
//!
//! For calls the configuration names SIP sockets and media shards, and the loop also carries
//! [`gateway::GatewayEvent::Media`] to [`media::MediaShard::handle_command`] and the shard's events back to
//! [`gateway::Gateway::handle_media_event`]. The gateway program that comes with this library is such a loop, on tokio.
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod call;
pub mod codec;
pub mod crypto;
pub mod gateway;
pub mod ids;
pub mod io;
pub mod media;
pub mod net;
pub mod rng;
pub mod rtp;
pub mod sdp;
pub mod sip;
pub mod stun;
#[cfg(test)]
mod test_data;
pub mod timer;
pub mod transport;
pub mod turn;
