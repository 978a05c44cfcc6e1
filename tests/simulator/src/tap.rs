//! Listens in on the wire for the one mistake that encryption doesn't forgive.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use webrtc_sip_core::rtp::{is_rtcp, srtp::SrtpProfile};

/// Remembers every SRTP and SRTCP packet that was sent to a browser, and notices when an index is used twice for
/// different packets of one synchronisation source (RFC 3711 section 9.1: a two-time pad).
#[derive(Debug, Default)]
pub struct SrtpTap {
    /// By destination, SSRC, index, and whether it is RTCP: a hash of the packet.
    seen: BTreeMap<(SocketAddr, u32, u32, bool), u64>,
    reused: Vec<String>,
}

impl SrtpTap {
    pub(crate) fn watch(&mut self, to: SocketAddr, packet: &[u8], profile: Option<SrtpProfile>) {
        // RFC 7983: 128 to 191 is RTP or RTCP.
        if !packet.first().is_some_and(|first| (128..192).contains(first)) || packet.len() < 12 {
            return;
        }
        let word = |at: usize| packet.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        let rtcp = is_rtcp(packet);
        let (ssrc, index) = if rtcp {
            // The index stands before the tag, and after it for AEAD (RFC 3711 section 3.4, RFC 7714 section 9.1).
            let behind = if profile == Some(SrtpProfile::Aes128CmSha1_80) { 10 } else { 0 };
            let Some(at) = packet.len().checked_sub(behind + 4) else { return };
            (word(4), word(at))
        } else {
            (word(8), word(0).map(|first| first & 0xffff))
        };
        let (Some(ssrc), Some(index)) = (ssrc, index) else { return };
        let hash =
            packet.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
        let before = self.seen.insert((to, ssrc, index, rtcp), hash);
        if before.is_some_and(|before| before != hash) {
            self.reused.push(format!("{to} ssrc {ssrc:08x} index {index:08x} rtcp {rtcp}"));
        }
    }

    /// Every index that was used for two different packets. A run must be shorter than 65,536 packets a source, since
    /// the roll-over counter can't be seen on the wire.
    pub fn reused(&self) -> &[String] {
        &self.reused
    }

    /// How many different synchronisation sources sent RTP to this address.
    pub fn sources_towards(&self, to: SocketAddr) -> usize {
        let mut sources: Vec<u32> =
            self.seen.keys().filter(|(at, _, _, rtcp)| *at == to && !rtcp).map(|(_, ssrc, ..)| *ssrc).collect();
        sources.dedup();
        sources.len()
    }
}
