//! What a user agent server checks before it looks at a request's meaning (RFC 3261 section 8.2).

use super::headers::{HeaderError, HeaderName, MediaType};
use super::message::{Request, Response};
use super::method::Method;
use super::parse::{Fault, Rejection};
use super::uri::Uri;

/// What this user agent understands.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// Methods; others are refused with 405, or 501 when they aren't even known.
    pub methods: Vec<Method>,
    /// Option tags that a request may require.
    pub extensions: Vec<&'static str>,
    /// Media types of bodies, such as `application/sdp`.
    pub body_types: Vec<&'static str>,
}

impl Capabilities {
    /// Checks a request that is not part of a known transaction, in the order of RFC 3261 section 8.2: method, scheme of
    /// the Request-URI, required extensions, body. An ACK passes always: it is never answered.
    ///
    /// # Errors
    /// The answer to send: 405 or 501, 416, 420, 400 or 415, 406.
    pub fn check(&self, request: &Request) -> Result<(), Rejection> {
        if request.method == Method::Ack {
            return Ok(());
        }
        self.check_method(request)?;
        if !matches!(request.uri, Uri::Sip(_) | Uri::Tel(_)) {
            return Err(rejection(request, 416));
        }
        self.check_extensions(request)?;
        self.check_body(request)?;
        self.check_accept(request)
    }

    /// Appends the Allow header field.
    pub fn push_allow(&self, headers: &mut super::Headers) {
        self.methods.iter().for_each(|method| headers.push(HeaderName::Allow, method));
    }

    /// Appends the Accept header field.
    pub fn push_accept(&self, headers: &mut super::Headers) {
        self.body_types.iter().for_each(|body_type| headers.push(HeaderName::Accept, body_type));
    }

    /// Appends the Supported header field.
    pub fn push_supported(&self, headers: &mut super::Headers) {
        self.extensions.iter().for_each(|extension| headers.push(HeaderName::Supported, extension));
    }

    /// Section 8.2.1.
    fn check_method(&self, request: &Request) -> Result<(), Rejection> {
        if self.methods.contains(&request.method) {
            return Ok(());
        }
        let known = !matches!(request.method, Method::Other(_));
        let mut rejection = rejection(request, if known { 405 } else { 501 });
        self.push_allow(&mut rejection.response.headers);
        Err(rejection)
    }

    /// Section 8.2.2.3. A CANCEL's Require is ignored, as is Proxy-Require, which is for proxies.
    fn check_extensions(&self, request: &Request) -> Result<(), Rejection> {
        if request.method == Method::Cancel {
            return Ok(());
        }
        let supported = |tag: &&str| self.extensions.iter().any(|known| known.eq_ignore_ascii_case(tag));
        let unsupported: Vec<_> = request.headers.require().filter(|tag| !supported(tag)).collect();
        if unsupported.is_empty() {
            return Ok(());
        }
        let mut rejection = rejection(request, 420);
        unsupported.iter().for_each(|tag| rejection.response.headers.push(HeaderName::Unsupported, tag));
        Err(rejection)
    }

    /// Section 8.2.3.
    fn check_body(&self, request: &Request) -> Result<(), Rejection> {
        let optional = request.headers.get(HeaderName::ContentDisposition).and_then(|value| {
            let (_, params) = value.split_once(';')?;
            super::Params::parse(&format!(";{params}"))?.unquoted("handling").map(|handling| handling == "optional")
        });
        if request.body.is_empty() || optional == Some(true) {
            return Ok(());
        }
        let Ok(Some(content_type)) = request.headers.content_type() else {
            return Err(rejection(request, 400));
        };
        if !self.body_types.iter().any(|known| content_type.is(known)) {
            let mut rejection = rejection(request, 415);
            self.push_accept(&mut rejection.response.headers);
            return Err(rejection);
        }
        let encoded =
            request.headers.get_all(HeaderName::ContentEncoding).any(|coding| !coding.eq_ignore_ascii_case("identity"));
        if encoded {
            let mut rejection = rejection(request, 415);
            rejection.response.headers.push(HeaderName::AcceptEncoding, "identity");
            return Err(rejection);
        }
        Ok(())
    }

