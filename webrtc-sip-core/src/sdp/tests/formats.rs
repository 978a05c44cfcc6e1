//! Codecs, payload types, telephone-event, comfort noise and packet times.

use super::*;

fn agreed(formats: &str, attributes: &[&str]) -> AgreedAudio {
    sip().answer(plain(formats, attributes)).unwrap().1.audio
}

fn event(payload_type: u8, clock_rate_hz: u32) -> DtmfFormat {
    DtmfFormat { payload_type, clock_rate_hz }
}

#[test]
fn static_payload_types_need_no_rtpmap() {
    let audio = agreed("18 8 0 13", &[]);
    assert_eq!(audio.format, AudioFormat { codec: CodecKind::Pcma, payload_type: 8 });
    assert_eq!(numbers(&audio.accept), [8, 0]);
    assert_eq!(audio.comfort_noise, Some(13));
    assert_eq!((audio.dtmf_send, audio.dtmf_accept, audio.ptime_ms), (None, vec![], 20));
}

#[test]
fn an_rtpmap_overrules_the_static_assignment() {
    let audio = agreed("0 97", &["rtpmap:0 G726-32/8000", "rtpmap:97 pcmu/8000/1"]);
    assert_eq!(audio.format, AudioFormat { codec: CodecKind::Pcmu, payload_type: 97 });
    assert_eq!(numbers(&audio.accept), [97]);
    for mapping in ["rtpmap:97 PCMU/16000", "rtpmap:97 PCMU/8000/2", "rtpmap:97 opus/16000", "rtpmap:97 opus"] {
        assert_eq!(sip().answer(plain("97", &[mapping])).err(), Some(SdpError::NoCommonCodec), "{mapping}");
    }
}

#[test]
fn the_answer_keeps_the_offers_order_and_numbers() {
    let attributes = ["rtpmap:107 opus/48000", "rtpmap:96 telephone-event/8000", "fmtp:96 0-16", "ptime:40"];
    let (answer, agreed) = sip().answer(plain("107 9 8 96", &attributes)).unwrap();
    assert_eq!(lines(&answer, "m="), ["audio 20000 RTP/AVP 107 8 96"]);
    assert_eq!(lines(&answer, "a=rtpmap:"), ["107 opus/48000/2", "8 PCMA/8000", "96 telephone-event/8000"]);
    assert_eq!(lines(&answer, "a=fmtp:"), ["107 minptime=10;useinbandfec=1", "96 0-15"]);
    assert_eq!(agreed.audio.format.payload_type, 107);
    assert_eq!((agreed.audio.dtmf_send, agreed.audio.ptime_ms), (Some(event(96, 8_000)), 40));
}

#[test]
fn only_configured_codecs_are_in_common() {
    let mut local = sip_local();
    local.codecs = vec![CodecKind::Pcma];
    local.comfort_noise = false;
    let (answer, agreed) = SipNegotiator::new(local, 1).answer(plain("0 8 13", &[])).unwrap();
    assert_eq!(lines(&answer, "m="), ["audio 20000 RTP/AVP 8"]);
    assert_eq!(agreed.audio.comfort_noise, None);
}

#[test]
fn telephone_event_goes_with_the_clock_rate_of_the_codec() {
    let both = ["rtpmap:96 opus/48000/2", "rtpmap:100 telephone-event/8000", "rtpmap:102 telephone-event/48000"];
    assert_eq!(agreed("96 0 100 102", &both).dtmf_send, Some(event(102, 48_000)));
    assert_eq!(agreed("0 96 100 102", &both).dtmf_send, Some(event(100, 8_000)));
    assert_eq!(agreed("0 100 102", &both).dtmf_accept, [event(100, 8_000)], "48 kHz needs Opus beside it");
    // Opus with telephone-event at 8 kHz only, as many phones have it.
    let audio = agreed("96 100", &both);
    assert_eq!((audio.dtmf_send, audio.dtmf_accept), (Some(event(100, 8_000)), vec![event(100, 8_000)]));
}

