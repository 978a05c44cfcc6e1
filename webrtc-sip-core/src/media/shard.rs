//! The media plane of one worker.

mod commands;
mod digits;
mod receive;
mod reports;
mod send;
mod snapshots;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use slab::Slab;

use crate::crypto::CryptoProvider;
use crate::ids::LegId;
use crate::io::{DropCounters, DropReason, PacketBuf, SocketId, Transmit};
use crate::rng::{Rng, Seed};
use crate::rtp::rtcp::NtpClock;
use crate::stun;
use crate::timer::TimerQueue;
use crate::transport::webrtc::{DtlsContext, WebRtcEvent, WebRtcFailure};

use super::config::{ShardConfig, ShardError};
use super::demux::{Demux, LegKey};
use super::leg::{Leg, LegTransport, Srtp};
use super::transcoder::GRID;
use super::{MediaCommand, MediaEvent, MediaFailure};

/// An address of the demultiplexer isn't given to another leg while its owner was heard this recently: a NAT reuses
/// ports, but not that fast, and a browser must not take another's address by pretending to send from it.
const SOURCE_IS_HELD: Duration = Duration::from_secs(5);
/// Sources of one leg in the demultiplexer; the oldest goes first.
const MAX_SOURCES_PER_LEG: usize = 64;
/// User name fragments of one leg: the one in force, and those of restarts that aren't complete.
const MAX_UFRAGS_PER_LEG: usize = 3;

/// No transport is asked more often than this, whatever it says.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);

/// What a leg's timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum LegTimer {
    /// ICE and DTLS.
    Transport,
    /// Periodic figures, and the watch over silence.
    Stats,
    /// The next audio packet that we make.
    Playout,
    /// The next packet of a key that we press.
    Digit,
    /// The end of a key whose last packets were lost.
    Release,
    /// The next RTCP report.
    Report,
}

/// The media plane of one worker: every leg that is pinned to it.
pub struct MediaShard {
    config: ShardConfig,
    dtls: Arc<DtlsContext>,
    crypto: CryptoProvider,
    rng: Rng,
    now: Instant,
    /// Where the 5 ms grid begins on which all deadlines lie, so that a worker wakes up at most 200 times a
    /// second for all its calls.
    origin: Instant,
    ntp: NtpClock,
    legs: Slab<Leg>,
    by_id: HashMap<LegId, LegKey>,
    demux: Demux,
    timers: TimerQueue<(LegKey, LegTimer)>,
    datagrams: VecDeque<(SocketId, SocketAddr, Vec<u8>)>,
    /// Legs with a packet that is due.
    due: VecDeque<(LegKey, LegTimer)>,
    events: VecDeque<MediaEvent>,
    drops: DropCounters,
    rtp_packets: u64,
    missed_ms: u64,
}

/// Gauges and counters of a shard, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardStats {
    /// Legs now.
    pub legs: usize,
    /// Bridges now: pairs of legs.
    pub bridges: usize,
    /// Bridges now in which at least one direction is transcoded.
    pub transcoding_bridges: usize,
    /// RTP packets taken in since the start.
    pub packets_received: u64,
    /// Audio that transcoders left out because this shard was held up, in milliseconds since the start.
    pub missed_ms: u64,
    /// Table entries, timers and queued packets that belong to legs. 0 without legs.
    pub held: usize,
}

impl std::fmt::Debug for MediaShard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MediaShard").field("shard", &self.config.shard).field("legs", &self.legs.len()).finish()
    }
}

impl MediaShard {
    /// A shard without legs.
    pub fn new(now: Instant, config: ShardConfig, crypto: CryptoProvider, seed: &Seed) -> Result<Self, ShardError> {
        let dtls = DtlsContext::new(&config.certificate, config.dtls_timeout).map_err(|_| ShardError::DtlsTimeout)?;
        let demux = Demux::new(&config.webrtc_sockets);
        Ok(MediaShard {
            rng: Rng::split(seed, "media"),
            config: config.with_waits_cut(),
            dtls: Arc::new(dtls),
            crypto,
            now,
            origin: now,
            ntp: NtpClock::new(now, SystemTime::UNIX_EPOCH),
            legs: Slab::new(),
            by_id: HashMap::new(),
            demux,
            timers: TimerQueue::default(),
            datagrams: VecDeque::new(),
            due: VecDeque::new(),
            events: VecDeque::new(),
            drops: DropCounters::default(),
            rtp_packets: 0,
            missed_ms: 0,
        })
    }

    /// Wall-clock time for RTCP sender reports (NTP timestamps, RFC 3550 section 4).
    pub fn handle_wall_clock(&mut self, now: Instant, wall_clock: SystemTime) {
        self.ntp = NtpClock::new(self.advance(now), wall_clock);
    }

