//! The media plane of one worker.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use crate::io::{DropCounters, PacketBuf, SocketId, Transmit};

use super::{MediaCommand, MediaEvent};

/// The media plane of one worker: every leg that is pinned to it.
#[derive(Debug, Default)]
pub struct MediaShard {
    events: VecDeque<MediaEvent>,
    drops: DropCounters,
}

impl MediaShard {
    /// Wall-clock time for RTCP sender reports (NTP timestamps, RFC 3550 section 4).
    pub fn handle_wall_clock(&mut self, now: Instant, wall_clock: SystemTime) {
        let _ = (now, wall_clock);
    }

    /// An instruction of the control plane.
    pub fn handle_command(&mut self, now: Instant, command: MediaCommand) {
        let _ = (now, command);
    }

    /// A datagram from one of this shard's sockets. When it can be forwarded at once it is rewritten in place and the
    /// route is returned; send it before handling the next.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        socket: SocketId,
        source: SocketAddr,
        packet: &mut PacketBuf<'_>,
    ) -> Option<Transmit> {
        let _ = (now, socket, source, packet);
        None
    }

    /// Call when `poll_timeout` is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// The next packet to send, written into `out`, which needs headroom 0 and 1,500 bytes.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut PacketBuf<'_>) -> Option<Transmit> {
        let _ = (now, out);
        None
    }

    /// The next report for the control plane.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.events.pop_front()
    }

    /// When `handle_timeout` is due; on a 5 ms grid while there is audio to play out.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// What was dropped and why.
    pub fn drops(&self) -> &DropCounters {
        &self.drops
    }
}
