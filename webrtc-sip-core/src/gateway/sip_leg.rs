//! A leg towards a SIP peer: finding it, inviting it, answering it, holding it, ending it.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use crate::call::{CallPhase, EndReason, Ending, Side};
use crate::ids::{CallId, DialogId};
use crate::media::{MediaCommand, PlainLegConfig};
use crate::sdp::{AgreedSip, Direction, RemoteMedia, SipLocal, SipNegotiator};
use crate::sip::endpoint::{Credentials, Destination, Invite, Transport};
use crate::sip::{HeaderName, Headers, NameAddr, Reason, Uri};

use super::config::SipTarget;
use super::leg::{Leg, LegKind, OutboundTarget, SipLeg};
use super::requests::Pending;
use super::routing;
use super::{Gateway, GatewayEvent, MediaPorts, Request};

const NOT_ACCEPTABLE_HERE: u16 = 488;
const REQUEST_PENDING: u16 = 491;
const RINGING: u16 = 180;

impl Gateway {
    pub(super) fn outbound_sip_leg(&mut self, request_uri: Uri, next_hop: &SipTarget) -> Leg {
        let addresses = self.hosts.addresses(&next_hop.host).into_iter();
        let addresses = addresses.map(|ip| SocketAddr::new(ip, next_hop.port)).collect();
        let is_proxy = self.config.proxy.as_ref().is_some_and(|proxy| proxy.target == *next_hop);
        let target = OutboundTarget { request_uri, tcp: next_hop.tcp, is_proxy, addresses, invited: None };
        self.sip_leg(SipLeg { outbound: true, target: Some(target), ..SipLeg::default() })
    }

    /// A leg for an INVITE that came in, with the offer it brought.
    pub(super) fn inbound_sip_leg(&mut self, dialog: DialogId, offer: Option<Bytes>) -> Leg {
        let leg = self.sip_leg(SipLeg { dialog: Some(dialog), remote_offer: offer, ..SipLeg::default() });
        self.dialogs.insert(dialog, leg.id);
        leg
    }

    fn sip_leg(&mut self, sip: SipLeg) -> Leg {
        Leg { id: self.draw_leg_id(), kind: LegKind::Sip(Box::new(sip)), audio: None, has_media: false, stats: None }
    }

    fn sip_of(&mut self, call: CallId, side: Side) -> Option<&mut SipLeg> {
        self.calls.get_mut(&call)?.leg_mut(side).sip_mut()
    }

    fn dialog_of(&self, call: CallId, side: Side) -> Option<DialogId> {
        self.calls.get(&call)?.leg(side).sip()?.dialog
    }

    // Outbound: ports, INVITE

    /// First step of a call to SIP: ports for its media that suit the next hop.
    pub(super) fn call_sip(&mut self, now: Instant, call: CallId) {
        let side = Side::Callee;
        let target = self.sip_of(call, side).and_then(|sip| sip.target.as_ref());
        match target.and_then(|target| target.addresses.front().copied()) {
            Some(address) => self.request_ports(now, call, side, address),
            None => self.with_call(now, call, |call| call.handle_left(side, EndReason::Unreachable)),
        }
    }

    /// First step of every SIP leg: ports for its media.
    pub(super) fn request_ports(&mut self, now: Instant, call: CallId, side: Side, towards: SocketAddr) {
        let Some(shard) = self.calls.get(&call).map(|entry| entry.shard) else { return };
        let id = self.requests.open(now, Pending::Ports { call, side });
        self.events.push_back(GatewayEvent::Request { id, request: Request::BindMediaPorts { shard, towards } });
    }

    pub(super) fn on_media_ports(&mut self, now: Instant, call: CallId, side: Side, ports: Option<MediaPorts>) {
        let Some(ports) = ports else {
            return self.with_call(now, call, |call| call.handle_gateway_end(EndReason::TooMany));
        };
        let alive = self.phase_of(call).is_some_and(|phase| phase != CallPhase::Ended);
        let codecs = self.config.sip_codecs.clone();
        let (version, ssrc, cname) = (self.rng.u64(), self.rng.u32(), self.rng.token(16));
        let Some(entry) = self.calls.get_mut(&call).filter(|_| alive) else { return self.release_ports(ports) };
        let leg = entry.leg_mut(side);
        if let Some(media) = leg.sip_mut().and_then(|sip| sip.restoring.take()) {
            return self.restore_plain_media(now, call, side, ports, *media);
        }
        let leg_id = leg.id;
        leg.has_media = true;
        let Some(sip) = leg.sip_mut() else { return };
        sip.ports = Some(ports);
        let rtcp = ports.advertised_rtcp();
        sip.negotiator =
            Some(SipNegotiator::new(SipLocal { rtp: ports.advertised, rtcp, codecs, comfort_noise: true }, version));
        let outbound = sip.outbound;
        let config = PlainLegConfig { leg: leg_id, rtp_socket: ports.rtp, rtcp_socket: ports.rtcp, ssrc, cname };
        self.media_command(call, MediaCommand::AddPlainLeg(config));
        if outbound {
            self.send_invite(now, call, side);
        } else {
            self.take_offer(now, call, side);
        }
    }

