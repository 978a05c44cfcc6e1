//! What real senders get wrong, what is refused, and where the limits are.

use super::*;

#[test]
fn line_ends_blank_lines_and_spaces_do_not_matter() {
    let crlf = String::from_utf8(plain("0  8", &["sendonly"])).unwrap();
    let (expected, agreed) = sip().answer(crlf.as_bytes()).unwrap();
    let variants = [
        crlf.replace("\r\n", "\n"),
        crlf.replace("\r\n", "\r"),
        crlf.replace("\r\n", " \r\n\r\n"),
        crlf.replace("m=audio 4000", "m= audio  4000"),
        crlf.replace("a=sendonly", "a= SendOnly"),
        crlf.trim_end().to_owned(),
        format!("\r\n{crlf}"),
    ];
    for variant in variants {
        assert_eq!(sip().answer(variant.as_bytes()), Ok((expected.clone(), agreed.clone())), "{variant:?}");
    }
}

#[test]
fn lines_that_do_not_matter_may_be_wrong() {
    let mut offer =
        b"v=0\r\no=The Office Phone 1 1 IN IP4\r\ns=B\xfcro\r\ns=again\r\nc=IN IP4 198.51.100.1\r\n".to_vec();
    offer.extend_from_slice(
        b"c=IN IP4 203.0.113.9\r\nb=X-YZ\r\nt=now\r\nr=x\r\nnonsense\r\n=\r\na=\r\na=:x\r\na=x:\0\r\n",
    );
    offer.extend_from_slice(b"m=audio 4000 RTP/AVP 0\r\nb=AS\r\nk=\r\nm=video 5000 RTP/AVP 31\r\nc=nowhere\r\n");
    let (answer, agreed) = sip().answer(&offer).unwrap();
    assert_eq!(lines(&answer, "m="), ["audio 20000 RTP/AVP 0", "video 0 RTP/AVP 31"]);
    let rtp = "198.51.100.1:4000".parse().unwrap();
    assert_eq!(agreed.remote, RemoteMedia::Address { rtp, rtcp: "198.51.100.1:4001".parse().unwrap() });
}

