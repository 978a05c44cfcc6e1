//! Plain HTTP beyond loopback is for the proxies that terminate TLS; others would send passwords in the clear.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use webrtc_sip_core::gateway::IpNetwork;

use super::{HttpState, Place};
use crate::config::Http;

/// Who may sign in without TLS of ours.
#[derive(Debug)]
pub(crate) enum PlaintextFrom {
    /// TLS is ours, or it was said to be needless.
    Anyone,
    /// Loopback and these.
    Proxies(Vec<IpNetwork>),
}

impl PlaintextFrom {
    /// As configured.
    pub(crate) fn new(http: &Http) -> Self {
        if http.tls.is_some() || http.insecure_allow_plaintext {
            PlaintextFrom::Anyone
        } else {
            PlaintextFrom::Proxies(http.trusted_proxies.iter().map(|network| network.0).collect())
        }
    }

    fn admits(&self, remote: IpAddr) -> bool {
        match self {
            PlaintextFrom::Anyone => true,
            PlaintextFrom::Proxies(proxies) => {
                remote.to_canonical().is_loopback() || proxies.iter().any(|network| network.contains(remote))
            }
        }
    }
}

/// Lets signalling in from those only. Health and page are for everybody, so that probes work.
pub(super) async fn admit(
    State(state): State<Arc<HttpState>>,
    Extension(place): Extension<Place>,
    request: Request,
    next: Next,
) -> Response {
    if !state.plaintext_from.admits(place.remote) {
        return (StatusCode::FORBIDDEN, "plain HTTP is for the proxy in front; use https").into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn only_named_proxies_and_loopback_come_without_tls() {
        let mut http = Config::demo().http;
        http.trusted_proxies = vec!["10.1.0.0/16".parse().unwrap()];
        let from = PlaintextFrom::new(&http);
        for (remote, admitted) in [("127.0.0.1", true), ("::1", true), ("10.1.2.3", true), ("10.2.0.1", false)] {
            assert_eq!(from.admits(remote.parse().unwrap()), admitted, "{remote}");
        }
        http.insecure_allow_plaintext = true;
        assert!(PlaintextFrom::new(&http).admits("10.2.0.1".parse().unwrap()));
    }
}
