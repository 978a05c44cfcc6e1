//! What the control plane knows of a call and its two legs.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::call::{Call, Ending, Side};
use crate::ids::{DialogId, LegId, RequestId, ShardId, SignInId};
use crate::media::{AudioConfig, LegSnapshot, LegStats};
use crate::sdp::{PendingSipOffer, PendingWebRtcOffer, SipNegotiator, WebRtcNegotiator};
use crate::sip::Uri;

use super::MediaPorts;

/// A call with its legs.
#[derive(Debug)]
pub(super) struct CallEntry {
    pub(super) call: Call,
    /// Both legs' media live here.
    pub(super) shard: ShardId,
    pub(super) legs: [Leg; 2],
    /// Who calls whom, as shown to the other side.
    pub(super) from: Party,
    pub(super) to: Party,
    /// Whether the legs have been joined.
    pub(super) bridged: bool,
    /// Whether it counts among the calls with audio.
    pub(super) audio_counted: bool,
    /// Whether it counts among the transcoding calls.
    pub(super) transcoding: bool,
    /// Set when it is over and only its media are left to be freed.
    pub(super) ended: Option<(Ending, Instant)>,
}

impl CallEntry {
    pub(super) fn new(call: Call, shard: ShardId, legs: [Leg; 2], from: Party, to: Party) -> Self {
        CallEntry { call, shard, legs, from, to, bridged: false, audio_counted: false, transcoding: false, ended: None }
    }

    pub(super) fn leg(&self, side: Side) -> &Leg {
        &self.legs[side as usize]
    }

    pub(super) fn leg_mut(&mut self, side: Side) -> &mut Leg {
        &mut self.legs[side as usize]
    }
}

/// One side of a call as the other is told of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Party {
    /// User or number.
    pub(super) number: String,
    pub(super) display_name: Option<String>,
}

/// One leg.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) id: LegId,
    pub(super) kind: LegKind,
    /// What the last offer/answer agreed on, before anybody's hold.
    pub(super) audio: Option<AudioConfig>,
    /// Its media exist on the shard.
    pub(super) has_media: bool,
    /// The last figures of its media.
    pub(super) stats: Option<LegStats>,
}

#[derive(Debug)]
pub(super) enum LegKind {
    Browser(Box<BrowserLeg>),
    Sip(Box<SipLeg>),
}

/// The signalling of a leg towards a browser.
#[derive(Debug)]
pub(super) struct BrowserLeg {
    pub(super) sign_in: SignInId,
    pub(super) negotiator: WebRtcNegotiator,
    /// Our offer, until the browser answers it.
    pub(super) pending: Option<PendingWebRtcOffer>,
    /// The browser's last offer held us.
    pub(super) sdp_hold: bool,
}

/// The signalling of a leg towards a SIP peer.
#[derive(Debug, Default)]
pub(super) struct SipLeg {
    pub(super) dialog: Option<DialogId>,
    /// Whether we sent the INVITE.
    pub(super) outbound: bool,
    /// Where the INVITE goes.
    pub(super) target: Option<OutboundTarget>,
    pub(super) ports: Option<MediaPorts>,
    pub(super) negotiator: Option<SipNegotiator>,
    /// Our offer, until the peer answers it.
    pub(super) pending: Option<PendingSipOffer>,
    /// The peer's offer, until there are ports to answer it with.
    pub(super) remote_offer: Option<Bytes>,
    /// The answer to it, until the call is answered.
    pub(super) local_answer: Option<String>,
    /// That offer went in a 200, so its answer comes in the ACK.
    pub(super) answer_in_ack: bool,
    /// The peer holds us.
    pub(super) remote_hold: bool,
    /// The look-up of the host that its media are at.
    pub(super) media_address: Option<RequestId>,
    /// What its media go on with as soon as there are ports, when another instance had it before.
    pub(super) restoring: Option<Box<LegSnapshot>>,
    /// An offer is due as soon as the pending one is answered.
    pub(super) reinvite_again: bool,
}

#[derive(Debug)]
pub(super) struct OutboundTarget {
    pub(super) request_uri: Uri,
    pub(super) tcp: bool,
    /// Only the proxy is shown the user's credentials there.
    pub(super) is_proxy: bool,
    /// Those that haven't been tried, in order.
    pub(super) addresses: VecDeque<SocketAddr>,
    /// Where the INVITE went last.
    pub(super) invited: Option<SocketAddr>,
}

impl Leg {
    pub(super) fn browser(&self) -> Option<&BrowserLeg> {
        match &self.kind {
            LegKind::Browser(leg) => Some(leg),
            LegKind::Sip(_) => None,
        }
    }

    pub(super) fn browser_mut(&mut self) -> Option<&mut BrowserLeg> {
        match &mut self.kind {
            LegKind::Browser(leg) => Some(leg),
            LegKind::Sip(_) => None,
        }
    }

    pub(super) fn sip(&self) -> Option<&SipLeg> {
        match &self.kind {
            LegKind::Sip(leg) => Some(leg),
            LegKind::Browser(_) => None,
        }
    }

    pub(super) fn sip_mut(&mut self) -> Option<&mut SipLeg> {
        match &mut self.kind {
            LegKind::Sip(leg) => Some(leg),
            LegKind::Browser(_) => None,
        }
    }
}
