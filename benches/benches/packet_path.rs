//! What a packet costs: SRTP, codecs, SIP messages, each beside the least that its work can cost.

use std::hint::black_box;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use benches::parts::{compare, head};
use webrtc_sip_core::codec::{self, CodecKind, OpusSettings};
use webrtc_sip_core::io::PacketBuf;
use webrtc_sip_core::rtp::srtp::{SrtpKeys, SrtpProfile, SrtpSender};
use webrtc_sip_core::sip::Message;

/// 20 ms of G.711.
const PAYLOAD: usize = 160;
const HEADER: usize = 12;
const FRAME: usize = 160;

fn main() {
    head();
    for (profile, name) in [
        (SrtpProfile::Aes128CmSha1_80, "SRTP protect, AES_CM_128_SHA1_80"),
        (SrtpProfile::AeadAes128Gcm, "SRTP protect, AEAD_AES_128_GCM"),
        (SrtpProfile::AeadAes256Gcm, "SRTP protect, AEAD_AES_256_GCM"),
    ] {
        srtp(profile, name);
    }
    g711();
    opus_encode();
    opus_decode();
    sip();
}

/// The floor is the bare cipher (for AES_CM the bare HMAC) over the same bytes.
fn srtp(profile: SrtpProfile, name: &str) {
    let keys = SrtpKeys::new(profile, &vec![7; profile.key_len()], &vec![9; profile.salt_len()]).expect("lengths fit");
    let mut sender = SrtpSender::new(&keys);
    let mut sequence = 0u16;
    let mut storage = [0u8; 512];
    let protect = move || {
        sequence = sequence.wrapping_add(1);
        let mut packet = PacketBuf::empty(&mut storage, 0);
        packet.extend_from_slice(&rtp(sequence)).expect("it has room");
        sender.protect_rtp(&mut packet).expect("a valid packet");
        packet.len()
    };
    let mut bytes = [0u8; HEADER + PAYLOAD];
    match profile {
        SrtpProfile::Aes128CmSha1_80 => {
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &[7; 20]);
            compare(name, protect, "HMAC-SHA1 of aws-lc", || hmac::sign(&key, &bytes));
        }
        SrtpProfile::AeadAes128Gcm => compare(name, protect, "AES-128-GCM of aws-lc", gcm(&AES_128_GCM, &mut bytes)),
        SrtpProfile::AeadAes256Gcm => compare(name, protect, "AES-256-GCM of aws-lc", gcm(&AES_256_GCM, &mut bytes)),
    }
}

fn gcm<'a>(algorithm: &'static Algorithm, bytes: &'a mut [u8; HEADER + PAYLOAD]) -> impl FnMut() -> u8 + 'a {
    let key = LessSafeKey::new(UnboundKey::new(algorithm, &vec![7; algorithm.key_len()]).expect("the length fits"));
    move || {
        let (header, payload) = bytes.split_at_mut(HEADER);
        let nonce = Nonce::assume_unique_for_key([3; 12]);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(header), payload).expect("it is short enough");
        tag.as_ref()[0]
    }
}

/// An RTP packet of PCMU.
fn rtp(sequence: u16) -> [u8; HEADER + PAYLOAD] {
    let mut packet = [0xff; HEADER + PAYLOAD];
    packet[0] = 0x80;
    packet[1] = 0;
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&(u32::from(sequence) * FRAME as u32).to_be_bytes());
    packet[8..12].copy_from_slice(&0x1234_5678u32.to_be_bytes());
    packet
}

