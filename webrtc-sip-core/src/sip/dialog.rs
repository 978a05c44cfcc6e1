//! [`Dialog`]: the state that two user agents share (RFC 3261 section 12).

use super::{CSeq, CallIdHeader, HeaderError, HeaderName, Headers, Method, NameAddr, Request, Response, SipUri, Uri};

/// A dialog, early or confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    /// The Call-ID.
    pub call_id: CallIdHeader,
    /// Us, with our tag.
    pub local: NameAddr,
    /// Them, with their tag; peers of RFC 2543 have none (section 12.1.1).
    pub remote: NameAddr,
    /// CSeq of our latest request.
    pub local_cseq: u32,
    /// CSeq of their latest request, once there was one.
    pub remote_cseq: Option<u32>,
    /// Where requests are meant to arrive: their Contact.
    pub remote_target: Uri,
    /// The proxies that want to stay on the path, nearest first.
    pub route_set: Vec<NameAddr>,
}

impl Dialog {
    /// The dialog that a response with a To tag makes for whoever sent the INVITE (section 12.1.2).
    pub fn from_response(request: &Request, response: &Response) -> Result<Self, HeaderError> {
        let mut route_set = response.headers.record_routes()?;
        // What the request said is nearest to us stands last (section 12.1.2).
        route_set.reverse();
        let remote_target = match response.headers.contacts()?.into_iter().next() {
            Some(contact) => contact.uri,
            // Required in a 2xx, and missing from some all the same; the Request-URI reached somebody.
            None => request.uri.clone(),
        };
        Ok(Dialog {
            call_id: request.headers.call_id()?,
            local: request.headers.from()?,
            remote: response.headers.to()?,
            local_cseq: request.headers.cseq()?.number,
            remote_cseq: None,
            remote_target,
            route_set,
        })
    }

    /// The dialog that our response with `local_tag` makes for us who received the request (section 12.1.1).
    pub fn from_request(request: &Request, local_tag: &str) -> Result<Self, HeaderError> {
        let contact = request.headers.contacts()?.into_iter().next();
        Ok(Dialog {
            call_id: request.headers.call_id()?,
            local: request.headers.to()?.with_tag(local_tag),
            remote: request.headers.from()?,
            local_cseq: 0,
            remote_cseq: Some(request.headers.cseq()?.number),
            remote_target: contact.ok_or(HeaderError::Missing(HeaderName::Contact))?.uri,
            route_set: request.headers.record_routes()?,
        })
    }

    /// Our tag.
    pub fn local_tag(&self) -> &str {
        self.local.tag().unwrap_or_default()
    }

    /// Their tag; empty where they have none.
    pub fn remote_tag(&self) -> &str {
        self.remote.tag().unwrap_or_default()
    }

    /// The next request of ours in the dialog (section 12.2.1.1), without Via, Contact and body.
    pub fn request(&mut self, method: Method) -> Request {
        self.local_cseq = self.local_cseq.saturating_add(1);
        self.request_with_cseq(method, self.local_cseq)
    }

    /// The ACK to a 2xx (section 13.2.2.4): with the CSeq number of its INVITE.
    pub fn ack(&self, cseq: u32) -> Request {
        self.request_with_cseq(Method::Ack, cseq)
    }

    fn request_with_cseq(&self, method: Method, cseq: u32) -> Request {
        let (uri, routes) = self.path();
        let mut request = Request::new(method.clone(), uri);
        let headers = &mut request.headers;
        for route in routes {
            headers.push(HeaderName::Route, route);
        }
        headers.push(HeaderName::MaxForwards, 70);
        headers.push(HeaderName::From, &self.local);
        headers.push(HeaderName::To, &self.remote);
        headers.push(HeaderName::CallId, &self.call_id);
        headers.push(HeaderName::CSeq, CSeq { number: cseq, method });
        request
    }

    /// Request-URI and Route values: the remote target behind loose routers; with a strict router in front (no `lr`),
    /// the router's URI first and the target last (section 12.2.1.1).
    fn path(&self) -> (Uri, Vec<NameAddr>) {
        match self.route_set.split_first() {
            Some((first, rest)) if !is_loose(&first.uri) => {
                let mut uri = first.uri.clone();
                if let Some(sip) = uri.as_sip_mut() {
                    // Neither has a place in a Request-URI (section 19.1.1).
                    sip.remove_param("method");
                    sip.clear_headers();
                }
                let target = NameAddr::new(self.remote_target.clone());
                (uri, rest.iter().cloned().chain([target]).collect())
            }
            _ => (self.remote_target.clone(), self.route_set.clone()),
        }
    }

    /// Where the next request goes: the first of the route set, else the remote target.
    pub fn next_hop(&self) -> &Uri {
        self.route_set.first().map_or(&self.remote_target, |route| &route.uri)
    }

