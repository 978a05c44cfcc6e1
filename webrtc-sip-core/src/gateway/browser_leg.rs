//! A leg towards a browser: its offer/answer and its media.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::call::{CallPhase, EndReason, Side};
use crate::ids::{CallId, ShardId, SignInId};
use crate::media::{DtmfDigit, MediaCommand, WebRtcLegConfig, WebRtcRemote};
use crate::sdp::{AgreedWebRtc, Candidate, IceCredentials, SdpError, WebRtcLocal, WebRtcNegotiator};

use super::Gateway;
use super::client::rpc::{self, RpcError};
use super::leg::{BrowserLeg, Leg, LegKind};

/// Lengths of our ICE credentials in characters: RFC 8445 section 5.3 asks for at least 24 and 128 bits.
const UFRAG_LEN: usize = 8;
const PASSWORD_LEN: usize = 24;
/// Digits in one `call.dtmf`.
const MAX_DTMF_DIGITS: usize = 32;
/// Shortest and longest tone (RFC 4733 section 2.5.1.2; ITU-T Q.24 wants at least 40 ms).
const DTMF_DURATION_MS: std::ops::RangeInclusive<u32> = 40..=6000;
/// Shortest and longest silence between two tones.
const DTMF_GAP_MS: std::ops::RangeInclusive<u32> = 30..=6000;

impl From<SdpError> for RpcError {
    fn from(error: SdpError) -> Self {
        match error {
            SdpError::NoAudio => RpcError::NoAudio,
            SdpError::NoCommonCodec => RpcError::NoCommonCodec,
            SdpError::BadCandidate => RpcError::BadCandidate,
            SdpError::StaleOffer => RpcError::WrongState,
            _ => RpcError::BadSdp,
        }
    }
}

impl Gateway {
    /// A browser leg at rest, with fresh ICE credentials.
    pub(super) fn browser_leg(&mut self, sign_in: SignInId, shard: ShardId) -> Leg {
        let id = self.draw_leg_id();
        let cname = self.rng.token(16);
        let local = WebRtcLocal {
            ice: self.draw_ice_credentials(),
            ice_lite: self.config.ice_lite,
            fingerprint: self.config.certificate_fingerprint,
            candidates: self.candidates_of(shard),
            ssrc: self.rng.u32(),
            cname: cname.clone(),
            msid: format!("{cname} audio"),
            codecs: self.config.browser_codecs.clone(),
            comfort_noise: false,
        };
        let negotiator = WebRtcNegotiator::new(local, self.rng.u64());
        let kind = LegKind::Browser(Box::new(BrowserLeg { sign_in, negotiator, pending: None, sdp_hold: false }));
        Leg { id, kind, audio: None, has_media: false, stats: None }
    }

    /// Where browsers reach a shard.
    pub(super) fn candidates_of(&self, shard: ShardId) -> Vec<SocketAddr> {
        let addresses = self.config.shards.iter().find(|addresses| addresses.shard == shard);
        addresses.map(|addresses| addresses.candidates.clone()).unwrap_or_default()
    }

    pub(super) fn draw_ice_credentials(&self) -> IceCredentials {
        IceCredentials { ufrag: self.crypto.token(UFRAG_LEN), password: self.crypto.token(PASSWORD_LEN) }
    }

    /// A browser leg that begins with the browser's offer. Nothing is kept when the offer is refused.
    pub(super) fn answer_browser_leg(
        &mut self,
        sign_in: SignInId,
        shard: ShardId,
        offer: &str,
    ) -> Result<(Leg, AgreedWebRtc, String), RpcError> {
        let fresh = self.draw_ice_credentials();
        let mut leg = self.browser_leg(sign_in, shard);
        let browser = leg.browser_mut().expect("it was just made as one");
        let (answer, agreed) = browser.negotiator.answer(offer, fresh)?;
        Ok((leg, agreed, answer))
    }

