//! `GET /metrics` on its own listener, in the Prometheus text format.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::oneshot;

mod names;
mod text;

use crate::control::{ControlHandle, ControlStats, Inside};

/// The listener's only path.
pub(crate) fn router(control: ControlHandle) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(control)
}

async fn metrics(State(control): State<ControlHandle>) -> Response {
    match collect(&control).await {
        Some(stats) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], names::exposition(&stats))
                .into_response()
        }
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Asks the control task and, through it, the workers; none when the process is ending.
pub(crate) async fn collect(control: &ControlHandle) -> Option<ControlStats> {
    let (reply, answer) = oneshot::channel();
    control.inside.send(Inside::Stats(reply)).await.ok()?;
    answer.await.ok()
}
