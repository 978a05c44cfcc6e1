//! The media of one call of the phone: a socket, a clock, and either an echo or a sound.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use webrtc_sip_core::codec::{self, CodecError, Encoder, OpusSettings};
use webrtc_sip_core::io::PacketBuf;
use webrtc_sip_core::rtp::{RtpHeader, RtpPacket, is_rtcp};
use webrtc_sip_core::sdp::AgreedAudio;

use super::sound::Sound;

const FRAME: Duration = Duration::from_millis(20);
const FRAME_SAMPLES: usize = 160;
const MAX_PACKET: usize = 1500;
/// Nothing heard for so long: the other side is gone without a BYE.
const SILENCE: Duration = Duration::from_secs(120);

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Programme {
    /// Sends back what it hears.
    Echo,
    /// Plays.
    Play(Sound),
}

/// What was negotiated last.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Where to send; none while on hold without an address.
    pub(super) remote: Option<SocketAddr>,
    pub(super) audio: AgreedAudio,
}

/// The running media of a call; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Media {
    plan: watch::Sender<Plan>,
    task: JoinHandle<()>,
}

impl Media {
    /// Starts. `ended` is called when nothing was heard for too long.
    pub(super) fn start(
        socket: UdpSocket,
        programme: Programme,
        plan: Plan,
        identity: RtpIdentity,
        ended: impl FnOnce() + Send + 'static,
    ) -> Self {
        let (plan, planned) = watch::channel(plan);
        let task = tokio::spawn(async move {
            let mut player = Player { socket, planned, identity, heard_at: Instant::now() };
            let result = match programme {
                Programme::Echo => player.echo().await,
                Programme::Play(sound) => player.play(sound).await,
            };
            if let Err(error) = result {
                tracing::debug!(%error, "a test call's media ended");
            }
            ended();
        });
        Media { plan, task }
    }

