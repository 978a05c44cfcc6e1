//! The TURN server in this process, and what browsers are told of it and of others.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use shell::program::{Configuration, Service};
use shell::tls::{TlsPurpose, TlsSettings};
use turn_bin::Metrics;
use webrtc_sip_core::crypto::CryptoProvider;
use webrtc_sip_core::gateway::TurnAccess;

use crate::config::{Config, ConfigError, Secret};
use crate::failure::{Broken, StartError};

/// What the certificate of its TLS and DTLS is for.
const TLS: TlsPurpose = TlsPurpose { section: "turn.tls", protocols: &[] };

/// What the server in this process is told. `media`: our own sockets, which it may reach as no others of this machine.
pub(crate) fn server_config(
    config: &Config,
    secrets: &[Secret],
    media: &BTreeSet<SocketAddr>,
) -> turn_bin::config::Config {
    let turn = &config.turn;
    let mut server = turn_bin::config::Config::embedded();
    server.listen.clone_from(&turn.listen);
    server.workers = turn.workers;
    server.relay.ips.clone_from(&turn.relay.ips);
    server.relay.external_ips.clone_from(&turn.relay.external_ips);
    server.relay.port_low = turn.relay.port_low;
    server.relay.port_high = turn.relay.port_high;
    server.relay.allow_peers.clone_from(&turn.relay.allow_peers);
    server.relay.deny_peers.clone_from(&turn.relay.deny_peers);
    server.relay.allow_exactly.clone_from(media);
    server.auth.realm.clone_from(&turn.realm);
    server.auth.secrets = secrets.to_vec();
    server.tls = turn.tls.clone().or_else(|| config.http.tls.clone());
    // The gateway has pages of its own.
    server.http.listen = None;
    server.limits.relay_sockets = turn.limits.relay_sockets;
    server.limits.connections = turn.limits.connections;
    server.limits.allocations_per_user = turn.limits.allocations_per_user;
    // Media is UDP.
    server.limits.peer_connections = 0;
    server
}

/// Reads the certificate that the server would use.
pub(crate) fn check_files(config: &Config) -> Result<(), ConfigError> {
    let server = server_config(config, &["-".into()], &BTreeSet::new());
    server.check_files().map_err(|error| error.in_section("turn"))
}

/// The TURN server in this process.
#[derive(Debug)]
pub(crate) struct Turn {
    server: turn_bin::Running,
    /// The one that credentials are made with, and the one before, because credentials that were made with it are still in
    /// use.
    secrets: Mutex<Vec<Secret>>,
    media: BTreeSet<SocketAddr>,
}

/// Secrets in force at the same time.
const MAX_SECRETS: usize = 2;

/// Starts the server where one is configured, and says what browsers are told, if anything. `http`: the certificate that it
/// may have in common with the page.
pub(crate) async fn start(
    config: &Config,
    http: Option<&TlsSettings>,
    crypto: &CryptoProvider,
    media: BTreeSet<SocketAddr>,
) -> Result<(Option<Turn>, Option<TurnAccess>), StartError> {
    let secret = config.turn.secret.clone().unwrap_or_else(|| drawn(crypto));
    let turn = match config.turn.listen.is_empty() {
        true => None,
        false => {
            let secrets = vec![secret.clone()];
            let server = server_config(config, &secrets, &media);
            let tls = load_tls(&server, http)?;
            let server = turn_bin::start_with(server, tls).await?;
            Some(Turn { server, secrets: Mutex::new(secrets), media })
        }
    };
    let access = access(config, &secret, turn.as_ref());
    Ok((turn, access))
}

fn load_tls(server: &turn_bin::config::Config, http: Option<&TlsSettings>) -> Result<Option<TlsSettings>, ConfigError> {
    let settings = server.tls.as_ref().map(|tls| TlsSettings::load(TLS, tls)).transpose()?;
    Ok(settings.map(|settings| match http {
        Some(http) => settings.beside(http),
        None => settings,
    }))
}

