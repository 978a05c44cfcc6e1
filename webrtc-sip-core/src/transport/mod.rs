//! Transports of one leg: ICE with DTLS-SRTP towards browsers, plain RTP towards SIP.

mod parameters;
pub mod plain;
pub mod webrtc;

pub use parameters::{DtlsRole, IceCredentials, WebRtcRemote};
