//! RTP and RTCP (RFC 3550), SRTP (RFC 3711), telephone events (RFC 4733).

pub mod header;
pub mod sequence;
pub mod source;
pub mod srtp;
pub(crate) mod window;

pub use header::{HeaderError, RtpHeader, RtpPacket, is_rtcp};
pub use sequence::{Arrival, SequenceTracker};
pub use source::OutgoingSource;
