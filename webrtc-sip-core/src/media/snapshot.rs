//! The state of a leg that another instance needs to go on with it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::ids::LegId;
use crate::io::SocketId;
use crate::rtp::srtp::SrtpKeys;

use super::command::{AudioConfig, DtlsRole, IceCredentials};

/// Versioned state of one WebRTC or plain leg. Contains keys: a store must encrypt it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LegSnapshot {
    /// Version of this layout; [`LegSnapshot::VERSION`].
    pub version: u32,
    /// The leg's id at the old owner; the new owner may rename it.
    pub leg: LegId,
    /// RTCP canonical name.
    pub cname: String,
    /// What was agreed on for audio.
    pub audio: Option<AudioConfig>,
    /// The part that depends on the transport.
    pub transport: TransportSnapshot,
}

impl LegSnapshot {
    /// The version of the layout that this code writes, and the only one it reads.
    pub const VERSION: u32 = 1;
}

/// The part of a [`LegSnapshot`] that depends on the transport.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum TransportSnapshot {
    /// ICE and DTLS-SRTP.
    WebRtc(Box<WebRtcSnapshot>),
    /// Plain RTP.
    Plain(PlainSnapshot),
}

/// State of a WebRTC leg. There is no DTLS state: the keys are all that is left of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WebRtcSnapshot {
    /// Whether we are an ICE-lite agent.
    pub ice_lite: bool,
    /// Whether we control (RFC 8445 section 6.1.1); a restart doesn't change it (section 9).
    pub controlling: bool,
    /// The old owner's ICE credentials, in force until the browser restarts ICE.
    pub local: IceCredentials,
    /// The browser's.
    pub remote: Option<IceCredentials>,
    /// The side that we had in the DTLS handshake; repeated in every later answer.
    pub dtls_role: DtlsRole,
    /// Hash algorithm and value of each fingerprint that the browser's certificate was held to (RFC 8122). A browser
    /// that comes back with others needs a new handshake.
    pub fingerprints: Vec<(String, Vec<u8>)>,
    /// Master key of what we send.
    pub local_keys: SrtpKeys,
    /// Master key of what the browser sends.
    pub remote_keys: SrtpKeys,
    /// Inbound RTP sources and their roll-over counters (RFC 3711 section 3.3.1).
    pub roll_over_counters: Vec<(u32, u32)>,
    /// The synchronisation sources that were ours under these keys. None of them may ever be used again.
    pub used_ssrcs: Vec<u32>,
}

/// State of a plain leg. It goes on under its own SSRC, because nothing is encrypted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlainSnapshot {
    /// Our synchronisation source.
    pub ssrc: u32,
    /// Sequence number of the newest packet that was sent.
    pub sequence: u16,
    /// Its timestamp, carried on to the time of the snapshot.
    pub timestamp: u32,
    /// Where the peer said it listens, RTP and RTCP.
    pub remote: Option<(SocketAddr, SocketAddr)>,
}

/// How to go on with a leg from a snapshot.
#[derive(Clone, Debug)]
pub struct RestoreLegConfig {
    /// Its name from now on.
    pub leg: LegId,
    /// The state.
    pub snapshot: LegSnapshot,
    /// What only the new owner can say.
    pub transport: RestoreTransport,
}

/// The new owner's half of a restored leg.
#[derive(Clone, Debug)]
pub enum RestoreTransport {
    /// For [`TransportSnapshot::WebRtc`].
    WebRtc {
        /// New ICE credentials, as in the answer to the browser's ICE restart.
        local: IceCredentials,
        /// A synchronisation source that was never used under these keys: the SRTP initialisation vector contains it,
        /// so that nothing is encrypted twice under the same one although sequence numbers begin anew.
        ssrc: u32,
    },
    /// For [`TransportSnapshot::Plain`].
    Plain {
        /// The new RTP socket.
        rtp_socket: SocketId,
        /// The new RTCP socket; the RTP socket for rtcp-mux.
        rtcp_socket: SocketId,
    },
}
