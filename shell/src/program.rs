//! A program from its command line to its exit status.

use std::error::Error;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::config::{ConfigError, WatchedFiles, to_toml};
use crate::firewall::{self, Opening};
use crate::http::ask_ready;
use crate::log::{self, Log, LogError};
use crate::signals::{self, Order};

/// Bad configuration, which a supervisor needn't try again.
const EXIT_CONFIGURATION: u8 = 2;
/// How long the end waits for a file that is being read, or a name that is being looked up.
const LAST_FILES: Duration = Duration::from_secs(1);
/// What runs on the runtime needs few threads; packets have their own.
const MAX_RUNTIME_THREADS: usize = 4;

/// The flags that every program has.
#[derive(Clone, Debug, clap::Args)]
pub struct Flags {
    /// TOML file; without it the embedded configuration is used. Environment variables override single values
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Checks the configuration and exits: 0 when it is good, 2 with the reason when it isn't
    #[arg(long)]
    pub check_config: bool,
    /// Prints the configuration in force, without secrets, and exits
    #[arg(long)]
    pub print_config: bool,
    /// What to do; serve, when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What a program can do besides serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Command {
    /// Asks the program that runs here with this configuration whether it is ready, and exits: 0 when it is, 1 with the
    /// reason when it isn't
    Health,
    /// Prints who has to reach which addresses and ports, for firewalls, and exits
    Firewall,
}

/// The section `[shutdown]` of a configuration.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// How long `/ready` says no after SIGTERM before anybody is refused.
    pub unready_seconds: u64,
    /// How long those who are served may go on then.
    pub drain_seconds: u64,
    /// The same after Ctrl-C, which refuses at once.
    pub interrupt_drain_seconds: u64,
}

/// A program's configuration.
pub trait Configuration: Serialize + Send + Sized + 'static {
    /// Its section `[log]`.
    fn log(&self) -> &Log;

    /// Reads the files that it names, without starting anything.
    ///
    /// # Errors
    /// One of them can't be used.
    fn check_files(&self) -> Result<(), ConfigError>;

    /// What it may need and this process can't get, if anything; a service may have other limits.
    fn shortage(&self) -> Option<String>;

    /// The name of this instance among others of the same program; log files are in a folder of this name.
    fn instance(&self) -> String;

    /// The listener without TLS that has `/ready`, according to this file. Who asks there needs to know nothing else, no
    /// secrets above all.
    ///
    /// # Errors
    /// The file can't be read, or doesn't say it right.
    fn health(file: Option<&Path>) -> Result<SocketAddr, ConfigError>;

    /// What firewalls have to let through.
    fn openings(&self) -> Vec<Opening>;
}

/// Why a program doesn't start, or ends without being told to.
pub trait Failure: Display + From<io::Error> {
    /// Whether the configuration names something that can't be used; the text begins with its key then.
    fn is_configuration(&self) -> bool;
}

/// Why a program came to a bad end.
#[derive(Debug, thiserror::Error)]
pub enum RunError<S, B> {
    /// It never began.
    #[error(transparent)]
    Start(S),
    /// A part ended unasked.
    #[error(transparent)]
    Broken(B),
}

impl<S: From<io::Error>, B> From<io::Error> for RunError<S, B> {
    fn from(error: io::Error) -> Self {
        RunError::Start(error.into())
    }
}

impl<S: Failure + Error + 'static, B: Error + 'static> Failure for RunError<S, B> {
    fn is_configuration(&self) -> bool {
        matches!(self, RunError::Start(error) if error.is_configuration())
    }
}

/// Something that runs and can be told to end.
pub trait Service {
    /// Its configuration.
    type Config;
    /// Why it ended before it was told to.
    type Failure;

    /// Takes over what can be taken over from another configuration.
    fn reload(&self, config: &Self::Config) -> impl Future<Output = ()> + Send;

    /// Serves as before, and says by `/ready` that it won't for long.
    fn leave(&self);

    /// Takes nothing new; done when the last one who is served is gone.
    fn drain(&self) -> impl Future<Output = ()> + Send;

    /// Done when a part that it can't do without is gone, which only happens by mistake.
    fn broken(&self) -> impl Future<Output = ()> + Send;

    /// Ends.
    ///
    /// # Errors
    /// It was broken, or breaks now.
    fn stop(self) -> impl Future<Output = Result<(), Self::Failure>> + Send;
}

