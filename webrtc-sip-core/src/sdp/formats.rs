//! Audio payload formats: reading them from an `m=` line with its `rtpmap` and `fmtp`, finding those in common, and
//! numbering ours (RFC 3264 sections 5.1, 6.1 and 8.3.2).

use std::collections::BTreeSet;

use sdp_types::Media;
use serde::{Deserialize, Serialize};

use crate::codec::CodecKind;

use super::agreed::{AgreedAudio, AudioFormat, DtmfFormat};
use super::description::{Section, leading_number};
use super::direction::Direction;

/// Formats of the far side that are kept in an agreement.
const MAX_ACCEPTED: usize = 16;
/// Packet time without `a=ptime`, in milliseconds (RFC 3551 section 4.2).
const DEFAULT_PTIME_MS: u32 = 20;
/// Bounds of the packet time that we send, in milliseconds.
const PTIME_RANGE_MS: (u32, u32) = (10, 60);
/// Static payload type of comfort noise (RFC 3389 section 4).
const COMFORT_NOISE: u8 = 13;

/// What a payload type can stand for, as far as we know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Payload {
    Codec(CodecKind),
    /// Clock rate in Hz.
    TelephoneEvent(u32),
    /// At 8 kHz.
    ComfortNoise,
}

/// A payload type and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Format {
    pub(super) payload: Payload,
    pub(super) number: u8,
    /// For telephone-event: whether its `fmtp` has all of `0-9 * #` (RFC 4733 section 2.4.1).
    pub(super) digits: bool,
}

/// The formats of a section that we know, in its order of preference, each payload once.
pub(super) fn read(section: Section<'_>) -> Vec<Format> {
    let mut formats: Vec<Format> = Vec::new();
    for word in section.media.fmt.split_ascii_whitespace() {
        let Some(number) = word.parse().ok().filter(|number| *number < 128) else { continue };
        let Some(payload) = payload_of(section, number) else { continue };
        if formats.iter().any(|known| known.payload == payload || known.number == number) {
            continue;
        }
        let digits = matches!(payload, Payload::TelephoneEvent(_))
            && parameters(section, "fmtp", number).is_none_or(covers_digits);
        formats.push(Format { payload, number, digits });
    }
    formats
}

/// The rest of `a=NAME:NUMBER rest`.
pub(super) fn parameters<'a>(section: Section<'a>, name: &'static str, number: u8) -> Option<&'a str> {
    section.values(name).find_map(|value| {
        let (first, rest) = value.split_once(|c: char| c.is_ascii_whitespace())?;
        (first.parse() == Ok(number)).then(|| rest.trim())
    })
}

/// By `rtpmap`; without one, by the static assignments of RFC 3551 section 6.
fn payload_of(section: Section<'_>, number: u8) -> Option<Payload> {
    let Some(mapping) = parameters(section, "rtpmap", number) else {
        return match number {
            0 => Some(Payload::Codec(CodecKind::Pcmu)),
            8 => Some(Payload::Codec(CodecKind::Pcma)),
            COMFORT_NOISE => Some(Payload::ComfortNoise),
            _ => None,
        };
    };
    let mut parts = mapping.split('/').map(str::trim);
    let name = parts.next()?;
    let clock_rate_hz: u32 = parts.next()?.parse().ok()?;
    let channels = parts.next();
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    let codec = |kind: CodecKind| {
        // Opus is always written with two channels (RFC 7587 section 7), but not by everyone.
        let channels_fit = kind == CodecKind::Opus || matches!(channels, None | Some("1"));
        is(kind.encoding_name()) && clock_rate_hz == kind.clock_rate_hz() && channels_fit
    };
    if let Some(kind) = [CodecKind::Opus, CodecKind::Pcmu, CodecKind::Pcma].into_iter().find(|kind| codec(*kind)) {
        return Some(Payload::Codec(kind));
    }
    match clock_rate_hz {
        8_000 | 48_000 if is("telephone-event") => Some(Payload::TelephoneEvent(clock_rate_hz)),
        8_000 if is("CN") => Some(Payload::ComfortNoise),
        _ => None,
    }
}

/// Whether a list such as `0-11,16` has events 0 to 11.
fn covers_digits(list: &str) -> bool {
    let mut events = [false; 12];
    for range in list.trim_start_matches("events=").split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
            let last = last.min(events.len() - 1);
            events.iter_mut().take(last + 1).skip(first).for_each(|event| *event = true);
        }
    }
    events.iter().all(|event| *event)
}