    /// Takes over a new agreement.
    pub(super) fn replan(&self, plan: Plan) {
        // The task may have ended by itself.
        let _ = self.plan.send(plan);
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The random beginnings that RFC 3550 section 5.1 asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct RtpIdentity {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
}

#[derive(Debug, thiserror::Error)]
enum MediaError {
    #[error("nothing was heard for too long")]
    Silence,
    #[error(transparent)]
    Codec(#[from] CodecError),
}

struct Player {
    socket: UdpSocket,
    planned: watch::Receiver<Plan>,
    identity: RtpIdentity,
    heard_at: Instant,
}

impl Player {
    async fn echo(&mut self) -> Result<(), MediaError> {
        let mut buffer = [0; MAX_PACKET];
        let mut clock = EchoClock::new(self.identity.timestamp);
        loop {
            let received = tokio::time::timeout(SILENCE, self.socket.recv_from(&mut buffer)).await;
            let (len, source) = match received {
                Err(_) if self.on_hold() => continue,
                Err(_) => return Err(MediaError::Silence),
                // An ICMP error of an earlier send.
                Ok(Err(_)) => continue,
                Ok(Ok(received)) => received,
            };
            let now = Instant::now();
            let Some((packet, remote)) = self.accept(&buffer[..len], source, now) else { continue };
            let Some(payload_type) = answering_payload_type(&self.planned.borrow().audio, packet.header.payload_type)
            else {
                continue;
            };
            let timestamp = clock.translate(packet.header.ssrc, packet.header.timestamp, now);
            let header = RtpHeader { payload_type, timestamp, ..packet.header };
            self.send(header, packet.payload, remote);
        }
    }

    async fn play(&mut self, sound: Sound) -> Result<(), MediaError> {
        let mut buffer = [0; MAX_PACKET];
        let mut encoder = self.encoder()?;
        let mut interval = tokio::time::interval(FRAME);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let started = tokio::time::Instant::now();
        loop {
            tokio::select! {
                due = interval.tick() => {
                    if self.heard_at.elapsed() > SILENCE && !self.on_hold() {
                        return Err(MediaError::Silence);
                    }
                    if self.planned.has_changed().unwrap_or(false) {
                        self.planned.mark_unchanged();
                        encoder = self.encoder()?;
                    }
                    // By the clock, not by counting: a tick may have been skipped.
                    let frame = (due.saturating_duration_since(started).as_millis() / FRAME.as_millis()) as u64;
                    self.play_frame(sound, frame, &mut *encoder)?;
                }
                received = self.socket.recv_from(&mut buffer) => {
                    if let Ok((len, source)) = received {
                        self.accept(&buffer[..len], source, Instant::now());
                    }
                }
            }
        }
    }

    /// Whether silence is agreed on.
    fn on_hold(&self) -> bool {
        let plan = self.planned.borrow();
        plan.remote.is_none() || !plan.audio.receive
    }

    fn encoder(&self) -> Result<Box<dyn Encoder>, CodecError> {
        codec::encoder(self.planned.borrow().audio.format.codec, &OpusSettings::default())
    }

    fn play_frame(&mut self, sound: Sound, frame: u64, encoder: &mut dyn Encoder) -> Result<(), MediaError> {
        let (payload_type, remote) = {
            let plan = self.planned.borrow();
            match plan.remote {
                Some(remote) if plan.audio.send => (plan.audio.format.payload_type, remote),
                _ => return Ok(()),
            }
        };
        let first = frame * FRAME_SAMPLES as u64;
        let mut samples = [0; FRAME_SAMPLES];
        sound.render(first, &mut samples);
        let mut payload = [0; 2 * FRAME_SAMPLES];
        let len = encoder.encode(&samples, &mut payload)?;
        let timestamp = self.identity.timestamp.wrapping_add(first as u32);
        let header = RtpHeader { payload_type, marker: frame == 0, sequence: 0, timestamp, ssrc: 0 };
        self.send(header, &payload[..len], remote);
        Ok(())
    }

    /// A packet from whom we expect it, with where to answer to.
    fn accept<'a>(
        &mut self,
        packet: &'a [u8],
        source: SocketAddr,
        now: Instant,
    ) -> Option<(RtpPacket<'a>, SocketAddr)> {
        let plan = self.planned.borrow();
        let remote = plan.remote?;
        if source.ip() != remote.ip() || is_rtcp(packet) {
            return None;
        }
        self.heard_at = now;
        let parsed = RtpPacket::parse(packet).ok()?;
        plan.audio.send.then_some((parsed, remote))
    }

    /// Sends with our own source and sequence numbers. What the system doesn't take is lost, as on any network.
    fn send(&mut self, header: RtpHeader, payload: &[u8], remote: SocketAddr) {
        let mut storage = [0; MAX_PACKET];
        let mut packet = PacketBuf::empty(&mut storage, 0);
        let header = RtpHeader { sequence: self.identity.sequence, ssrc: self.identity.ssrc, ..header };
        if header.write_packet(payload, &mut packet).is_ok() {
            self.identity.sequence = self.identity.sequence.wrapping_add(1);
            let _ = self.socket.try_send_to(packet.as_slice(), remote);
        }
    }
}

/// Under which payload type an echo of `received` goes: the same format may have another number in each direction.
fn answering_payload_type(audio: &AgreedAudio, received: u8) -> Option<u8> {
    let codec = audio.accept.iter().find(|format| format.payload_type == received).map(|format| format.codec);
    if codec == Some(audio.format.codec) {
        return Some(audio.format.payload_type);
    }
    let is_dtmf = audio.dtmf_accept.iter().any(|format| format.payload_type == received);
    audio.dtmf_send.filter(|_| is_dtmf).map(|format| format.payload_type)
}

/// Keeps one timeline while the far side changes its source.
#[derive(Debug)]
struct EchoClock {
    ssrc: Option<u32>,
    offset: u32,
    last: u32,
    last_at: Instant,
}

impl EchoClock {
    fn new(start: u32) -> Self {
        EchoClock { ssrc: None, offset: 0, last: start, last_at: Instant::now() }
    }

    fn translate(&mut self, ssrc: u32, timestamp: u32, now: Instant) -> u32 {
        if self.ssrc != Some(ssrc) {
            // A new source goes on where the old one would be by now.
            let elapsed = now.saturating_duration_since(self.last_at).as_micros() * u128::from(codec::SAMPLE_RATE_HZ);
            let here = self.last.wrapping_add((elapsed / 1_000_000) as u32);
            self.offset = here.wrapping_sub(timestamp);
            self.ssrc = Some(ssrc);
        }
        self.last = timestamp.wrapping_add(self.offset);
        self.last_at = now;
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_echo_clock_goes_on_when_the_source_changes() {
        let mut clock = EchoClock::new(1000);
        let start = clock.last_at;
        let first = clock.translate(1, 77_000, start);
        assert_eq!(first, 1000);
        assert_eq!(clock.translate(1, 77_160, start + FRAME), 1160);
        assert_eq!(clock.translate(2, 5, start + 2 * FRAME), 1320);
        assert_eq!(clock.translate(2, 165, start + 3 * FRAME), 1480);
    }
}
