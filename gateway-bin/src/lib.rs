//! The gateway as a process: tokio sockets, HTTP signalling and media threads around `webrtc-sip-core`.
//!
//! [`start`] brings a whole gateway up inside the calling program; [`run`] does that and then follows [`Order`]s.

use shell::program::until_stopped;
use tokio::sync::mpsc;

pub mod args;
pub mod config;
mod control;
mod failure;
mod guesses;
mod handover;
mod http;
mod limits;
mod maintenance;
mod media;
mod metrics;
mod openings;
mod phone;
mod start;
pub mod telemetry;
mod turn;
mod users;
mod welcome;

pub use failure::{Broken, RunError, StartError};
pub use start::{Running, check, start};

use config::Config;

/// What a running gateway is told from outside. A reload takes over what [`Running::reload`] does.
pub type Order = shell::signals::Order<Config>;

/// Starts a gateway and serves until an order ends it, until nobody is left to give one, or until a part of it breaks.
pub async fn run(config: Config, orders: mpsc::Receiver<Order>) -> Result<(), RunError> {
    let running = start(config.clone()).await.map_err(RunError::Start)?;
    welcome::print(&config, &running);
    telemetry::log_unsupported(&config.unsupported_options);
    until_stopped(running, orders, config.shutdown).await.map_err(RunError::Broken)
}