/// The formats of the far side that we can use, in its order; none when no codec is among them.
///
/// telephone-event has to have the clock rate of a codec beside it (RFC 4733 section 2.5.1.1), but phones that combine
/// Opus with telephone-event at 8 kHz only are taken as they are.
pub(super) fn in_common(theirs: &[Format], codecs: &[CodecKind], comfort_noise: bool) -> Option<Vec<Format>> {
    let common = |format: &Format| matches!(format.payload, Payload::Codec(kind) if codecs.contains(&kind));
    let rates: Vec<u32> = theirs.iter().filter(|f| common(f)).filter_map(|f| f.payload.codec_rate()).collect();
    if rates.is_empty() {
        return None;
    }
    let rate_fits = |rate: &u32| rates.contains(rate);
    let any_event_fits = theirs.iter().any(|f| matches!(&f.payload, Payload::TelephoneEvent(rate) if rate_fits(rate)));
    let keep = |format: &&Format| match &format.payload {
        Payload::Codec(_) => common(format),
        Payload::TelephoneEvent(rate) => rate_fits(rate) || !any_event_fits,
        Payload::ComfortNoise => comfort_noise && rates.contains(&8_000),
    };
    Some(theirs.iter().filter(keep).take(MAX_ACCEPTED).copied().collect())
}

impl Payload {
    fn codec_rate(self) -> Option<u32> {
        match self {
            Payload::Codec(kind) => Some(kind.clock_rate_hz()),
            _ => None,
        }
    }
}

/// What `ours` and `theirs` agree on: we send by the numbers of their description and take in by the numbers of ours.
/// In an answer to an offer both are the same list. None when there is no codec in `theirs`.
pub(super) fn agree(
    ours: &[Format],
    theirs: &[Format],
    direction: Direction,
    section: Section<'_>,
) -> Option<AgreedAudio> {
    let format = theirs.iter().find_map(Format::audio)?;
    // A far side that numbers a format otherwise than our offer did should still use our number when it sends
    // (RFC 3264 section 5.1); those that use theirs are understood as long as the number is free.
    let stray = theirs.iter().filter(|their| ours.iter().all(|our| our.number != their.number));
    let mutual = ours.iter().filter(|our| theirs.iter().any(|their| their.payload == our.payload));
    let accepted: Vec<Format> = mutual.chain(stray).take(MAX_ACCEPTED).copied().collect();
    let events: Vec<DtmfFormat> = theirs.iter().filter(|f| f.digits).filter_map(Format::dtmf).collect();
    let same_rate = events.iter().find(|event| event.clock_rate_hz == format.codec.clock_rate_hz());
    Some(AgreedAudio {
        send: direction.sends(),
        receive: direction.receives(),
        format,
        accept: accepted.iter().filter_map(Format::audio).collect(),
        dtmf_send: same_rate.or(events.first()).copied(),
        dtmf_accept: accepted.iter().filter_map(Format::dtmf).collect(),
        comfort_noise: accepted.iter().find(|f| f.payload == Payload::ComfortNoise).map(|f| f.number),
        ptime_ms: packet_time(section, format.codec),
    })
}

impl Format {
    fn audio(&self) -> Option<AudioFormat> {
        match self.payload {
            Payload::Codec(codec) => Some(AudioFormat { codec, payload_type: self.number }),
            _ => None,
        }
    }

    fn dtmf(&self) -> Option<DtmfFormat> {
        match self.payload {
            Payload::TelephoneEvent(clock_rate_hz) => Some(DtmfFormat { payload_type: self.number, clock_rate_hz }),
            _ => None,
        }
    }
}

/// The packet time that the far side would like to receive (`a=ptime`, RFC 8866 section 6.4), brought to one that we
/// can send and that doesn't pass its `a=maxptime`. One Opus packet holds 10, 20, 40 or 60 ms (RFC 7587 section 4.2).
fn packet_time(section: Section<'_>, codec: CodecKind) -> u8 {
    let limit = |name| section.own(name).and_then(leading_number).filter(|ms| *ms > 0);
    let wanted = limit("ptime").unwrap_or(DEFAULT_PTIME_MS).min(limit("maxptime").unwrap_or(u32::MAX));
    let (shortest, longest) = PTIME_RANGE_MS;
    let tens = wanted.clamp(shortest, longest) / 10 * 10;
    let ptime_ms = match (codec, tens) {
        (CodecKind::Opus, 30) => 20,
        (CodecKind::Opus, 50) => 40,
        _ => tens,
    };
    ptime_ms as u8
}

