//! Whole messages: the torture tests of RFC 4475, the call flows of RFC 3261 and RFC 3665, and arbitrary bytes.

use proptest::prelude::*;

use super::framing::{Frame, StreamFramer};
use super::validate::{self, Capabilities};
use super::*;
use crate::test_data;

/// What happens to a torture message in an endpoint.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// A request that passes every check.
    Served,
    /// A well-formed request that the endpoint refuses.
    Refused(u16),
    /// A bad request that is answered.
    Rejected(u16),
    /// Not answered at all.
    Dropped,
    /// A well-formed response.
    Response,
}
use Outcome::{Dropped, Refused, Rejected, Served};

fn endpoint() -> Capabilities {
    Capabilities {
        methods: vec![
            Method::Invite,
            Method::Ack,
            Method::Cancel,
            Method::Bye,
            Method::Options,
            Method::Register,
            Method::Message,
        ],
        extensions: vec![],
        body_types: vec!["application/sdp", "text/plain", "multipart/mixed"],
    }
}

fn outcome(data: &[u8]) -> Outcome {
    match Message::parse(data) {
        Ok(Message::Request(request)) => match endpoint().check(&request) {
            Ok(()) => Served,
            Err(rejection) => Refused(rejection.response.status),
        },
        Ok(Message::Response(_)) => Outcome::Response,
        Err(ParseError::Rejected(rejection)) => Rejected(rejection.response.status),
        Err(ParseError::Dropped(_)) => Dropped,
    }
}

/// Where RFC 4475 leaves a choice, this is ours.
fn expected(file: &str) -> Option<Outcome> {
    Some(match file {
        "wsinv" | "esc01" | "escnull" | "lwsdisp" | "longreq" | "dblreq" | "semiuri" | "transports" | "mpart01" => {
            Served
        }
        "escruri" | "baddate" | "badbranch" | "unksm2" | "regaut01" | "zeromf" | "cparam01" | "cparam02" => Served,
        "regescrt" | "inv2543" => Served,
        "unreason" | "noreason" | "bcast" => Outcome::Response,
        "intmeth" | "esc02" => Refused(501),
        "unkscm" | "novelsc" => Refused(416),
        "bext01" => Refused(420),
        "invut" => Refused(415),
        "sdp01" => Refused(406),
        "badinv01" | "clerr" | "ncl" | "scalar02" | "quotbal" | "ltgtruri" | "lwsruri" | "lwsstart" => Rejected(400),
        "trws" | "regbadct" | "badaspec" | "baddn" | "mismatch01" | "mismatch02" | "insuf" => Rejected(400),
        "multi01" | "mcl01" => Rejected(400),
        "badvers" => Rejected(505),
        "scalarlg" | "bigcode" | "test" => Dropped,
        _ => return None,
    })
}

fn torture(file: &str) -> Option<Vec<u8>> {
    let path = test_data::path(&format!("sip/rfc4475/{file}.dat"))?;
    Some(std::fs::read(path).unwrap())
}

#[test]
fn the_torture_tests_of_rfc_4475() {
    let Some(table) = test_data::path("sip/rfc4475/verdicts.tsv") else { return };
    let table = std::fs::read_to_string(table).unwrap();
    let mut rows = 0;
    for row in table.lines().skip(1) {
        let mut columns = row.split('\t');
        let (file, verdict) = (columns.next().unwrap().trim_end_matches(".dat"), columns.nth(1).unwrap());
        let data = torture(file).unwrap();
        let outcome = outcome(&data);
        assert_eq!(Some(&outcome), expected(file).as_ref(), "{file}: {:?}", Message::parse(&data));
        let parsed = !matches!(outcome, Rejected(_) | Dropped);
        match verdict {
            "valid" | "accept-liberal" | "valid-parse" => assert!(parsed, "{file} is valid"),
            "invalid" => assert!(!parsed, "{file} is invalid"),
            "app-reject" => assert!(matches!(outcome, Refused(_) | Rejected(_)), "{file} is to be refused"),
            "reject-or-liberal" => assert_ne!(outcome, Dropped, "{file} deserves an answer"),
            other => panic!("unknown verdict {other}"),
        }
        if parsed {
            assert_fixed_point(&data);
        }
        rows += 1;
    }
    assert_eq!(rows, 50);
}

