//! Configuration: embedded defaults, a TOML file, environment variables, the command line.
//!
//! `WST_` and the upper-case path override any value, with `__` between levels: `WST_RELAY__PORT_LOW=50000`. Unknown
//! keys are refused, so that a misspelt one is noticed.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};
use shell::config::Layers;
use shell::firewall::Opening;
use shell::machine;
use shell::program::Configuration;

mod check;
mod oauth;
mod tenants;

pub(crate) use check::MAX_WORKERS;
pub use oauth::{OauthKey, TokenAlgorithm};
pub use shell::config::{ConfigError, Network, Secret};
pub use shell::log::{Log, LogFormat};
pub use shell::tls::Tls;
pub use tenants::Tenant;

use crate::args::Args;
use crate::connections::load_tls;
use crate::{limits, openings};

const LAYERS: Layers<'static> = Layers {
    defaults: include_str!("defaults.toml"),
    without_file: "",
    prefix: "WST",
    list_keys: &[
        "listen",
        "relay.ips",
        "relay.external_ips",
        "relay.allow_peers",
        "relay.deny_peers",
        "discovery.external_ips",
        "auth.secrets",
    ],
};

/// Everything that can be configured. `defaults.toml` beside this file explains each key.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// None: the name of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    pub listen: Vec<SocketAddr>,
    pub workers: usize,
    pub mobility: bool,
    pub relay: Relay,
    pub auth: Auth,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,
    pub http: Http,
    pub log: Log,
    pub limits: Limits,
    pub shutdown: Shutdown,
    #[serde(default)]
    pub users: Vec<User>,
    #[serde(default)]
    pub oauth_keys: Vec<OauthKey>,
    #[serde(default)]
    pub tenants: Vec<Tenant>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    pub ips: Vec<IpAddr>,
    pub external_ips: Vec<IpAddr>,
    pub port_low: u16,
    pub port_high: u16,
    pub allow_peers: Vec<Network>,
    pub deny_peers: Vec<Network>,
    /// Sockets of the embedding program that may be reached, and nothing else at their addresses.
    #[serde(skip)]
    pub allow_exactly: BTreeSet<SocketAddr>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    pub realm: String,
    pub secrets: Vec<Secret>,
    pub server_name: String,
    pub nonce_seconds: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Discovery {
    pub alternate: SocketAddr,
    #[serde(default)]
    pub external_ips: Vec<IpAddr>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// None where the embedding program has a listener of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Of the admin API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_token: Option<Secret>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub relay_sockets: usize,
    pub connections: usize,
    pub allocations: usize,
    pub allocations_per_tenant: usize,
    pub allocations_per_user: usize,
    pub bytes_per_second: u64,
    pub bytes_per_second_per_tenant: u64,
    pub bytes_per_second_per_user: u64,
    pub permissions: usize,
    pub channels: usize,
    pub peer_connections: usize,
    pub refusals_per_second: u32,
    pub lifetime_seconds: u64,
    pub idle_connection_seconds: u64,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    pub unready_seconds: u64,
    pub drain_seconds: u64,
    pub interrupt_drain_seconds: u64,
    /// Where new clients are sent meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternate_server: Option<SocketAddr>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    pub name: String,
    pub password: Secret,
}

impl Config {
    /// The defaults, the file where one is named, the environment, the command line; all checked.
    ///
    /// # Errors
    /// A file or a key is bad.
    pub fn load(args: &Args) -> Result<Self, ConfigError> {
        load(args, shell::config::environment())
    }

    /// The embedded defaults, without a look at the environment. Nobody may use such a server until it has users or a
    /// secret.
    pub fn embedded() -> Self {
        LAYERS.load(None, HashMap::new()).expect("the embedded defaults are valid, as a test shows")
    }

    /// Refuses what can't work or would be unsafe; for a configuration that an embedding program has put together.
    ///
    /// # Errors
    /// A value isn't acceptable.
    pub fn check(&self) -> Result<(), ConfigError> {
        check::check(self)
    }

