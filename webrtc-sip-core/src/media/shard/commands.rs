//! What the control plane asks for.

use std::time::Instant;

use crate::ids::LegId;
use crate::media::bridge;
use crate::media::command::{MediaCommand, PlainLegConfig, WebRtcLegConfig};
use crate::media::demux::LegKey;
use crate::media::leg::{Audio, Leg, LegTransport, WebRtcLeg};
use crate::media::{IceCredentials, LegStats, MediaEvent, MediaFailure, WebRtcRemote};
use crate::rtp::OutgoingSource;
use crate::transport::plain::{PlainSockets, PlainTransport};
use crate::transport::webrtc::{WebRtcConfig, WebRtcTransport};

use super::{LegTimer, MAX_UFRAGS_PER_LEG, MediaShard};

impl MediaShard {
    pub(super) fn run_command(&mut self, now: Instant, command: MediaCommand) {
        match command {
            MediaCommand::AddWebRtcLeg(config) => self.add_webrtc_leg(now, &config),
            MediaCommand::AddPlainLeg(config) => self.add_plain_leg(now, &config),
            MediaCommand::SetWebRtcRemote { leg, remote } => self.set_webrtc_remote(now, leg, &remote),
            MediaCommand::RestartIce { leg, local } => self.restart_ice(leg, local),
            MediaCommand::AddRemoteCandidate { leg, candidate } => self.add_remote_candidate(now, leg, &candidate),
            MediaCommand::SetPlainRemote { leg, rtp, rtcp } => {
                if let Some(Leg { transport: LegTransport::Plain(plain), .. }) = self.leg_mut(leg) {
                    plain.set_remote(rtp, rtcp);
                }
            }
            MediaCommand::SetAudio { leg, audio } => {
                if let Some(key) = self.by_id.get(&leg).copied() {
                    self.set_audio(now, key, Audio::new(*audio));
                }
            }
            MediaCommand::Bridge { a, b } => self.bridge(now, a, b),
            MediaCommand::Unbridge { leg } => {
                if let Some(key) = self.by_id.get(&leg).copied() {
                    self.unbridge(key);
                }
            }
            MediaCommand::SendDtmf { leg, digits, duration, gap } => {
                if let Some(key) = self.by_id.get(&leg).copied() {
                    self.send_digits(now, key, &digits, duration, gap);
                }
            }
            MediaCommand::RemoveLeg { leg } => self.remove_leg(now, leg, true),
            MediaCommand::HandOverLeg { leg } => self.remove_leg(now, leg, false),
            MediaCommand::SnapshotLeg { request, leg } => {
                let snapshot = self.by_id.get(&leg).and_then(|key| self.snapshot(*key)).map(Box::new);
                self.emit(MediaEvent::Snapshot { request, leg, snapshot });
            }
            MediaCommand::RestoreLeg(restore) => self.restore(now, *restore),
        }
    }

    fn leg_mut(&mut self, leg: LegId) -> Option<&mut Leg> {
        let key = *self.by_id.get(&leg)?;
        self.legs.get_mut(key)
    }

    /// Whether there is room for this leg; says so to the control plane when there isn't.
    pub(super) fn admit(&mut self, leg: LegId) -> bool {
        let free = self.legs.len() < self.config.max_legs && !self.by_id.contains_key(&leg);
        if !free {
            self.emit(MediaEvent::Failed { leg, reason: MediaFailure::LimitReached });
        }
        free
    }

    pub(super) fn webrtc_config(&mut self, local: &IceCredentials, ice_lite: bool, controlling: bool) -> WebRtcConfig {
        WebRtcConfig {
            local: local.clone(),
            ice_lite,
            controlling,
            tie_breaker: u64::from_be_bytes(self.crypto.bytes()),
            candidates: self.demux.local_candidates(),
            ice_timeout: self.config.ice_timeout,
        }
    }

    /// A source with a random start, in the lower half of the sequence numbers, so that an early loss can't hide a wrap
    /// from an SRTP receiver (RFC 3711 section 3.3.1).
    pub(super) fn new_source(&mut self, ssrc: u32) -> OutgoingSource {
        OutgoingSource::new(ssrc, self.rng.u16() & 0x7fff, self.rng.u32())
    }

