//! Typed values of the header fields that aren't addresses.

use std::fmt;

use crate::sip::method::Method;
use crate::sip::params::Params;
use crate::sip::text;

/// `CSeq` (RFC 3261 section 20.16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Sequence number.
    pub number: u32,
    /// Method of the request.
    pub method: Method,
}

impl CSeq {
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (number, method) = value.split_once(text::is_space)?;
        Some(CSeq { number: text::number(number)?, method: Method::parse(text::trim(method))? })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// `Call-ID` (RFC 3261 section 20.8): compared byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallIdHeader(pub String);

impl CallIdHeader {
    /// A non-empty value without white space. RFC 3261 allows fewer characters; others break nothing here.
    pub(super) fn parse(value: &str) -> Option<Self> {
        (!value.is_empty() && !value.contains(text::is_space)).then(|| CallIdHeader(value.to_owned()))
    }

    /// As it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallIdHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `type/subtype;params`: Content-Type, or one element of Accept (RFC 3261 section 20.15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// `application`.
    pub kind: String,
    /// `sdp`.
    pub subtype: String,
    /// Parameters, such as `boundary` or `q`.
    pub params: Params,
}

impl MediaType {
    pub(super) fn parse(value: &str) -> Option<Self> {
        let end = value.find(';').unwrap_or(value.len());
        let (kind, subtype) = value[..end].split_once('/')?;
        let (kind, subtype) = (text::trim(kind), text::trim(subtype));
        let params = Params::parse(&value[end..])?;
        let valid = text::is_token(kind) && text::is_token(subtype);
        valid.then(|| MediaType { kind: kind.to_owned(), subtype: subtype.to_owned(), params })
    }

    /// Whether it is this type, written `application/sdp`; parameters don't count.
    pub fn is(&self, essence: &str) -> bool {
        essence.split_once('/').is_some_and(|(kind, subtype)| {
            self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
        })
    }

    /// Whether this element of an Accept header lets that type through: `*/*`, `application/*` or the type itself.
    pub fn accepts(&self, essence: &str) -> bool {
        let kind_matches = essence.split_once('/').is_some_and(|(kind, _)| self.kind.eq_ignore_ascii_case(kind));
        self.is(essence) || (self.subtype == "*" && (self.kind == "*" || kind_matches))
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.kind, self.subtype, self.params)
    }
}

/// One `Reason` (RFC 3326): why a request was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `SIP`, `Q.850` ...
    pub protocol: String,
    /// A SIP status or a Q.850 cause value.
    pub cause: Option<u16>,
    /// For people.
    pub text: Option<String>,
}

impl Reason {
    pub(super) fn parse(value: &str) -> Option<Self> {
        let end = value.find(';').unwrap_or(value.len());
        let protocol = text::trim(&value[..end]);
        let params = Params::parse(&value[end..])?;
        text::is_token(protocol).then(|| Reason {
            protocol: protocol.to_owned(),
            cause: params.get("cause").and_then(text::number),
            text: params.unquoted("text").map(|text| text.into_owned()),
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.protocol)?;
        if let Some(cause) = self.cause {
            write!(f, ";cause={cause}")?;
        }
        if let Some(text) = &self.text {
            write!(f, ";text={}", text::quote(text))?;
        }
        Ok(())
    }
}

/// Who refreshes a session (RFC 4028 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// The side that sent the request.
    Uac,
    /// The side that answered it.
    Uas,
}

/// `Session-Expires` (RFC 4028 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// Seconds.
    pub interval: u32,
    /// Who refreshes; none leaves it to the answerer.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    pub(super) fn parse(value: &str) -> Option<Self> {
        let end = value.find(';').unwrap_or(value.len());
        let params = Params::parse(&value[end..])?;
        let refresher = match params.get("refresher") {
            Some(who) if who.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
            Some(who) if who.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
            _ => None,
        };
        Some(SessionExpires { interval: text::number(text::trim(&value[..end]))?, refresher })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.interval)?;
        match self.refresher {
            Some(Refresher::Uac) => f.write_str(";refresher=uac"),
            Some(Refresher::Uas) => f.write_str(";refresher=uas"),
            None => Ok(()),
        }
    }
}

/// `RAck` (RFC 3262 section 7.2): which reliable provisional response a PRACK confirms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RAck {
    /// Its `RSeq`.
    pub rseq: u32,
    /// Its `CSeq`.
    pub cseq: CSeq,
}

impl RAck {
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (rseq, cseq) = value.split_once(text::is_space)?;
        Some(RAck { rseq: text::number(rseq)?, cseq: CSeq::parse(text::trim(cseq))? })
    }
}

impl fmt::Display for RAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rseq, self.cseq)
    }
}

/// `Replaces` (RFC 3891 section 6.1): the dialog that this INVITE takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// Call-ID of that dialog.
    pub call_id: CallIdHeader,
    /// Tag of whoever receives the INVITE.
    pub to_tag: String,
    /// Tag of the other side of that dialog.
    pub from_tag: String,
    /// Only if the dialog isn't confirmed yet.
    pub early_only: bool,
}

impl Replaces {
    /// Reads the header's value, or the same with its escapes resolved from the headers of a Refer-To URI (RFC 3891
    /// section 2).
    pub fn parse(value: &str) -> Option<Self> {
        let end = value.find(';').unwrap_or(value.len());
        let params = Params::parse(&value[end..])?;
        Some(Replaces {
            call_id: CallIdHeader::parse(text::trim(&value[..end]))?,
            to_tag: params.get("to-tag")?.to_owned(),
            from_tag: params.get("from-tag")?.to_owned(),
            early_only: params.contains("early-only"),
        })
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};to-tag={};from-tag={}", self.call_id, self.to_tag, self.from_tag)?;
        if self.early_only { f.write_str(";early-only") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_in_their_range() {
        assert_eq!(CSeq::parse("4711  INVITE").unwrap().to_string(), "4711 INVITE");
        for bad in ["36893488147419103232 REGISTER", "-1 BYE", "+1 BYE", "1", "1 B YE", ""] {
            assert_eq!(CSeq::parse(bad), None, "{bad}");
        }
        assert_eq!(RAck::parse("776656 1 INVITE").unwrap().to_string(), "776656 1 INVITE");
    }

    #[test]
    fn values_round_trip() {
        let reason = Reason::parse("Q.850 ;cause=16;text=\"Terminated; normally\"").unwrap();
        assert_eq!(reason.cause, Some(16));
        assert_eq!(Reason::parse(&reason.to_string()), Some(reason));
        let timer = SessionExpires::parse("1800;refresher=UAS").unwrap();
        assert_eq!(timer.to_string(), "1800;refresher=uas");
        let replaces = Replaces::parse("98732@sip.example.com;from-tag=r33th4x0r;to-tag=ff87ff;early-only").unwrap();
        assert!(replaces.early_only);
        assert_eq!(Replaces::parse(&replaces.to_string()), Some(replaces));
        assert_eq!(Replaces::parse("x;to-tag=1"), None);
    }

    #[test]
    fn media_types_and_ranges() {
        let parse = |text| MediaType::parse(text).unwrap();
        assert!(parse("Application / SDP ;charset=utf-8").is("application/sdp"));
        assert!(parse("application/*").accepts("application/sdp") && parse("*/*").accepts("application/sdp"));
        assert!(!parse("text/*").accepts("application/sdp"));
        assert_eq!(MediaType::parse("application"), None);
    }
}
