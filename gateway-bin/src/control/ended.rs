//! What is remembered of calls that ended, for the metrics page.

use webrtc_sip_core::call::EndReason;
use webrtc_sip_core::gateway::CallRecord;
use webrtc_sip_core::media::LegStats;

/// Jitter above these is counted, in milliseconds.
pub(crate) const JITTER_STEPS_MS: [u32; 3] = [100, 300, 500];

/// Totals over all calls that ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct EndedCalls {
    /// How many ended for each reason, in the order of [`EndReason::ALL`].
    pub(crate) by_reason: [u64; EndReason::ALL.len()],
    /// RTP packets that never arrived.
    pub(crate) packets_lost: u64,
    /// RTP packets that were dropped, for whatever reason.
    pub(crate) packets_dropped: u64,
    /// Legs whose last jitter, as we saw it, was above each of [`JITTER_STEPS_MS`].
    pub(crate) gateway_jitter: [u64; 3],
    /// The same as the far side reported it.
    pub(crate) client_jitter: [u64; 3],
}

impl EndedCalls {
    pub(super) fn add(&mut self, record: &CallRecord) {
        if let Some(index) = EndReason::ALL.iter().position(|reason| *reason == record.reason) {
            self.by_reason[index] += 1;
        }
        record.legs.iter().flatten().for_each(|leg| self.add_leg(leg));
    }

    fn add_leg(&mut self, leg: &LegStats) {
        self.packets_lost += leg.packets_lost;
        self.packets_dropped += leg.dropped;
        for (index, step) in JITTER_STEPS_MS.iter().enumerate() {
            self.gateway_jitter[index] += u64::from(leg.jitter_us > step * 1000);
            self.client_jitter[index] += u64::from(leg.remote_jitter_us > step * 1000);
        }
    }
}
