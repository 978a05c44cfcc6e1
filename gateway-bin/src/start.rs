//! Bringing everything up, in an order in which nothing is reachable before it works, and taking it down again.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use shell::firewall::Opening;
use shell::http::{Cut, Phase, SharedPhase, bind, serve};
use shell::log::Log;
use shell::program::{Configuration, Service};
use shell::tls::{CertificatesInUse, TlsSettings};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use webrtc_sip_core::codec::OpusSettings;
use webrtc_sip_core::crypto::{CryptoProvider, DtlsCertificate};
use webrtc_sip_core::gateway::{
    Gateway, GatewayConfig, Route, RouteMatch, ShardAddresses, SipProxy, SipSocket, SipTarget,
};
use webrtc_sip_core::ids::ShardId;
use webrtc_sip_core::media::{MediaShard, ShardConfig, WebRtcSocket};

use crate::config::{Config, ConfigError};
use crate::control::{self, Control, ControlHandle, EndedCalls, Inside, PortPool, SipSockets, Snapshots};
use crate::failure::{Broken, StartError};
use crate::guesses::Guesses;
use crate::http::{self, HttpState};
use crate::maintenance::Maintenance;
use crate::media::ports::PortRange;
use crate::media::{self, SocketIds, WorkerHandle, WorkerOutput, WorkerSetup};
use crate::phone::{self, Phone};
use crate::turn::Turn;
use crate::users::Users;
use crate::{limits, metrics, openings, turn};

/// Reports of the media workers that may wait for the control task.
const MAX_MEDIA_REPORTS: usize = 4096;
/// The metrics listener is for a scraper or two.
const MAX_METRICS_CONNECTIONS: usize = 32;
/// Longer than the control task needs to say goodbye.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A whole gateway inside this process.
#[derive(Debug)]
pub struct Running {
    /// Where the page and the signalling are.
    pub http: SocketAddr,
    /// Where `/metrics` is.
    pub metrics: SocketAddr,
    /// Where SIP is taken.
    pub sip: Vec<SocketAddr>,
    /// Where the TURN server is, if there is one in this process.
    pub turn: Vec<SocketAddr>,
    pub(crate) control: ControlHandle,
    /// Ends every HTTP connection and WebSocket where it stands.
    pub(crate) cut: watch::Sender<bool>,
    phase: Arc<SharedPhase>,
    tls: Option<TlsSettings>,
    pub(crate) turn_server: Option<Turn>,
    maintenance: Maintenance,
    /// Held by whoever has the calls written down.
    pub(crate) snapshots: Mutex<()>,
    pub(crate) control_task: JoinHandle<Result<(), Broken>>,
    /// Listeners, and the phone for the test numbers.
    pub(crate) tasks: Vec<JoinHandle<()>>,
}

impl Configuration for Config {
    fn log(&self) -> &Log {
        &self.log
    }

    fn check_files(&self) -> Result<(), ConfigError> {
        check(self)
    }

    fn shortage(&self) -> Option<String> {
        limits::shortage_of(self)
    }

    fn instance(&self) -> String {
        self.node.clone()
    }

    fn health(file: Option<&Path>) -> Result<SocketAddr, ConfigError> {
        // The other one may have TLS, with a certificate for the name that browsers use.
        Config::value("metrics.listen", file)
    }

    fn openings(&self) -> Vec<Opening> {
        openings::of(self)
    }
}

/// Reads the files that the configuration names, without starting anything.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    config.media.certificate.as_deref().map_or(Ok(()), |file| load_dtls(file).map(drop))?;
    load_tls(config)?;
    turn::check_files(config)
}

fn load_tls(config: &Config) -> Result<Option<TlsSettings>, ConfigError> {
    config.http.tls.as_ref().map(|tls| TlsSettings::load(http::TLS, tls)).transpose()
}

