//! Parameters: `;name` and `;name=value`, of URIs and of header fields.

use std::borrow::Cow;
use std::fmt;

use super::limits::MAX_PARAMS;
use super::text;

/// Parameters in their order. Names compare without regard to case (RFC 3261 section 7.3.1); values keep the text they
/// came with, quotes and escapes included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// Parses `;a;b=c` (or nothing). None when there are too many, one is empty, or a quoted string stays open. One
    /// stray `;` at the end is forgiven.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let Some(list) = text::trim(text).strip_prefix(';') else {
            return text::trim(text).is_empty().then(Params::default);
        };
        let list = list.trim_end_matches(text::is_space);
        let list = list.strip_suffix(';').unwrap_or(list);
        let mut params = Params::default();
        for piece in text::split_outside(list, b';') {
            let param = parse_one(piece).filter(|_| params.0.len() < MAX_PARAMS)?;
            params.0.push(param);
        }
        Some(params)
    }

    /// The well-formed ones among those of a malformed text.
    pub(super) fn salvage(text: &str) -> Self {
        Params(text::split_outside(text, b';').filter_map(parse_one).take(MAX_PARAMS).collect())
    }

    /// Whether the parameter is there, with or without a value.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key.eq_ignore_ascii_case(name))
    }

    /// The value as it stands on the wire; none when the parameter is absent or has no value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_deref())
    }

    /// The value without quotes.
    pub fn unquoted(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(text::unquote)
    }

    /// Sets a header parameter, in place where it is there already. The value is quoted where the grammar asks for it.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        self.set_raw(name, value.map(text::quote_if_needed));
    }

    /// Removes a parameter.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    /// Names with their values as they stand on the wire.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets a parameter to a value that is quoted or escaped already.
    pub(super) fn set_raw(&mut self, name: &str, value: Option<String>) {
        let name = text::escape(name, text::is_token_char);
        match self.0.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case(&name)) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }
}

fn parse_one(piece: &str) -> Option<(String, Option<String>)> {
    let (name, value) = match text::find_outside(piece, b'=') {
        Some(at) => (text::trim(&piece[..at]), Some(text::trim(&piece[at + 1..]))),
        None => (piece, None),
    };
    // A quoted value ends with its closing quote; any other has no quote and no space in it, but may stand in angle
    // brackets, as `+sip.instance` does with those who forget to quote it.
    let valid = value.is_none_or(|value| match text::take_quoted(value) {
        Some((_, rest)) => rest.is_empty(),
        None => {
            let inner = value.strip_prefix('<').and_then(|value| value.strip_suffix('>')).unwrap_or(value);
            !inner.contains(|c: char| matches!(c, '"' | '<' | '>') || text::is_space(c))
        }
    });
    (is_param_name(name) && valid).then(|| (name.to_owned(), value.map(str::to_owned)))
}

/// `token`, and the `[ ] / : & $` that URI parameters may hold besides (RFC 3261 section 25.1, `paramchar`).
fn is_param_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| text::is_token_char(byte) || b"[]/:&$()".contains(&byte))
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            write!(f, ";{name}")?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_keep_order_and_text() {
        let params = Params::parse(" ; lr ;A = \"x;y\";b=").unwrap();
        assert_eq!(params.to_string(), ";lr;A=\"x;y\";b=");
        assert!(params.contains("LR"));
        assert_eq!(params.get("lr"), None);
        assert_eq!(params.unquoted("a").as_deref(), Some("x;y"));
    }

    #[test]
    fn empty_and_open_parameters_are_refused() {
        for bad in [";;", ";a;;b", "a", ";a=\"x", ";=x", ";a b", ";a=b c", ";a=<b", ";a=b>", ";a=\"b\"c"] {
            assert_eq!(Params::parse(bad), None, "{bad}");
        }
        assert!(Params::parse(";a;").is_some());
        assert_eq!(Params::parse(";a=<x;y>").unwrap().get("a"), Some("<x;y>"));
        assert_eq!(Params::parse(&";a".repeat(MAX_PARAMS + 1)), None);
    }

    #[test]
    fn set_values_are_quoted_where_needed() {
        let mut params = Params::default();
        params.set("text", Some("two words\r\nX: y"));
        params.set("cause", Some("200"));
        params.set("CAUSE", Some("486"));
        assert_eq!(params.to_string(), ";text=\"two words  X: y\";cause=486");
    }
}
