//! The listener for those who look after the gateway: `/metrics` in the Prometheus text format, `/ready`, `/isAlive`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use shell::http::{SharedPhase, is_alive, ready};
use shell::metrics::Exposition;
use shell::tls::CertificatesInUse;
use tokio::sync::oneshot;

mod operators;
mod own;

use crate::config::Config;
use crate::control::{ControlHandle, ControlStats, Inside};

/// Where the figures come from, and what stands beside them.
#[derive(Clone, Debug)]
struct Page {
    control: ControlHandle,
    turn: Option<turn_bin::Metrics>,
    certificates: CertificatesInUse,
    phase: Arc<SharedPhase>,
    shown: Arc<Shown>,
}

/// What is shown beside figures.
#[derive(Debug)]
struct Shown {
    /// The domain of our users.
    domain: String,
    /// Host and port of the SIP proxy, or nothing.
    proxy: String,
    max_sign_ins: usize,
}

/// Every path of the listener. `turn`: of the server in this process.
pub(crate) fn router(
    config: &Config,
    control: ControlHandle,
    turn: Option<turn_bin::Metrics>,
    certificates: CertificatesInUse,
    phase: Arc<SharedPhase>,
) -> Router {
    let proxy = config.sip.proxy.as_ref();
    let shown = Shown {
        domain: proxy.map_or(&config.sip.domain, |proxy| &proxy.domain).clone(),
        proxy: proxy.map(|proxy| proxy.target.clone().into()).unwrap_or_default(),
        max_sign_ins: config.limits.sign_ins,
    };
    let page = Page { control, turn, certificates, phase, shown: Arc::new(shown) };
    // Health is here too, where there is never TLS.
    Router::new()
        .route("/isAlive", get(is_alive))
        .route("/ready", get(async |State(page): State<Page>| ready(page.phase.get(), &page.certificates.notes())))
        .route("/metrics", get(metrics))
        .with_state(page)
}

async fn metrics(State(page): State<Page>) -> Response {
    let Some(stats) = collect(&page.control).await else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let mut exposition = Exposition::default();
    operators::write(&mut exposition, &stats, &page.shown);
    own::write(&mut exposition, &stats, page.phase.get());
    page.certificates.write(&mut exposition, "wsg_certificate_expiry_timestamp_seconds");
    if let Some(turn) = page.turn {
        turn.write(&mut exposition).await;
    }
    exposition.into_response()
}

/// Asks the control task and, through it, the workers; none when the process is ending.
async fn collect(control: &ControlHandle) -> Option<ControlStats> {
    let (reply, answer) = oneshot::channel();
    control.inside.send(Inside::Stats(reply)).await.ok()?;
    answer.await.ok()
}
