//! `/ping`, `/about`, `/ready`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use shell::http::{Phase, fresh};
use tokio::sync::oneshot;
use webrtc_sip_core::gateway::GatewayStats;

use super::HttpState;
use crate::control::{ControlHandle, Outside};

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) async fn ping(State(state): State<Arc<HttpState>>) -> impl IntoResponse {
    let phase = match state.phase.get() {
        Phase::Starting | Phase::Up => "up",
        Phase::Leaving | Phase::Draining => "draining",
        Phase::Maintenance => "maintenance",
    };
    fresh(json!({ "state": phase, "version": VERSION, "path": state.colour }))
}

pub(super) async fn about(State(state): State<Arc<HttpState>>) -> Response {
    let Some(stats) = ask(&state.control).await else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let body = json!({
        "name": "webrtc-sip-gateway",
        "version": VERSION,
        "node": state.node,
        "colour": state.colour,
        "uptimeSeconds": state.started.elapsed().as_secs(),
        "demo": state.demo,
        "sipProxyUnreachable": stats.proxy_unreachable,
        "full": stats.sign_ins >= state.max_sign_ins as u64,
    });
    fresh(body).into_response()
}

/// How the control plane is; none when the process is ending.
async fn ask(control: &ControlHandle) -> Option<GatewayStats> {
    let (reply, answer) = oneshot::channel();
    control.outside.send(Outside::About(reply)).await.ok()?;
    answer.await.ok()
}

pub(super) async fn ready(State(state): State<Arc<HttpState>>) -> impl IntoResponse {
    shell::http::ready(state.phase.get(), &state.certificates.notes())
}
