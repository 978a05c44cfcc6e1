//! `name-addr` and `addr-spec`: the value of From, To, Contact, Route and their like.

use std::fmt;
use std::str::FromStr;

use super::{HeaderError, HeaderName};
use crate::sip::params::Params;
use crate::sip::text;
use crate::sip::uri::Uri;

/// `"Display name" <uri>;params` (RFC 3261 section 20.10 and 25.1). Written with angle brackets always, so that the
/// URI's parameters and the header's never mix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// The display name without quotes and escapes; none when empty.
    pub display_name: Option<String>,
    /// The address.
    pub uri: Uri,
    /// The header's parameters, after the closing bracket.
    pub params: Params,
}

impl NameAddr {
    /// A bare address.
    pub fn new(uri: impl Into<Uri>) -> Self {
        NameAddr { display_name: None, uri: uri.into(), params: Params::default() }
    }

    /// The same with a display name.
    pub fn with_display_name(mut self, display_name: impl Into<String>) -> Self {
        self.display_name = Some(display_name.into()).filter(|name| !name.is_empty());
        self
    }

    /// The same with a tag.
    pub fn with_tag(mut self, tag: &str) -> Self {
        self.set_tag(tag);
        self
    }

    /// The `tag` parameter of From and To (RFC 3261 section 19.3).
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }

    /// Sets the tag.
    pub fn set_tag(&mut self, tag: &str) {
        self.params.set("tag", Some(tag));
    }

    /// Reads one value of the header `name`, which is what an error names.
    pub(super) fn parse(name: &HeaderName, value: &str) -> Result<Self, HeaderError> {
        parse(value).ok_or_else(|| HeaderError::Malformed(name.clone()))
    }
}

impl From<Uri> for NameAddr {
    fn from(uri: Uri) -> Self {
        NameAddr::new(uri)
    }
}

/// Of configuration and of tests; reads the same grammar as a header.
impl FromStr for NameAddr {
    type Err = HeaderError;

    fn from_str(text: &str) -> Result<Self, HeaderError> {
        NameAddr::parse(&HeaderName::Contact, text)
    }
}

fn parse(value: &str) -> Option<NameAddr> {
    let value = text::trim(value);
    let (display_name, bracketed) = match text::take_quoted(value) {
        Some((_, rest)) => {
            let quoted = &value[..value.len() - rest.len()];
            (text::unquote(quoted).into_owned(), text::trim(rest).strip_prefix('<')?)
        }
        None => match value.split_once('<') {
            Some((name, bracketed)) => (display_tokens(name)?, bracketed),
            None => return parse_addr_spec(value),
        },
    };
    let (uri, params) = bracketed.split_once('>')?;
    Some(NameAddr {
        display_name: Some(display_name).filter(|name| !name.is_empty()),
        uri: uri.parse().ok()?,
        params: Params::parse(params)?,
    })
}

/// Without brackets, everything after the first `;` belongs to the header, and the URI has neither `?` nor `,` (RFC 3261
/// section 20.10).
fn parse_addr_spec(value: &str) -> Option<NameAddr> {
    let end = value.find(';').unwrap_or(value.len());
    let uri = text::trim(&value[..end]);
    if uri.contains(['?', ',']) {
        return None;
    }
    Some(NameAddr { display_name: None, uri: uri.parse().ok()?, params: Params::parse(&value[end..])? })
}

/// A display name without quotes. RFC 3261 wants words of `token` characters; others are taken too, except those that
/// would leave in doubt where the name or the value ends.
fn display_tokens(name: &str) -> Option<String> {
    let name = text::trim(name);
    let refused = |c: char| matches!(c, '"' | ',' | ';' | '>' | '\\');
    (!name.contains(refused)).then(|| name.to_owned())
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.display_name {
            write!(f, "{} ", text::quote(name))?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_an_address() {
        for (text, display_name, uri, tag) in [
            (
                "\"A. G. \\\"Bell\\\"\" <sip:agb@bell.com>;tag=43",
                Some("A. G. \"Bell\""),
                "sip:agb@bell.com",
                Some("43"),
            ),
            ("caller<sip:caller@example.com>;tag=323", Some("caller"), "sip:caller@example.com", Some("323")),
            ("Two words  <sip:a@h;lr> ; tag = x", Some("Two words"), "sip:a@h;lr", Some("x")),
            ("j.doe@h <sip:a@h>", Some("j.doe@h"), "sip:a@h", None),
            ("sip:a@h;tag=1", None, "sip:a@h", Some("1")),
            ("\"\" <tel:+1>", None, "tel:+1", None),
            ("<sip:a,b;c@h?x=y>", None, "sip:a,b;c@h?x=y", None),
        ] {
            let parsed: NameAddr = text.parse().unwrap();
            assert_eq!(parsed.display_name.as_deref(), display_name, "{text}");
            assert_eq!(parsed.uri.to_string(), uri);
            assert_eq!(parsed.tag(), tag);
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
    }

    #[test]
    fn ambiguous_addresses_are_refused() {
        for text in [
            "\"Mr. J. User <sip:j.user@example.com>",
            "Bell, Alexander <sip:a@h>",
            "sip:user@example.com?Route=%3Csip:x%3E",
            "\"W\" < sip:t.watson@example.org >",
            "<sip:a@h",
            "<sip:a@h>x",
            "<sip:a@h>;;",
            "",
        ] {
            assert!(text.parse::<NameAddr>().is_err(), "{text}");
        }
    }
}
