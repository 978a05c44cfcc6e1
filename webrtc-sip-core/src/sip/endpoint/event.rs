//! What an endpoint tells its owner, and what the owner gives it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::ids::{DialogId, RegistrationId};
use crate::io::FlowId;
use crate::sip::{Headers, NameAddr, Reason, Uri};

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Any byte stream: TCP, TLS, WebSocket.
    Tcp,
}

impl Transport {
    /// As in Via.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
        }
    }
}

/// A next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Destination {
    /// How.
    pub transport: Transport,
    /// Where to.
    pub address: SocketAddr,
}

/// User name and password for digest authentication (RFC 3261 section 22).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, ***)", self.user)
    }
}

/// An INVITE to be sent.
#[derive(Clone, Debug)]
pub struct Invite {
    /// Where the first request, and every later one whose next hop is a host name, goes.
    pub destination: Destination,
    /// Who is called.
    pub request_uri: Uri,
    /// Who calls; a tag in it is replaced.
    pub from: NameAddr,
    /// Who is called, as the caller knows them; a tag in it is removed.
    pub to: NameAddr,
    /// The user part of our Contact.
    pub contact_user: String,
    /// A preloaded route set (RFC 3261 section 8.1.1.1), usually empty.
    pub route: Vec<NameAddr>,
    /// More header fields. Those that the endpoint writes itself are ignored.
    pub headers: Headers,
    /// The offer; empty asks the far side for one (delayed offer).
    pub body: Bytes,
    /// Type of the body, for example `application/sdp`. Used for every later body of the dialog too.
    pub content_type: String,
    /// To answer 401 and 407 with, here and in the dialog.
    pub credentials: Option<Credentials>,
}

impl Invite {
    /// A call with an SDP offer, and nothing beyond what each call has. The Contact's user is the caller's.
    pub fn new(destination: Destination, request_uri: Uri, from: NameAddr, offer: impl Into<Bytes>) -> Self {
        let user = from.uri.user().map(Cow::into_owned);
        Invite {
            destination,
            to: NameAddr::new(request_uri.clone()),
            request_uri,
            from,
            contact_user: user.unwrap_or_default(),
            route: Vec::new(),
            headers: Headers::new(),
            body: offer.into(),
            content_type: "application/sdp".to_owned(),
            credentials: None,
        }
    }
}

/// A binding to be kept at a registrar (RFC 3261 section 10.2).
#[derive(Clone, Debug)]
pub struct Register {
    /// Where the requests go.
    pub destination: Destination,
    /// The Request-URI: the registrar's domain, without a user.
    pub registrar: Uri,
    /// The address of record, in To and From.
    pub aor: NameAddr,
    /// The user part of our Contact.
    pub contact_user: String,
    /// How long to ask for.
    pub expires: Duration,
    /// To answer 401 and 407 with.
    pub credentials: Option<Credentials>,
}

/// Where a request went, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Where it was sent.
    pub address: SocketAddr,
    /// Whether somebody there answered.
    pub answered: bool,
}

/// What came with an INVITE that starts a dialog.
#[derive(Clone, Debug)]
pub struct IncomingInvite {
    /// Its dialog from now on.
    pub dialog: DialogId,
    /// Where it came from.
    pub source: SocketAddr,
    /// How it came.
    pub transport: Transport,
    /// Who is called.
    pub request_uri: Uri,
    /// Who calls, with their tag.
    pub from: NameAddr,
    /// Who is called.
    pub to: NameAddr,
    /// Who calls, as a trusted network asserts (RFC 3325); the first one.
    pub p_asserted_identity: Option<NameAddr>,
    /// All header fields.
    pub headers: Headers,
    /// The offer; empty when one is wanted in the answer.
    pub body: Bytes,
    /// Type of the body.
    pub content_type: Option<String>,
}

/// Why an INVITE of ours failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The final status; 408 when nobody answered in time, 503 when the transport failed (RFC 3261 section 8.1.3.1).
    pub status: u16,
    /// Whether anything came from the far side, if only that it rang.
    pub answered: bool,
    /// The far side's words.
    pub reason_phrase: String,
    /// When to try again (RFC 3261 section 20.33).
    pub retry_after: Option<Duration>,
    /// RFC 3326.
    pub reason: Option<Reason>,
    /// With a 3xx: where else to try, in the order of preference.
    pub contacts: Vec<NameAddr>,
}

/// Why a dialog ended after it was answered, or an incoming INVITE before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The far side sent BYE.
    Bye(Option<Reason>),
    /// We did: `bye` or `reject` was called.
    Local,
    /// No ACK came to our 2xx (RFC 3261 section 13.3.1.4).
    NoAck,
    /// No PRACK came to our reliable provisional response (RFC 3262 section 3).
    NoPrack,
    /// The owner let an incoming INVITE ring for too long.
    Expired,
    /// A request in the dialog was answered 481 or 408, or not at all (RFC 3261 section 12.2.1.2).
    Lost {
        /// The status; 408 also stands for silence, 503 for a failed transport.
        status: u16,
    },
    /// The session timer ran out (RFC 4028 section 10).
    SessionExpired,
}

