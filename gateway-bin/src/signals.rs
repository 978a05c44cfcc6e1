//! Unix signals as orders to the running gateway.

use std::io;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::Order;
use crate::config::Config;
use crate::telemetry::LevelHandle;

/// Orders that may wait; a person or a supervisor sends them.
const MAX_QUEUED: usize = 8;

/// Translates SIGTERM, SIGINT and SIGHUP. A reload reads `file` again, keeps what it can't use out, and changes the log
/// level at once.
pub fn listen(file: Option<PathBuf>, level: LevelHandle) -> io::Result<mpsc::Receiver<Order>> {
    let (orders, received) = mpsc::channel(MAX_QUEUED);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            let order = tokio::select! {
                _ = terminate.recv() => Some(Order::Terminate),
                _ = interrupt.recv() => Some(Order::Interrupt),
                _ = hangup.recv() => reload(file.as_deref(), &level),
            };
            if let Some(order) = order
                && orders.send(order).await.is_err()
            {
                return;
            }
        }
    });
    Ok(received)
}

fn reload(file: Option<&std::path::Path>, level: &LevelHandle) -> Option<Order> {
    match Config::load(file) {
        Ok(config) => {
            level.set(&config.log);
            Some(Order::Reload(Box::new(config)))
        }
        Err(error) => {
            tracing::error!(%error, "the configuration wasn't reloaded");
            None
        }
    }
}
