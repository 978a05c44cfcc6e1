//! What must hold whatever comes from the wire. Each function of [`TARGETS`] takes any bytes and panics where the core is
//! wrong; `fuzz_targets/` hands them what a coverage-guided fuzzer finds, `tests/replay.rs` what is known.
//!
//! `make fuzz TARGET=stun_message SECS=60`

mod turn_clients;

use webrtc_sip_core::codec::CodecKind;
use webrtc_sip_core::io::PacketBuf;
use webrtc_sip_core::rtp::{RtpPacket, rtcp};
use webrtc_sip_core::sdp::{IceCredentials, SipLocal, SipNegotiator, WebRtcLocal, WebRtcNegotiator};
use webrtc_sip_core::sip::Message as SipMessage;
use webrtc_sip_core::sip::framing::{Frame, StreamFramer};
use webrtc_sip_core::stun::{Attribute, IntegrityAlgorithm, Message as StunMessage, MessageWriter};
use webrtc_sip_core::turn::{AccessToken, TokenAlgorithm, TokenKey, frame_len};

pub use turn_clients::turn_server;

/// A target.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 9] = [
    ("sip_message", sip_message),
    ("sip_stream", sip_stream),
    ("sdp_offer", sdp_offer),
    ("rtp", rtp),
    ("rtcp", rtcp),
    ("stun_message", stun_message),
    ("turn_stream", turn_stream),
    ("turn_server", turn_server),
    ("turn_token", turn_token),
];

/// A message that is taken can be written, and is taken again then.
pub fn sip_message(data: &[u8]) {
    if let Ok(message) = SipMessage::parse(data) {
        let written = message.to_bytes();
        let again = SipMessage::parse(&written).expect("what we write can be read");
        assert_eq!(again.to_bytes(), written, "and is written the same way");
    }
}

/// A stream gives the same messages however it is cut.
pub fn sip_stream(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let whole = sip_frames(std::iter::once(bytes));
    let pieces = sip_frames(bytes.chunks(usize::from(*cut).max(1)));
    // Cut or whole, what comes after a fault is lost; how much came before may differ only by keep-alives.
    let messages = |frames: &[Frame]| {
        frames.iter().filter(|frame| matches!(frame, Frame::Message(_))).cloned().collect::<Vec<_>>()
    };
    assert_eq!(messages(&whole), messages(&pieces));
}

fn sip_frames<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Frame> {
    let mut framer = StreamFramer::new(false);
    let mut frames = Vec::new();
    for piece in pieces {
        framer.handle_input(piece);
        loop {
            match framer.poll_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return frames,
            }
        }
    }
    frames
}

/// An offer is answered or refused; an answer of ours can be read by the same negotiator's kind.
pub fn sdp_offer(data: &[u8]) {
    let address = "192.0.2.1:4000".parse().expect("it is an address");
    let codecs = vec![CodecKind::Opus, CodecKind::Pcmu, CodecKind::Pcma];
    let ice = IceCredentials { ufrag: "abcd".to_owned(), password: "abcdefghijklmnopqrstuvwx".to_owned() };
    let local = WebRtcLocal {
        ice: ice.clone(),
        ice_lite: true,
        candidates: vec![address],
        fingerprint: [7; 32],
        ssrc: 1,
        cname: "fuzz".to_owned(),
        msid: "fuzz audio".to_owned(),
        codecs: codecs.clone(),
        comfort_noise: true,
    };
    let mut browser = WebRtcNegotiator::new(local, 1);
    // The second one is a renegotiation.
    for _ in 0..2 {
        let _ = browser.answer(data, ice.clone());
    }
    let mut phone = SipNegotiator::new(SipLocal { rtp: address, rtcp: address, codecs, comfort_noise: true }, 1);
    for _ in 0..2 {
        let _ = phone.answer(data);
    }
}

/// A packet's parts lie inside it.
pub fn rtp(data: &[u8]) {
    if let Ok(packet) = RtpPacket::parse(data) {
        assert!(packet.payload.len() + 12 <= data.len());
    }
}

/// Reports are taken or refused.
pub fn rtcp(data: &[u8]) {
    let _ = rtcp::parse(data);
}

/// A message that is taken can be written anew from its parts, and has the same parts then.
pub fn stun_message(data: &[u8]) {
    let Ok(message) = StunMessage::parse(data) else { return };
    for attribute in [Attribute::XOR_PEER_ADDRESS, Attribute::XOR_MAPPED_ADDRESS, Attribute::MAPPED_ADDRESS] {
        let _ = (message.address(attribute), message.xor_address(attribute));
    }
    let _ = (message.error_code(), message.fingerprint(), message.unknown_required(&[]));
    for algorithm in [IntegrityAlgorithm::Sha1, IntegrityAlgorithm::Sha256] {
        let _ = message.verify_integrity(algorithm, b"key");
    }
    let mut storage = vec![0; data.len() + 64];
    let mut packet = PacketBuf::empty(&mut storage, 0);
    let mut writer = MessageWriter::new(&mut packet, message.class(), message.method(), message.transaction())
        .expect("there is room for what was read");
    for (attribute, value) in message.attributes() {
        writer.put(attribute, value).expect("there is room for what was read");
    }
    let again = StunMessage::parse(packet.as_slice()).expect("what we write can be read");
    assert!(again.attributes().eq(message.attributes()), "and says the same");
}

/// A frame's length doesn't depend on how much of the stream is there.
pub fn turn_stream(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some(len)) = frame_len(rest) {
        assert!(len >= 4);
        for known in 4..rest.len().min(len) {
            assert_eq!(frame_len(&rest[..known]), Ok(Some(len)));
        }
        match rest.get(len..) {
            Some(next) => rest = next,
            None => return,
        }
    }
}

/// Nobody forges a token, and one that says what the bytes say is opened as it was sealed. Its block is read by lengths
/// that it names itself.
pub fn turn_token(data: &[u8]) {
    let key = TokenKey::new("fuzz", TokenAlgorithm::A128Gcm, &[1; 16], 0..=u64::MAX).expect("the length is right");
    assert!(key.open("fuzz", data, 0).is_err(), "this would be a forgery");
    let Ok(said) = AccessToken::decode(data) else { return };
    let again = AccessToken::decode(&said.encode()).expect("what we write can be read");
    assert_eq!(again.encode(), said.encode());
    let sealed = key.seal("fuzz", [0; 12], &said);
    let opened = key.open("fuzz", &sealed, said.issued).expect("it is as new as can be");
    assert_eq!(opened.encode(), said.encode());
    let (last, rest) = sealed.split_last().expect("it isn't empty");
    assert!(key.open("fuzz", &[rest, &[last ^ 1]].concat(), said.issued).is_err());
    assert!(key.open("other", &sealed, said.issued).is_err());
}
