//! SIP, SIPS and TEL URIs (RFC 3261 section 19.1, RFC 3966), and others kept as they are.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::host::Host;
use super::limits::MAX_URI_BYTES;
use super::params::Params;
use super::text;

/// Why a text is not a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// Longer than [`MAX_URI_BYTES`].
    #[error("the URI is too long")]
    TooLong,
    /// White space, a quote, an angle bracket or a control character.
    #[error("the URI holds a character that must be escaped")]
    Character,
    /// No scheme before a colon.
    #[error("the URI has no scheme")]
    Scheme,
    /// The host is neither a name nor an address.
    #[error("the URI's host is neither a name nor an address")]
    Host,
    /// The port is not a number up to 65535.
    #[error("the URI's port is not a port number")]
    Port,
    /// Parameters or headers are empty, open or too many.
    #[error("the URI's parameters are malformed")]
    Params,
}

/// A URI. `==` compares the text's structure; [`Uri::is_equivalent`] compares as RFC 3261 section 19.1.4 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uri {
    /// `sip:` or `sips:`.
    Sip(SipUri),
    /// `tel:` (RFC 3966).
    Tel(TelUri),
    /// Any other scheme, not looked into.
    Other {
        /// The scheme, without the colon.
        scheme: String,
        /// Everything after the colon.
        rest: String,
    },
}

impl Uri {
    /// The SIP or SIPS URI, where it is one.
    pub fn as_sip(&self) -> Option<&SipUri> {
        match self {
            Uri::Sip(uri) => Some(uri),
            _ => None,
        }
    }

    /// The SIP or SIPS URI to be changed, where it is one.
    pub fn as_sip_mut(&mut self) -> Option<&mut SipUri> {
        match self {
            Uri::Sip(uri) => Some(uri),
            _ => None,
        }
    }

    /// The scheme without the colon, in lower case for the known ones.
    pub fn scheme(&self) -> &str {
        match self {
            Uri::Sip(uri) if uri.secure => "sips",
            Uri::Sip(_) => "sip",
            Uri::Tel(_) => "tel",
            Uri::Other { scheme, .. } => scheme,
        }
    }

    /// Who is meant: the user part of a SIP URI with its escapes resolved, or the number of a TEL URI.
    pub fn user(&self) -> Option<Cow<'_, str>> {
        match self {
            Uri::Sip(uri) => uri.user(),
            Uri::Tel(uri) => Some(Cow::Borrowed(&uri.number)),
            Uri::Other { .. } => None,
        }
    }

    /// Whether both name the same resource (RFC 3261 section 19.1.4, RFC 3966 section 4). Not transitive.
    pub fn is_equivalent(&self, other: &Uri) -> bool {
        match (self, other) {
            (Uri::Sip(a), Uri::Sip(b)) => a.is_equivalent(b),
            (Uri::Tel(a), Uri::Tel(b)) => a.is_equivalent(b),
            (Uri::Other { scheme: a, rest: x }, Uri::Other { scheme: b, rest: y }) => {
                a.eq_ignore_ascii_case(b) && x == y
            }
            _ => false,
        }
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if text.len() > MAX_URI_BYTES {
            return Err(UriError::TooLong);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | '"')) {
            return Err(UriError::Character);
        }
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
        let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !valid {
            return Err(UriError::Scheme);
        }
        if scheme.eq_ignore_ascii_case("sip") {
            SipUri::parse(false, rest).map(Uri::Sip)
        } else if scheme.eq_ignore_ascii_case("sips") {
            SipUri::parse(true, rest).map(Uri::Sip)
        } else if scheme.eq_ignore_ascii_case("tel") {
            TelUri::parse(rest).map(Uri::Tel)
        } else {
            Ok(Uri::Other { scheme: scheme.to_owned(), rest: rest.to_owned() })
        }
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Uri::Sip(uri) => uri.fmt(f),
            Uri::Tel(uri) => uri.fmt(f),
            Uri::Other { scheme, rest } => write!(f, "{scheme}:{rest}"),
        }
    }
}