/// Writes `rtpmap` and `fmtp` of each format; the numbers already stand in the `m=` line.
pub(super) fn write(media: &mut Media, formats: &[Format]) {
    for Format { payload, number, .. } in formats {
        let (mapping, parameters) = match payload {
            // Without minptime, 3 ms packets would be welcome (RFC 7587 section 6.1). In-band FEC is what makes Opus
            // survive loss.
            Payload::Codec(CodecKind::Opus) => ("opus/48000/2".to_owned(), Some("minptime=10;useinbandfec=1")),
            Payload::Codec(kind) => (format!("{}/{}", kind.encoding_name(), kind.clock_rate_hz()), None),
            Payload::TelephoneEvent(rate) => (format!("telephone-event/{rate}"), Some("0-15")),
            Payload::ComfortNoise => ("CN/8000".to_owned(), None),
        };
        media.add_attribute_with_value("rtpmap", format!("{number} {mapping}"));
        if let Some(parameters) = parameters {
            media.add_attribute_with_value("fmtp", format!("{number} {parameters}"));
        }
    }
}

/// The formats of an `m=` line.
pub(super) fn numbers(formats: &[Format]) -> String {
    formats.iter().map(|format| format.number.to_string()).collect::<Vec<_>>().join(" ")
}

/// Payload type numbers of one leg. A number that once meant something means the same until the leg ends (RFC 3264
/// section 8.3.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PayloadMap {
    known: Vec<Format>,
    /// Dynamic numbers that the far side uses for what we don't know.
    taken: BTreeSet<u8>,
}

impl PayloadMap {
    /// Remembers the numbers of a negotiated section: `formats` are those in use.
    pub(super) fn learn(&mut self, section: Section<'_>, formats: &[Format]) {
        let listed = section.media.fmt.split_ascii_whitespace().filter_map(|word| word.parse::<u8>().ok());
        self.taken.extend(listed.filter(|number| (35..128).contains(number)));
        self.keep(formats);
    }

    /// Remembers the numbers of an offer of ours that was accepted.
    pub(super) fn keep(&mut self, formats: &[Format]) {
        for format in formats {
            let renumbered = self.known.iter().filter(|k| k.payload == format.payload && k.number != format.number);
            self.taken.extend(renumbered.map(|known| known.number));
            self.taken.remove(&format.number);
            self.known.retain(|known| known.number != format.number && known.payload != format.payload);
            self.known.push(*format);
        }
    }

    /// What we offer: the codecs in this order, then telephone-event for each of their clock rates.
    pub(super) fn offer(&self, codecs: &[CodecKind], comfort_noise: bool, preferred: fn(Payload) -> u8) -> Vec<Format> {
        let mut payloads: Vec<Payload> = codecs.iter().copied().map(Payload::Codec).collect();
        let rates: BTreeSet<u32> = codecs.iter().map(|kind| kind.clock_rate_hz()).collect();
        if comfort_noise && rates.contains(&8_000) {
            payloads.push(Payload::ComfortNoise);
        }
        payloads.extend(rates.into_iter().map(Payload::TelephoneEvent));
        let mut formats: Vec<Format> = Vec::new();
        for payload in payloads {
            if formats.iter().all(|format| format.payload != payload)
                && let Some(number) = self.number(payload, preferred(payload), &formats)
            {
                formats.push(Format { payload, number, digits: matches!(payload, Payload::TelephoneEvent(_)) });
            }
        }
        formats
    }

    /// The number that `payload` has, else its static or preferred one, else any that is free (RFC 3551 section 3;
    /// 64 to 95 would be taken for RTCP, RFC 5761 section 4).
    fn number(&self, payload: Payload, preferred: u8, offered: &[Format]) -> Option<u8> {
        if let Some(known) = self.known.iter().find(|known| known.payload == payload) {
            return Some(known.number);
        }
        let free = |number: &u8| {
            !self.taken.contains(number) && self.known.iter().chain(offered).all(|other| other.number != *number)
        };
        std::iter::once(preferred).chain(96..128).chain(35..64).find(free)
    }
}
