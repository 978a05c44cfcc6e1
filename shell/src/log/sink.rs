//! Whatever becomes of a line, nobody waits for it.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::complaint::complain;

/// How long a sink that failed is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Lines that no sink took, of all that this process has.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Lines that no sink took since the process began.
pub(super) fn lost_lines() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// What takes lines, and may fail to.
pub(super) trait Sink {
    /// Takes a line with its end.
    ///
    /// # Errors
    /// Nothing of it is there.
    fn write_line(&mut self, now: SystemTime, line: &[u8]) -> io::Result<()>;

    /// What it is, for people.
    fn name(&self) -> String;
}

/// A writer whose writes are lines. What its sink doesn't take is counted and dropped: a full volume stops nobody.
pub(super) struct Tolerant<S> {
    pub(super) sink: S,
    pub(super) clock: fn() -> SystemTime,
    /// Counts what the sink doesn't take.
    pub(super) lost: &'static AtomicU64,
    failing: Option<Failing>,
}

struct Failing {
    last_try: SystemTime,
    lost: u64,
}

impl<S: Sink> Tolerant<S> {
    pub(super) fn new(sink: S) -> Self {
        Tolerant { sink, clock: SystemTime::now, lost: &LOST, failing: None }
    }

    fn lose(&mut self, now: SystemTime, error: &io::Error) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        match &mut self.failing {
            Some(failing) => {
                failing.lost += 1;
                failing.last_try = now;
            }
            None => {
                // Not into the log, which is what fails.
                complain(format_args!("{}: {error}; log lines are lost until it works again", self.sink.name()));
                self.failing = Some(Failing { last_try: now, lost: 1 });
            }
        }
    }
}

impl<S: Sink> Write for Tolerant<S> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let now = (self.clock)();
        if let Some(failing) = &mut self.failing
            && now.duration_since(failing.last_try).is_ok_and(|since| since < RETRY_AFTER)
        {
            failing.lost += 1;
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        match self.sink.write_line(now, line) {
            Ok(()) => {
                if let Some(failing) = self.failing.take() {
                    complain(format_args!("{}: works again, {} log lines are lost", self.sink.name(), failing.lost));
                }
            }
            Err(error) => self.lose(now, &error),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // Each line is with the system when it is written.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes lines while it works.
    struct Volume {
        works: bool,
        tries: u32,
        lines: Vec<Vec<u8>>,
    }

    impl Sink for Volume {
        fn write_line(&mut self, _: SystemTime, line: &[u8]) -> io::Result<()> {
            self.tries += 1;
            if !self.works {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.lines.push(line.to_vec());
            Ok(())
        }

        fn name(&self) -> String {
            "a volume".to_owned()
        }
    }

    #[test]
    fn what_fails_is_left_alone_for_a_second_and_tried_again() {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut sink = Tolerant::new(Volume { works: false, tries: 0, lines: Vec::new() });
        sink.lost = &COUNT;
        sink.clock = || SystemTime::UNIX_EPOCH;
        for line in ["one\n", "two\n"] {
            sink.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!((sink.sink.tries, sink.failing.as_ref().unwrap().lost), (1, 2));
        sink.sink.works = true;
        sink.clock = || SystemTime::UNIX_EPOCH + RETRY_AFTER;
        sink.write_all(b"three\n").unwrap();
        assert!(sink.failing.is_none() && sink.sink.lines == [b"three\n"]);
        assert_eq!(COUNT.load(Ordering::Relaxed), 2);
    }
}
