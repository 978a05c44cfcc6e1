//! The queue between those who write lines and the one who sends them.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;

use super::document::Author;
use super::figures::FIGURES;
use super::queue::Queue;
use crate::log::sink::Sink;

/// A queue with two ends.
#[derive(Clone)]
pub(super) struct Spool {
    queue: Arc<Mutex<Queue>>,
    more: Arc<Notify>,
    batch_bytes: u64,
}

impl Spool {
    pub(super) fn new(queue: Queue, batch_bytes: u64) -> Self {
        let spool = Spool { queue: Arc::new(Mutex::new(queue)), more: Arc::default(), batch_bytes };
        spool.with(|_| ());
        spool
    }

    /// Done when there is something to take, or enough for a request.
    pub(super) async fn more(&self) {
        self.more.notified().await;
    }

    pub(super) fn bytes_to_take(&self) -> u64 {
        self.with(|queue| queue.bytes_to_take())
    }

    pub(super) fn take(&self) -> io::Result<Vec<Vec<u8>>> {
        self.with(|queue| queue.take(self.batch_bytes as usize))
    }

    pub(super) fn settle(&self) {
        self.with(Queue::settle);
    }

    pub(super) fn name(&self) -> String {
        self.with(|queue| queue.folder().display().to_string())
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let (appended, before, after) = self.with(|queue| {
            let before = queue.bytes_to_take();
            (queue.append(line), before, queue.bytes_to_take())
        });
        // Not for each line: a sleep for each is what costs.
        if before == 0 || (before < self.batch_bytes && after >= self.batch_bytes) {
            self.more.notify_one();
        }
        appended
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Queue) -> T) -> T {
        // Whoever panicked, the files are what counts.
        let mut queue: MutexGuard<'_, Queue> = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let result = use_it(&mut queue);
        FIGURES.waiting_bytes.store(queue.bytes(), Ordering::Relaxed);
        FIGURES.lost.store(queue.lost(), Ordering::Relaxed);
        result
    }
}

/// The end where lines come in.
pub(super) struct Inlet {
    pub(super) spool: Spool,
    pub(super) author: Author,
}

impl Sink for Inlet {
    fn write_line(&mut self, _: SystemTime, line: &[u8]) -> io::Result<()> {
        let document = self.author.document(line);
        self.spool.append(&document)
    }

    fn name(&self) -> String {
        self.spool.name()
    }
}
