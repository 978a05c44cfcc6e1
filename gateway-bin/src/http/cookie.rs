//! The routing cookie: a load balancer may send a browser back to the same node by it; the gateway never needs it.

use axum::http::HeaderValue;

use crate::config::Config;

/// `WSGROUTEID=.NODE`, so that browsers on other sites send it too. Browsers take `SameSite=None` over TLS only, so on
/// plain loopback it is `Lax`.
pub(super) fn route_cookie(config: &Config) -> HeaderValue {
    let http = &config.http;
    let encrypted = http.tls.is_some() || !http.trusted_proxies.is_empty();
    let attributes = if encrypted { "Secure; SameSite=None; HttpOnly" } else { "SameSite=Lax; HttpOnly" };
    HeaderValue::try_from(format!("WSGROUTEID=.{}; Path=/; {attributes}", config.node))
        .expect("the node's name was checked to be letters, digits, '-', '_' and '.'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_secure_where_there_is_tls() {
        let mut config = Config::demo();
        assert_eq!(route_cookie(&config), "WSGROUTEID=.node1; Path=/; SameSite=Lax; HttpOnly");
        config.http.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        assert_eq!(route_cookie(&config), "WSGROUTEID=.node1; Path=/; Secure; SameSite=None; HttpOnly");
    }
}
