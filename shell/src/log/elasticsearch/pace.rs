//! When to send: what is enough for a request at once, what is less after a while, and after trouble later and later.

use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// When the next request is due.
#[derive(Debug)]
pub(super) struct Pace {
    batch_bytes: u64,
    batch_age: Duration,
    due: Option<Instant>,
    failures: u32,
    pause: Option<Instant>,
}

impl Pace {
    pub(super) fn new(batch_bytes: u64, batch_age: Duration) -> Self {
        Pace { batch_bytes, batch_age, due: None, failures: 0, pause: None }
    }

    /// So many bytes wait.
    pub(super) fn handle_waiting(&mut self, now: Instant, bytes: u64) {
        if bytes == 0 {
            self.due = None;
        } else if bytes >= self.batch_bytes {
            self.due = Some(self.due.map_or(now, |due| due.min(now)));
        } else {
            self.due.get_or_insert(now + self.batch_age);
        }
    }

    /// A request was answered well; what waits is of after it.
    pub(super) fn handle_success(&mut self) {
        *self = Pace::new(self.batch_bytes, self.batch_age);
    }

    /// Something has to be sent again: after twice the time that it was before, and somewhat less by `random`, so that a
    /// server that comes back isn't asked by everybody at once.
    pub(super) fn handle_trouble(&mut self, now: Instant, random: u32) {
        let longest = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        let pause = longest.mul_f64(1.0 - 0.5 * f64::from(random) / f64::from(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        self.pause = Some(now + pause);
        self.due = Some(now);
    }

    /// There is reason to hope: other credentials, say.
    pub(super) fn handle_change(&mut self) {
        self.failures = 0;
        self.pause = None;
    }

    /// When to send; none while nothing waits.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due.map(|due| self.pause.map_or(due, |pause| pause.max(due)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(5);

    fn pace() -> (Pace, Instant) {
        (Pace::new(1000, AGE), Instant::now())
    }

    #[test]
    fn a_batch_is_sent_when_it_is_large_or_old() {
        let (mut pace, begun) = pace();
        pace.handle_waiting(begun, 0);
        assert_eq!(pace.poll_timeout(), None);
        pace.handle_waiting(begun, 10);
        pace.handle_waiting(begun + AGE / 2, 20);
        assert_eq!(pace.poll_timeout(), Some(begun + AGE), "of the first line");
        pace.handle_waiting(begun + AGE / 2, 1000);
        assert_eq!(pace.poll_timeout(), Some(begun + AGE / 2));
        pace.handle_success();
        assert_eq!(pace.poll_timeout(), None);
        pace.handle_waiting(begun + AGE, 10);
        assert_eq!(pace.poll_timeout(), Some(begun + 2 * AGE));
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_differ() {
        let (mut pace, mut now) = pace();
        let mut pauses = Vec::new();
        for _ in 0..100 {
            pace.handle_trouble(now, 0);
            pace.handle_waiting(now, 5000);
            pauses.push(pace.poll_timeout().unwrap() - now);
            now = pace.poll_timeout().unwrap();
        }
        assert_eq!(pauses[..3], [1, 2, 4].map(|times| FIRST_PAUSE * times));
        assert!(pauses[10..].iter().all(|pause| *pause == LONGEST_PAUSE));
        pace.handle_trouble(now, u32::MAX);
        assert_eq!(pace.poll_timeout(), Some(now + LONGEST_PAUSE / 2));
        pace.handle_change();
        assert_eq!(pace.poll_timeout(), Some(now));
        pace.handle_success();
        pace.handle_trouble(now, 0);
        assert_eq!(pace.poll_timeout(), Some(now + FIRST_PAUSE), "from the beginning");
    }
}
