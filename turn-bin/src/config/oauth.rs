//! Keys that are shared with authorization servers (RFC 7635).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::{ConfigError, Secret};

/// A key of access tokens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OauthKey {
    pub kid: String,
    pub key: Secret,
    pub algorithm: TokenAlgorithm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<u64>,
}

/// How tokens are sealed, by the names that coturn has.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub enum TokenAlgorithm {
    /// AEAD_AES_128_GCM.
    A128GCM,
    /// AEAD_AES_256_GCM.
    A256GCM,
}

impl TokenAlgorithm {
    fn key_len(self) -> usize {
        match self {
            TokenAlgorithm::A128GCM => 16,
            TokenAlgorithm::A256GCM => 32,
        }
    }
}

impl OauthKey {
    fn bytes(&self) -> Option<Vec<u8>> {
        BASE64.decode(self.key.reveal()).ok()
    }

    fn is_valid_for_some_time(&self) -> bool {
        self.valid_from.unwrap_or(0) <= self.valid_until.unwrap_or(u64::MAX)
    }

    /// As the core takes it. None where it can't be used, which [`check`] refuses.
    #[cfg(feature = "oauth")]
    pub(super) fn to_turn(&self) -> Option<webrtc_sip_core::turn::TokenKey> {
        use webrtc_sip_core::turn::{self, TokenKey};
        let algorithm = match self.algorithm {
            TokenAlgorithm::A128GCM => turn::TokenAlgorithm::A128Gcm,
            TokenAlgorithm::A256GCM => turn::TokenAlgorithm::A256Gcm,
        };
        let valid = self.valid_from.unwrap_or(0)..=self.valid_until.unwrap_or(u64::MAX);
        TokenKey::new(&self.kid, algorithm, &self.bytes()?, valid).ok()
    }
}

/// Refuses keys that can't be used. `name` is the key of their list.
pub(super) fn check(name: &str, keys: &[OauthKey]) -> Result<(), ConfigError> {
    if !keys.is_empty() && !cfg!(feature = "oauth") {
        return Err(ConfigError::key(name, "this program was built without the feature oauth"));
    }
    for (index, key) in keys.iter().enumerate() {
        let bad = |field: &str, problem: String| Err(ConfigError::key(format!("{name}[{index}].{field}"), problem));
        if key.kid.is_empty() || key.kid.len() > 508 {
            return bad("kid", "expected 1 to 508 bytes".to_owned());
        }
        if keys[..index].iter().any(|other| other.kid == key.kid) {
            return bad("kid", "two keys have this id".to_owned());
        }
        let Some(bytes) = key.bytes() else { return bad("key", "expected base64".to_owned()) };
        let (len, wanted) = (bytes.len(), key.algorithm.key_len());
        if len != wanted {
            // coturn cuts what is too long, such as the line end in `echo KEY | base64`.
            return bad("key", format!("{:?} wants {wanted} bytes, these are {len}", key.algorithm));
        }
        if !key.is_valid_for_some_time() {
            return bad("valid_until", "must not be before valid_from".to_owned());
        }
    }
    Ok(())
}
