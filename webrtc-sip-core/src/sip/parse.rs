//! From bytes to a [`Message`], or to the answer that a bad request deserves.

use std::borrow::Cow;

use bytes::Bytes;

use super::headers::{HeaderError, HeaderName, Headers, Via};
use super::limits::{MAX_HEADER_SECTION_BYTES, MAX_HEADERS, MAX_MESSAGE_BYTES, MAX_START_LINE_BYTES, MAX_URI_BYTES};
use super::message::{Message, Request, Response};
use super::method::Method;
use super::text;
use super::uri::{Uri, UriError};

/// What is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing but line ends: a keep-alive.
    #[error("there is no message")]
    Empty,
    /// The message, its header section, its start line or its number of header fields passes a limit.
    #[error("the message passes a size limit")]
    TooLarge,
    /// The start line is neither a request's nor a response's.
    #[error("the start line is malformed")]
    StartLine,
    /// Another SIP version than 2.0.
    #[error("the SIP version is not supported")]
    Version,
    /// The Request-URI is none.
    #[error("the Request-URI is malformed: {0}")]
    RequestUri(#[from] UriError),
    /// A line that is no header field, or a header section without an end.
    #[error("a header field is malformed")]
    HeaderField,
    /// A header field that every message needs is missing, repeated or malformed.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// CSeq names another method than the request line.
    #[error("CSeq names another method")]
    CSeqMethod,
    /// Content-Length is no number, or stands more than once, or is missing where it must be.
    #[error("Content-Length is missing, malformed or repeated")]
    ContentLength,
    /// The body is shorter than Content-Length says.
    #[error("the body is incomplete")]
    Truncated,
    /// Correct, but asks for something that isn't supported or allowed; the answer's status says what.
    #[error("the request can't be served")]
    Unsupported,
}

impl Fault {
    /// The status code that tells the sender.
    fn status(&self) -> u16 {
        match self {
            Fault::Version => 505,
            Fault::RequestUri(UriError::TooLong) => 414,
            Fault::TooLarge => 513,
            _ => 400,
        }
    }
}

/// Why there is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// A bad request that can be answered.
    #[error("{}", .0.fault)]
    Rejected(Box<Rejection>),
    /// A bad response, a bad ACK, or a request that doesn't say where its answer belongs: to be dropped.
    #[error("{0}")]
    Dropped(Fault),
}

/// A request that is not served, and the answer to send, statelessly or through its transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// What is wrong with it.
    pub fault: Fault,
    /// The answer: with every Via, From, To, Call-ID and CSeq that could be read. The top Via still wants `received` and
    /// `rport`, the To its tag.
    pub response: Response,
}

/// Reads one message; see [`Message::parse`].
pub(super) fn message(data: &[u8]) -> Result<Message, ParseError> {
    let data = skip_line_ends(data);
    if data.is_empty() {
        return Err(ParseError::Dropped(Fault::Empty));
    }
    let (head, body) = split_head(data);
    let head = String::from_utf8_lossy(head);
    let (start, fields) = head.split_once("\r\n").unwrap_or((&head, ""));
    let (mut headers, fault) = header_fields(fields);
    let fault = match (body, fault) {
        _ if data.len() > MAX_MESSAGE_BYTES || start.len() > MAX_START_LINE_BYTES => Some(Fault::TooLarge),
        (_, Some(fault)) => Some(fault),
        (None, None) => Some(Fault::HeaderField),
        (Some(_), None) => None,
    };
    let body = body.unwrap_or(b"");
    if starts_with_version(start) {
        response(start, headers, body, fault).map(Message::Response).map_err(ParseError::Dropped)
    } else {
        request(start, &mut headers, body, fault).map(Message::Request).map_err(|fault| reject(fault, start, &headers))
    }
}

/// The error for a request of which only the head may be trusted, for instance one whose end can't be found.
pub(super) fn reject_head(fault: Fault, data: &[u8]) -> ParseError {
    let (head, _) = split_head(skip_line_ends(data));
    let head = String::from_utf8_lossy(head);
    let (start, fields) = head.split_once("\r\n").unwrap_or((&head, ""));
    if starts_with_version(start) {
        return ParseError::Dropped(fault);
    }
    let (headers, _) = header_fields(fields);
    reject(fault, start, &headers)
}

