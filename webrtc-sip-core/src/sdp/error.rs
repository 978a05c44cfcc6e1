//! Why a description is refused.

/// Why an offer, an answer or a candidate is refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    /// Longer than [`super::MAX_SDP_BYTES`].
    #[error("the session description is too long")]
    TooLong,
    /// More lines than [`super::MAX_LINES`].
    #[error("the session description has too many lines")]
    TooManyLines,
    /// More media sections than [`super::MAX_MEDIA_SECTIONS`].
    #[error("the session description has too many media sections")]
    TooManySections,
    /// More formats in one media section than [`super::MAX_SECTION_FORMATS`].
    #[error("a media section lists too many formats")]
    TooManyFormats,
    /// The first line is not `v=0` (RFC 8866 section 5.1).
    #[error("the session description does not begin with v=0")]
    NoVersion,
    /// An `m=` line without a kind, port, protocol or format (RFC 8866 section 5.14).
    #[error("an m= line cannot be parsed")]
    BadMediaLine,
    /// Any other violation of the grammar.
    #[error("the session description cannot be parsed")]
    Malformed,
    /// No audio section, or only ones with port 0.
    #[error("the session description has no audio")]
    NoAudio,
    /// Nothing in the audio section that we can send and receive.
    #[error("no audio codec in common")]
    NoCommonCodec,
    /// The audio section's transport protocol is not one of this leg's (RFC 8866 section 5.14), for example
    /// `RTP/SAVP` on a leg with plain RTP.
    #[error("the transport protocol of the audio section is not supported here")]
    UnsupportedProfile,
    /// No certificate fingerprint of a known form (RFC 8122 section 5).
    #[error("the certificate fingerprint is missing")]
    MissingFingerprint,
    /// `a=ice-ufrag` or `a=ice-pwd` is missing or not of the allowed length (RFC 8839 section 5.4).
    #[error("the ICE credentials are missing or malformed")]
    MissingIceCredentials,
    /// The far side does not multiplex RTP and RTCP (RFC 5761), as WebRTC requires (RFC 9429 section 4.1.1).
    #[error("rtcp-mux is missing")]
    MissingRtcpMux,
    /// `a=setup` leaves neither side to begin the DTLS handshake (RFC 8842 section 5.3).
    #[error("the DTLS setup role is not usable")]
    UnsupportedSetup,
    /// No `c=` line, neither for the description nor for the audio section (RFC 8866 section 5.7).
    #[error("the connection address is missing")]
    MissingAddress,
    /// A multicast or broadcast address, or what is neither an address nor a host name.
    #[error("the connection address is not a unicast address or host name")]
    UnsupportedAddress,
    /// A newer offer or answer has overtaken the offer that this answer belongs to.
    #[error("the offer has been overtaken by a newer one")]
    StaleOffer,
    /// Not an `a=candidate` value (RFC 8839 section 5.1).
    #[error("the ICE candidate cannot be parsed")]
    BadCandidate,
}

impl SdpError {
    /// The `reason` of the signalling protocol that says this to a client.
    pub fn reason(self) -> &'static str {
        match self {
            SdpError::NoAudio => "no_audio",
            SdpError::NoCommonCodec => "no_common_codec",
            SdpError::BadCandidate => "bad_candidate",
            SdpError::StaleOffer => "wrong_state",
            _ => "bad_sdp",
        }
    }
}