impl From<SipUri> for Uri {
    fn from(uri: SipUri) -> Self {
        Uri::Sip(uri)
    }
}

/// `sip:user:password@host:port;params?headers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipUri {
    /// `sips:` instead of `sip:`.
    pub secure: bool,
    /// As on the wire, escapes kept; so are password, parameters and headers.
    user: Option<String>,
    password: Option<String>,
    /// Host.
    pub host: Host,
    /// Port; none leaves it to RFC 3263.
    pub port: Option<u16>,
    params: Params,
    headers: Vec<(String, String)>,
}

impl SipUri {
    /// `sip:host:port`.
    pub fn new(host: Host, port: Option<u16>) -> Self {
        SipUri { secure: false, user: None, password: None, host, port, params: Params::default(), headers: Vec::new() }
    }

    /// The same with a user part, which is escaped where needed.
    pub fn with_user(mut self, user: &str) -> Self {
        self.set_user(Some(user));
        self
    }

    /// The user part with its escapes resolved. Bytes that aren't UTF-8 become U+FFFD.
    pub fn user(&self) -> Option<Cow<'_, str>> {
        self.user.as_deref().map(unescape_lossy)
    }

    /// Replaces the user part, which is escaped where needed.
    pub fn set_user(&mut self, user: Option<&str>) {
        self.user = user.map(|user| text::escape(user, |b| text::is_unreserved(b) || b"&=+$,;?/".contains(&b)));
    }

    /// The password with its escapes resolved. RFC 3261 section 19.1.1 recommends against having one.
    pub fn password(&self) -> Option<Cow<'_, str>> {
        self.password.as_deref().map(unescape_lossy)
    }

    /// The parameters as they stand on the wire.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// A parameter's value with its escapes resolved.
    pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.params.get(name).map(unescape_lossy)
    }

    /// Sets a parameter, which is escaped where needed.
    pub fn set_param(&mut self, name: &str, value: Option<&str>) {
        let plain = |byte| text::is_unreserved(byte) || b"[]/:&+$".contains(&byte);
        self.params.set_raw(name, value.map(|value| text::escape(value, plain)));
    }

    /// The same with a parameter.
    pub fn with_param(mut self, name: &str, value: Option<&str>) -> Self {
        self.set_param(name, value);
        self
    }

    /// Removes a parameter.
    pub fn remove_param(&mut self, name: &str) {
        self.params.remove(name);
    }

    /// The `transport` parameter.
    pub fn transport(&self) -> Option<&str> {
        self.params.get("transport")
    }

    /// Whether it is a loose router's (`lr`, RFC 3261 section 16.12).
    pub fn is_loose_router(&self) -> bool {
        self.params.contains("lr")
    }

    /// The headers after `?` with their escapes resolved: the name and the value of each.
    pub fn headers(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.headers.iter().map(|(name, value)| (unescape_lossy(name), unescape_lossy(value)))
    }

    /// Removes the headers after `?`: they have no place in a Request-URI (RFC 3261 section 19.1.1, table 1).
    pub fn clear_headers(&mut self) {
        self.headers.clear();
    }

    /// Whether both name the same resource (RFC 3261 section 19.1.4).
    pub fn is_equivalent(&self, other: &SipUri) -> bool {
        // These make a difference even against a URI without them; others that only one URI has are ignored. The
        // examples of section 19.1.4 count `transport` in.
        const DECISIVE: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];
        let same = |a: &Option<String>, b: &Option<String>| a.as_deref().map(normalise) == b.as_deref().map(normalise);
        let params_agree = |a: &Params, b: &Params| {
            a.iter().all(|(name, value)| match b.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
                Some((_, other)) => equal_values(value.unwrap_or(""), other.unwrap_or("")),
                None => !DECISIVE.iter().any(|decisive| decisive.eq_ignore_ascii_case(name)),
            })
        };
        let headers_agree = |a: &SipUri, b: &SipUri| {
            a.headers.iter().all(|(name, value)| {
                b.headers.iter().any(|(n, v)| equal_values(n, name) && normalise(v) == normalise(value))
            })
        };
        self.secure == other.secure
            && same(&self.user, &other.user)
            && same(&self.password, &other.password)
            && self.host == other.host
            && self.port == other.port
            && params_agree(&self.params, &other.params)
            && params_agree(&other.params, &self.params)
            && self.headers.len() == other.headers.len()
            && headers_agree(self, other)
            && headers_agree(other, self)
    }

    fn parse(secure: bool, text: &str) -> Result<Self, UriError> {
        // The user part may hold `;`, `?` and `/`, so the `@` is looked for first. Later ones belong to headers that
        // somebody forgot to escape.
        let (userinfo, rest) = match text.split_once('@') {
            Some((userinfo, rest)) => (Some(userinfo), rest),
            None => (None, text),
        };
        let (user, password) = match userinfo {
            Some(userinfo) => match userinfo.split_once(':') {
                Some((user, password)) => (Some(user.to_owned()), Some(password.to_owned())),
                None => (Some(userinfo.to_owned()), None),
            },
            None => (None, None),
        };
        let (host, port, rest) = Host::take_with_port(rest)?;
        let (params, headers) = match rest.split_once('?') {
            Some((params, headers)) => (params, Some(headers)),
            None => (rest, None),
        };
        let params = Params::parse(params).ok_or(UriError::Params)?;
        let headers = headers.map(parse_headers).unwrap_or_default();
        Ok(SipUri { secure, user, password, host, port, params, headers })
    }
}

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                write!(f, ":{password}")?;
            }
            f.write_str("@")?;
        }
        write!(f, "{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)?;
        for (index, (name, value)) in self.headers.iter().enumerate() {
            write!(f, "{}{name}={value}", if index == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

/// `tel:number;params`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelUri {
    /// The number with its visual separators, `+` in front when it is global.
    pub number: String,
    params: Params,
}

impl TelUri {
    /// The parameters as they stand on the wire.
    pub fn params(&self) -> &Params {
        &self.params
    }

    fn parse(text: &str) -> Result<Self, UriError> {
        let end = text.find(';').unwrap_or(text.len());
        let number = &text[..end];
        let digits = number.strip_prefix('+').unwrap_or(number);
        let valid = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit() || b"*#-.()".contains(&b));
        let params = Params::parse(&text[end..]).ok_or(UriError::Params)?;
        if valid { Ok(TelUri { number: number.to_owned(), params }) } else { Err(UriError::Host) }
    }

    /// RFC 3966 section 4: visual separators don't count, parameters do.
    fn is_equivalent(&self, other: &TelUri) -> bool {
        let digits = |uri: &TelUri| uri.number.replace(['-', '.', '(', ')'], "").to_ascii_lowercase();
        let agree = |a: &Params, b: &Params| {
            a.iter()
                .all(|(name, value)| b.contains(name) && equal_values(value.unwrap_or(""), b.get(name).unwrap_or("")))
        };
        digits(self) == digits(other) && agree(&self.params, &other.params) && agree(&other.params, &self.params)
    }
}

impl fmt::Display for TelUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tel:{}{}", self.number, self.params)
    }
}

