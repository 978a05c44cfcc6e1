//! RTP and RTCP (RFC 3550), SRTP (RFC 3711), telephone events (RFC 4733).

pub mod dtmf;
pub mod header;
pub mod rtcp;
pub mod sequence;
pub mod source;
pub mod srtp;
pub mod statistics;
pub(crate) mod window;

pub use dtmf::{DtmfReceiver, DtmfRelay, DtmfSender};
pub use header::{HeaderError, RtpHeader, RtpPacket, is_rtcp};
pub use rtcp::NtpClock;
pub use sequence::{Arrival, SequenceTracker};
pub use source::OutgoingSource;
pub use statistics::{ReceiverStatistics, SenderStatistics};
