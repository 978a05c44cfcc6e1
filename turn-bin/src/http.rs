//! `/isAlive`, `/ready`, `/metrics`, and the admin API.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use shell::http::{SharedPhase, is_alive, ready};
use shell::metrics::Exposition;
use shell::tls::CertificatesInUse;

use crate::admin::Admin;
use crate::metrics::Metrics;

/// What the pages look at.
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    /// Where the server stands.
    pub(crate) phase: Arc<SharedPhase>,
    /// Its figures.
    pub(crate) metrics: Metrics,
    /// What it shows to clients.
    pub(crate) certificates: CertificatesInUse,
}

/// Every path of the listener.
pub(crate) fn router(pages: Pages, admin: Admin) -> Router {
    Router::new()
        .route("/isAlive", get(is_alive))
        .route("/ready", get(async |State(pages): State<Pages>| ready(pages.phase.get(), &pages.certificates.notes())))
        .route("/metrics", get(metrics))
        .with_state(pages)
        .merge(admin.router())
}

async fn metrics(State(pages): State<Pages>) -> impl IntoResponse {
    let mut page = Exposition::default();
    pages.metrics.write(&mut page).await;
    pages.certificates.write(&mut page, "wst_certificate_expiry_timestamp_seconds");
    page.resident_memory("wst_resident_memory_bytes");
    page.config("wst");
    page.log("wst");
    page
}
