//! What the endpoint keeps of one INVITE usage of a dialog (RFC 5057), from the first INVITE to the end.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;

use super::event::{Credentials, Destination};
use super::flows::Hop;
use crate::ids::{DialogId, IdCounter, TransactionId};
use crate::io::{FlowId, SocketId};
use crate::sip::dialog::Dialog;
use crate::sip::{CallIdHeader, Reason};

/// Early dialogs kept of one forked INVITE, and 2xx that get an ACK.
pub(super) const MAX_FORKS: usize = 8;

/// One dialog id's state.
#[derive(Debug)]
pub(super) struct Usage {
    pub(super) call_id: CallIdHeader,
    pub(super) local_tag: String,
    pub(super) path: Path,
    pub(super) contact_user: String,
    pub(super) credentials: Option<Credentials>,
    /// Type of every body of ours.
    pub(super) content_type: String,
    pub(super) stage: Stage,
    /// We made the Call-ID, which decides who yields when two re-INVITEs meet.
    pub(super) we_called: bool,
    /// The dialog once there is one: from the first response of ours, or the first 2xx of theirs.
    pub(super) dialog: Option<Dialog>,
    /// Our 2xx that no ACK has come to.
    pub(super) unacked: Option<Unacked>,
    /// `bye` was called before the ACK came, and has to wait for it (RFC 3261 section 15).
    pub(super) bye_after_ack: Option<Option<Reason>>,
    /// Our re-INVITE or UPDATE that isn't answered.
    pub(super) modifying: Option<Modifying>,
    /// What a 491 delayed.
    pub(super) postponed: Option<Bytes>,
    /// Their re-INVITE or UPDATE that isn't answered.
    pub(super) modified: Option<TransactionId>,
    /// Our INVITE whose 2xx waits for `acknowledge`, because it holds the offer: its transaction and CSeq.
    pub(super) awaiting_acknowledge: Option<(TransactionId, u32)>,
    pub(super) timer: Option<SessionTimer>,
    /// Whether the far side says that it takes UPDATE.
    pub(super) allows_update: bool,
    /// Our latest offer or answer, for a refresh by re-INVITE (RFC 4028 section 7.4).
    pub(super) local_body: Bytes,
}

/// How far the usage has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// We sent an INVITE.
    Calling(Calling),
    /// We received one.
    Incoming(Incoming),
    /// Answered.
    Up,
}

/// An INVITE of ours that has no final response.
#[derive(Debug)]
pub(super) struct Calling {
    pub(super) transaction: TransactionId,
    pub(super) forks: Vec<Fork>,
    /// A provisional response came, so that CANCEL is allowed (RFC 3261 section 9.1).
    pub(super) provisional: bool,
    pub(super) cancel: Option<Cancel>,
    pub(super) delayed_offer: bool,
}

/// One of those that our INVITE reached (RFC 3261 section 12.1).
#[derive(Debug)]
pub(super) struct Fork {
    pub(super) dialog: Dialog,
    /// The latest body of its provisional responses, for a 2xx without one.
    pub(super) body: Bytes,
}

/// `cancel` was called, or the INVITE took too long.
#[derive(Debug)]
pub(super) struct Cancel {
    pub(super) reason: Option<Reason>,
    pub(super) sent: bool,
    /// Reported instead of the 487 that follows.
    pub(super) status: Option<u16>,
}

/// An INVITE of theirs that we haven't answered.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) transaction: TransactionId,
    /// `Require: 100rel` (RFC 3262).
    pub(super) reliable: bool,
    pub(super) rseq: u32,
    /// The reliable provisional response that no PRACK has come to.
    pub(super) unpracked: Option<Unacked>,
    /// More of them, in order (RFC 3262 section 3: one at a time).
    pub(super) waiting: Vec<(u16, Bytes)>,
    /// `answer` was called while a PRACK was missing.
    pub(super) answer: Option<Bytes>,
}

/// A response that is sent again until the far side acknowledges it.
#[derive(Debug)]
pub(super) struct Unacked {
    /// CSeq of its request, or its RSeq.
    pub(super) number: u32,
    pub(super) wire: Bytes,
    pub(super) hop: Hop,
    pub(super) fallback: Option<std::net::SocketAddr>,
    pub(super) interval: Duration,
}

/// A re-INVITE or UPDATE of ours on its way.
#[derive(Debug)]
pub(super) struct Modifying {
    pub(super) transaction: TransactionId,
    /// Sent by the session timer; the owner doesn't hear of it.
    pub(super) refresh: bool,
    pub(super) body: Bytes,
}

/// RFC 4028.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct SessionTimer {
    pub(super) interval: Duration,
    pub(super) we_refresh: bool,
}

/// Where requests go when the dialog's next hop is no address, and how it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) destination: Destination,
    /// The socket of the datagrams, and the one whose advertised address is told.
    pub(super) socket: SocketId,
    /// The byte stream that the dialog began on.
    pub(super) flow: Option<FlowId>,
}

impl Usage {
    pub(super) fn new(call_id: CallIdHeader, local_tag: String, path: Path, stage: Stage) -> Self {
        Usage {
            call_id,
            local_tag,
            path,
            contact_user: String::new(),
            credentials: None,
            content_type: "application/sdp".to_owned(),
            we_called: matches!(stage, Stage::Calling(_)),
            stage,
            dialog: None,
            unacked: None,
            bye_after_ack: None,
            modifying: None,
            postponed: None,
            modified: None,
            awaiting_acknowledge: None,
            timer: None,
            allows_update: false,
            local_body: Bytes::new(),
        }
    }

    /// The dialog, or the early one of a fork.
    pub(super) fn dialog_with(&mut self, remote_tag: &str) -> Option<&mut Dialog> {
        let forks = match &mut self.stage {
            Stage::Calling(calling) => calling.forks.iter_mut(),
            _ => [].iter_mut(),
        };
        self.dialog
            .iter_mut()
            .chain(forks.map(|fork| &mut fork.dialog))
            .find(|dialog| dialog.remote_tag() == remote_tag)
    }
}

/// All usages, by id and by what identifies them on the wire. Our tag is the same on every fork, so it and the Call-ID
/// are enough.
#[derive(Debug, Default)]
pub(super) struct Usages {
    table: BTreeMap<DialogId, Usage>,
    by_tag: HashMap<(CallIdHeader, String), DialogId>,
    ids: IdCounter,
}

impl Usages {
    pub(super) fn insert(&mut self, usage: Usage) -> DialogId {
        let id = DialogId(self.ids.draw());
        self.by_tag.insert((usage.call_id.clone(), usage.local_tag.clone()), id);
        self.table.insert(id, usage);
        id
    }

    pub(super) fn remove(&mut self, id: DialogId) -> Option<Usage> {
        let usage = self.table.remove(&id)?;
        self.by_tag.remove(&(usage.call_id.clone(), usage.local_tag.clone()));
        Some(usage)
    }

    pub(super) fn get(&self, id: DialogId) -> Option<&Usage> {
        self.table.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: DialogId) -> Option<&mut Usage> {
        self.table.get_mut(&id)
    }

    pub(super) fn find(&self, call_id: &CallIdHeader, local_tag: &str) -> Option<DialogId> {
        self.by_tag.get(&(call_id.clone(), local_tag.to_owned())).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