fn load_dtls(file: &Path) -> Result<DtlsCertificate, ConfigError> {
    let problem = |problem: String| ConfigError::key("media.certificate", format!("{}: {problem}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| problem(error.to_string()))?;
    DtlsCertificate::from_pem(&text).map_err(|error| problem(error.to_string()))
}

/// Starts a gateway on the current tokio runtime.
pub async fn start(config: Config) -> Result<Running, StartError> {
    let (reports, media) = mpsc::channel(MAX_MEDIA_REPORTS);
    bring_up(config, reports, media).await
}

/// [`start`] with the queue from the media workers to the control task.
async fn bring_up(
    config: Config,
    reports: mpsc::Sender<WorkerOutput>,
    media: mpsc::Receiver<WorkerOutput>,
) -> Result<Running, StartError> {
    limits::make_room(&config)?;
    let tls = load_tls(&config)?;
    let http_listener = bind(config.http.listen, "HTTP").await?;
    let metrics_listener = bind(config.metrics.listen, "metrics").await?;
    let (http_address, metrics_address) = (http_listener.local_addr()?, metrics_listener.local_addr()?);

    let ids = Arc::new(SocketIds::default());
    let (mut sip, sip_bound) = SipSockets::bind(&ids, &config.sip.listen, config.sip.max_tcp_connections).await?;
    let crypto = CryptoProvider::system();
    let certificate = match &config.media.certificate {
        Some(file) => load_dtls(file)?,
        None => DtlsCertificate::generate(&crypto, SystemTime::now())?,
    };
    let Media { workers, shards, sockets } = start_workers(&config, &ids, &certificate, &crypto, reports)?;

    let sip_sockets: Vec<SipSocket> = sip_bound
        .iter()
        .enumerate()
        .map(|(index, (socket, bound))| SipSocket {
            socket: *socket,
            bound: *bound,
            advertised: config.sip.advertised.get(index).copied().unwrap_or(*bound),
        })
        .collect();
    let phone = match config.demo.test_numbers {
        true => Some(Phone::bind(&crypto).await?),
        false => None,
    };
    let (turn_server, turn_access) = turn::start(&config, tls.as_ref(), &crypto, sockets).await?;
    let mut gateway_config = gateway_config(&config, sip_sockets, shards);
    gateway_config.turn = turn_access;
    gateway_config.certificate_fingerprint = certificate.fingerprint_sha256();
    if let Some(phone) = &phone {
        gateway_config.routes.insert(0, test_numbers(phone));
    }
    let gateway = Gateway::new(Instant::now(), SystemTime::now(), gateway_config, crypto.clone(), &crypto.bytes());

    let (handle, inbox) = control::queues();
    sip.start(&handle.outside);
    let range = PortRange::new(config.media.rtp_port_low, config.media.rtp_port_high, u64::from(crypto.u32()));
    let control = Control {
        gateway,
        handle: handle.clone(),
        workers,
        media,
        sip,
        ports: PortPool::new(range, ids, config.media.rtp_advertised),
        users: Arc::new(Users::new(&config.users)),
        guesses: Arc::new(std::sync::Mutex::new(Guesses::new(config.limits.wrong_passwords))),
        ended: EndedCalls::default(),
        snapshots: Snapshots::default(),
        drained: Vec::new(),
        broken: None,
    };
    let control_task = tokio::spawn(control.run(inbox));

    let phase = Arc::new(SharedPhase::default());
    let certificates = certificates(tls.as_ref(), turn_server.as_ref());
    let state = Arc::new(HttpState::new(&config, handle.clone(), phase.clone(), certificates.clone()));
    let (cut, uncut) = Cut::new();
    let router = http::router(state);
    let serve_http = serve(http_listener, router, tls.clone(), config.http.max_connections, uncut.clone());
    let turn_metrics = turn_server.as_ref().map(Turn::metrics);
    let metrics_router = metrics::router(&config, handle.clone(), turn_metrics, certificates, phase.clone());
    let serve_metrics = serve(metrics_listener, metrics_router, None, MAX_METRICS_CONNECTIONS, uncut);
    let mut tasks = vec![tokio::spawn(serve_http), tokio::spawn(serve_metrics)];
    tasks.extend(tls.clone().map(|settings| tokio::spawn(settings.watch())));
    tasks.extend(phone.map(|mut phone| tokio::spawn(async move { phone.run().await })));
    let maintenance = Maintenance::new(handle.inside.clone(), phase.clone());
    // Nobody has been sent here yet.
    maintenance.set(config.maintenance, Duration::ZERO).await;
    Ok(Running {
        http: http_address,
        metrics: metrics_address,
        sip: sip_bound.into_iter().map(|(_, bound)| bound).collect(),
        turn: turn_server.as_ref().map(|turn| turn.listen().to_vec()).unwrap_or_default(),
        control: handle,
        cut,
        phase,
        tls,
        turn_server,
        maintenance,
        snapshots: Mutex::new(()),
        control_task,
        tasks,
    })
}

/// What browsers are shown. That of calls' media isn't among them: it is known by its fingerprint, and may be of any age.
fn certificates(http: Option<&TlsSettings>, turn: Option<&Turn>) -> CertificatesInUse {
    let mut certificates = CertificatesInUse::default();
    http.into_iter().for_each(|settings| certificates.add(settings));
    turn.and_then(Turn::tls).into_iter().for_each(|settings| certificates.add(settings));
    certificates
}

/// The media plane.
struct Media {
    workers: Vec<WorkerHandle>,
    shards: Vec<ShardAddresses>,
    /// Every address at which browsers' media are taken, as it is bound and as browsers are told.
    sockets: BTreeSet<SocketAddr>,
}

fn start_workers(
    config: &Config,
    ids: &SocketIds,
    certificate: &DtlsCertificate,
    crypto: &CryptoProvider,
    reports: mpsc::Sender<WorkerOutput>,
) -> Result<Media, StartError> {
    let addresses: Vec<IpAddr> = match config.media.listen.as_slice() {
        [] => media::addresses::candidate_addresses(),
        listen => listen.to_vec(),
    };
    let ports = config.media.webrtc_ports()?;
    let mut workers = Vec::with_capacity(ports.len());
    let mut shards = Vec::with_capacity(ports.len());
    let mut taken_at = BTreeSet::new();
    for (shard, port) in (0..).map(ShardId).zip(ports) {
        let webrtc = media::bind_webrtc(ids, &addresses, port)?;
        let bound: Vec<SocketAddr> = webrtc.iter().map(|(_, _, bound)| *bound).collect();
        let addresses = media::candidates(shard, &bound, &config.media.advertised);
        taken_at.extend(bound.iter().chain(&addresses.candidates));
        let sockets = webrtc.iter().zip(&addresses.candidates);
        let sockets =
            sockets.map(|((socket, ..), address)| WebRtcSocket { socket: *socket, candidates: vec![*address] });
        let shard_config = ShardConfig {
            // Sign-ins are spread evenly, but a single shard must be able to carry what is allowed in all.
            max_legs: config.limits.calls.saturating_mul(2),
            opus: OpusSettings {
                complexity: config.media.opus_complexity,
                bitrate: config.media.opus_bitrate,
                ..OpusSettings::default()
            },
            ..ShardConfig::new(shard, sockets.collect(), certificate.clone())
        };
        let media_shard =
            MediaShard::new(Instant::now(), shard_config, crypto.clone(), &crypto.bytes()).map_err(io::Error::other)?;
        shards.push(addresses);
        workers.push(WorkerHandle::start(WorkerSetup { shard, webrtc }, media_shard, reports.clone())?);
    }
    Ok(Media { workers, shards, sockets: taken_at })
}

/// The test numbers are reached like any other SIP destination. They come before the configured routes, which may take
/// everything.
fn test_numbers(phone: &Phone) -> Route {
    let address = phone.address();
    Route {
        matches: RouteMatch::Exactly(phone::NUMBERS.map(str::to_owned).to_vec()),
        target: SipTarget { host: address.ip().to_string(), port: address.port(), tcp: false },
    }
}

fn gateway_config(config: &Config, sip_sockets: Vec<SipSocket>, shards: Vec<ShardAddresses>) -> GatewayConfig {
    let routes = config.sip.routes.iter().map(|route| Route {
        matches: match &route.prefix {
            Some(prefix) => RouteMatch::Prefix(prefix.clone()),
            None => RouteMatch::Exactly(route.numbers.clone()),
        },
        target: route.target.target(route.tcp),
    });
    let proxy = config.sip.proxy.as_ref().map(|proxy| SipProxy {
        target: proxy.target.target(proxy.tcp),
        domain: proxy.domain.clone(),
        registration_lifetime: Duration::from_secs(u64::from(proxy.registration_seconds)),
    });
    GatewayConfig {
        sip_sockets,
        shards,
        routes: routes.collect(),
        proxy,
        trusted: config.sip.trusted.iter().map(|network| network.0).collect(),
        ice_lite: config.media.ice_lite,
        browser_codecs: config.media.browser_codecs.clone(),
        sip_codecs: config.media.sip_codecs.clone(),
        domain: config.sip.domain.clone(),
        client_path: config.colour_path(),
        sip_t1: Duration::from_millis(config.sip.t1_milliseconds),
        ring_timeout: Duration::from_secs(config.limits.ring_seconds),
        sign_in_lifetime: Duration::from_secs(config.limits.sign_in_hours.saturating_mul(3600)),
        max_sign_ins: config.limits.sign_ins,
        // Those of clients that come back before their old one is known to be dead, and of some that never sign in.
        max_websockets: config.limits.sign_ins.saturating_mul(2),
        max_calls: config.limits.calls,
        max_calls_per_sign_in: config.limits.calls_per_user,
        max_client_message_bytes: config.limits.client_message_bytes,
        ..GatewayConfig::default()
    }
}

impl Running {
    /// Takes over users, secrets, certificates, and whether it is in maintenance. What can't be read is left as it is, and
    /// logged.
    pub async fn reload(&self, config: &Config) {
        // The control task is gone only when the process ends.
        let _ = self.control.inside.send(Inside::Users(Arc::new(Users::new(&config.users)))).await;
        if let (Some(settings), Some(tls)) = (&self.tls, &config.http.tls) {
            settings.reload(tls);
        }
        let turn = turn::reload(config, self.turn_server.as_ref()).await;
        let _ = self.control.inside.send(Inside::TurnAccess(turn)).await;
        self.maintenance.set(config.maintenance, Duration::from_secs(config.shutdown.unready_seconds)).await;
    }

    /// Takes no new calls from now on. What it returns is done when the last call is over.
    pub async fn drain(&self) -> impl Future<Output = ()> + use<> {
        self.phase.set(Phase::Draining);
        self.maintenance.cancel().await;
        let (sender, drained) = oneshot::channel();
        let _ = self.control.inside.send(Inside::Drain(sender)).await;
        // An error means that the control task ended, which is as good.
        async move { drop(drained.await) }
    }

    /// Ends every call and stops.
    pub async fn stop(self) {
        // Logged, and whoever gave the gateway up can do no more.
        let _ = self.end().await;
    }

    async fn end(self) -> Result<(), Broken> {
        self.phase.set(Phase::Draining);
        self.maintenance.cancel().await;
        let _ = self.control.inside.send(Inside::Shutdown).await;
        let ended = match tokio::time::timeout(STOP_TIMEOUT, self.control_task).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(_)) => Err(Broken::Control),
            Err(_) => Err(Broken::Stuck),
        };
        if let Err(broken) = ended {
            tracing::error!("{broken}");
        }
        for task in self.tasks {
            task.abort();
            // Cancelled, as ordered; its socket is closed now.
            let _ = task.await;
        }
        // After the calls whose goodbyes went through it.
        let relayed = match self.turn_server {
            Some(turn) => turn.stop().await,
            None => Ok(()),
        };
        ended.and(relayed)
    }
}

