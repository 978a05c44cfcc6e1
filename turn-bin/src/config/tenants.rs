//! Tenants as they are configured, and as the core takes them.

use std::num::{NonZeroU64, NonZeroUsize};

use serde::{Deserialize, Serialize};
use webrtc_sip_core::turn::{self, Quota, Tenants};

use super::{Config, OauthKey, Secret, User};

/// A realm with users and limits of its own. Limits that aren't given are those of `[limits]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    pub realm: String,
    #[serde(default)]
    pub origins: Vec<String>,
    #[serde(default)]
    pub secrets: Vec<Secret>,
    #[serde(default)]
    pub server_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocations: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocations_per_user: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second_per_user: Option<u64>,
    #[serde(default)]
    pub users: Vec<User>,
    #[serde(default)]
    pub oauth_keys: Vec<OauthKey>,
}

/// 0 is no limit.
fn quota(allocations: usize, bytes_per_second: u64) -> Quota {
    Quota { allocations: NonZeroUsize::new(allocations), bytes_per_second: NonZeroU64::new(bytes_per_second) }
}

impl Config {
    /// Who may use the server: the realm of `[auth]`, and the others.
    pub(crate) fn turn_tenants(&self) -> Tenants {
        let of_auth = Tenant {
            realm: self.auth.realm.clone(),
            secrets: self.auth.secrets.clone(),
            server_name: self.auth.server_name.clone(),
            users: self.users.clone(),
            oauth_keys: self.oauth_keys.clone(),
            ..Tenant::default()
        };
        Tenants {
            default: self.turn_tenant(&of_auth),
            others: self.tenants.iter().map(|tenant| self.turn_tenant(tenant)).collect(),
            quota: quota(self.limits.allocations, self.limits.bytes_per_second),
        }
    }

    fn turn_tenant(&self, tenant: &Tenant) -> turn::Tenant {
        let limits = &self.limits;
        turn::Tenant {
            realm: tenant.realm.clone(),
            origins: tenant.origins.clone(),
            users: tenant.users.iter().map(|user| (user.name.clone(), user.password.reveal().to_owned())).collect(),
            secrets: tenant.secrets.iter().map(|secret| secret.reveal().to_owned()).collect(),
            #[cfg(feature = "oauth")]
            server_name: Some(tenant.server_name.clone()).filter(|name| !name.is_empty()),
            #[cfg(feature = "oauth")]
            token_keys: tenant.oauth_keys.iter().filter_map(OauthKey::to_turn).collect(),
            quota: quota(
                tenant.allocations.unwrap_or(limits.allocations_per_tenant),
                tenant.bytes_per_second.unwrap_or(limits.bytes_per_second_per_tenant),
            ),
            user_quota: quota(
                tenant.allocations_per_user.unwrap_or(limits.allocations_per_user),
                tenant.bytes_per_second_per_user.unwrap_or(limits.bytes_per_second_per_user),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_a_tenant_goes_before_the_one_of_all_and_0_is_none() {
        let mut config = Config::embedded();
        config.limits.allocations = 100;
        config.limits.allocations_per_tenant = 50;
        config.limits.bytes_per_second_per_user = 9000;
        config.tenants = vec![
            Tenant { allocations: Some(0), allocations_per_user: Some(3), ..Tenant::default() },
            Tenant::default(),
        ];
        let tenants = config.turn_tenants();
        assert_eq!(tenants.quota, quota(100, 0));
        assert_eq!((tenants.default.quota, tenants.default.user_quota), (quota(50, 0), quota(20, 9000)));
        let others = tenants.others.iter().map(|tenant| (tenant.quota, tenant.user_quota));
        assert_eq!(
            others.collect::<Vec<_>>(),
            [(Quota::default(), quota(3, 9000)), (tenants.default.quota, tenants.default.user_quota)]
        );
    }
}
