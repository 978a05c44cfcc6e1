//! Bringing everything up, and taking it down again.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shell::accept::{ConnectionLimit, bind_with_udp};
use shell::http::{Cut, Phase, SharedPhase, bind, serve};
use shell::machine;
use shell::program::Service;
use shell::tls::{CertificatesInUse, TlsSettings};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use webrtc_sip_core::crypto::CryptoProvider;
use webrtc_sip_core::io::SocketId;
use webrtc_sip_core::turn::{Ledger, Listener, PeerPolicy, TurnConfig};

use crate::admin::Admin;
use crate::config::{Config, ConfigError, MAX_WORKERS};
use crate::connections::{Connections, load_tls};
use crate::discovery;
use crate::dtls;
use crate::failure::{Broken, StartError};
use crate::http::{Pages, router};
use crate::metrics::Metrics;
use crate::relays::Relays;
use crate::worker::{Inbox, Mailbox, Permitted, WorkerHandle, WorkerInput};

/// The HTTP listener is for a scraper or two, and for probes.
const MAX_HTTP_CONNECTIONS: usize = 32;
/// Kernel receive buffer of a listening socket, which carries every client of a worker.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// How much longer than an allocation lives a connection may be silent.
const IDLE_GRACE: Duration = Duration::from_secs(60);
/// More than an allocation needs from one worker to another.
const HANDOVER_TIME: Duration = Duration::from_millis(20);

/// A whole TURN server inside this process.
#[derive(Debug)]
pub struct Running {
    /// Where clients come, over UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// Where health and metrics are, if anywhere.
    pub http: Option<SocketAddr>,
    workers: Vec<WorkerHandle>,
    ledger: Arc<Ledger>,
    metrics: Metrics,
    phase: Arc<SharedPhase>,
    tls: Option<TlsSettings>,
    /// Where new clients are sent while it drains.
    alternate: Mutex<Option<SocketAddr>>,
    /// Ends every connection where it stands.
    cut: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
}

/// A listening address: TCP, unless it is for NAT behaviour discovery alone, and a UDP socket for each worker.
struct Bound {
    tcp: Option<TcpListener>,
    udp: Vec<UdpSocket>,
    address: SocketAddr,
}

/// Starts a server on the current tokio runtime.
///
/// # Errors
/// An address is taken, or a file can't be used.
pub async fn start(config: Config) -> Result<Running, StartError> {
    let tls = load_tls(&config)?;
    start_with(config, tls).await
}

