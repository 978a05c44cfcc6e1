//! One signed-in user.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::gateway::Identity;
use crate::ids::{LegId, LinkId, RegistrationId, ShardId};

use super::rpc;

/// Requests a client may make at once, and how fast the allowance comes back. A call set-up with a burst of trickled
/// candidates needs about 30.
const REQUEST_BURST: u32 = 100;
const REQUEST_REFILL: Duration = Duration::from_millis(50);
/// Numbers of notifications that are left out when another instance goes on. The old one may have sent some more after
/// it was written down, and the client takes what bears a number that it has seen for a repetition.
const TAKE_OVER_GAP: u64 = 1 << 20;

/// One user signed in from one client.
#[derive(Debug)]
pub(crate) struct SignIn {
    pub(crate) identity: Identity,
    /// Both legs of every call of this sign-in live on this shard.
    pub(crate) shard: ShardId,
    /// Its legs, in the order their calls began.
    pub(crate) calls: Vec<LegId>,
    /// Its registration at the upstream proxy.
    pub(crate) registration: Option<RegistrationId>,
    pub(super) token_digest: [u8; 32],
    pub(super) websocket: Option<LinkId>,
    pub(super) poll: Option<LinkId>,
    pub(super) last_heard: Instant,
    pub(super) expires_at: Instant,
    outbox: Outbox,
    requests: u32,
    requests_at: Instant,
}

/// What another instance needs to know of a sign-in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SignInSnapshot {
    pub(crate) identity: Identity,
    pub(crate) expires_at: SystemTime,
    pub(super) token_digest: [u8; 32],
    outbox: Outbox,
}

/// Notifications that the client hasn't acknowledged.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Outbox {
    /// Sequence number of the last one made.
    last: u64,
    /// With their numbers, oldest first.
    pending: VecDeque<(u64, String)>,
}

impl SignIn {
    pub(super) fn new(
        now: Instant,
        identity: Identity,
        shard: ShardId,
        token_digest: [u8; 32],
        expires_at: Instant,
    ) -> Self {
        SignIn {
            identity,
            shard,
            calls: Vec::new(),
            registration: None,
            token_digest,
            websocket: None,
            poll: None,
            last_heard: now,
            expires_at,
            outbox: Outbox::default(),
            requests: REQUEST_BURST,
            requests_at: now,
        }
    }

    pub(super) fn restored(now: Instant, shard: ShardId, expires_at: Instant, snapshot: SignInSnapshot) -> Self {
        let SignInSnapshot { identity, token_digest, mut outbox, .. } = snapshot;
        outbox.last = outbox.last.saturating_add(TAKE_OVER_GAP);
        SignIn { outbox, ..SignIn::new(now, identity, shard, token_digest, expires_at) }
    }

    pub(super) fn snapshot(&self, expires_at: SystemTime) -> SignInSnapshot {
        SignInSnapshot {
            identity: self.identity.clone(),
            expires_at,
            token_digest: self.token_digest,
            outbox: self.outbox.clone(),
        }
    }

    /// Takes one request from the allowance; false when it is used up.
    pub(super) fn allow_request(&mut self, now: Instant) -> bool {
        let refill = now.saturating_duration_since(self.requests_at).as_nanos() / REQUEST_REFILL.as_nanos();
        if refill > 0 {
            self.requests = u32::try_from(refill).unwrap_or(u32::MAX).saturating_add(self.requests).min(REQUEST_BURST);
            self.requests_at = now;
        }
        let allowed = self.requests > 0;
        self.requests = self.requests.saturating_sub(1);
        allowed
    }

    /// Makes the next notification and keeps it until it is acknowledged or `limit` later ones push it out.
    pub(super) fn queue(&mut self, method: &str, params: Value, limit: usize) -> &str {
        let Outbox { last, pending } = &mut self.outbox;
        *last += 1;
        if pending.len() >= limit {
            pending.pop_front();
        }
        pending.push_back((*last, rpc::notification(method, *last, params)));
        pending.back().map(|(_, text)| text).expect("one was just pushed")
    }

    /// The client has everything up to and including `seq`.
    pub(super) fn acknowledge(&mut self, seq: u64) {
        while self.outbox.pending.front().is_some_and(|(number, _)| *number <= seq) {
            self.outbox.pending.pop_front();
        }
    }

    /// What the client hasn't acknowledged, oldest first.
    pub(super) fn pending(&self) -> impl ExactSizeIterator<Item = &str> {
        self.outbox.pending.iter().map(|(_, text)| text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sign_in(now: Instant) -> SignIn {
        let identity = Identity { user: "1001".into(), display_name: None, sip_credentials: None };
        SignIn::new(now, identity, ShardId(1), [0; 32], now)
    }

    fn numbers(user: &SignIn) -> Vec<u64> {
        let number = |text: &str| serde_json::from_str::<Value>(text).unwrap()["params"]["seq"].as_u64().unwrap();
        user.pending().map(number).collect()
    }

    #[test]
    fn another_instance_repeats_no_number_that_the_client_may_have_seen() {
        let now = Instant::now();
        let mut old = sign_in(now);
        for _ in 0..2 {
            old.queue("call.ringing", json!({}), 3);
        }
        let mut new = SignIn::restored(now, ShardId(0), now, old.snapshot(SystemTime::UNIX_EPOCH));
        old.queue("call.answered", json!({}), 3);
        assert_eq!(numbers(&old), [1, 2, 3]);
        new.queue("call.ended", json!({}), 3);
        // The client has heard of the answer from the old instance.
        new.acknowledge(3);
        assert_eq!(numbers(&new), [TAKE_OVER_GAP + 3]);
    }

    #[test]
    fn notifications_stay_until_acknowledged_or_pushed_out() {
        let mut user = sign_in(Instant::now());
        for _ in 0..5 {
            user.queue("call.stats", json!({}), 3);
        }
        assert_eq!(numbers(&user), [3, 4, 5]);
        user.acknowledge(1);
        assert_eq!(numbers(&user), [3, 4, 5]);
        user.acknowledge(4);
        assert_eq!(numbers(&user), [5]);
        user.acknowledge(u64::MAX - 1);
        assert_eq!(numbers(&user), [0; 0]);
        user.queue("call.stats", json!({}), 3);
        assert_eq!(numbers(&user), [6]);
    }

    #[test]
    fn too_many_requests_are_refused_until_time_passes() {
        let now = Instant::now();
        let mut user = sign_in(now);
        assert!((0..REQUEST_BURST).all(|_| user.allow_request(now)));
        assert!(!user.allow_request(now));
        assert!(user.allow_request(now + REQUEST_REFILL));
        assert!(!user.allow_request(now + REQUEST_REFILL));
    }
}
