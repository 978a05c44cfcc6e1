//! Transport parameters as SDP negotiates them.

pub use crate::sdp::{DtlsRole, IceCredentials};

/// The browser's transport parameters, from its SDP.
#[derive(Clone, Debug)]
pub struct WebRtcRemote {
    /// Its ICE credentials.
    pub credentials: IceCredentials,
    /// Whether the browser side is ICE-lite (another gateway, never a browser).
    pub ice_lite: bool,
    /// Hash algorithm and value of each certificate fingerprint (RFC 8122), for example `("sha-256", [..32 bytes])`.
    pub fingerprints: Vec<(String, Vec<u8>)>,
    /// Our DTLS role, as negotiated.
    pub dtls_role: DtlsRole,
    /// Values of its `a=candidate` lines so far.
    pub candidates: Vec<String>,
}
