//! What the core asks its shell: who is this, bind ports, resolve a name.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use webrtc_sip_core::gateway::{Answer, IdentityError, MediaPorts, Request};
use webrtc_sip_core::ids::{RequestId, ShardId};
use webrtc_sip_core::io::SocketId;

use super::links::Links;
use super::{Control, Inside, lock};
use crate::media::addresses::local_address_towards;
use crate::media::ports::PortRange;
use crate::media::{SocketIds, WorkerInput};

/// Password hashes computed at once; each takes tens of milliseconds and megabytes.
const MAX_PASSWORD_CHECKS: usize = 2;
/// Name look-ups at once.
const MAX_LOOKUPS: usize = 64;
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The RTP port range and who holds which port.
#[derive(Debug)]
pub(crate) struct PortPool {
    range: PortRange,
    held: HashMap<SocketId, u16>,
    ids: Arc<SocketIds>,
    advertised: Option<IpAddr>,
    password_checks: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
}

impl PortPool {
    /// A pool over `range` whose addresses appear as `advertised` in SDP towards anything but loopback.
    pub(crate) fn new(range: PortRange, ids: Arc<SocketIds>, advertised: Option<IpAddr>) -> Self {
        PortPool {
            range,
            held: HashMap::new(),
            ids,
            advertised,
            password_checks: Arc::new(Semaphore::new(MAX_PASSWORD_CHECKS)),
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
        }
    }

    /// The worker closed the sockets: the ports may be used again.
    pub(super) fn release(&mut self, rtp: SocketId) {
        if let Some(port) = self.held.remove(&rtp) {
            self.range.release(port);
        }
    }

    /// Ports in use.
    pub(crate) fn in_use(&self) -> usize {
        self.range.ports_in_use()
    }

    /// Ports in the range.
    pub(crate) fn capacity(&self) -> usize {
        self.range.capacity()
    }

    fn bind(&mut self, shard: ShardId, towards: SocketAddr) -> Option<(MediaPorts, WorkerInput)> {
        let ip = local_address_towards(towards).ok()?;
        let pair = self.range.bind(ip)?;
        let (rtp, rtcp) = (self.ids.draw(), self.ids.draw());
        let port = pair.address.port();
        self.held.insert(rtp, port);
        let shown = if ip.is_loopback() { ip } else { self.advertised.unwrap_or(ip) };
        let ports = MediaPorts { shard, rtp, rtcp, advertised: SocketAddr::new(shown, port) };
        Some((ports, WorkerInput::AddSockets([(rtp, pair.rtp), (rtcp, pair.rtcp)])))
    }
}

impl Control {
    pub(super) async fn request(&mut self, id: RequestId, request: Request, links: &Links) {
        match request {
            Request::Authenticate { link, user, password } => {
                // Without a link nobody waits for the answer.
                if let Some(source) = links.source(link) {
                    self.authenticate(id, source, user, password);
                }
            }
            Request::BindMediaPorts { shard, towards } => {
                let ports = self.bind_ports(shard, towards).await;
                self.gateway.handle_answer(Instant::now(), id, Answer::MediaPorts(ports));
            }
            Request::Resolve { host } => {
                let limit = self.ports.lookups.clone();
                tokio::spawn(answer(self.handle.inside.clone(), id, async move { resolve(&host, &limit).await }));
            }
        }
    }

    async fn bind_ports(&mut self, shard: ShardId, towards: SocketAddr) -> Option<MediaPorts> {
        let Some((ports, sockets)) = self.ports.bind(shard, towards) else {
            tracing::warn!(in_use = self.ports.in_use(), "no RTP port is free, or no more sockets can be opened");
            return None;
        };
        // Before the answer, so that the worker has the sockets when the leg is created.
        self.tell(shard, sockets).await;
        Some(ports)
    }

    fn authenticate(&self, id: RequestId, source: IpAddr, user: String, password: String) {
        let (users, limit) = (self.users.clone(), self.ports.password_checks.clone());
        let guesses = self.guesses.clone();
        tokio::spawn(answer(self.handle.inside.clone(), id, async move {
            // Closed never; the semaphore lives as long as its users.
            let _permit = limit.acquire().await;
            // Asked only now, when those that came before have had their answers.
            if !lock(&guesses).admit(Instant::now(), source) {
                return Answer::Identity(Err(IdentityError::TooMany));
            }
            let checked = tokio::task::spawn_blocking(move || users.check(&user, &password)).await;
            let identity = checked.unwrap_or(Err(IdentityError::Unavailable));
            if identity == Err(IdentityError::Refused) {
                lock(&guesses).failed(Instant::now(), source);
            }
            Answer::Identity(identity)
        }));
    }
}

async fn answer(inside: mpsc::Sender<Inside>, id: RequestId, work: impl Future<Output = Answer>) {
    // Nobody listens any more when the process ends.
    let _ = inside.send(Inside::Answer(id, work.await)).await;
}

async fn resolve(host: &str, limit: &Semaphore) -> Answer {
    let Ok(_permit) = limit.try_acquire() else { return Answer::Addresses(Vec::new()) };
    let found = tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((host, 0))).await;
    match found {
        Ok(Ok(addresses)) => {
            let mut addresses: Vec<IpAddr> = addresses.map(|address| address.ip()).collect();
            addresses.dedup();
            Answer::Addresses(addresses)
        }
        Ok(Err(_)) | Err(_) => Answer::Addresses(Vec::new()),
    }
}
