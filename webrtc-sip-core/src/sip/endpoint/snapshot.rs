//! [`DialogSnapshot`]: an answered dialog as plain data, because calls outlive nodes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::event::{Credentials, Destination, SipError};
use super::usage::{Path, SessionTimer, Stage, Usage};
use super::{DialogTimer, Endpoint, TimerKey};
use crate::ids::DialogId;
use crate::sip::dialog::Dialog;
use crate::sip::{CallIdHeader, NameAddr};
use crate::timer::LONGEST_WAIT;

/// Everything that another endpoint needs to go on with a dialog, without passwords. Header values stand as on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialogSnapshot {
    /// Layout of this structure; 1.
    pub version: u32,
    /// Call-ID.
    pub call_id: String,
    /// Our address, with our tag.
    pub local: String,
    /// Their address, with their tag.
    pub remote: String,
    /// CSeq of our latest request.
    pub local_cseq: u32,
    /// CSeq of their latest request.
    pub remote_cseq: Option<u32>,
    /// Their Contact.
    pub remote_target: String,
    /// Route values, nearest first.
    pub route_set: Vec<String>,
    /// Where requests go when neither route set nor target hold an address.
    pub destination: Destination,
    /// User part of our Contact.
    pub contact_user: String,
    /// Type of our bodies.
    pub content_type: String,
    /// Our latest offer or answer.
    pub local_body: Vec<u8>,
    /// We made the Call-ID.
    pub we_called: bool,
    /// The far side takes UPDATE.
    pub allows_update: bool,
    /// Session interval and whether we refresh, where there is a session timer (RFC 4028).
    pub session_interval: Option<(Duration, bool)>,
    /// How much of the session interval is left.
    pub session_expires_in: Option<Duration>,
}

impl Endpoint {
    /// The state of an answered dialog.
    ///
    /// # Errors
    /// [`SipError::UnknownDialog`]; [`SipError::WrongState`] when it isn't answered.
    pub fn dialog_snapshot(&self, now: Instant, dialog: DialogId) -> Result<DialogSnapshot, SipError> {
        let usage = self.usages.get(dialog).ok_or(SipError::UnknownDialog)?;
        let state = usage.dialog.as_ref().filter(|_| matches!(usage.stage, Stage::Up)).ok_or(SipError::WrongState)?;
        let expires = self.timers.deadline(&TimerKey::Dialog(dialog, DialogTimer::SessionExpired));
        Ok(DialogSnapshot {
            version: 1,
            call_id: state.call_id.to_string(),
            local: state.local.to_string(),
            remote: state.remote.to_string(),
            local_cseq: state.local_cseq,
            remote_cseq: state.remote_cseq,
            remote_target: state.remote_target.to_string(),
            route_set: state.route_set.iter().map(NameAddr::to_string).collect(),
            destination: usage.path.destination,
            contact_user: usage.contact_user.clone(),
            content_type: usage.content_type.clone(),
            local_body: usage.local_body.to_vec(),
            we_called: usage.we_called,
            allows_update: usage.allows_update,
            session_interval: usage.timer.map(|timer| (timer.interval, timer.we_refresh)),
            session_expires_in: expires.map(|at| at.saturating_duration_since(now)),
        })
    }

    /// Goes on with a dialog of another endpoint. Nothing is sent; a re-INVITE tells the far side of the new Contact. The
    /// local CSeq skips ahead, in case the snapshot missed some requests (RFC 3261 section 12.2.1.1 allows gaps).
    ///
    /// # Errors
    /// [`SipError::BadSnapshot`], [`SipError::NoSocket`], [`SipError::LimitReached`].
    pub fn restore_dialog(
        &mut self,
        now: Instant,
        snapshot: DialogSnapshot,
        credentials: Option<Credentials>,
    ) -> Result<DialogId, SipError> {
        const SKIP: u32 = 100;
        let now = self.clock(now);
        if snapshot.version != 1 {
            return Err(SipError::BadSnapshot);
        }
        if self.usages.len() >= self.config.limits.max_dialogs {
            return Err(SipError::LimitReached);
        }
        let socket = self.socket_towards(snapshot.destination.address).ok_or(SipError::NoSocket)?.socket;
        let state = Dialog {
            call_id: CallIdHeader(snapshot.call_id),
            local: address(&snapshot.local)?,
            remote: address(&snapshot.remote)?,
            local_cseq: snapshot.local_cseq.saturating_add(SKIP),
            remote_cseq: snapshot.remote_cseq,
            remote_target: snapshot.remote_target.parse().map_err(|_| SipError::BadSnapshot)?,
            route_set: snapshot.route_set.iter().map(|route| address(route)).collect::<Result<_, _>>()?,
        };
        let local_tag = state.local.tag().ok_or(SipError::BadSnapshot)?.to_owned();
        if self.usages.find(&state.call_id, &local_tag).is_some() {
            return Err(SipError::BadSnapshot);
        }
        let path = Path { destination: snapshot.destination, socket, flow: None };
        let mut usage = Usage::new(state.call_id.clone(), local_tag, path, Stage::Up);
        usage.dialog = Some(state);
        usage.we_called = snapshot.we_called;
        usage.contact_user = snapshot.contact_user;
        usage.content_type = snapshot.content_type;
        usage.local_body = Bytes::from(snapshot.local_body);
        usage.allows_update = snapshot.allows_update;
        usage.credentials = credentials;
        let dialog = self.usages.insert(usage);
        if let Some((interval, we_refresh)) = snapshot.session_interval {
            self.set_session_timer(
                now,
                dialog,
                Some(SessionTimer { interval: interval.min(LONGEST_WAIT), we_refresh }),
            );
            if let Some(left) = snapshot.session_expires_in {
                self.set_dialog_timer(dialog, DialogTimer::SessionExpired, now + left.min(LONGEST_WAIT));
            }
            if we_refresh {
                // The old owner may have missed one.
                self.set_dialog_timer(dialog, DialogTimer::Refresh, now);
            }
        }
        Ok(dialog)
    }
}

fn address(text: &str) -> Result<NameAddr, SipError> {
    text.parse().map_err(|_| SipError::BadSnapshot)
}