/// The program `name` from here to its end. `run` serves until an order ends it.
pub fn main<C: Configuration, E: Failure>(
    name: &'static str,
    flags: &Flags,
    load: impl Fn() -> Result<C, ConfigError> + Send + Sync + 'static,
    run: impl AsyncFnOnce(C, mpsc::Receiver<Order<C>>) -> Result<(), E>,
) -> ExitCode {
    if flags.command == Some(Command::Health) {
        return match C::health(flags.config.as_deref()) {
            Ok(listen) => health(name, listen),
            Err(error) => bad_configuration(&error),
        };
    }
    let file = flags.config.clone();
    let files_of = move |config: &C| file.iter().cloned().chain(config.log().files()).collect::<Vec<_>>();
    let (config, files) = match WatchedFiles::of(flags.config.iter().cloned()).load(&load, &files_of) {
        Ok(loaded) => loaded,
        Err(error) => return bad_configuration(&error),
    };
    if flags.print_config {
        print!("{}", to_toml(&config));
        return ExitCode::SUCCESS;
    }
    if flags.check_config {
        return check(&config);
    }
    if flags.command == Some(Command::Firewall) {
        print!("{}", firewall::table(&config.openings()));
        return ExitCode::SUCCESS;
    }
    let log = match log::init(name, &config.instance(), config.log()) {
        Ok(log) => Arc::new(log),
        Err(LogError::Configuration(error)) => return bad_configuration(&error),
        Err(error) => return failure(name, &error),
    };
    // Loading may hang, and the log ends all the same.
    let weak_log = Arc::downgrade(&log);
    let reload = move |seen: &WatchedFiles| {
        let (config, files) = seen.load(&load, &files_of)?;
        if let Some(log) = weak_log.upgrade() {
            log.reload(config.log());
        }
        Ok((config, files))
    };
    match on_runtime(async || {
        let orders = signals::listen(files, reload)?;
        run(config, orders).await
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_configuration() => bad_configuration(&error),
        Err(error) => failure(name, &error),
    }
}

fn on_runtime<E: Failure>(run: impl AsyncFnOnce() -> Result<(), E>) -> Result<(), E> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_RUNTIME_THREADS);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let ended = runtime.block_on(run());
    runtime.shutdown_timeout(LAST_FILES);
    ended
}

fn check(config: &impl Configuration) -> ExitCode {
    if let Err(error) = config.check_files().and_then(|()| config.log().check_files()) {
        return bad_configuration(&error);
    }
    println!("The configuration is good.");
    if let Some(problem) = config.shortage() {
        eprintln!("warning, unless the service has other limits than this shell: {problem}");
    }
    ExitCode::SUCCESS
}

fn health(name: &str, listen: SocketAddr) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = |runtime: tokio::runtime::Runtime| Ok(runtime.block_on(ask_ready(listen))?);
    match runtime.map_err(Box::<dyn Error>::from).and_then(asked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(name, &error),
    }
}

fn failure(name: &str, error: &impl Display) -> ExitCode {
    eprintln!("{name}: {error}");
    ExitCode::FAILURE
}

fn bad_configuration(error: &impl Display) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(EXIT_CONFIGURATION)
}

/// Follows orders until one of them, or the lack of anybody who could give one, ends it.
///
/// # Errors
/// It broke before.
pub async fn until_stopped<S: Service>(
    running: S,
    mut orders: mpsc::Receiver<Order<S::Config>>,
    waits: Shutdown,
) -> Result<(), S::Failure> {
    let [unready, wait] = tokio::select! {
        seconds = first_stop(&running, &mut orders, waits) => seconds,
        () = running.broken() => return running.stop().await,
    };
    tokio::select! {
        // However short the waits are, draining begins.
        biased;
        () = end_gently(&running, unready, wait) => {}
        () = next_stop(&mut orders) => tracing::info!("ending at once"),
        () = running.broken() => {}
    }
    running.stop().await
}

/// How many seconds the order to end leaves to balancers, and then to those who are served.
async fn first_stop<S: Service>(
    running: &S,
    orders: &mut mpsc::Receiver<Order<S::Config>>,
    waits: Shutdown,
) -> [u64; 2] {
    loop {
        match orders.recv().await {
            Some(Order::Reload(config)) => {
                running.reload(&config).await;
                tracing::info!("configuration reloaded");
            }
            Some(Order::Terminate) => return [waits.unready_seconds, waits.drain_seconds],
            Some(Order::Interrupt) => return [0, waits.interrupt_drain_seconds],
            None => return [0, 0],
        }
    }
}