    /// Second step: the INVITE with our offer, to the first address that one can be sent to. Once that has failed, to the
    /// next (RFC 3263 section 4.3).
    fn send_invite(&mut self, now: Instant, call: CallId, side: Side) {
        let Some(from_party) = self.calls.get(&call).map(|entry| entry.from.clone()) else { return };
        let domain = self.config.proxy.as_ref().map_or(&self.config.domain, |proxy| &proxy.domain).clone();
        let caller = self.calls.get(&call).and_then(|entry| entry.leg(side.other()).browser()).map(|b| b.sign_in);
        let credentials = caller
            .and_then(|sign_in| self.clients.get(sign_in))
            .and_then(|sign_in| sign_in.identity.sip_credentials.clone())
            .map(Into::into);
        let Some(sip) = self.sip_of(call, side) else { return };
        let (Some(target), Some(negotiator)) = (sip.target.as_mut(), sip.negotiator.as_mut()) else { return };
        let credentials: Option<Credentials> = credentials.filter(|_| target.is_proxy);
        let (sdp, pending) = negotiator.offer();
        sip.pending = Some(pending);
        let transport = if target.tcp { Transport::Tcp } else { Transport::Udp };
        let (request_uri, addresses) = (target.request_uri.clone(), std::mem::take(&mut target.addresses));
        let from = routing::address(&from_party.number, &domain)
            .map(|uri| NameAddr::new(uri).with_display_name(from_party.display_name.unwrap_or_default()));
        let mut addresses = addresses.into_iter();
        let invited = from.and_then(|from| {
            addresses.find_map(|address| {
                let destination = Destination { transport, address };
                let mut invite = Invite::new(destination, request_uri.clone(), from.clone(), sdp.clone());
                invite.credentials = credentials.clone();
                self.sip.invite(now, invite).ok().map(|dialog| (dialog, address))
            })
        });
        let Some((dialog, invited)) = invited else {
            return self.with_call(now, call, |call| call.handle_left(side, EndReason::Unreachable));
        };
        let Some(leg) = self.calls.get_mut(&call).map(|entry| entry.leg_mut(side)) else { return };
        self.dialogs.insert(dialog, leg.id);
        if let Some(sip) = leg.sip_mut() {
            sip.dialog = Some(dialog);
            if let Some(target) = sip.target.as_mut() {
                target.addresses = addresses.collect();
                target.invited = Some(invited);
            }
        }
    }

    /// Tries the next address of a host that didn't answer, or was too busy to (RFC 3263 section 4.3). Says whether there
    /// is one.
    pub(super) fn try_next_address(&mut self, now: Instant, call: CallId, side: Side) -> bool {
        let calling = self.phase_of(call) == Some(CallPhase::Calling);
        let target = self.sip_of(call, side).and_then(|sip| sip.target.as_ref());
        let more = calling && target.is_some_and(|target| !target.addresses.is_empty());
        if more {
            self.send_invite(now, call, side);
        }
        more
    }

    /// The peer answered our offer, early or finally. Says whether that agreed on something.
    pub(super) fn take_answer(&mut self, now: Instant, call: CallId, side: Side, body: &[u8], is_final: bool) -> bool {
        let Some(sip) = self.sip_of(call, side) else { return false };
        let Some(negotiator) = sip.negotiator.as_mut() else { return false };
        let agreed = match sip.pending.take() {
            Some(pending) if is_final => negotiator.accept_answer(pending, body),
            Some(pending) => {
                let agreed = negotiator.early_answer(&pending, body);
                sip.pending = Some(pending);
                agreed
            }
            None => return false,
        };
        let we_hold = negotiator.direction() != Direction::SendRecv;
        let Ok(agreed) = agreed else { return false };
        let holds = agreed.remote_hold;
        self.apply_sip_agreement(now, call, side, agreed);
        // Who is held and answers `inactive` doesn't hold us by that.
        if !we_hold {
            self.note_remote_hold(now, call, side, holds);
        }
        true
    }

    /// The peer's latest description holds us, or not. Only a change is told.
    fn note_remote_hold(&mut self, now: Instant, call: CallId, side: Side, holds: bool) {
        let Some(sip) = self.sip_of(call, side) else { return };
        if std::mem::replace(&mut sip.remote_hold, holds) != holds {
            self.with_call(now, call, |call| {
                call.handle_hold(side, holds);
            });
        }
    }

