//! Offer and answer for plain RTP (RFC 3264), as SIP phones and trunks speak it.

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Connection, Media, Session};
use serde::{Deserialize, Serialize};

use crate::codec::CodecKind;

use super::agreed::{AgreedSip, RemoteMedia};
use super::candidate::is_host_name;
use super::description::{self, Section};
use super::direction::Direction;
use super::error::SdpError;
use super::formats::{self, Format, Payload};
use super::memory::{Memory, SectionMemory};

/// Packet time that we would like to receive, in milliseconds.
const PTIME_MS: u32 = 20;

/// Our side of a leg with plain RTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SipLocal {
    /// Where we take RTP, as others reach it.
    pub rtp: SocketAddr,
    /// Where we take RTCP, as others reach it.
    pub rtcp: SocketAddr,
    /// Codecs in order of preference.
    pub codecs: Vec<CodecKind>,
    /// Whether comfort noise (RFC 3389) is offered and accepted.
    pub comfort_noise: bool,
}

/// Offer/answer state of one leg with plain RTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SipNegotiator {
    local: SipLocal,
    direction: Direction,
    memory: Memory,
}

/// An offer that waits for its answer. Dropping it rolls back.
#[derive(Debug)]
pub struct PendingSipOffer {
    sections: Vec<SectionMemory>,
    formats: Vec<Format>,
    direction: Direction,
    revision: u64,
}

/// What we found in the far side's audio section.
struct Found {
    formats: Vec<Format>,
    /// What the far side wants, its address considered.
    direction: Direction,
    remote: RemoteMedia,
}

impl SipNegotiator {
    /// A leg without any exchange yet. `session_id` should be random.
    pub fn new(local: SipLocal, session_id: u64) -> Self {
        let memory = Memory::new(session_id, local.rtp.ip());
        SipNegotiator { local, direction: Direction::SendRecv, memory }
    }

    /// What we want from the next offer or answer on: `SendOnly` or `Inactive` to hold the far side, `SendRecv` to
    /// resume (RFC 3264 section 8.4).
    pub fn set_direction(&mut self, direction: Direction) {
        self.direction = direction;
    }

    /// What we want.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Our media is elsewhere from the next offer or answer on, for example because another node goes on with the
    /// leg. The `o=` line stays as it was.
    pub fn relocate(&mut self, rtp: SocketAddr, rtcp: SocketAddr) {
        self.local.rtp = rtp;
        self.local.rtcp = rtcp;
    }

    /// Answers an offer (RFC 3264 section 6).
    pub fn answer(&mut self, offer: impl AsRef<[u8]>) -> Result<(String, AgreedSip), SdpError> {
        let offer = description::parse(offer.as_ref())?;
        let (index, found) = self.memory.choose_audio(&offer, |section| self.assess(section))?;
        let section = Section { session: &offer, media: &offer.medias[index] };
        let direction = found.direction.reversed().and(self.direction);
        let audio =
            formats::agree(&found.formats, &found.formats, direction, section).ok_or(SdpError::NoCommonCodec)?;

        let sections: Vec<SectionMemory> = Section::all(&offer).map(SectionMemory::of).collect();
        let answer = self.describe(&sections, index, &found.formats, direction);
        self.memory.payloads.learn(section, &found.formats);
        let remote_hold = !found.direction.receives();
        self.memory.commit(sections, index, remote_hold);
        Ok((self.memory.origin.write(answer), AgreedSip { audio, remote_hold, remote: found.remote }))
    }

    /// Makes an offer (RFC 3264 sections 5 and 8) of what we can do and want now. An offer that is still pending can't
    /// be answered any more.
    pub fn offer(&mut self) -> (String, PendingSipOffer) {
        let formats = self.memory.payloads.offer(&self.local.codecs, self.local.comfort_noise, preferred_number);
        let sections = self.memory.offered_sections(SectionMemory::audio("RTP/AVP", None));
        let offer = self.describe(&sections, self.memory.audio, &formats, self.direction);
        self.memory.revision += 1;
        let revision = self.memory.revision;
        (self.memory.origin.write(offer), PendingSipOffer { sections, formats, direction: self.direction, revision })
    }

    /// Reads an answer that may not be the last one to the offer, as in a provisional response (RFC 3261
    /// section 13.2.1), without ending the exchange.
    pub fn early_answer(&self, pending: &PendingSipOffer, answer: impl AsRef<[u8]>) -> Result<AgreedSip, SdpError> {
        if pending.revision != self.memory.revision {
            return Err(SdpError::StaleOffer);
        }
        self.read_answer(pending, &description::parse(answer.as_ref())?).map(|(agreed, _)| agreed)
    }

    /// Reads the answer to our offer (RFC 3264 section 7).
    pub fn accept_answer(&mut self, pending: PendingSipOffer, answer: impl AsRef<[u8]>) -> Result<AgreedSip, SdpError> {
        if pending.revision != self.memory.revision {
            return Err(SdpError::StaleOffer);
        }
        let answer = description::parse(answer.as_ref())?;
        let (agreed, theirs) = self.read_answer(&pending, &answer)?;
        self.memory.payloads.learn(self.memory.answered_audio(&answer)?, &theirs);
        self.memory.payloads.keep(&pending.formats);
        self.memory.commit(pending.sections, self.memory.audio, agreed.remote_hold);
        Ok(agreed)
    }

