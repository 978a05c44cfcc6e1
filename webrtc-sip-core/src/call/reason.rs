//! [`EndReason`]: why a call ended, in the three languages it has to be told in.

use serde::{Deserialize, Serialize};

/// Why a call ended. Every call ends exactly once, with exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// Someone hung up an answered call.
    Hangup,
    /// The called side declined.
    Rejected,
    /// The called side is busy.
    Busy,
    /// It rang for as long as is allowed, or the called side said that nobody is there.
    NoAnswer,
    /// The caller gave up before an answer.
    Cancelled,
    /// Another of the called side's phones took the call.
    AnsweredElsewhere,
    /// The called number doesn't exist.
    NotFound,
    /// Nothing configured takes that number.
    Unroutable,
    /// The next SIP hop didn't answer or couldn't be connected to.
    Unreachable,
    /// No media that both sides understand.
    NotAcceptable,
    /// The far side doesn't let us.
    Forbidden,
    /// ICE or DTLS failed, or a side's media path was lost for good.
    MediaFailed,
    /// The browser vanished and didn't come back in time.
    ClientGone,
    /// This gateway is being shut down.
    ServerShutdown,
    /// The SIP session timer ran out (RFC 4028).
    SessionExpired,
    /// A configured limit is reached.
    TooMany,
    /// Anything else the far side reported.
    Failure,
}

impl EndReason {
    /// Every reason.
    pub const ALL: [EndReason; 17] = [
        EndReason::Hangup,
        EndReason::Rejected,
        EndReason::Busy,
        EndReason::NoAnswer,
        EndReason::Cancelled,
        EndReason::AnsweredElsewhere,
        EndReason::NotFound,
        EndReason::Unroutable,
        EndReason::Unreachable,
        EndReason::NotAcceptable,
        EndReason::Forbidden,
        EndReason::MediaFailed,
        EndReason::ClientGone,
        EndReason::ServerShutdown,
        EndReason::SessionExpired,
        EndReason::TooMany,
        EndReason::Failure,
    ];

    /// The stable name, as in the signalling protocol, logs and metric labels.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// The SIP status with which an unanswered INVITE is refused for this reason (RFC 3261 section 21).
    pub fn sip_status(self) -> u16 {
        self.row().1
    }

    /// The ITU-T Q.850 cause for a `Reason` header (RFC 3326; mapping after RFC 3398 section 8.2.6.1).
    pub fn q850_cause(self) -> u8 {
        self.row().2
    }

    /// A sentence for people.
    pub fn text(self) -> &'static str {
        self.row().3
    }

    fn row(self) -> (&'static str, u16, u8, &'static str) {
        match self {
            EndReason::Hangup => ("hangup", 480, 16, "The call has ended."),
            EndReason::Rejected => ("rejected", 603, 21, "The call was declined."),
            EndReason::Busy => ("busy", 486, 17, "The line is busy."),
            EndReason::NoAnswer => ("no_answer", 480, 19, "Nobody answered."),
            EndReason::Cancelled => ("cancelled", 487, 16, "The call was cancelled."),
            EndReason::AnsweredElsewhere => ("answered_elsewhere", 487, 26, "The call was answered elsewhere."),
            EndReason::NotFound => ("not_found", 404, 1, "This number does not exist."),
            EndReason::Unroutable => ("unroutable", 404, 3, "There is no route to that number."),
            EndReason::Unreachable => ("unreachable", 503, 27, "The telephone system could not be reached."),
            EndReason::NotAcceptable => ("not_acceptable", 488, 65, "The two sides have no audio format in common."),
            EndReason::Forbidden => ("forbidden", 403, 21, "This call is not permitted."),
            EndReason::MediaFailed => ("media_failed", 500, 41, "The audio connection could not be kept."),
            EndReason::ClientGone => ("client_gone", 480, 27, "The connection to the browser was lost."),
            EndReason::ServerShutdown => ("server_shutdown", 503, 41, "The gateway is shutting down."),
            EndReason::SessionExpired => ("session_expired", 408, 102, "The far side no longer responds."),
            EndReason::TooMany => ("too_many", 503, 42, "There are too many calls right now."),
            EndReason::Failure => ("failure", 500, 41, "The call failed."),
        }
    }

    /// What a final SIP failure to our INVITE means (RFC 3261 section 21).
    pub fn from_sip_status(status: u16) -> Self {
        match status {
            401 | 403 | 407 => EndReason::Forbidden,
            404 | 410 | 484 | 485 | 604 => EndReason::NotFound,
            408 | 502 | 503 | 504 => EndReason::Unreachable,
            406 | 415 | 488 | 606 => EndReason::NotAcceptable,
            480 => EndReason::NoAnswer,
            486 | 600 => EndReason::Busy,
            487 => EndReason::Cancelled,
            603 | 607 | 608 => EndReason::Rejected,
            _ => EndReason::Failure,
        }
    }

    /// What a Q.850 cause means; none where it says nothing in particular, as normal clearing (16) does.
    pub fn from_q850_cause(cause: u16) -> Option<Self> {
        Some(match cause {
            1 | 22 | 28 => EndReason::NotFound,
            2 | 3 => EndReason::Unroutable,
            17 => EndReason::Busy,
            18..=20 => EndReason::NoAnswer,
            21 => EndReason::Rejected,
            26 => EndReason::AnsweredElsewhere,
            27 | 38 | 41 => EndReason::Unreachable,
            34 | 42 | 44 | 47 => EndReason::TooMany,
            57 => EndReason::Forbidden,
            65 | 88 => EndReason::NotAcceptable,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_as_serialised() {
        for reason in EndReason::ALL {
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("\"{}\"", reason.name()));
            assert!((400..700).contains(&reason.sip_status()));
        }
    }
}