    /// The ACK to a 2xx of ours, which brings the answer where the 2xx had the offer.
    pub(super) fn on_acknowledged(&mut self, now: Instant, call: CallId, side: Side, body: &[u8]) {
        if !self.sip_of(call, side).is_some_and(|sip| std::mem::take(&mut sip.answer_in_ack)) {
            return;
        }
        let agreed = self.take_answer(now, call, side, body, true);
        if !agreed && self.calls.get(&call).is_some_and(|entry| entry.leg(side).audio.is_none()) {
            return self.with_call(now, call, |call| call.handle_left(side, EndReason::NotAcceptable));
        }
        self.reinvite_if_wanted(now, call, side);
    }

    pub(super) fn apply_sip_agreement(&mut self, now: Instant, call: CallId, side: Side, agreed: AgreedSip) {
        let Some(leg) = self.calls.get_mut(&call).map(|entry| entry.leg_mut(side)) else { return };
        let id = leg.id;
        leg.audio = Some(agreed.audio);
        // What is still being looked up belongs to an earlier agreement.
        if let Some(earlier) = leg.sip_mut().and_then(|sip| sip.media_address.take()) {
            self.requests.close(earlier);
        }
        match agreed.remote {
            RemoteMedia::Address { rtp, rtcp } => {
                self.media_command(call, MediaCommand::SetPlainRemote { leg: id, rtp, rtcp });
            }
            RemoteMedia::Named { host, rtp_port, rtcp_port } => {
                let pending = Pending::MediaAddress { call, side, rtp_port, rtcp_port };
                let id = self.requests.open(now, pending);
                if let Some(sip) = self.sip_of(call, side) {
                    sip.media_address = Some(id);
                }
                self.events.push_back(GatewayEvent::Request { id, request: Request::Resolve { host } });
            }
            // There is nothing to send to, and the direction says so too.
            RemoteMedia::Nowhere => {}
        }
        self.apply_audio(call, side);
    }

    /// The peer's media are at a host name (RFC 8866 section 5.7), which has been looked up. Without an address its
    /// packets have to come first.
    pub(super) fn on_media_address(&mut self, call: CallId, side: Side, rtp: Option<SocketAddr>, rtcp_port: u16) {
        let Some(leg) = self.calls.get_mut(&call).map(|entry| entry.leg_mut(side)) else { return };
        if let Some(sip) = leg.sip_mut() {
            sip.media_address = None;
        }
        let leg = leg.id;
        if let Some(rtp) = rtp {
            let rtcp = SocketAddr::new(rtp.ip(), rtcp_port);
            self.media_command(call, MediaCommand::SetPlainRemote { leg, rtp, rtcp });
        }
    }

    // Inbound: answer the offer, ring the browser

    fn take_offer(&mut self, now: Instant, call: CallId, side: Side) {
        let Some(sip) = self.sip_of(call, side) else { return };
        let Some(negotiator) = sip.negotiator.as_mut() else { return };
        if let Some(offer) = sip.remote_offer.take() {
            match negotiator.answer(offer.as_ref()) {
                Ok((answer, agreed)) => {
                    sip.local_answer = Some(answer);
                    sip.remote_hold = agreed.remote_hold;
                    self.apply_sip_agreement(now, call, side, agreed);
                }
                Err(_) => {
                    return self.with_call(now, call, |call| call.handle_left(side, EndReason::NotAcceptable));
                }
            }
        } else {
            // No offer in the INVITE: ours goes out with the 200 (RFC 3261 section 13.2.1).
            let (offer, pending) = negotiator.offer();
            sip.local_answer = Some(offer);
            sip.pending = Some(pending);
            sip.answer_in_ack = true;
        }
        self.offer_to_browser(now, call);
    }

    pub(super) fn ring_sip(&mut self, now: Instant, call: CallId, side: Side) {
        if let Some(dialog) = self.dialog_of(call, side) {
            // A dialog that is gone is reported by an event of its own.
            let _ = self.sip.ring(now, dialog, RINGING, None);
        }
    }

    pub(super) fn answer_sip(&mut self, now: Instant, call: CallId, side: Side) {
        let Some(sip) = self.sip_of(call, side) else { return };
        let (Some(dialog), Some(body)) = (sip.dialog, sip.local_answer.take()) else { return };
        let _ = self.sip.answer(now, dialog, body.into());
    }

    // Within the call

    /// Tells a SIP peer that the far side holds it (RFC 3264 section 8.4).
    pub(super) fn hold_sip(&mut self, now: Instant, call: CallId, side: Side, held: bool) {
        let Some(sip) = self.sip_of(call, side) else { return };
        let Some(negotiator) = sip.negotiator.as_mut() else { return };
        negotiator.set_direction(if held { Direction::SendOnly } else { Direction::SendRecv });
        self.reinvite(now, call, side);
    }