/// Line ends before the start line are to be ignored (RFC 3261 section 7.5).
pub(super) fn skip_line_ends(data: &[u8]) -> &[u8] {
    let start = data.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(data.len());
    &data[start..]
}

/// The start line and header fields without the empty line, and the body; no body when the empty line is missing or too
/// far away.
pub(super) fn split_head(data: &[u8]) -> (&[u8], Option<&[u8]>) {
    let searched = &data[..data.len().min(MAX_HEADER_SECTION_BYTES)];
    match searched.windows(4).position(|window| window == b"\r\n\r\n") {
        Some(at) => (&data[..at], Some(&data[at + 4..])),
        None => (searched, None),
    }
}

fn starts_with_version(start: &str) -> bool {
    start.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("SIP/"))
}

/// Every header field that can be read, and the first fault among the others.
fn header_fields(fields: &str) -> (Headers, Option<Fault>) {
    let mut headers = Headers::new();
    let mut fault = None;
    for line in unfold(fields) {
        let field = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::parse(name.trim_end_matches(text::is_space))?;
            (!value.contains(['\r', '\n'])).then_some((name, value))
        });
        // Counted before the list is taken apart: a line of commas must not cost more than a line of text.
        let commas = match &field {
            Some((name, value)) if name.is_list() => value.bytes().filter(|byte| *byte == b',').count(),
            _ => 0,
        };
        match field {
            _ if headers.len() + commas >= MAX_HEADERS => return (headers, Some(Fault::TooLarge)),
            Some((name, value)) => headers.push(name, value),
            None => fault = fault.or(Some(Fault::HeaderField)),
        }
    }
    (headers, fault)
}

/// Lines with their continuations (RFC 3261 section 7.3.1), joined by one space.
fn unfold(fields: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut lines = fields.split("\r\n").filter(|line| !line.is_empty()).peekable();
    std::iter::from_fn(move || {
        let mut line = Cow::Borrowed(lines.next()?);
        while let Some(more) = lines.next_if(|next| next.starts_with(text::is_space)) {
            let line = line.to_mut();
            line.push(' ');
            line.push_str(text::trim(more));
        }
        Some(line)
    })
}

/// Takes the header fields when nothing is wrong, and leaves them for the answer when something is.
fn request(start: &str, headers: &mut Headers, body: &[u8], fault: Option<Fault>) -> Result<Request, Fault> {
    // The version is looked at first: a message of another version may differ in everything else.
    let mut words = start.split(' ');
    let (Some(method), Some(uri), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Fault::StartLine);
    };
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(if starts_with_version(version) { Fault::Version } else { Fault::StartLine });
    }
    if uri.len() > MAX_URI_BYTES {
        return Err(Fault::RequestUri(UriError::TooLong));
    }
    if let Some(fault) = fault {
        return Err(fault);
    }
    let method = Method::parse(method).ok_or(Fault::StartLine)?;
    let mut uri: Uri = uri.parse()?;
    if let Some(uri) = uri.as_sip_mut() {
        uri.clear_headers();
    }
    check_common(headers)?;
    if headers.cseq()?.method != method {
        return Err(Fault::CSeqMethod);
    }
    headers.max_forwards()?;
    if !headers.is_star_contact() {
        headers.contacts()?;
    }
    headers.routes()?;
    headers.record_routes()?;
    let body = take_body(headers, body)?;
    Ok(Request { method, uri, headers: std::mem::take(headers), body })
}

fn response(start: &str, mut headers: Headers, body: &[u8], fault: Option<Fault>) -> Result<Response, Fault> {
    let (version, rest) = start.split_once(' ').ok_or(Fault::StartLine)?;
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(Fault::Version);
    }
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let status = text::number::<u16>(code).filter(|code| (100..700).contains(code)).ok_or(Fault::StartLine)?;
    if code.len() != 3 || reason.contains(['\r', '\n']) {
        return Err(Fault::StartLine);
    }
    if let Some(fault) = fault {
        return Err(fault);
    }
    check_common(&headers)?;
    let body = take_body(&mut headers, body)?;
    Ok(Response { status, reason: reason.to_owned(), headers, body })
}

