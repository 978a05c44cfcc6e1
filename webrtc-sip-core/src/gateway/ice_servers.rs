//! What a browser is told about the TURN server: `iceServers` of RTCConfiguration.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::turn::time_limited_credentials;

use super::Gateway;

/// A TURN server that browsers may relay through.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnAccess {
    /// Its URLs (RFC 7065), for example `turn:192.0.2.1:3478?transport=udp`.
    pub urls: Vec<String>,
    /// The secret that it shares with us, for time-limited credentials.
    pub secret: String,
    /// How long credentials are good. Allocations outlive them.
    pub lifetime: Duration,
}

impl fmt::Debug for TurnAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnAccess").field("urls", &self.urls).finish_non_exhaustive()
    }
}

impl Gateway {
    /// The servers for `user`, with credentials made for this moment.
    pub(super) fn ice_servers(&self, user: &str) -> Value {
        let Some(turn) = &self.config.turn else { return json!([]) };
        let expires = self.wall_clock_now() + turn.lifetime;
        let expires = expires.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (username, credential) = time_limited_credentials(&turn.secret, user, expires);
        json!([{ "urls": turn.urls, "username": username, "credential": credential }])
    }
}