fn parse_headers(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

fn unescape_lossy(text: &str) -> Cow<'_, str> {
    match text::unescape(text) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// Escapes resolved where the character didn't need one, and in upper case where it did: the form in which RFC 3261
/// section 19.1.4 compares.
fn normalise(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        let decoded = tail.get(..3).map(|escape| (escape, text::unescape(escape)));
        match decoded {
            Some((escape, byte)) if byte.len() == 1 => {
                if text::is_unreserved(byte[0]) {
                    out.push(char::from(byte[0]));
                } else {
                    out.push_str(&escape.to_ascii_uppercase());
                }
                rest = &tail[3..];
            }
            _ => {
                out.push('%');
                rest = &tail[1..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn equal_values(a: &str, b: &str) -> bool {
    normalise(a).eq_ignore_ascii_case(&normalise(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_parts_of_a_sip_uri() {
        let parsed = uri("SIPS:al%20ice:pw@[2001:db8::1]:5071;transport=tls;lr?Subject=a%20b&x=");
        let sip = parsed.as_sip().unwrap();
        assert!(sip.secure && sip.is_loose_router());
        assert_eq!(sip.user().as_deref(), Some("al ice"));
        assert_eq!(sip.password().as_deref(), Some("pw"));
        assert_eq!((sip.host.to_string().as_str(), sip.port), ("[2001:db8::1]", Some(5071)));
        assert_eq!(sip.transport(), Some("tls"));
        let headers: Vec<_> = sip.headers().collect();
        assert_eq!(headers, [("Subject".into(), "a b".into()), ("x".into(), "".into())]);
        assert_eq!(parsed.to_string(), "sips:al%20ice:pw@[2001:db8::1]:5071;transport=tls;lr?Subject=a%20b&x=");
    }

    #[test]
    fn odd_but_valid_user_parts() {
        let text = "sip:user;par=u%40example.net@example.com";
        assert_eq!(uri(text).user().as_deref(), Some("user;par=u@example.net"));
        assert_eq!(uri(text).to_string(), text);
        assert_eq!(uri("sip:null-%00-null@example.com").user().as_deref(), Some("null-\0-null"));
        assert_eq!(uri("sip:*21#@example.com").user().as_deref(), Some("*21#"));
    }

    #[test]
    fn other_schemes_are_kept() {
        assert_eq!(uri("tel:+1-201-555-0123;phone-context=x").user().as_deref(), Some("+1-201-555-0123"));
        assert_eq!(uri("soap.beep://192.0.2.103:3002").scheme(), "soap.beep");
        assert_eq!(uri("urn:service:sos").to_string(), "urn:service:sos");
    }

    #[test]
    fn what_is_no_uri() {
        let long = format!("sip:{}@h", "a".repeat(MAX_URI_BYTES));
        for (text, error) in [
            ("sip:", UriError::Host),
            ("alice", UriError::Scheme),
            (":x", UriError::Scheme),
            ("sip:a b@h", UriError::Character),
            ("<sip:a@h>", UriError::Character),
            ("sip:a@h\r\nVia: x", UriError::Character),
            ("sip:a@h:99999", UriError::Port),
            ("sip:a@h:", UriError::Port),
            ("sip:a@[::1", UriError::Host),
            ("sip:a@h/x", UriError::Params),
            ("sip:a@h;;b", UriError::Params),
            ("tel:", UriError::Host),
            (long.as_str(), UriError::TooLong),
        ] {
            assert_eq!(text.parse::<Uri>(), Err(error), "{text}");
        }
    }

    /// The examples of RFC 3261 section 19.1.4.
    #[test]
    fn equivalence() {
        for (a, b, equal) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp", true),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5", true),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
                true,
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
                true,
            ),
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", false),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", false),
            ("tel:+1(201)555-0123", "tel:+12015550123", true),
            ("sip:a@h", "sips:a@h", false),
        ] {
            assert_eq!(uri(a).is_equivalent(&uri(b)), equal, "{a} {b}");
            assert_eq!(uri(b).is_equivalent(&uri(a)), equal, "{b} {a}");
        }
    }

    #[test]
    fn what_is_set_is_escaped() {
        let built =
            SipUri::new("example.com".parse().unwrap(), Some(5060)).with_user("a@b\r\n>").with_param("x", Some("1;lr"));
        assert_eq!(built.to_string(), "sip:a%40b%0D%0A%3E@example.com:5060;x=1%3Blr");
        assert_eq!(built.user().as_deref(), Some("a@b\r\n>"));
    }
}
