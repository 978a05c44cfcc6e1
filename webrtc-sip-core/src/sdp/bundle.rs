//! Reading the transport of a WebRTC section, which may stand in the section itself, at session level or in the section
//! that speaks for its bundle.

use super::attributes::Fingerprint;
use super::description::{self, Section};
use super::formats;

/// Announced synchronisation sources that are kept.
const MAX_SSRCS: usize = 16;

/// RFC 9429 section 5.1.2: every combination is read alike; what counts is that there is a fingerprint.
pub(super) fn is_supported_profile(protocol: &str) -> bool {
    let protocol = protocol.to_ascii_uppercase();
    let rtp = ["UDP/TLS/", "TCP/TLS/", "TCP/DTLS/"].iter().find_map(|prefix| protocol.strip_prefix(prefix));
    matches!(rtp.unwrap_or(&protocol), "RTP/AVP" | "RTP/AVPF" | "RTP/SAVP" | "RTP/SAVPF")
}

/// The section that says `name` for the transport of `section`: itself, or the tagged one of its bundle, which speaks
/// for all (RFC 9143 section 7.1.3).
pub(super) fn transport_section<'a>(section: Section<'a>, name: &'static str) -> Section<'a> {
    if section.own(name).is_some() {
        return section;
    }
    let tagged = section.group("BUNDLE").and_then(|mids| mids.first().copied());
    let found = tagged.and_then(|mid| Section::all(section.session).find(|other| other.mid() == Some(mid)));
    found.unwrap_or(section)
}

/// The section whose transport `section` uses because it has none of its own: the tagged one of its bundle, known by
/// the same ICE credentials. With its first format and what that stands for.
///
/// Such a section has to stay alive, inactive, even if it is video and of no use otherwise. A bundle can't move to a
/// section without a transport (RFC 9143 section 7.3.2): Chromium with the policy max-bundle fails an answer that refuses
/// the first section. Only RTP can be inactive; for other kinds of section there is no help.
pub(super) fn carrier<'a>(section: Section<'a>) -> Option<(usize, u8, &'a str)> {
    let tagged = section.group("BUNDLE")?.first().copied().filter(|mid| section.mid() != Some(mid))?;
    let (index, carrier) = Section::all(section.session).enumerate().find(|(_, other)| other.mid() == Some(tagged))?;
    let shared = transport(section, "ice-ufrag") == carrier.inherited("ice-ufrag");
    let usable = shared && carrier.media.port != 0 && is_supported_profile(&carrier.media.proto);
    let number = carrier.media.fmt.split_ascii_whitespace().next()?.parse().ok().filter(|_| usable)?;
    Some((index, number, formats::parameters(carrier, "rtpmap", number)?))
}

/// A transport attribute of a section, of its session level, or of its bundle.
pub(super) fn transport<'a>(section: Section<'a>, name: &'static str) -> Option<&'a str> {
    section.inherited(name).or_else(|| transport_section(section, name).own(name))
}

/// Fingerprints of the section, else of the session level, else of the bundle (RFC 8122 section 5).
pub(super) fn fingerprints(section: Section<'_>) -> Vec<Fingerprint> {
    let own = Fingerprint::read(section.values("fingerprint"));
    if !own.is_empty() {
        return own;
    }
    let session = Fingerprint::read(description::values(&section.session.attributes, "fingerprint"));
    if !session.is_empty() {
        return session;
    }
    Fingerprint::read(transport_section(section, "fingerprint").values("fingerprint"))
}

/// Synchronisation sources of a section (RFC 5576 section 4.1).
pub(super) fn announced_ssrcs(section: Section<'_>) -> Vec<u32> {
    let mut ssrcs = Vec::new();
    for ssrc in section.values("ssrc").filter_map(|value| value.split_ascii_whitespace().next()?.parse().ok()) {
        if !ssrcs.contains(&ssrc) && ssrcs.len() < MAX_SSRCS {
            ssrcs.push(ssrc);
        }
    }
    ssrcs
}
