//! What the control plane tells the media plane. Plain data: it can be carried inside one thread, between threads or
//! between processes.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{LegId, RequestId};
use crate::io::SocketId;
pub use crate::sdp::{AgreedAudio as AudioConfig, AudioFormat, DtmfFormat};
pub use crate::transport::{DtlsRole, IceCredentials, WebRtcRemote};

use super::snapshot::RestoreLegConfig;

/// One instruction to a [`super::MediaShard`]. An instruction for a leg that is gone is ignored: the leg may have ended
/// while the command was under way.
#[derive(Clone, Debug)]
pub enum MediaCommand {
    /// Creates a leg that speaks ICE and DTLS-SRTP with a browser.
    AddWebRtcLeg(Box<WebRtcLegConfig>),
    /// Creates a leg that speaks plain RTP on a socket of its own.
    AddPlainLeg(PlainLegConfig),
    /// The browser's half of the transport parameters; also sent again with new ones for an ICE restart.
    SetWebRtcRemote {
        /// Whose.
        leg: LegId,
        /// The browser's parameters.
        remote: Box<WebRtcRemote>,
    },
    /// New local ICE credentials for an ICE restart (RFC 8445 section 9). The browser's follow by `SetWebRtcRemote`.
    RestartIce {
        /// Whose.
        leg: LegId,
        /// The new credentials.
        local: IceCredentials,
    },
    /// A trickled candidate of the browser (RFC 8838), as the value of `a=candidate`.
    AddRemoteCandidate {
        /// Whose.
        leg: LegId,
        /// `candidate:...`
        candidate: String,
    },
    /// Where the RTP peer of a plain leg listens. Until a valid packet arrives from elsewhere (symmetric RTP, RFC 4961)
    /// packets are sent here.
    SetPlainRemote {
        /// Whose.
        leg: LegId,
        /// RTP address.
        rtp: SocketAddr,
        /// RTCP address (RFC 3605), or the RTP address for rtcp-mux.
        rtcp: SocketAddr,
    },
    /// What the legs' offer/answer agreed on: formats, direction, packet time. Replaces what was set before.
    SetAudio {
        /// Whose.
        leg: LegId,
        /// The agreement.
        audio: Box<AudioConfig>,
    },
    /// Joins two legs: what one receives the other sends, transcoded where their formats differ. Takes each out of the
    /// bridge it was in.
    Bridge {
        /// One leg.
        a: LegId,
        /// The other.
        b: LegId,
    },
    /// Takes a leg out of its bridge; its far side hears nothing any more.
    Unbridge {
        /// Whose.
        leg: LegId,
    },
    /// Sends DTMF events (RFC 4733) towards the peer of a leg, one after the other.
    SendDtmf {
        /// Whose.
        leg: LegId,
        /// What to press.
        digits: Vec<DtmfDigit>,
        /// How long each is held (RFC 4733 section 2.5.1; 40 ms to 6 s).
        duration: Duration,
        /// Silence between two digits.
        gap: Duration,
    },
    /// Ends a leg and frees what it held. Answered by [`super::MediaEvent::LegRemoved`], also when there is no such leg.
    RemoveLeg {
        /// Whose.
        leg: LegId,
    },
    /// Ends a leg without a DTLS close_notify or RTCP BYE, because another instance goes on with it.
    /// Answered as `RemoveLeg` is.
    HandOverLeg {
        /// Whose.
        leg: LegId,
    },
    /// Asks for the state with which another instance can go on; answered by [`super::MediaEvent::Snapshot`].
    SnapshotLeg {
        /// Comes back in the answer.
        request: RequestId,
        /// Whose.
        leg: LegId,
    },
    /// Goes on with a leg from another instance's snapshot, under a new SSRC.
    RestoreLeg(Box<RestoreLegConfig>),
}

/// How a WebRTC leg starts.
#[derive(Clone, Debug)]
pub struct WebRtcLegConfig {
    /// Its name from now on.
    pub leg: LegId,
    /// Our ICE credentials, as written in our SDP.
    pub local: IceCredentials,
    /// ICE-lite (RFC 8445 section 2.5) or a full agent.
    pub ice_lite: bool,
    /// Whether we are the controlling agent (only with a full agent on both sides does it matter).
    pub controlling: bool,
    /// Synchronisation source of what we send, as written in our SDP.
    pub ssrc: u32,
    /// RTCP canonical name (RFC 7022).
    pub cname: String,
}

/// How a plain RTP leg starts.
#[derive(Clone, Debug)]
pub struct PlainLegConfig {
    /// Its name from now on.
    pub leg: LegId,
    /// Its RTP socket.
    pub rtp_socket: SocketId,
    /// Its RTCP socket; the RTP socket for rtcp-mux (RFC 5761).
    pub rtcp_socket: SocketId,
    /// Synchronisation source of what we send.
    pub ssrc: u32,
    /// RTCP canonical name (RFC 7022).
    pub cname: String,
}

/// A DTMF key (RFC 4733 section 3.2, events 0 to 15).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DtmfDigit(u8);

impl DtmfDigit {
    const KEYS: &'static [u8; 16] = b"0123456789*#ABCD";

    /// From the key's character, `0-9 * # A-D` (letters in either case).
    pub fn from_char(key: char) -> Option<Self> {
        let upper = key.to_ascii_uppercase();
        Self::KEYS.iter().position(|k| char::from(*k) == upper).map(|event| DtmfDigit(event as u8))
    }

    /// From the RTP event code.
    pub fn from_event(event: u8) -> Option<Self> {
        (event < 16).then_some(DtmfDigit(event))
    }

    /// The RTP event code, 0 to 15.
    pub fn event(self) -> u8 {
        self.0
    }

    /// The key's character.
    pub fn to_char(self) -> char {
        char::from(Self::KEYS[usize::from(self.0)])
    }
}

impl std::fmt::Debug for DtmfDigit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Digits can be card numbers; they stay out of logs.
        f.write_str("DtmfDigit(*)")
    }
}
