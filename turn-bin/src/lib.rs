//! A TURN server as a process: listeners, relay sockets and worker threads around `webrtc_sip_core::turn`.
//!
//! [`start`] brings a whole server up inside the calling program, which may have a metrics page and a listener of its
//! own, and names for settings ([`start_with`]); [`run`] does that and then follows [`Order`]s.

use shell::program::{Shutdown, until_stopped};
use tokio::sync::mpsc;

mod admin;
pub mod args;
pub mod config;
mod connections;
mod discovery;
mod dtls;
mod failure;
mod fragmentation;
mod http;
mod limits;
mod metrics;
mod openings;
mod relays;
mod start;
mod tcp;
mod worker;

pub use failure::{Broken, RunError, StartError};
pub use limits::needs;
pub use metrics::Metrics;
pub use start::{Running, start, start_with};

use config::Config;

/// What a running server is told from outside. A reload takes over users, secrets, tenants, peers and the
/// certificate.
pub type Order = shell::signals::Order<Config>;

/// Starts a server and serves until an order ends it, until nobody is left to give one, or until a part of it breaks.
pub async fn run(config: Config, orders: mpsc::Receiver<Order>) -> Result<(), RunError> {
    let waits = Shutdown {
        unready_seconds: config.shutdown.unready_seconds,
        drain_seconds: config.shutdown.drain_seconds,
        interrupt_drain_seconds: config.shutdown.interrupt_drain_seconds,
    };
    limits::make_room(&config).map_err(|error| RunError::Start(error.into()))?;
    let running = start(config).await.map_err(RunError::Start)?;
    until_stopped(running, orders, waits).await.map_err(RunError::Broken)
}
