//! What the metrics page says of Elasticsearch. A program has one log, so there is one set of figures.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Figures of this process.
pub(super) static FIGURES: Counters = Counters {
    unreachable: AtomicBool::new(false),
    errors: AtomicU64::new(0),
    stored: AtomicU64::new(0),
    refused: AtomicU64::new(0),
    lost: AtomicU64::new(0),
    waiting_bytes: AtomicU64::new(0),
};

#[derive(Debug)]
pub(super) struct Counters {
    pub(super) unreachable: AtomicBool,
    pub(super) errors: AtomicU64,
    pub(super) stored: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) waiting_bytes: AtomicU64,
}

/// How it goes with Elasticsearch; all of it is nothing where no server is configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShippingFigures {
    /// The last request found nobody.
    pub unreachable: bool,
    /// Answers that were errors, of a whole request or of some of its lines.
    pub errors: u64,
    /// Lines that it has.
    pub stored: u64,
    /// Lines that it doesn't want.
    pub refused: u64,
    /// Lines that the queue had and lost.
    pub lost: u64,
    /// What waits in the queue.
    pub waiting_bytes: u64,
}

/// The figures as they are now.
pub fn shipping_figures() -> ShippingFigures {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    ShippingFigures {
        unreachable: FIGURES.unreachable.load(Ordering::Relaxed),
        errors: count(&FIGURES.errors),
        stored: count(&FIGURES.stored),
        refused: count(&FIGURES.refused),
        lost: count(&FIGURES.lost),
        waiting_bytes: count(&FIGURES.waiting_bytes),
    }
}
