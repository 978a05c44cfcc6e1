//! DTLS 1.2 and 1.3 (RFC 6347, RFC 9147) of one leg: the handshake of the `dimpl` crate, the check of the peer's
//! certificate against its signalled fingerprints, and the SRTP keys that come out of it (RFC 5764).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use dimpl::{Config, Dtls, Error, KeyingMaterial, Output};
use subtle::ConstantTimeEq as _;

use crate::crypto::DtlsCertificate;
use crate::io::DropReason;
use crate::transport::DtlsRole;

/// Datagrams that wait to be sent; a flight with certificates takes three or four.
const MAX_OUTGOING: usize = 32;
/// Room for one datagram; dimpl keeps to the MTU below.
const DATAGRAM_BYTES: usize = 2048;
/// Fits into 1,280 bytes of IPv6 with UDP and a TURN header.
const MTU_BYTES: usize = 1200;
/// Fingerprints of one remote description that are looked at.
const MAX_FINGERPRINTS: usize = 8;

/// DTLS configuration and certificate shared by all legs of a shard.
#[derive(Clone)]
pub struct DtlsContext {
    config: Arc<Config>,
    certificate: dimpl::DtlsCertificate,
    handshake_timeout: Duration,
    /// Plays a browser that knows nothing newer.
    #[cfg(test)]
    pub(super) dtls12_only: bool,
}

impl std::fmt::Debug for DtlsContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DtlsContext")
    }
}

/// The DTLS library doesn't take this configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the handshake time-out must be more than zero and less than ten years")]
pub struct DtlsContextError;

impl DtlsContext {
    /// `handshake_timeout` counts from the moment a path to the browser is known.
    pub fn new(certificate: &DtlsCertificate, handshake_timeout: Duration) -> Result<Self, DtlsContextError> {
        let config = Config::builder()
            .mtu(MTU_BYTES)
            // ICE has validated the source already; a cookie would only cost a round trip (RFC 6347 section 4.2.1).
            .use_server_cookie(false)
            .require_client_certificate(true)
            // RFC 6347 section 4.2.4.1 recommends 1 s but allows less where latency matters, as it does here.
            .flight_start_rto(Duration::from_millis(250))
            .flight_retries(8)
            .handshake_timeout(handshake_timeout)
            .build()
            .map_err(|_| DtlsContextError)?;
        let certificate = dimpl::DtlsCertificate {
            certificate: certificate.certificate_der().to_vec(),
            private_key: certificate.private_key_der().to_vec(),
        };
        Ok(DtlsContext {
            config: Arc::new(config),
            certificate,
            handshake_timeout,
            #[cfg(test)]
            dtls12_only: false,
        })
    }

    fn start(&self, now: Instant) -> Dtls {
        #[cfg(test)]
        if self.dtls12_only {
            return Dtls::new_12(Arc::clone(&self.config), self.certificate.clone(), now);
        }
        Dtls::new_auto(Arc::clone(&self.config), self.certificate.clone(), now)
    }

    pub(super) fn handshake_timeout(&self) -> Duration {
        self.handshake_timeout
    }
}

/// The certificates that the other side may present.
#[derive(Clone)]
pub(super) struct Fingerprints {
    name: &'static str,
    algorithm: &'static Algorithm,
    values: Vec<Vec<u8>>,
}

impl PartialEq for Fingerprints {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.values == other.values
    }
}

impl Fingerprints {
    /// RFC 8122 section 5: of the hash functions that were offered the strongest one that we know counts, and the
    /// certificate must match one of its values. SHA-1 and MD5 aren't known here. None when nothing usable was offered.
    pub(super) fn strongest(offered: &[(String, Vec<u8>)]) -> Option<Self> {
        [("sha-512", &SHA512), ("sha-384", &SHA384), ("sha-256", &SHA256)].into_iter().find_map(|(name, algorithm)| {
            let values: Vec<Vec<u8>> = offered
                .iter()
                .filter(|(offered, value)| offered.eq_ignore_ascii_case(name) && value.len() == algorithm.output_len())
                .map(|(_, value)| value.clone())
                .take(MAX_FINGERPRINTS)
                .collect();
            (!values.is_empty()).then_some(Fingerprints { name, algorithm, values })
        })
    }

