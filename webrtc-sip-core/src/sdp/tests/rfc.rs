//! The examples of the RFCs. Offers go through the answerer, answers through an offerer; each is taken, or refused for
//! the reason in a table.

use std::fs;

use crate::test_data;

use super::*;

/// What is refused, and why. Everything else has to be taken.
const REFUSED: &[(SdpError, &[&str])] = &[
    // iLBC, G.723.1, AMR or telephone-event alone.
    (
        SdpError::NoCommonCodec,
        &[
            "rfc3264/08_s10.2_offer.sdp",
            "rfc3264/09_s10.2_offer.sdp",
            "rfc4317/08_s2.3_answer.sdp",
            "rfc4317/10_s2.4_answer.sdp",
            "rfc4317/11_s2.5_offer.sdp",
            "rfc4317/12_s2.5_answer.sdp",
            "rfc4317/13_s2.5_offer.sdp",
            "rfc4317/14_s2.5_answer.sdp",
            "rfc4317/17_s2.7_offer.sdp",
            "rfc4317/18_s2.7_answer.sdp",
            "rfc4317/19_s2.7_offer.sdp",
            "rfc4317/20_s2.7_answer.sdp",
            "rfc4317/24_s3.1_answer.sdp",
            "rfc4317/25_s3.1_offer.sdp",
            "rfc4317/26_s3.1_answer.sdp",
            "rfc4317/28_s3.2_answer.sdp",
            "rfc4317/29_s3.2_offer.sdp",
            "rfc4317/32_s4.1_answer.sdp",
            "rfc4317/33_s4.1_offer.sdp",
            "rfc4317/34_s4.1_answer.sdp",
            "rfc4317/39_s4.3_offer.sdp",
            "rfc4317/40_s4.3_answer.sdp",
            "rfc4317/41_s4.3_offer.sdp",
            "rfc4317/42_s4.3_answer.sdp",
            "rfc4317/45_s5.1_offer.sdp",
            "rfc4317/46_s5.1_answer.sdp",
            "rfc4317/47_s5.2_offer.sdp",
            "rfc4317/48_s5.2_answer.sdp",
            "rfc4317/49_s5.2_offer.sdp",
            "rfc4317/50_s5.2_answer.sdp",
            "rfc4317/51_s5.3_offer.sdp",
            "rfc4317/52_s5.3_answer.sdp",
            "rfc4317/53_s5.3_offer.sdp",
            "rfc4317/54_s5.3_answer.sdp",
            "rfc5939/09_s3.6.2.1_answer.sdp",
            "rfc5939/19_s4.2_offer.sdp",
            "rfc5939/23_s4.2_answer.sdp",
            "rfc5939/25_s4.3_offer.sdp",
            "rfc5939/29_s4.3_answer.sdp",
            "rfc8853/03_s5.6.2_answer.sdp",
            "rfc8859/01_s4.1_offer.sdp",
            "rfc8859/03_s4.3_offer.sdp",
            "rfc8859/05_s4.5_offer.sdp",
            "rfc8859/11_s14.3.1.1_offer.sdp",
            "rfc9143/16_s19.2_offer.sdp",
            "rfc9143/17_s19.2_answer.sdp",
            "rfc9143/18_s19.2_offer.sdp",
        ],
    ),
    // Port 0, only video, no section at all, or an answer whose first section isn't the audio that was offered.
    (
        SdpError::NoAudio,
        &[
            "rfc3264/01_s9_offer.sdp",
            "rfc4317/16_s2.6_answer.sdp",
            "rfc4317/43_s5.1_offer.sdp",
            "rfc4317/44_s5.1_answer.sdp",
            "rfc4568/01_s4.5_answer.sdp",
            "rfc8859/02_s4.2_offer.sdp",
            "rfc8859/06_s4.6_offer.sdp",
            "rfc8859/08_s14.1_offer.sdp",
        ],
    ),
    // SDES, or DTLS without ICE.
    (
        SdpError::UnsupportedProfile,
        &[
            "rfc4568/02_s7.1.5_offer.sdp",
            "rfc4568/03_s7.1.5_offer.sdp",
            "rfc5763/03_s7.1_offer.sdp",
            "rfc5763/04_s7.2_offer.sdp",
            "rfc5763/05_s7.2_offer.sdp",
            "rfc5939/02_s3.2_answer.sdp",
            "rfc5939/03_s3.2_offer.sdp",
            "rfc5939/04_s3.2_answer.sdp",
            "rfc5939/08_s3.5.2_answer.sdp",
            "rfc5939/10_s3.6.2.1_answer.sdp",
            "rfc5939/11_s3.6.2.1_offer.sdp",
            "rfc5939/12_s3.6.2.1_offer.sdp",
            "rfc5939/20_s4.2_answer.sdp",
            "rfc5939/21_s4.2_offer.sdp",
            "rfc5939/22_s4.2_answer.sdp",
            "rfc5939/24_s4.2_answer.sdp",
            "rfc5939/26_s4.3_answer.sdp",
            "rfc5939/27_s4.3_offer.sdp",
            "rfc5939/28_s4.3_answer.sdp",
            "rfc5939/30_s4.3_answer.sdp",
            "rfc5939/31_s4.4_offer.sdp",
            "rfc5939/32_s4.4_answer.sdp",
            "rfc5939/33_s4.4_offer.sdp",
        ],
    ),
    // Placeholders instead of numbers, missing fields, a port above 65535.
    (
        SdpError::BadMediaLine,
        &[
            "rfc8839/02_s12.2_offer.sdp",
            "rfc8839/04_s12.2_answer.sdp",
            "rfc8859/07_s4.7_offer.sdp",
            "rfc8859/09_s14.2.1.1_offer.sdp",
            "rfc8859/10_s14.2.1.2_offer.sdp",
        ],
    ),
];

