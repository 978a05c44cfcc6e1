//! Requests and responses.

use bytes::Bytes;

use super::headers::{HeaderName, Headers};
use super::method::Method;
use super::parse::{self, ParseError};
use super::status::reason_phrase;
use super::text;
use super::uri::Uri;

/// A SIP message (RFC 3261 section 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Request-URI.
    pub uri: Uri,
    /// Header fields.
    pub headers: Headers,
    /// Body, not looked into.
    pub body: Bytes,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code, 100 to 699.
    pub status: u16,
    /// Reason phrase, for people.
    pub reason: String,
    /// Header fields.
    pub headers: Headers,
    /// Body, not looked into.
    pub body: Bytes,
}

impl Message {
    /// Reads one datagram, or one message that [`super::framing::StreamFramer`] cut out of a byte stream. What follows
    /// the body as Content-Length counts it is ignored (RFC 3261 section 18.3).
    ///
    /// A message that is returned has the header fields that every message must have (section 8.1.1), each once and
    /// well-formed; a request's Contact, Route, Record-Route and Max-Forwards can be read too, where they are present.
    /// An error says whether and how to answer.
    pub fn parse(data: &[u8]) -> Result<Message, ParseError> {
        parse::message(data)
    }

    /// Header fields.
    pub fn headers(&self) -> &Headers {
        match self {
            Message::Request(request) => &request.headers,
            Message::Response(response) => &response.headers,
        }
    }

    /// Appends the message as it goes on the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Message::Request(request) => request.write(out),
            Message::Response(response) => response.write(out),
        }
    }

    /// The message as it goes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }
}

impl From<Request> for Message {
    fn from(request: Request) -> Self {
        Message::Request(request)
    }
}

impl From<Response> for Message {
    fn from(response: Response) -> Self {
        Message::Response(response)
    }
}

impl Request {
    /// A request without header fields and body.
    pub fn new(method: Method, uri: impl Into<Uri>) -> Self {
        Request { method, uri: uri.into(), headers: Headers::new(), body: Bytes::new() }
    }

    /// A response to this request with the header fields that every response echoes: all Via, From, To, Call-ID and CSeq
    /// (RFC 3261 section 8.2.6.2), and Timestamp in a 100 (section 8.2.6.1). The To tag is the caller's to add.
    pub fn response(&self, status: u16) -> Response {
        let mut response = Response::new(status);
        for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq] {
            response.headers.copy(&self.headers, name);
        }
        if status == 100 {
            response.headers.copy(&self.headers, HeaderName::Timestamp);
        }
        response
    }

    /// Appends the request as it goes on the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        let method = self.method.as_str().bytes();
        out.extend(method.map(|byte| if text::is_token_char(byte) { byte } else { b'-' }));
        out.push(b' ');
        // A URI that was taken apart and changed by hand could hold anything; it must still end where it ends.
        let uri = self.uri.to_string();
        out.extend(uri.bytes().map(|byte| if byte > b' ' && byte != 0x7f { byte } else { b'_' }));
        out.extend_from_slice(b" SIP/2.0\r\n");
        write_rest(&self.headers, &self.body, out);
    }
}

impl Response {
    /// A response with the customary reason phrase, without header fields and body.
    pub fn new(status: u16) -> Self {
        Response { status, reason: reason_phrase(status).to_owned(), headers: Headers::new(), body: Bytes::new() }
    }

    /// Appends the response as it goes on the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        let reason = text::one_line(self.reason.clone());
        out.extend_from_slice(format!("SIP/2.0 {:03} {reason}\r\n", self.status).as_bytes());
        write_rest(&self.headers, &self.body, out);
    }
}

fn write_rest(headers: &Headers, body: &Bytes, out: &mut Vec<u8>) {
    headers.write(out);
    out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
}
