//! Identifiers. One type per concept, so that a leg can't be passed where a call is meant.
//!
//! All of them are process-local handles: small, `Copy`, never seen by a SIP peer. Identifiers that travel on the wire
//! (Call-ID, tags, branches, session tokens) are drawn from [`crate::rng`] or [`crate::crypto`] instead.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }
    };
}

id!(
    /// A call: the back-to-back pairing of two legs (RFC 7092). Not the SIP Call-ID, which is `CallIdHeader`.
    CallId, "call-"
);
id!(
    /// One side of a call: a browser or a SIP dialog, together with its media. The control plane and the media plane
    /// name the same leg by the same id.
    LegId, "leg-"
);
id!(
    /// A user signed in from one browser (or SDK client).
    SignInId, "signin-"
);
id!(
    /// One way to reach a signed-in client: a WebSocket, one HTTP request, or one pending long poll.
    LinkId, "link-"
);
id!(
    /// A SIP dialog usage (RFC 3261 section 12) as its owner sees it, from the first INVITE to its end.
    DialogId, "dialog-"
);
id!(
    /// A binding kept alive at a registrar (RFC 3261 section 10).
    RegistrationId, "registration-"
);
id!(
    /// A SIP transaction (RFC 3261 section 17).
    TransactionId, "transaction-"
);
id!(
    /// A question to the outside world, answered by `handle_answer` with the same id.
    RequestId, "request-"
);
id!(
    /// An allocation of a TURN server (RFC 8656 section 3.2).
    AllocationId, "allocation-"
);
id!(
    /// One media worker and the [`crate::media`] state that lives on it.
    ShardId, "shard-"
);

/// Hands out ids in increasing order, starting at 1. One per kind of id and owner.
#[derive(Debug, Default)]
pub struct IdCounter(u64);

impl IdCounter {
    /// The next number, never 0 and never repeated.
    pub fn draw(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}