    /// Finds out whether a silent peer is still there: a session refresh ends the dialog if it isn't.
    pub(super) fn probe_sip(&mut self, now: Instant, call: CallId, side: Side) {
        if self.phase_of(call) == Some(CallPhase::Answered) {
            self.reinvite(now, call, side);
        }
    }

    fn reinvite(&mut self, now: Instant, call: CallId, side: Side) {
        let Some(sip) = self.sip_of(call, side) else { return };
        let (Some(dialog), Some(negotiator)) = (sip.dialog, sip.negotiator.as_mut()) else { return };
        if sip.pending.is_some() {
            // The offer that is under way is overtaken; this one follows when it is answered.
            sip.reinvite_again = true;
            return;
        }
        let (offer, pending) = negotiator.offer();
        sip.pending = Some(pending);
        if self.sip.reinvite(now, dialog, offer.into()).is_err()
            && let Some(sip) = self.sip_of(call, side)
        {
            sip.pending = None;
        }
    }

    pub(super) fn on_reinvite_answered(&mut self, now: Instant, call: CallId, side: Side, body: &[u8]) {
        self.take_answer(now, call, side, body, true);
        self.reinvite_if_wanted(now, call, side);
    }

    /// The old agreement stands (RFC 3261 section 14.1).
    pub(super) fn on_reinvite_failed(&mut self, now: Instant, call: CallId, side: Side, status: u16) {
        let Some(sip) = self.sip_of(call, side) else { return };
        sip.pending = None;
        if status == REQUEST_PENDING {
            // The peer's offer, which comes next, makes ours out of date: a new one follows it.
            sip.reinvite_again = true;
        } else {
            self.reinvite_if_wanted(now, call, side);
        }
    }

    fn reinvite_if_wanted(&mut self, now: Instant, call: CallId, side: Side) {
        if self.sip_of(call, side).is_some_and(|sip| std::mem::take(&mut sip.reinvite_again)) {
            self.reinvite(now, call, side);
        }
    }

    /// The peer's re-INVITE: hold, another address, other codecs.
    pub(super) fn on_reinvited(&mut self, now: Instant, call: CallId, side: Side, body: &[u8]) {
        self.answer_reinvite(now, call, side, body);
        self.reinvite_if_wanted(now, call, side);
    }

    fn answer_reinvite(&mut self, now: Instant, call: CallId, side: Side, body: &[u8]) {
        let Some(sip) = self.sip_of(call, side) else { return };
        let (Some(dialog), Some(negotiator)) = (sip.dialog, sip.negotiator.as_mut()) else { return };
        if body.is_empty() {
            let (offer, pending) = negotiator.offer();
            sip.pending = Some(pending);
            sip.answer_in_ack = true;
            let _ = self.sip.answer_reinvite(now, dialog, 200, offer.into());
            return;
        }
        let Ok((answer, agreed)) = negotiator.answer(body) else {
            let _ = self.sip.answer_reinvite(now, dialog, NOT_ACCEPTABLE_HERE, Default::default());
            return;
        };
        let holds = agreed.remote_hold;
        let _ = self.sip.answer_reinvite(now, dialog, 200, answer.into());
        self.apply_sip_agreement(now, call, side, agreed);
        self.note_remote_hold(now, call, side, holds);
    }

    // The end

    /// Ends the dialog in the way that fits its state; nothing when the peer ended it.
    pub(super) fn end_sip(&mut self, now: Instant, call: CallId, side: Side, ending: Ending) {
        let answered = self.calls.get(&call).is_some_and(|entry| entry.call.answered_at().is_some());
        let Some(sip) = self.sip_of(call, side) else { return };
        let outbound = sip.outbound;
        let Some(dialog) = sip.dialog.take() else { return };
        self.dialogs.remove(&dialog);
        let reason = Reason {
            protocol: "Q.850".to_owned(),
            cause: Some(ending.reason.q850_cause().into()),
            text: Some(ending.reason.text().to_owned()),
        };
        if answered && self.sip.bye(now, dialog, Some(reason.clone())).is_ok() {
            return;
        }
        // Also when it was answered, but the 200 waits for a PRACK (RFC 3262 section 3): then there is nothing to say BYE
        // to.
        let _ = if outbound {
            self.sip.cancel(now, dialog, Some(reason))
        } else {
            let mut headers = Headers::default();
            headers.push(HeaderName::Reason, reason.to_string());
            self.sip.reject(now, dialog, ending.reason.sip_status(), &headers)
        };
    }
}