/// [`start`] with a certificate that the calling program has a name of its own for.
///
/// # Errors
/// As [`start`].
pub async fn start_with(config: Config, tls: Option<TlsSettings>) -> Result<Running, StartError> {
    let http = match config.http.listen {
        Some(address) => Some(bind(address, "HTTP").await?),
        None => None,
    };
    let count = match config.workers {
        // Respects the cgroup's CPU quota.
        0 => std::thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS),
        count => count,
    };
    let mut bound = Vec::with_capacity(config.listen.len());
    for address in &config.listen {
        let bind_udp = async |local| (0..count).map(|_| bind_shared(local)).collect::<io::Result<Vec<_>>>();
        let (tcp, udp, address) = bind_with_udp(*address, "TURN", bind_udp).await?;
        bound.push(Bound { tcp: Some(tcp), udp, address });
    }
    let listen: Vec<SocketAddr> = bound.iter().map(|bound| bound.address).collect();
    for address in discovery_addresses(&config, &listen).into_iter().flatten().flatten() {
        if bound.iter().all(|other| other.address != address) {
            let udp = (0..count).map(|_| bind_shared(address)).collect::<io::Result<Vec<_>>>();
            let udp =
                udp.map_err(|error| io::Error::new(error.kind(), format!("UDP {address} for discovery: {error}")))?;
            bound.push(Bound { tcp: None, udp, address });
        }
    }
    check_relay_addresses(&config)?;
    let relays = Arc::new(Relays::new(&config));
    let limit = ConnectionLimit::new(config.limits.connections);
    let ledger = Ledger::new(Instant::now(), &CryptoProvider::system());
    let workers = start_workers(&config, count, &mut bound, &ledger, &relays, &limit)?;

    let (cut, uncut) = Cut::new();
    let inboxes: Vec<_> = workers.iter().map(|worker| worker.inbox().clone()).collect();
    let idle = Duration::from_secs(config.limits.lifetime_seconds) + IDLE_GRACE;
    let first_frame = Duration::from_secs(config.limits.idle_connection_seconds);
    let connections = Connections::new(inboxes.clone(), tls.clone(), limit.clone(), first_frame, idle, uncut.clone());
    let metrics = Metrics { workers: inboxes, relays, connections: limit };
    let phase = Arc::new(SharedPhase::default());

    let tcp = bound.into_iter().filter_map(|bound| bound.tcp);
    let mut listeners: Vec<JoinHandle<()>> =
        tcp.map(|listener| tokio::spawn(connections.clone().serve(listener))).collect();
    let http_address = http.as_ref().map(TcpListener::local_addr).transpose()?;
    if let Some((listener, address)) = http.zip(http_address) {
        let admin = Admin::new(metrics.workers.clone(), address, config.http.admin_token.as_ref());
        let mut certificates = CertificatesInUse::default();
        tls.iter().for_each(|settings| certificates.add(settings));
        let router = router(Pages { phase: phase.clone(), metrics: metrics.clone(), certificates }, admin);
        listeners.push(tokio::spawn(serve(listener, router, None, MAX_HTTP_CONNECTIONS, uncut)));
    }
    if let Some(tls) = &tls {
        listeners.extend(look_after(tls, &metrics.workers, &metrics.connections).await);
    }
    phase.set(Phase::Up);
    let relay = config.relay_addresses().iter().map(|(_, external)| *external).collect::<Vec<_>>();
    tracing::info!(
        ?listen,
        http = http_address.map(tracing::field::display),
        ?relay,
        realm = config.auth.realm,
        tls = tls.is_some(),
        workers = workers.len(),
        "TURN server started"
    );
    let alternate = Mutex::new(config.shutdown.alternate_server);
    Ok(Running { listen, http: http_address, workers, ledger, metrics, phase, tls, alternate, cut, listeners })
}

/// Whether sockets can be bound where peers' packets are to come; otherwise nobody would get an allocation.
fn check_relay_addresses(config: &Config) -> Result<(), ConfigError> {
    for (ip, _) in config.relay_addresses() {
        if let Err(error) = UdpSocket::bind((ip, 0)) {
            let hint = "behind NAT, name this machine's address here and the public one in relay.external_ips";
            return Err(ConfigError::key("relay.ips", format!("{ip}: {error}; {hint}")));
        }
    }
    Ok(())
}

/// Where NAT behaviour discovery listens, if anywhere.
fn discovery_addresses(config: &Config, listen: &[SocketAddr]) -> Option<[[SocketAddr; 2]; 2]> {
    Some(discovery::addresses(*listen.first()?, config.discovery.as_ref()?.alternate))
}

/// Gives the certificate to the workers, now and whenever its files change.
async fn look_after(tls: &TlsSettings, workers: &[Inbox], limit: &ConnectionLimit) -> [JoinHandle<()>; 2] {
    let mut identities = tls.identities();
    let identity = identities.borrow_and_update().clone();
    dtls::hand_out(&identity, workers, limit).await;
    [tokio::spawn(dtls::follow(identities, workers.to_vec(), limit.clone())), tokio::spawn(tls.clone().watch())]
}

