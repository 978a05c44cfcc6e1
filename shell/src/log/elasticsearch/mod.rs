//! Lines for Elasticsearch: they wait in a queue on disk, and a thread sends them to `_bulk`, a batch at a time, until the
//! server has each of them once.
//!
//! ```text
//! log ─ NonBlocking ─ Inlet ─ Queue ─ Loop ─ Client ─ server
//!                       document     Batch, Pace
//! ```
//!
//! `queue` (but for its files), `bulk` and `pace` have no sockets and no clock.

mod bulk;
mod client;
mod document;
mod figures;
mod pace;
mod queue;
mod settings;
mod shipper;
mod spool;

use std::io::Write;
use std::time::Duration;

use tokio::sync::watch;

pub use figures::{ShippingFigures, shipping_figures};
pub use settings::Elasticsearch;

use self::client::Client;
use self::document::Author;
use self::pace::Pace;
use self::queue::Queue;
use self::shipper::{Shipper, Work};
use self::spool::{Inlet, Spool};
use super::error::LogError;
use super::sink::Tolerant;
use crate::config::note_reload;

/// What sends the lines of this process. When it is dropped, what waits is sent as far as that goes at once.
pub(super) struct Shipping {
    client: watch::Sender<Client>,
    _shipper: Shipper,
}

impl Shipping {
    /// Starts where there is an address. The writer takes lines of JSON.
    ///
    /// # Errors
    /// The queue's folder or the file of certificates can't be used.
    pub(super) fn start(
        program: &'static str,
        instance: &str,
        settings: &Elasticsearch,
    ) -> Result<Option<(Self, impl Write + Send + use<>)>, LogError> {
        let (Some(url), Some(path)) = (&settings.url, &settings.queue_path) else { return Ok(None) };
        let (client, current) = watch::channel(Client::new(url, settings)?);
        let folder = path.join(instance).join(program);
        let queue = Queue::open(folder.clone(), settings.queue_megabytes << 20)
            .map_err(|error| LogError::of_folder("log.elasticsearch.queue_path", &folder, &error))?;
        let batch_bytes = settings.batch_kilobytes << 10;
        let spool = Spool::new(queue, batch_bytes);
        let pace = Pace::new(batch_bytes, Duration::from_secs(settings.batch_seconds));
        let work = Work { spool: spool.clone(), pace, client: current, index: settings.index.clone() };
        let shipper = Shipper::start(work).map_err(|error| {
            let problem = format!("no thread can be started: {error}");
            LogError::Now { key: "log.elasticsearch.url", problem }
        })?;
        let inlet = Tolerant::new(Inlet { spool, author: Author::new(program, instance) });
        Ok(Some((Shipping { client, _shipper: shipper }, inlet)))
    }

    /// Takes over address, credentials and certificates. What can't be used is logged and left as it is.
    pub(super) fn reload(&self, settings: &Elasticsearch) {
        let client = settings.url.as_ref().map(|url| Client::new(url, settings)).transpose();
        note_reload("log.elasticsearch", client.is_ok());
        match client {
            Ok(Some(client)) => drop(self.client.send_replace(client)),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the settings of Elasticsearch weren't reloaded"),
        }
    }
}
