//! The command line. What it says goes before the file and the environment.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use shell::config::{ConfigError, Network, Secret, UnreadableSecret};
use shell::program::Flags;

use crate::config::{Config, User};

/// A TURN server (RFC 8656).
///
/// Settings come from the command line, from environment variables (WST_LISTEN=192.0.2.1:3478), from the file of --config
/// and from embedded defaults, in this order. A list that is given replaces the whole list. Passwords on the command line
/// can be seen by other users of the machine; those in a file can't. In the place of each secret `file:PATH` may stand: it
/// is read from that file, and again when the file changes.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "webrtc-sip-turn", version)]
pub struct Args {
    /// What every program has.
    #[command(flatten)]
    pub flags: Flags,
    /// Where clients come, over UDP and TCP; may be given several times
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Vec<SocketAddr>,
    /// Address for peers' packets; one each of IPv4 and IPv6
    #[arg(long, value_name = "IP")]
    pub relay_ip: Vec<IpAddr>,
    /// What clients are told in place of --relay-ip, in the same order
    #[arg(long, value_name = "IP")]
    pub external_ip: Vec<IpAddr>,
    /// Ports for peers' packets
    #[arg(long, value_name = "LOW-HIGH")]
    pub relay_ports: Option<RelayPorts>,
    /// Realm of the users' passwords
    #[arg(long, value_name = "NAME")]
    pub realm: Option<String>,
    /// A user; may be given several times
    #[arg(long, value_name = "NAME:PASSWORD")]
    pub user: Vec<NameAndPassword>,
    /// Secret of time-limited credentials
    #[arg(long, value_name = "SHARED")]
    pub secret: Option<Unread>,
    /// Range of peers that may be reached although it isn't public; may be given several times
    #[arg(long, value_name = "CIDR")]
    pub allow_peer: Vec<Network>,
    /// Threads that relay; 0: one for each processor
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
}

/// `LOW-HIGH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayPorts {
    low: u16,
    high: u16,
}

impl FromStr for RelayPorts {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ports = text.split_once('-').and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
        let (low, high) = ports.ok_or("expected two ports such as 49152-65535")?;
        Ok(RelayPorts { low, high })
    }
}

/// A secret, or the file that it is read from each time the configuration is.
#[derive(Clone)]
pub struct Unread(String);

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<&str> for Unread {
    fn from(text: &str) -> Self {
        Unread(text.to_owned())
    }
}

impl Unread {
    fn read(&self, key: &str) -> Result<Secret, ConfigError> {
        self.0.parse().map_err(|error: UnreadableSecret| ConfigError::key(key, error.to_string()))
    }
}

/// `NAME:PASSWORD`; the password may contain colons.
#[derive(Clone, Debug)]
pub struct NameAndPassword {
    name: String,
    password: Unread,
}

impl FromStr for NameAndPassword {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, password) = text.split_once(':').ok_or("expected a name and a password such as alice:secret")?;
        Ok(NameAndPassword { name: name.to_owned(), password: password.into() })
    }
}

impl Args {
    /// Puts what was given over `config`.
    ///
    /// # Errors
    /// The file of a secret can't be read.
    pub(crate) fn apply(&self, config: &mut Config) -> Result<(), ConfigError> {
        replace(&mut config.listen, &self.listen);
        replace(&mut config.relay.ips, &self.relay_ip);
        replace(&mut config.relay.external_ips, &self.external_ip);
        replace(&mut config.relay.allow_peers, &self.allow_peer);
        if let Some(ports) = self.relay_ports {
            (config.relay.port_low, config.relay.port_high) = (ports.low, ports.high);
        }
        if let Some(realm) = &self.realm {
            config.auth.realm.clone_from(realm);
        }
        if let Some(secret) = &self.secret {
            config.auth.secrets = vec![secret.read("auth.secrets")?];
        }
        let user =
            |user: &NameAndPassword| Ok(User { name: user.name.clone(), password: user.password.read("users")? });
        replace(&mut config.users, &self.user.iter().map(user).collect::<Result<Vec<_>, ConfigError>>()?);
        config.workers = self.workers.unwrap_or(config.workers);
        Ok(())
    }
}

fn replace<T: Clone>(list: &mut Vec<T>, given: &[T]) {
    if !given.is_empty() {
        list.clear();
        list.extend_from_slice(given);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn config(line: &str) -> Config {
        let args = Args::try_parse_from(std::iter::once("turn").chain(line.split_whitespace())).unwrap();
        let mut config = Config::embedded();
        args.apply(&mut config).unwrap();
        config
    }

    #[test]
    fn flags_replace_what_they_name_and_nothing_else() {
        let defaults = Config::embedded();
        let config = config(
            "--listen 192.0.2.1:3478 --listen [2001:db8::1]:3478 --relay-ip 192.0.2.1 --external-ip 203.0.113.1 \
             --relay-ports 50000-50999 --realm example.org --user alice:a:b --user bob:c --secret s \
             --allow-peer 10.0.0.0/8 --workers 3",
        );
        assert_eq!(config.listen.len(), 2);
        assert_eq!(config.relay.external_ips, ["203.0.113.1".parse::<IpAddr>().unwrap()]);
        assert_eq!((config.relay.port_low, config.relay.port_high), (50_000, 50_999));
        let users: Vec<_> = config.users.iter().map(|user| (&*user.name, user.password.reveal())).collect();
        assert_eq!(users, [("alice", "a:b"), ("bob", "c")]);
        assert_eq!((config.auth.realm.as_str(), config.workers), ("example.org", 3));
        assert_eq!(config.auth.secrets[0].reveal(), "s");
        assert_eq!(config.relay.allow_peers, ["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(config.http.listen, defaults.http.listen);
    }

    #[test]
    fn a_flag_that_means_nothing_is_refused_by_name() {
        for flag in ["--relay-ports=50000", "--user=alice", "--allow-peer=10.0.0.0/40", "--listen=nowhere"] {
            let error = Args::try_parse_from(["turn", flag]).unwrap_err().to_string();
            let name = flag.split_once('=').unwrap().0;
            assert!(error.contains(name), "{error}");
        }
    }
}
