//! The thread that sends what waits.

use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tracing::subscriber::NoSubscriber;
use webrtc_sip_core::crypto::CryptoProvider;

use super::bulk::{Batch, Outcome, Trouble};
use super::client::Client;
use super::figures::FIGURES;
use super::pace::Pace;
use super::spool::Spool;
use crate::log::complaint::complain;

/// For what is left when the program ends; the rest stays in the queue.
const LAST_ATTEMPT: Duration = Duration::from_secs(2);
/// How often at most it is said that lines are refused.
const SAY_REFUSED_EVERY: Duration = Duration::from_secs(60);

/// The running thread. When it is dropped, what waits is sent as far as that goes at once.
pub(super) struct Shipper {
    /// None when it was told to end.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What is sent, and how.
pub(super) struct Work {
    pub(super) spool: Spool,
    pub(super) pace: Pace,
    /// The server in force.
    pub(super) client: watch::Receiver<Client>,
    pub(super) index: String,
}

impl Shipper {
    /// A thread of its own with a runtime of its own, so that calls have nothing to do with it.
    pub(super) fn start(work: Work) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            // What happens here isn't logged: each request would be the reason of another one.
            let _silent = tracing::subscriber::set_default(NoSubscriber::new());
            runtime.block_on(Loop::new(work).run(stopped));
            // A name that is being looked up is no reason to stay.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("log-shipper".to_owned()).spawn(run)?;
        Ok(Shipper { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panicked, perhaps; what is in the queue is there the next time.
            let _ = thread.join();
        }
    }
}

struct Loop {
    work: Work,
    batch: Batch,
    trouble: Option<Trouble>,
    said_refused: Option<Instant>,
}

impl Loop {
    fn new(work: Work) -> Self {
        Loop { work, batch: Batch::default(), trouble: None, said_refused: None }
    }

    async fn run(mut self, stopped: oneshot::Receiver<()>) {
        tokio::select! {
            () = self.ship() => {}
            // An error: the other end was dropped, which is how it is told.
            _ = stopped => {}
        }
        // Longer than that is what a queue is for.
        let _ = tokio::time::timeout(LAST_ATTEMPT, self.flush()).await;
    }

    /// Goes on for ever.
    async fn ship(&mut self) {
        loop {
            // What is in a batch was due when it was begun.
            let waiting = if self.batch.is_empty() { self.work.spool.bytes_to_take() } else { u64::MAX };
            self.work.pace.handle_waiting(Instant::now(), waiting);
            let due = self.work.pace.poll_timeout();
            tokio::select! {
                () = sleep_until(due) => self.attempt().await,
                () = self.work.spool.more(), if self.batch.is_empty() => {}
                Ok(()) = self.work.client.changed() => self.work.pace.handle_change(),
            }
        }
    }

    /// Sends all there is, as long as it goes well.
    async fn flush(&mut self) {
        while !self.batch.is_empty() || self.work.spool.bytes_to_take() > 0 {
            self.attempt().await;
            if self.trouble.is_some() {
                return;
            }
        }
    }

    /// One request with what is due.
    async fn attempt(&mut self) {
        if self.batch.is_empty() {
            match self.work.spool.take() {
                Ok(lines) => {
                    let unreadable = self.batch.begin(lines, &self.work.index);
                    FIGURES.refused.fetch_add(unreadable, Ordering::Relaxed);
                }
                Err(error) => complain(format_args!("{}: {error}; log lines are lost", self.work.spool.name())),
            }
        }
        if self.batch.is_empty() {
            return self.done();
        }
        let client = self.work.client.borrow().clone();
        let outcome = match client.send(self.batch.request()).await {
            Ok((status, body)) => self.batch.handle_answer(status, &body),
            Err(problem) => Outcome { trouble: Some(Trouble::Unreachable(problem)), ..Outcome::default() },
        };
        self.handle_outcome(&client.name(), outcome);
    }

    fn handle_outcome(&mut self, server: &str, outcome: Outcome) {
        FIGURES.stored.fetch_add(outcome.stored, Ordering::Relaxed);
        FIGURES.refused.fetch_add(outcome.refused, Ordering::Relaxed);
        let is_error = outcome.refused > 0 || matches!(outcome.trouble, Some(Trouble::Answer { .. }));
        FIGURES.errors.fetch_add(u64::from(is_error), Ordering::Relaxed);
        let unreachable = outcome.trouble.as_ref().is_some_and(Trouble::is_unreachable);
        FIGURES.unreachable.store(unreachable, Ordering::Relaxed);
        if let Some(reason) = &outcome.reason {
            self.say_refused(server, reason);
        }
        self.say_trouble(server, outcome.trouble.as_ref());
        match outcome.trouble {
            Some(_) => self.work.pace.handle_trouble(Instant::now(), CryptoProvider::system().u32()),
            None if self.batch.is_empty() => self.done(),
            None => self.work.pace.handle_change(),
        }
        self.trouble = outcome.trouble;
    }

    fn done(&mut self) {
        self.work.spool.settle();
        self.work.pace.handle_success();
    }

    /// On standard error, because in the log it would wait for what it is about. When it begins or changes, not each time.
    fn say_trouble(&self, server: &str, trouble: Option<&Trouble>) {
        match (&self.trouble, trouble) {
            (Some(before), Some(now)) if before.is_like(now) => {}
            (_, Some(now)) => complain(format_args!("{server}: {now}; log lines wait in {}", self.work.spool.name())),
            (Some(_), None) => complain(format_args!("{server}: takes log lines again")),
            (None, None) => {}
        }
    }

    fn say_refused(&mut self, server: &str, reason: &str) {
        if self.said_refused.is_none_or(|said| said.elapsed() >= SAY_REFUSED_EVERY) {
            self.said_refused = Some(Instant::now());
            complain(format_args!("{server}: refuses log lines, which are lost: {reason}"));
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
