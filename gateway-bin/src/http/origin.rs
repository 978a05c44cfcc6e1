//! Which pages may talk to us: our own and those on the allow-list.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may remember the answer to a preflight request.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(3600);

/// The allow-list.
#[derive(Debug)]
pub(crate) struct Origins(Vec<HeaderValue>);

impl Origins {
    /// From the configuration, where each was checked.
    pub(crate) fn new(allowed: &[String]) -> Self {
        let plain = |origin: &String| HeaderValue::try_from(origin.trim_end_matches('/').to_ascii_lowercase()).ok();
        Origins(allowed.iter().filter_map(plain).collect())
    }

    /// Whether a request may come in: without `Origin` (not from a page), from our own page, or from the list.
    /// WebSockets need this check because browsers apply no same-origin policy to them (RFC 6455 section 10.2).
    pub(crate) fn allow(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        if self.0.contains(origin) {
            return true;
        }
        let own_host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let from_host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        own_host.is_some() && own_host == from_host
    }

    /// Cross-origin rules for the HTTP transport.
    pub(super) fn cors(&self) -> CorsLayer {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.0.iter().cloned()))
            .allow_credentials(true)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
            .max_age(PREFLIGHT_MAX_AGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        headers
    }

    #[test]
    fn own_pages_listed_pages_and_programs_come_in() {
        let origins = Origins::new(&["https://crm.example.com".to_owned()]);
        assert!(origins.allow(&request("gw.example.com", None)));
        assert!(origins.allow(&request("gw.example.com", Some("https://gw.example.com"))));
        assert!(origins.allow(&request("127.0.0.1:8080", Some("http://127.0.0.1:8080"))));
        assert!(origins.allow(&request("gw.example.com", Some("https://crm.example.com"))));
        assert!(!origins.allow(&request("gw.example.com", Some("https://evil.example.com"))));
        assert!(!origins.allow(&request("127.0.0.1:8080", Some("http://127.0.0.1:8081"))));
        assert!(!origins.allow(&request("gw.example.com", Some("null"))));
    }
}
