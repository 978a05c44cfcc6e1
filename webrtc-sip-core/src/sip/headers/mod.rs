//! Header fields: an ordered, tolerant list of names and texts, and typed values read from it on demand.

mod address;
mod fields;
mod name;
mod values;
mod via;

use std::fmt;

pub use address::NameAddr;
pub use name::HeaderName;
pub use values::{CSeq, CallIdHeader, MediaType, RAck, Reason, Refresher, Replaces, SessionExpires};
pub use via::{Transport, Via};

use super::text;

/// Why a typed value can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The header field isn't there, but must be.
    #[error("{0} is missing")]
    Missing(HeaderName),
    /// The header field stands more than once, but may stand only once.
    #[error("{0} stands more than once")]
    Repeated(HeaderName),
    /// The value violates the header field's grammar.
    #[error("{0} is malformed")]
    Malformed(HeaderName),
}

/// The header fields of a message in their order.
///
/// Values are kept as they came, without folding. An element of a comma-separated list (`Via`, `Contact`, `Allow` ...)
/// is a field of its own here, however the list was written; the two forms mean the same (RFC 3261 section 7.3.1).
/// `Content-Length` is not among them: it follows from the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(HeaderName, String)>);

impl Headers {
    /// None at all.
    pub fn new() -> Self {
        Headers::default()
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &str)> {
        self.0.iter().map(|(name, value)| (name, value.as_str()))
    }

    /// The first value of that name.
    pub fn get(&self, name: impl Into<HeaderName>) -> Option<&str> {
        let name = name.into();
        self.iter().find(|(key, _)| **key == name).map(|(_, value)| value)
    }

    /// Every value of that name, in order.
    pub fn get_all(&self, name: impl Into<HeaderName>) -> impl Iterator<Item = &str> {
        let name = name.into();
        self.iter().filter(move |(key, _)| **key == name).map(|(_, value)| value)
    }

    /// Whether there is a value of that name.
    pub fn contains(&self, name: impl Into<HeaderName>) -> bool {
        self.get(name).is_some()
    }

    /// Appends a value; a comma-separated one of a list header becomes several. Line ends inside become spaces.
    pub fn push(&mut self, name: impl Into<HeaderName>, value: impl fmt::Display) {
        let name = name.into();
        self.0.extend(split_values(&name, value).into_iter().map(|value| (name.clone(), value)));
    }

    /// Puts a value before all others, as a new top `Via` or `Route` needs.
    pub fn push_front(&mut self, name: impl Into<HeaderName>, value: impl fmt::Display) {
        let name = name.into();
        self.0.splice(0..0, split_values(&name, value).into_iter().map(|value| (name.clone(), value)));
    }

    /// Replaces every value of that name by this one, at the first one's place.
    pub fn set(&mut self, name: impl Into<HeaderName>, value: impl fmt::Display) {
        let name = name.into();
        let at = self.0.iter().position(|(key, _)| *key == name).unwrap_or(self.0.len());
        self.0.retain(|(key, _)| *key != name);
        self.0.splice(at..at, split_values(&name, value).into_iter().map(|value| (name.clone(), value)));
    }

    /// Replaces the first value of that name, and appends it where there is none.
    pub fn set_first(&mut self, name: impl Into<HeaderName>, value: impl fmt::Display) {
        let name = name.into();
        let at = self.0.iter().position(|(key, _)| *key == name).unwrap_or(self.0.len());
        self.0.splice(
            at..(at + 1).min(self.0.len()),
            split_values(&name, value).into_iter().map(|value| (name.clone(), value)),
        );
    }

    /// Removes every value of that name; says whether there was one.
    pub fn remove(&mut self, name: impl Into<HeaderName>) -> bool {
        let (name, before) = (name.into(), self.0.len());
        self.0.retain(|(key, _)| *key != name);
        self.0.len() < before
    }

    /// Removes and returns the first value of that name.
    pub fn remove_first(&mut self, name: impl Into<HeaderName>) -> Option<String> {
        let name = name.into();
        let at = self.0.iter().position(|(key, _)| *key == name)?;
        Some(self.0.remove(at).1)
    }