    /// Each address for peers' packets, and what clients are told in its place.
    pub(crate) fn relay_addresses(&self) -> Vec<(IpAddr, IpAddr)> {
        let mut bound = self.relay.ips.clone();
        if bound.is_empty() {
            for ip in self.listen.iter().map(SocketAddr::ip) {
                if bound.iter().all(|other| other.is_ipv4() != ip.is_ipv4()) {
                    bound.push(ip);
                }
            }
        }
        let external = |index: usize, ip: IpAddr| self.relay.external_ips.get(index).copied().unwrap_or(ip);
        bound.into_iter().enumerate().map(|(index, ip)| (ip, external(index, ip))).collect()
    }
}

fn load(args: &Args, environment: HashMap<String, String>) -> Result<Config, ConfigError> {
    let file: Option<&Path> = args.flags.config.as_deref();
    let mut config: Config = LAYERS.load(file, environment)?;
    args.apply(&mut config)?;
    config.check()?;
    Ok(config)
}

impl Configuration for Config {
    fn log(&self) -> &Log {
        &self.log
    }

    fn check_files(&self) -> Result<(), ConfigError> {
        load_tls(self).map(drop)
    }

    fn shortage(&self) -> Option<String> {
        limits::shortage_of(self)
    }

    fn instance(&self) -> String {
        self.node.clone().unwrap_or_else(machine::name)
    }

    fn health(file: Option<&Path>) -> Result<SocketAddr, ConfigError> {
        LAYERS.value("http.listen", file, shell::config::environment())
    }

