//! `/ping`, `/about`, `/ready`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde_json::json;
use shell::http::{Phase, fresh};

use super::HttpState;

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) async fn ping(State(state): State<Arc<HttpState>>) -> impl IntoResponse {
    let phase = match state.phase.get() {
        Phase::Starting | Phase::Up => "up",
        Phase::Draining => "draining",
    };
    fresh(json!({ "state": phase, "version": VERSION, "path": state.colour }))
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

pub(super) async fn ready(State(state): State<Arc<HttpState>>) -> impl IntoResponse {
    shell::http::ready(state.phase.get(), &state.certificates.notes())
}
