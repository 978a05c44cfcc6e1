//! Handing legs from one instance to another.

use std::time::Instant;

use crate::ids::LegId;
use crate::media::demux::LegKey;
use crate::media::leg::{Audio, Leg, LegTransport, Srtp};
use crate::media::snapshot::{
    LegSnapshot, PlainSnapshot, RestoreLegConfig, RestoreTransport, TransportSnapshot, WebRtcSnapshot,
};
use crate::media::{IceCredentials, MediaEvent, MediaFailure};
use crate::rtp::OutgoingSource;
use crate::transport::plain::PlainSockets;
use crate::transport::webrtc::{MediaKeys, WebRtcTransport};

use super::MediaShard;

impl MediaShard {
    /// None before the keys are known: there is nothing that another instance could go on with.
    pub(super) fn snapshot(&self, key: LegKey) -> Option<LegSnapshot> {
        let leg = self.legs.get(key)?;
        let transport = match &leg.transport {
            LegTransport::WebRtc(webrtc) => {
                let keys = webrtc.transport.keys()?;
                let (local, remote) = webrtc.transport.ice_credentials();
                let receiver = webrtc.srtp.as_ref().map(|srtp| &srtp.receiver);
                let mut used_ssrcs = webrtc.used_ssrcs.clone();
                used_ssrcs.push(leg.source.ssrc());
                TransportSnapshot::WebRtc(Box::new(WebRtcSnapshot {
                    ice_lite: webrtc.transport.ice_lite(),
                    controlling: webrtc.transport.controlling(),
                    local,
                    remote,
                    dtls_role: webrtc.transport.dtls_role()?,
                    fingerprints: webrtc.transport.fingerprints(),
                    local_keys: keys.local.clone(),
                    remote_keys: keys.remote.clone(),
                    roll_over_counters: receiver.map(|r| r.roll_over_counters().collect()).unwrap_or_default(),
                    used_ssrcs,
                }))
            }
            LegTransport::Plain(plain) => TransportSnapshot::Plain(PlainSnapshot {
                ssrc: leg.source.ssrc(),
                sequence: leg.source.sequence(),
                timestamp: leg.source.timestamp_at(self.now, leg.send_clock_rate_hz()),
                remote: plain.signalled(),
            }),
        };
        Some(LegSnapshot {
            version: LegSnapshot::VERSION,
            leg: leg.id,
            cname: leg.cname.clone(),
            audio: leg.audio.as_ref().map(|audio| audio.config.clone()),
            transport,
        })
    }

    pub(super) fn restore(&mut self, now: Instant, restore: RestoreLegConfig) {
        let RestoreLegConfig { leg, snapshot, transport } = restore;
        if !self.admit(leg) {
            return;
        }
        let audio = snapshot.audio.clone();
        let restored = match (&snapshot.transport, transport) {
            _ if snapshot.version != LegSnapshot::VERSION => None,
            (TransportSnapshot::WebRtc(state), RestoreTransport::WebRtc { local, ssrc })
                if !state.used_ssrcs.contains(&ssrc) =>
            {
                self.restore_webrtc(now, leg, &snapshot.cname, state, &local, ssrc)
            }
            (TransportSnapshot::Plain(state), RestoreTransport::Plain { rtp_socket, rtcp_socket }) => {
                let sockets = PlainSockets { rtp: rtp_socket, rtcp: rtcp_socket };
                self.restore_plain(now, leg, &snapshot.cname, state, sockets)
            }
            _ => None,
        };
        match (restored, audio) {
            (Some(key), Some(audio)) => self.set_audio(now, key, Audio::new(audio)),
            (Some(_), None) => {}
            (None, _) => self.emit(MediaEvent::Failed { leg, reason: MediaFailure::NotRestorable }),
        }
    }

    fn restore_webrtc(
        &mut self,
        now: Instant,
        id: LegId,
        cname: &str,
        state: &WebRtcSnapshot,
        local: &IceCredentials,
        ssrc: u32,
    ) -> Option<LegKey> {
        let keys = MediaKeys { local: state.local_keys.clone(), remote: state.remote_keys.clone() };
        let config = self.webrtc_config(local, state.ice_lite, state.controlling);
        let mut srtp = Srtp::new(&keys, self.config.max_ssrcs_per_leg);
        for (ssrc, roll_over_counter) in state.roll_over_counters.iter().take(self.config.max_ssrcs_per_leg) {
            // More sources than fit were left out above; there is no other way to fail.
            let _ = srtp.receiver.set_roll_over_counter(*ssrc, *roll_over_counter);
        }
        let (role, fingerprints) = (state.dtls_role, &state.fingerprints);
        let transport = WebRtcTransport::restored(now, self.dtls.clone(), &config, role, fingerprints, keys);
        let source = self.new_source(ssrc);
        let key = self.insert_webrtc_leg(now, id, cname, local, transport, source)?;
        if let Some(Leg { transport: LegTransport::WebRtc(webrtc), .. }) = self.legs.get_mut(key) {
            webrtc.srtp = Some(srtp);
            webrtc.used_ssrcs = state.used_ssrcs.clone();
        }
        Some(key)
    }

    fn restore_plain(
        &mut self,
        now: Instant,
        id: LegId,
        cname: &str,
        state: &PlainSnapshot,
        sockets: PlainSockets,
    ) -> Option<LegKey> {
        // The old owner may have sent since the snapshot; a gap is harmless, a repetition isn't.
        const SEQUENCE_GAP: u16 = 1_000;
        let source = OutgoingSource::new(state.ssrc, state.sequence.wrapping_add(SEQUENCE_GAP), state.timestamp);
        let key = self.insert_plain_leg(now, id, cname, sockets, source)?;
        if let (Some((rtp, rtcp)), Some(Leg { transport: LegTransport::Plain(plain), .. })) =
            (state.remote, self.legs.get_mut(key))
        {
            plain.set_remote(rtp, rtcp);
        }
        Some(key)
    }
}
