//! One DTLS association, from a ClientHello whose cookie was checked.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::crypto::{CryptoProvider, HmacProvider, aws_lc_rs};
use dimpl::{Config, CryptoError, Dtls, HashAlgorithm, Output};

use super::cookie::COOKIE_LEN;

/// Fits into 1,280 bytes of IPv6 with UDP.
const MTU_BYTES: usize = 1200;
/// A record holds no more (RFC 6347 section 4.1, RFC 5246 section 6.2.1).
pub(super) const MAX_RECORD_DATA: usize = 1 << 14;
/// The longest datagram that the library makes: a record of that length.
pub(super) const MAX_DATAGRAM: usize = MAX_RECORD_DATA + 256;

/// A ClientHello as short as one can be. The library numbers its messages from 1 on only after it has sent a
/// HelloVerifyRequest; ours was sent without it, so it answers this one, and that answer is thrown away.
const FIRST_HELLO: [u8; 67] = {
    let mut hello = [0; 67];
    let header = [22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 54, 1, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 42, 0xfe, 0xfd];
    let mut at = 0;
    while at < header.len() {
        hello[at] = header[at];
        at += 1;
    }
    // No session id, no cookie, one cipher suite, no compression.
    hello[62] = 2;
    hello[63] = 0xc0;
    hello[64] = 0x2b;
    hello[65] = 1;
    hello
};

thread_local! {
    /// The cookie that the library's check shall find right, once.
    static CHECKED: Cell<Option<[u8; COOKIE_LEN]>> = const { Cell::new(None) };
}

/// The library's HMAC, but for its check of the cookie: the library makes cookies with a key of each instance, and ours
/// are checked before there is one.
#[derive(Debug)]
struct CheckedCookie;

impl HmacProvider for CheckedCookie {
    fn hmac_sha256(&self, key: &[u8], data: &[u8]) -> Result<[u8; 32], CryptoError> {
        match CHECKED.take() {
            Some(cookie) => Ok(cookie),
            None => aws_lc_rs::default_provider().hmac_provider.hmac_sha256(key, data),
        }
    }

    fn hmac(&self, hash: HashAlgorithm, key: &[u8], data: &[u8], out: &mut [u8]) -> Result<usize, CryptoError> {
        aws_lc_rs::default_provider().hmac_provider.hmac(hash, key, data, out)
    }
}

/// A certificate for DTLS, which the library takes with an ECDSA key only.
#[derive(Clone)]
pub struct DtlsIdentity(dimpl::DtlsCertificate);

/// The key isn't one that DTLS can use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DTLS needs an ECDSA key on P-256 or P-384")]
pub struct DtlsKeyError;

impl DtlsIdentity {
    /// From a certificate in DER and its key in DER: PKCS #8, or SEC 1. Whether they belong together isn't checked.
    ///
    /// # Errors
    /// The key is of another kind, RSA for example.
    pub fn new(certificate: &[u8], private_key: &[u8]) -> Result<Self, DtlsKeyError> {
        let keys = aws_lc_rs::default_provider().key_provider;
        if certificate.is_empty() || keys.load_private_key(private_key).is_err() {
            return Err(DtlsKeyError);
        }
        Ok(DtlsIdentity(dimpl::DtlsCertificate {
            certificate: certificate.to_vec(),
            private_key: private_key.to_vec(),
        }))
    }
}

impl std::fmt::Debug for DtlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DtlsIdentity")
    }
}

/// The library's settings; none when it refuses the time-out.
pub(super) fn settings(handshake_timeout: Duration) -> Option<Arc<Config>> {
    let provider = CryptoProvider { hmac_provider: &CheckedCookie, ..aws_lc_rs::default_provider() };
    let settings = Config::builder()
        .mtu(MTU_BYTES)
        // TURN clients say who they are by their credentials.
        .require_client_certificate(false)
        .use_server_cookie(true)
        .handshake_timeout(handshake_timeout)
        .with_crypto_provider(provider)
        .build();
    settings.ok().map(Arc::new)
}

/// What an association gives out.
pub(super) enum Given<'a> {
    /// To be sent to the client.
    Datagram(&'a [u8]),
    /// What the client sent.
    Frame(&'a [u8]),
    /// The handshake is done.
    Established,
}

/// The association is over, by close_notify or by an error; nothing can be done with it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Over;

pub(super) struct Association {
    dtls: Box<Dtls>,
    /// Of the ClientHello that it began with.
    pub(super) random: [u8; 32],
    pub(super) established: bool,
}

impl Association {
    /// Begins with a ClientHello whose cookie was checked.
    pub(super) fn new(
        now: Instant,
        settings: &Arc<Config>,
        identity: &DtlsIdentity,
        random: [u8; 32],
        cookie: [u8; COOKIE_LEN],
        hello: &[u8],
    ) -> Result<Self, Over> {
        let mut dtls = Box::new(Dtls::new_12(Arc::clone(settings), identity.0.clone(), now));
        dtls.handle_timeout(now).map_err(|_| Over)?;
        dtls.handle_packet(&FIRST_HELLO).map_err(|_| Over)?;
        let mut association = Association { dtls, random, established: false };
        let mut unsent = [0; MTU_BYTES];
        association.drain(&mut unsent, |_| {})?;
        CHECKED.set(Some(cookie));
        let taken = association.dtls.handle_packet(hello);
        CHECKED.set(None);
        taken.map_err(|_| Over)?;
        Ok(association)
    }

    /// A datagram from the client. What anybody could have sent in its name is kept from the library where it would be
    /// taken for the end: the library takes every error for that.
    pub(super) fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Over> {
        const HANDSHAKE: u8 = 22;
        const CHANGE_CIPHER_SPEC: u8 = 20;
        let in_the_clear = datagram.get(3..5) == Some(&[0, 0]);
        let of_the_handshake = matches!(datagram.first(), Some(&HANDSHAKE | &CHANGE_CIPHER_SPEC));
        if in_the_clear && !of_the_handshake {
            return Ok(());
        }
        self.dtls.handle_timeout(now).and_then(|()| self.dtls.handle_packet(datagram)).map_err(|_| Over)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), Over> {
        self.dtls.handle_timeout(now).map_err(|_| Over)
    }

    /// Sends one frame.
    pub(super) fn send(&mut self, now: Instant, frame: &[u8]) -> Result<(), Over> {
        self.dtls.handle_timeout(now).and_then(|()| self.dtls.send_application_data(frame)).map(drop).map_err(|_| Over)
    }

    /// Says close_notify, once there is somebody to say it to.
    pub(super) fn close(&mut self) {
        // An error means that it is over already.
        let _ = self.dtls.close();
    }

    /// Takes out everything; when `handle_timeout` is due.
    pub(super) fn drain(&mut self, buffer: &mut [u8], mut take: impl FnMut(Given<'_>)) -> Result<Instant, Over> {
        loop {
            match self.dtls.poll_output(buffer) {
                Output::Packet(datagram) => take(Given::Datagram(datagram)),
                Output::ApplicationData(frame) => take(Given::Frame(frame)),
                Output::Connected => {
                    self.established = true;
                    take(Given::Established);
                }
                Output::Timeout(due) => return Ok(due),
                Output::CloseNotify | Output::BufferTooSmall { .. } => return Err(Over),
                // Clients show no certificate; SRTP isn't used.
                _ => {}
            }
        }
    }
}
