//! Calls: the back-to-back pairing of two legs (RFC 7092).

mod reason;

pub use reason::EndReason;
