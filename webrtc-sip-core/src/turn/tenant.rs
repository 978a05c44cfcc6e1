//! Tenants: who shares a realm, with users and limits of their own.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::stun::{Attribute, Message};

use super::auth::Credentials;
use super::quota::{Quota, Quotas};
#[cfg(feature = "oauth")]
use super::token::TokenKey;

/// A realm (RFC 8489 section 9.2) with its users. What is authenticated in one tenant is unknown in the others.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Realm of the long-term credentials, of no more than [`super::MAX_REALM_LEN`] bytes.
    pub realm: String,
    /// Web origins (RFC 6454 section 6.2) whose ORIGIN attribute asks for this tenant (draft-ietf-tram-stun-origin-06).
    pub origins: Vec<String>,
    /// Users with a password.
    pub users: Vec<(String, String)>,
    /// Secrets of time-limited credentials: user `EXPIRY[:NAME]` with EXPIRY in seconds since the epoch, password
    /// base64(HMAC-SHA1(secret, user)). Several at once, so that one can follow another.
    pub secrets: Vec<String>,
    /// The name that access tokens are made for, where it isn't the realm (RFC 7635 section 6.1).
    #[cfg(feature = "oauth")]
    pub server_name: Option<String>,
    /// Keys of access tokens. With any, clients are told that a token will do.
    #[cfg(feature = "oauth")]
    pub token_keys: Vec<TokenKey>,
    /// What all users together may use.
    pub quota: Quota,
    /// What each user may use. Those who come with a token have no name, so only what all together may use holds for them.
    pub user_quota: Quota,
}

impl Default for Tenant {
    fn default() -> Self {
        Tenant {
            realm: "localhost".to_owned(),
            origins: Vec::new(),
            users: Vec::new(),
            secrets: Vec::new(),
            #[cfg(feature = "oauth")]
            server_name: None,
            #[cfg(feature = "oauth")]
            token_keys: Vec::new(),
            quota: Quota::default(),
            user_quota: Quota { allocations: NonZeroUsize::new(20), bytes_per_second: None },
        }
    }
}

/// Who may use a server.
#[derive(Clone, Debug, Default)]
pub struct Tenants {
    /// The one for requests that name none.
    pub default: Tenant,
    /// The others, each with a realm of its own.
    pub others: Vec<Tenant>,
    /// What all of them together may use.
    pub quota: Quota,
}

impl From<Tenant> for Tenants {
    /// One tenant alone.
    fn from(default: Tenant) -> Self {
        Tenants { default, ..Tenants::default() }
    }
}

/// A tenant as a server has it.
struct Realm {
    credentials: Credentials,
    quota: Quota,
    user_quota: Quota,
}

/// All tenants of a server.
pub(super) struct Realms {
    /// The first one is for those who name none.
    all: Vec<Realm>,
    by_name: HashMap<Arc<str>, usize>,
    by_origin: HashMap<String, usize>,
    everybody: Quota,
}

impl Realms {
    /// Of tenants with the same realm or origin, the first counts.
    pub(super) fn new(tenants: &Tenants) -> Self {
        let mut realms =
            Realms { all: Vec::new(), by_name: HashMap::new(), by_origin: HashMap::new(), everybody: tenants.quota };
        for tenant in std::iter::once(&tenants.default).chain(&tenants.others) {
            let index = realms.all.len();
            let credentials = Credentials::new(tenant);
            realms.by_name.entry(credentials.realm().clone()).or_insert(index);
            for origin in &tenant.origins {
                realms.by_origin.entry(origin.clone()).or_insert(index);
            }
            realms.all.push(Realm { credentials, quota: tenant.quota, user_quota: tenant.user_quota });
        }
        realms
    }

    /// Whom a request is for: the tenant of its origin, else the one whose realm it names, else the first one. An origin
    /// is claimed, not proven; it decides which realm is asked for, and the credentials of that realm have to follow.
    pub(super) fn asked_for(&self, message: &Message<'_>) -> &Credentials {
        let text = |value| std::str::from_utf8(value).ok();
        let origins = message.attributes().filter(|(attribute, _)| *attribute == Attribute::ORIGIN);
        let by_origin = || origins.filter_map(|(_, value)| text(value)).find_map(|origin| self.by_origin.get(origin));
        let by_name = || message.get(Attribute::REALM).and_then(text).and_then(|name| self.by_name.get(name));
        &self.all[by_origin().or_else(by_name).copied().unwrap_or(0)].credentials
    }

    /// What the users of this realm may use.
    pub(super) fn quotas(&self, name: &str) -> Option<Quotas> {
        let realm = self.by_name.get(name).map(|index| &self.all[*index])?;
        Some(Quotas { everybody: self.everybody, tenant: realm.quota, user: realm.user_quota })
    }
}
