//! The sources of one direction, in a table with a limit. There are one or two in practice, so a scan is fastest.

use crate::rtp::window::Window;

use super::SrtpError;

/// One synchronisation source.
pub(super) struct Source {
    pub(super) ssrc: u32,
    pub(super) window: Window,
    /// The window comes from a snapshot and no packet has confirmed it.
    pub(super) restored: bool,
}

pub(super) struct Sources {
    entries: Vec<Source>,
    limit: usize,
}

impl Sources {
    pub(super) fn new(limit: usize) -> Self {
        Sources { entries: Vec::new(), limit }
    }

    pub(super) fn position(&self, ssrc: u32) -> Option<usize> {
        self.entries.iter().position(|source| source.ssrc == ssrc)
    }

    pub(super) fn get(&self, ssrc: u32) -> Option<&Source> {
        self.entries.iter().find(|source| source.ssrc == ssrc)
    }

    /// Whether a source can be marked: it is known, or there is room for one more.
    pub(super) fn check(&self, ssrc: u32) -> Result<(), SrtpError> {
        if self.entries.len() < self.limit || self.position(ssrc).is_some() {
            Ok(())
        } else {
            Err(SrtpError::TooManySources)
        }
    }

    /// Adds the source of an authentic packet when it is new, and marks the index.
    pub(super) fn mark(&mut self, ssrc: u32, index: u64) -> Result<(), SrtpError> {
        self.check(ssrc)?;
        let position = self.position(ssrc).unwrap_or_else(|| self.add(ssrc, Window::default()));
        let source = &mut self.entries[position];
        source.window.mark(index);
        source.restored = false;
        Ok(())
    }

    pub(super) fn restore(&mut self, ssrc: u32, window: Window) -> Result<(), SrtpError> {
        self.check(ssrc)?;
        let position = self.position(ssrc).unwrap_or_else(|| self.add(ssrc, Window::default()));
        self.entries[position] = Source { ssrc, window, restored: true };
        Ok(())
    }

    pub(super) fn roll_over_counters(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.entries.iter().map(|source| (source.ssrc, source.window.roll_over_counter()))
    }

    fn add(&mut self, ssrc: u32, window: Window) -> usize {
        self.entries.push(Source { ssrc, window, restored: false });
        self.entries.len() - 1
    }
}
