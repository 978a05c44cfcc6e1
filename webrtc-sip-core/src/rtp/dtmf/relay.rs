//! Events passed on under another payload type, clock and source.

use std::time::Instant;

use crate::io::{DropReason, PacketBuf};
use crate::rtp::source::OutgoingSource;
use crate::rtp::{RtpHeader, RtpPacket};

use super::{MAX_SEGMENT, Progress, Step, TelephoneEvent, from_units};

/// Passes the event packets of one leg on to the other, one for one.
#[derive(Clone, Debug)]
pub struct DtmfRelay {
    payload_type: u8,
    clock_rate_hz: u32,
    current: Option<Current>,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    progress: Progress,
    /// Sequence number of the newest packet.
    sequence: u16,
    /// When it began, and our timestamp of that moment.
    started: Instant,
    timestamp: u32,
}

impl DtmfRelay {
    /// A relay to a negotiated telephone-event format.
    pub fn new(payload_type: u8, clock_rate_hz: u32) -> Self {
        DtmfRelay { payload_type, clock_rate_hz, current: None }
    }

    /// Makes `packet`, an event packet whose clock is `clock_rate_hz`, one of ours in place. The sender's three end
    /// packets become three of ours; duplicates and late packets are dropped.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        packet: &mut PacketBuf<'_>,
        clock_rate_hz: u32,
        source: &mut OutgoingSource,
    ) -> Result<(), DropReason> {
        let parsed = RtpPacket::parse(packet.as_slice()).map_err(|_| DropReason::Malformed)?;
        let event = TelephoneEvent::parse(parsed.payload).ok_or(DropReason::Malformed)?;
        let header = parsed.header;
        let begun = self.place(now, &header, &event, source)?;
        let Some(current) = &self.current else { return Err(DropReason::OutOfState) };

        let units = current.progress.total() * u64::from(self.clock_rate_hz) / u64::from(clock_rate_hz.max(1));
        // Our clock may be faster, so that we need segments where the sender needs none (section 2.5.1.3).
        let segments = units.saturating_sub(1) / u64::from(MAX_SEGMENT);
        let earlier = segments * u64::from(MAX_SEGMENT);
        let ours = TelephoneEvent { duration: (units - earlier) as u16, ..event };
        let at = current.started + from_units(earlier, self.clock_rate_hz);
        let timestamp = current.timestamp.wrapping_add(earlier as u32);
        let header = source.next_header(at, self.payload_type, begun, timestamp);
        header.write_packet(&ours.to_bytes(), packet).map_err(|_| DropReason::NoRoom)
    }

    /// Takes note of a packet, and says whether it begins an event.
    fn place(
        &mut self,
        now: Instant,
        header: &RtpHeader,
        event: &TelephoneEvent,
        source: &OutgoingSource,
    ) -> Result<bool, DropReason> {
        if let Some(current) = &mut self.current {
            if header.ssrc == current.progress.ssrc && header.sequence == current.sequence {
                return Err(DropReason::Replayed);
            }
            let ended = current.progress.end;
            match current.progress.update(header.ssrc, header.timestamp, event) {
                Step::New => {}
                Step::Grown => {
                    current.sequence = header.sequence;
                    return Ok(false);
                }
                // The repetitions of the end, which protect it.
                Step::Old if ended && event.end && header.timestamp == current.progress.timestamp => {
                    current.sequence = header.sequence;
                    return Ok(false);
                }
                Step::Old => return Err(DropReason::TooLate),
            }
        }
        self.current = Some(Current {
            progress: Progress::new(header.ssrc, header.timestamp, event),
            sequence: header.sequence,
            started: now,
            timestamp: source.next_timestamp(now, self.clock_rate_hz),
        });
        Ok(true)
    }
}