fn torture_message(file: &str) -> Option<Message> {
    torture(file).map(|data| Message::parse(&data).unwrap())
}

fn torture_request(file: &str) -> Option<Request> {
    torture_message(file).map(|message| match message {
        Message::Request(request) => request,
        Message::Response(_) => panic!("{file} is a request"),
    })
}

/// What the torture messages that are served must have been understood as.
#[test]
fn the_torture_tests_are_read_right() {
    let Some(wsinv) = torture_request("wsinv") else { return };
    assert_eq!(wsinv.headers.vias().unwrap().len(), 3);
    assert_eq!(wsinv.headers.from().unwrap().display_name.as_deref(), Some("J Rosenberg \\\""));
    assert_eq!(wsinv.headers.to().unwrap().tag(), Some("1918181833n"));
    assert_eq!(wsinv.headers.max_forwards(), Ok(Some(68)));
    assert_eq!(wsinv.headers.get("newfangledheader"), Some("newfangled value continued newfangled value"));
    assert_eq!(wsinv.headers.contacts().unwrap()[0].params.get("q"), Some("0.33"));
    assert!(wsinv.headers.routes().unwrap()[0].uri.as_sip().unwrap().is_loose_router());
    assert_eq!(wsinv.body.len(), 150);

    let contact = |file| torture_request(file).unwrap().headers.contacts().unwrap().remove(0);
    assert!(contact("cparam01").params.contains("unknownparam"));
    assert!(contact("cparam02").uri.as_sip().unwrap().params().contains("unknownparam"));
    assert_eq!(contact("regescrt").uri.as_sip().unwrap().headers().count(), 1);
    assert_eq!(torture_request("escruri").unwrap().uri.as_sip().unwrap().headers().count(), 0);
    assert_eq!(torture_request("semiuri").unwrap().uri.user().as_deref(), Some("user;par=u@example.net"));
    assert_eq!(torture_request("badbranch").unwrap().headers.top_via().unwrap().unique_branch(), None);
    assert_eq!(torture_request("inv2543").unwrap().headers.from().unwrap().tag(), None);
    assert!(torture_request("dblreq").unwrap().body.is_empty());
    assert!(torture_request("mpart01").unwrap().body.contains(&0));
    assert_eq!(torture_request("transports").unwrap().headers.vias().unwrap().len(), 5);
    assert!(torture_request("unksm2").unwrap().headers.to().unwrap().uri.as_sip().is_none());
    assert_eq!(torture_request("regaut01").unwrap().headers.credentials(HeaderName::Authorization).count(), 0);
    let zeromf = validate::next_max_forwards(&torture_request("zeromf").unwrap());
    assert_eq!(zeromf.unwrap_err().response.status, 483);
    let bext01 = endpoint().check(&torture_request("bext01").unwrap()).unwrap_err().response;
    assert_eq!(bext01.headers.get_all(HeaderName::Unsupported).count(), 2);
    let Some(Message::Response(bcast)) = torture_message("bcast") else { panic!("bcast is a response") };
    assert!(validate::response(&bcast).is_err());
}

/// A message without a usable Content-Length has no end in a stream.
#[test]
fn torture_tests_in_a_stream() {
    for (file, fatal) in [("ncl", true), ("mcl01", true), ("clerr", false), ("wsinv", false)] {
        let Some(data) = torture(file) else { return };
        let mut framer = StreamFramer::new(false);
        framer.handle_input(&data);
        let frame = framer.poll_frame();
        assert_eq!(frame.is_err(), fatal, "{file}");
        assert_eq!(matches!(frame, Ok(None)), file == "clerr", "its body never ends");
    }
}

#[test]
fn the_flows_of_rfc_3261_and_rfc_3665() {
    let Some(root) = test_data::path("sip/rfc-flows") else { return };
    let mut count = 0;
    for folder in ["rfc3261", "rfc3665"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let data = std::fs::read(&path).unwrap();
            let message = Message::parse(&data).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let headers = message.headers();
            let contacts = headers.is_star_contact() || headers.contacts().is_ok();
            assert!(headers.vias().is_ok() && contacts, "{}", path.display());
            assert_fixed_point(&data);
            count += 1;
        }
    }
    assert!(count > 150, "only {count} messages");
}

