//! Unix signals as orders to the running program.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::config::{ConfigError, WatchedFiles, note_reload};

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

/// What came of the last look at the files.
#[derive(Clone)]
struct Look {
    files: WatchedFiles,
    /// Why they can't be used, if they can't.
    refusal: Option<String>,
}

/// Translates SIGTERM, SIGINT and SIGHUP, and looks after the files of a configuration. `load` is told what they hold now; what
/// it can't load is logged, once, and kept out.
///
/// # Errors
/// The system refuses a handler.
pub(crate) fn listen<C: Send + 'static>(
    files: WatchedFiles,
    load: impl Fn(&WatchedFiles) -> Result<(C, WatchedFiles), ConfigError> + Send + Sync + 'static,
) -> io::Result<mpsc::Receiver<Order<C>>> {
    let (orders, received) = mpsc::channel(MAX_QUEUED);
    let terminate = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    let hangup = signal(SignalKind::hangup())?;
    // Two tasks: who wants it to end doesn't wait for files.
    tokio::spawn(order_ends(terminate, interrupt, orders.clone()));
    tokio::spawn(order_reloads(hangup, files, Arc::new(load), orders));
    Ok(received)
}

async fn order_ends<C>(mut terminate: Signal, mut interrupt: Signal, orders: mpsc::Sender<Order<C>>) {
    loop {
        let order = tokio::select! {
            _ = terminate.recv() => Order::Terminate,
            _ = interrupt.recv() => Order::Interrupt,
        };
        if orders.send(order).await.is_err() {
            return;
        }
    }
}

async fn order_reloads<C: Send + 'static>(
    mut hangup: Signal,
    files: WatchedFiles,
    load: Arc<impl Fn(&WatchedFiles) -> Result<(C, WatchedFiles), ConfigError> + Send + Sync + 'static>,
    orders: mpsc::Sender<Order<C>>,
) {
    let mut last = Look { files, refusal: None };
    loop {
        let is_asked = tokio::select! {
            _ = hangup.recv() => true,
            () = tokio::time::sleep(WATCH_EVERY) => false,
        };
        let (before, load) = (last.clone(), Arc::clone(&load));
        // Files may lie on a network. A panic leaves the configuration that is in force.
        let looked = tokio::task::spawn_blocking(move || look_again(&before, is_asked, &*load)).await;
        let Ok((look, config)) = looked else { continue };
        last = look;
        if let Some(config) = config
            && orders.send(Order::Reload(Box::new(config))).await.is_err()
        {
            return;
        }
    }
}

/// What the files hold now, and the configuration that they make where that is something else, or somebody asks for it. What
/// was refused is tried each time: it may name a file that wasn't there yet, and that nobody knows of.
fn look_again<C>(
    last: &Look,
    is_asked: bool,
    load: impl Fn(&WatchedFiles) -> Result<(C, WatchedFiles), ConfigError>,
) -> (Look, Option<C>) {
    let files = last.files.read_again();
    let is_new = is_asked || files != last.files;
    if !is_new && last.refusal.is_none() {
        return (last.clone(), None);
    }
    let loaded = load(&files);
    note_reload("configuration", loaded.is_ok());
    match loaded {
        Ok((config, files)) => (Look { files, refusal: None }, Some(config)),
        Err(error) => {
            let refusal = Some(error.to_string());
            if is_new || refusal != last.refusal {
                tracing::error!(%error, "the configuration wasn't reloaded");
            }
            (Look { files, refusal }, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_tried_until_it_is_good_and_not_again() {
        let missing = || Err(ConfigError::key("users", "a file isn't there"));
        let loaded = |_: &WatchedFiles| Ok(((), WatchedFiles::default()));
        let unasked = |_: &WatchedFiles| panic!("nothing has changed");
        let first = Look { files: WatchedFiles::default(), refusal: None };
        let (last, config) = look_again::<()>(&first, false, unasked);
        assert_eq!((last.refusal.is_some(), config), (false, None));
        let (last, config) = look_again::<()>(&last, true, |_| missing());
        assert_eq!((last.refusal.is_some(), config), (true, None));
        let (last, config) = look_again::<()>(&last, false, |_| missing());
        assert_eq!((last.refusal.is_some(), config), (true, None));
        let (last, config) = look_again(&last, false, loaded);
        assert_eq!((last.refusal.is_some(), config), (false, Some(())));
        assert_eq!(look_again::<()>(&last, false, unasked).1, None);
    }
}
