//! Typed attributes of the transport: ICE credentials, certificate fingerprints, DTLS roles.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::SdpError;

/// Fingerprints that are kept of one description; a certificate has one per hash algorithm.
const MAX_FINGERPRINTS: usize = 8;
/// Longest digest: SHA-512.
const MAX_DIGEST_BYTES: usize = 64;

/// ICE user name fragment and password (RFC 8445 section 5.3).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceCredentials {
    /// 4 to 256 characters.
    pub ufrag: String,
    /// 22 to 256 characters.
    pub password: String,
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCredentials").field("ufrag", &self.ufrag).field("password", &"***").finish()
    }
}

impl IceCredentials {
    /// From the values of `a=ice-ufrag` and `a=ice-pwd`, with the lengths of RFC 8839 section 5.4.
    pub(super) fn read(ufrag: Option<&str>, password: Option<&str>) -> Result<Self, SdpError> {
        let valid = |value: &str, shortest: usize| {
            (shortest..=256).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match (ufrag, password) {
            (Some(ufrag), Some(password)) if valid(ufrag, 4) && valid(password, 22) => {
                Ok(IceCredentials { ufrag: ufrag.to_owned(), password: password.to_owned() })
            }
            _ => Err(SdpError::MissingIceCredentials),
        }
    }
}

/// Hash of a certificate (RFC 8122 section 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Lower-case name of the hash algorithm, for example `sha-256`.
    pub algorithm: String,
    /// The hash.
    pub digest: Vec<u8>,
}

impl Fingerprint {
    /// Reads `sha-256 AB:CD:...`.
    fn parse(value: &str) -> Option<Self> {
        let (algorithm, digits) = value.split_once(' ')?;
        let algorithm = algorithm.to_ascii_lowercase();
        let expected = match algorithm.as_str() {
            "sha-1" => 20,
            "sha-224" => 28,
            "sha-256" => 32,
            "sha-384" => 48,
            "sha-512" => 64,
            _ => return None,
        };
        let byte = |pair: &str| (pair.len() == 2).then(|| u8::from_str_radix(pair, 16).ok()).flatten();
        let digest: Vec<u8> = digits.trim().split(':').take(MAX_DIGEST_BYTES + 1).map(byte).collect::<Option<_>>()?;
        (digest.len() == expected).then_some(Fingerprint { algorithm, digest })
    }

    /// Every fingerprint of a known algorithm among the values of `a=fingerprint`.
    pub(super) fn read<'a>(values: impl Iterator<Item = &'a str>) -> Vec<Fingerprint> {
        values.filter_map(Fingerprint::parse).take(MAX_FINGERPRINTS).collect()
    }
}

/// The value of `a=fingerprint` for a SHA-256 hash.
pub(super) fn sha256_fingerprint(digest: &[u8; 32]) -> String {
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("sha-256 {}", pairs.join(":"))
}

/// Which side opens the DTLS handshake (RFC 5763 section 5: `a=setup`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DtlsRole {
    /// `a=setup:active`.
    Client,
    /// `a=setup:passive`.
    Server,
}

impl DtlsRole {
    /// What we write into an answer.
    pub(super) fn setup(self) -> &'static str {
        match self {
            DtlsRole::Client => "active",
            DtlsRole::Server => "passive",
        }
    }

    /// Our role as the answerer to `offered`; where the offer leaves it open it stays what it is, else becomes
    /// `preferred` (RFC 8842 sections 5.3 and 5.5). An offer without `a=setup` leaves it open.
    pub(super) fn for_offer(
        offered: Option<&str>,
        current: Option<DtlsRole>,
        preferred: DtlsRole,
    ) -> Result<Self, SdpError> {
        match offered.map(str::to_ascii_lowercase).as_deref() {
            None | Some("actpass") => Ok(current.unwrap_or(preferred)),
            Some("active") => Ok(DtlsRole::Server),
            Some("passive") => Ok(DtlsRole::Client),
            Some(_) => Err(SdpError::UnsupportedSetup),
        }
    }

    /// Our role after our offer of `actpass` was answered. An answer without `a=setup` means active (RFC 4145
    /// section 4.1).
    pub(super) fn for_answer(answered: Option<&str>) -> Result<Self, SdpError> {
        match answered.map(str::to_ascii_lowercase).as_deref() {
            None | Some("active") => Ok(DtlsRole::Server),
            Some("passive") => Ok(DtlsRole::Client),
            Some(_) => Err(SdpError::UnsupportedSetup),
        }
    }
}