    /// Appends every value of that name that `from` has, as responses echo header fields of their request.
    pub fn copy(&mut self, from: &Headers, name: impl Into<HeaderName>) {
        let name = name.into();
        self.0.extend(from.0.iter().filter(|(key, _)| *key == name).cloned());
    }

    /// Writes `Name: value` lines. Token lists stand together on one line; addresses on a line each.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut previous: Option<&(HeaderName, String)> = None;
        for field in self.0.iter().filter(|(name, _)| *name != HeaderName::ContentLength) {
            let (name, value) = field;
            let joins = previous.is_some_and(|(key, before)| key == name && joinable(before))
                && name.is_list()
                && joinable(value);
            if joins {
                out.extend_from_slice(b", ");
            } else {
                if previous.is_some() {
                    out.extend_from_slice(b"\r\n");
                }
                out.extend(name.as_str().bytes().map(|byte| if text::is_token_char(byte) { byte } else { b'-' }));
                out.extend_from_slice(b": ");
            }
            out.extend_from_slice(value.as_bytes());
            previous = Some(field);
        }
        if previous.is_some() {
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Whether a list element can share a line with others without any doubt about where it ends, and is short enough for
/// it to be a gain: a token, with parameters perhaps.
fn joinable(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| text::is_token_char(byte) || b"/;=".contains(&byte))
}

/// The values that a text stands for: one, or the elements of a list. An empty list is one empty value, because an empty
/// `Supported` or `Accept` says something that its absence doesn't.
fn split_values(name: &HeaderName, value: impl fmt::Display) -> Vec<String> {
    let value = text::one_line(value.to_string());
    if !name.is_list() {
        return vec![text::trim(&value).to_owned()];
    }
    let elements: Vec<_> =
        text::split_outside(&value, b',').filter(|element| !element.is_empty()).map(str::to_owned).collect();
    if elements.is_empty() { vec![String::new()] } else { elements }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(headers: &Headers) -> String {
        let mut out = Vec::new();
        headers.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lists_are_split_and_tokens_written_together() {
        let mut headers = Headers::new();
        headers.push("m", "\"A, B\" <sip:a,b@h>, <sip:c@h>");
        headers.push(HeaderName::Allow, "INVITE,ACK ,  , BYE");
        headers.push(HeaderName::Subject, "one, two");
        headers.push("k", "");
        assert_eq!(headers.get_all(HeaderName::Contact).count(), 2);
        assert_eq!(
            written(&headers),
            "Contact: \"A, B\" <sip:a,b@h>\r\nContact: <sip:c@h>\r\nAllow: INVITE, ACK, BYE\r\n\
             Subject: one, two\r\nSupported: \r\n"
        );
    }

    #[test]
    fn order_is_kept_when_values_change() {
        let mut headers = Headers::new();
        for (name, value) in [("Via", "b"), ("To", "t"), ("Via", "c")] {
            headers.push(name, value);
        }
        headers.push_front(HeaderName::Via, "a");
        headers.set_first(HeaderName::Via, "A");
        assert_eq!(headers.get_all("v").collect::<Vec<_>>(), ["A", "b", "c"]);
        assert_eq!(headers.remove_first("Via").as_deref(), Some("A"));
        headers.set("To", "u");
        headers.set("Via", "z");
        headers.set_first("From", "f");
        assert_eq!(written(&headers), "Via: z\r\nTo: u\r\nFrom: f\r\n");
        assert!(headers.remove("Via") && !headers.remove("Via"));
    }

    #[test]
    fn no_value_or_name_adds_a_line() {
        let mut headers = Headers::new();
        headers.push("X-A\r\nEvil", "x\r\nEvil: y\n\rEvil: z");
        headers.push(HeaderName::Other("B\nEvil".into()), "1");
        assert_eq!(written(&headers), "X-A--Evil: x  Evil: y  Evil: z\r\nB-Evil: 1\r\n");
    }
}