    /// An instruction of the control plane.
    pub fn handle_command(&mut self, now: Instant, command: MediaCommand) {
        let now = self.advance(now);
        self.run_command(now, command);
    }

    /// A datagram from one of this shard's sockets. When it can be forwarded at once it is rewritten in place and the
    /// route is returned; send it before handling the next. The slot needs 32 bytes of tailroom for the
    /// authentication tag.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        socket: SocketId,
        source: SocketAddr,
        packet: &mut PacketBuf<'_>,
    ) -> Option<Transmit> {
        let now = self.advance(now);
        match self.receive(now, socket, source, packet) {
            Ok(destination) => destination.map(|(socket, destination)| Transmit::Datagram { socket, destination }),
            Err(reason) => {
                self.drops.count(reason);
                None
            }
        }
    }

    /// Call when `poll_timeout` is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        while let Some((key, timer)) = self.timers.pop_due(now) {
            match timer {
                LegTimer::Transport => self.transport_timeout(now, key),
                LegTimer::Stats => self.stats_timeout(now, key),
                LegTimer::Release => self.release_digit(now, key),
                LegTimer::Playout | LegTimer::Digit | LegTimer::Report => self.due.push_back((key, timer)),
            }
        }
    }

    /// The next packet to send, written into `out`, which needs headroom 0 and 1,500 bytes.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut PacketBuf<'_>) -> Option<Transmit> {
        let now = self.advance(now);
        while let Some((socket, destination, datagram)) = self.datagrams.pop_front() {
            out.truncate(0);
            match out.extend_from_slice(&datagram) {
                Ok(()) => return Some(Transmit::Datagram { socket, destination }),
                Err(_) => self.drops.count(DropReason::NoRoom),
            }
        }
        while let Some((key, timer)) = self.due.pop_front() {
            out.truncate(0);
            match self.write_due(now, key, timer, out) {
                Ok(Some((socket, destination))) => return Some(Transmit::Datagram { socket, destination }),
                Ok(None) => {}
                Err(reason) => self.drops.count(reason),
            }
        }
        None
    }

    /// The next report for the control plane.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.events.pop_front()
    }

    /// When `handle_timeout` is due: on a grid of 5 ms that all legs share, or at once while packets wait to be polled.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.datagrams.is_empty() && self.due.is_empty() { self.timers.next_deadline() } else { Some(self.now) }
    }

    /// What was dropped and why.
    pub fn drops(&self) -> &DropCounters {
        &self.drops
    }

    /// Gauges and counters. Costs a walk over the legs.
    pub fn stats(&self) -> ShardStats {
        let bridged = self.legs.iter().filter(|(_, leg)| leg.far.is_some());
        let transcoding = bridged.clone().filter(|(key, leg)| {
            let far = leg.far.and_then(|far| Some((far, self.legs.get(far)?.stats.transcoding)));
            far.is_some_and(|(far, transcodes)| leg.stats.transcoding && (!transcodes || *key < far))
        });
        ShardStats {
            legs: self.legs.len(),
            bridges: bridged.count() / 2,
            transcoding_bridges: transcoding.count(),
            packets_received: self.rtp_packets,
            missed_ms: self.missed_ms,
            held: self.demux.entries() + self.timers.len() + self.due.len() + self.by_id.len(),
        }
    }

    fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// Sets a deadline to the first moment of the 5 ms grid that isn't before `at`, so that the deadlines of all legs
    /// share their wake-ups.
    fn set_timer(&mut self, key: LegKey, timer: LegTimer, at: Instant) {
        let past = at.saturating_duration_since(self.origin).as_nanos() % GRID.as_nanos();
        let at = if past == 0 { at } else { at + GRID - Duration::from_nanos(past as u64) };
        self.timers.set((key, timer), at);
    }

    fn emit(&mut self, event: MediaEvent) {
        // Only what comes by itself, again and again, may be left out; each of the others comes a few times in a leg's
        // life, or answers a command.
        let periodic = matches!(event, MediaEvent::Stats { .. } | MediaEvent::Dtmf { .. });
        if periodic && self.events.len() >= self.config.max_pending_events {
            self.drops.count(DropReason::LimitReached);
            return;
        }
        self.events.push_back(event);
    }

    fn queue_datagram(&mut self, (socket, destination): (SocketId, SocketAddr), datagram: Vec<u8>) {
        if self.datagrams.len() >= self.config.max_pending_datagrams {
            self.drops.count(DropReason::LimitReached);
        } else {
            self.datagrams.push_back((socket, destination, datagram));
        }
    }

    fn transport_timeout(&mut self, now: Instant, key: LegKey) {
        if let Some(Leg { transport: LegTransport::WebRtc(leg), .. }) = self.legs.get_mut(key) {
            leg.transport.handle_timeout(now);
            self.sync_webrtc(now, key);
        }
    }

    /// Takes over what a WebRTC transport has to say and to send. After everything that touches one.
    fn sync_webrtc(&mut self, now: Instant, key: LegKey) {
        loop {
            let Some(Leg { id, transport: LegTransport::WebRtc(leg), .. }) = self.legs.get_mut(key) else { return };
            let id = *id;
            match (leg.transport.keys(), &leg.srtp) {
                (Some(keys), None) => leg.srtp = Some(Srtp::new(keys, self.config.max_ssrcs_per_leg)),
                (None, Some(_)) => {
                    // A new association is under way, and will have keys under which nothing was sent.
                    leg.srtp = None;
                    leg.used_ssrcs.clear();
                }
                _ => {}
            }
            if let Some(event) = leg.transport.poll_event() {
                self.absorb_transport_event(now, key, id, event);
                continue;
            }
            if let Some((route, datagram)) = leg.transport.poll_transmit() {
                if let Some(transaction) = stun::peek::request_transaction(&datagram) {
                    self.demux.set_transaction(transaction, key);
                }
                match self.demux.resolve(route) {
                    Some(destination) => self.queue_datagram(destination, datagram),
                    None => self.drops.count(DropReason::UnknownSource),
                }
                continue;
            }
            leg.media_route = leg.transport.media_route().and_then(|route| self.demux.resolve(route));
            match leg.transport.poll_timeout() {
                Some(at) => self.set_timer(key, LegTimer::Transport, at.max(now + MIN_TIMEOUT)),
                None => drop(self.timers.cancel(&(key, LegTimer::Transport))),
            }
            return;
        }
    }

    fn absorb_transport_event(&mut self, now: Instant, key: LegKey, id: LegId, event: WebRtcEvent) {
        match event {
            WebRtcEvent::Source(route) => {
                if let Some((socket, source)) = self.demux.resolve(route) {
                    self.claim_source(now, key, socket, source);
                }
            }
            WebRtcEvent::Connected => {
                if let Some(leg) = self.legs.get_mut(key) {
                    leg.last_media = now;
                }
                self.emit(MediaEvent::Connected { leg: id });
            }
            WebRtcEvent::Disconnected => self.emit(MediaEvent::Disconnected { leg: id }),
            WebRtcEvent::Closed => self.emit(MediaEvent::Closed { leg: id }),
            WebRtcEvent::Failed(failure) => {
                let reason = match failure {
                    WebRtcFailure::Ice => MediaFailure::IceFailed,
                    WebRtcFailure::Fingerprint => MediaFailure::FingerprintMismatch,
                    _ => MediaFailure::DtlsFailed,
                };
                self.emit(MediaEvent::Failed { leg: id, reason });
            }
        }
    }

    /// Media from this source goes to this leg, unless another one that lives holds it.
    fn claim_source(&mut self, now: Instant, key: LegKey, socket: SocketId, source: SocketAddr) {
        let owner = self.demux.leg_of_source(socket, source).filter(|owner| *owner != key);
        let held = owner.and_then(|owner| self.legs.get(owner)).is_some_and(|owner| match &owner.transport {
            LegTransport::WebRtc(owner) => now.saturating_duration_since(owner.last_heard) < SOURCE_IS_HELD,
            LegTransport::Plain(_) => false,
        });
        if held {
            self.drops.count(DropReason::Forbidden);
            return;
        }
        let Some(Leg { transport: LegTransport::WebRtc(leg), .. }) = self.legs.get_mut(key) else { return };
        if !leg.sources.contains(&(socket, source)) {
            leg.sources.push((socket, source));
        }
        if leg.sources.len() > MAX_SOURCES_PER_LEG {
            let (socket, source) = leg.sources.remove(0);
            self.demux.remove_source(socket, source, key);
        }
        self.demux.set_source(socket, source, key);
    }

    fn stats_timeout(&mut self, now: Instant, key: LegKey) {
        let Some(leg) = self.legs.get_mut(key) else { return };
        let id = leg.id;
        let may_send = leg.audio.as_ref().is_some_and(|audio| audio.config.receive);
        let silent = may_send && now.saturating_duration_since(leg.last_media) >= self.config.media_timeout;
        let report = leg.far.is_some().then(|| leg.figures());
        let newly_silent = silent && !leg.silence_reported;
        leg.silence_reported = silent;
        self.set_timer(key, LegTimer::Stats, now + self.config.stats_interval);
        if let Some(stats) = report {
            self.emit(MediaEvent::Stats { leg: id, stats });
        }
        if newly_silent {
            self.emit(MediaEvent::MediaTimeout { leg: id });
        }
    }
}