/// A UDP socket that shares its address with those of the other workers; the system spreads clients over them by their
/// address, so that one stays with its worker.
fn bind_shared(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        // Clients of IPv4 would have addresses of IPv6 here, and be told those.
        socket.set_only_v6(true)?;
    }
    // As much as the system allows; net.core.rmem_max may cut it.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn start_workers(
    config: &Config,
    count: usize,
    bound: &mut [Bound],
    ledger: &Arc<Ledger>,
    relays: &Arc<Relays>,
    limit: &ConnectionLimit,
) -> io::Result<Vec<WorkerHandle>> {
    let listeners: Vec<Listener> = bound
        .iter()
        .enumerate()
        .map(|(index, bound)| Listener { socket: SocketId(index as u32), address: bound.address })
        .collect();
    let permitted = permitted(config);
    let addresses: Vec<SocketAddr> = listeners.iter().map(|listener| listener.address).collect();
    let discovery = discovery_addresses(config, &addresses).zip(config.discovery.as_ref());
    let crypto = CryptoProvider::system();
    let turn = TurnConfig {
        discovery: discovery.and_then(|(all, settings)| discovery::sockets(all, &settings.external_ips, &listeners)),
        listeners,
        families: relays.families(),
        tenants: permitted.tenants,
        peers: permitted.peers,
        dont_fragment: true,
        mobility: config.mobility,
        nonce_key: crypto.bytes(),
        nonce_lifetime: Duration::from_secs(config.auth.nonce_seconds),
        max_lifetime: Duration::from_secs(config.limits.lifetime_seconds),
        // Spread evenly as a rule, but a single worker must be able to carry what is allowed in all.
        max_allocations: config.limits.relay_sockets,
        max_permissions: config.limits.permissions,
        max_channels: config.limits.channels,
        max_connections: config.limits.peer_connections,
        flow_idle: Duration::from_secs(config.limits.idle_connection_seconds),
        max_refusals: config.limits.refusals_per_second,
        ..TurnConfig::default()
    };
    let mailboxes = (0..count).map(|_| Mailbox::new()).collect::<io::Result<Vec<_>>>()?;
    let inboxes: Vec<_> = mailboxes.iter().map(|mailbox| mailbox.inbox().clone()).collect();
    let start = |(worker, mailbox): (usize, Mailbox)| {
        let sockets = bound.iter_mut().enumerate();
        let sockets = sockets.filter_map(|(index, bound)| Some((SocketId(index as u32), bound.udp.pop()?)));
        let turn = TurnConfig { server_number: worker as u8, ..turn.clone() };
        let (ledger, relays, limit) = (ledger.clone(), relays.clone(), limit.clone());
        WorkerHandle::start(sockets.collect(), turn, ledger, relays, limit, mailbox, inboxes.clone())
    };
    mailboxes.into_iter().enumerate().map(start).collect()
}

fn permitted(config: &Config) -> Permitted {
    Permitted {
        tenants: config.turn_tenants(),
        peers: PeerPolicy {
            allow: config.relay.allow_peers.iter().map(|network| network.0).collect(),
            allow_exactly: config.relay.allow_exactly.clone(),
            deny: config.relay.deny_peers.iter().map(|network| network.0).collect(),
            own: own_addresses(config),
        },
    }
}

/// A peer at one of the server's own addresses would take its packets for those of this machine.
fn own_addresses(config: &Config) -> BTreeSet<IpAddr> {
    let relays = config.relay_addresses().into_iter().flat_map(|(bound, external)| [bound, external]);
    let discovery = config.discovery.iter();
    let discovery =
        discovery.flat_map(|discovery| discovery.external_ips.iter().copied().chain([discovery.alternate.ip()]));
    config.listen.iter().map(SocketAddr::ip).chain(relays).chain(discovery).chain(machine::addresses()).collect()
}

impl Running {
    /// Its figures, for a page that may have others besides.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// The certificate that it shows to clients, if it has one.
    pub fn tls(&self) -> Option<&TlsSettings> {
        self.tls.as_ref()
    }

    /// Ends a worker as a panic would, for tests of what becomes of the rest.
    pub async fn end_worker(&self, worker: usize) {
        self.workers[worker].inbox().send(WorkerInput::Stop).await;
    }