    fn add_webrtc_leg(&mut self, now: Instant, config: &WebRtcLegConfig) {
        if !self.admit(config.leg) {
            return;
        }
        let transport_config = self.webrtc_config(&config.local, config.ice_lite, config.controlling);
        let transport = WebRtcTransport::new(now, self.dtls.clone(), &transport_config);
        let source = self.new_source(config.ssrc);
        self.insert_webrtc_leg(now, config.leg, &config.cname, &config.local, transport, source);
    }

    /// Says which key the leg got; none when its user name fragment is taken.
    pub(super) fn insert_webrtc_leg(
        &mut self,
        now: Instant,
        id: LegId,
        cname: &str,
        local: &IceCredentials,
        transport: WebRtcTransport,
        source: OutgoingSource,
    ) -> Option<LegKey> {
        let key = self.legs.vacant_key();
        if !self.demux.set_ufrag(&local.ufrag, key) {
            self.emit(MediaEvent::Failed { leg: id, reason: MediaFailure::IceFailed });
            return None;
        }
        let webrtc = WebRtcLeg {
            transport,
            srtp: None,
            sources: Vec::new(),
            ufrags: vec![local.ufrag.clone()],
            used_ssrcs: Vec::new(),
            media_route: None,
            last_heard: now,
        };
        self.insert(Leg::new(now, id, cname, LegTransport::WebRtc(Box::new(webrtc)), source));
        Some(key)
    }

    fn add_plain_leg(&mut self, now: Instant, config: &PlainLegConfig) {
        if self.admit(config.leg) {
            let sockets = PlainSockets { rtp: config.rtp_socket, rtcp: config.rtcp_socket };
            let source = self.new_source(config.ssrc);
            self.insert_plain_leg(now, config.leg, &config.cname, sockets, source);
        }
    }

    /// Says which key the leg got; none when its sockets are another's.
    pub(super) fn insert_plain_leg(
        &mut self,
        now: Instant,
        id: LegId,
        cname: &str,
        sockets: PlainSockets,
        source: OutgoingSource,
    ) -> Option<LegKey> {
        let key = self.legs.vacant_key();
        if !self.demux.add_plain(sockets, key) {
            self.emit(MediaEvent::Failed { leg: id, reason: MediaFailure::LimitReached });
            return None;
        }
        let plain = PlainTransport::new(sockets, self.config.relatch_after);
        self.insert(Leg::new(now, id, cname, LegTransport::Plain(plain), source));
        Some(key)
    }

    fn insert(&mut self, leg: Leg) {
        let (id, began) = (leg.id, leg.last_media);
        let key = self.legs.insert(leg);
        self.by_id.insert(id, key);
        self.set_timer(key, LegTimer::Stats, began + self.config.stats_interval);
        self.schedule_report(began, key, true);
    }

    fn set_webrtc_remote(&mut self, now: Instant, leg: LegId, remote: &WebRtcRemote) {
        let Some(key) = self.by_id.get(&leg).copied() else { return };
        if let Some(Leg { transport: LegTransport::WebRtc(leg), .. }) = self.legs.get_mut(key) {
            leg.transport.set_remote(now, remote);
            self.sync_webrtc(now, key);
        }
    }

    fn restart_ice(&mut self, leg: LegId, local: IceCredentials) {
        let Some(key) = self.by_id.get(&leg).copied() else { return };
        let Some(Leg { transport: LegTransport::WebRtc(leg), .. }) = self.legs.get_mut(key) else { return };
        if !self.demux.set_ufrag(&local.ufrag, key) {
            return;
        }
        leg.ufrags.push(local.ufrag.clone());
        leg.transport.restart_ice(local);
        // Those of the checks under way must keep working, whatever is older need not.
        while leg.ufrags.len() > MAX_UFRAGS_PER_LEG {
            let oldest = leg.ufrags.remove(0);
            self.demux.remove_ufrag(&oldest, key);
        }
    }

