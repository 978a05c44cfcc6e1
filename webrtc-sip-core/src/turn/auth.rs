//! Long-term credentials (RFC 8489 section 9.2): who sends a request.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::stun::{Attribute, IntegrityAlgorithm, Key, Message, PasswordAlgorithm, long_term_key};

use super::Tenant;
use super::allocation::Owner;
use super::nonce::Nonces;
#[cfg(feature = "oauth")]
use super::token::TokenKey;

/// The value of PASSWORD-ALGORITHMS: SHA-256, then MD5, both without parameters (RFC 8489 section 14.11).
pub(super) const PASSWORD_ALGORITHMS: [u8; 8] = [0, 2, 0, 0, 0, 1, 0, 0];
/// Longest USERNAME (RFC 8489 section 14.3).
const MAX_USER_LEN: usize = 508;

/// Why a request isn't carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuthError {
    /// 401: without credentials, or with wrong ones.
    Unauthenticated,
    /// 400: something is missing or contradicts itself.
    BadRequest,
    /// 438: another nonce is needed.
    StaleNonce,
}

/// Everything that is known about the users of a realm.
pub(super) struct Credentials {
    realm: Arc<str>,
    /// With the key of each password algorithm, MD5 first.
    users: HashMap<String, [Key; 2]>,
    secrets: Vec<hmac::Key>,
    /// Keys of access tokens, by their id, and the name that tokens are for.
    #[cfg(feature = "oauth")]
    tokens: HashMap<String, TokenKey>,
    #[cfg(feature = "oauth")]
    server_name: Arc<str>,
}

impl Credentials {
    pub(super) fn new(tenant: &Tenant) -> Self {
        let Tenant { realm, users, secrets, .. } = tenant;
        let keys = |user: &str, password: &str| {
            [PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256]
                .map(|algorithm| long_term_key(algorithm, user, realm, password))
        };
        Credentials {
            realm: Arc::from(realm.as_str()),
            users: users.iter().map(|(user, password)| (user.clone(), keys(user, password))).collect(),
            secrets: secrets
                .iter()
                .map(|secret| hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes()))
                .collect(),
            #[cfg(feature = "oauth")]
            tokens: tenant.token_keys.iter().map(|key| (key.id().to_owned(), key.clone())).collect(),
            #[cfg(feature = "oauth")]
            server_name: Arc::from(tenant.server_name.as_deref().unwrap_or(realm)),
        }
    }

    pub(super) fn realm(&self) -> &Arc<str> {
        &self.realm
    }

    /// The name that access tokens have to be made for, where tokens are taken.
    pub(super) fn server_name(&self) -> Option<Arc<str>> {
        #[cfg(feature = "oauth")]
        if !self.tokens.is_empty() {
            return Some(self.server_name.clone());
        }
        None
    }

    /// Checks a request in the order of RFC 8489 section 9.2.4, but the nonce before the password: a proof that we made
    /// it for this client costs less than the rest. `known` made the allocation that the request is about; its key goes
    /// on being good when time-limited credentials have run out, so that calls outlive them.
    pub(super) fn check(
        &self,
        message: &Message<'_>,
        client: SocketAddr,
        unix_seconds: u64,
        nonces: &Nonces,
        known: Option<&Owner>,
    ) -> Result<Owner, AuthError> {
        let algorithm = match (
            message.has_integrity(IntegrityAlgorithm::Sha256),
            message.has_integrity(IntegrityAlgorithm::Sha1),
        ) {
            (true, _) => IntegrityAlgorithm::Sha256,
            (false, true) => IntegrityAlgorithm::Sha1,
            (false, false) => return Err(AuthError::Unauthenticated),
        };
        let text = |attribute| message.get(attribute).and_then(|value| std::str::from_utf8(value).ok());
        let user = text(Attribute::USERNAME).filter(|user| user.len() <= MAX_USER_LEN).ok_or(AuthError::BadRequest)?;
        let realm = text(Attribute::REALM).ok_or(AuthError::BadRequest)?;
        let nonce = text(Attribute::NONCE).ok_or(AuthError::BadRequest)?;
        let password = password_algorithm(message)?;
        if !nonces.is_fresh(nonce, unix_seconds, client) {
            return Err(AuthError::StaleNonce);
        }
        if *realm != *self.realm {
            return Err(AuthError::Unauthenticated);
        }
        let verifies = |key: &Key| message.verify_integrity(algorithm, key);
        #[cfg(feature = "oauth")]
        if let Some(token) = message.get(Attribute::ACCESS_TOKEN).filter(|_| !self.tokens.is_empty()) {
            let owner = self.token_owner(user, algorithm, token, unix_seconds, verifies);
            return owner.ok_or(AuthError::Unauthenticated);
        }
        let same = |owner: &&Owner| {
            let in_time = owner.token_expires.is_none_or(|expires| unix_seconds < expires);
            owner.realm == self.realm && *owner.user == *user && in_time && verifies(&owner.key)
        };
        if let Some(owner) = known.filter(same) {
            return Ok(Owner { algorithm, ..owner.clone() });
        }
        let key = match self.users.get(user) {
            Some(keys) => Some(keys[usize::from(password.number()) - 1].clone()).filter(verifies),
            None => self.time_limited(user, password, unix_seconds, verifies),
        };
        let key = key.ok_or(AuthError::Unauthenticated)?;
        Ok(Owner { realm: self.realm.clone(), user: Arc::from(user), algorithm, key, token_expires: None })
    }

    /// Whoever holds the key that the token names. `user` says under which key it was sealed (RFC 7635 section 4.1.1).
    #[cfg(feature = "oauth")]
    fn token_owner(
        &self,
        user: &str,
        algorithm: IntegrityAlgorithm,
        token: &[u8],
        unix_seconds: u64,
        verifies: impl Fn(&Key) -> bool,
    ) -> Option<Owner> {
        let token = self.tokens.get(user)?.open(&self.server_name, token, unix_seconds).ok()?;
        let key = token.mac_keys().find(verifies)?;
        let token_expires = Some(token.expires());
        Some(Owner { realm: self.realm.clone(), user: Arc::from(user), algorithm, key, token_expires })
    }

    /// The key of time-limited credentials that haven't run out.
    fn time_limited(
        &self,
        user: &str,
        algorithm: PasswordAlgorithm,
        unix_seconds: u64,
        verifies: impl Fn(&Key) -> bool,
    ) -> Option<Key> {
        let expiry = user.split_once(':').map_or(user, |(expiry, _)| expiry);
        if expiry.parse::<u64>().ok()? < unix_seconds {
            return None;
        }
        self.secrets
            .iter()
            .map(|secret| long_term_key(algorithm, user, &self.realm, &time_limited_password(secret, user)))
            .find(verifies)
    }
}

