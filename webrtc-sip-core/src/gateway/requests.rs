//! Questions to the outside that haven't been answered.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::call::Side;
use crate::ids::{CallId, IdCounter, LinkId, RequestId};
use crate::timer::TimerQueue;

/// How long the shell has for an answer. Long enough for a slow directory, short enough for somebody who waits.
const DEADLINE: Duration = Duration::from_secs(10);

/// What an answer is needed for.
#[derive(Debug)]
pub(super) enum Pending {
    /// `session.signIn` on this link, to be answered under this JSON-RPC id.
    SignIn { link: LinkId, rpc_id: Option<Value>, on_websocket: bool },
    /// The RTP ports of a SIP leg.
    Ports { call: CallId, side: Side },
    /// Where the peer of a SIP leg takes media.
    MediaAddress { call: CallId, side: Side, rtp_port: u16, rtcp_port: u16 },
    /// The media plane's half of a snapshot.
    LegSnapshot { call: CallId },
    /// The addresses of a configured host.
    Host { host: String },
}

/// The table of open questions.
#[derive(Debug, Default)]
pub(super) struct Requests {
    ids: IdCounter,
    pending: BTreeMap<RequestId, Pending>,
    timers: TimerQueue<RequestId>,
}

impl Requests {
    /// Notes a question; the returned id goes out with it.
    pub(super) fn open(&mut self, now: Instant, pending: Pending) -> RequestId {
        let id = RequestId(self.ids.draw());
        self.pending.insert(id, pending);
        self.timers.set(id, now + DEADLINE);
        id
    }

    /// Takes out the question that an answer belongs to; none when it came too late.
    pub(super) fn close(&mut self, id: RequestId) -> Option<Pending> {
        self.timers.cancel(&id);
        self.pending.remove(&id)
    }

    /// A question whose deadline has passed.
    pub(super) fn pop_overdue(&mut self, now: Instant) -> Option<Pending> {
        let id = self.timers.pop_due(now)?;
        self.pending.remove(&id)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }
}