    /// As they were offered.
    pub(super) fn to_offered(&self) -> Vec<(String, Vec<u8>)> {
        self.values.iter().map(|value| (self.name.to_owned(), value.clone())).collect()
    }

    fn matches(&self, certificate: &[u8]) -> bool {
        let actual = digest(self.algorithm, certificate);
        self.values.iter().any(|value| bool::from(value.as_slice().ct_eq(actual.as_ref())))
    }
}

/// What a completed handshake yields.
pub(super) struct HandshakeKeys {
    pub(super) profile: dimpl::SrtpProfile,
    pub(super) material: KeyingMaterial,
}

/// What happened.
pub(super) enum DtlsEvent {
    /// The handshake is done and the certificate is the signalled one.
    Ready(HandshakeKeys),
    /// The other side ended the association, by close_notify or a fatal alert.
    Closed,
    /// There will be no association.
    Failed(DtlsFailure),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DtlsFailure {
    Handshake,
    Fingerprint,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Handshake,
    Established,
    Over,
}

pub(super) struct DtlsEndpoint {
    dtls: Box<Dtls>,
    role: DtlsRole,
    fingerprints: Fingerprints,
    stage: Stage,
    certificate_matches: bool,
    connected: bool,
    keys: Option<HandshakeKeys>,
    outgoing: VecDeque<Vec<u8>>,
    events: VecDeque<DtlsEvent>,
    next_timeout: Option<Instant>,
}

impl DtlsEndpoint {
    /// A client sends its first flight at once.
    pub(super) fn new(context: &DtlsContext, role: DtlsRole, fingerprints: Fingerprints, now: Instant) -> Self {
        let mut dtls = context.start(now);
        dtls.set_active(role == DtlsRole::Client);
        let mut endpoint = DtlsEndpoint {
            dtls: Box::new(dtls),
            role,
            fingerprints,
            stage: Stage::Handshake,
            certificate_matches: false,
            connected: false,
            keys: None,
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            next_timeout: None,
        };
        endpoint.advance(now);
        endpoint
    }

    pub(super) fn role(&self) -> DtlsRole {
        self.role
    }

    /// A datagram from a source that ICE has validated.
    pub(super) fn handle_packet(&mut self, now: Instant, packet: &[u8]) -> Result<(), DropReason> {
        if self.stage == Stage::Over {
            return Err(DropReason::OutOfState);
        }
        if self.stage == Stage::Handshake && !self.is_wanted(packet) {
            return Err(DropReason::NotRecognised);
        }
        self.advance(now);
        if self.stage == Stage::Over {
            return Err(DropReason::OutOfState);
        }
        let result = self.dtls.handle_packet(packet);
        self.absorb(result);
        self.drain();
        Ok(())
    }

    /// dimpl takes every error for the end, so what anybody could forge is kept from it: a fatal alert in the clear,
    /// and whatever isn't a handshake message while the version is open: an answer to a client's first flight, or a
    /// ClientHello. An association that ended (RFC 8842 section 3.2) may still have packets under way.
    fn is_wanted(&self, packet: &[u8]) -> bool {
        const ALERT: u8 = 21;
        const HANDSHAKE: u8 = 22;
        const CLIENT_HELLO: u8 = 1;
        const SERVER_HELLO: u8 = 2;
        const HELLO_VERIFY_REQUEST: u8 = 3;
        let in_the_clear = packet.get(3..5) == Some(&[0, 0]);
        if packet.first() == Some(&ALERT) && in_the_clear {
            return false;
        }
        if self.dtls.protocol_version().is_some() {
            return true;
        }
        let hello = match self.role {
            DtlsRole::Client => [SERVER_HELLO, HELLO_VERIFY_REQUEST],
            DtlsRole::Server => [CLIENT_HELLO; 2],
        };
        packet.first() == Some(&HANDSHAKE) && in_the_clear && packet.get(13).is_some_and(|kind| hello.contains(kind))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.next_timeout.is_some_and(|at| at <= now) {
            self.advance(now);
        }
    }

