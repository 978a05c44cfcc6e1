//! Unix signals as orders to the running program.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::config::{ConfigError, WatchedFiles};

/// Orders that may wait; a person or a supervisor sends them.
const MAX_QUEUED: usize = 8;
/// How often files are looked at.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// What a running program with a configuration of type `C` is told from outside.
#[derive(Debug)]
pub enum Order<C> {
    /// SIGTERM: take nothing new and end when the last one is served; the second time end at once.
    Terminate,
    /// SIGINT (Ctrl-C): the same with a shorter wait.
    Interrupt,
    /// SIGHUP, or one of the configuration's files has changed: take over what can be taken over from this configuration.
    Reload(Box<C>),
}

/// Translates SIGTERM, SIGINT and SIGHUP, and looks after the files of `config` and those of its secrets. What `load` can't
/// read is logged, once, and kept out.
///
/// # Errors
/// The system refuses a handler.
pub fn listen<C: Serialize + Send + 'static>(
    config: &C,
    files_of: impl Fn(&C) -> Vec<PathBuf> + Send + 'static,
    load: impl Fn() -> Result<C, ConfigError> + Send + 'static,
) -> io::Result<mpsc::Receiver<Order<C>>> {
    let (orders, received) = mpsc::channel(MAX_QUEUED);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut files = WatchedFiles::of(files_of(config), config);
    tokio::spawn(async move {
        loop {
            let order = tokio::select! {
                _ = terminate.recv() => Some(Order::Terminate),
                _ = interrupt.recv() => Some(Order::Interrupt),
                _ = hangup.recv() => {
                    files = files.read_again();
                    reload(&load)
                }
                seen = changed(&files) => {
                    files = seen;
                    reload(&load)
                }
            };
            let Some(order) = order else { continue };
            if let Order::Reload(config) = &order {
                files = files.followed_by(files_of(config), config.as_ref());
            }
            if orders.send(order).await.is_err() {
                return;
            }
        }
    });
    Ok(received)
}

fn reload<C>(load: impl Fn() -> Result<C, ConfigError>) -> Option<Order<C>> {
    match load() {
        Ok(config) => Some(Order::Reload(Box::new(config))),
        Err(error) => {
            tracing::error!(%error, "the configuration wasn't reloaded");
            None
        }
    }
}

/// Waits until one of the files holds something else.
async fn changed(files: &WatchedFiles) -> WatchedFiles {
    loop {
        tokio::time::sleep(WATCH_EVERY).await;
        let before = files.clone();
        // Files may lie on a network.
        match tokio::task::spawn_blocking(move || before.read_again()).await {
            Ok(now) if now != *files => return now,
            _ => {}
        }
    }
}