/// Every example: folder and file name, text.
fn examples() -> Vec<(String, String)> {
    let Some(root) = test_data::path("sdp/rfc") else { return Vec::new() };
    let mut examples = Vec::new();
    for folder in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
        for file in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
            examples.push((format!("{}/{}", name(&folder), name(&file)), fs::read_to_string(&file).unwrap()));
        }
    }
    examples.sort();
    assert!(examples.len() >= 150, "the examples are complete");
    examples
}

/// Takes an example as the kind of leg would that it is written for.
fn take(name: &str, text: &str) -> Result<(), SdpError> {
    let is_webrtc = text.contains("a=ice-ufrag") && text.contains("a=fingerprint");
    match (is_webrtc, name.ends_with("_answer.sdp")) {
        (true, false) => webrtc().answer(text, ice(9)).map(|(answer, agreed)| {
            assert_eq!(lines(&answer, "m=").len(), lines(text, "m=").len(), "{name}");
            assert!(!agreed.remote.fingerprints.is_empty());
        }),
        (true, true) => {
            let mut negotiator = webrtc();
            let (_, pending) = negotiator.offer(None);
            negotiator.accept_answer(pending, text).map(|_| ())
        }
        (false, false) => sip().answer(text.as_bytes()).map(|(answer, _)| {
            assert_eq!(lines(&answer, "m=").len(), lines(text, "m=").len(), "{name}");
        }),
        (false, true) => {
            let mut negotiator = sip();
            let (_, pending) = negotiator.offer();
            negotiator.accept_answer(pending, text.as_bytes()).map(|_| ())
        }
    }
}