impl Service for Running {
    type Config = Config;
    type Failure = Broken;

    async fn reload(&self, config: &Config) {
        Running::reload(self, config).await;
    }

    fn leave(&self) {
        self.phase.set(Phase::Leaving);
    }

    /// The calls, and what others relay through the TURN server.
    async fn drain(&self) {
        let calls = Running::drain(self).await;
        let relayed = async {
            if let Some(turn) = &self.turn_server {
                turn.drain().await;
            }
        };
        tokio::join!(calls, relayed);
    }

    async fn broken(&self) {
        let turn = async {
            match &self.turn_server {
                Some(turn) => turn.broken().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // The task holds the other end for as long as it runs, and ends by itself when a media worker is gone.
            () = self.control.inside.closed() => {}
            () = turn => {}
        }
    }

    async fn stop(self) -> Result<(), Broken> {
        self.end().await
    }
}

#[cfg(test)]
mod tests {
    use shell::program::until_stopped;

    use super::*;

    /// A gateway on free ports, and how its media workers report.
    async fn gateway() -> (Running, mpsc::Sender<WorkerOutput>) {
        let mut config = Config::demo();
        config.http.listen.set_port(0);
        config.metrics.listen.set_port(0);
        config.sip.listen[0].set_port(0);
        config.turn.listen[0].set_port(0);
        config.media.webrtc_port = 0;
        config.media.workers = 1;
        let (reports, media) = mpsc::channel(MAX_MEDIA_REPORTS);
        (bring_up(config, reports.clone(), media).await.expect("it starts"), reports)
    }

    /// How it ends when nobody gives an order.
    async fn outcome(gateway: Running) -> Result<(), Broken> {
        let (_orders, none) = mpsc::channel(1);
        let served = until_stopped(gateway, none, Config::demo().shutdown);
        tokio::time::timeout(Duration::from_secs(15), served).await.expect("it ends unasked")
    }

    #[tokio::test]
    async fn a_gateway_without_its_control_task_ends() {
        let (gateway, _reports) = gateway().await;
        gateway.control_task.abort();
        assert_eq!(outcome(gateway).await, Err(Broken::Control));
    }

    #[tokio::test]
    async fn a_gateway_without_one_of_its_media_workers_ends() {
        let (gateway, reports) = gateway().await;
        reports.send(WorkerOutput::Ended(ShardId(0))).await.expect("the control task reads it");
        assert_eq!(outcome(gateway).await, Err(Broken::MediaWorker(ShardId(0))));
    }

    #[tokio::test]
    async fn a_gateway_without_one_of_its_turn_workers_ends() {
        let (gateway, _reports) = gateway().await;
        gateway.turn_server.as_ref().expect("it has one").server().end_worker(0).await;
        assert!(matches!(outcome(gateway).await, Err(Broken::Turn(_))));
    }
}