fn time_limited_password(secret: &hmac::Key, user: &str) -> String {
    BASE64.encode(hmac::sign(secret, user.as_bytes()))
}

/// Credentials for TURN servers that know `secret`: user and password, good until `expires` in seconds since the epoch.
/// `name` says whose they are.
pub fn time_limited_credentials(secret: &str, name: &str, expires: u64) -> (String, String) {
    let user = format!("{expires}:{name}");
    let secret = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    let password = time_limited_password(&secret, &user);
    (user, password)
}

/// The name under which a user's allocations are counted: what follows the expiry of time-limited credentials.
pub fn account_of(user: &str) -> &str {
    match user.split_once(':') {
        Some((expiry, name)) if !expiry.is_empty() && expiry.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => user,
    }
}

/// The algorithm that the client chose. Our nonces say that there is a choice, so a client that repeats another list than
/// ours was lied to (RFC 8489 section 9.2.1).
fn password_algorithm(message: &Message<'_>) -> Result<PasswordAlgorithm, AuthError> {
    match (message.get(Attribute::PASSWORD_ALGORITHMS), message.get(Attribute::PASSWORD_ALGORITHM)) {
        (None, None) => Ok(PasswordAlgorithm::Md5),
        (Some(list), Some(chosen)) if list == PASSWORD_ALGORITHMS => match chosen {
            [0, 1, 0, 0] => Ok(PasswordAlgorithm::Md5),
            [0, 2, 0, 0] => Ok(PasswordAlgorithm::Sha256),
            _ => Err(AuthError::BadRequest),
        },
        _ => Err(AuthError::BadRequest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limited_credentials_are_those_of_the_usual_scheme() {
        // printf '1700000000:alice' | openssl dgst -sha1 -hmac secret -binary | base64
        let (user, password) = time_limited_credentials("secret", "alice", 1_700_000_000);
        assert_eq!(user, "1700000000:alice");
        assert_eq!(password, "d8soP47RbdIKLDUOpnJPVQyq5Ts=");
    }

    #[test]
    fn the_account_is_the_name_behind_the_expiry() {
        assert_eq!(account_of("1700000000:alice"), "alice");
        assert_eq!(account_of("1700000000"), "1700000000");
        assert_eq!(account_of("sip:alice"), "sip:alice");
        assert_eq!(account_of(":alice"), ":alice");
    }
}