/// What is written reads back as the same message, and is written the same again.
fn assert_fixed_point(data: &[u8]) {
    let first = Message::parse(data).unwrap();
    let written = first.to_bytes();
    let second = Message::parse(&written).unwrap();
    assert_eq!(first, second);
    assert_eq!(second.to_bytes(), written);
    let mut framer = StreamFramer::new(false);
    framer.handle_input(&written);
    assert_eq!(framer.poll_frame(), Ok(Some(Frame::Message(written.into()))));
}

/// Messages that bring every typed header with them.
const SEEDS: [&str; 3] = [
    "INVITE sip:bob;x=%40@[2001:db8::1]:5062;transport=tcp;lr?Subject=a%20b SIP/2.0\r\n\
     Via: SIP/2.0/TCP h:5060;branch=z9hG4bK1;rport;received=192.0.2.1, SIP/2.0/UDP [::1]\r\nv: SIP / 2.0 / UDP x\r\n\
     Max-Forwards: 70\r\nFrom: \"A \\\"B\\\", C\" <sip:a@h>;tag=1\r\nt: sip:b@h\r\ni: c@h\r\nCSeq: 1 INVITE\r\n\
     m: <sip:a@h;ob>;+sip.instance=\"<urn:uuid:1>\";expires=3600, tel:+1-2;phone-context=x\r\n\
     Record-Route: <sip:p1;lr>,<sip:p2;lr>\r\nk: timer, 100rel\r\nSupported:\r\nAllow: INVITE,ACK\r\nx: 1800;refresher=uac\r\n\
     Min-SE: 90\r\nRequire: \r\nReplaces: d@h;to-tag=1;from-tag=2;early-only\r\nr: <sip:c@h?Replaces=d%40h%3Bto-tag%3D1>\r\n\
     Referred-By: <sip:r@h>\r\nP-Asserted-Identity: \"X\" <sip:x@h>, <tel:+1>\r\nReason: Q.850;cause=16;text=\"a;b\"\r\n\
     Authorization: Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:h\", response=\"0\", qop=auth, nc=00000001, cnonce=\"c\"\r\n\
     X-Unknown: anything\r\n goes: here\r\nc: application/sdp;x=y\r\nAccept: application/sdp, */*;q=0.1\r\nl: 5\r\n\r\nv=0\r\n",
    "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: sip:a@h;tag=1\r\nTo: sip:b@h;tag=2\r\n\
     Call-ID: c\r\nCSeq: 4294967295 REGISTER\r\nWWW-Authenticate: Digest realm=\"r,\\\"\", nonce=\"n\", qop=\"auth,auth-int\", \
     algorithm=SHA-256, stale=TRUE\r\nRetry-After: 120 (I'm in a meeting);duration=3600\r\nRSeq: 1\r\nRAck: 1 2 INVITE\r\n\
     Date: Sat, 13 Nov 2010 23:29:00 GMT\r\nMin-Expires: 60\r\nExpires: 0\r\nService-Route: <sip:s;lr>\r\nContent-Length: 0\r\n\r\n",
    "REGISTER sips:h SIP/2.0\r\nVia: SIP/2.0/WSS x.invalid;branch=z9hG4bK1\r\nFrom: <sips:a@h>;tag=1\r\nTo: <sips:a@h>\r\n\
     Call-ID: c\r\nCSeq: 2 REGISTER\r\nContact: *\r\nContent-Length: 0\r\n\r\n",
];

