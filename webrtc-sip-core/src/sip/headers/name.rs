//! Header field names.

use std::fmt;

use crate::sip::text;

macro_rules! names {
    ($($variant:ident = $name:literal $(/ $compact:literal)? $(, $list:ident)?;)*) => {
        /// A header field's name. Known ones are a variant each; all compare without regard to case (RFC 3261 section
        /// 7.3.1) and are written in full, never in compact form.
        #[derive(Clone, Debug)]
        pub enum HeaderName {
            $(#[doc = concat!("`", $name, "`.")] $variant,)*
            /// Any other token.
            Other(String),
        }

        impl HeaderName {
            /// In its customary spelling.
            pub fn as_str(&self) -> &str {
                match self {
                    $(HeaderName::$variant => $name,)*
                    HeaderName::Other(name) => name,
                }
            }

            /// Whether several values may stand in one field, separated by commas (RFC 3261 section 7.3.1). Where that
            /// isn't known, it is not assumed.
            pub fn is_list(&self) -> bool {
                match self {
                    $(HeaderName::$variant => names!(@list $($list)?),)*
                    HeaderName::Other(_) => false,
                }
            }

            fn known(text: &str) -> Option<Self> {
                $(if text.eq_ignore_ascii_case($name) $(|| text.eq_ignore_ascii_case($compact))? {
                    return Some(HeaderName::$variant);
                })*
                None
            }
        }
    };
    (@list list) => { true };
    (@list) => { false };
}

names! {
    Via = "Via" / "v", list;
    From = "From" / "f";
    To = "To" / "t";
    CallId = "Call-ID" / "i";
    CSeq = "CSeq";
    MaxForwards = "Max-Forwards";
    Contact = "Contact" / "m", list;
    Route = "Route", list;
    RecordRoute = "Record-Route", list;
    ContentType = "Content-Type" / "c";
    ContentLength = "Content-Length" / "l";
    ContentEncoding = "Content-Encoding" / "e", list;
    ContentDisposition = "Content-Disposition";
    ContentLanguage = "Content-Language", list;
    Accept = "Accept", list;
    AcceptEncoding = "Accept-Encoding", list;
    AcceptLanguage = "Accept-Language", list;
    Allow = "Allow", list;
    AllowEvents = "Allow-Events" / "u", list;
    AlertInfo = "Alert-Info", list;
    Authorization = "Authorization";
    AuthenticationInfo = "Authentication-Info";
    CallInfo = "Call-Info", list;
    Date = "Date";
    Diversion = "Diversion", list;
    ErrorInfo = "Error-Info", list;
    Event = "Event" / "o";
    Expires = "Expires";
    FlowTimer = "Flow-Timer";
    HistoryInfo = "History-Info", list;
    InReplyTo = "In-Reply-To", list;
    MinExpires = "Min-Expires";
    MinSe = "Min-SE";
    Organization = "Organization";
    PAssertedIdentity = "P-Asserted-Identity", list;
    PPreferredIdentity = "P-Preferred-Identity", list;
    Path = "Path", list;
    Priority = "Priority";
    Privacy = "Privacy";
    ProxyAuthenticate = "Proxy-Authenticate";
    ProxyAuthorization = "Proxy-Authorization";
    ProxyRequire = "Proxy-Require", list;
    RAck = "RAck";
    Reason = "Reason", list;
    ReferredBy = "Referred-By" / "b";
    ReferSub = "Refer-Sub";
    ReferTo = "Refer-To" / "r";
    Replaces = "Replaces";
    ReplyTo = "Reply-To";
    Require = "Require", list;
    RetryAfter = "Retry-After";
    RSeq = "RSeq";
    Server = "Server";
    ServiceRoute = "Service-Route", list;
    SessionExpires = "Session-Expires" / "x";
    SipEtag = "SIP-ETag";
    SipIfMatch = "SIP-If-Match";
    Subject = "Subject" / "s";
    SubscriptionState = "Subscription-State";
    Supported = "Supported" / "k", list;
    Timestamp = "Timestamp";
    Unsupported = "Unsupported", list;
    UserAgent = "User-Agent";
    Warning = "Warning", list;
    WwwAuthenticate = "WWW-Authenticate";
}

impl HeaderName {
    /// Reads a name in full or compact form; none when it isn't a token.
    pub fn parse(text: &str) -> Option<Self> {
        HeaderName::known(text).or_else(|| text::is_token(text).then(|| HeaderName::Other(text.to_owned())))
    }
}

/// For names that the program knows. Characters that no name may hold are replaced by `-`.
impl From<&str> for HeaderName {
    fn from(text: &str) -> Self {
        let safe = |c: char| if u8::try_from(c).is_ok_and(text::is_token_char) { c } else { '-' };
        HeaderName::parse(text).unwrap_or_else(|| HeaderName::Other(text.chars().map(safe).collect()))
    }
}

impl PartialEq for HeaderName {
    fn eq(&self, other: &Self) -> bool {
        self.as_str().eq_ignore_ascii_case(other.as_str())
    }
}
impl Eq for HeaderName {}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_by_any_spelling() {
        for spelling in ["i", "I", "call-id", "CALL-ID"] {
            assert_eq!(HeaderName::parse(spelling), Some(HeaderName::CallId));
        }
        assert_eq!(HeaderName::parse("X-Foo"), Some(HeaderName::from("x-fOO")));
        assert_eq!(HeaderName::parse("X Foo"), None);
        assert_eq!(HeaderName::parse(""), None);
        assert_eq!(HeaderName::from("A\r\nB").as_str(), "A--B");
    }
}
