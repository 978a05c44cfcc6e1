//! A certificate for a listener: read from files, replaced while running.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::ConfigError;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A section of a configuration that names a certificate.
#[derive(Clone, Debug, Deserialize, Serialize)]
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

/// The TLS configuration in force.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    purpose: TlsPurpose,
    current: Arc<ArcSwap<ServerConfig>>,
}

impl TlsSettings {
    /// Reads certificate chain and key.
    ///
    /// # Errors
    /// They can't be read, or don't belong together.
    pub fn load(purpose: TlsPurpose, tls: &Tls) -> Result<Self, ConfigError> {
        let current = Arc::new(ArcSwap::from_pointee(load(purpose, tls)?));
        Ok(TlsSettings { purpose, current })
    }

    /// Reads them again, for connections that come from now on. What can't be used changes nothing, and is logged.
    pub fn reload(&self, tls: &Tls) {
        match load(self.purpose, tls) {
            Ok(server) => self.current.store(Arc::new(server)),
            Err(error) => tracing::error!(%error, "the certificate wasn't reloaded"),
        }
    }

    /// Does the handshake of an accepted connection; none when it fails or takes too long.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Option<TlsStream<S>> {
        let handshake = TlsAcceptor::from(self.current.load_full()).accept(stream);
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake timed out"),
        }
        None
    }
}

fn load(purpose: TlsPurpose, tls: &Tls) -> Result<ServerConfig, ConfigError> {
    let problem = |key: &str, problem: String| ConfigError::key(format!("{}.{key}", purpose.section), problem);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| problem("certificate", format!("{}: {error}", tls.certificate.display())))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|error| problem("key", format!("{}: {error}", tls.key.display())))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| problem("certificate", error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| problem("certificate", error.to_string()))?;
    server.alpn_protocols = purpose.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(server)
}
