//! SDP (RFC 8866): typed attributes over sdp-types, and the offer/answer engine (RFC 3264, RFC 9429).
//!
//! One negotiator per leg: [`WebRtcNegotiator`] for a leg with ICE and DTLS-SRTP, [`SipNegotiator`] for one with plain
//! RTP. Both have the same verbs:
//!
//! - `answer` reads an offer and returns the answer with what was agreed;
//! - `offer` returns an offer and a token for it; `accept_answer` takes the token and the answer. Dropping the token is
//!   the rollback: the last agreement stands.
//!
//! An offer or answer that is refused changes nothing. A negotiator is plain data: it serialises, and another node can
//! go on with it.
//!
//! A description is a list of media sections. One audio section is used; every other one is answered with port 0 and
//! keeps its place in later offers. The exception is a section that the audio section borrows its transport from (see
//! `bundle`): it stays alive, inactive.

mod agreed;
mod attributes;
mod bundle;
mod candidate;
mod description;
mod direction;
mod error;
mod formats;
mod memory;
mod plain;
mod webrtc;

#[cfg(test)]
mod tests;

pub use agreed::{AgreedAudio, AgreedSip, AgreedWebRtc, AudioFormat, DtmfFormat, RemoteMedia, RemoteTransport};
pub use attributes::{DtlsRole, Fingerprint, IceCredentials};
pub use candidate::{Candidate, CandidateAddress, CandidateKind, CandidateTransport};
pub use description::{MAX_LINES, MAX_MEDIA_SECTIONS, MAX_SDP_BYTES, MAX_SECTION_FORMATS};
pub use direction::Direction;
pub use error::SdpError;
pub use plain::{PendingSipOffer, SipLocal, SipNegotiator};
pub use webrtc::{PendingWebRtcOffer, WebRtcLocal, WebRtcNegotiator};
