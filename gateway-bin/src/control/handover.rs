//! Writing calls down for another instance, and taking up what another one wrote.

use std::collections::BTreeSet;
use std::time::Instant;

use tokio::sync::oneshot;
use webrtc_sip_core::gateway::{CallSnapshot, RestoreError};
use webrtc_sip_core::ids::CallId;

use super::Control;

/// Where the outcome of a restored call goes.
pub(crate) type RestoreReply = oneshot::Sender<Result<CallId, RestoreError>>;

/// Somebody waits for the snapshots of all calls.
#[derive(Debug)]
struct Collection {
    waiting: BTreeSet<CallId>,
    written: Vec<CallSnapshot>,
    reply: oneshot::Sender<Vec<CallSnapshot>>,
}

/// The collection that isn't complete. There is one at a time: whoever asks for another waits for it or gave it up.
#[derive(Debug, Default)]
pub(crate) struct Snapshots(Option<Collection>);

impl Snapshots {
    fn begin(&mut self, calls: &[CallId], reply: oneshot::Sender<Vec<CallSnapshot>>) {
        self.0 = Some(Collection { waiting: calls.iter().copied().collect(), written: Vec::new(), reply });
        self.answer();
    }

    /// A call was written down, or can't be.
    pub(super) fn add(&mut self, call: CallId, snapshot: Option<&CallSnapshot>) {
        if let Some(collection) = &mut self.0
            && collection.waiting.remove(&call)
        {
            collection.written.extend(snapshot.cloned());
            self.answer();
        }
    }

    fn answer(&mut self) {
        if let Some(Collection { written, reply, .. }) = self.0.take_if(|collection| collection.waiting.is_empty()) {
            // Whoever asked may have given up.
            let _ = reply.send(written);
        }
    }
}

impl Control {
    pub(super) fn write_calls_down(&mut self, now: Instant, reply: oneshot::Sender<Vec<CallSnapshot>>) {
        let calls: Vec<CallId> = self.gateway.calls().collect();
        self.snapshots.begin(&calls, reply);
        for call in calls {
            self.gateway.snapshot_call(now, call);
        }
    }

    pub(super) fn take_call_up(&mut self, now: Instant, snapshot: CallSnapshot, reply: RestoreReply) {
        let call = snapshot.call();
        let restored = self.gateway.restore_call(now, snapshot);
        match &restored {
            Ok(_) => tracing::info!(%call, "a call of another instance goes on here"),
            Err(error) => tracing::warn!(%call, %error, "a call of another instance can't go on here"),
        }
        let _ = reply.send(restored);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_is_complete_when_every_call_was_answered_for() {
        let mut snapshots = Snapshots::default();
        let (reply, mut none) = oneshot::channel();
        snapshots.begin(&[], reply);
        assert!(none.try_recv().unwrap().is_empty());
        let (reply, mut both) = oneshot::channel();
        snapshots.begin(&[CallId(1), CallId(2)], reply);
        snapshots.add(CallId(2), None);
        assert!(both.try_recv().is_err());
        snapshots.add(CallId(1), None);
        assert!(both.try_recv().is_ok() && snapshots.0.is_none());
    }

    #[test]
    fn a_collection_that_was_given_up_makes_room() {
        let mut snapshots = Snapshots::default();
        let (reply, given_up) = oneshot::channel();
        snapshots.begin(&[CallId(1)], reply);
        drop(given_up);
        let (reply, mut next) = oneshot::channel();
        snapshots.begin(&[CallId(2)], reply);
        snapshots.add(CallId(1), None);
        assert!(next.try_recv().is_err());
        snapshots.add(CallId(2), None);
        assert!(next.try_recv().is_ok());
    }
}
