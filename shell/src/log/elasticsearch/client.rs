//! Requests over HTTP or TLS, a connection for each: there is one every few seconds.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{self, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::bulk::QUERY;
use super::settings::{Elasticsearch, Server};
use crate::config::ConfigError;

/// From the connection to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// An answer has some words for each document that was refused.
const MAX_ANSWER_BYTES: usize = 32 << 20;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A server and how it lets us in.
#[derive(Clone)]
pub(super) struct Client {
    server: Server,
    authorization: Option<HeaderValue>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Client {
    pub(super) fn new(url: &str, settings: &Elasticsearch) -> Result<Self, ConfigError> {
        let server = Server::parse(url)?;
        let tls = server.tls.then(|| Ok((connector(settings)?, server_name(&server)?))).transpose()?;
        Ok(Client { authorization: authorization(settings)?, tls, server })
    }

    /// The address, without credentials.
    pub(super) fn name(&self) -> String {
        let scheme = if self.server.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}{}", self.server.host, self.server.port, self.server.path)
    }

    /// Sends a bulk request; the answer's status and body.
    ///
    /// # Errors
    /// There is no whole answer in time.
    pub(super) async fn send(&self, body: Vec<u8>) -> Result<(StatusCode, Vec<u8>), String> {
        match tokio::time::timeout(PATIENCE, self.connect_and_send(body)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    async fn connect_and_send(&self, body: Vec<u8>) -> Result<(StatusCode, Vec<u8>), Failure> {
        let stream = TcpStream::connect(format!("{}:{}", self.server.host, self.server.port)).await?;
        match &self.tls {
            Some((connector, name)) => self.exchange(connector.connect(name.clone(), stream).await?, body).await,
            None => self.exchange(stream, body).await,
        }
    }

    async fn exchange<S>(&self, stream: S, body: Vec<u8>) -> Result<(StatusCode, Vec<u8>), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = self.request(body)?;
        let answer = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = to_bytes(Body::new(answer.into_body()), MAX_ANSWER_BYTES).await?;
            Ok((status, body.to_vec()))
        };
        tokio::pin!(connection);
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            ended = &mut connection => {
                ended?;
                // The end of the connection may be that of the answer.
                answer.await
            }
        }
    }

    fn request(&self, body: Vec<u8>) -> Result<Request<Body>, Failure> {
        let Server { host, port, path, .. } = &self.server;
        let mut request = Request::post(format!("{path}/_bulk?{QUERY}"))
            .header(header::HOST, format!("{host}:{port}"))
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .header(header::CONNECTION, "close");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        Ok(request.body(Body::from(body))?)
    }
}

fn authorization(settings: &Elasticsearch) -> Result<Option<HeaderValue>, ConfigError> {
    let (key, text) = match (&settings.api_key, &settings.user, &settings.password) {
        (Some(key), ..) => ("api_key", format!("ApiKey {}", key.reveal())),
        (None, Some(user), Some(password)) => {
            ("password", format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()))))
        }
        _ => return Ok(None),
    };
    let problem = |_| ConfigError::key(format!("log.elasticsearch.{key}"), "it can't stand in a header of HTTP");
    let mut value = HeaderValue::try_from(text).map_err(problem)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn connector(settings: &Elasticsearch) -> Result<TlsConnector, ConfigError> {
    let problem =
        |error: &dyn Display| ConfigError::key("log.elasticsearch.ca", format!("{}: {error}", settings.ca.display()));
    let pem = std::fs::read(&settings.ca).map_err(|error| problem(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| problem(&error))?;
        roots.add(certificate).map_err(|error| problem(&error))?;
    }
    if roots.is_empty() {
        return Err(problem(&"there is no certificate in it"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| problem(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn server_name(server: &Server) -> Result<ServerName<'static>, ConfigError> {
    let name = server.host.trim_start_matches('[').trim_end_matches(']').to_owned();
    ServerName::try_from(name)
        .map_err(|_| ConfigError::key("log.elasticsearch.url", "the host is neither a name nor an address"))
}
