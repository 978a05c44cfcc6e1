//! Properties that hold for any text and any configuration.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

/// Lines that mean something, so that arbitrary descriptions get past the first checks.
const LINES: [&str; 36] = [
    "v=0",
    "o=- 1 1 IN IP4 192.0.2.1",
    "s=-",
    "c=IN IP4 192.0.2.1",
    "c=IN IP6 ::",
    "c=IN IP4 224.0.0.1/5/9",
    "t=0 0",
    "a=group:BUNDLE 0 1",
    "a=group:BUNDLE",
    "a=ice-lite",
    "m=audio 4000 RTP/AVP 0 8 96 101",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 13 110",
    "m=audio 0 UDP/TLS/RTP/SAVPF 111",
    "m=audio 4000/2 RTP/AVP 128 255 -1 x",
    "m=video 9 UDP/TLS/RTP/SAVPF 96",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "a=mid:0",
    "a=mid:1",
    "a=bundle-only",
    "a=rtpmap:111 opus/48000/2",
    "a=rtpmap:96 opus/48000/2",
    "a=rtpmap:101 telephone-event/8000",
    "a=rtpmap:110 telephone-event/48000",
    "a=fmtp:101 0-99999999999999999999,4-",
    "a=fmtp:110 18446744073709551615-0",
    "a=ptime:0",
    "a=maxptime:4294967296",
    "a=sendonly",
    "a=inactive",
    "a=rtcp:65536 IN",
    "a=rtcp-mux",
    "a=ice-ufrag:abcd",
    "a=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa",
    "a=fingerprint:sha-1 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13",
    "a=setup:passive",
    "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host",
];

/// Feeds a text to everything that reads descriptions, in the first exchange and in a later one.
fn feed_everywhere(text: &[u8]) {
    for mut negotiator in [sip(), {
        let mut used = sip();
        used.answer(plain("0", &[])).unwrap();
        used
    }] {
        let before = negotiator.clone();
        match negotiator.answer(text) {
            Ok((answer, _)) => check_rereadable(&answer, text),
            Err(_) => assert_eq!(negotiator, before),
        }
        let (_, pending) = negotiator.offer();
        let _ = negotiator.early_answer(&pending, text);
        if let Ok(agreed) = negotiator.accept_answer(pending, text) {
            assert!(agreed.audio.accept.len() <= 16 && (10..=60).contains(&agreed.audio.ptime_ms));
        }
    }
    let mut negotiator = webrtc();
    if let Ok((answer, _)) = negotiator.answer(text, ice(9)) {
        check_rereadable(&answer, text);
    }
    let (_, pending) = negotiator.offer(None);
    let _ = negotiator.accept_answer(pending, text);
    let _ = Candidate::parse(&String::from_utf8_lossy(text));
}

fn check_rereadable(answer: &str, offer: &[u8]) {
    let (read, offered) = (description::parse(answer.as_bytes()).unwrap(), description::parse(offer).unwrap());
    assert_eq!(read.medias.len(), offered.medias.len());
    let alive = read.medias.iter().filter(|media| media.port != 0).count();
    assert!((1..=2).contains(&alive), "the audio section, and one that carries its transport");
}

fn codecs() -> impl Strategy<Value = Vec<CodecKind>> {
    subsequence(ALL_CODECS.to_vec(), 1..=3).prop_shuffle()
}

fn direction() -> impl Strategy<Value = Direction> {
    select(Direction::ALL.to_vec())
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        feed_everywhere(&bytes);
        feed_everywhere(&[b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n", &bytes[..]].concat());
    }

    #[test]
    fn arbitrary_lines_never_panic(
        picked in proptest::collection::vec(select(LINES.to_vec()), 0..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let text = format!("v=0\r\n{}\r\n", picked.join("\r\n"));
        feed_everywhere(text.as_bytes());
        feed_everywhere(&text.as_bytes()[..cut.index(text.len())]);
    }

    #[test]
    fn a_damaged_offer_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), drop in 0_usize..40) {
        for offer in [webrtc().offer(None).0, sip().offer().0] {
            let mut bytes = offer.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            feed_everywhere(&bytes);
            bytes.drain(at..(at + drop).min(bytes.len()));
            feed_everywhere(&bytes);
        }
    }

    #[test]
    fn our_offers_agree_with_our_answers(
        ours in codecs(),
        theirs in codecs(),
        wanted in (direction(), direction()),
        noise in any::<(bool, bool)>(),
    ) {
        let common = ours.iter().any(|codec| theirs.contains(codec));
        let leg = |codecs: &[CodecKind], comfort_noise, direction| {
            let mut leg = SipNegotiator::new(SipLocal { codecs: codecs.to_vec(), comfort_noise, ..sip_local() }, 1);
            leg.set_direction(direction);
            leg
        };
        let (mut caller, mut callee) = (leg(&ours, noise.0, wanted.0), leg(&theirs, noise.1, wanted.1));
        for _ in 0..2 {
            let (offer, pending) = caller.offer();
            let answered = callee.answer(offer.as_bytes());
            prop_assert_eq!(answered.is_ok(), common);
            let Ok((answer, there)) = answered else { return Ok(()) };
            let here = caller.accept_answer(pending, answer.as_bytes()).unwrap();
            prop_assert_eq!(&here.audio.format, &there.audio.format);
            let sorted = |audio: &AgreedAudio| { let mut all = numbers(&audio.accept); all.sort_unstable(); all };
            prop_assert_eq!(sorted(&here.audio), sorted(&there.audio));
            prop_assert_eq!(here.audio.dtmf_send, there.audio.dtmf_send);
            prop_assert_eq!(here.audio.comfort_noise, there.audio.comfort_noise);
            prop_assert_eq!((here.audio.send, here.audio.receive), (there.audio.receive, there.audio.send));
            // Then the other way round, with what both remember.
            std::mem::swap(&mut caller, &mut callee);
        }
    }

    #[test]
    fn our_webrtc_offers_agree_with_our_answers(ours in codecs(), theirs in codecs(), lite in any::<(bool, bool)>()) {
        let common = ours.iter().any(|codec| theirs.contains(codec));
        let leg = |codecs: &[CodecKind], ice_lite| {
            WebRtcNegotiator::new(WebRtcLocal { codecs: codecs.to_vec(), ice_lite, ..webrtc_local() }, 1)
        };
        let (mut caller, mut callee) = (leg(&ours, lite.0), leg(&theirs, lite.1));
        for _ in 0..3 {
            let (offer, pending) = caller.offer(None);
            let answered = callee.answer(&offer, ice(9));
            prop_assert_eq!(answered.is_ok(), common);
            let Ok((answer, there)) = answered else { return Ok(()) };
            let here = caller.accept_answer(pending, &answer).unwrap();
            prop_assert_eq!(&here.audio.format, &there.audio.format);
            prop_assert!(here.remote.dtls_role != there.remote.dtls_role);
            prop_assert_eq!((here.remote.ice_lite, there.remote.ice_lite), (is_lite(&answer), is_lite(&offer)));
            std::mem::swap(&mut caller, &mut callee);
        }
    }
}

fn is_lite(text: &str) -> bool {
    text.contains("\r\na=ice-lite\r\n")
}
