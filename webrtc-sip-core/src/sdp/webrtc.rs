//! Offer and answer for WebRTC (RFC 9429): ICE, DTLS-SRTP, BUNDLE, rtcp-mux.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sdp_types::{Connection, Media, Session};
use serde::{Deserialize, Serialize};

use crate::codec::CodecKind;

use super::agreed::{AgreedWebRtc, RemoteTransport};
use super::attributes::{DtlsRole, Fingerprint, IceCredentials, sha256_fingerprint};
use super::bundle::{self, fingerprints, transport, transport_section};
use super::candidate::{self, Candidate};
use super::description::{self, Section};
use super::direction::Direction;
use super::error::SdpError;
use super::formats::{self, Format, Payload};
use super::memory::{Memory, SectionMemory};

/// Candidates that are kept of one description.
const MAX_CANDIDATES: usize = 64;
/// Port in the `m=` line of a section whose address ICE finds (RFC 8840 section 4.1.1).
const DISCARD_PORT: u16 = 9;

/// Our side of a WebRTC leg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebRtcLocal {
    /// Our ICE credentials.
    pub ice: IceCredentials,
    /// Whether we are an ICE-lite agent.
    pub ice_lite: bool,
    /// Host candidates, the most preferred first.
    pub candidates: Vec<SocketAddr>,
    /// SHA-256 of our certificate.
    pub fingerprint: [u8; 32],
    /// Synchronisation source of what we send.
    pub ssrc: u32,
    /// RTCP canonical name (RFC 7022).
    pub cname: String,
    /// `a=msid` (RFC 8830): identifier of the media stream, a space, identifier of the track.
    pub msid: String,
    /// Codecs in order of preference.
    pub codecs: Vec<CodecKind>,
    /// Whether comfort noise (RFC 3389) is accepted beside G.711.
    pub comfort_noise: bool,
}

/// Offer/answer state of one WebRTC leg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebRtcNegotiator {
    local: WebRtcLocal,
    direction: Direction,
    memory: Memory,
    remote: Option<KnownRemote>,
}

/// What tells a restart or a new DTLS association from going on as before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KnownRemote {
    ice: IceCredentials,
    fingerprints: Vec<Fingerprint>,
    dtls_role: DtlsRole,
}

/// An offer that waits for its answer. Dropping it rolls back.
#[derive(Debug)]
pub struct PendingWebRtcOffer {
    sections: Vec<SectionMemory>,
    formats: Vec<Format>,
    direction: Direction,
    ice: IceCredentials,
    revision: u64,
}

/// What we found in the far side's audio section.
struct Found {
    formats: Vec<Format>,
    ice: IceCredentials,
    fingerprints: Vec<Fingerprint>,
    setup: Option<String>,
}

