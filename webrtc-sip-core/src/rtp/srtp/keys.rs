//! Master keys, and where they come from.

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::SrtpError;

/// A protection profile (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SrtpProfile {
    /// SRTP_AES128_CM_HMAC_SHA1_80 (RFC 3711).
    Aes128CmSha1_80,
    /// SRTP_AEAD_AES_128_GCM (RFC 7714).
    AeadAes128Gcm,
    /// SRTP_AEAD_AES_256_GCM (RFC 7714).
    AeadAes256Gcm,
}

impl SrtpProfile {
    /// Length of the master key in bytes.
    pub fn key_len(self) -> usize {
        match self {
            SrtpProfile::Aes128CmSha1_80 | SrtpProfile::AeadAes128Gcm => 16,
            SrtpProfile::AeadAes256Gcm => 32,
        }
    }

    /// Length of the master salt in bytes.
    pub fn salt_len(self) -> usize {
        match self {
            SrtpProfile::Aes128CmSha1_80 => 14,
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm => 12,
        }
    }

    /// Length of the authentication tag in bytes: what protection adds to an RTP packet. RTCP grows by 4 more.
    pub fn tag_len(self) -> usize {
        match self {
            SrtpProfile::Aes128CmSha1_80 => 10,
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm => 16,
        }
    }

    /// Bytes to export from DTLS: two keys and two salts (RFC 5764 section 4.2).
    pub fn keying_material_len(self) -> usize {
        2 * (self.key_len() + self.salt_len())
    }
}

/// A master key and salt for one direction. Wiped when dropped; not shown by `Debug`; serialised for snapshots, which
/// the store encrypts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawKeys")]
pub struct SrtpKeys {
    profile: SrtpProfile,
    key: Vec<u8>,
    salt: Vec<u8>,
}

#[derive(Deserialize)]
struct RawKeys {
    profile: SrtpProfile,
    key: Vec<u8>,
    salt: Vec<u8>,
}

impl TryFrom<RawKeys> for SrtpKeys {
    type Error = SrtpError;

    fn try_from(mut raw: RawKeys) -> Result<Self, SrtpError> {
        let keys = SrtpKeys::new(raw.profile, &raw.key, &raw.salt);
        raw.key.zeroize();
        raw.salt.zeroize();
        keys
    }
}

impl SrtpKeys {
    /// From a key and a salt of the lengths that the profile asks for.
    pub fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        if key.len() != profile.key_len() || salt.len() != profile.salt_len() {
            return Err(SrtpError::KeyLength);
        }
        Ok(SrtpKeys { profile, key: key.to_vec(), salt: salt.to_vec() })
    }

    /// The profile that the key is for.
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// The master key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The master salt.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }
}

impl Drop for SrtpKeys {
    fn drop(&mut self) {
        self.key.zeroize();
        self.salt.zeroize();
    }
}

impl std::fmt::Debug for SrtpKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SrtpKeys").field("profile", &self.profile).field("key", &"***").finish()
    }
}

/// Splits what DTLS exported under the label `EXTRACTOR-dtls_srtp` into our sending and our receiving keys. The
/// material is the client's key, the server's key, the client's salt, the server's salt (RFC 5764 section 4.2);
/// `dtls_client` says whether we were the DTLS client.
pub fn keying_material(
    profile: SrtpProfile,
    material: &[u8],
    dtls_client: bool,
) -> Result<(SrtpKeys, SrtpKeys), SrtpError> {
    if material.len() != profile.keying_material_len() {
        return Err(SrtpError::KeyLength);
    }
    let (keys, salts) = material.split_at(2 * profile.key_len());
    let (client_key, server_key) = keys.split_at(profile.key_len());
    let (client_salt, server_salt) = salts.split_at(profile.salt_len());
    let client = SrtpKeys::new(profile, client_key, client_salt)?;
    let server = SrtpKeys::new(profile, server_key, server_salt)?;
    Ok(if dtls_client { (client, server) } else { (server, client) })
}