    fn read_answer(&self, pending: &PendingSipOffer, answer: &Session) -> Result<(AgreedSip, Vec<Format>), SdpError> {
        let section = self.memory.answered_audio(answer)?;
        let Found { mut formats, direction: theirs, remote } = self.assess(section)?;
        formats.retain(|their| pending.formats.iter().any(|our| our.payload == their.payload));
        let direction = theirs.reversed().and(pending.direction);
        let audio = formats::agree(&pending.formats, &formats, direction, section).ok_or(SdpError::NoCommonCodec)?;
        let remote_hold = self.memory.held_by_answer(pending.direction, theirs);
        Ok((AgreedSip { audio, remote_hold, remote }, formats))
    }

    fn assess(&self, section: Section<'_>) -> Result<Found, SdpError> {
        if section.media.port == 0 {
            return Err(SdpError::NoAudio);
        }
        if !["RTP/AVP", "RTP/AVPF"].iter().any(|profile| section.media.proto.eq_ignore_ascii_case(profile)) {
            return Err(SdpError::UnsupportedProfile);
        }
        let formats = formats::in_common(&formats::read(section), &self.local.codecs, self.local.comfort_noise)
            .ok_or(SdpError::NoCommonCodec)?;
        let remote = remote_media(section)?;
        // Who has no address can't receive: how calls were held before there were directions (RFC 3264 section 8.4).
        let reachable = Direction::new(true, remote != RemoteMedia::Nowhere);
        Ok(Found { formats, direction: section.direction().and(reachable), remote })
    }

    fn describe(&self, sections: &[SectionMemory], audio: usize, formats: &[Format], direction: Direction) -> Session {
        let mut session = self.memory.origin.session();
        session.connection = Some(Connection::from_ip_addr(self.local.rtp.ip()));
        session.medias = sections
            .iter()
            .enumerate()
            .map(|(index, section)| match index == audio {
                true => self.describe_audio(section, formats, direction),
                false => section.rejected(None),
            })
            .collect();
        session
    }

    fn describe_audio(&self, section: &SectionMemory, formats: &[Format], direction: Direction) -> Media {
        let SipLocal { rtp, rtcp, .. } = self.local;
        let mut media = section.media(rtp.port());
        media.fmt = formats::numbers(formats);
        formats::write(&mut media, formats);
        media.add_attribute_with_value("ptime", PTIME_MS);
        media.add_attribute_from_str(direction.name());
        // RFC 3605 section 2.1: said where it isn't the next port.
        if rtcp.ip() != rtp.ip() {
            let family = if rtcp.is_ipv4() { "IP4" } else { "IP6" };
            media.add_attribute_with_value("rtcp", format!("{} IN {family} {}", rtcp.port(), rtcp.ip()));
        } else if Some(rtcp.port()) != rtp.port().checked_add(1) {
            media.add_attribute_with_value("rtcp", rtcp.port());
        }
        media
    }
}

/// Numbers for our first offer: the static ones, and 101 for telephone-event as everyone does.
fn preferred_number(payload: Payload) -> u8 {
    match payload {
        Payload::Codec(CodecKind::Pcmu) => 0,
        Payload::Codec(CodecKind::Pcma) => 8,
        Payload::ComfortNoise => 13,
        Payload::TelephoneEvent(8_000) => 101,
        Payload::TelephoneEvent(_) => 102,
        Payload::Codec(CodecKind::Opus) => 96,
    }
}

/// Where the far side takes RTP and RTCP: `c=` of the section, else of the description, and `a=rtcp`.
fn remote_media(section: Section<'_>) -> Result<RemoteMedia, SdpError> {
    let connection = section.media.connections.first().or(section.session.connection.as_ref());
    let address = connection.ok_or(SdpError::MissingAddress)?.connection_address.as_str();
    // A time to live or a count may follow a slash; they are for multicast.
    let host = address.split_once('/').map_or(address, |(host, _)| host);
    let rtp_port = section.media.port;
    let mut rtcp_words = section.own("rtcp").unwrap_or_default().split_ascii_whitespace();
    let rtcp_port = rtcp_words.next().and_then(|port| port.parse().ok()).filter(|port| *port != 0);
    let rtcp_port = rtcp_port.unwrap_or(rtp_port.saturating_add(1));
    let Ok(ip) = host.parse::<IpAddr>() else {
        // RFC 6157 section 3.1: a name in .invalid says for IPv6 what 0.0.0.0 says for IPv4.
        return match host.to_ascii_lowercase().trim_end_matches('.') {
            name if name == "invalid" || name.ends_with(".invalid") => Ok(RemoteMedia::Nowhere),
            _ if is_host_name(host) => Ok(RemoteMedia::Named { host: host.to_owned(), rtp_port, rtcp_port }),
            _ => Err(SdpError::UnsupportedAddress),
        };
    };
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if ip.is_multicast() || broadcast {
        return Err(SdpError::UnsupportedAddress);
    }
    if ip.is_unspecified() {
        return Ok(RemoteMedia::Nowhere);
    }
    let rtcp_ip = rtcp_words.nth(2).and_then(|word| word.parse::<IpAddr>().ok());
    let rtcp_ip = rtcp_ip.filter(|ip| !ip.is_multicast() && !ip.is_unspecified()).unwrap_or(ip);
    Ok(RemoteMedia::Address { rtp: SocketAddr::new(ip, rtp_port), rtcp: SocketAddr::new(rtcp_ip, rtcp_port) })
}
