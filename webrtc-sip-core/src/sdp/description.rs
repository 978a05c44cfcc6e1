//! From bytes to sdp-types and back: tolerant of what real senders get wrong, and bounded.

use sdp_types::{Attribute, Media, Session};

use super::direction::Direction;
use super::error::SdpError;

/// Longest description that is read, in bytes. A browser's offer of audio, video and data with all its candidates is
/// below 20,000.
pub const MAX_SDP_BYTES: usize = 64 * 1024;
/// Most lines that are read.
pub const MAX_LINES: usize = 2_000;
/// Most media sections in one description.
pub const MAX_MEDIA_SECTIONS: usize = 32;
/// Most formats in one `m=` line: there are 128 payload types.
pub const MAX_SECTION_FORMATS: usize = 128;

/// Reads a description. Line ends may be CRLF, LF or CR, blank lines and spaces at the end of a line don't matter, and
/// only the lines that offer and answer depend on are looked at (`v c m a`), so that a phone's odd `o=`, `b=` or `t=`
/// line, or a name in another character set, costs no call.
pub(super) fn parse(text: &[u8]) -> Result<Session, SdpError> {
    if text.len() > MAX_SDP_BYTES {
        return Err(SdpError::TooLong);
    }
    let mut lines = text.split(|byte| matches!(byte, b'\r' | b'\n')).map(<[u8]>::trim_ascii).filter(|l| !l.is_empty());
    if lines.next() != Some(b"v=0") {
        return Err(SdpError::NoVersion);
    }
    let mut clean = Vec::with_capacity(text.len());
    clean.extend_from_slice(b"v=0\n");
    let mut sections = 0;
    let mut has_address = false;
    for (index, line) in lines.enumerate() {
        if index + 1 >= MAX_LINES {
            return Err(SdpError::TooManyLines);
        }
        let Some((kind, value)) = line.split_at_checked(2) else { continue };
        let value = String::from_utf8_lossy(value.trim_ascii());
        let cleaned = match kind {
            b"m=" => {
                sections += 1;
                has_address = false;
                Some(media_line(&value)?)
            }
            b"c=" if !has_address => connection_line(&value),
            b"a=" => attribute_line(&value),
            _ => None,
        };
        if sections > MAX_MEDIA_SECTIONS {
            return Err(SdpError::TooManySections);
        }
        if let Some(cleaned) = cleaned {
            has_address |= kind == b"c=";
            clean.extend_from_slice(kind);
            clean.extend_from_slice(cleaned.as_bytes());
            clean.push(b'\n');
        }
    }
    Session::parse(&clean).map_err(|_| SdpError::Malformed)
}

/// `kind port[/count] protocol format...` with single spaces (RFC 8866 section 5.14).
fn media_line(value: &str) -> Result<String, SdpError> {
    let fields: Vec<&str> = value.split_ascii_whitespace().take(MAX_SECTION_FORMATS + 4).collect();
    if fields.len() < 4 || value.contains('\0') {
        return Err(SdpError::BadMediaLine);
    }
    if fields.len() > MAX_SECTION_FORMATS + 3 {
        return Err(SdpError::TooManyFormats);
    }
    let (port, count) = fields[1].split_once('/').unwrap_or((fields[1], "1"));
    if port.parse::<u16>().is_err() || count.parse::<u16>().is_err() {
        return Err(SdpError::BadMediaLine);
    }
    Ok(fields.join(" "))
}

/// `IN IP4 address` (RFC 8866 section 5.7), or nothing when it isn't: a broken one in a section that we refuse anyway
/// is no reason to refuse the whole description.
fn connection_line(value: &str) -> Option<String> {
    let fields: Vec<&str> = value.split_ascii_whitespace().take(4).collect();
    let well_formed = fields.len() == 3
        && fields[..2].iter().all(|field| field.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        && !value.contains('\0');
    well_formed.then(|| fields.join(" "))
}

fn attribute_line(value: &str) -> Option<String> {
    (!value.is_empty() && !value.starts_with(':') && !value.contains('\0')).then(|| value.to_owned())
}

/// One media section together with the session level, from which it inherits.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    pub(super) session: &'a Session,
    pub(super) media: &'a Media,
}

impl<'a> Section<'a> {
    pub(super) fn all(session: &'a Session) -> impl Iterator<Item = Section<'a>> {
        session.medias.iter().map(move |media| Section { session, media })
    }

    /// Values of an attribute in this section.
    pub(super) fn values(self, name: &'static str) -> impl Iterator<Item = &'a str> {
        values(&self.media.attributes, name)
    }

    /// The first value of an attribute in this section.
    pub(super) fn own(self, name: &'static str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// The first value of an attribute in this section, else at session level.
    pub(super) fn inherited(self, name: &'static str) -> Option<&'a str> {
        self.own(name).or_else(|| values(&self.session.attributes, name).next())
    }

    /// `a=mid` (RFC 5888 section 4).
    pub(super) fn mid(self) -> Option<&'a str> {
        self.own("mid").filter(|mid| !mid.is_empty())
    }

    /// The direction of the section, else of the session level, else sendrecv (RFC 8866 section 6.7).
    pub(super) fn direction(self) -> Direction {
        let first = |attributes: &[Attribute]| attributes.iter().find_map(|a| Direction::from_name(a.attribute.trim()));
        first(&self.media.attributes).or_else(|| first(&self.session.attributes)).unwrap_or_default()
    }

    /// The mids of the group (RFC 5888 section 5) with these semantics that this section is in.
    pub(super) fn group(self, semantics: &str) -> Option<Vec<&'a str>> {
        let mid = self.mid()?;
        values(&self.session.attributes, "group").find_map(|group| {
            let mut words = group.split_ascii_whitespace();
            let mids: Vec<&str> =
                words.next().filter(|s| s.eq_ignore_ascii_case(semantics)).map(|_| words.collect())?;
            mids.contains(&mid).then_some(mids)
        })
    }
}

/// Values of an attribute, blanks around them removed; a property attribute has the value "".
pub(super) fn values<'a>(attributes: &'a [Attribute], name: &'static str) -> impl Iterator<Item = &'a str> {
    attributes
        .iter()
        .filter(move |a| a.attribute.trim().eq_ignore_ascii_case(name))
        .map(|a| a.value.as_deref().unwrap_or_default().trim())
}

/// The first number in a value such as `20` or `20.0`.
pub(super) fn leading_number(value: &str) -> Option<u32> {
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    value[..end].parse().ok()
}
