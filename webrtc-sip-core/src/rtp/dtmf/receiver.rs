//! From packets to presses and releases.

use std::time::{Duration, Instant};

use crate::io::DropReason;
use crate::rtp::RtpHeader;

use super::{LAST_KEY, Progress, Step, TelephoneEvent, from_units};

/// An event whose packets stop without an end is over after this; senders repeat at least every 50 ms (section 2.5.1.2
/// leaves the interval open).
const RELEASE_AFTER: Duration = Duration::from_millis(300);
/// A packet brings at most a release and a press, or a press and a release.
const MAX_CHANGES: usize = 3;

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtmfChange {
    /// It was pressed.
    Pressed {
        /// Which key, 0 to 15.
        event: u8,
    },
    /// It was released.
    Released {
        /// Which key, 0 to 15.
        event: u8,
        /// How long it was held, as far as the packets tell.
        duration: Duration,
    },
}

/// Turns the event packets of one leg into exactly one press and one release for each key, whatever is lost, repeated
/// or late.
#[derive(Clone, Debug, Default)]
pub struct DtmfReceiver {
    current: Option<Progress>,
    clock_rate_hz: u32,
    /// When the key counts as released; none when none is pressed.
    release_at: Option<Instant>,
    changes: [Option<DtmfChange>; MAX_CHANGES],
}

impl DtmfReceiver {
    /// Takes in a packet of a telephone-event payload type with this clock. Drain [`DtmfReceiver::poll_change`] after it.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        header: &RtpHeader,
        payload: &[u8],
        clock_rate_hz: u32,
    ) -> Result<(), DropReason> {
        let event = TelephoneEvent::parse(payload).ok_or(DropReason::Malformed)?;
        if event.event > LAST_KEY {
            return Err(DropReason::UnknownPayloadType);
        }
        let step = match &mut self.current {
            Some(current) => current.update(header.ssrc, header.timestamp, &event),
            None => Step::New,
        };
        if step == Step::New {
            self.release();
            self.current = Some(Progress::new(header.ssrc, header.timestamp, &event));
            self.clock_rate_hz = clock_rate_hz;
            self.push(DtmfChange::Pressed { event: event.event });
        }
        if step != Step::Old {
            self.release_at = Some(now + RELEASE_AFTER);
            if event.end {
                self.release();
            }
        }
        Ok(())
    }

    /// Releases a key whose end was lost.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.release_at.is_some_and(|at| at <= now) {
            self.release();
        }
    }

    /// When [`DtmfReceiver::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.release_at
    }

    /// The next change.
    pub fn poll_change(&mut self) -> Option<DtmfChange> {
        let first = self.changes[0].take();
        self.changes.rotate_left(1);
        first
    }

    /// The key goes on being the current one, so that its late packets are known.
    fn release(&mut self) {
        if let (Some(current), Some(_)) = (&mut self.current, self.release_at.take()) {
            current.end = true;
            let change = DtmfChange::Released {
                event: current.event,
                duration: from_units(current.total(), self.clock_rate_hz),
            };
            self.push(change);
        }
    }

    fn push(&mut self, change: DtmfChange) {
        if let Some(free) = self.changes.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(change);
        }
    }
}