/// What requests and responses need alike (RFC 3261 sections 8.1.1 and 8.2.6.2).
fn check_common(headers: &Headers) -> Result<(), HeaderError> {
    headers.top_via()?;
    headers.from()?;
    headers.to()?;
    headers.call_id()?;
    headers.cseq()?;
    Ok(())
}

/// RFC 3261 section 18.3: without Content-Length the body goes to the end of the datagram.
fn take_body(headers: &mut Headers, body: &[u8]) -> Result<Bytes, Fault> {
    let len = content_length(headers)?.unwrap_or(body.len());
    headers.remove(HeaderName::ContentLength);
    body.get(..len).map(Bytes::copy_from_slice).ok_or(Fault::Truncated)
}

/// Content-Length; none when absent. Two of them are an error even where they agree: who reads the other one sees other
/// messages.
fn content_length(headers: &Headers) -> Result<Option<usize>, Fault> {
    let mut values = headers.get_all(HeaderName::ContentLength);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) if !value.is_empty() => text::number(value).map(Some).ok_or(Fault::ContentLength),
        _ => Err(Fault::ContentLength),
    }
}

/// Content-Length of a head that [`split_head`] cut off; none when absent.
pub(super) fn content_length_of(head: &[u8]) -> Result<Option<usize>, Fault> {
    let head = String::from_utf8_lossy(head);
    let (_, fields) = head.split_once("\r\n").unwrap_or((&head, ""));
    content_length(&header_fields(fields).0)
}

