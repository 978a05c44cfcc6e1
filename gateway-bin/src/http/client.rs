//! Who makes a signalling request, and whether they may.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use shell::http::{Cut, Place};

use super::HttpState;

/// A client that may talk to us: its page is one of ours, and what it says came encrypted or from a proxy that we
/// trust with that.
#[derive(Debug)]
pub(super) struct Client {
    /// Its address, as the outermost trusted proxy saw it.
    pub(super) source: IpAddr,
    /// When its connection ends without a word.
    pub(super) cut: Cut,
}

/// Said to who may not.
pub(super) type Refusal = (StatusCode, &'static str);

impl FromRequestParts<Arc<HttpState>> for Client {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<HttpState>) -> Result<Self, Refusal> {
        let place = parts.extensions.get::<Place>().expect("the listener gives every request its place");
        if !state.plaintext_from.admits(place.remote) {
            return Err((StatusCode::FORBIDDEN, "plain HTTP is for the proxy in front; use https"));
        }
        if !state.origins.allow(&parts.headers) {
            return Err((StatusCode::FORBIDDEN, "pages of this origin may not use this gateway"));
        }
        let source = state.proxies.client_address(place.remote, &parts.headers);
        Ok(Client { source, cut: place.cut.clone() })
    }
}
