//! What an offer and its answer agreed on.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::codec::CodecKind;

use super::attributes::{DtlsRole, Fingerprint, IceCredentials};

/// The agreement about one audio section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreedAudio {
    /// Whether we send (its direction and ours agreed, RFC 3264 section 6.1).
    pub send: bool,
    /// Whether we take in what the far side sends.
    pub receive: bool,
    /// The format we send: the far side's most preferred among those we can make, under its payload type.
    pub format: AudioFormat,
    /// Every format that the far side may send, under our payload types; at most 16.
    pub accept: Vec<AudioFormat>,
    /// The telephone-event format that we send, of the same clock rate as `format` where there is one.
    pub dtmf_send: Option<DtmfFormat>,
    /// The telephone-event formats that the far side may send.
    pub dtmf_accept: Vec<DtmfFormat>,
    /// Payload type of comfort noise (RFC 3389) that the far side may send, at 8 kHz.
    pub comfort_noise: Option<u8>,
    /// Packet time that we send, in milliseconds: a multiple of 10 from 10 to 60.
    pub ptime_ms: u8,
}

/// One RTP payload format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioFormat {
    /// The codec.
    pub codec: CodecKind,
    /// 0 to 127.
    pub payload_type: u8,
}

/// A telephone-event payload format (RFC 4733 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DtmfFormat {
    /// 0 to 127.
    pub payload_type: u8,
    /// Hz.
    pub clock_rate_hz: u32,
}

/// The agreement of a WebRTC leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreedWebRtc {
    /// Formats and direction.
    pub audio: AgreedAudio,
    /// Whether the far side has stopped taking in media (`sendonly`, `inactive`).
    pub remote_hold: bool,
    /// `a=mid` of the audio section, where it has one.
    pub mid: Option<String>,
    /// Our ICE credentials from now on.
    pub local_ice: IceCredentials,
    /// Whether this exchange restarted ICE: both sides' credentials are new (RFC 8839 section 4.4.1.1.1).
    pub ice_restart: bool,
    /// The far side's transport.
    pub remote: RemoteTransport,
}

/// How to reach a WebRTC far side and know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteTransport {
    /// Its ICE credentials.
    pub ice: IceCredentials,
    /// Whether it is an ICE-lite agent.
    pub ice_lite: bool,
    /// Its candidates so far that can be used, each as `candidate:...`.
    pub candidates: Vec<String>,
    /// Whether more candidates may follow (RFC 8840): it trickles and has not said that these are all.
    pub more_candidates: bool,
    /// Hashes of its certificate; never empty.
    pub fingerprints: Vec<Fingerprint>,
    /// Our part in the DTLS handshake.
    pub dtls_role: DtlsRole,
    /// The synchronisation sources that it announced for its audio (RFC 5576), possibly none.
    pub ssrcs: Vec<u32>,
}

/// The agreement of a leg with plain RTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreedSip {
    /// Formats and direction.
    pub audio: AgreedAudio,
    /// Whether the far side has put us on hold: by `sendonly` or `inactive`, or by the address 0.0.0.0.
    pub remote_hold: bool,
    /// Where its media is.
    pub remote: RemoteMedia,
}

/// Where a far side takes plain RTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteMedia {
    /// At these addresses.
    Address {
        /// RTP.
        rtp: SocketAddr,
        /// RTCP: `a=rtcp` (RFC 3605), else the next port (RFC 3550 section 11).
        rtcp: SocketAddr,
    },
    /// At a host name, which has to be resolved, or found out by where its packets come from.
    Named {
        /// The name.
        host: String,
        /// RTP port.
        rtp_port: u16,
        /// RTCP port.
        rtcp_port: u16,
    },
    /// Nowhere: the address is 0.0.0.0 or `::` (RFC 3264 section 8.4).
    Nowhere,
}
