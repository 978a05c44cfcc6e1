//! Where lines go: standard output, files, Elasticsearch; and a level for all of them that can be changed.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use tracing::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use super::elasticsearch::{Shipping, shipping_figures};
use super::error::LogError;
use super::file::{LogFile, Rotation};
use super::settings::{Log, LogFormat};
use super::sink::{Tolerant, lost_lines};
use super::standard_output::StandardOutput;

/// Lines that may wait for an output that is slow.
const MAX_WAITING: usize = 10_000;

/// How long the end of the program waits for an output that is stuck. The end of a writer takes no longer than 1.1 s, unless
/// standard output is stuck: it says there that it couldn't wait.
const LAST_LINES: Duration = Duration::from_millis(1500);
/// The same for the last request, which has a shorter limit of its own.
const LAST_REQUEST: Duration = Duration::from_secs(3);

/// Count the lines that found no place among those, for each output.
static OVERFLOWS: Mutex<Vec<ErrorCounter>> = Mutex::new(Vec::new());

/// Changes the level while running. When it is dropped, what waits is written.
pub struct LogHandle {
    level: reload::Handle<EnvFilter, Registry>,
    outputs: Outputs,
}

/// What takes lines.
#[derive(Default)]
struct Outputs {
    writers: Vec<WorkerGuard>,
    shipping: Option<Shipping>,
}

impl LogHandle {
    /// Takes over the level of a reloaded configuration, and how Elasticsearch is reached.
    pub fn reload(&self, log: &Log) {
        // The level was checked with the configuration; reloading fails only when the subscriber is gone.
        if let Ok(filter) = log.level.parse::<EnvFilter>() {
            let _ = self.level.reload(filter);
        }
        if let Some(shipping) = &self.outputs.shipping {
            shipping.reload(&log.elasticsearch);
        }
    }
}

/// Starts what takes lines, and installs the process-wide subscriber that gives them to it; one that is there already stays.
/// Files are `INSTANCE/PROGRAM.log` in the configured folder. Standard output has the lines when there is nothing else.
///
/// # Errors
/// A folder can't be written to, or a file can't be used.
pub fn init(program: &'static str, instance: &str, log: &Log) -> Result<LogHandle, LogError> {
    let filter = log.level.parse::<EnvFilter>().unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, level) = reload::Layer::new(filter);
    let mut outputs = Outputs::default();
    let mut layers = Vec::new();
    if let Some((shipping, inlet)) = Shipping::start(program, instance, &log.elasticsearch)? {
        layers.push(layer(LogFormat::Json, false, outputs.writer(inlet)));
        outputs.shipping = Some(shipping);
    }
    if let Some(path) = &log.path {
        let file = file(path.join(instance), program, log)?;
        layers.push(layer(log.format, false, outputs.writer(Tolerant::new(file))));
    }
    if layers.is_empty() {
        let writer = outputs.writer(Tolerant::new(StandardOutput));
        layers.push(layer(log.format, io::stdout().is_terminal(), writer));
    }
    let _ = tracing_subscriber::registry().with(filter).with(layers).try_init();
    Ok(LogHandle { level, outputs })
}

impl Outputs {
    /// A thread that writes, so that an output that is slow delays nobody.
    fn writer(&mut self, output: impl Write + Send + 'static) -> NonBlocking {
        let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(MAX_WAITING).finish(output);
        OVERFLOWS.lock().unwrap_or_else(PoisonError::into_inner).push(writer.error_counter());
        self.writers.push(guard);
        writer
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        for writer in std::mem::take(&mut self.writers) {
            end_within(LAST_LINES, writer);
        }
        // Afterwards: what is written last is sent too.
        end_within(LAST_REQUEST, self.shipping.take());
    }
}

/// Drops it, and goes on without it where that takes longer.
fn end_within(limit: Duration, output: impl Send + 'static) {
    let (ended, end) = mpsc::channel::<()>();
    let drop_it = move || {
        drop(output);
        drop(ended);
    };
    // Without a thread it is dropped here and now.
    if std::thread::Builder::new().name("log-end".to_owned()).spawn(drop_it).is_ok() {
        let _ = end.recv_timeout(limit);
    }
}

fn layer<S>(format: LogFormat, ansi: bool, writer: NonBlocking) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    match format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(writer).boxed(),
        LogFormat::Text => fmt::layer().with_target(false).with_ansi(ansi).with_writer(writer).boxed(),
    }
}

fn file(folder: PathBuf, program: &'static str, log: &Log) -> Result<LogFile, LogError> {
    let rotation = Rotation {
        bytes: log.rotate_megabytes << 20,
        age: Duration::from_secs(log.rotate_hours * 3600),
        keep: log.keep_files,
    };
    LogFile::open(folder.clone(), program, rotation).map_err(|error| LogError::of_folder("log.path", &folder, &error))
}

/// Lines that an output never had: a volume was full, slow or gone, the queue for Elasticsearch too, or Elasticsearch didn't
/// want them.
pub(crate) fn lost_log_lines() -> u64 {
    let overflows = OVERFLOWS.lock().unwrap_or_else(PoisonError::into_inner);
    let overflowed: u64 = overflows.iter().map(|counter| counter.dropped_lines() as u64).sum();
    let shipping = shipping_figures();
    lost_lines() + overflowed + shipping.lost + shipping.refused
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Ends when it is allowed to, or after a long time.
    struct Stuck(mpsc::Receiver<()>, Arc<AtomicBool>);

    impl Drop for Stuck {
        fn drop(&mut self) {
            let _ = self.0.recv_timeout(Duration::from_secs(60));
            self.1.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn an_output_that_is_stuck_is_left_and_another_is_waited_for() {
        let ended = Arc::<AtomicBool>::default();
        let (allow, allowed) = mpsc::channel();
        end_within(Duration::from_millis(1), Stuck(allowed, Arc::clone(&ended)));
        assert!(!ended.load(Ordering::Relaxed));
        drop(allow);
        let (_, allowed) = mpsc::channel();
        let ended = Arc::<AtomicBool>::default();
        end_within(Duration::from_secs(60), Stuck(allowed, Arc::clone(&ended)));
        assert!(ended.load(Ordering::Relaxed));
    }
}