    /// Creates the media of a browser leg whose first offer/answer is done.
    pub(super) fn start_browser_media(&mut self, call: CallId, side: Side, agreed: AgreedWebRtc) {
        self.add_browser_media(call, side);
        self.apply_browser_agreement(call, side, agreed);
    }

    fn add_browser_media(&mut self, call: CallId, side: Side) {
        let Some(leg) = self.calls.get_mut(&call).map(|entry| entry.leg_mut(side)) else { return };
        let id = leg.id;
        leg.has_media = true;
        let Some(browser) = leg.browser() else { return };
        let local = browser.negotiator.local();
        let config = WebRtcLegConfig {
            leg: id,
            local: local.ice.clone(),
            ice_lite: local.ice_lite,
            // The offerer controls (RFC 8445 section 6.1.1); a lite agent never does (section 6.1.1 too).
            controlling: side == Side::Callee && !local.ice_lite,
            ssrc: local.ssrc,
            cname: local.cname.clone(),
        };
        self.media_command(call, MediaCommand::AddWebRtcLeg(Box::new(config)));
    }

    fn apply_browser_agreement(&mut self, call: CallId, side: Side, agreed: AgreedWebRtc) {
        let Some(leg) = self.calls.get_mut(&call).map(|entry| entry.leg_mut(side)) else { return };
        let id = leg.id;
        leg.audio = Some(agreed.audio);
        let remote = WebRtcRemote {
            credentials: agreed.remote.ice,
            ice_lite: agreed.remote.ice_lite,
            fingerprints: agreed.remote.fingerprints.into_iter().map(|f| (f.algorithm, f.digest)).collect(),
            dtls_role: agreed.remote.dtls_role,
            candidates: agreed.remote.candidates,
        };
        self.media_command(call, MediaCommand::SetWebRtcRemote { leg: id, remote: Box::new(remote) });
        self.apply_audio(call, side);
    }

    /// Calls a browser: our offer goes to it, and it rings.
    pub(super) fn offer_to_browser(&mut self, now: Instant, call: CallId) {
        let side = Side::Callee;
        let Some(entry) = self.calls.get_mut(&call) else { return };
        let (from, to) = (entry.from.clone(), entry.to.clone());
        let Some(browser) = entry.leg_mut(side).browser_mut() else { return };
        let sign_in = browser.sign_in;
        let (sdp, pending) = browser.negotiator.offer(None);
        browser.pending = Some(pending);
        // The leg itself is one of those counted.
        if self.clients.get(sign_in).is_none_or(|user| user.calls.len() > self.config.max_calls_per_sign_in) {
            return self.with_call(now, call, |call| call.handle_left(side, EndReason::Busy));
        }
        // The media have to be there before the browser's answer: its connectivity checks come as fast.
        self.add_browser_media(call, side);
        let params = json!({
            "from": from.number,
            "displayName": from.display_name,
            "to": to.number,
            "sdp": sdp,
        });
        self.notify_leg(call, side, "call.incoming", params);
        self.with_call(now, call, |call| call.handle_ringing());
    }

    /// `call.answer`.
    pub(super) fn browser_answers(
        &mut self,
        now: Instant,
        call: CallId,
        side: Side,
        sdp: &str,
    ) -> Result<(), RpcError> {
        if side != Side::Callee || self.phase_of(call) >= Some(CallPhase::Answered) {
            return Err(RpcError::WrongState);
        }
        let entry = self.calls.get_mut(&call).ok_or(RpcError::UnknownCall)?;
        let browser = entry.leg_mut(side).browser_mut().ok_or(RpcError::WrongState)?;
        let pending = browser.pending.take().ok_or(RpcError::WrongState)?;
        match browser.negotiator.accept_answer(pending, sdp) {
            Ok(agreed) => {
                self.apply_browser_agreement(call, side, agreed);
                self.with_call(now, call, |call| call.handle_answered(now));
                Ok(())
            }
            Err(error) => {
                // The offer is used up, so there is no second try.
                self.with_call(now, call, |call| call.handle_left(side, EndReason::NotAcceptable));
                Err(error.into())
            }
        }
    }

