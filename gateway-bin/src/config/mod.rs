//! Configuration: embedded defaults, a TOML file, and environment variables over both.
//!
//! `WSG_` and the upper-case path override any value, with `__` between levels: `WSG_HTTP__LISTEN=127.0.0.1:9090`.
//! Unknown keys are refused, so that a misspelt one is noticed.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use webrtc_sip_core::codec::CodecKind;

mod check;
mod host_port;
mod load;
mod turn;

pub use host_port::HostPort;
pub use shell::config::{ConfigError, Network, Secret};
pub use shell::log::{Log, LogFormat};
pub use shell::program::Shutdown;
pub use shell::tls::Tls;
pub use turn::{Turn, TurnLimits, TurnRelay};

/// Everything that can be configured. `defaults.toml` beside this file explains each key.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub node: String,
    pub colour: String,
    pub maintenance: bool,
    pub unsupported_options: Vec<String>,
    pub http: Http,
    pub metrics: Metrics,
    pub sip: Sip,
    pub media: Media,
    pub turn: Turn,
    pub log: Log,
    pub limits: Limits,
    pub shutdown: Shutdown,
    pub demo: Demo,
    #[serde(default)]
    pub users: Vec<User>,
    /// Where this came from; none for the embedded defaults, which hold demo users.
    #[serde(skip)]
    pub source: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub listen: SocketAddr,
    pub trusted_proxies: Vec<Network>,
    pub insecure_allow_plaintext: bool,
    pub allowed_origins: Vec<String>,
    pub colour_path: bool,
    pub max_connections: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    pub listen: SocketAddr,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sip {
    pub listen: Vec<SocketAddr>,
    pub advertised: Vec<SocketAddr>,
    pub domain: String,
    pub trusted: Vec<Network>,
    pub max_tcp_connections: usize,
    pub t1_milliseconds: u64,
    pub routes: Vec<Route>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    pub target: HostPort,
    #[serde(default)]
    pub tcp: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    pub target: HostPort,
    #[serde(default)]
    pub tcp: bool,
    pub domain: String,
    #[serde(default = "ten_minutes")]
    pub registration_seconds: u32,
}

fn ten_minutes() -> u32 {
    600
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Media {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    pub listen: Vec<IpAddr>,
    pub advertised: Vec<IpAddr>,
    pub webrtc_port: u16,
    pub rtp_port_low: u16,
    pub rtp_port_high: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtp_advertised: Option<IpAddr>,
    pub workers: usize,
    pub browser_codecs: Vec<CodecKind>,
    pub sip_codecs: Vec<CodecKind>,
    pub ice_lite: bool,
    pub opus_complexity: u8,
    pub opus_bitrate: u32,
}

impl Media {
    /// The port of each media worker's WebRTC sockets; 0 stands for any.
    ///
    /// # Errors
    /// The ports end before every worker has one.
    pub fn webrtc_ports(&self) -> Result<Vec<u16>, ConfigError> {
        let workers = match self.workers {
            // Respects the cgroup's CPU quota.
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let ports: Vec<u16> = match self.webrtc_port {
            0 => vec![0; workers],
            first => (first..=u16::MAX).take(workers).collect(),
        };
        if ports.len() < workers {
            let problem = format!("{workers} media workers need as many ports from here on");
            return Err(ConfigError::key("media.webrtc_port", problem));
        }
        Ok(ports)
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub sign_ins: usize,
    pub calls: usize,
    pub calls_per_user: usize,
    pub client_message_bytes: usize,
    pub wrong_passwords: u32,
    pub ring_seconds: u64,
    pub sign_in_hours: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Demo {
    pub test_numbers: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip_user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip_password: Option<Secret>,
}

impl Config {
    /// The defaults, the file if one is named (else the demo users and numbers), the environment; all checked.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        load::load(file, shell::config::environment())
    }

    /// One value of the same layers.
    pub(crate) fn value<T: serde::de::DeserializeOwned>(key: &str, file: Option<&Path>) -> Result<T, ConfigError> {
        load::LAYERS.value(key, file, shell::config::environment())
    }

    /// The embedded defaults with the demo users and numbers, without a look at the environment.
    pub fn demo() -> Self {
        load::load(None, std::collections::HashMap::new()).expect("the embedded defaults are valid, as a test shows")
    }

    /// The colour as a path, `blue/`, where the signalling is found under it as well.
    pub(crate) fn colour_path(&self) -> Option<String> {
        self.http.colour_path.then(|| format!("{}/", self.colour))
    }

    /// Whether this is the embedded configuration with its published passwords.
    pub fn is_demo(&self) -> bool {
        self.source.is_none()
    }
}