/// The floor is one look-up a sample in a table of every answer.
fn g711() {
    let mut decoder = codec::decoder(CodecKind::Pcmu).expect("G.711 needs no set-up");
    let mut encoder = codec::encoder(CodecKind::Pcmu, &OpusSettings::default()).expect("G.711 needs no set-up");
    let speech = speech();
    let mut payload = [0u8; PAYLOAD];
    encoder.encode(&speech, &mut payload).expect("a frame");
    let mut samples = [0i16; codec::MAX_FRAME_SAMPLES];
    let decoded: Vec<i16> = (0..=255).map(|octet| 4 * (octet - 128)).collect();
    compare(
        "G.711 decode, 20 ms",
        || decoder.decode(black_box(&payload), &mut samples).expect("a payload"),
        "a table of 256",
        || black_box(payload).map(|octet| decoded[usize::from(octet)]),
    );
    let mut out = [0u8; PAYLOAD];
    let encoded: Vec<u8> = (0..=u16::MAX).map(|sample| (sample >> 8) as u8).collect();
    compare(
        "G.711 encode, 20 ms",
        || encoder.encode(black_box(&speech), &mut out).expect("a frame"),
        "a table of 65,536",
        || black_box(speech).map(|sample| encoded[usize::from(sample as u16)]),
    );
}

fn opus_encode() {
    let settings = OpusSettings::default();
    let mut encoder = codec::encoder(CodecKind::Opus, &settings).expect("settings are in range");
    let mut bare = bare_encoder(&settings);
    let speech = speech();
    let (mut payload, mut bare_payload) = ([0u8; 400], [0u8; 400]);
    compare(
        "Opus encode, 20 ms at 8 kHz",
        || encoder.encode(&speech, &mut payload).expect("a frame"),
        "libopus by itself",
        || bare.encode(&speech, &mut bare_payload).expect("a frame"),
    );
}

fn opus_decode() {
    let mut payload = [0u8; 400];
    let len = bare_encoder(&OpusSettings::default()).encode(&speech(), &mut payload).expect("a frame");
    let payload = &payload[..len];
    let mut decoder = codec::decoder(CodecKind::Opus).expect("it needs no settings");
    let mut bare = opus::Decoder::new(codec::SAMPLE_RATE_HZ, opus::Channels::Mono).expect("8 kHz mono");
    let (mut samples, mut bare_samples) = ([0i16; codec::MAX_FRAME_SAMPLES], [0i16; codec::MAX_FRAME_SAMPLES]);
    compare(
        "Opus decode, 20 ms at 8 kHz",
        || decoder.decode(payload, &mut samples).expect("a payload"),
        "libopus by itself",
        || bare.decode(payload, &mut bare_samples, false).expect("a payload"),
    );
}

fn bare_encoder(settings: &OpusSettings) -> opus::Encoder {
    let mut encoder =
        opus::Encoder::new(codec::SAMPLE_RATE_HZ, opus::Channels::Mono, opus::Application::Voip).expect("8 kHz mono");
    encoder.set_bitrate(opus::Bitrate::Bits(settings.bitrate as i32)).expect("in range");
    encoder.set_complexity(i32::from(settings.complexity)).expect("in range");
    encoder
}

/// 20 ms that sound a little like a vowel.
fn speech() -> [i16; FRAME] {
    std::array::from_fn(|i| {
        let t = i as f32 / 8000.0;
        let tone = |hertz: f32, level: f32| level * (std::f32::consts::TAU * hertz * t).sin();
        (tone(140.0, 5000.0) + tone(700.0, 3000.0) + tone(1220.0, 1200.0)) as i16
    })
}

fn sip() {
    let invite = b"INVITE sip:1001@192.0.2.1 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK-1;rport\r\n\
        Max-Forwards: 70\r\n\
        From: \"Desk\" <sip:2001@192.0.2.2>;tag=a1\r\n\
        To: <sip:1001@192.0.2.1>\r\n\
        Call-ID: f81d4fae-7dec-11d0@192.0.2.2\r\n\
        CSeq: 1 INVITE\r\n\
        Contact: <sip:2001@192.0.2.2:5060>\r\n\
        Allow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n\
        Supported: timer\r\n\
        Content-Length: 0\r\n\r\n";
    compare(
        "SIP parse, INVITE of 11 lines",
        || Message::parse(invite).expect("it is valid"),
        "copying its lines",
        || invite.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>(),
    );
}
