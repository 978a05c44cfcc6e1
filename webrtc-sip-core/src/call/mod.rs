//! Calls: the back-to-back pairing of two legs (RFC 7092).
//!
//! [`Call`] decides what happens to a call as a whole: when the caller hears ringing, when the two legs are joined, who
//! is told that it ended and why. It knows nothing of how a leg is signalled; its owner carries out each
//! [`CallAction`] on a browser leg or on a SIP leg.

mod reason;
mod state;

pub use reason::EndReason;
pub use state::{Call, CallAction, CallPhase, EndedBy, Ending, Side, Warning};
