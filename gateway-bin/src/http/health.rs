//! `/ping`, `/isAlive`, `/about`, `/ready`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::{HttpState, Phase};

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) async fn ping(State(state): State<Arc<HttpState>>) -> impl IntoResponse {
    let phase = match state.phase.get() {
        Phase::Starting | Phase::Up => "up",
        Phase::Draining => "draining",
    };
    fresh(json!({ "state": phase, "version": VERSION, "path": state.colour }))
}

pub(super) async fn is_alive() -> impl IntoResponse {
    fresh(json!({ "alive": true }))
}

pub(super) async fn about(State(state): State<Arc<HttpState>>) -> impl IntoResponse {
    fresh(json!({
        "name": "webrtc-sip-gateway",
        "version": VERSION,
        "node": state.node,
        "colour": state.colour,
        "uptimeSeconds": state.started.elapsed().as_secs(),
        "demo": state.demo,
    }))
}

/// Nothing but the own phase counts: what can't be reached shows elsewhere and doesn't cut off who is signed in.
pub(super) async fn ready(State(state): State<Arc<HttpState>>) -> impl IntoResponse {
    let phase = state.phase.get();
    let status = if phase == Phase::Up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, fresh(json!({ "ready": phase == Phase::Up })))
}

fn fresh(body: Value) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(body))
}