#[test]
fn every_example_is_taken_or_refused_for_its_reason() {
    let examples = examples();
    let listed = |name: &str| REFUSED.iter().find(|(_, names)| names.contains(&name)).map(|(reason, _)| *reason);
    let mut wrong = Vec::new();
    for (name, text) in &examples {
        let found = take(name, text).err();
        if found != listed(name) {
            wrong.push(format!("{name}: {found:?}, not {:?}", listed(name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for name in REFUSED.iter().flat_map(|(_, names)| *names) {
        assert!(examples.is_empty() || examples.iter().any(|(example, _)| example == name), "{name} exists");
    }
}

/// The text of one example.
fn example(name: &str) -> Option<String> {
    Some(fs::read_to_string(test_data::path("sdp/rfc")?.join(name)).unwrap())
}

/// RFC 4317 section 2.2: video is refused with port 0 and keeps its place when the caller gives up one codec.
#[test]
fn the_exchange_of_rfc_4317_section_2_2_runs_as_printed() {
    let (Some(first), Some(second)) = (example("rfc4317/03_s2.2_offer.sdp"), example("rfc4317/05_s2.2_offer.sdp"))
    else {
        return;
    };
    let mut negotiator = sip();
    let (answer, agreed) = negotiator.answer(first.as_bytes()).unwrap();
    assert_eq!(lines(&answer, "m="), ["audio 20000 RTP/AVP 0 8", "video 0 RTP/AVP 31 32"]);
    assert_eq!(numbers(&agreed.audio.accept), [0, 8]);
    assert_eq!(agreed.audio.format.codec, CodecKind::Pcmu);
    let host = "host.atlanta.example.com".to_owned();
    assert_eq!(agreed.remote, RemoteMedia::Named { host, rtp_port: 49170, rtcp_port: 49171 });

    let (answer, agreed) = negotiator.answer(second.as_bytes()).unwrap();
    assert_eq!(lines(&answer, "m="), ["audio 20000 RTP/AVP 0", "video 0 RTP/AVP 31"]);
    assert_eq!(numbers(&agreed.audio.accept), [0]);
    assert!(lines(&answer, "o=")[0].starts_with("- 38 2 "), "the version grew by one");
}

/// RFC 3264 section 10.1: three sections, of which only the audio is for us.
#[test]
fn the_offer_of_rfc_3264_section_10_1_keeps_its_sections() {
    let Some(offer) = example("rfc3264/02_s10.1_offer.sdp") else { return };
    let mut negotiator = sip();
    let (answer, _) = negotiator.answer(offer.as_bytes()).unwrap();
    assert_eq!(lines(&answer, "m="), ["audio 20000 RTP/AVP 0", "video 0 RTP/AVP 31", "video 0 RTP/AVP 32"]);
    let (offer, _) = negotiator.offer();
    let kept = ["audio 20000 RTP/AVP 0 8 96 13 101 102", "video 0 RTP/AVP 31", "video 0 RTP/AVP 32"];
    assert_eq!(lines(&offer, "m="), kept);
}

/// RFC 3264 section 10.2: an offer on hold is answered inactive.
#[test]
fn the_offer_of_rfc_3264_section_10_2_is_answered_inactive() {
    let Some(offer) = example("rfc3264/06_s10.2_offer.sdp") else { return };
    let (answer, agreed) = sip().answer(offer.as_bytes()).unwrap();
    assert_eq!(lines(&answer, "a=inactive"), [""]);
    assert_eq!(lines(&answer, "m="), ["audio 20000 RTP/AVP 0"]);
    assert!(!agreed.audio.send && !agreed.audio.receive && agreed.remote_hold);
}

/// RFC 8829 section 7.2: the data channel comes and goes around the audio section, whose DTLS role stays.
#[test]
fn the_exchange_of_rfc_8829_section_7_2_keeps_the_audio_section() {
    let (Some(first), Some(second)) = (example("rfc8829/03_s7.2_offer.sdp"), example("rfc8829/05_s7.2_offer.sdp"))
    else {
        return;
    };
    let mut negotiator = webrtc();
    let (answer, agreed) = negotiator.answer(&first, ice(9)).unwrap();
    assert_eq!(lines(&answer, "a=group:"), ["BUNDLE a1"]);
    assert_eq!(lines(&answer, "m=")[1], "application 0 UDP/DTLS/SCTP webrtc-datachannel");
    assert_eq!(numbers(&agreed.audio.accept), [96, 0, 8]);
    assert_eq!(agreed.audio.dtmf_send, Some(DtmfFormat { payload_type: 98, clock_rate_hz: 48_000 }));
    let (answer, _) = negotiator.answer(&second, ice(9)).unwrap();
    assert_eq!((lines(&answer, "m=").len(), lines(&answer, "a=group:")), (4, vec!["BUNDLE a1"]));
}
