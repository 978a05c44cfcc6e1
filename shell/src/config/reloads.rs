//! Whether the configuration as it is on disk can be used. Where it can't, this process goes on with what it had, and the
//! next one won't start: somebody has to be told before that.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Of this process, which has one configuration.
static RELOADS: Reloads = Reloads::new();

/// `part` of the configuration, which is read again by itself, could be taken over or not.
pub(crate) fn note_reload(part: &'static str, succeeded: bool) {
    RELOADS.note(part, succeeded);
}

/// Whether the last reload of each part succeeded, if there was one.
pub(crate) fn last_reload_successful() -> bool {
    RELOADS.last_successful()
}

/// The parts whose last reload failed.
struct Reloads(Mutex<BTreeSet<&'static str>>);

impl Reloads {
    const fn new() -> Self {
        Reloads(Mutex::new(BTreeSet::new()))
    }

    fn note(&self, part: &'static str, succeeded: bool) {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if succeeded {
            failed.remove(part);
        } else {
            failed.insert(part);
        }
    }

    fn last_successful(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_to_be_good_again() {
        let reloads = Reloads::new();
        assert!(reloads.last_successful(), "what it started with is good");
        reloads.note("configuration", false);
        reloads.note("configuration", false);
        reloads.note("tls", false);
        reloads.note("configuration", true);
        assert!(!reloads.last_successful());
        reloads.note("tls", true);
        assert!(reloads.last_successful());
    }
}