    /// `call.update`: a new offer within the call, for an ICE restart, hold or another microphone.
    pub(super) fn update_browser_leg(
        &mut self,
        now: Instant,
        call: CallId,
        side: Side,
        offer: &str,
    ) -> Result<String, RpcError> {
        let fresh = self.draw_ice_credentials();
        let entry = self.calls.get_mut(&call).ok_or(RpcError::UnknownCall)?;
        let leg = entry.leg_mut(side);
        let leg_id = leg.id;
        let browser = leg.browser_mut().ok_or(RpcError::WrongState)?;
        if browser.pending.is_some() {
            return Err(RpcError::WrongState);
        }
        let (answer, agreed) = browser.negotiator.answer(offer, fresh)?;
        // A browser that doesn't want to hear us holds (RFC 3264 section 8.4). Only a change counts: `call.hold` is
        // another way to say it, and an ICE restart doesn't take it back.
        let holds = agreed.remote_hold;
        let changes = std::mem::replace(&mut browser.sdp_hold, holds) != holds;
        if agreed.ice_restart {
            self.media_command(call, MediaCommand::RestartIce { leg: leg_id, local: agreed.local_ice.clone() });
        }
        self.apply_browser_agreement(call, side, agreed);
        if changes {
            self.with_call(now, call, |call| {
                call.handle_hold(side, holds);
            });
        }
        Ok(answer)
    }

    /// `call.candidate`. An empty candidate says that no more come, which a lite agent has no use for.
    pub(super) fn add_candidate(&mut self, call: CallId, side: Side, candidate: String) -> Result<(), RpcError> {
        if candidate.is_empty() {
            return Ok(());
        }
        Candidate::parse(&candidate)?;
        let leg = self.calls.get(&call).ok_or(RpcError::UnknownCall)?.leg(side).id;
        self.media_command(call, MediaCommand::AddRemoteCandidate { leg, candidate });
        Ok(())
    }

    /// `call.dtmf`: keys for the far side.
    pub(super) fn send_dtmf(&mut self, call: CallId, towards: Side, params: &rpc::Dtmf) -> Result<(), RpcError> {
        let entry = self.calls.get(&call).ok_or(RpcError::UnknownCall)?;
        if !matches!(entry.call.phase(), CallPhase::EarlyMedia | CallPhase::Answered) {
            return Err(RpcError::WrongState);
        }
        let digits: Option<Vec<DtmfDigit>> = params.digits.chars().map(DtmfDigit::from_char).collect();
        let digits = digits.filter(|d| (1..=MAX_DTMF_DIGITS).contains(&d.len())).ok_or(RpcError::InvalidParams)?;
        if !DTMF_DURATION_MS.contains(&params.duration_ms) || !DTMF_GAP_MS.contains(&params.gap_ms) {
            return Err(RpcError::InvalidParams);
        }
        let leg = entry.leg(towards).id;
        if entry.leg(towards).browser().is_some() {
            // A browser has no way to show tones to its page: it is told instead.
            for digit in digits {
                let params = json!({ "digit": digit.to_char(), "durationMs": params.duration_ms });
                self.notify_leg(call, towards, "call.dtmf", params);
            }
            return Ok(());
        }
        if entry.leg(towards).audio.as_ref().is_none_or(|audio| audio.dtmf_send.is_none()) {
            return Err(RpcError::NotSupported);
        }
        let command = MediaCommand::SendDtmf {
            leg,
            digits,
            duration: Duration::from_millis(params.duration_ms.into()),
            gap: Duration::from_millis(params.gap_ms.into()),
        };
        self.media_command(call, command);
        Ok(())
    }
}