    /// Says close_notify; the alert waits in `poll_transmit`.
    pub(super) fn close(&mut self) {
        if self.stage == Stage::Established && self.dtls.close().is_ok() {
            self.drain();
        }
        self.stage = Stage::Over;
        self.next_timeout = None;
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    pub(super) fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.events.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next_timeout
    }

    fn advance(&mut self, now: Instant) {
        if self.stage == Stage::Over {
            return;
        }
        let result = self.dtls.handle_timeout(now);
        self.absorb(result);
        self.drain();
    }

    fn absorb(&mut self, result: Result<(), Error>) {
        let Err(error) = result else { return };
        match self.stage {
            Stage::Over => {}
            Stage::Handshake => self.fail(DtlsFailure::Handshake),
            Stage::Established => {
                self.over();
                // Other errors end DTLS but not the media, whose keys are known: there is nothing else DTLS is for.
                if matches!(error, Error::SecurityError(_) | Error::ConnectionClosed) {
                    self.events.push_back(DtlsEvent::Closed);
                }
            }
        }
    }

    fn fail(&mut self, failure: DtlsFailure) {
        self.over();
        self.events.push_back(DtlsEvent::Failed(failure));
    }

    fn over(&mut self) {
        self.stage = Stage::Over;
        self.next_timeout = None;
    }

    fn drain(&mut self) {
        let mut buffer = [0; DATAGRAM_BYTES];
        while self.stage != Stage::Over {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) if self.outgoing.len() < MAX_OUTGOING => {
                    self.outgoing.push_back(packet.to_vec());
                }
                // Lost, as it could be on the way.
                Output::Packet(_) => {}
                Output::Timeout(at) => {
                    self.next_timeout = Some(at);
                    break;
                }
                Output::PeerCert(certificate) => {
                    self.certificate_matches = self.fingerprints.matches(certificate);
                    if !self.certificate_matches {
                        self.fail(DtlsFailure::Fingerprint);
                    }
                }
                Output::KeyingMaterial(material, profile) => self.keys = Some(HandshakeKeys { profile, material }),
                Output::Connected => self.connected = true,
                Output::CloseNotify => {
                    self.events.push_back(DtlsEvent::Closed);
                    self.over();
                }
                // Data channels aren't offered; what comes over them has no reader.
                Output::ApplicationData(_) => {}
                Output::BufferTooSmall { .. } => self.fail(DtlsFailure::Handshake),
                _ => {}
            }
        }
        self.establish();
    }

    fn establish(&mut self) {
        if self.stage != Stage::Handshake || !self.connected {
            return;
        }
        match self.keys.take() {
            Some(keys) if self.certificate_matches => {
                self.stage = Stage::Established;
                self.events.push_back(DtlsEvent::Ready(keys));
            }
            // Without use_srtp (RFC 5764 section 4.1.1) there is no media.
            _ => self.fail(DtlsFailure::Handshake),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_strongest_known_hash_counts() {
        let certificate = b"certificate";
        let good = |algorithm| digest(algorithm, certificate).as_ref().to_vec();
        let offer = |entries: &[(&str, Vec<u8>)]| -> Vec<(String, Vec<u8>)> {
            entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        let sha1 = offer(&[("sha-1", vec![0; 20])]);
        assert!(Fingerprints::strongest(&sha1).is_none());
        let one_of_two = offer(&[("sha-256", vec![0; 32]), ("SHA-256", good(&SHA256))]);
        assert!(Fingerprints::strongest(&one_of_two).unwrap().matches(certificate));
        let weak_right_strong_wrong = offer(&[("sha-256", good(&SHA256)), ("sha-512", vec![0; 64])]);
        assert!(!Fingerprints::strongest(&weak_right_strong_wrong).unwrap().matches(certificate));
        let truncated = offer(&[("sha-384", good(&SHA384)[..32].to_vec())]);
        assert!(Fingerprints::strongest(&truncated).is_none());
    }
}