async fn end_gently(running: &impl Service, unready: u64, wait: u64) {
    if unready > 0 {
        running.leave();
        tracing::info!(unready_seconds = unready, "not ready any more");
        tokio::time::sleep(Duration::from_secs(unready)).await;
    }
    tracing::info!(wait_seconds = wait, "draining");
    tokio::select! {
        biased;
        () = running.drain() => tracing::info!("nobody is left"),
        () = tokio::time::sleep(Duration::from_secs(wait)) => tracing::info!("ending what is left"),
    }
}

async fn next_stop<C>(orders: &mut mpsc::Receiver<Order<C>>) {
    // Reloading has no point any more.
    while let Some(Order::Reload(_)) = orders.recv().await {}
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const WAITS: Shutdown = Shutdown { unready_seconds: 0, drain_seconds: 3600, interrupt_drain_seconds: 0 };

    /// Counts what it is told; never drained.
    #[derive(Clone, Default)]
    struct Busy {
        breaks: bool,
        reloads: Arc<AtomicUsize>,
        leaves: Arc<AtomicUsize>,
        drains: Arc<AtomicUsize>,
        stops: Arc<AtomicUsize>,
    }

    impl Service for Busy {
        type Config = ();
        type Failure = &'static str;

        async fn reload(&self, (): &()) {
            self.reloads.fetch_add(1, Ordering::Relaxed);
        }

        fn leave(&self) {
            self.leaves.fetch_add(1, Ordering::Relaxed);
        }

        async fn drain(&self) {
            self.drains.fetch_add(1, Ordering::Relaxed);
            std::future::pending().await
        }

        async fn broken(&self) {
            if !self.breaks {
                std::future::pending().await
            }
        }

        async fn stop(self) -> Result<(), &'static str> {
            self.stops.fetch_add(1, Ordering::Relaxed);
            if self.breaks { Err("broken") } else { Ok(()) }
        }
    }

    #[tokio::test]
    async fn a_second_signal_and_a_short_wait_end_what_is_busy() {
        let endings = [vec![Order::Terminate, Order::Reload(Box::new(())), Order::Terminate], vec![Order::Interrupt]];
        for ending in endings {
            let busy = Busy::default();
            let (sender, orders) = mpsc::channel(8);
            sender.send(Order::Reload(Box::new(()))).await.unwrap();
            for order in ending {
                sender.send(order).await.unwrap();
            }
            let served = until_stopped(busy.clone(), orders, WAITS);
            assert_eq!(tokio::time::timeout(Duration::from_secs(10), served).await, Ok(Ok(())));
            assert_eq!(busy.reloads.load(Ordering::Relaxed), 1, "none while it drains");
            assert_eq!(busy.stops.load(Ordering::Relaxed), 1);
        }
    }

    #[tokio::test]
    async fn balancers_are_told_before_it_drains_and_a_second_signal_cuts_that_short() {
        let slow = Shutdown { unready_seconds: 3600, ..WAITS };
        for (orders, told) in
            [([Order::Terminate, Order::Terminate], [1, 0]), ([Order::Interrupt, Order::Interrupt], [0, 1])]
        {
            let busy = Busy::default();
            let (sender, receiver) = mpsc::channel(8);
            for order in orders {
                sender.send(order).await.unwrap();
            }
            let served = until_stopped(busy.clone(), receiver, slow);
            assert_eq!(tokio::time::timeout(Duration::from_secs(10), served).await, Ok(Ok(())));
            assert_eq!([&busy.leaves, &busy.drains].map(|count| count.load(Ordering::Relaxed)), told);
        }
    }

    #[tokio::test]
    async fn what_breaks_ends_without_an_order_and_while_it_drains() {
        for order in [None, Some(Order::Terminate)] {
            let busy = Busy { breaks: true, ..Busy::default() };
            let (sender, orders) = mpsc::channel(8);
            if let Some(order) = order {
                sender.send(order).await.unwrap();
            }
            let served = until_stopped(busy.clone(), orders, WAITS);
            assert_eq!(tokio::time::timeout(Duration::from_secs(10), served).await, Ok(Err("broken")));
            assert_eq!(busy.stops.load(Ordering::Relaxed), 1);
        }
    }
}
