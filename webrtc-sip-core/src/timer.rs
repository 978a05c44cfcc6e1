//! [`TimerQueue`]: deadlines with reasons, for state machines that never look at a clock.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// The longest wait there is. A configured one beyond it is taken for it, so that its end is a point in time on every
/// system's clock.
pub const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Cuts configured waits to [`LONGEST_WAIT`].
pub(crate) fn cut_waits<'a>(waits: impl IntoIterator<Item = &'a mut Duration>) {
    for wait in waits {
        *wait = (*wait).min(LONGEST_WAIT);
    }
}

/// Deadlines, at most one per key. A key says what is due and for whom, for example `(TransactionId, TimerB)`.
///
/// Setting, replacing and cancelling cost O(log n) amortised; [`TimerQueue::next_deadline`] is O(1). Cancelled entries
/// are removed lazily; the heap never holds more than twice the live entries plus a constant.
#[derive(Debug)]
pub struct TimerQueue<K> {
    heap: BinaryHeap<Reverse<(Instant, u64, HeapKey<K>)>>,
    live: HashMap<K, (Instant, u64)>,
    serial: u64,
}

/// Orders by nothing: the serial number before it is unique, so the comparison never gets here.
#[derive(Debug, Clone)]
struct HeapKey<K>(K);

impl<K> PartialEq for HeapKey<K> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<K> Eq for HeapKey<K> {}
impl<K> PartialOrd for HeapKey<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for HeapKey<K> {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl<K: Clone + Eq + Hash> Default for TimerQueue<K> {
    fn default() -> Self {
        TimerQueue { heap: BinaryHeap::new(), live: HashMap::new(), serial: 0 }
    }
}

impl<K: Clone + Eq + Hash> TimerQueue<K> {
    /// Sets the deadline of `key`, replacing an earlier one.
    pub fn set(&mut self, key: K, deadline: Instant) {
        self.serial += 1;
        self.live.insert(key.clone(), (deadline, self.serial));
        self.heap.push(Reverse((deadline, self.serial, HeapKey(key))));
        self.drop_stale();
    }

    /// Cancels the deadline of `key`; says whether there was one.
    pub fn cancel(&mut self, key: &K) -> bool {
        let found = self.live.remove(key).is_some();
        self.drop_stale();
        found
    }

    /// When `key` is due, if it is set.
    pub fn deadline(&self, key: &K) -> Option<Instant> {
        self.live.get(key).map(|(deadline, _)| *deadline)
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((deadline, ..))| *deadline)
    }

    /// Removes and returns one key whose deadline is not after `now`; earliest first, and in the order they were set
    /// where deadlines are equal.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        if self.next_deadline()? > now {
            return None;
        }
        let Reverse((_, _, HeapKey(key))) = self.heap.pop()?;
        self.live.remove(&key);
        self.drop_stale();
        Some(key)
    }

    /// Number of deadlines that are set.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether no deadline is set.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// Keeps the top of the heap live, and the heap no larger than it needs to be.
    fn drop_stale(&mut self) {
        while let Some(Reverse((_, serial, HeapKey(key)))) = self.heap.peek() {
            if self.live.get(key).is_some_and(|(_, live)| live == serial) {
                break;
            }
            self.heap.pop();
        }
        if self.heap.len() > 2 * self.live.len() + 64 {
            let live = &self.live;
            self.heap.retain(|Reverse((_, serial, HeapKey(key)))| live.get(key).is_some_and(|(_, l)| l == serial));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn due_keys_come_out_in_order_and_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut queue = TimerQueue::default();
        queue.set("b", at(20));
        queue.set("a", at(10));
        queue.set("c", at(20));
        queue.set("a", at(30));
        assert_eq!(queue.next_deadline(), Some(at(20)));
        assert_eq!(queue.pop_due(at(19)), None);
        assert_eq!(queue.pop_due(at(40)), Some("b"));
        assert!(queue.cancel(&"c"));
        assert!(!queue.cancel(&"c"));
        assert_eq!(queue.pop_due(at(40)), Some("a"));
        assert_eq!(queue.pop_due(at(40)), None);
        assert!(queue.is_empty());
        assert_eq!(queue.next_deadline(), None);
    }

    #[test]
    fn replaced_deadlines_do_not_pile_up() {
        let start = Instant::now();
        let mut queue = TimerQueue::default();
        queue.set(0, start);
        for step in 0..100_000u64 {
            queue.set(1, start + Duration::from_millis(step + 1));
        }
        assert!(queue.heap.len() <= 2 * queue.live.len() + 64);
    }
}
