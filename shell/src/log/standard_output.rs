//! Logs on standard output.

use std::io::{self, Write};
use std::time::SystemTime;

use super::sink::Sink;

/// The standard output of this process.
pub(super) struct StandardOutput;

impl Sink for StandardOutput {
    fn write_line(&mut self, _: SystemTime, line: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(line)?;
        stdout.flush()
    }

    fn name(&self) -> String {
        "standard output".to_owned()
    }
}
