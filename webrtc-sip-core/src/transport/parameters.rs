//! Transport parameters as SDP negotiates them.

use serde::{Deserialize, Serialize};

/// ICE user name fragment and password (RFC 8445 section 5.3).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceCredentials {
    /// 4 to 256 characters.
    pub ufrag: String,
    /// 22 to 256 characters.
    pub password: String,
}

impl std::fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceCredentials").field("ufrag", &self.ufrag).field("password", &"***").finish()
    }
}

/// Which side opens the DTLS handshake (RFC 5763 section 5: `a=setup`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DtlsRole {
    /// `a=setup:active`.
    Client,
    /// `a=setup:passive`.
    Server,
}

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
