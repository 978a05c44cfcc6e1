//! Offers that browsers and other WebRTC stacks made, answered as RFC 9429 section 5.3 says.

use std::fs;

use crate::test_data;

use super::*;

/// Every recorded offer with its file name.
fn offers() -> Vec<(String, String)> {
    let Some(folder) = test_data::path("sdp/browsers") else { return Vec::new() };
    let mut offers: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    offers.sort();
    assert!(offers.len() >= 30, "the recorded offers are complete");
    offers
}

fn audio_of(text: &str) -> &str {
    sections(text).into_iter().find(|section| section.starts_with("audio")).unwrap()
}

fn sections(text: &str) -> Vec<&str> {
    text.split("\r\nm=").skip(1).collect()
}

#[test]
fn every_recorded_offer_is_answered_or_has_no_audio() {
    for (name, offer) in offers() {
        let answered = webrtc().answer(&offer, ice(9));
        if !offer.contains("m=audio") {
            assert_eq!(answered.err(), Some(SdpError::NoAudio), "{name}");
            continue;
        }
        let (answer, agreed) = answered.unwrap_or_else(|error| panic!("{name}: {error}"));
        check_answer(&name, &offer, &answer, &agreed);
    }
}

fn check_answer(name: &str, offer: &str, answer: &str, agreed: &AgreedWebRtc) {
    let offer = offer.replace("\r\n", "\n").replace('\n', "\r\n");
    let (offered, answered) = (sections(&offer), sections(answer));
    assert_eq!(offered.len(), answered.len(), "{name}: as many sections");
    let used = offered.iter().position(|section| section.starts_with("audio")).unwrap();
    let mut group = Vec::new();
    for (index, (theirs, ours)) in offered.iter().zip(&answered).enumerate() {
        let theirs: Vec<&str> = theirs.lines().next().unwrap().split(' ').collect();
        let m_line: Vec<&str> = ours.lines().next().unwrap().split(' ').collect();
        assert_eq!((m_line[0], m_line[2]), (theirs[0], theirs[2]), "{name}: kind and protocol");
        assert_eq!(lines(ours, "a=mid:"), lines(offered[index], "a=mid:"), "{name}");
        assert_eq!(m_line[1] != "0", index == used, "{name}: only the first audio section is used");
        if index == used {
            group.extend(lines(ours, "a=mid:"));
            assert!(m_line[3..].iter().all(|format| theirs[3..].contains(format)), "{name}: the offer's numbers");
            assert!(m_line.len() > 3);
        }
    }
    assert_eq!(lines(answer, "a=group:BUNDLE "), [group.join(" ")], "{name}");
    assert!(answer.contains("\r\na=ice-lite\r\n") && answer.contains("\r\na=ice-options:trickle\r\n"));
    check_audio(name, &offer, answered[used], agreed);
}

fn check_audio(name: &str, offer: &str, audio: &str, agreed: &AgreedWebRtc) {
    assert_eq!(lines(audio, "a=rtcp-mux"), [""], "{name}");
    assert_eq!(lines(audio, "a=setup:"), ["passive"], "{name}: an ICE-lite agent answers actpass");
    assert_eq!(lines(audio, "a=ice-ufrag:"), ["ufrag0"]);
    assert_eq!(lines(audio, "a=candidate:").len(), 2);
    assert_eq!(lines(audio, "a=end-of-candidates"), [""]);
    assert!(lines(audio, "a=fingerprint:")[0].starts_with("sha-256 A5:A5:"));
    assert!(lines(audio, "a=extmap").is_empty() && lines(audio, "a=rtcp-fb").is_empty());

    assert_eq!(agreed.audio.format.codec, CodecKind::Opus, "{name}: what browsers prefer");
    assert!(offer.contains(&format!("a=rtpmap:{} opus/48000/2", agreed.audio.format.payload_type)));
    assert_eq!((agreed.audio.accept.len(), agreed.remote_hold), (3, false), "{name}");
    let receives_only = name.contains("recvonly");
    assert_eq!((agreed.audio.send, agreed.audio.receive), (true, !receives_only), "{name}");
    assert_eq!(lines(audio, if receives_only { "a=sendonly" } else { "a=sendrecv" }), [""], "{name}");
    assert_eq!(agreed.remote.dtls_role, DtlsRole::Server);
    assert!(agreed.remote.fingerprints.iter().any(|f| f.algorithm == "sha-256" && f.digest.len() == 32));
    // Chromium never writes end-of-candidates.
    let may_trickle = name.contains("trickle") || name.starts_with("chromium") || name.starts_with("roamhq");
    assert_eq!(agreed.remote.more_candidates, may_trickle, "{name}");
    // Chromium's candidates hide behind .local names; of Firefox's, TCP and component 2 are of no use.
    let usable = lines(audio_of(offer), "a=candidate:")
        .into_iter()
        .filter(|line| line.contains(" 1 udp ") || line.contains(" 1 UDP "))
        .filter(|line| !line.contains(".local"));
    assert_eq!(agreed.remote.candidates, usable.map(|line| format!("candidate:{line}")).collect::<Vec<_>>(), "{name}");
    assert!(!agreed.remote.ice_lite && !agreed.ice_restart);
    assert!(offer.contains(&format!("a=ice-pwd:{}", agreed.remote.ice.password)));
    let speech: Vec<DtmfFormat> = agreed.audio.dtmf_accept.clone();
    assert_eq!(speech.is_empty(), !offer.contains("telephone-event"), "{name}");
}

#[test]
fn chromium_gets_telephone_event_at_the_clock_rate_of_opus() {
    for (name, offer) in offers().into_iter().filter(|(name, _)| name.starts_with("chromium156.audio-sendrecv")) {
        let (_, agreed) = webrtc().answer(&offer, ice(9)).unwrap();
        let opus = Some(DtmfFormat { payload_type: 110, clock_rate_hz: 48_000 });
        assert_eq!((agreed.audio.dtmf_send, agreed.audio.dtmf_accept.len()), (opus, 2), "{name}");
        assert_eq!(agreed.audio.comfort_noise, Some(13), "{name}");
    }
}

#[test]
fn the_same_offer_again_gets_the_same_answer_with_the_same_version() {
    for (name, offer) in offers().into_iter().filter(|(_, offer)| offer.contains("m=audio")) {
        let mut negotiator = webrtc();
        let (first, agreed) = negotiator.answer(&offer, ice(9)).unwrap();
        let (second, again) = negotiator.answer(&offer, ice(9)).unwrap();
        assert_eq!((first, agreed), (second, again), "{name}");
    }
}
