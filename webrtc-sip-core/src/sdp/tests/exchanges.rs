//! Exchanges one after the other: versions, sections, roll-back, snapshots.

use super::*;

/// `o=` without the user name: identifier, version, address.
fn origin(text: &str) -> (String, u64, String) {
    let line = lines(text, "o=")[0];
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words.len(), 6, "{line}");
    (words[1].to_owned(), words[2].parse().unwrap(), words[5].to_owned())
}

#[test]
fn the_version_grows_by_one_with_every_change() {
    let mut negotiator = sip();
    let (first, _) = negotiator.offer();
    let (same, _) = negotiator.offer();
    assert_eq!(first, same);
    negotiator.set_direction(Direction::SendOnly);
    let (held, _) = negotiator.offer();
    negotiator.set_direction(Direction::SendRecv);
    let (resumed, _) = negotiator.offer();
    negotiator.relocate("203.0.113.1:30000".parse().unwrap(), "203.0.113.1:30001".parse().unwrap());
    let (moved, _) = negotiator.offer();
    let versions: Vec<u64> = [&first, &held, &resumed, &moved].map(|text| origin(text).1).to_vec();
    assert_eq!(versions, [1, 2, 3, 4]);
    let (id, _, address) = origin(&moved);
    assert_eq!((id, address), (origin(&first).0, "192.0.2.20".to_owned()), "only the version changes");
    assert_eq!(lines(&moved, "c="), ["IN IP4 203.0.113.1"]);
}

#[test]
fn identifiers_fit_63_bits() {
    let (offer, _) = webrtc().offer(None);
    assert_eq!(origin(&offer).0, (u64::MAX >> 1).to_string());
}

#[test]
fn a_dropped_offer_and_refused_ones_change_nothing() {
    let mut negotiator = sip();
    let (first, _) = negotiator.answer(plain("8 0", &["rtpmap:96 x/1"])).unwrap();
    let refused = negotiator.clone();
    assert!(negotiator.answer(plain("9", &[])).is_err());
    assert!(negotiator.answer(b"v=0\n").is_err());
    assert_eq!(negotiator, refused);

    negotiator.set_direction(Direction::SendOnly);
    drop(negotiator.offer());
    negotiator.set_direction(Direction::SendRecv);
    let (again, agreed) = negotiator.answer(plain("8 0", &["rtpmap:96 x/1"])).unwrap();
    let body = |text: &str| text.split_once("\r\ns=").unwrap().1.to_owned();
    assert_eq!(body(&first), body(&again));
    assert_eq!(origin(&again).1, 3, "a version is never used for two descriptions");
    assert_eq!(agreed.audio.format.codec, CodecKind::Pcma);

    let mut browser = webrtc();
    let (offer, _) = webrtc().offer(None);
    browser.answer(&offer, ice(9)).unwrap();
    let before = browser.clone();
    assert!(browser.answer(offer.replace("a=rtcp-mux\r\n", ""), ice(9)).is_err());
    assert_eq!(browser, before);
}

#[test]
fn an_answer_to_an_overtaken_offer_is_refused() {
    let mut negotiator = sip();
    let (_, first) = negotiator.offer();
    let (_, second) = negotiator.offer();
    assert_eq!(negotiator.early_answer(&first, plain("0", &[])).err(), Some(SdpError::StaleOffer));
    assert_eq!(negotiator.accept_answer(first, plain("0", &[])).err(), Some(SdpError::StaleOffer));
    assert!(negotiator.accept_answer(second, plain("0", &[])).is_ok());
    let (_, third) = negotiator.offer();
    negotiator.answer(plain("0", &[])).unwrap();
    assert_eq!(negotiator.accept_answer(third, plain("0", &[])).err(), Some(SdpError::StaleOffer));

    let (mut caller, mut callee) = (webrtc(), webrtc());
    let (offer, first) = caller.offer(None);
    let (_, _second) = caller.offer(None);
    let (answer, _) = callee.answer(&offer, ice(9)).unwrap();
    assert_eq!(caller.accept_answer(first, &answer).err(), Some(SdpError::StaleOffer));
}

