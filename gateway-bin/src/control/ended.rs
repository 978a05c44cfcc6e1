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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use webrtc_sip_core::ids::CallId;

    use super::*;

    fn record(legs: [Option<LegStats>; 2]) -> CallRecord {
        CallRecord {
            call: CallId(1),
            from: "1001".to_owned(),
            to: "1002".to_owned(),
            duration: Duration::ZERO,
            talk_time: None,
            reason: EndReason::Busy,
            legs,
        }
    }

    #[test]
    fn packets_of_both_legs_and_jitter_above_each_step() {
        let mut ended = EndedCalls::default();
        for ms in [99, 100, 101, 301, 501] {
            let heard = LegStats { packets_lost: 2, dropped: 1, jitter_us: ms * 1000, ..LegStats::default() };
            ended.add(&record([Some(heard), None]));
        }
        assert_eq!((ended.gateway_jitter, ended.client_jitter), ([3, 2, 1], [0; 3]));
        for ms in [301, 501] {
            let told = LegStats { packets_lost: 20, dropped: 10, remote_jitter_us: ms * 1000, ..LegStats::default() };
            ended.add(&record([Some(LegStats::default()), Some(told)]));
        }
        assert_eq!((ended.gateway_jitter, ended.client_jitter), ([3, 2, 1], [2, 2, 1]));
        assert_eq!((ended.packets_lost, ended.packets_dropped), (50, 25));
        let busy = EndReason::ALL.iter().position(|reason| *reason == EndReason::Busy);
        assert_eq!(busy.map(|index| ended.by_reason[index]), Some(7));
        assert_eq!(ended.by_reason.iter().sum::<u64>(), 7);
    }
}
