//! The gateway's layers.

use std::collections::HashMap;
use std::path::Path;

use shell::config::Layers;

use super::{Config, ConfigError, check};

const DEFAULTS: &str = include_str!("defaults.toml");

pub(super) const LAYERS: Layers<'static> = Layers {
    defaults: DEFAULTS,
    without_file: include_str!("demo.toml"),
    prefix: "WSG",
    list_keys: &[
        "unsupported_options",
        "http.trusted_proxies",
        "http.allowed_origins",
        "sip.listen",
        "sip.advertised",
        "sip.trusted",
        "media.listen",
        "media.advertised",
        "media.browser_codecs",
        "media.sip_codecs",
        "turn.listen",
        "turn.urls",
        "turn.relay.ips",
        "turn.relay.external_ips",
        "turn.relay.allow_peers",
        "turn.relay.deny_peers",
    ],
};

/// The defaults, the file or the demo, `environment`; checked.
pub(super) fn load(file: Option<&Path>, environment: HashMap<String, String>) -> Result<Config, ConfigError> {
    let mut config: Config = LAYERS.load(file, environment)?;
    config.source = file.map(Path::to_owned);
    check::check(&config)?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        load(None, environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    fn error(environment: &[(&str, &str)]) -> String {
        let text = with(environment).expect_err("this configuration is bad").to_string();
        assert!(!text.contains('\n'), "one line: {text}");
        text
    }

    #[test]
    fn the_embedded_defaults_are_those_that_the_readme_names() {
        let config = with(&[]).unwrap();
        assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.metrics.listen.to_string(), "127.0.0.1:10052");
        assert_eq!(config.sip.listen[0].to_string(), "127.0.0.1:5060");
        assert_eq!(config.turn.listen[0].to_string(), "127.0.0.1:3478");
        let users: Vec<_> = config.users.iter().map(|u| (&*u.name, u.password.as_ref().unwrap().reveal())).collect();
        assert_eq!(users, [("1001", "demo-1001"), ("1002", "demo-1002")]);
        assert!(config.demo.test_numbers && config.is_demo());
    }

    #[test]
    fn the_environment_overrides_any_level_and_lists() {
        let config = with(&[
            ("WSG_COLOUR", "green"),
            ("WSG_HTTP__LISTEN", "127.0.0.1:9999"),
            ("WSG_SIP__LISTEN", "127.0.0.1:5070,[::1]:5070"),
            ("WSG_SIP__PROXY__TARGET", "sip.example.com"),
            ("WSG_SIP__PROXY__DOMAIN", "example.com"),
            ("WSG_MEDIA__WORKERS", "3"),
            ("WSG_NODE", "7"),
        ])
        .unwrap();
        assert_eq!((config.colour.as_str(), config.node.as_str()), ("green", "7"));
        assert_eq!(config.http.listen.port(), 9999);
        assert_eq!(config.sip.listen.len(), 2);
        assert_eq!(config.sip.proxy.unwrap().target.port, 5060);
        assert_eq!(config.media.workers, 3);
    }

    #[test]
    fn a_bad_value_is_named_by_its_key() {
        assert!(error(&[("WSG_HTTP__LISTEN", "nowhere")]).starts_with("http.listen: "));
        assert!(error(&[("WSG_HTTP__LISTEM", "127.0.0.1:1")]).contains("listem"));
        assert!(error(&[("WSG_HTTP__LISTEN", "0.0.0.0:8080")]).starts_with("http.listen: "));
        assert!(error(&[("WSG_SIP__TRUSTED", "10.0.0.0/64")]).starts_with("sip.trusted"));
        assert!(error(&[("WSG_SIP__LISTEN", "0.0.0.0:5060")]).starts_with("sip.advertised: "));
        let other = [("WSG_SIP__PROXY__TARGET", "[2001:db8::1]:5060"), ("WSG_SIP__PROXY__DOMAIN", "example.com")];
        assert!(error(&other).starts_with("sip.proxy.target: "));
        with(&[other[0], other[1], ("WSG_SIP__LISTEN", "127.0.0.1:5060,[::1]:5060")]).unwrap();
        assert!(error(&[("WSG_MEDIA__RTP_PORT_HIGH", "20000")]).starts_with("media.rtp_port_high: "));
        assert!(error(&[("WSG_LOG__LEVEL", "lo=ud=er")]).starts_with("log.level: "));
        assert!(error(&[("WSG_MEDIA__SIP_CODECS", "g729")]).starts_with("media.sip_codecs"));
    }

    #[test]
    fn a_colour_that_cannot_be_a_path_is_refused_where_it_is_one() {
        for colour in ["..", "."] {
            assert!(error(&[("WSG_COLOUR", colour), ("WSG_HTTP__COLOUR_PATH", "true")]).starts_with("colour: "));
            assert_eq!(with(&[("WSG_COLOUR", colour)]).unwrap().colour_path(), None);
        }
        assert!(error(&[("WSG_COLOUR", "blue/x"), ("WSG_HTTP__COLOUR_PATH", "true")]).starts_with("colour: "));
        let blue = with(&[("WSG_COLOUR", "blue"), ("WSG_HTTP__COLOUR_PATH", "true")]).unwrap();
        assert_eq!(blue.colour_path().as_deref(), Some("blue/"));
    }

    #[test]
    fn numbers_beyond_use_are_refused_by_their_key() {
        let too_much = [
            ("HTTP__MAX_CONNECTIONS", "http.max_connections"),
            ("SIP__MAX_TCP_CONNECTIONS", "sip.max_tcp_connections"),
            ("LIMITS__SIGN_INS", "limits.sign_ins"),
            ("LIMITS__CALLS", "limits.calls"),
            ("LIMITS__CALLS_PER_USER", "limits.calls_per_user"),
            ("LIMITS__CLIENT_MESSAGE_BYTES", "limits.client_message_bytes"),
            ("LIMITS__RING_SECONDS", "limits.ring_seconds"),
            ("LIMITS__SIGN_IN_HOURS", "limits.sign_in_hours"),
            ("SHUTDOWN__UNREADY_SECONDS", "shutdown.unready_seconds"),
            ("SHUTDOWN__DRAIN_SECONDS", "shutdown.drain_seconds"),
            ("SHUTDOWN__INTERRUPT_DRAIN_SECONDS", "shutdown.interrupt_drain_seconds"),
        ];
        for (variable, key) in too_much {
            let text = error(&[(&format!("WSG_{variable}"), "5000000000000000")]);
            assert!(text.starts_with(&format!("{key}: must be ")), "{text}");
        }
        assert!(
            error(&[("WSG_LIMITS__WRONG_PASSWORDS", "4000000000")]).starts_with("limits.wrong_passwords: must be ")
        );
        let proxy = [
            ("WSG_SIP__PROXY__TARGET", "sip.example.com"),
            ("WSG_SIP__PROXY__DOMAIN", "example.com"),
            ("WSG_SIP__PROXY__REGISTRATION_SECONDS", "4000000000"),
        ];
        assert!(error(&proxy).starts_with("sip.proxy.registration_seconds: must be "));
        assert!(with(&[("WSG_LIMITS__SIGN_IN_HOURS", "8760"), ("WSG_LIMITS__RING_SECONDS", "3600")]).is_ok());
    }

    #[test]
    fn turn_is_checked_like_the_program_of_its_own() {
        for (variable, value, key) in [
            ("CREDENTIAL_HOURS", "0", "turn.credential_hours: must be "),
            ("SECRET", "", "turn.secret: "),
            ("URLS", "turn:a,stun:b", "turn.urls[1]: "),
            ("URLS", "turn:a?transport=sctp", "turn.urls[0]: "),
            ("LISTEN", "0.0.0.0:3478", "turn.urls: "),
            ("RELAY__IPS", "192.0.2.1,192.0.2.2", "turn.relay.ips: "),
            ("RELAY__PORT_LOW", "500", "turn.relay.port_low: must be "),
            ("LIMITS__RELAY_SOCKETS", "0", "turn.limits.relay_sockets: must be "),
            ("WORKERS", "1000", "turn.workers: must be "),
        ] {
            let text = error(&[(&format!("WSG_TURN__{variable}"), value)]);
            assert!(text.starts_with(key), "{text}");
        }
        let elsewhere = "[turn]\nlisten = []\nurls = [\"turns:turn.example.com:443?transport=tcp\"]\n";
        let file = std::env::temp_dir().join(format!("wsg-turn-{}.toml", std::process::id()));
        let mut outcomes = Vec::new();
        for secret in ["", "secret = \"s\"\n"] {
            std::fs::write(&file, format!("{elsewhere}{secret}")).unwrap();
            outcomes.push(load(Some(&file), HashMap::new()).map_err(|error| error.to_string()));
        }
        std::fs::remove_file(&file).unwrap();
        assert!(outcomes[0].as_ref().is_err_and(|text| text.starts_with("turn.secret: ")), "{outcomes:?}");
        assert!(outcomes[1].is_ok(), "{outcomes:?}");
    }

    #[test]
    fn every_media_worker_needs_a_port() {
        let last = ("WSG_MEDIA__WEBRTC_PORT", "65535");
        assert!(error(&[last, ("WSG_MEDIA__WORKERS", "4")]).starts_with("media.webrtc_port: 4 media workers"));
        let ports = with(&[last, ("WSG_MEDIA__WORKERS", "1")]).unwrap().media.webrtc_ports().unwrap();
        assert_eq!(ports, [65_535]);
    }

    #[test]
    fn plain_http_beyond_loopback_needs_a_word() {
        let file = std::env::temp_dir().join(format!("wsg-plain-{}.toml", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let listen = ("WSG_HTTP__LISTEN".to_owned(), "0.0.0.0:8080".to_owned());
        let with = |name: &str, value: &str| HashMap::from([listen.clone(), (name.to_owned(), value.to_owned())]);
        let words = [("WSG_HTTP__INSECURE_ALLOW_PLAINTEXT", "true"), ("WSG_HTTP__TRUSTED_PROXIES", "10.0.0.0/8")];
        let outcomes = words.map(|(name, value)| load(Some(&file), with(name, value)).is_ok());
        let wordless = load(Some(&file), with("WSG_NODE", "7")).unwrap_err().to_string();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(outcomes, [true, true]);
        assert!(wordless.starts_with("http.listen: plain HTTP"), "{wordless}");
        for (name, value) in words {
            let published = load(None, with(name, value)).unwrap_err().to_string();
            assert!(published.starts_with("http.listen: everybody knows the passwords"), "{published}");
        }
    }

    #[test]
    fn what_could_never_work_is_refused_by_its_key() {
        for (variables, key) in [
            (&[("SIP__DOMAIN", "exa mple")][..], "sip.domain: "),
            (&[("SIP__DOMAIN", "::1")], "sip.domain: "),
            (&[("SIP__PROXY__TARGET", "sip.example.com"), ("SIP__PROXY__DOMAIN", "")], "sip.proxy.domain: "),
            (&[("SIP__PROXY__TARGET", "a b"), ("SIP__PROXY__DOMAIN", "example.com")], "sip.proxy.target: "),
            (&[("SIP__ADVERTISED", "192.0.2.1:0")], "sip.advertised[0]: "),
            (&[("SIP__ADVERTISED", "[2001:db8::1]:5060")], "sip.advertised[0]: "),
            (&[("MEDIA__ADVERTISED", "0.0.0.0")], "media.advertised: "),
            (&[("MEDIA__RTP_PORT_LOW", "20001"), ("MEDIA__RTP_PORT_HIGH", "20002")], "media.rtp_port_high: "),
            (&[("METRICS__LISTEN", "127.0.0.1:8080")], "metrics.listen: 127.0.0.1:8080 is taken by http.listen"),
            (&[("METRICS__LISTEN", "0.0.0.0:8080")], "metrics.listen: "),
            (&[("SIP__LISTEN", "127.0.0.1:5060,127.0.0.1:5060")], "sip.listen: "),
            (&[("TURN__LISTEN", "127.0.0.1:5060")], "turn.listen: "),
            (
                &[("MEDIA__WEBRTC_PORT", "3478"), ("MEDIA__LISTEN", "127.0.0.1")],
                "media.webrtc_port: 127.0.0.1:3478 is taken by turn.listen",
            ),
            (&[("NODE", "..")], "node: "),
            (&[("LOG__PATH", "")], "log.path: "),
        ] {
            let variables: Vec<_> = variables.iter().map(|(name, value)| (format!("WSG_{name}"), *value)).collect();
            let text = error(&variables.iter().map(|(name, value)| (name.as_str(), *value)).collect::<Vec<_>>());
            assert!(text.starts_with(key), "{key}{text}");
        }
        with(&[("WSG_SIP__DOMAIN", "[2001:db8::1]"), ("WSG_METRICS__LISTEN", "[::1]:8080")]).unwrap();
        // TCP and UDP don't meet.
        with(&[("WSG_MEDIA__WEBRTC_PORT", "8080"), ("WSG_MEDIA__LISTEN", "127.0.0.1")]).unwrap();
    }

    #[test]
    fn a_hash_that_asks_for_too_much_or_is_half_of_one_is_refused() {
        let of = |hash: &str| {
            let file = std::env::temp_dir().join(format!("wsg-hash-{}.toml", std::process::id()));
            std::fs::write(&file, format!("[[users]]\nname = \"a\"\npassword_hash = \"{hash}\"\n")).unwrap();
            let loaded = load(Some(&file), HashMap::new()).map_err(|error| error.to_string());
            std::fs::remove_file(&file).unwrap();
            loaded.map(|_| ())
        };
        let (salt, digest) = ("c2FsdHNhbHQ", "vjnUhqwh2DhGp5WuJGFEx71pImtl8GDbrG4vT7BMq7U");
        of(&format!("$argon2id$v=19$m=1048576,t=100,p=16${salt}${digest}")).unwrap();
        for bad in
            ["m=1048577,t=1,p=1", "m=4294967295,t=1,p=1", "m=65536,t=101,p=1", "m=65536,t=1,p=17", "m=65536,t=0,p=0"]
        {
            let text = of(&format!("$argon2id$v=19${bad}${salt}${digest}")).unwrap_err();
            assert!(text.starts_with("users[0].password_hash: "), "{bad}: {text}");
        }
        for half in
            [format!("$argon2id$v=19$m=65536,t=1,p=1${salt}"), format!("$argon2i$v=19$m=65536,t=1,p=1${salt}${digest}")]
        {
            assert!(of(&half).unwrap_err().starts_with("users[0].password_hash: expected an argon2id hash"), "{half}");
        }
    }

    #[test]
    fn printed_configuration_reads_back_and_hides_secrets() {
        let text = shell::config::to_toml(&with(&[]).unwrap());
        assert!(!text.contains("demo-1001"), "{text}");
        assert!(text.contains("***"));
        let file = std::env::temp_dir().join(format!("wsg-config-{}.toml", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let again = load(Some(&file), HashMap::new());
        std::fs::remove_file(&file).unwrap();
        assert_eq!(again.unwrap().users.len(), 2);
    }

    #[test]
    fn the_manual_shows_the_defaults_and_examples_that_work() {
        let manual = include_str!("../../../docs/configuration.md");
        let examples = shell::testing::toml_blocks(manual);
        let (reference, examples) = examples.split_last().unwrap();
        assert_eq!(reference.trim(), DEFAULTS.trim(), "docs/configuration.md ends with a copy of defaults.toml");
        assert!(examples.len() >= 4);
        for (index, example) in examples.iter().enumerate() {
            let file = std::env::temp_dir().join(format!("wsg-manual-{}-{index}.toml", std::process::id()));
            std::fs::write(&file, example).unwrap();
            let loaded = load(Some(&file), HashMap::new());
            std::fs::remove_file(&file).unwrap();
            loaded.unwrap_or_else(|error| panic!("{error} in the example\n{example}"));
        }
        let variables = manual.split('`').filter_map(|code| code.strip_prefix("WSG_")?.split_once('='));
        let variables: Vec<_> = variables.map(|(name, value)| (format!("WSG_{name}"), value.to_owned())).collect();
        assert!(variables.len() >= 2, "{variables:?}");
        load(None, variables.into_iter().collect()).unwrap();
    }

    #[test]
    fn a_file_replaces_the_demo_users() {
        let file = std::env::temp_dir().join(format!("wsg-config-file-{}.toml", std::process::id()));
        std::fs::write(&file, "node = \"a\"\n[[users]]\nname = \"x\"\npassword = \"y\"\n").unwrap();
        let config = load(Some(&file), HashMap::new()).unwrap();
        std::fs::write(&file, "node = [unclosed\n").unwrap();
        let broken = load(Some(&file), HashMap::new()).unwrap_err().to_string();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(config.users.len(), 1);
        assert!(!config.demo.test_numbers);
        assert!(broken.contains("wsg-config-file") && !broken.contains('\n'), "{broken}");
    }
}
