//! What is wrong with the log itself stands on standard error.

use std::fmt::Display;
use std::io::{self, Write};

/// Says it in a line of its own. Where standard error takes nothing `eprintln!` would end the thread, and the log with it.
pub(super) fn complain(problem: impl Display) {
    let _ = io::stderr().write_all(format!("{problem}\n").as_bytes());
}