    fn add_remote_candidate(&mut self, now: Instant, leg: LegId, candidate: &str) {
        let Some(key) = self.by_id.get(&leg).copied() else { return };
        if let Some(Leg { transport: LegTransport::WebRtc(leg), .. }) = self.legs.get_mut(key) {
            let result = leg.transport.add_remote_candidate(now, candidate);
            self.sync_webrtc(now, key);
            if let Err(reason) = result {
                self.drops.count(reason);
            }
        }
    }

    pub(super) fn set_audio(&mut self, now: Instant, key: LegKey, audio: Audio) {
        let Some(leg) = self.legs.get_mut(key) else { return };
        if leg.audio.as_ref().is_some_and(|before| before.config == audio.config) {
            // A session refresh says nothing new, and must not be heard.
            return;
        }
        leg.stats.send_codec = Some(audio.config.format.codec);
        let began_to_receive = audio.config.receive && !leg.audio.as_ref().is_some_and(|audio| audio.config.receive);
        if began_to_receive {
            leg.last_media = now;
        }
        if leg.audio.as_ref().is_some_and(|before| before.config.dtmf_send != audio.config.dtmf_send) {
            leg.digits = None;
            self.timers.cancel(&(key, LegTimer::Digit));
        }
        leg.audio = Some(Box::new(audio));
        let far = leg.far;
        self.join(key, far);
    }

    fn bridge(&mut self, now: Instant, a: LegId, b: LegId) {
        let (Some(a), Some(b)) = (self.by_id.get(&a).copied(), self.by_id.get(&b).copied()) else { return };
        let joined = self.legs.get(a).is_some_and(|leg| leg.far == Some(b));
        if a == b || joined {
            return;
        }
        for (near, far) in [(a, b), (b, a)] {
            self.unbridge(near);
            if let Some(leg) = self.legs.get_mut(near) {
                leg.far = Some(far);
                leg.last_media = now;
            }
        }
        self.join(a, Some(b));
    }

    /// Decides anew how two bridged legs pass audio to each other.
    fn join(&mut self, a: LegKey, b: Option<LegKey>) {
        if let Some((a, b)) = b.and_then(|b| self.legs.get2_mut(a, b)) {
            bridge::decide(a, b);
            bridge::decide(b, a);
        }
    }

    pub(super) fn unbridge(&mut self, key: LegKey) {
        let Some(far) = self.legs.get_mut(key).and_then(|leg| leg.far) else { return };
        for key in [key, far] {
            if let Some(leg) = self.legs.get_mut(key) {
                leg.leave_bridge();
            }
            self.timers.cancel(&(key, LegTimer::Playout));
        }
    }

    fn remove_leg(&mut self, now: Instant, id: LegId, say_goodbye: bool) {
        let Some(key) = self.by_id.remove(&id) else {
            // It was never admitted, or is gone: whoever waits for its end can go on.
            self.emit(MediaEvent::LegRemoved { leg: id, stats: LegStats::default() });
            return;
        };
        self.unbridge(key);
        if say_goodbye {
            self.send_bye(now, key);
            if let Some(Leg { transport: LegTransport::WebRtc(leg), .. }) = self.legs.get_mut(key) {
                leg.transport.close(now);
                self.sync_webrtc(now, key);
            }
        }
        let Some(leg) = self.legs.try_remove(key) else { return };
        for timer in [
            LegTimer::Transport,
            LegTimer::Stats,
            LegTimer::Playout,
            LegTimer::Digit,
            LegTimer::Release,
            LegTimer::Report,
        ] {
            self.timers.cancel(&(key, timer));
        }
        self.due.retain(|(due, _)| *due != key);
        match &leg.transport {
            LegTransport::WebRtc(webrtc) => {
                for (socket, source) in &webrtc.sources {
                    self.demux.remove_source(*socket, *source, key);
                }
                for ufrag in &webrtc.ufrags {
                    self.demux.remove_ufrag(ufrag, key);
                }
            }
            LegTransport::Plain(plain) => self.demux.remove_plain(plain.sockets()),
        }
        let stats: LegStats = leg.figures();
        self.emit(MediaEvent::LegRemoved { leg: id, stats });
    }
}