    /// Takes the CSeq of a request of theirs; false when it is out of order (section 12.2.2).
    pub fn accept_cseq(&mut self, cseq: u32) -> bool {
        if self.remote_cseq.is_some_and(|latest| cseq <= latest) {
            return false;
        }
        self.remote_cseq = Some(cseq);
        true
    }

    /// Takes the Contact of a target refresh request or of its 2xx (section 12.2).
    pub fn refresh_target(&mut self, headers: &Headers) {
        if let Some(contact) = headers.contacts().ok().and_then(|contacts| contacts.into_iter().next()) {
            self.remote_target = contact.uri;
        }
    }
}

fn is_loose(uri: &Uri) -> bool {
    uri.as_sip().is_some_and(SipUri::is_loose_router)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Message;

    fn request(extra: &str) -> Request {
        let text = format!(
            "INVITE sip:bob@biloxi.example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
             From: <sip:alice@atlanta.example.com>;tag=a\r\nTo: <sip:bob@biloxi.example.com>\r\nCall-ID: c\r\n\
             CSeq: 7 INVITE\r\nContact: <sip:alice@192.0.2.1>\r\n{extra}\r\n"
        );
        match Message::parse(text.as_bytes()) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn accepted(extra: &str) -> Response {
        let mut response = request("").response(200);
        let to = response.headers.to().unwrap().with_tag("b");
        response.headers.set(HeaderName::To, to);
        response.headers.push(HeaderName::Contact, "<sip:bob@192.0.2.2>");
        if !extra.is_empty() {
            response.headers.push(HeaderName::RecordRoute, extra);
        }
        response
    }

    fn routes(request: &Request) -> Vec<&str> {
        request.headers.get_all(HeaderName::Route).collect()
    }

    #[test]
    fn both_sides_see_the_same_dialog() {
        let record_route = "Record-Route: <sip:p2.example.com;lr>, <sip:p1.example.com;lr>\r\n";
        let mut called = Dialog::from_request(&request(record_route), "b").unwrap();
        let response = accepted("<sip:p2.example.com;lr>, <sip:p1.example.com;lr>");
        let mut caller = Dialog::from_response(&request(""), &response).unwrap();
        assert_eq!((caller.local_tag(), caller.remote_tag()), (called.remote_tag(), called.local_tag()));

        let bye = caller.request(Method::Bye);
        assert_eq!(bye.uri.to_string(), "sip:bob@192.0.2.2");
        assert_eq!(routes(&bye), ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"]);
        assert_eq!(bye.headers.cseq().unwrap(), CSeq { number: 8, method: Method::Bye });
        assert_eq!(caller.next_hop().to_string(), "sip:p1.example.com;lr");

        let bye = called.request(Method::Bye);
        assert_eq!(bye.uri.to_string(), "sip:alice@192.0.2.1");
        assert_eq!(routes(&bye), ["<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>"]);
        assert_eq!(bye.headers.cseq().unwrap().number, 1);
    }

    /// RFC 3261 section 12.2.1.1: the strict router's URI becomes the Request-URI, the target goes last.
    #[test]
    fn a_strict_router_is_addressed_itself() {
        let response = accepted("<sip:p2.example.com;lr>, <sip:p1.example.com;method=INVITE>");
        let mut dialog = Dialog::from_response(&request(""), &response).unwrap();
        let bye = dialog.request(Method::Bye);
        assert_eq!(bye.uri.to_string(), "sip:p1.example.com");
        assert_eq!(routes(&bye), ["<sip:p2.example.com;lr>", "<sip:bob@192.0.2.2>"]);
    }

    #[test]
    fn sequence_numbers_only_rise() {
        let mut dialog = Dialog::from_request(&request(""), "b").unwrap();
        assert!(!dialog.accept_cseq(7));
        assert!(dialog.accept_cseq(9));
        assert!(!dialog.accept_cseq(8));
        assert_eq!(dialog.ack(3).headers.cseq().unwrap(), CSeq { number: 3, method: Method::Ack });
    }

    #[test]
    fn the_target_moves_with_a_contact() {
        let mut dialog = Dialog::from_response(&request(""), &accepted("")).unwrap();
        dialog.refresh_target(&Headers::new());
        assert_eq!(dialog.remote_target.to_string(), "sip:bob@192.0.2.2");
        let mut moved = Headers::new();
        moved.push(HeaderName::Contact, "<sip:bob@192.0.2.9>");
        dialog.refresh_target(&moved);
        assert_eq!(dialog.request(Method::Info).uri.to_string(), "sip:bob@192.0.2.9");
    }

    #[test]
    fn an_invite_without_contact_makes_no_dialog() {
        let mut bare = request("");
        bare.headers.remove(HeaderName::Contact);
        assert_eq!(Dialog::from_request(&bare, "b").err(), Some(HeaderError::Missing(HeaderName::Contact)));
    }
}