#[test]
fn an_offer_may_have_early_answers_before_the_final_one() {
    let mut negotiator = sip();
    let (_, pending) = negotiator.offer();
    let before = negotiator.clone();
    let ringing = negotiator.early_answer(&pending, plain("8", &["sendonly"])).unwrap();
    assert!(!ringing.audio.send && ringing.audio.receive);
    assert_eq!(ringing.audio.format.codec, CodecKind::Pcma);
    assert_eq!(negotiator, before);
    let answered = negotiator.accept_answer(pending, plain("0", &[])).unwrap();
    assert_eq!(answered.audio.format.codec, CodecKind::Pcmu);
    assert!(answered.audio.send);
}

#[test]
fn an_answer_without_the_audio_section_is_refused() {
    for sections in ["", "m=audio 0 RTP/AVP 0\n", "m=video 4000 RTP/AVP 0\nm=audio 4000 RTP/AVP 0\n"] {
        let answer = format!("v=0\nc=IN IP4 192.0.2.1\n{sections}");
        let mut negotiator = sip();
        let (_, pending) = negotiator.offer();
        assert_eq!(negotiator.accept_answer(pending, answer.as_bytes()).err(), Some(SdpError::NoAudio));
    }
}

#[test]
fn rejected_sections_keep_their_places_and_mids_in_our_offers() {
    let (browser_offer, _) = webrtc().offer(None);
    let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:d\r\n";
    let with_data = browser_offer.replacen("m=audio", &format!("{data}m=audio"), 1);
    let mut negotiator = webrtc();
    let (answer, agreed) = negotiator.answer(with_data.replace("BUNDLE 0", "BUNDLE d 0"), ice(9)).unwrap();
    assert_eq!(lines(&answer, "a=group:"), ["BUNDLE 0"]);
    assert_eq!(agreed.mid.as_deref(), Some("0"));
    let (offer, pending) = negotiator.offer(None);
    assert_eq!(lines(&offer, "m=")[0], "application 0 UDP/DTLS/SCTP webrtc-datachannel");
    assert_eq!((lines(&offer, "a=mid:"), lines(&offer, "a=group:")), (vec!["d", "0"], vec!["BUNDLE 0"]));
    let (answer, _) = webrtc().answer(&offer, ice(9)).unwrap();
    assert!(negotiator.accept_answer(pending, &answer).unwrap().audio.send);
}

/// Another node goes on from a snapshot: same identifiers, next version, new SSRC, same DTLS role, new credentials for
/// the browser's ICE restart.
#[test]
fn a_restored_negotiator_goes_on() {
    let mut browser = WebRtcNegotiator::new(WebRtcLocal { ice: ice(20), ice_lite: false, ..webrtc_local() }, 5);
    let mut first_node = webrtc();
    let (offer, pending) = browser.offer(None);
    let (answer, agreed) = first_node.answer(&offer, ice(9)).unwrap();
    assert!(!agreed.ice_restart);
    browser.accept_answer(pending, &answer).unwrap();

    let snapshot = serde_json::to_string(&first_node).unwrap();
    let mut second_node: WebRtcNegotiator = serde_json::from_str(&snapshot).unwrap();
    assert_eq!(first_node, second_node);
    second_node.relocate(99, vec!["203.0.113.99:4000".parse().unwrap()]);
    let (offer, pending) = browser.offer(Some(ice(21)));
    let (restarted, agreed) = second_node.answer(&offer, ice(10)).unwrap();
    assert!(agreed.ice_restart);
    assert_eq!((&agreed.local_ice, &agreed.remote.ice), (&ice(10), &ice(21)));
    assert_eq!(origin(&restarted), (origin(&answer).0, 2, "0.0.0.0".to_owned()));
    for kept in ["a=setup:", "a=fingerprint:", "a=msid:", "a=mid:"] {
        assert_eq!(lines(&restarted, kept), lines(&answer, kept), "{kept}");
    }
    assert_eq!(lines(&restarted, "a=ssrc:"), ["99 cname:cname"]);
    let agreed = browser.accept_answer(pending, &restarted).unwrap();
    assert!(agreed.ice_restart);
    assert_eq!((agreed.local_ice, agreed.remote.ssrcs), (ice(21), vec![99]));

    let mut plain_leg = sip();
    plain_leg.answer(plain("0", &["sendonly"])).unwrap();
    let restored: SipNegotiator = serde_json::from_str(&serde_json::to_string(&plain_leg).unwrap()).unwrap();
    assert_eq!(restored, plain_leg);
}