/// What happened. Every dialog ends with exactly one of `Failed`, `Cancelled` and `Ended`, after which its id means
/// nothing any more.
#[derive(Clone, Debug)]
pub enum SipEvent {
    /// Somebody calls. To be answered by `ring`, `answer` or `reject`; 100 (Trying) was sent.
    IncomingInvite(Box<IncomingInvite>),
    /// A provisional response other than 100 to our INVITE.
    Ringing {
        /// Whose.
        dialog: DialogId,
        /// 101 to 199.
        status: u16,
        /// Early media's SDP, often empty.
        body: Bytes,
    },
    /// Our INVITE was answered. The ACK is sent, unless the INVITE had no body: then the body here is an offer and
    /// `acknowledge` must follow.
    Answered {
        /// Whose.
        dialog: DialogId,
        /// The answer, or the offer. Where the 2xx has none, what the same far side answered provisionally.
        body: Bytes,
    },
    /// The ACK to our answer came (or to our answer to a re-INVITE).
    Confirmed {
        /// Whose.
        dialog: DialogId,
        /// The answer to the offer in our 2xx, where that had one.
        body: Bytes,
    },
    /// Our INVITE failed. The dialog is gone.
    Failed {
        /// Whose.
        dialog: DialogId,
        /// How.
        failure: Box<Failure>,
    },
    /// The caller gave up before we answered. The dialog is gone.
    Cancelled {
        /// Whose.
        dialog: DialogId,
        /// RFC 3326; "Call completed elsewhere" stands here.
        reason: Option<Reason>,
    },
    /// A re-INVITE, or an UPDATE with a body. To be answered by `answer_reinvite`.
    Reinvited {
        /// Whose.
        dialog: DialogId,
        /// The offer; empty when one is wanted in the answer (re-INVITE only).
        body: Bytes,
    },
    /// Our re-INVITE was accepted. As with `Answered`, `acknowledge` must follow when it had no body.
    ReinviteAnswered {
        /// Whose.
        dialog: DialogId,
        /// The answer, or the offer.
        body: Bytes,
    },
    /// Our re-INVITE was refused; the dialog goes on as before. One that meets the far side's (491, RFC 3261 section
    /// 14.1) is tried again by itself, and is only reported, with 491, when an offer of theirs comes before that:
    /// `Reinvited` follows, and ours is out of date.
    ReinviteFailed {
        /// Whose.
        dialog: DialogId,
        /// The status.
        status: u16,
    },
    /// An INFO (RFC 6086). It was answered 200.
    Info {
        /// Whose.
        dialog: DialogId,
        /// Type of the body.
        content_type: Option<String>,
        /// For example `application/dtmf-relay`.
        body: Bytes,
    },
    /// The dialog is gone.
    Ended {
        /// Whose.
        dialog: DialogId,
        /// Why.
        reason: Ended,
    },
    /// The binding is there, for as long as the registrar grants. Comes after every refresh.
    Registered {
        /// Whose.
        registration: RegistrationId,
        /// Who granted it.
        address: SocketAddr,
        /// For how long.
        expires: Duration,
    },
    /// Registering failed. It is tried again, after a growing pause, until `unregister`.
    RegistrationFailed {
        /// Whose.
        registration: RegistrationId,
        /// The status; 408 when nobody answered, 503 when the transport failed.
        status: u16,
        /// Where it was tried; none when the request couldn't even be sent.
        tried: Option<Tried>,
    },
    /// The binding was removed, or the attempt to remove it is over. The registration is gone.
    Unregistered {
        /// Whose.
        registration: RegistrationId,
    },
    /// Open a byte stream. To be answered by `handle_flow_opened` or `handle_flow_closed`.
    OpenFlow {
        /// Its number.
        flow: FlowId,
        /// Where to.
        remote: SocketAddr,
    },
    /// Close a byte stream once everything before is written. Not answered.
    CloseFlow {
        /// Which.
        flow: FlowId,
    },
}

/// Why a call of the endpoint's interface was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SipError {
    /// No such dialog, or it has ended.
    #[error("there is no such dialog")]
    UnknownDialog,
    /// No such registration.
    #[error("there is no such registration")]
    UnknownRegistration,
    /// The dialog isn't in a state for that.
    #[error("the dialog is not in a state for that")]
    WrongState,
    /// Not a status for that.
    #[error("the status code does not fit")]
    Status,
    /// A configured limit is reached.
    #[error("a limit is reached")]
    LimitReached,
    /// No socket can reach that address family.
    #[error("no socket of that address family")]
    NoSocket,
    /// A snapshot doesn't hold what it should.
    #[error("the snapshot is not valid")]
    BadSnapshot,
}
