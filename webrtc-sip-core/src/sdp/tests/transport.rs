//! ICE, DTLS and BUNDLE in WebRTC descriptions.

use super::*;

fn offer() -> String {
    let browser = WebRtcLocal { ice: ice(20), ice_lite: false, ..webrtc_local() };
    WebRtcNegotiator::new(browser, 5).offer(None).0
}

#[test]
fn what_webrtc_requires_is_required() {
    let cases = [
        ("a=rtcp-mux\r\n", "", SdpError::MissingRtcpMux),
        ("a=ice-ufrag:ufrag20\r\n", "", SdpError::MissingIceCredentials),
        ("a=ice-ufrag:ufrag20\r\n", "a=ice-ufrag:abc\r\n", SdpError::MissingIceCredentials),
        ("a=ice-pwd:password-of-22-characters-20\r\n", "a=ice-pwd:short\r\n", SdpError::MissingIceCredentials),
        ("a=fingerprint:sha-256 A5:", "a=fingerprint:sha-256 ", SdpError::MissingFingerprint),
        ("a=fingerprint:sha-256", "a=fingerprint:md5", SdpError::MissingFingerprint),
        ("a=setup:actpass", "a=setup:holdconn", SdpError::UnsupportedSetup),
        ("UDP/TLS/RTP/SAVPF", "UDP/BFCP", SdpError::UnsupportedProfile),
        ("m=audio 10000", "m=audio 0", SdpError::NoAudio),
        ("m=audio", "m=video", SdpError::NoAudio),
    ];
    for (from, to, reason) in cases {
        let changed = offer().replace(from, to);
        assert_ne!(changed, offer(), "{from}");
        assert_eq!(webrtc().answer(&changed, ice(9)).err(), Some(reason), "{from} {to}");
    }
}

#[test]
fn the_dtls_role_follows_the_offer_and_then_stays() {
    let full_agent = || WebRtcNegotiator::new(WebRtcLocal { ice_lite: false, ..webrtc_local() }, 1);
    let cases = [
        ("a=setup:actpass\r\n", DtlsRole::Client, DtlsRole::Server),
        ("", DtlsRole::Client, DtlsRole::Server),
        ("a=setup:active\r\n", DtlsRole::Server, DtlsRole::Server),
        ("a=setup:passive\r\n", DtlsRole::Client, DtlsRole::Client),
    ];
    for (setup, full, lite) in cases {
        let offer = offer().replace("a=setup:actpass\r\n", setup);
        for (mut negotiator, role) in [(full_agent(), full), (webrtc(), lite)] {
            let (answer, agreed) = negotiator.answer(&offer, ice(9)).unwrap();
            assert_eq!(agreed.remote.dtls_role, role, "{setup}");
            let written = if role == DtlsRole::Client { "active" } else { "passive" };
            assert_eq!(lines(&answer, "a=setup:"), [written]);
            // Later offers say actpass again and change nothing.
            let (_, agreed) = negotiator.answer(self::offer(), ice(9)).unwrap();
            assert_eq!(agreed.remote.dtls_role, role, "{setup}");
        }
    }
}

#[test]
fn a_new_certificate_leaves_the_dtls_role_open_again() {
    let mut negotiator = webrtc();
    let (_, agreed) = negotiator.answer(offer().replace("a=setup:actpass", "a=setup:passive"), ice(9)).unwrap();
    assert_eq!(agreed.remote.dtls_role, DtlsRole::Client);
    let (_, agreed) = negotiator.answer(offer().replace("sha-256 A5", "sha-256 5A"), ice(9)).unwrap();
    assert_eq!(agreed.remote.dtls_role, DtlsRole::Server);
}

#[test]
fn the_answer_to_our_offer_decides_our_role() {
    for (setup, role) in [
        ("a=setup:active\r\n", Ok(DtlsRole::Server)),
        ("a=setup:passive\r\n", Ok(DtlsRole::Client)),
        ("", Ok(DtlsRole::Server)),
        ("a=setup:actpass\r\n", Err(SdpError::UnsupportedSetup)),
    ] {
        let mut caller = webrtc();
        let (offer, pending) = caller.offer(None);
        assert_eq!(lines(&offer, "a=setup:"), ["actpass"]);
        let (answer, _) = webrtc().answer(&offer, ice(9)).unwrap();
        let answer = answer.replace("a=setup:passive\r\n", setup);
        assert_eq!(caller.accept_answer(pending, &answer).map(|agreed| agreed.remote.dtls_role), role, "{setup}");
    }
}

#[test]
fn ice_restarts_when_the_credentials_change() {
    let mut negotiator = webrtc();
    let (first, agreed) = negotiator.answer(offer(), ice(1)).unwrap();
    assert!(!agreed.ice_restart && agreed.local_ice == ice(0), "the first exchange is no restart");
    let (_, agreed) = negotiator.answer(offer(), ice(1)).unwrap();
    assert!(!agreed.ice_restart && agreed.local_ice == ice(0));
    let restarting = offer().replace("ufrag20", "ufrag21").replace("characters-20", "characters-21");
    let (answer, agreed) = negotiator.answer(&restarting, ice(1)).unwrap();
    assert!(agreed.ice_restart && agreed.local_ice == ice(1) && agreed.remote.ice == ice(21));
    assert_eq!(lines(&answer, "a=ice-ufrag:"), ["ufrag1"]);
    assert_ne!(lines(&answer, "a=ice-pwd:"), lines(&first, "a=ice-pwd:"));
    assert_eq!(negotiator.local_ice(), &ice(1));
}