/// Takes over secret, peers, certificate and lifetimes, and says what browsers are told from now on.
pub(crate) async fn reload(config: &Config, turn: Option<&Turn>) -> Option<TurnAccess> {
    let secret = match turn {
        Some(turn) => turn.reload(config).await,
        None => config.turn.secret.clone()?,
    };
    access(config, &secret, turn)
}

fn access(config: &Config, secret: &Secret, turn: Option<&Turn>) -> Option<TurnAccess> {
    let urls = urls(config, turn.map_or(&[], Turn::listen));
    let lifetime = Duration::from_secs(config.turn.credential_hours.saturating_mul(3600));
    Some(TurnAccess { urls, secret: secret.reveal().to_owned(), lifetime }).filter(|access| !access.urls.is_empty())
}

fn drawn(crypto: &CryptoProvider) -> Secret {
    let bytes: [u8; 32] = crypto.bytes();
    Secret::from(bytes.map(|byte| format!("{byte:02x}")).concat().as_str())
}

/// What browsers are told. Those that aren't on this machine would look for our loopback on theirs.
fn urls(config: &Config, listen: &[SocketAddr]) -> Vec<String> {
    if !config.turn.urls.is_empty() {
        return config.turn.urls.clone();
    }
    let browsers_are_here = config.http.listen.ip().is_loopback() && config.http.trusted_proxies.is_empty();
    let told = listen.iter().filter(|address| browsers_are_here || !address.ip().is_loopback());
    told.flat_map(|address| ["udp", "tcp"].map(|transport| format!("turn:{address}?transport={transport}"))).collect()
}

impl Turn {
    /// Where clients come, over UDP and TCP.
    pub(crate) fn listen(&self) -> &[SocketAddr] {
        &self.server.listen
    }

    /// Its figures.
    pub(crate) fn metrics(&self) -> Metrics {
        self.server.metrics()
    }

    /// The certificate that clients see, if there is one.
    pub(crate) fn tls(&self) -> Option<&TlsSettings> {
        self.server.tls()
    }

    /// Takes over what can be; the secret that credentials are made with.
    async fn reload(&self, config: &Config) -> Secret {
        let secrets = {
            let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(secret) = config.turn.secret.as_ref().filter(|secret| !secret.is(secrets[0].reveal())) {
                secrets.insert(0, secret.clone());
                secrets.truncate(MAX_SECRETS);
            }
            secrets.clone()
        };
        self.server.reload(&server_config(config, &secrets, &self.media)).await;
        secrets[0].clone()
    }

    /// Takes no new allocations; done when the last one is over.
    pub(crate) async fn drain(&self) {
        self.server.drain().await;
    }

    /// Done when a worker is gone, which only happens by mistake.
    pub(crate) async fn broken(&self) {
        self.server.broken().await;
    }

    #[cfg(test)]
    pub(crate) fn server(&self) -> &turn_bin::Running {
        &self.server
    }

    /// Ends every allocation and stops.
    pub(crate) async fn stop(self) -> Result<(), Broken> {
        Ok(self.server.stop().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(change: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut config = Config::demo();
        change(&mut config);
        let listen = config.turn.listen.clone();
        urls(&config, &listen)
    }

    #[test]
    fn browsers_are_told_what_they_can_reach() {
        let both = |at: &str| vec![format!("turn:{at}?transport=udp"), format!("turn:{at}?transport=tcp")];
        assert_eq!(told(|_| {}), both("127.0.0.1:3478"));
        let behind_a_proxy = |config: &mut Config| {
            config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
            config.turn.listen.push("192.0.2.1:3478".parse().unwrap());
        };
        assert_eq!(told(behind_a_proxy), both("192.0.2.1:3478"));
        let elsewhere = |config: &mut Config| config.http.listen = "192.0.2.1:443".parse().unwrap();
        assert_eq!(told(elsewhere), [""; 0]);
        assert_eq!(told(|config| config.turn.listen = vec!["[::1]:3478".parse().unwrap()]), both("[::1]:3478"));
        let by_name = |config: &mut Config| config.turn.urls = vec!["turns:turn.example.com:443".to_owned()];
        assert_eq!(told(by_name), ["turns:turn.example.com:443"]);
    }
}
