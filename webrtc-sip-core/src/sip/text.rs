//! The lexical rules of RFC 3261 section 25.1 that several headers share.

use std::borrow::Cow;

/// `token` characters.
pub(super) fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// A non-empty run of `token` characters.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_char)
}

/// Whether `text` can stand as a `gen-value` without quotes: a token or a host (RFC 3261 section 25.1), tolerant of
/// the further characters that URIs and media types bring along.
fn is_bare_value(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| is_token_char(byte) || b"[]:/@$&=?#".contains(&byte))
}

/// Linear white space once the lines are unfolded.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// Without white space at either end.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// A decimal number of digits only: no sign, no space, no overflow.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Position of the first `wanted` byte (ASCII) that is neither inside a quoted string nor inside angle brackets.
pub(super) fn find_outside(text: &str, wanted: u8) -> Option<usize> {
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    for (index, byte) in text.bytes().enumerate() {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        if !angle && byte == wanted {
            return Some(index);
        }
        match byte {
            b'"' => quoted = true,
            b'<' => angle = true,
            b'>' => angle = false,
            _ => {}
        }
    }
    None
}

/// The pieces between `separator` bytes that stand outside quoted strings and angle brackets, trimmed.
pub(super) fn split_outside(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let piece = match find_outside(text, separator) {
            Some(at) => {
                rest = Some(&text[at + 1..]);
                &text[..at]
            }
            None => {
                rest = None;
                text
            }
        };
        Some(trim(piece))
    })
}

/// Splits a quoted string off the front: its raw content (without the quotes, escapes kept) and what follows the closing
/// quote. None when it isn't one or isn't closed.
pub(super) fn take_quoted(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut escaped = false;
    for (index, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some((&inner[..index], &inner[index + 1..])),
            _ => {}
        }
    }
    None
}

/// The meaning of a value: a quoted string without its quotes and escapes, anything else as it stands.
pub(super) fn unquote(text: &str) -> Cow<'_, str> {
    match take_quoted(text) {
        Some((inner, "")) if inner.contains('\\') => {
            let mut out = String::with_capacity(inner.len());
            let mut chars = inner.chars();
            while let Some(c) = chars.next() {
                out.extend(if c == '\\' { chars.next() } else { Some(c) });
            }
            Cow::Owned(out)
        }
        Some((inner, "")) => Cow::Borrowed(inner),
        _ => Cow::Borrowed(text),
    }
}

/// `text` as a quoted string. Control characters become spaces: nothing that ends a line gets through.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(if c.is_control() { ' ' } else { c });
    }
    out.push('"');
    out
}

/// `text` as a parameter value: as it is where the grammar allows, else quoted.
pub(super) fn quote_if_needed(text: &str) -> String {
    if is_bare_value(text) { text.to_owned() } else { quote(text) }
}

/// `text` with the bytes that end a line replaced by spaces, so that no value can add a header field.
pub(super) fn one_line(text: String) -> String {
    if text.bytes().any(|byte| matches!(byte, b'\r' | b'\n')) { text.replace(['\r', '\n'], " ") } else { text }
}

/// Replaces `%HH` by the byte it stands for. A `%` without two hex digits stays.
pub(super) fn unescape(text: &str) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    if !bytes.contains(&b'%') {
        return Cow::Borrowed(bytes);
    }
    let hex = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        match (bytes[index], hex(bytes.get(index + 1)), hex(bytes.get(index + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                index += 3;
            }
            (byte, ..) => {
                out.push(byte);
                index += 1;
            }
        }
    }
    Cow::Owned(out)
}

/// Writes every byte that `plain` refuses as `%HH`.
pub(super) fn escape(text: &str, plain: impl Fn(u8) -> bool) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String succeeds");
        }
    }
    out
}

/// RFC 3261 `unreserved`.
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_split_only_where_they_should() {
        let pieces: Vec<_> = split_outside(r#""a, \" b" <sip:x,y@h>, <sip:z> ,, c"#, b',').collect();
        assert_eq!(pieces, [r#""a, \" b" <sip:x,y@h>"#, "<sip:z>", "", "c"]);
        assert_eq!(split_outside("\"open, end", b',').count(), 1);
    }

    #[test]
    fn quoting_round_trips_and_keeps_lines_whole() {
        assert_eq!(unquote(&quote(r#"a "b" \c"#)), r#"a "b" \c"#);
        assert_eq!(quote("a\r\nb"), "\"a  b\"");
        assert_eq!(one_line("a\r\nVia: x".into()), "a  Via: x");
    }

    #[test]
    fn escapes_round_trip_and_survive_nonsense() {
        assert_eq!(&*unescape("%41%zz%4"), b"A%zz%4");
        assert_eq!(&*unescape("a%00b"), b"a\0b");
        assert_eq!(escape("a b@c", is_unreserved), "a%20b%40c");
    }
}
