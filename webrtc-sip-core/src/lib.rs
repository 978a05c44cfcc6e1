//! Sans-IO state machines that join WebRTC browsers to SIP.
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod call;
pub mod codec;
pub mod crypto;
pub mod gateway;
pub mod ids;
pub mod io;
pub mod media;
pub mod rng;
pub mod rtp;
pub mod sdp;
pub mod sip;
#[cfg(test)]
mod test_data;
pub mod timer;
pub mod transport;