impl WebRtcNegotiator {
    /// A leg without any exchange yet. `session_id` should be random.
    pub fn new(local: WebRtcLocal, session_id: u64) -> Self {
        // RFC 9429 section 5.2.1: an address that means nothing, so as to tell nothing.
        let memory = Memory::new(session_id, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        WebRtcNegotiator { local, direction: Direction::SendRecv, memory, remote: None }
    }

    /// What we want from the next offer or answer on; see [`super::SipNegotiator::set_direction`].
    pub fn set_direction(&mut self, direction: Direction) {
        self.direction = direction;
    }

    /// What we want.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Our side as it is now.
    pub fn local(&self) -> &WebRtcLocal {
        &self.local
    }

    /// Our ICE credentials.
    pub fn local_ice(&self) -> &IceCredentials {
        &self.local.ice
    }

    /// From the next offer or answer on we send as `ssrc` and are at `candidates`, because another node goes on with
    /// the leg.
    pub fn relocate(&mut self, ssrc: u32, candidates: Vec<SocketAddr>) {
        self.local.ssrc = ssrc;
        self.local.candidates = candidates;
    }

    /// Answers an offer (RFC 9429 section 5.3). When it restarts ICE, `fresh` becomes our credentials.
    pub fn answer(
        &mut self,
        offer: impl AsRef<[u8]>,
        fresh: IceCredentials,
    ) -> Result<(String, AgreedWebRtc), SdpError> {
        let offer = description::parse(offer.as_ref())?;
        let (index, found) = self.memory.choose_audio(&offer, |section| self.assess(section))?;
        let section = Section { session: &offer, media: &offer.medias[index] };
        let dtls_role = self.role_for(&found)?;
        let direction = section.direction().reversed().and(self.direction);
        let audio =
            formats::agree(&found.formats, &found.formats, direction, section).ok_or(SdpError::NoCommonCodec)?;

        let ice_restart = self.remote.as_ref().is_some_and(|known| known.ice != found.ice);
        if ice_restart {
            self.local.ice = fresh;
        }
        let mut sections: Vec<SectionMemory> = Section::all(&offer).map(SectionMemory::of).collect();
        if let Some((carrier, number, mapping)) = bundle::carrier(section) {
            sections[carrier].formats = number.to_string();
            sections[carrier].carrier = Some(format!("{number} {mapping}"));
        }
        let mut answer = self.describe(&sections, index, &found.formats, direction, &self.local.ice, dtls_role.setup());
        if section.group("BUNDLE").is_some() {
            write_group(&mut answer, &sections, index);
        }
        self.memory.payloads.learn(section, &found.formats);
        let remote_hold = !section.direction().receives();
        let mid = section.mid().map(str::to_owned);
        self.memory.commit(sections, index, remote_hold);
        let remote = self.remember(section, found, dtls_role);
        let agreed = AgreedWebRtc { audio, remote_hold, mid, local_ice: self.local.ice.clone(), ice_restart, remote };
        Ok((self.memory.origin.write(answer), agreed))
    }

    /// Makes an offer (RFC 9429 section 5.2) of what we can do and want now; with credentials, one that restarts ICE.
    /// An offer that is still pending can't be answered any more.
    pub fn offer(&mut self, ice_restart: Option<IceCredentials>) -> (String, PendingWebRtcOffer) {
        let formats = self.memory.payloads.offer(&self.local.codecs, false, preferred_number);
        let sections = self.memory.offered_sections(SectionMemory::audio("UDP/TLS/RTP/SAVPF", Some("0")));
        let ice = ice_restart.unwrap_or_else(|| self.local.ice.clone());
        let index = self.memory.audio;
        let mut offer = self.describe(&sections, index, &formats, self.direction, &ice, "actpass");
        write_group(&mut offer, &sections, index);
        if let Some(audio) = offer.medias.get_mut(index) {
            // RFC 8858 section 4: there is no RTCP port to fall back to.
            audio.add_attribute_from_str("rtcp-mux-only");
        }
        self.memory.revision += 1;
        let revision = self.memory.revision;
        let pending = PendingWebRtcOffer { sections, formats, direction: self.direction, ice, revision };
        (self.memory.origin.write(offer), pending)
    }

    /// Reads the answer to our offer (RFC 9429 section 5.11).
    pub fn accept_answer(
        &mut self,
        pending: PendingWebRtcOffer,
        answer: impl AsRef<[u8]>,
    ) -> Result<AgreedWebRtc, SdpError> {
        if pending.revision != self.memory.revision {
            return Err(SdpError::StaleOffer);
        }
        let answer = description::parse(answer.as_ref())?;
        let index = self.memory.audio;
        let section = self.memory.answered_audio(&answer)?;
        let mut found = self.assess(section)?;
        found.formats.retain(|their| pending.formats.iter().any(|our| our.payload == their.payload));
        let theirs = section.direction();
        let direction = theirs.reversed().and(pending.direction);
        let audio =
            formats::agree(&pending.formats, &found.formats, direction, section).ok_or(SdpError::NoCommonCodec)?;
        let dtls_role = DtlsRole::for_answer(found.setup.as_deref())?;

        let ice_restart = self.remote.is_some() && self.local.ice != pending.ice;
        self.local.ice = pending.ice;
        self.memory.payloads.learn(section, &found.formats);
        self.memory.payloads.keep(&pending.formats);
        let remote_hold = self.memory.held_by_answer(pending.direction, theirs);
        let mid = pending.sections.get(index).and_then(|section| section.mid.clone());
        self.memory.commit(pending.sections, index, remote_hold);
        let remote = self.remember(section, found, dtls_role);
        Ok(AgreedWebRtc { audio, remote_hold, mid, local_ice: self.local.ice.clone(), ice_restart, remote })
    }

    fn assess(&self, section: Section<'_>) -> Result<Found, SdpError> {
        let in_bundle = section.own("bundle-only").is_some() && section.group("BUNDLE").is_some();
        if section.media.port == 0 && !in_bundle {
            return Err(SdpError::NoAudio);
        }
        if !bundle::is_supported_profile(&section.media.proto) {
            return Err(SdpError::UnsupportedProfile);
        }
        let formats = formats::in_common(&formats::read(section), &self.local.codecs, self.local.comfort_noise)
            .ok_or(SdpError::NoCommonCodec)?;
        if transport(section, "rtcp-mux").is_none() {
            return Err(SdpError::MissingRtcpMux);
        }
        let ice = IceCredentials::read(transport(section, "ice-ufrag"), transport(section, "ice-pwd"))?;
        let fingerprints = fingerprints(section);
        if fingerprints.is_empty() {
            return Err(SdpError::MissingFingerprint);
        }
        Ok(Found { formats, ice, fingerprints, setup: transport(section, "setup").map(str::to_owned) })
    }

    /// Our DTLS role in an answer. It stays as long as the association does, which a new fingerprint ends (RFC 8842
    /// section 5.5). An ICE-lite agent lets the other side begin, because that side knows first which path works.
    fn role_for(&self, found: &Found) -> Result<DtlsRole, SdpError> {
        let going_on = self.remote.as_ref().filter(|known| known.fingerprints == found.fingerprints);
        let preferred = if self.local.ice_lite { DtlsRole::Server } else { DtlsRole::Client };
        DtlsRole::for_offer(found.setup.as_deref(), going_on.map(|known| known.dtls_role), preferred)
    }

    /// Keeps what later exchanges are compared with.
    fn remember(&mut self, section: Section<'_>, found: Found, dtls_role: DtlsRole) -> RemoteTransport {
        let Found { ice, fingerprints, .. } = found;
        self.remote = Some(KnownRemote { ice: ice.clone(), fingerprints: fingerprints.clone(), dtls_role });
        let trickles = transport(section, "ice-options")
            .is_some_and(|options| options.split_ascii_whitespace().any(|option| option == "trickle"));
        RemoteTransport {
            ice,
            ice_lite: section.inherited("ice-lite").is_some(),
            candidates: candidate::usable(transport_section(section, "candidate").values("candidate"), MAX_CANDIDATES),
            more_candidates: trickles && transport(section, "end-of-candidates").is_none(),
            fingerprints,
            dtls_role,
            ssrcs: bundle::announced_ssrcs(section),
        }
    }

    fn describe(
        &self,
        sections: &[SectionMemory],
        audio: usize,
        formats: &[Format],
        direction: Direction,
        ice: &IceCredentials,
        setup: &str,
    ) -> Session {
        let mut session = self.memory.origin.session();
        if self.local.ice_lite {
            session.add_attribute_from_str("ice-lite");
        }
        session.add_attribute_with_value("ice-options", "trickle");
        session.medias = sections
            .iter()
            .enumerate()
            .map(|(index, section)| {
                if index == audio {
                    return self.describe_audio(section, formats, direction, ice, setup);
                }
                match &section.carrier {
                    Some(mapping) => self.describe_carrier(section, mapping, ice, setup),
                    None => section.rejected(Some(Connection::from_ip_addr(Ipv4Addr::UNSPECIFIED))),
                }
            })
            .collect();
        session
    }

    fn describe_carrier(&self, section: &SectionMemory, mapping: &str, ice: &IceCredentials, setup: &str) -> Media {
        let mut media = self.start_section(section);
        media.add_attribute_from_str(Direction::Inactive.name());
        media.add_attribute_with_value("rtpmap", mapping);
        self.write_transport(&mut media, ice, setup);
        media
    }

    fn describe_audio(
        &self,
        section: &SectionMemory,
        formats: &[Format],
        direction: Direction,
        ice: &IceCredentials,
        setup: &str,
    ) -> Media {
        let mut media = self.start_section(section);
        media.fmt = formats::numbers(formats);
        media.add_attribute_from_str(direction.name());
        formats::write(&mut media, formats);
        if direction.sends() {
            let WebRtcLocal { msid, ssrc, cname, .. } = &self.local;
            media.add_attribute_with_value("msid", msid);
            media.add_attribute_with_value("ssrc", format!("{ssrc} cname:{cname}"));
        }
        self.write_transport(&mut media, ice, setup);
        media
    }

    /// A section at the default candidate (RFC 8839 section 4.2.1.2).
    fn start_section(&self, section: &SectionMemory) -> Media {
        let unknown = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), DISCARD_PORT);
        let default = self.local.candidates.first().copied().unwrap_or(unknown);
        let mut media = section.media(default.port());
        media.add_connection(Connection::from_ip_addr(default.ip()));
        media
    }

    fn write_transport(&self, media: &mut Media, ice: &IceCredentials, setup: &str) {
        let local = &self.local;
        media.add_attribute_from_str("rtcp-mux");
        media.add_attribute_with_value("ice-ufrag", &ice.ufrag);
        media.add_attribute_with_value("ice-pwd", &ice.password);
        media.add_attribute_with_value("fingerprint", sha256_fingerprint(&local.fingerprint));
        media.add_attribute_with_value("setup", setup);
        for candidate in Candidate::hosts(&local.candidates) {
            let text = candidate.to_string();
            let (name, value) = text.split_once(':').unwrap_or((&text, ""));
            media.add_attribute_with_value(name, value);
        }
        if !local.candidates.is_empty() {
            media.add_attribute_from_str("end-of-candidates");
        }
    }
}

/// Numbers for our first offer: the static ones, and those that browsers use themselves.
fn preferred_number(payload: Payload) -> u8 {
    match payload {
        Payload::Codec(CodecKind::Opus) => 111,
        Payload::Codec(CodecKind::Pcmu) => 0,
        Payload::Codec(CodecKind::Pcma) => 8,
        Payload::ComfortNoise => 13,
        Payload::TelephoneEvent(48_000) => 110,
        Payload::TelephoneEvent(_) => 126,
    }
}

/// Writes the group of the section in use and the one that carries its transport, if any, which comes first (RFC 9143
/// section 7.3).
fn write_group(session: &mut Session, sections: &[SectionMemory], audio: usize) {
    let Some(mid) = sections.get(audio).and_then(|section| section.mid.as_deref()) else { return };
    let carriers = sections.iter().filter(|section| section.carrier.is_some()).filter_map(|s| s.mid.as_deref());
    let mids: Vec<&str> = carriers.chain([mid]).collect();
    session.add_attribute_with_value("group", format!("BUNDLE {}", mids.join(" ")));
}