    /// Done when each worker has had none left at some moment.
    async fn drain_workers(&self) {
        let mut waits = Vec::with_capacity(self.workers.len());
        for worker in &self.workers {
            let (drained, wait) = oneshot::channel();
            let alternate = *self.alternate();
            worker.inbox().send(WorkerInput::Drain { alternate, drained }).await;
            waits.push(wait);
        }
        for wait in waits {
            // An error means that the worker ended, which is as good.
            let _ = wait.await;
        }
    }

    fn alternate(&self) -> MutexGuard<'_, Option<SocketAddr>> {
        // An address is as it should be whoever panicked.
        self.alternate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Running {
    type Config = Config;
    type Failure = Broken;

    /// Takes over users, secrets, tenants, their limits, peers, the certificate, and where new clients are sent in the end.
    async fn reload(&self, config: &Config) {
        let permitted = Box::new(permitted(config));
        for worker in &self.workers {
            // A worker is gone only when the process ends.
            let _ = worker.inbox().send(WorkerInput::Reload(permitted.clone())).await;
        }
        if let (Some(settings), Some(tls)) = (&self.tls, &config.tls) {
            settings.reload(tls);
        }
        *self.alternate() = config.shutdown.alternate_server;
    }

    fn leave(&self) {
        self.phase.set(Phase::Leaving);
    }

    /// Takes no new allocations; done when the last one is over.
    async fn drain(&self) {
        self.phase.set(Phase::Draining);
        loop {
            self.drain_workers().await;
            // One that followed its client to another worker may have come to where there was none any more.
            if self.ledger.allocations() == 0 {
                break;
            }
            tokio::time::sleep(HANDOVER_TIME).await;
        }
    }

    /// A worker holds the other end of its inbox for as long as it runs.
    async fn broken(&self) {
        let inboxes = self.workers.iter().map(WorkerHandle::inbox).cloned();
        let mut ends: JoinSet<()> = inboxes.map(async |inbox| inbox.closed().await).collect();
        ends.join_next().await;
    }

    /// Ends every allocation and stops.
    async fn stop(self) -> Result<(), Broken> {
        self.phase.set(Phase::Draining);
        for task in self.listeners {
            task.abort();
            // Cancelled, as ordered; its socket is closed now.
            let _ = task.await;
        }
        let mut ended = Ok(());
        for (worker, handle) in self.workers.into_iter().enumerate() {
            if !handle.stop().await {
                ended = Err(Broken { worker });
            }
        }
        // Nobody listens where there is no connection.
        let _ = self.cut.send(true);
        if let Err(broken) = &ended {
            tracing::error!("{broken}");
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use shell::config::Secret;

    use super::*;

    fn config() -> Config {
        let mut config = Config::embedded();
        config.listen[0].set_port(0);
        config.http.listen = None;
        config.auth.secrets = vec![Secret::from("s")];
        config.workers = 2;
        config
    }

    #[tokio::test]
    async fn a_server_without_one_of_its_workers_is_broken() {
        let server = start(config()).await.unwrap();
        server.end_worker(1).await;
        tokio::time::timeout(Duration::from_secs(15), server.broken()).await.expect("it notices");
        assert_eq!(server.stop().await, Err(Broken { worker: 1 }));
    }

    #[test]
    fn its_own_addresses_are_peers_only_where_they_are_allowed() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mut config = config();
        config.listen = vec![address("8.8.0.1:3478")];
        config.relay.ips = vec!["8.8.0.2".parse().unwrap()];
        config.relay.external_ips = vec!["8.8.0.3".parse().unwrap()];
        config.relay.allow_exactly = [address("8.8.0.1:19000")].into();
        let own = ["8.8.0.1:5060", "8.8.0.2:5060", "8.8.0.3:5060"].map(address);
        let peers = permitted(&config).peers;
        assert!(own.iter().all(|peer| !peers.permits(*peer)));
        assert!(peers.permits(address("8.8.0.1:19000")) && peers.permits(address("8.8.0.4:5060")));
        config.relay.allow_peers = vec!["8.8.0.0/30".parse().unwrap()];
        let peers = permitted(&config).peers;
        assert!(own.iter().all(|peer| peers.permits(*peer)));
    }
}
