//! The gateway as a process: tokio sockets, HTTP signalling and media threads around `webrtc-sip-core`.
//!
//! [`start`] brings a whole gateway up inside the calling program; [`run`] does that and then follows [`Order`]s.

use std::time::Duration;

use tokio::sync::mpsc;

pub mod args;
pub mod config;
mod control;
mod guesses;
mod handover;
mod http;
mod limits;
mod media;
mod metrics;
mod phone;
mod start;
pub mod telemetry;
mod users;
mod welcome;

pub use start::{Running, StartError, check, start};

use config::Config;

/// What a running gateway is told from outside. A reload takes over users and certificates.
pub type Order = shell::signals::Order<Config>;

/// Starts a gateway and serves until an order ends it, or until nobody is left to give one.
pub async fn run(config: Config, mut orders: mpsc::Receiver<Order>) -> Result<(), StartError> {
    let waits = config.shutdown.clone();
    let running = start(config.clone()).await?;
    welcome::print(&config, &running);
    let wait = loop {
        match orders.recv().await {
            Some(Order::Reload(config)) => running.reload(&config).await,
            Some(Order::Terminate) => break waits.drain_seconds,
            Some(Order::Interrupt) => break waits.interrupt_drain_seconds,
            None => break 0,
        }
    };
    tracing::info!(wait_seconds = wait, "draining");
    let drained = running.drain().await;
    tokio::select! {
        () = drained => tracing::info!("no call is left"),
        () = tokio::time::sleep(Duration::from_secs(wait)) => tracing::info!("ending the calls that are left"),
        () = next_stop(&mut orders) => tracing::info!("ending at once"),
    }
    running.stop().await;
    Ok(())
}

async fn next_stop(orders: &mut mpsc::Receiver<Order>) {
    // Reloading has no point any more.
    while let Some(Order::Reload(_)) = orders.recv().await {}
}
