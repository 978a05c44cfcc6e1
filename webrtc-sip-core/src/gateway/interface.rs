//! What the control plane asks of its shell, and what the shell tells it.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::call::EndReason;
use crate::ids::{CallId, LinkId, RequestId, ShardId};
use crate::io::{FlowId, SocketId};
use crate::media::{LegStats, MediaCommand};

use super::snapshot::CallSnapshot;

/// One thing for the shell to do.
#[derive(Debug)]
pub enum GatewayEvent {
    /// Hand a command to a media shard.
    Media {
        /// Which.
        shard: ShardId,
        /// What.
        command: MediaCommand,
    },
    /// Send a JSON text over a client's link: a WebSocket message, or the body of the one response that an HTTP link
    /// gets.
    ClientSend {
        /// To whom.
        link: LinkId,
        /// The message.
        text: String,
    },
    /// Refuse an HTTP link or close a WebSocket, with an HTTP status (WebSocket: close code 4000 + status) and a JSON
    /// error body.
    ClientClose {
        /// Whose.
        link: LinkId,
        /// 401, 408, 409, 429 or 503; `docs/signaling.md` says when.
        status: u16,
        /// A JSON-RPC error object.
        text: String,
    },
    /// Something only the outside knows or can do. Answered by [`super::Gateway::handle_answer`] with the same id; the
    /// core gives up by itself at its own deadline and ignores a later answer.
    Request {
        /// Comes back with the answer.
        id: RequestId,
        /// What.
        request: Request,
    },
    /// Open a byte stream for SIP. Answered by `handle_flow_opened` or `handle_flow_closed`.
    OpenFlow {
        /// Its number from now on; [`FlowId::OPENED_BY_CORE`] is set.
        flow: FlowId,
        /// Where to.
        remote: SocketAddr,
    },
    /// Close a SIP byte stream once everything before is written.
    CloseFlow {
        /// Which.
        flow: FlowId,
    },
    /// Close the RTP and RTCP sockets of a plain leg and give their ports back.
    ReleaseMediaPorts {
        /// Who held them.
        shard: ShardId,
        /// The RTP socket.
        rtp: SocketId,
        /// The RTCP socket.
        rtcp: SocketId,
    },
    /// The answer to `Gateway::snapshot_call`.
    CallSnapshot {
        /// Which call.
        call: CallId,
        /// Its state; none when it isn't answered, or its media aren't connected.
        snapshot: Option<Box<CallSnapshot>>,
    },
    /// A call ended: one line for the log, one record for whoever keeps records.
    CallEnded(Box<CallRecord>),
    /// Something changed about the way to the upstream proxy: one line for the log.
    Proxy(ProxyNews),
    /// What `handle_drain` began is complete: nobody is in a call.
    Drained,
}

/// What changed about the way to the upstream proxy. It isn't repeated for each request that shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyNews {
    /// Its name can't be looked up or has no address of a socket's family, and none is known from before.
    Unresolved,
    /// Its name has been looked up after all.
    Resolved,
    /// Nobody answers at this address.
    Silent(SocketAddr),
    /// Somebody answers there again.
    Answers(SocketAddr),
}

/// A question of the core to its shell.
#[derive(Clone, PartialEq, Eq)]
pub enum Request {
    /// Is this who they say they are? Answered by [`Answer::Identity`].
    Authenticate {
        /// The link that asks.
        link: LinkId,
        /// User name as typed.
        user: String,
        /// Password as typed.
        password: String,
    },
    /// An RTP/RTCP socket pair on a shard. Answered by [`Answer::MediaPorts`].
    BindMediaPorts {
        /// On whose worker.
        shard: ShardId,
        /// The address that the peer is expected to be at, so that a socket of its family and interface is bound.
        towards: SocketAddr,
    },
    /// The addresses of a host name (A and AAAA). Answered by [`Answer::Addresses`].
    Resolve {
        /// Host name.
        host: String,
    },
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Request::Authenticate { user, .. } => write!(f, "Authenticate({user})"),
            Request::BindMediaPorts { shard, towards } => write!(f, "BindMediaPorts({shard}, {towards})"),
            Request::Resolve { host } => write!(f, "Resolve({host})"),
        }
    }
}

/// The shell's answer to a [`Request`].
#[derive(Clone, Debug)]
pub enum Answer {
    /// To `Authenticate`.
    Identity(Result<Identity, IdentityError>),
    /// To `BindMediaPorts`; none when the range is used up.
    MediaPorts(Option<MediaPorts>),
    /// To `Resolve`; empty when the name doesn't exist.
    Addresses(Vec<std::net::IpAddr>),
}

/// Who signed in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The user part of their address of record, for example `1001`.
    pub user: String,
    /// Name for the far side's display.
    pub display_name: Option<String>,
    /// Credentials at the SIP proxy, where one is configured.
    pub sip_credentials: Option<SipCredentials>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.user)
    }
}

/// User name and password for SIP digest authentication.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SipCredentials {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for SipCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SipCredentials({}, ***)", self.user)
    }
}

/// Why a sign-in isn't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityError {
    /// Unknown user or wrong password; which of the two is not told.
    Refused,
    /// Whoever knows the users can't be reached.
    Unavailable,
    /// Too many wrong passwords came from there.
    TooMany,
}

/// A bound RTP/RTCP pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaPorts {
    /// On whose worker.
    pub shard: ShardId,
    /// RTP socket.
    pub rtp: SocketId,
    /// RTCP socket (the RTP port + 1).
    pub rtcp: SocketId,
    /// The address and port for our SDP: advertised, not necessarily bound.
    pub advertised: SocketAddr,
}

impl MediaPorts {
    /// The RTCP address for our SDP (RFC 3550 section 11: the next port).
    pub fn advertised_rtcp(&self) -> SocketAddr {
        SocketAddr::new(self.advertised.ip(), self.advertised.port().saturating_add(1))
    }
}

/// What is remembered of a call that ended.
#[derive(Clone, Debug)]
pub struct CallRecord {
    /// Which.
    pub call: CallId,
    /// Who called: address of record or user name.
    pub from: String,
    /// Who was called.
    pub to: String,
    /// From set-up to the end.
    pub duration: Duration,
    /// From answer to the end; none when it wasn't answered.
    pub talk_time: Option<Duration>,
    /// Why it ended.
    pub reason: EndReason,
    /// Figures of the caller's and the callee's leg, where there was media.
    pub legs: [Option<LegStats>; 2],
}

impl From<SipCredentials> for crate::sip::endpoint::Credentials {
    fn from(SipCredentials { user, password }: SipCredentials) -> Self {
        crate::sip::endpoint::Credentials { user, password }
    }
}
