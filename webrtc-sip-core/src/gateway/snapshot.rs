//! Calls outlive instances: what another instance needs to go on with a call, and going on with it.
//!
//! An answered call is written down by [`Gateway::snapshot_call`] and taken up by [`Gateway::restore_call`] in an
//! instance that holds the same DTLS certificate. The client then resumes its sign-in with the token it has and restarts
//! ICE by `call.update`; the SIP side gets a re-INVITE. Both hear us under new SSRCs, so that no SRTP index is ever used
//! twice even while the old instance is still sending.

use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::call::{Call, CallPhase, EndReason, Side};
use crate::ids::{CallId, LegId, RequestId, ShardId};
use crate::media::{AudioConfig, LegSnapshot, MediaCommand, RestoreLegConfig, RestoreTransport, TransportSnapshot};
use crate::sdp::{SipNegotiator, WebRtcNegotiator};
use crate::sip::endpoint::{Credentials, DialogSnapshot};

use super::client::SignInSnapshot;
use super::leg::{BrowserLeg, CallEntry, Leg, LegKind, Party, SipLeg};
use super::requests::Pending;
use super::{Gateway, GatewayEvent, MediaPorts};

/// Version of the layout of a [`CallSnapshot`].
const VERSION: u32 = 1;

/// Everything about an answered call that isn't in the two far sides. Contains secrets: keep it encrypted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallSnapshot {
    version: u32,
    call: CallId,
    from: Party,
    to: Party,
    started_at: SystemTime,
    answered_at: SystemTime,
    held: [bool; 2],
    legs: [LegState; 2],
}

