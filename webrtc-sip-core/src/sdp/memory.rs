//! What a leg's later offers and answers are bound to by its earlier ones.

use std::net::IpAddr;

use sdp_types::{Connection, Media, Session};
use serde::{Deserialize, Serialize};

use super::description::Section;
use super::direction::Direction;
use super::error::SdpError;
use super::formats::PayloadMap;

/// The `o=` line (RFC 8866 section 5.2) and the versions of what we wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    session_id: u64,
    version: u64,
    address: IpAddr,
    /// Hash of the last description we wrote.
    written: Option<u64>,
}

impl Origin {
    /// `session_id` should be random; the top bit is dropped (RFC 9429 section 5.2.1).
    pub(super) fn new(session_id: u64, address: IpAddr) -> Self {
        Origin { session_id: session_id >> 1, version: 0, address, written: None }
    }

    /// An empty description with our origin.
    pub(super) fn session(&self) -> Session {
        Session::new(sdp_types::Origin::with_ip_addr(self.session_id, 0, self.address), "-")
    }

    /// Writes a description. The version grows by one unless it says exactly what the last one said (RFC 3264
    /// section 8).
    pub(super) fn write(&mut self, mut session: Session) -> String {
        let hash = fnv1a(session.to_string().as_bytes());
        if self.written != Some(hash) {
            self.version += 1;
            self.written = Some(hash);
        }
        session.origin.sess_version = self.version;
        session.to_string()
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// One `m=` line of the last negotiated description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SectionMemory {
    pub(super) kind: String,
    pub(super) protocol: String,
    pub(super) formats: String,
    pub(super) mid: Option<String>,
    /// Set where we have no use for the section but for its transport: the `rtpmap` of the one format with which it
    /// stays alive, inactive.
    pub(super) carrier: Option<String>,
}

impl SectionMemory {
    /// The audio section of a first offer.
    pub(super) fn audio(protocol: &str, mid: Option<&str>) -> Self {
        SectionMemory {
            kind: "audio".to_owned(),
            protocol: protocol.to_owned(),
            formats: String::new(),
            mid: mid.map(str::to_owned),
            carrier: None,
        }
    }

    pub(super) fn of(section: Section<'_>) -> Self {
        SectionMemory {
            kind: section.media.media.clone(),
            protocol: section.media.proto.clone(),
            formats: section.media.fmt.clone(),
            mid: section.mid().map(str::to_owned),
            carrier: None,
        }
    }

    /// The section with port 0: refused in an answer, unused in an offer (RFC 3264 sections 6 and 8.2). The mid stays
    /// with its place in the description (RFC 5888 section 9.1).
    pub(super) fn rejected(&self, connection: Option<Connection>) -> Media {
        let mut media = self.media(0);
        media.connections.extend(connection);
        media.add_attribute_from_str("inactive");
        media
    }

    /// The section with its `m=` line and mid.
    pub(super) fn media(&self, port: u16) -> Media {
        let mut attributes = Vec::new();
        if let Some(mid) = &self.mid {
            attributes.push(sdp_types::Attribute::with_value("mid", mid));
        }
        Media {
            media: self.kind.clone(),
            port,
            num_ports: None,
            proto: self.protocol.clone(),
            fmt: self.formats.clone(),
            media_title: None,
            connections: Vec::new(),
            bandwidths: Vec::new(),
            key: None,
            attributes,
        }
    }
}

/// State that both kinds of negotiator have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) origin: Origin,
    /// Every `m=` line in order; empty before the first exchange.
    pub(super) sections: Vec<SectionMemory>,
    /// Which of them is the audio section in use.
    pub(super) audio: usize,
    pub(super) payloads: PayloadMap,
    /// Grows with each offer of ours and each answer in either direction, so that an overtaken offer is known.
    pub(super) revision: u64,
    pub(super) remote_hold: bool,
}

impl Memory {
    pub(super) fn new(session_id: u64, address: IpAddr) -> Self {
        Memory {
            origin: Origin::new(session_id, address),
            sections: Vec::new(),
            audio: 0,
            payloads: PayloadMap::default(),
            revision: 0,
            remote_hold: false,
        }
    }

    /// The sections of our next offer, the audio one as `audio` where there was none yet.
    pub(super) fn offered_sections(&self, audio: SectionMemory) -> Vec<SectionMemory> {
        if self.sections.is_empty() { vec![audio] } else { self.sections.clone() }
    }

    /// Finds the audio section that `assess` accepts: the one in use if it still is one, else the first. When there is
    /// none, the reason is that of the first audio section.
    pub(super) fn choose_audio<'a, T>(
        &self,
        offer: &'a Session,
        assess: impl Fn(Section<'a>) -> Result<T, SdpError>,
    ) -> Result<(usize, T), SdpError> {
        let in_use = (!self.sections.is_empty()).then_some(self.audio);
        let mut reason = None;
        for index in in_use.into_iter().chain((0..offer.medias.len()).filter(|index| Some(*index) != in_use)) {
            let Some(media) = offer.medias.get(index).filter(|media| media.media.eq_ignore_ascii_case("audio")) else {
                continue;
            };
            match assess(Section { session: offer, media }) {
                Ok(found) => return Ok((index, found)),
                Err(SdpError::NoAudio) => (),
                Err(error) => reason = reason.or(Some(error)),
            }
        }
        Err(reason.unwrap_or(SdpError::NoAudio))
    }

    /// Our audio section in an answer: sections stand in the order of the offer (RFC 3264 section 6).
    pub(super) fn answered_audio<'a>(&self, answer: &'a Session) -> Result<Section<'a>, SdpError> {
        let media = answer.medias.get(self.audio).filter(|media| media.media.eq_ignore_ascii_case("audio"));
        Ok(Section { session: answer, media: media.ok_or(SdpError::NoAudio)? })
    }

    /// Whether the far side holds us after it answered `answered` to our `offered`. Where we offered to send nothing,
    /// the answer can't say whether it would have been taken.
    pub(super) fn held_by_answer(&self, offered: Direction, answered: Direction) -> bool {
        if offered.sends() { !answered.receives() } else { self.remote_hold }
    }

    /// Takes note of a finished exchange.
    pub(super) fn commit(&mut self, sections: Vec<SectionMemory>, audio: usize, remote_hold: bool) {
        self.sections = sections;
        self.audio = audio;
        self.remote_hold = remote_hold;
        self.revision += 1;
    }
}
