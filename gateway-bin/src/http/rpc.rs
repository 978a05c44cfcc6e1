//! Signalling without WebSocket: one request, one response; long polling for notifications.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use webrtc_sip_core::ids::LinkId;

use super::HttpState;
use super::client::Client;
use crate::control::{HttpReply, Outside};

#[derive(Deserialize)]
pub(super) struct PollQuery {
    #[serde(default)]
    after: u64,
}

/// `POST /v1/rpc`.
pub(super) async fn call(
    State(state): State<Arc<HttpState>>,
    Client { source, .. }: Client,
    headers: HeaderMap,
    text: String,
) -> Response {
    let is_json = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    if !is_json {
        // Also keeps pages of other origins out: they can't send this type without a preflight request.
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    exchange(&state, headers, |link, bearer, reply| Outside::RpcCall { link, source, bearer, text, reply }).await
}

/// `GET /v1/events?after=N`.
pub(super) async fn poll(
    State(state): State<Arc<HttpState>>,
    Client { source, .. }: Client,
    Query(query): Query<PollQuery>,
    headers: HeaderMap,
) -> Response {
    let after = query.after;
    exchange(&state, headers, |link, bearer, reply| Outside::ClientPoll { link, source, bearer, after, reply }).await
}

async fn exchange(
    state: &HttpState,
    headers: HeaderMap,
    input: impl FnOnce(LinkId, Option<String>, oneshot::Sender<HttpReply>) -> Outside,
) -> Response {
    let link = state.links.draw();
    let (reply, answer) = oneshot::channel();
    let input = input(link, bearer(&headers), reply);
    // They keep the whole buffer that the request was read into, which a long poll doesn't need while it waits.
    drop(headers);
    if state.control.outside.send(input).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let guard = CloseOnDrop { link, outside: Some(state.control.outside.clone()) };
    let answer = answer.await;
    guard.disarm();
    match answer {
        Ok(HttpReply { status, body }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let content = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (status, content, [(header::SET_COOKIE, state.cookie.clone())], body).into_response()
        }
        // The control task ended.
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// Tells the control task that the client gave up, when the request is dropped before its answer.
pub(super) struct CloseOnDrop {
    pub(super) link: LinkId,
    pub(super) outside: Option<mpsc::Sender<Outside>>,
}

impl CloseOnDrop {
    fn disarm(mut self) {
        self.outside = None;
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let Some(outside) = self.outside.take() else { return };
        if let Err(mpsc::error::TrySendError::Full(input)) = outside.try_send(Outside::LinkClosed(self.link))
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { outside.send(input).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_tokens_are_read_from_the_header() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bearer(&headers)
        };
        assert_eq!(with("Bearer abc"), Some("abc".to_owned()));
        assert_eq!(with("bearer  abc"), Some("abc".to_owned()));
        assert_eq!(with("Basic abc"), None);
        assert_eq!(with("Bearer"), None);
    }
}
