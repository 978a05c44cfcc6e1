//! RTP and RTCP (RFC 3550), SRTP (RFC 3711), telephone events (RFC 4733).

pub mod header;
pub mod srtp;

pub use header::{HeaderError, RtpHeader, RtpPacket, is_rtcp};
