//! A certificate for a listener: read from files, replaced while running.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{ConfigError, note_reload};

mod expiry;

pub use expiry::CertificatesInUse;

use expiry::Reminder;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often [`TlsSettings::watch`] reads the files. Their content is compared, because a mounted secret changes by a
/// symbolic link, and a copied file may keep its time.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// A section of a configuration that names a certificate.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM, the chain.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// What a listener needs to know of its TLS.
#[derive(Clone, Copy, Debug)]
pub struct TlsPurpose {
    /// The section of the configuration, for messages: `http.tls`.
    pub section: &'static str,
    /// What clients may negotiate by ALPN (RFC 7301); nothing: they needn't.
    pub protocols: &'static [&'static str],
}

/// A certificate that is in force.
#[derive(Debug)]
pub struct Identity {
    /// The certificate and those that lead from it to a root.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    ends: Option<SystemTime>,
    server: Arc<ServerConfig>,
}

/// The TLS configuration in force.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    purpose: TlsPurpose,
    files: Arc<Mutex<Files>>,
    current: watch::Sender<Arc<Identity>>,
    /// Others that say what there is to say of files that both have.
    beside: Option<Arc<TlsSettings>>,
}

/// Where the certificate comes from.
#[derive(Debug)]
struct Files {
    tls: Tls,
    /// Digest of what was read last, good or bad; none when it couldn't be read.
    seen: Option<[u8; 32]>,
}

impl TlsSettings {
    /// Reads certificate chain and key.
    ///
    /// # Errors
    /// They can't be read, or don't belong together.
    pub fn load(purpose: TlsPurpose, tls: &Tls) -> Result<Self, ConfigError> {
        let content = Content::read(purpose, tls)?;
        let files = Files { tls: tls.clone(), seen: Some(content.digest()) };
        let current = watch::Sender::new(Arc::new(content.identity(purpose, tls)?));
        Ok(TlsSettings { purpose, files: Arc::new(Mutex::new(files)), current, beside: None })
    }

    /// The same beside others of this program. As long as both have the same files, nothing is said of these twice.
    #[must_use]
    pub fn beside(self, other: &TlsSettings) -> Self {
        TlsSettings { beside: Some(Arc::new(other.clone())), ..self }
    }

    /// Whether others say what there is to say of these files.
    fn is_repetition(&self, tls: &Tls) -> bool {
        let same = |other: &Arc<TlsSettings>| other.files.lock().unwrap_or_else(PoisonError::into_inner).tls == *tls;
        self.beside.as_ref().is_some_and(same)
    }

    /// Reads them again, for connections that come from now on. What can't be used changes nothing, and is logged.
    pub fn reload(&self, tls: &Tls) {
        // The paths and a digest are as they should be whoever panicked.
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.tls = tls.clone();
        let content = Content::read(self.purpose, tls);
        files.seen = content.as_ref().ok().map(Content::digest);
        self.take_over(content, tls);
    }

    /// Looks after the files until it is dropped, and reads them again when they change. Files that can't be used (one of
    /// two that are being replaced, say) are logged once, not each time they are looked at. A certificate that is about to
    /// run out is logged daily.
    pub async fn watch(self) {
        self.watch_every(WATCH_EVERY).await;
    }

    async fn watch_every(self, period: Duration) {
        let mut reminder = Reminder::default();
        loop {
            reminder.remind(self.purpose.section, self.ends_to_tell());
            tokio::time::sleep(period).await;
            let settings = self.clone();
            // Files may lie on a network. A panic leaves the certificate that is in force.
            let _ = tokio::task::spawn_blocking(move || settings.look()).await;
        }
    }

    fn look(&self) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let content = Content::read(self.purpose, &files.tls);
        let seen = content.as_ref().ok().map(Content::digest);
        if seen != files.seen {
            files.seen = seen;
            self.take_over(content, &files.tls);
        }
    }

    fn take_over(&self, content: Result<Content, ConfigError>, tls: &Tls) {
        let identity = content.and_then(|content| content.identity(self.purpose, tls));
        note_reload(self.purpose.section, identity.is_ok());
        match identity {
            Ok(identity) => {
                self.current.send_replace(Arc::new(identity));
                if !self.is_repetition(tls) {
                    tracing::info!(section = self.purpose.section, "certificate loaded");
                }
            }
            Err(_) if self.is_repetition(tls) => {}
            Err(error) => tracing::error!(%error, "the certificate wasn't reloaded; the one before stays"),
        }
    }

    /// The certificate in force, and each one after it.
    pub fn identities(&self) -> watch::Receiver<Arc<Identity>> {
        self.current.subscribe()
    }

    /// When the certificate in force runs out, as far as that can be read, and where nobody else says it.
    fn ends_to_tell(&self) -> Option<SystemTime> {
        let tls = self.files.lock().unwrap_or_else(PoisonError::into_inner).tls.clone();
        self.current.borrow().ends.filter(|_| !self.is_repetition(&tls))
    }

    /// Does the handshake of an accepted connection; none when it fails or takes too long.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Option<TlsStream<S>> {
        let server = self.current.borrow().server.clone();
        let handshake = TlsAcceptor::from(server).accept(stream);
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake timed out"),
        }
        None
    }
}

/// What stands in the files.
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Content {
    fn read(purpose: TlsPurpose, tls: &Tls) -> Result<Self, ConfigError> {
        let read = |key, path: &Path| std::fs::read(path).map_err(|error| problem(purpose, key, path, &error));
        Ok(Content { certificate: read("certificate", &tls.certificate)?, key: read("key", &tls.key)? })
    }

    fn digest(&self) -> [u8; 32] {
        // Of the digests: where one file ends and the other begins matters.
        let [certificate, key] = [&self.certificate, &self.key].map(|bytes| digest(&SHA256, bytes));
        let mut both = [0; 32];
        both.copy_from_slice(digest(&SHA256, &[certificate.as_ref(), key.as_ref()].concat()).as_ref());
        both
    }

    fn identity(self, purpose: TlsPurpose, tls: &Tls) -> Result<Identity, ConfigError> {
        let bad_certificate = |error: &dyn Display| problem(purpose, "certificate", &tls.certificate, error);
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| bad_certificate(&error))?;
        let key =
            PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| problem(purpose, "key", &tls.key, &error))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| bad_certificate(&error))?
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(|error| bad_certificate(&error))?;
        server.alpn_protocols = purpose.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Identity { ends: expiry::end_of(&chain), chain, key, server: Arc::new(server) })
    }
}

fn problem(purpose: TlsPurpose, key: &str, path: &Path, error: &dyn Display) -> ConfigError {
    ConfigError::key(format!("{}.{key}", purpose.section), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
