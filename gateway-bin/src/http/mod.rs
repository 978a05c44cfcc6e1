//! The HTTP listener: softphone page, signalling, health.

use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

mod client;
mod cookie;
mod health;
mod origin;
mod page;
mod proxies;
mod rpc;
mod ws;

pub(crate) use origin::Origins;
pub(crate) use proxies::{PlaintextFrom, Proxies};

use shell::http::SharedPhase;
use shell::tls::{CertificatesInUse, TlsPurpose};

use crate::config::Config;
use crate::control::{ControlHandle, LinkIds};

/// WebSocket upgrades need HTTP/1.1.
pub(crate) const TLS: TlsPurpose = TlsPurpose { section: "http.tls", protocols: &["http/1.1"] };
/// How long a call may take, the arrival of its body included.
const CALL_TIMEOUT: Duration = Duration::from_secs(35);

/// What every handler may look at.
#[derive(Debug)]
pub(crate) struct HttpState {
    pub(crate) control: ControlHandle,
    pub(crate) links: LinkIds,
    pub(crate) phase: Arc<SharedPhase>,
    /// What is shown to browsers.
    pub(crate) certificates: CertificatesInUse,
    pub(crate) origins: Origins,
    pub(crate) plaintext_from: PlaintextFrom,
    pub(crate) proxies: Proxies,
    pub(crate) node: String,
    pub(crate) colour: String,
    /// Where the signalling is besides, without a slash at the front.
    pub(crate) colour_path: Option<String>,
    pub(crate) demo: bool,
    pub(crate) max_sign_ins: usize,
    pub(crate) max_message_bytes: usize,
    /// `Set-Cookie` of signalling responses.
    pub(crate) cookie: axum::http::HeaderValue,
    pub(crate) started: Instant,
}

impl HttpState {
    /// For a process that starts now.
    pub(crate) fn new(
        config: &Config,
        control: ControlHandle,
        phase: Arc<SharedPhase>,
        certificates: CertificatesInUse,
    ) -> Self {
        HttpState {
            control,
            links: LinkIds::default(),
            phase,
            certificates,
            origins: Origins::new(&config.http.allowed_origins),
            plaintext_from: PlaintextFrom::new(&config.http),
            proxies: Proxies::new(&config.http),
            node: config.node.clone(),
            colour: config.colour.clone(),
            colour_path: config.colour_path(),
            demo: config.is_demo(),
            max_sign_ins: config.limits.sign_ins,
            max_message_bytes: config.limits.client_message_bytes,
            cookie: cookie::route_cookie(config),
            started: Instant::now(),
        }
    }
}

/// Every path of the listener.
pub(crate) fn router(state: Arc<HttpState>) -> Router {
    // Only this one takes a body, which has to arrive in time. Every layer costs memory for as long as a request waits,
    // so the long poll has none that it doesn't need.
    let call =
        post(rpc::call).layer(DefaultBodyLimit::max(state.max_message_bytes)).layer(middleware::from_fn(time_limit));
    let mut signalling = Router::new();
    for base in iter::once("").chain(state.colour_path.as_deref()) {
        signalling = signalling
            .route(&format!("/{base}v1/ws"), get(ws::upgrade))
            .route(&format!("/{base}v1/rpc"), call.clone())
            .route(&format!("/{base}v1/events"), get(rpc::poll));
    }
    Router::new()
        .merge(signalling.layer(state.origins.cors()))
        .route("/ping", get(health::ping))
        .route("/isAlive", get(shell::http::is_alive))
        .route("/about", get(health::about))
        .route("/ready", get(health::ready))
        .fallback(page::serve)
        .with_state(state)
}

async fn time_limit(request: axum::extract::Request, next: Next) -> Response {
    match tokio::time::timeout(CALL_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}