    /// An INVITE whose sender takes none of our body types can't be answered with one (section 20.1).
    fn check_accept(&self, request: &Request) -> Result<(), Rejection> {
        let accepts =
            |ranges: &[MediaType]| self.body_types.iter().any(|known| ranges.iter().any(|range| range.accepts(known)));
        match request.headers.accept() {
            Some(ranges) if request.method == Method::Invite && !accepts(&ranges) => Err(rejection(request, 406)),
            _ => Ok(()),
        }
    }
}

/// The Max-Forwards for a request that this one leads to, on another leg (RFC 7332 section 4); 70 when it has none.
///
/// # Errors
/// 483 when it has come as far as it may. Only whoever sends it on refuses it; an endpoint serves it (RFC 4475 section
/// 3.3.11).
pub fn next_max_forwards(request: &Request) -> Result<u8, Rejection> {
    match request.headers.max_forwards() {
        Ok(None) => Ok(70),
        Ok(Some(hops)) => hops.checked_sub(1).ok_or_else(|| rejection(request, 483)),
        Err(_) => Err(rejection(request, 400)),
    }
}

/// Checks a response that came to a user agent client: with more than one Via it was meant for somebody else (RFC 3261
/// section 8.1.3.3).
///
/// # Errors
/// It is to be dropped.
pub fn response(response: &Response) -> Result<(), Fault> {
    match response.headers.get_all(HeaderName::Via).count() {
        1 => Ok(()),
        _ => Err(HeaderError::Repeated(HeaderName::Via).into()),
    }
}

fn rejection(request: &Request, status: u16) -> Rejection {
    Rejection { fault: Fault::Unsupported, response: request.response(status) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Message;

    fn capabilities() -> Capabilities {
        Capabilities {
            methods: vec![Method::Invite, Method::Ack, Method::Cancel, Method::Bye, Method::Options],
            extensions: vec!["100rel", "replaces"],
            body_types: vec!["application/sdp"],
        }
    }

    fn outcome(method: &str, uri: &str, fields: &str, body: &str) -> Result<(), Response> {
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n\
             Call-ID: c\r\nCSeq: 1 {method}\r\n{fields}\r\n{body}"
        );
        let Ok(Message::Request(request)) = Message::parse(text.as_bytes()) else { panic!("{text}") };
        capabilities().check(&request).map_err(|rejection| rejection.response)
    }

    #[test]
    fn each_check_has_its_answer() {
        for (method, uri, fields, body, status) in [
            ("SUBSCRIBE", "sip:h", "", "", 405),
            ("FROBNICATE", "sip:h", "", "", 501),
            ("OPTIONS", "http://h", "", "", 416),
            ("INVITE", "sip:h", "Require: 100rel, foo\r\n", "", 420),
            ("INVITE", "sip:h", "", "x", 400),
            ("INVITE", "sip:h", "c: text/plain\r\n", "x", 415),
            ("INVITE", "sip:h", "c: application/sdp\r\ne: gzip\r\n", "x", 415),
            ("INVITE", "sip:h", "Accept: text/plain\r\n", "", 406),
            ("INVITE", "sip:h", "Accept:\r\n", "", 406),
        ] {
            let response = outcome(method, uri, fields, body).unwrap_err();
            assert_eq!(response.status, status, "{method} {fields}");
            assert_eq!(response.headers.get(HeaderName::CSeq), Some(format!("1 {method}").as_str()));
        }
        let unsupported = outcome("INVITE", "sip:h", "Require: 100rel, foo\r\n", "").unwrap_err();
        assert_eq!(unsupported.headers.get_all(HeaderName::Unsupported).collect::<Vec<_>>(), ["foo"]);
    }

    #[test]
    fn what_may_pass_does() {
        for (method, uri, fields, body) in [
            ("INVITE", "tel:+1", "Require: Replaces\r\nAccept: */*\r\n", ""),
            ("INVITE", "sip:h", "c: application/SDP;charset=utf-8\r\n", "v=0"),
            ("INVITE", "sip:h", "c: image/png\r\nContent-Disposition: icon;handling=optional\r\n", "x"),
            ("CANCEL", "sip:h", "Require: foo\r\n", ""),
            ("ACK", "http://h", "Require: foo\r\n", "x"),
        ] {
            assert_eq!(outcome(method, uri, fields, body), Ok(()), "{method} {fields}");
        }
    }
}
