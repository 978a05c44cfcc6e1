//! The section `[log.elasticsearch]`.

use std::path::PathBuf;

use hyper::Uri;
use hyper::http::uri::Scheme;
use serde::{Deserialize, Serialize};

use super::client::Client;
use crate::config::{ConfigError, Secret, within};
use crate::firewall::Opening;

/// Stands for the day of a line in the name of its index.
pub(super) const DATE: &str = "{date}";

const USUAL_PORT: u16 = 9200;

/// Where an Elasticsearch server is and what waits for it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Elasticsearch {
    /// Its address; without one nothing is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// With a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// In place of user and password, as Elasticsearch gives it out: in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// PEM; who may have signed the server's certificate.
    pub ca: PathBuf,
    /// Name of the index.
    pub index: String,
    /// Where lines wait, in a folder for each instance; needed with an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_path: Option<PathBuf>,
    /// What may wait.
    pub queue_megabytes: u64,
    /// Enough for a request.
    pub batch_kilobytes: u64,
    /// A request is sent with less after this time.
    pub batch_seconds: u64,
}

impl Elasticsearch {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        within("log.elasticsearch.queue_megabytes", self.queue_megabytes, 1..=100_000)?;
        within("log.elasticsearch.batch_kilobytes", self.batch_kilobytes, 1..=50_000)?;
        within("log.elasticsearch.batch_seconds", self.batch_seconds, 1..=3600)?;
        if !is_index(&self.index) {
            let expected = "expected a name of an index: small letters, digits, '-', '_' and '.', and {date}";
            return Err(ConfigError::key("log.elasticsearch.index", expected));
        }
        if self.user.is_some() != self.password.is_some() {
            return Err(ConfigError::key("log.elasticsearch.user", "user and password go together"));
        }
        if self.api_key.is_some() && self.user.is_some() {
            return Err(ConfigError::key("log.elasticsearch.api_key", "it takes the place of user and password"));
        }
        let Some(url) = &self.url else { return Ok(()) };
        Server::parse(url)?;
        match &self.queue_path {
            Some(path) if !path.as_os_str().is_empty() => Ok(()),
            _ => Err(ConfigError::key("log.elasticsearch.queue_path", "name a folder where lines can wait")),
        }
    }

    /// Where the server has TLS.
    pub(crate) fn ca_in_use(&self) -> Option<&PathBuf> {
        let server = Server::parse(self.url.as_ref()?).ok()?;
        server.tls.then_some(&self.ca)
    }

    pub(crate) fn check_files(&self) -> Result<(), ConfigError> {
        self.url.as_ref().map_or(Ok(()), |url| Client::new(url, self).map(drop))
    }

    /// The way to the server, if there is one.
    pub(crate) fn opening(&self, from: &'static str) -> Option<Opening> {
        // Checked with the configuration.
        let Server { host, port, .. } = Server::parse(self.url.as_ref()?).ok()?;
        Some(Opening {
            from,
            host: host.trim_matches(['[', ']']).to_owned(),
            ports: port..=port,
            protocol: "TCP",
            purpose: "logs to Elasticsearch",
        })
    }
}

/// Of Elasticsearch's rules those that matter: no capitals, and nothing that means something in an address or a pattern.
fn is_index(name: &str) -> bool {
    let name = name.replace(DATE, "2000.01.01");
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    !name.is_empty() && name.len() <= 255 && name.bytes().all(plain) && !name.starts_with(['-', '_', '.'])
}

/// What an address says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) tls: bool,
    /// An IPv6 address has its brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Before `/_bulk`.
    pub(super) path: String,
}

impl Server {
    /// `http://HOST:9200`, `https://HOST/PATH`, or `HOST:9200` for the first.
    pub(super) fn parse(url: &str) -> Result<Self, ConfigError> {
        let problem = |text: &str| ConfigError::key("log.elasticsearch.url", text);
        if url == "stdout" {
            return Err(problem("leave it out, and lines go to standard output"));
        }
        let expected = || problem("expected an address such as https://elasticsearch.example.com:9200");
        let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = with_scheme.parse().map_err(|_| expected())?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return Err(expected()) };
        if authority.as_str().contains('@') {
            return Err(problem("user and password have settings of their own"));
        }
        let tls = *scheme == Scheme::HTTPS;
        if (!tls && *scheme != Scheme::HTTP) || uri.query().is_some() || authority.host().is_empty() {
            return Err(expected());
        }
        let port = match authority.as_str().strip_prefix(authority.host()).and_then(|rest| rest.strip_prefix(':')) {
            Some(port) => port.parse().map_err(|_| expected())?,
            None => USUAL_PORT,
        };
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Server { tls, host: authority.host().to_owned(), port, path })
    }
}

#[cfg(test)]
impl Elasticsearch {
    pub(in crate::log) fn example() -> Self {
        Elasticsearch {
            url: Some("http://es:9200".to_owned()),
            user: None,
            password: None,
            api_key: None,
            ca: PathBuf::from("/nonexistent"),
            index: "webrtc-{date}".to_owned(),
            queue_path: Some(PathBuf::from("/queue")),
            queue_megabytes: 1,
            batch_kilobytes: 1,
            batch_seconds: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Elasticsearch);

    #[test]
    fn an_address_is_read_with_and_without_its_parts() {
        let server = |tls, host: &str, port, path: &str| Server { tls, host: host.into(), port, path: path.into() };
        for (url, expected) in [
            ("http://es:80", server(false, "es", 80, "")),
            ("https://es.example.com/logs/", server(true, "es.example.com", 9200, "/logs")),
            ("es.example.com:9201", server(false, "es.example.com", 9201, "")),
            ("http://[2001:db8::1]:9200", server(false, "[2001:db8::1]", 9200, "")),
        ] {
            assert_eq!(Server::parse(url).unwrap(), expected, "{url}");
        }
        for url in ["", "ftp://es", "http://", "http://es:port", "http://es?pretty", "http://u:secret@es", "stdout"] {
            let error = Server::parse(url).expect_err(url).to_string();
            assert!(error.starts_with("log.elasticsearch.url: ") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn settings_that_do_not_belong_together_are_refused_by_name() {
        assert!(Elasticsearch::example().check().is_ok() && Elasticsearch::example().check_files().is_ok());
        let wrong: [(&str, Change); 8] = [
            ("url", |es| es.url = Some("es://".to_owned())),
            ("user", |es| es.password = Some("p".into())),
            ("user", |es| es.user = Some("u".to_owned())),
            ("queue_path", |es| es.queue_path = None),
            ("queue_megabytes", |es| es.queue_megabytes = 0),
            ("index", |es| es.index = "Logs-*".to_owned()),
            ("index", |es| es.index = "_logs".to_owned()),
            ("api_key", |es| {
                (es.user, es.password, es.api_key) = (Some("u".to_owned()), Some("p".into()), Some("k".into()));
            }),
        ];
        for (key, change) in wrong {
            let mut settings = Elasticsearch::example();
            change(&mut settings);
            let error = settings.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("log.elasticsearch.{key}: ")), "{error}");
        }
        let mut settings = Elasticsearch::example();
        assert_eq!(settings.ca_in_use(), None);
        settings.url = Some("https://es".to_owned());
        assert_eq!(settings.ca_in_use(), Some(&settings.ca));
        let error = settings.check_files().unwrap_err().to_string();
        assert!(error.starts_with("log.elasticsearch.ca: /nonexistent: "), "{error}");
    }
}