#[test]
fn telephone_event_is_sent_only_to_those_who_take_the_keys() {
    let with = |list: &str| {
        let attributes = ["rtpmap:101 telephone-event/8000".to_owned(), format!("fmtp:101 {list}")];
        agreed("0 101", &attributes.iter().map(String::as_str).collect::<Vec<_>>())
    };
    for list in ["0-15", "0-16", "0-11", "0-11,66,70", "0-9,10,11", "events=0-15", "0 - 15"] {
        assert_eq!(with(list).dtmf_send, Some(event(101, 8_000)), "{list}");
    }
    for list in ["16", "66-70", "0-9", "1-15", "x", "11-0", "0-"] {
        assert_eq!((with(list).dtmf_send, with(list).dtmf_accept.len()), (None, 1), "{list}");
    }
}

#[test]
fn the_packet_time_is_one_that_can_be_sent() {
    let time = |formats: &str, attributes: &[&str]| {
        let mut all = vec!["rtpmap:96 opus/48000/2"];
        all.extend(attributes);
        agreed(formats, &all).ptime_ms
    };
    let cases = [
        ("ptime:10", 10, 10),
        ("ptime:20", 20, 20),
        ("ptime:30", 30, 20),
        ("ptime:50", 50, 40),
        ("ptime:25", 20, 20),
        ("ptime:5", 10, 10),
        ("ptime:120", 60, 60),
        ("ptime:20.0", 20, 20),
        ("ptime:0", 20, 20),
        ("ptime:-1", 20, 20),
        ("ptime:99999999999", 20, 20),
        ("maxptime:10", 10, 10),
        ("maxptime:120", 20, 20),
    ];
    for (attribute, pcmu, opus) in cases {
        assert_eq!((time("0", &[attribute]), time("96", &[attribute])), (pcmu, opus), "{attribute}");
    }
    assert_eq!(time("0", &["ptime:60", "maxptime:40"]), 40);
}

#[test]
fn first_offers_have_the_usual_numbers() {
    let (offer, _) = webrtc().offer(None);
    assert_eq!(lines(&offer, "m="), ["audio 10000 UDP/TLS/RTP/SAVPF 111 0 8 126 110"]);
    let mappings =
        ["111 opus/48000/2", "0 PCMU/8000", "8 PCMA/8000", "126 telephone-event/8000", "110 telephone-event/48000"];
    assert_eq!(lines(&offer, "a=rtpmap:"), mappings);
    let (offer, _) = sip().offer();
    assert_eq!(lines(&offer, "m="), ["audio 20000 RTP/AVP 0 8 96 13 101 102"]);
    assert_eq!(lines(&offer, "a=ptime:"), ["20"]);
}

#[test]
fn a_number_never_changes_its_meaning() {
    let mut negotiator = sip();
    let taken = ["rtpmap:96 AMR/8000", "rtpmap:101 opus/48000/2", "rtpmap:102 telephone-event/48000"];
    negotiator.answer(plain("101 0 96 102", &taken)).unwrap();
    let (offer, _) = negotiator.offer();
    let mappings = lines(&offer, "a=rtpmap:");
    assert!(mappings.contains(&"101 opus/48000/2") && mappings.contains(&"102 telephone-event/48000"));
    assert!(mappings.contains(&"97 telephone-event/8000"), "101 and 96 are taken: {mappings:?}");
    assert!(!mappings.iter().any(|mapping| mapping.starts_with("96 ")));
}

#[test]
fn an_answer_may_number_formats_in_its_own_way() {
    let mut negotiator = sip();
    let (_, pending) = negotiator.offer();
    let answer = plain("120 0 105", &["rtpmap:120 opus/48000/2", "rtpmap:105 telephone-event/48000"]);
    let audio = negotiator.accept_answer(pending, &answer).unwrap().audio;
    assert_eq!(audio.format, AudioFormat { codec: CodecKind::Opus, payload_type: 120 }, "we send by its numbers");
    assert_eq!(numbers(&audio.accept), [0, 96, 120], "it should send by ours, and may by its own");
    assert_eq!(audio.dtmf_send, Some(event(105, 48_000)));
    assert_eq!(audio.dtmf_accept, [event(102, 48_000), event(105, 48_000)]);
    let (offer, _) = negotiator.offer();
    assert_eq!(lines(&offer, "m="), ["audio 20000 RTP/AVP 0 8 96 13 101 102"]);
}

#[test]
fn an_answer_with_nothing_that_was_offered_is_refused() {
    for formats in ["9", "18 101", "13"] {
        let mut negotiator = sip();
        let (_, pending) = negotiator.offer();
        let refused = negotiator.accept_answer(pending, plain(formats, &[]));
        assert_eq!(refused.err(), Some(SdpError::NoCommonCodec), "{formats}");
    }
}