/// Reads everything that can be read.
fn read_all(headers: &Headers) {
    let _ =
        (headers.vias(), headers.from(), headers.to(), headers.contacts(), headers.routes(), headers.record_routes());
    let _ = (
        headers.cseq(),
        headers.rack(),
        headers.replaces(),
        headers.refer_to(),
        headers.referred_by(),
        headers.min_se(),
    );
    let _ = (headers.session_expires(), headers.retry_after(), headers.content_type(), headers.p_asserted_identity());
    let _ = (headers.accept(), headers.reasons().count(), headers.allow().count(), headers.supports("timer"));
    let _ = (
        headers.challenges(HeaderName::WwwAuthenticate).count(),
        headers.credentials(HeaderName::Authorization).count(),
    );
    if let (Ok(from), Ok(to)) = (headers.from(), headers.to()) {
        let _ = from.uri.is_equivalent(&to.uri);
    }
}

fn check_any_bytes(data: &[u8]) {
    if let Ok(message) = Message::parse(data) {
        read_all(message.headers());
        if let Message::Request(request) = &message {
            let _ = endpoint().check(request);
        }
        assert_fixed_point(data);
    }
}

#[test]
fn the_seeds_are_valid() {
    for seed in SEEDS {
        assert!(Message::parse(seed.as_bytes()).is_ok(), "{:?}", Message::parse(seed.as_bytes()));
        check_any_bytes(seed.as_bytes());
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..600)) {
        check_any_bytes(&data);
    }

    #[test]
    fn mutated_messages_never_panic(
        seed in 0..SEEDS.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, prop::sample::select(b"\r\n \t;,:<>\"\\@?&=%[]/.*aZ09\0\xff\xc3".to_vec())), 0..12),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut data = SEEDS[seed].as_bytes().to_vec();
        for (index, kind, byte) in edits {
            let at = index.index(data.len());
            match kind {
                0 => data[at] = byte,
                1 => data.insert(at, byte),
                2 => { data.remove(at); }
                _ => { let piece = data[at..data.len().min(at + 24)].to_vec(); data.splice(at..at, piece); }
            }
        }
        if let Some(cut) = cut {
            data.truncate(cut.index(data.len()));
        }
        check_any_bytes(&data);
    }

    #[test]
    fn streams_of_anything_are_cut_alike(data in prop::collection::vec(prop::sample::select(b"\r\n\r\nl: 3\r\n\r\nabcSIP/2.0".to_vec()), 0..200), size in 1..50usize) {
        let cut = |size| {
            let (mut framer, mut frames) = (StreamFramer::new(false), Vec::new());
            for piece in data.chunks(size) {
                framer.handle_input(piece);
                loop {
                    match framer.poll_frame() {
                        Ok(Some(frame)) => frames.push(frame),
                        Ok(None) => break,
                        Err(_) => return (frames, true),
                    }
                }
            }
            (frames, false)
        };
        prop_assert_eq!(cut(size), cut(usize::MAX));
    }

    #[test]
    fn uris_read_back_as_they_were(text in "(sip|sips|tel|x):[ -~\u{e9}]{0,40}") {
        if let Ok(uri) = text.parse::<Uri>() {
            prop_assert_eq!(uri.to_string().parse::<Uri>(), Ok(uri.clone()));
            prop_assert!(uri.is_equivalent(&uri));
        }
    }

    #[test]
    fn whatever_is_set_adds_no_line(value in "[ -~\r\n\u{e9}]{0,40}") {
        let uri = SipUri::new(Host::Name("h".into()), None).with_user(&value).with_param("x", Some(&value));
        let mut request = Request::new(Method::Options, uri.clone());
        request.headers.push(HeaderName::Via, Via::new(Transport::Udp, Host::Name("h".into()), None, &value));
        request.headers.push(HeaderName::From, NameAddr::new(uri.clone()).with_display_name(&*value).with_tag(&value));
        request.headers.push(HeaderName::To, NameAddr::new(uri));
        request.headers.push(HeaderName::CallId, "c");
        request.headers.push(HeaderName::CSeq, CSeq { number: 1, method: Method::Options });
        request.headers.push(HeaderName::Subject, &value);
        request.headers.push(format!("X{value}").as_str(), "x");
        let lines = request.headers.len() + 3;
        let message = Message::Request(request);
        let text = String::from_utf8(message.to_bytes()).unwrap();
        prop_assert_eq!(text.split(['\r', '\n']).filter(|line| !line.is_empty()).count() + 1, lines);
    }
}
