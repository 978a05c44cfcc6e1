//! Unix signals as orders to the running program.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::config::ConfigError;

/// Orders that may wait; a person or a supervisor sends them.
const MAX_QUEUED: usize = 8;

/// What a running program with a configuration of type `C` is told from outside.
#[derive(Debug)]
pub enum Order<C> {
    /// SIGTERM: take nothing new and end when the last one is served; the second time end at once.
    Terminate,
    /// SIGINT (Ctrl-C): the same with a shorter wait.
    Interrupt,
    /// SIGHUP: take over what can be taken over from this configuration.
    Reload(Box<C>),
}

/// Translates SIGTERM, SIGINT and SIGHUP. What `load` can't read is logged and kept out.
///
/// # Errors
/// The system refuses a handler.
pub fn listen<C: Send + 'static>(
    load: impl Fn() -> Result<C, ConfigError> + Send + 'static,
) -> io::Result<mpsc::Receiver<Order<C>>> {
    let (orders, received) = mpsc::channel(MAX_QUEUED);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            let order = tokio::select! {
                _ = terminate.recv() => Order::Terminate,
                _ = interrupt.recv() => Order::Interrupt,
                _ = hangup.recv() => match load() {
                    Ok(config) => Order::Reload(Box::new(config)),
                    Err(error) => {
                        tracing::error!(%error, "the configuration wasn't reloaded");
                        continue;
                    }
                },
            };
            if orders.send(order).await.is_err() {
                return;
            }
        }
    });
    Ok(received)
}
