//! How much may be used, and by whom it is counted.

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;

/// How much a user, a tenant or everybody together may use at a time. None is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Allocations.
    pub allocations: Option<NonZeroUsize>,
    /// Bytes relayed a second, each direction for itself, without TURN's own. What is sent beyond is dropped; what wasn't
    /// used in the last second may be used at once.
    pub bytes_per_second: Option<NonZeroU64>,
}

/// Who uses something. A user's use is also that of the tenant, and a tenant's that of everybody.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Account {
    Everybody,
    /// By its realm.
    Tenant(Arc<str>),
    /// By realm and name.
    User(Arc<str>, Arc<str>),
}

impl Account {
    /// The account itself and those that it is a part of, the narrowest first.
    pub(super) fn with_wider(&self) -> impl Iterator<Item = Account> + use<> {
        std::iter::successors(Some(self.clone()), |account| match account {
            Account::Everybody => None,
            Account::Tenant(_) => Some(Account::Everybody),
            Account::User(realm, _) => Some(Account::Tenant(realm.clone())),
        })
    }
}

/// The limits that hold for an account and for those that it is a part of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quotas {
    pub(super) everybody: Quota,
    pub(super) tenant: Quota,
    pub(super) user: Quota,
}

impl Quotas {
    pub(super) fn of(&self, account: &Account) -> Quota {
        match account {
            Account::Everybody => self.everybody,
            Account::Tenant(_) => self.tenant,
            Account::User(..) => self.user,
        }
    }
}
