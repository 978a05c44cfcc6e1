//! What the media plane reports to the control plane. Plain data.

use std::time::Duration;

use crate::codec::CodecKind;
use crate::ids::{LegId, RequestId};

use super::command::DtmfDigit;
use super::snapshot::LegSnapshot;

/// One report of a [`super::MediaShard`].
#[derive(Clone, Debug)]
pub enum MediaEvent {
    /// ICE and DTLS are done (or done again after a restart): media can flow. Plain legs never report it.
    Connected {
        /// Whose.
        leg: LegId,
    },
    /// No consent from the browser any more (RFC 7675). An ICE restart can bring it back.
    Disconnected {
        /// Whose.
        leg: LegId,
    },
    /// The transport can't work; only removing the leg is left.
    Failed {
        /// Whose.
        leg: LegId,
        /// Why.
        reason: MediaFailure,
    },
    /// The browser closed DTLS (close_notify).
    Closed {
        /// Whose.
        leg: LegId,
    },
    /// The first valid RTP packet from the peer of this leg.
    FirstMedia {
        /// Whose.
        leg: LegId,
    },
    /// Nothing valid arrived from the peer for the configured time although it may send.
    MediaTimeout {
        /// Whose.
        leg: LegId,
    },
    /// A DTMF key from the peer of this leg was pressed and released (it was relayed too, where the far leg can).
    Dtmf {
        /// Whose.
        leg: LegId,
        /// Which key.
        digit: DtmfDigit,
        /// How long it was held.
        duration: Duration,
    },
    /// Periodic figures, while the leg is bridged.
    Stats {
        /// Whose.
        leg: LegId,
        /// The figures since the leg began.
        stats: LegStats,
    },
    /// The answer to `SnapshotLeg`; none when the leg is gone or not yet connected.
    Snapshot {
        /// From the command.
        request: RequestId,
        /// Whose.
        leg: LegId,
        /// The state.
        snapshot: Option<Box<LegSnapshot>>,
    },
    /// The leg is gone and everything it held is free; its last figures.
    LegRemoved {
        /// Whose.
        leg: LegId,
        /// The figures since the leg began.
        stats: LegStats,
    },
}

/// Why a leg's transport can't work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MediaFailure {
    /// No candidate pair answered in time.
    IceFailed,
    /// The DTLS handshake failed or timed out.
    DtlsFailed,
    /// The certificate is not the one that was signalled (RFC 5763 section 6.7.1).
    FingerprintMismatch,
    /// The shard is at its configured limit.
    LimitReached,
    /// The snapshot doesn't fit this version, this transport, or repeats a synchronisation source.
    NotRestorable,
}

/// Figures of one leg since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LegStats {
    /// RTP packets taken in.
    pub packets_received: u64,
    /// Their payload bytes.
    pub bytes_received: u64,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Their payload bytes.
    pub bytes_sent: u64,
    /// Packets of the peer that never arrived (RFC 3550 section 6.4.1; negative counts of duplicates are cut to 0).
    pub packets_lost: u64,
    /// Interarrival jitter of what arrived, in microseconds (RFC 3550 section 6.4.1).
    pub jitter_us: u32,
    /// Packets that the peer says it lost, from its reports.
    pub remote_packets_lost: u64,
    /// Interarrival jitter that the peer reports, in microseconds.
    pub remote_jitter_us: u32,
    /// Round trip from RTCP reports, in microseconds; none until a report came back.
    pub round_trip_us: Option<u32>,
    /// Samples made up for packets that were lost or late, in milliseconds.
    pub concealed_ms: u64,
    /// Depth of the jitter buffer now, in milliseconds; 0 where packets pass through.
    pub jitter_buffer_ms: u32,
    /// Dropped for whatever reason (the shard's counters tell which).
    pub dropped: u64,
    /// Codec in which the peer sends, once it did.
    pub receive_codec: Option<CodecKind>,
    /// Codec in which we send.
    pub send_codec: Option<CodecKind>,
    /// Whether what this leg sends is transcoded.
    pub transcoding: bool,
}