/// Makes the answer to a bad request from what can be read of it, if it is one that may be answered.
fn reject(fault: Fault, start: &str, headers: &Headers) -> ParseError {
    let method = start.split(text::is_space).next().unwrap_or("");
    let mut vias = headers.get_all(HeaderName::Via);
    let top = vias.next().and_then(|via| match Via::parse(via) {
        Ok(_) => Some(via.to_owned()),
        Err(_) => Via::salvage(via).map(|via| via.to_string()),
    });
    // An ACK is never answered (RFC 3261 section 17), and without a Via there is no way to (section 18.2.2).
    let (Some(top), false, true) = (top, method == Method::Ack.as_str(), text::is_token(method)) else {
        return ParseError::Dropped(fault);
    };
    let mut response = Response::new(fault.status());
    response.headers.push(HeaderName::Via, top);
    for via in vias.filter(|via| Via::parse(via).is_ok()) {
        response.headers.push(HeaderName::Via, via);
    }
    for name in [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq] {
        if let Some(value) = headers.get(name.clone()) {
            response.headers.push(name, value);
        }
    }
    ParseError::Rejected(Box::new(Rejection { fault, response }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\n";

    fn fault(text: &str) -> (Fault, Option<Response>) {
        match message(text.as_bytes()).expect_err(text) {
            ParseError::Rejected(rejection) => (rejection.fault, Some(rejection.response)),
            ParseError::Dropped(fault) => (fault, None),
        }
    }

    #[test]
    fn a_rejection_echoes_what_could_be_read() {
        let (fault, response) = fault(
            "INVITE sip:b@h SIP/2.0\r\nnonsense\r\nv: SIP/2.0/UDP h:5070;;branch=z9hG4bK1;;\r\nVia: rubbish, SIP/2.0/TCP p\r\n\
             f: <sip:a@h>;tag=1\r\nTo: \"open\r\nTo: second\r\ni: c\r\nCSeq: 1 INVITE\r\n\r\n",
        );
        assert_eq!(fault, Fault::HeaderField);
        let response = Message::Response(response.unwrap());
        assert_eq!(
            String::from_utf8(response.to_bytes()).unwrap(),
            "SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP h:5070;branch=z9hG4bK1\r\nVia: SIP/2.0/TCP p\r\n\
             From: <sip:a@h>;tag=1\r\nTo: \"open\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn faults_and_their_status() {
        let long = format!("INVITE sip:{} SIP/2.0\r\n{HEAD}CSeq: 1 INVITE\r\n\r\n", "a".repeat(MAX_URI_BYTES));
        let commas =
            format!("INVITE sip:h SIP/2.0\r\n{HEAD}CSeq: 1 INVITE\r\nAllow: {}\r\n\r\n", "A,".repeat(MAX_HEADERS));
        let lines = format!("INVITE sip:h SIP/2.0\r\n{HEAD}CSeq: 1 INVITE\r\n{}\r\n", "X: y\r\n".repeat(MAX_HEADERS));
        let endless = format!("INVITE sip:h SIP/2.0\r\n{HEAD}CSeq: 1 INVITE\r\n");
        let ending = |start: &str, fields: &str| format!("{start}\r\n{HEAD}{fields}\r\n");
        let cseq = HeaderName::CSeq;
        for (text, expected, status) in [
            (long, Fault::RequestUri(UriError::TooLong), 414),
            (commas, Fault::TooLarge, 513),
            (lines, Fault::TooLarge, 513),
            (endless, Fault::HeaderField, 400),
            (ending("INVITE sip:h SIP/3.0", "CSeq: 1 INVITE\r\n"), Fault::Version, 505),
            (ending("INVITE sip:h", "CSeq: 1 INVITE\r\n"), Fault::StartLine, 400),
            (ending("INVITE sip:h SIP/2.0", ""), HeaderError::Missing(cseq.clone()).into(), 400),
            (ending("INVITE sip:h SIP/2.0", "CSeq: x\r\n"), HeaderError::Malformed(cseq.clone()).into(), 400),
            (
                ending("INVITE sip:h SIP/2.0", "CSeq: 1 BYE\r\nCSeq: 1 INVITE\r\n"),
                HeaderError::Repeated(cseq).into(),
                400,
            ),
            (ending("INVITE sip:h SIP/2.0", "CSeq: 1 BYE\r\n"), Fault::CSeqMethod, 400),
            (ending("INVITE sip:h SIP/2.0", "CSeq: 1 INVITE\r\nl: 1\r\n"), Fault::Truncated, 400),
            (ending("INVITE sip:h SIP/2.0", "CSeq: 1 INVITE\r\nl: 0, 0\r\n"), Fault::ContentLength, 400),
            (ending("INVITE sip:h SIP/2.0", "CSeq: 1 INVITE\r\nX: a\nb\r\n"), Fault::HeaderField, 400),
        ] {
            let (fault, response) = fault(&text);
            assert_eq!(fault, expected, "{text}");
            assert_eq!(response.map(|response| response.status), Some(status), "{text}");
        }
    }

    #[test]
    fn some_are_not_answered() {
        for text in [
            "\r\n\r\n".to_owned(),
            "\0\0\0\0".to_owned(),
            format!("ACK sip:h SIP/2.0\r\n{HEAD}\r\n"),
            "INVITE sip:h SIP/2.0\r\nFrom: <sip:a@h>;tag=1\r\n\r\n".to_owned(),
            format!("SIP/2.0 200 OK\r\n{HEAD}\r\n"),
            format!("SIP/2.0 99 Low\r\n{HEAD}CSeq: 1 INVITE\r\n\r\n"),
            format!("SIP/2.0 0200 OK\r\n{HEAD}CSeq: 1 INVITE\r\n\r\n"),
        ] {
            assert_eq!(fault(&text).1, None, "{text}");
        }
    }

    #[test]
    fn a_datagram_may_lack_or_exceed_its_content_length() {
        let text = |field| format!("\r\nINFO sip:h SIP/2.0\r\n{HEAD}CSeq: 1 INFO\r\n{field}\r\nbody and more");
        let body = |field| match message(text(field).as_bytes()) {
            Ok(Message::Request(request)) => request.body,
            other => panic!("{other:?}"),
        };
        assert_eq!(body(""), "body and more");
        assert_eq!(body("Content-Length :\r\n  4\r\n"), "body");
    }
}
