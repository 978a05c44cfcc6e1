//! A voice that speaks packets, and an ear that hears whether there is something in them.

use std::time::{Duration, Instant};

use webrtc_sip_core::codec::{self, Decoder, Encoder, MAX_FRAME_SAMPLES, OpusSettings};
use webrtc_sip_core::io::PacketBuf;
use webrtc_sip_core::media::{AudioConfig, AudioFormat};
use webrtc_sip_core::rtp::{RtpHeader, RtpPacket};

const FRAME: Duration = Duration::from_millis(20);
const FRAME_SAMPLES: usize = 160;
/// Mean absolute sample value above which a frame counts as sound.
const AUDIBLE: i64 = 500;

/// Speaks a 440 Hz tone in a negotiated format, one packet each 20 ms.
pub(crate) struct Voice {
    format: AudioFormat,
    encoder: Box<dyn Encoder>,
    header: RtpHeader,
    phase: usize,
    next_at: Instant,
}

impl Voice {
    pub(crate) fn new(now: Instant, format: AudioFormat, ssrc: u32, sequence: u16) -> Self {
        let encoder = codec::encoder(format.codec, &OpusSettings::default()).expect("the default settings are valid");
        let header = RtpHeader {
            payload_type: format.payload_type,
            marker: true,
            sequence,
            timestamp: u32::from(sequence) * 7,
            ssrc,
        };
        Voice { format, encoder, header, phase: 0, next_at: now }
    }

    pub(crate) fn format(&self) -> AudioFormat {
        self.format
    }

    pub(crate) fn next_at(&self) -> Instant {
        self.next_at
    }

    /// The packet that is due, if one is.
    pub(crate) fn speak(&mut self, now: Instant, out: &mut PacketBuf<'_>) -> bool {
        if now < self.next_at {
            return false;
        }
        self.next_at += FRAME;
        let mut samples = [0i16; FRAME_SAMPLES];
        for sample in &mut samples {
            let angle = self.phase as f64 * 440.0 * std::f64::consts::TAU / 8000.0;
            *sample = (angle.sin() * 8000.0) as i16;
            self.phase += 1;
        }
        let mut payload = [0u8; 512];
        let len = self.encoder.encode(&samples, &mut payload).expect("the frame has a valid length");
        self.header.write_packet(&payload[..len], out).expect("the buffer is large enough");
        self.header.marker = false;
        self.header.sequence = self.header.sequence.wrapping_add(1);
        let step = self.format.codec.clock_rate_hz() / 50;
        self.header.timestamp = self.header.timestamp.wrapping_add(step);
        true
    }
}

/// Listens to packets of a negotiated agreement.
#[derive(Default)]
pub(crate) struct Ear {
    decoders: Vec<(u8, Box<dyn Decoder>)>,
    /// Packets with sound in them.
    pub(crate) audible: u64,
    /// Packets of any kind.
    pub(crate) packets: u64,
    /// Packets of an unknown format.
    pub(crate) unknown: u64,
}

impl Ear {
    pub(crate) fn hear(&mut self, agreed: &AudioConfig, packet: &[u8]) {
        let Ok(packet) = RtpPacket::parse(packet) else {
            self.unknown += 1;
            return;
        };
        let payload_type = packet.header.payload_type;
        if agreed.dtmf_accept.iter().any(|dtmf| dtmf.payload_type == payload_type) {
            return;
        }
        let Some(format) = agreed.accept.iter().find(|format| format.payload_type == payload_type) else {
            self.unknown += 1;
            return;
        };
        self.packets += 1;
        let index = match self.decoders.iter().position(|(known, _)| *known == payload_type) {
            Some(index) => index,
            None => {
                self.decoders.push((payload_type, codec::decoder(format.codec).expect("the codec is available")));
                self.decoders.len() - 1
            }
        };
        let mut samples = [0i16; MAX_FRAME_SAMPLES];
        if let Ok(count) = self.decoders[index].1.decode(packet.payload, &mut samples) {
            let loudness: i64 = samples[..count].iter().map(|sample| i64::from(*sample).abs()).sum();
            if count > 0 && loudness / count as i64 > AUDIBLE {
                self.audible += 1;
            }
        }
    }
}
