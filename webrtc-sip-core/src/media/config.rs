//! Configuration of a media shard: every limit has a name, a unit and a default.

use std::net::SocketAddr;
use std::time::Duration;

use crate::codec::OpusSettings;
use crate::crypto::DtlsCertificate;
use crate::ids::ShardId;
use crate::io::SocketId;
use crate::timer::cut_waits;

use super::jitter::JitterConfig;

/// What a [`super::MediaShard`] needs to know.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Which shard this is.
    pub shard: ShardId,
    /// The UDP sockets that browsers talk to; each is shared by all legs.
    pub webrtc_sockets: Vec<WebRtcSocket>,
    /// The certificate of every WebRTC leg.
    pub certificate: DtlsCertificate,
    /// Legs at once.
    pub max_legs: usize,
    /// RTP sources per leg whose replay windows are kept (RFC 3711 section 3.2.3). A browser has one per call, and one
    /// more after each time it replaces its microphone.
    pub max_ssrcs_per_leg: usize,
    /// Events that wait to be polled; statistics are left out beyond that.
    pub max_pending_events: usize,
    /// STUN and DTLS datagrams that wait to be sent.
    pub max_pending_datagrams: usize,
    /// How long the first path to a browser may take to be found.
    pub ice_timeout: Duration,
    /// How long the DTLS handshake may take once there is a path.
    pub dtls_timeout: Duration,
    /// Silence after which `MediaTimeout` is reported while the peer may send.
    pub media_timeout: Duration,
    /// How often `Stats` is reported.
    pub stats_interval: Duration,
    /// How long a plain leg's source must be silent before another one may take its place.
    pub relatch_after: Duration,
    /// How Opus is made where audio is transcoded.
    pub opus: OpusSettings,
    /// The delay that jitter buffers may take where audio is transcoded.
    pub jitter: JitterConfig,
}

impl ShardConfig {
    /// The defaults around what has none.
    pub fn new(shard: ShardId, webrtc_sockets: Vec<WebRtcSocket>, certificate: DtlsCertificate) -> Self {
        ShardConfig {
            shard,
            webrtc_sockets,
            certificate,
            max_legs: 4_000,
            max_ssrcs_per_leg: 16,
            max_pending_events: 16_384,
            max_pending_datagrams: 4_096,
            ice_timeout: Duration::from_secs(30),
            dtls_timeout: Duration::from_secs(30),
            media_timeout: Duration::from_secs(30),
            stats_interval: Duration::from_secs(5),
            relatch_after: Duration::from_secs(3),
            opus: OpusSettings::default(),
            jitter: JitterConfig::default(),
        }
    }

    pub(super) fn with_waits_cut(mut self) -> Self {
        cut_waits([&mut self.ice_timeout, &mut self.media_timeout, &mut self.stats_interval, &mut self.relatch_after]);
        self
    }
}

/// One UDP socket for browsers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebRtcSocket {
    /// Its number.
    pub socket: SocketId,
    /// The addresses under which browsers know it (host candidates in our SDP), advertised rather than bound. The first
    /// of each family stands for all of that family.
    pub candidates: Vec<SocketAddr>,
}

/// Why a shard can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// The DTLS time-out is 0 or out of all proportion.
    #[error("the DTLS time-out can't be used")]
    DtlsTimeout,
}