impl CallSnapshot {
    /// Which call.
    pub fn call(&self) -> CallId {
        self.call
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct LegState {
    id: LegId,
    audio: AudioConfig,
    media: LegSnapshot,
    signalling: Signalling,
}

impl LegState {
    /// Those of the user on this leg, for challenges to the other one's dialog.
    fn credentials(&self) -> Option<Credentials> {
        match &self.signalling {
            Signalling::Browser { sign_in, .. } => sign_in.identity.sip_credentials.clone().map(Into::into),
            Signalling::Sip { .. } => None,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Signalling {
    Browser { sign_in: SignInSnapshot, negotiator: Box<WebRtcNegotiator>, sdp_hold: bool },
    Sip { dialog: Box<DialogSnapshot>, negotiator: Box<SipNegotiator>, outbound: bool, remote_hold: bool },
}

/// Why a call can't be taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The snapshot is of a version that isn't known here, or its parts don't fit.
    #[error("the snapshot can't be understood")]
    Unknown,
    /// This instance has that call already.
    #[error("the call is here already")]
    Duplicate,
    /// A configured limit is reached.
    #[error("a limit is reached")]
    LimitReached,
    /// This instance is draining, or has ended.
    #[error("this instance takes no calls any more")]
    Closing,
}

/// A snapshot that waits for the media plane's half.
#[derive(Debug)]
pub(super) struct PendingSnapshot {
    requests: [RequestId; 2],
    media: [Option<LegSnapshot>; 2],
}

impl Gateway {
    /// Writes a call down: `GatewayEvent::CallSnapshot` follows, with none unless the call is answered and both sides'
    /// media are connected. Asked again before that, it answers both at once.
    pub fn snapshot_call(&mut self, now: Instant, call: CallId) {
        let now = self.clock(now);
        if self.snapshots.contains_key(&call) {
            return;
        }
        let Some(entry) = self.calls.get(&call).filter(|entry| entry.call.phase() == CallPhase::Answered) else {
            return self.events.push_back(GatewayEvent::CallSnapshot { call, snapshot: None });
        };
        if self.snapshots.contains_key(&call) {
            // One is on its way.
            return;
        }
        let legs = Side::BOTH.map(|side| entry.leg(side).id);
        let requests = legs.map(|_| self.requests.open(now, Pending::LegSnapshot { call }));
        for (request, leg) in requests.into_iter().zip(legs) {
            self.media_command(call, MediaCommand::SnapshotLeg { request, leg });
        }
        self.snapshots.insert(call, PendingSnapshot { requests, media: [None, None] });
    }

    /// The media plane's half of one leg, or none when it can't be had.
    pub(super) fn on_leg_snapshot(&mut self, request: RequestId, snapshot: Option<LegSnapshot>) {
        let Some(Pending::LegSnapshot { call }) = self.requests.close(request) else { return };
        let Some(pending) = self.snapshots.get_mut(&call) else { return };
        let side = usize::from(pending.requests[1] == request);
        match snapshot {
            Some(snapshot) => pending.media[side] = Some(snapshot),
            None => return self.give_up_snapshot(call),
        }
        if let [Some(caller), Some(callee)] = &mut pending.media {
            let media = [caller.clone(), callee.clone()];
            self.snapshots.remove(&call);
            let snapshot = self.write_down(call, media).map(Box::new);
            self.events.push_back(GatewayEvent::CallSnapshot { call, snapshot });
        }
    }

    pub(super) fn give_up_snapshot(&mut self, call: CallId) {
        if let Some(pending) = self.snapshots.remove(&call) {
            for request in pending.requests {
                self.requests.close(request);
            }
            self.events.push_back(GatewayEvent::CallSnapshot { call, snapshot: None });
        }
    }

    fn write_down(&self, call: CallId, media: [LegSnapshot; 2]) -> Option<CallSnapshot> {
        let entry = self.calls.get(&call)?;
        let [caller, callee] = media;
        Some(CallSnapshot {
            version: VERSION,
            call,
            from: entry.from.clone(),
            to: entry.to.clone(),
            started_at: self.wall_clock_at(entry.call.started_at()),
            answered_at: self.wall_clock_at(entry.call.answered_at()?),
            held: Side::BOTH.map(|side| entry.call.is_held_by(side)),
            legs: [self.write_leg(entry.leg(Side::Caller), caller)?, self.write_leg(entry.leg(Side::Callee), callee)?],
        })
    }

    fn write_leg(&self, leg: &Leg, media: LegSnapshot) -> Option<LegState> {
        let signalling = match &leg.kind {
            LegKind::Browser(browser) => Signalling::Browser {
                sign_in: self.clients.snapshot(browser.sign_in, |at| self.wall_clock_at(at))?,
                negotiator: Box::new(browser.negotiator.clone()),
                sdp_hold: browser.sdp_hold,
            },
            LegKind::Sip(sip) => Signalling::Sip {
                dialog: Box::new(self.sip.dialog_snapshot(self.now, sip.dialog?).ok()?),
                negotiator: Box::new(sip.negotiator.clone()?),
                outbound: sip.outbound,
                remote_hold: sip.remote_hold,
            },
        };
        Some(LegState { id: leg.id, audio: leg.audio.clone()?, media, signalling })
    }

    /// Takes up a call that another instance wrote down.
    pub fn restore_call(&mut self, now: Instant, snapshot: CallSnapshot) -> Result<CallId, RestoreError> {
        let now = self.clock(now);
        if self.draining {
            return Err(RestoreError::Closing);
        }
        if snapshot.version != VERSION {
            return Err(RestoreError::Unknown);
        }
        let CallSnapshot { call: id, from, to, held, legs, .. } = snapshot;
        if self.calls.contains_key(&id) || legs.iter().any(|leg| self.legs.contains_key(&leg.id)) {
            return Err(RestoreError::Duplicate);
        }
        if self.calls.len() >= self.config.max_calls || self.clients.len() >= self.config.max_sign_ins {
            return Err(RestoreError::LimitReached);
        }
        let shard = self.least_used_shard();
        let media = [legs[0].media.clone(), legs[1].media.clone()];
        let [caller, callee] = legs;
        let credentials = [&caller, &callee].into_iter().find_map(LegState::credentials);
        // A dialog may be refused, and nothing may be left of the call then; so it comes first.
        let legs = if matches!(caller.signalling, Signalling::Sip { .. }) {
            let caller = self.restore_leg(now, shard, caller, credentials.clone())?;
            [caller, self.restore_leg(now, shard, callee, credentials)?]
        } else {
            let callee = self.restore_leg(now, shard, callee, credentials.clone())?;
            [self.restore_leg(now, shard, caller, credentials)?, callee]
        };
        let (started, answered) = (self.instant_of(snapshot.started_at), self.instant_of(snapshot.answered_at));
        let is_browser = Side::BOTH.map(|side| legs[side as usize].browser().is_some());
        let call = Call::restored(now, started, answered, held, is_browser, self.config.media_recovery);
        let is_outgoing = is_browser[Side::Caller as usize];
        if is_outgoing {
            self.counters.outgoing.begin()
        } else {
            self.counters.incoming.begin()
        }
        self.insert_entry(id, CallEntry::new(call, shard, legs, from, to));
        self.count_audio(id);
        for (side, media) in Side::BOTH.into_iter().zip(media) {
            self.restore_media(now, id, side, media);
        }
        self.bridge(id);
        Ok(id)
    }

    fn restore_leg(
        &mut self,
        now: Instant,
        shard: ShardId,
        state: LegState,
        credentials: Option<Credentials>,
    ) -> Result<Leg, RestoreError> {
        let kind = match state.signalling {
            Signalling::Browser { sign_in, negotiator, sdp_hold } => {
                let sign_in = self.restore_sign_in(now, shard, sign_in);
                LegKind::Browser(Box::new(BrowserLeg { sign_in, negotiator: *negotiator, pending: None, sdp_hold }))
            }
            Signalling::Sip { dialog, negotiator, outbound, remote_hold } => {
                let dialog = self.sip.restore_dialog(now, *dialog, credentials).map_err(|_| RestoreError::Unknown)?;
                self.dialogs.insert(dialog, state.id);
                LegKind::Sip(Box::new(SipLeg {
                    dialog: Some(dialog),
                    outbound,
                    remote_hold,
                    negotiator: Some(*negotiator),
                    ..SipLeg::default()
                }))
            }
        };
        Ok(Leg { id: state.id, kind, audio: Some(state.audio), has_media: false, stats: None })
    }

    /// A browser leg's media go on at once; those of a SIP leg once there are ports.
    fn restore_media(&mut self, now: Instant, call: CallId, side: Side, media: LegSnapshot) {
        let Some(shard) = self.calls.get(&call).map(|entry| entry.shard) else { return };
        let (ssrc, candidates, fresh) = (self.rng.u32(), self.candidates_of(shard), self.draw_ice_credentials());
        let Some(entry) = self.calls.get_mut(&call) else { return };
        let leg = entry.leg_mut(side);
        match &mut leg.kind {
            LegKind::Browser(browser) => {
                leg.has_media = true;
                browser.negotiator.relocate(ssrc, candidates);
                // The browser's checks come with the credentials of its restart; until then nobody knows these.
                let transport = RestoreTransport::WebRtc { local: fresh, ssrc };
                let restore = RestoreLegConfig { leg: leg.id, snapshot: media, transport };
                self.media_command(call, MediaCommand::RestoreLeg(Box::new(restore)));
                self.apply_audio(call, side);
            }
            LegKind::Sip(sip) => {
                let towards = match &media.transport {
                    TransportSnapshot::Plain(plain) => plain.remote.map(|(rtp, _)| rtp),
                    TransportSnapshot::WebRtc(_) => None,
                };
                sip.restoring = Some(Box::new(media));
                match towards {
                    Some(towards) => self.request_ports(now, call, side, towards),
                    None => self.with_call(now, call, |call| call.handle_left(side, EndReason::MediaFailed)),
                }
            }
        }
    }

    /// The second half of restoring a SIP leg: its peer is told of our new address.
    pub(super) fn restore_plain_media(
        &mut self,
        now: Instant,
        call: CallId,
        side: Side,
        ports: MediaPorts,
        media: LegSnapshot,
    ) {
        let Some(entry) = self.calls.get_mut(&call) else { return self.release_ports(ports) };
        let leg = entry.leg_mut(side);
        let leg_id = leg.id;
        leg.has_media = true;
        if let Some(sip) = leg.sip_mut() {
            sip.ports = Some(ports);
            if let Some(negotiator) = sip.negotiator.as_mut() {
                negotiator.relocate(ports.advertised, ports.advertised_rtcp());
            }
        }
        let transport = RestoreTransport::Plain { rtp_socket: ports.rtp, rtcp_socket: ports.rtcp };
        self.media_command(
            call,
            MediaCommand::RestoreLeg(Box::new(RestoreLegConfig { leg: leg_id, snapshot: media, transport })),
        );
        self.apply_audio(call, side);
        self.join(call);
        self.probe_sip(now, call, side);
    }

    // Time

    /// Instants mean nothing to another instance.
    fn wall_clock_at(&self, at: Instant) -> SystemTime {
        let past = self.now.saturating_duration_since(at);
        let future = at.saturating_duration_since(self.now);
        self.wall_clock_now() - past + future
    }

    fn instant_of(&self, at: SystemTime) -> Instant {
        let wall_clock = self.wall_clock_now();
        let past = wall_clock.duration_since(at).unwrap_or(Duration::ZERO);
        self.now.checked_sub(past).unwrap_or(self.now)
    }
}