#[test]
fn the_rtcp_address_is_read_and_written_as_rfc_3605_says() {
    let rtcp = |attributes: &[&str]| match sip().answer(plain("0", attributes)).unwrap().1.remote {
        RemoteMedia::Address { rtcp, .. } => rtcp.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(rtcp(&["rtcp:5000"]), "198.51.100.1:5000");
    assert_eq!(rtcp(&["rtcp:5000 IN IP4 203.0.113.5"]), "203.0.113.5:5000");
    assert_eq!(rtcp(&["rtcp:5000 IN IP4 0.0.0.0"]), "198.51.100.1:5000");
    assert_eq!(rtcp(&["rtcp:x"]), "198.51.100.1:4001");

    let written = |rtcp: &str| {
        let local = SipLocal { rtcp: rtcp.parse().unwrap(), ..sip_local() };
        lines(&SipNegotiator::new(local, 1).offer().0, "a=rtcp:").join("|")
    };
    assert_eq!(written("192.0.2.20:20001"), "");
    assert_eq!(written("192.0.2.20:20007"), "20007");
    assert_eq!(written("[2001:db8::1]:20001"), "20001 IN IP6 2001:db8::1");
}

#[test]
fn the_address_of_a_section_overrules_that_of_the_session_level() {
    let mut offer = plain("0", &[]);
    offer.extend_from_slice(b"c=IN IP6 2001:db8::7\r\n");
    let (_, agreed) = sip().answer(&offer).unwrap();
    let [rtp, rtcp] = ["[2001:db8::7]:4000", "[2001:db8::7]:4001"].map(|address| address.parse().unwrap());
    assert_eq!(agreed.remote, RemoteMedia::Address { rtp, rtcp });
}

#[test]
fn refused_offers_have_their_reason() {
    let cases = [
        ("", SdpError::NoVersion),
        ("o=- 1 1 IN IP4 0.0.0.0\nv=0\n", SdpError::NoVersion),
        ("v=1\n", SdpError::NoVersion),
        ("v=0\n", SdpError::NoAudio),
        ("v=0\nm=audio 0 RTP/AVP 0\n", SdpError::NoAudio),
        ("v=0\nc=IN IP4 192.0.2.1\nm=video 4000 RTP/AVP 0\n", SdpError::NoAudio),
        ("v=0\nc=IN IP4 192.0.2.1\nm=image 4000 udptl t38\n", SdpError::NoAudio),
        ("v=0\nm=audio 4000 RTP/AVP\n", SdpError::BadMediaLine),
        ("v=0\nm=audio 66000 RTP/AVP 0\n", SdpError::BadMediaLine),
        ("v=0\nm=audio -1 RTP/AVP 0\n", SdpError::BadMediaLine),
        ("v=0\nm=audio 4000/x RTP/AVP 0\n", SdpError::BadMediaLine),
        ("v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/SAVP 0\n", SdpError::UnsupportedProfile),
        ("v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 9 x 300\n", SdpError::NoCommonCodec),
        ("v=0\nm=audio 4000 RTP/AVP 0\n", SdpError::MissingAddress),
        ("v=0\nc=IN IP4 224.2.1.1/127\nm=audio 4000 RTP/AVP 0\n", SdpError::UnsupportedAddress),
        ("v=0\nc=IN IP4 255.255.255.255\nm=audio 4000 RTP/AVP 0\n", SdpError::UnsupportedAddress),
        ("v=0\nc=IN IP4 not_a_host\nm=audio 4000 RTP/AVP 0\n", SdpError::UnsupportedAddress),
    ];
    for (offer, reason) in cases {
        assert_eq!(sip().answer(offer.as_bytes()).err(), Some(reason), "{offer}");
    }
}

#[test]
fn reasons_are_those_of_the_signalling_protocol() {
    let reasons = [
        (SdpError::NoAudio, "no_audio"),
        (SdpError::NoCommonCodec, "no_common_codec"),
        (SdpError::BadCandidate, "bad_candidate"),
        (SdpError::StaleOffer, "wrong_state"),
        (SdpError::MissingFingerprint, "bad_sdp"),
        (SdpError::TooLong, "bad_sdp"),
    ];
    for (error, reason) in reasons {
        assert_eq!(error.reason(), reason);
    }
}

#[test]
fn a_secured_section_is_passed_over_for_a_plain_one() {
    let mut offer = b"v=0\r\nc=IN IP4 198.51.100.1\r\nm=audio 4000 RTP/SAVP 0\r\n".to_vec();
    offer.extend_from_slice(b"m=audio 4002 RTP/AVP 0\r\nm=audio 4004 RTP/AVP 0\r\n");
    let mut negotiator = sip();
    let (answer, _) = negotiator.answer(&offer).unwrap();
    let expected = ["audio 0 RTP/SAVP 0", "audio 20000 RTP/AVP 0", "audio 0 RTP/AVP 0"];
    assert_eq!(lines(&answer, "m="), expected);
    // The section in use stays in use, and our own offers keep it in its place.
    let (offer, pending) = negotiator.offer();
    let offered: Vec<&str> = lines(&offer, "m=").iter().map(|line| &line[..8]).collect();
    assert_eq!(offered, ["audio 0 ", "audio 20", "audio 0 "]);
    let answer = "v=0\nc=IN IP4 198.51.100.1\nm=audio 0 RTP/SAVP 0\nm=audio 5000 RTP/AVP 0\nm=audio 0 RTP/AVP 0\n";
    let agreed = negotiator.accept_answer(pending, answer.as_bytes()).unwrap();
    assert!(matches!(agreed.remote, RemoteMedia::Address { rtp, .. } if rtp.port() == 5000));
}

#[test]
fn every_limit_holds() {
    let sections = |count| {
        let mut text = String::from_utf8(plain("0", &[])).unwrap();
        (1..count).for_each(|_| text.push_str("m=video 0 RTP/AVP 31\r\n"));
        sip().answer(text.as_bytes()).map(|(answer, _)| lines(&answer, "m=").len())
    };
    assert_eq!(sections(MAX_MEDIA_SECTIONS), Ok(MAX_MEDIA_SECTIONS));
    assert_eq!(sections(MAX_MEDIA_SECTIONS + 1), Err(SdpError::TooManySections));

    let formats =
        |count| sip().answer(plain(&vec!["0"; count].join(" "), &[])).map(|(_, agreed)| agreed.audio.accept.len());
    assert_eq!(formats(MAX_SECTION_FORMATS), Ok(1));
    assert_eq!(formats(MAX_SECTION_FORMATS + 1), Err(SdpError::TooManyFormats));

    let with_lines = |count| {
        let mut text = plain("0", &[]);
        (6..count).for_each(|_| text.extend_from_slice(b"a=x\r\n"));
        sip().answer(&text).map(|_| ())
    };
    assert_eq!(with_lines(MAX_LINES), Ok(()));
    assert_eq!(with_lines(MAX_LINES + 1), Err(SdpError::TooManyLines));

    let with_bytes = |count: usize| {
        let mut text = plain("0", &[]);
        text.extend_from_slice(b"a=");
        text.resize(count, b'x');
        sip().answer(&text).map(|_| ())
    };
    assert_eq!(with_bytes(MAX_SDP_BYTES), Ok(()));
    assert_eq!(with_bytes(MAX_SDP_BYTES + 1), Err(SdpError::TooLong));
}