#[test]
fn a_refused_restart_leaves_the_credentials() {
    let mut negotiator = webrtc();
    negotiator.answer(offer(), ice(1)).unwrap();
    drop(negotiator.offer(Some(ice(2))));
    assert_eq!(negotiator.local_ice(), &ice(0));
    let bad = offer().replace("ufrag20", "ufrag21").replace("a=rtcp-mux\r\n", "");
    assert!(negotiator.answer(&bad, ice(3)).is_err());
    assert_eq!(negotiator.local_ice(), &ice(0));
}

#[test]
fn a_bundled_section_takes_its_transport_from_the_tagged_one() {
    let text = offer();
    let (transport, rest): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| {
        ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup", "a=rtcp-mux", "a=candidate"]
            .iter()
            .any(|name| line.starts_with(name))
    });
    let video = format!(
        "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\na=rtpmap:96 VP8/90000\r\n{}\r\n",
        transport.join("\r\n")
    );
    let rest = format!("{}\r\n", rest.join("\r\n")).replace("BUNDLE 0", "BUNDLE v 0");
    let bundled = rest.replacen("m=audio 10000", &format!("{video}m=audio 0"), 1) + "a=bundle-only\r\n";
    let mut negotiator = webrtc();
    let (answer, agreed) = negotiator.answer(&bundled, ice(9)).unwrap();
    assert_eq!((agreed.remote.ice, agreed.remote.fingerprints.len()), (ice(20), 1));
    assert_eq!((agreed.remote.candidates.len(), agreed.mid.as_deref()), (2, Some("0")));
    // The section that the transport belongs to stays alive for it, also in later exchanges.
    let check = |text: &str| {
        let expected = ["video 10000 UDP/TLS/RTP/SAVPF 96", "audio 10000 UDP/TLS/RTP/SAVPF 111 0 8 126 110"];
        assert_eq!(lines(text, "m="), expected);
        assert_eq!(lines(text, "a=group:"), ["BUNDLE v 0"]);
        assert_eq!((lines(text, "a=inactive").len(), lines(text, "a=rtcp-mux").len()), (1, 2));
    };
    check(&answer);
    let (answer, _) = negotiator.answer(bundled.replace("m=audio 0", "m=audio 9"), ice(9)).unwrap();
    check(&answer);
    let (offer, _) = negotiator.offer(None);
    check(&offer.replace("a=rtcp-mux-only\r\n", ""));
    let refused = bundled.replace("m=audio 0", "m=audio 9").replace("m=video 9", "m=video 0");
    let (answer, _) = negotiator.answer(refused, ice(9)).unwrap();
    assert_eq!(lines(&answer, "a=group:"), ["BUNDLE 0"]);
    let independent = bundled.replace("m=audio 0", "m=audio 9") + "a=ice-ufrag:other\r\n";
    let (answer, agreed) = webrtc().answer(independent, ice(9)).unwrap();
    assert_eq!((lines(&answer, "a=group:"), agreed.remote.ice.ufrag.as_str()), (vec!["BUNDLE 0"], "other"));
    assert_eq!(lines(&answer, "m=")[0], "video 0 UDP/TLS/RTP/SAVPF 96");
    let ungrouped = bundled.replace("a=group:BUNDLE v 0\r\n", "");
    assert_eq!(webrtc().answer(&ungrouped, ice(9)).err(), Some(SdpError::NoAudio), "port 0 without a bundle");
}

#[test]
fn an_offer_without_mids_or_bundle_is_answered_without() {
    let (answer, agreed) = webrtc().answer(offer().replace("a=group:BUNDLE 0\r\n", ""), ice(9)).unwrap();
    assert!(lines(&answer, "a=group:").is_empty() && agreed.mid.is_some());
    let plain = offer().replace("a=mid:0\r\n", "");
    let (answer, agreed) = webrtc().answer(&plain, ice(9)).unwrap();
    assert!(lines(&answer, "a=group:").is_empty() && lines(&answer, "a=mid").is_empty() && agreed.mid.is_none());
}

#[test]
fn attributes_may_stand_at_session_level() {
    let text = offer();
    let moved: Vec<&str> =
        text.lines().filter(|line| line.starts_with("a=ice-") || line.starts_with("a=fingerprint")).collect();
    let rest: Vec<&str> = text.lines().filter(|line| !moved.contains(line)).collect();
    let text = rest.join("\r\n").replacen("m=audio", &format!("{}\r\nm=audio", moved.join("\r\n")), 1);
    let (_, agreed) = webrtc().answer(&text, ice(9)).unwrap();
    assert_eq!((agreed.remote.ice, agreed.remote.fingerprints.len()), (ice(20), 1));
}

#[test]
fn what_does_not_send_announces_no_source() {
    let mut negotiator = webrtc();
    negotiator.set_direction(Direction::RecvOnly);
    let (answer, agreed) = negotiator.answer(offer(), ice(9)).unwrap();
    assert!(lines(&answer, "a=ssrc:").is_empty() && lines(&answer, "a=msid:").is_empty());
    assert_eq!(agreed.remote.ssrcs, [0x1234_5678]);
    assert!(!agreed.remote.more_candidates, "all candidates were in the offer");
}

#[test]
fn without_candidates_the_port_is_discard() {
    let local = WebRtcLocal { candidates: Vec::new(), ..webrtc_local() };
    let (offer, _) = WebRtcNegotiator::new(local, 1).offer(None);
    assert!(lines(&offer, "m=")[0].starts_with("audio 9 "));
    assert_eq!(lines(&offer, "c="), ["IN IP4 0.0.0.0"]);
    assert!(lines(&offer, "a=end-of-candidates").is_empty());
    let (_, agreed) = webrtc().answer(&offer, ice(9)).unwrap();
    assert!(agreed.remote.more_candidates && agreed.remote.ice_lite);
}

#[test]
fn passwords_stay_out_of_logs() {
    assert!(!format!("{:?}", webrtc()).contains("password-of"));
}