    fn openings(&self) -> Vec<Opening> {
        openings::of(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use clap::Parser;
    use shell::testing::toml_blocks;

    use super::*;

    fn with(line: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let args = Args::try_parse_from(std::iter::once("turn").chain(line.split_whitespace())).unwrap();
        load(&args, environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    fn from_file(toml: &str) -> Result<Config, ConfigError> {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let file = std::env::temp_dir().join(format!("wst-example-{}-{number}.toml", std::process::id()));
        std::fs::write(&file, toml).unwrap();
        let loaded = with(&format!("--config {}", file.display()), &[]);
        std::fs::remove_file(&file).unwrap();
        loaded
    }

    #[test]
    fn the_command_line_goes_before_the_environment_and_the_file() {
        let file = std::env::temp_dir().join(format!("wst-config-{}.toml", std::process::id()));
        std::fs::write(&file, "workers = 1\n[auth]\nrealm = \"file\"\nsecrets = [\"s\"]\n").unwrap();
        let line = format!("--config {} --workers 3", file.display());
        let config = with(&line, &[("WST_AUTH__REALM", "environment"), ("WST_WORKERS", "2")]);
        std::fs::remove_file(&file).unwrap();
        let config = config.unwrap();
        assert_eq!((config.auth.realm.as_str(), config.workers), ("environment", 3));
        assert_eq!(config.auth.secrets[0].reveal(), "s");
    }

    #[test]
    fn the_manual_shows_examples_that_work() {
        let manual = include_str!("../../../docs/turn.md");
        let examples = toml_blocks(manual);
        assert_eq!(examples.len(), 5);
        for example in examples {
            from_file(example).unwrap_or_else(|error| panic!("{error} in the example\n{example}"));
        }
        let line = manual.lines().find_map(|line| line.strip_prefix("target/release/webrtc-sip-turn ")).unwrap();
        with(line, &[]).unwrap();
    }

    #[test]
    fn operators_are_shown_servers_that_reach_gateways_on_their_own_machine() {
        let blocks = toml_blocks(include_str!("../../../docs/operations.md"));
        let examples: Vec<_> = blocks.into_iter().filter(|block| block.contains("[relay]")).collect();
        assert_eq!(examples.len(), 2);
        for example in examples {
            // The file of the secret isn't here.
            let config =
                from_file(&example.replace("\"file:", "\"")).unwrap_or_else(|error| panic!("{error}\n{example}"));
            assert_eq!(config.relay.allow_peers, ["203.0.113.5/32".parse().unwrap()]);
            assert_eq!(config.limits.peer_connections, 0, "clients reach no server of TCP there");
        }
    }

    #[test]
    fn a_bad_value_is_named_by_its_key() {
        for (line, key) in [
            ("", "users: "),
            ("--user a:b --listen 0.0.0.0:3478", "relay.ips: "),
            ("--user a:b --relay-ip 192.0.2.1 --relay-ip 192.0.2.2", "relay.ips: "),
            ("--user a:b --relay-ip 192.0.2.1 --external-ip ::1", "relay.external_ips: "),
            ("--user a:b --relay-ports 500-600", "relay.port_low: "),
            ("--user a:b --relay-ports 50000-49999", "relay.port_high: "),
            ("--user a:b --user a:c", "users[1].name: "),
            ("--user a: ", "users[0].password: "),
            ("--user a:b --workers 1000", "workers: "),
            ("--secret=", "auth.secrets[0]: "),
            ("--user a:b --realm=", "auth.realm: "),
        ] {
            let text = with(line, &[]).expect_err(line).to_string();
            assert!(text.starts_with(key) && !text.contains('\n'), "{text}");
        }
        for address in ["0.0.0.0:3478", "192.0.2.1:0", "127.0.0.1:3478"] {
            let text = with("--user a:b", &[("WST_SHUTDOWN__ALTERNATE_SERVER", address)]).unwrap_err().to_string();
            assert!(text.starts_with("shutdown.alternate_server: "), "{text}");
        }
        for name in ["", ".", "..", "a/b", "../a", "a b", &"n".repeat(65)] {
            let text = with("--user a:b", &[("WST_NODE", name)]).expect_err(name).to_string();
            assert!(text.starts_with("node: "), "{text}");
        }
        let text = with("--user a:b", &[("WST_HTTP__ADMIN_TOKEN", "short")]).unwrap_err().to_string();
        assert!(text.starts_with("http.admin_token: "), "{text}");
        let text = with("--user a:b", &[("WST_RELAY__PORTS", "1")]).unwrap_err().to_string();
        assert!(text.starts_with("relay") && text.contains("ports"), "{text}");
    }

    #[test]
    fn a_server_is_called_by_its_node_or_by_its_machine() {
        assert_eq!(with("--secret s", &[]).unwrap().instance(), machine::name());
        assert_eq!(with("--secret s", &[("WST_NODE", "turn-blue_1.a")]).unwrap().instance(), "turn-blue_1.a");
    }

    #[test]
    fn discovery_takes_a_second_address_and_port() {
        let bad = |first: &str, environment: &[(&str, &str)]| {
            let line = format!("--secret s --relay-ip 192.0.2.1 --listen {first}");
            with(&line, environment).map(drop).map_err(|error| error.to_string())
        };
        let alternate = |value| [("WST_DISCOVERY__ALTERNATE", value)];
        assert_eq!(bad("192.0.2.1:3478", &alternate("192.0.2.2:3479")), Ok(()));
        for (first, second) in [
            ("192.0.2.1:3478", "192.0.2.1:3479"),
            ("192.0.2.1:3478", "192.0.2.2:3478"),
            ("192.0.2.1:3478", "[2001:db8::1]:3479"),
            ("192.0.2.1:3478", "0.0.0.0:3479"),
            ("192.0.2.1:3478", "192.0.2.2:0"),
            ("0.0.0.0:3478", "192.0.2.2:3479"),
        ] {
            let text = bad(first, &alternate(second)).unwrap_err();
            assert!(text.starts_with("discovery.alternate: "), "{text}");
        }
        for external in ["203.0.113.1", "203.0.113.1,2001:db8::1"] {
            let environment = [alternate("192.0.2.2:3479")[0], ("WST_DISCOVERY__EXTERNAL_IPS", external)];
            let text = bad("192.0.2.1:3478", &environment).unwrap_err();
            assert!(text.starts_with("discovery.external_ips: "), "{text}");
        }
    }

    #[test]
    fn a_bad_value_of_a_tenant_is_named_by_its_key() {
        let key = |kid: &str, key: &str, more: &str| {
            format!("[[oauth_keys]]\nkid = \"{kid}\"\nkey = \"{key}\"\nalgorithm = \"A128GCM\"\n{more}\n")
        };
        let good = "MTIzNDU2Nzg5MDEyMzQ1Ng==";
        let tenant = |more: &str| format!("[[tenants]]\nrealm = \"x\"\nsecrets = [\"s\"]\n{more}\n");
        for (toml, expected) in [
            ("[[tenants]]\nrealm = \"\"\nsecrets = [\"s\"]".to_owned(), "tenants[0].realm: "),
            ("[[tenants]]\nrealm = \"x\"".to_owned(), "tenants[0].users: "),
            (tenant("") + &tenant(""), "tenants[1].realm: "),
            (tenant("").replace("\"x\"", "\"localhost\""), "tenants[0].realm: "),
            (tenant("origins = [\"phone.example.com\"]"), "tenants[0].origins[0]: "),
            (tenant("origins = [\"https://phone.example.com/\"]"), "tenants[0].origins[0]: "),
            (tenant("origins = [\"https://a\", \"https://A\"]"), "tenants[0].origins[1]: "),
            (tenant("origins = [\"https://a\"]") + &tenant("origins = [\"https://a\"]").replace("\"x\"", "\"y\""), {
                "tenants[1].origins: "
            }),
            (tenant("bytes_per_second = 2000000000000"), "tenants[0].bytes_per_second: "),
            (tenant("allocations_per_user = 2000000"), "tenants[0].allocations_per_user: "),
            (tenant("[[tenants.users]]\nname = \"\"\npassword = \"p\""), "tenants[0].users[0].name: "),
            (tenant("quota = 1"), "tenants[0]"),
            ("[limits]\nbytes_per_second_per_user = 2000000000000".to_owned(), "limits.bytes_per_second_per_user: "),
            (key("", good, ""), "oauth_keys[0].kid: "),
            (key("k", "no base64!", ""), "oauth_keys[0].key: "),
            (key("k", "MTIzNDU2Nzg5MDEyMzQ1Ngo=", ""), "oauth_keys[0].key: "),
            (key("k", good, "") + &key("k", good, ""), "oauth_keys[1].kid: "),
            (key("k", good, "valid_from = 2\nvalid_until = 1"), "oauth_keys[0].valid_until: "),
            (key("k", good, "").replace("A128GCM", "A128CBC"), "oauth_keys[0].algorithm"),
            (tenant(&key("k", "", "").replace("oauth_keys", "tenants.oauth_keys")), "tenants[0].oauth_keys[0].key: "),
            (format!("[auth]\nrealm = \"{}\"\n{}", "r".repeat(29), key("k", good, "")), "auth.server_name: "),
            (format!("[auth]\nserver_name = \"{}\"\n{}", "n".repeat(45), key("k", good, "")), "auth.server_name: "),
        ] {
            let file = std::env::temp_dir().join(format!("wst-tenant-{}.toml", std::process::id()));
            std::fs::write(&file, &toml).unwrap();
            let loaded = with(&format!("--secret s --config {}", file.display()), &[]);
            std::fs::remove_file(&file).unwrap();
            let text = loaded.expect_err(&toml).to_string();
            assert!(text.starts_with(expected) && !text.contains('\n'), "{text}\n{toml}");
        }
    }

    #[test]
    fn relay_addresses_are_those_of_the_listeners_where_none_are_named() {
        let config =
            with("--user a:b --listen 192.0.2.1:1 --listen 192.0.2.2:1 --listen [2001:db8::1]:1", &[]).unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let both = |text: &str| (ip(text), ip(text));
        assert_eq!(config.relay_addresses(), [both("192.0.2.1"), both("2001:db8::1")]);
        let config = with("--secret s --relay-ip 10.0.0.1 --external-ip 192.0.2.9", &[]).unwrap();
        assert_eq!(config.relay_addresses(), [(ip("10.0.0.1"), ip("192.0.2.9"))]);
    }

    #[test]
    fn printed_configuration_hides_secrets() {
        let text = shell::config::to_toml(&with("--user alice:hidden --secret hidden-too", &[]).unwrap());
        assert!(text.contains("alice") && !text.contains("hidden"), "{text}");
    }
}
