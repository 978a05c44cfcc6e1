//! What is counted over all servers of a process: allocations, bytes, and answers to strangers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use smallvec::SmallVec;

use crate::crypto::CryptoProvider;

use super::bucket::Bucket;
use super::quota::{Account, Quotas};
use super::refusals::Refusals;

/// What servers that belong together count together, each in its thread (see [`super::TurnServer::counting_in`]). Making
/// and ending an allocation takes a lock for a moment; relaying a packet and refusing a request don't.
pub struct Ledger {
    origin: Instant,
    accounts: Mutex<HashMap<Account, Entry>>,
    refusals: Refusals,
}

struct Entry {
    allocations: usize,
    usage: Arc<Usage>,
}

/// What the allocations of an account relay, each direction for itself.
#[derive(Debug, Default)]
struct Usage {
    to_peers: Bucket,
    from_peers: Bucket,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    ToPeer,
    FromPeer,
}

/// The place of one allocation, from the request on. Dropping it gives it back.
pub(super) struct Seat {
    account: Account,
    limits: Limits,
}

/// What holds for the bandwidth of an allocation.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    ledger: Arc<Ledger>,
    /// The narrowest first.
    all: SmallVec<[(NonZeroU64, Arc<Usage>); 1]>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("accounts", &self.accounts().len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Seat").field(&self.account).finish()
    }
}

impl Ledger {
    /// An empty one. `now` is a moment not after any that its servers will be told.
    pub fn new(now: Instant, crypto: &CryptoProvider) -> Arc<Self> {
        Arc::new(Ledger {
            origin: now,
            accounts: Mutex::default(),
            refusals: Refusals::new(u64::from_be_bytes(crypto.bytes())),
        })
    }

    /// A place for an allocation of `account`, unless it or one that it is a part of has as many as it may.
    pub(super) fn admit(self: &Arc<Self>, account: &Account, quotas: &Quotas) -> Option<Seat> {
        let mut accounts = self.accounts();
        let full = |account: &Account| {
            let taken = accounts.get(account).map_or(0, |entry| entry.allocations);
            quotas.of(account).allocations.is_some_and(|most| taken >= most.get())
        };
        if account.with_wider().any(|account| full(&account)) {
            return None;
        }
        let mut limits = SmallVec::new();
        for account in account.with_wider() {
            let quota = quotas.of(&account);
            let entry = accounts.entry(account).or_insert_with(|| Entry { allocations: 0, usage: Arc::default() });
            entry.allocations += 1;
            limits.extend(quota.bytes_per_second.map(|rate| (rate, entry.usage.clone())));
        }
        Some(Seat { account: account.clone(), limits: Limits { ledger: self.clone(), all: limits } })
    }

    /// Whether a request from a stranger at this address may be answered.
    pub(super) fn admit_refusal(&self, now: Instant, source: IpAddr, per_second: u32) -> bool {
        self.refusals.admit(self.since_origin(now).as_secs() as u32, source, per_second)
    }

    /// How many allocations there are, those that are being made included.
    pub fn allocations(&self) -> usize {
        self.accounts().get(&Account::Everybody).map_or(0, |entry| entry.allocations)
    }

    /// How many accounts have an allocation.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.accounts().len()
    }

    fn since_origin(&self, now: Instant) -> std::time::Duration {
        now.saturating_duration_since(self.origin)
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<Account, Entry>> {
        // Nothing under the lock panics half-way through a change.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Whose place it is.
    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// What holds for its bandwidth; none where nothing does.
    pub(super) fn limits(&self) -> Option<Limits> {
        (!self.limits.all.is_empty()).then(|| self.limits.clone())
    }

    /// Whether a packet of this many bytes may pass.
    pub(super) fn admits(&self, now: Instant, direction: Direction, bytes: usize) -> bool {
        self.limits.all.is_empty() || self.limits.admit(now, direction, bytes, &mut 0)
    }
}

impl Limits {
    /// Whether so many bytes may pass. Who is over a limit of their own takes nothing of what is shared. `passed` says which
    /// limits were passed before, where the same bytes try again.
    pub(super) fn admit(&self, now: Instant, direction: Direction, bytes: usize, passed: &mut usize) -> bool {
        let now = self.ledger.since_origin(now).as_nanos() as u64;
        while let Some((rate, usage)) = self.all.get(*passed) {
            let bucket = match direction {
                Direction::ToPeer => &usage.to_peers,
                Direction::FromPeer => &usage.from_peers,
            };
            if !bucket.take(now, bytes, *rate) {
                return false;
            }
            *passed += 1;
        }
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut accounts = self.limits.ledger.accounts();
        for account in self.account.with_wider() {
            let Some(entry) = accounts.get_mut(&account) else { continue };
            entry.allocations -= 1;
            if entry.allocations == 0 {
                accounts.remove(&account);
            }
        }
    }
}
