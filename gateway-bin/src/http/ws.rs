//! Signalling over WebSocket.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::header;
use axum::response::Response;
use tokio::sync::mpsc;
use tungstenite::error::CapacityError;

use super::HttpState;
use super::client::Client;
use super::rpc::CloseOnDrop;
use crate::control::{Outside, ToWebSocket};

/// The default of 128 KB would be most of what an idle connection costs.
const READ_BUFFER_BYTES: usize = 2048;
/// What may wait in one connection for a client that doesn't read.
const MAX_WRITE_BUFFER_BYTES: usize = 256 * 1024;
/// Messages that may wait for the connection: all that a resume sends again and the answers to a burst of requests.
const MAX_QUEUED: usize = 512;
/// A client sends a heartbeat every four seconds; without anything for so long the connection is closed. The core gives
/// a sign-in up far sooner; this is for connections that never signed in.
const SILENCE: Duration = Duration::from_secs(30);
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// RFC 6455 section 5.5: a control frame carries at most 125 bytes, two of them the code.
const MAX_CLOSE_REASON: usize = 123;
/// Close codes are this plus an HTTP status.
const CLOSE_CODE_BASE: u16 = 4000;
/// RFC 6455 section 7.4.1.
const GOING_AWAY: u16 = 1001;
const UNSUPPORTED_DATA: u16 = 1003;
const TOO_BIG: u16 = 1009;

/// `GET /v1/ws`.
pub(super) async fn upgrade(
    State(state): State<Arc<HttpState>>,
    mut client: Client,
    upgrade: WebSocketUpgrade,
) -> Response {
    let cookie = state.cookie.clone();
    let mut response = upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(state.max_message_bytes)
        .max_frame_size(state.max_message_bytes)
        .on_upgrade(move |socket| async move {
            tokio::select! {
                () = carry(&state, socket, client.source) => {}
                () = client.cut.done() => {}
            }
        });
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

async fn carry(state: &HttpState, mut socket: WebSocket, source: IpAddr) {
    let outside = &state.control.outside;
    let link = state.links.draw();
    let (sender, mut to_client) = mpsc::channel(MAX_QUEUED);
    if outside.send(Outside::WebSocketOpened { link, source, sender }).await.is_err() {
        return;
    }
    let _guard = CloseOnDrop { link, outside: Some(outside.clone()) };
    loop {
        tokio::select! {
            message = to_client.recv() => {
                let going_away = ToWebSocket::Close(0, String::new());
                if !write(&mut socket, message.unwrap_or(going_away)).await {
                    return;
                }
            }
            received = tokio::time::timeout(SILENCE, socket.recv()) => {
                let text = match received {
                    Ok(Some(Ok(Message::Text(text)))) => text.as_str().to_owned(),
                    // Answered by the library.
                    Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
                    Ok(Some(Ok(Message::Binary(_)))) => return close(&mut socket, UNSUPPORTED_DATA).await,
                    Ok(Some(Err(error))) if is_too_big(&error) => return close(&mut socket, TOO_BIG).await,
                    // Closed, broken or silent.
                    _ => return,
                };
                if outside.send(Outside::WebSocketMessage { link, text }).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Whether a message was longer than is taken.
fn is_too_big(error: &axum::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref());
    matches!(source, Some(tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. })))
}

async fn close(socket: &mut WebSocket, code: u16) {
    let frame = Message::Close(Some(CloseFrame { code, reason: Default::default() }));
    let _ = tokio::time::timeout(WRITE_TIMEOUT, socket.send(frame)).await;
}

/// Writes a message; false when the connection is over.
async fn write(socket: &mut WebSocket, message: ToWebSocket) -> bool {
    let (frame, goes_on) = match message {
        ToWebSocket::Text(text) => (Message::Text(text.into()), true),
        ToWebSocket::Close(status, text) => {
            let code = if status == 0 { GOING_AWAY } else { CLOSE_CODE_BASE + status };
            // The reason is the JSON-RPC error object; cut short it would be no JSON.
            let reason = if text.len() <= MAX_CLOSE_REASON { text } else { String::new() };
            (Message::Close(Some(CloseFrame { code, reason: reason.into() })), false)
        }
    };
    let written = tokio::time::timeout(WRITE_TIMEOUT, socket.send(frame)).await;
    matches!(written, Ok(Ok(()))) && goes_on
}
