//! Tests of the negotiators: against recorded offers, against RFC examples, against each other.

mod browsers;
mod directions;
mod exchanges;
mod formats;
mod properties;
mod rfc;
mod tolerance;
mod transport;

use crate::codec::CodecKind;

use super::*;

const ALL_CODECS: [CodecKind; 3] = [CodecKind::Opus, CodecKind::Pcmu, CodecKind::Pcma];

/// ICE credentials that differ by `n`.
fn ice(n: u8) -> IceCredentials {
    IceCredentials { ufrag: format!("ufrag{n}"), password: format!("password-of-22-characters-{n}") }
}

fn webrtc_local() -> WebRtcLocal {
    WebRtcLocal {
        ice: ice(0),
        ice_lite: true,
        candidates: vec!["192.0.2.10:10000".parse().unwrap(), "[2001:db8::10]:10000".parse().unwrap()],
        fingerprint: [0xa5; 32],
        ssrc: 0x1234_5678,
        cname: "cname".to_owned(),
        msid: "gateway audio".to_owned(),
        codecs: ALL_CODECS.to_vec(),
        comfort_noise: true,
    }
}

fn webrtc() -> WebRtcNegotiator {
    WebRtcNegotiator::new(webrtc_local(), u64::MAX)
}

fn sip_local() -> SipLocal {
    SipLocal {
        rtp: "192.0.2.20:20000".parse().unwrap(),
        rtcp: "192.0.2.20:20001".parse().unwrap(),
        codecs: vec![CodecKind::Pcmu, CodecKind::Pcma, CodecKind::Opus],
        comfort_noise: true,
    }
}

fn sip() -> SipNegotiator {
    SipNegotiator::new(sip_local(), 77)
}

/// A SIP offer or answer with one audio section.
fn plain(formats: &str, attributes: &[&str]) -> Vec<u8> {
    let mut text = format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP {formats}\r\n"
    );
    for attribute in attributes {
        text.push_str(&format!("a={attribute}\r\n"));
    }
    text.into_bytes()
}

/// The lines of a description that begin with `prefix`, without it.
fn lines<'a>(text: &'a str, prefix: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.strip_prefix(prefix)).collect()
}

fn numbers(accept: &[AudioFormat]) -> Vec<u8> {
    accept.iter().map(|format| format.payload_type).collect()
}
