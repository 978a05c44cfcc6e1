//! Out of service and back again, as the configuration file says, while calls go on.

use std::sync::Arc;
use std::time::Duration;

use shell::http::{Phase, SharedPhase};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::control::Inside;

/// Takes a gateway that runs out of service and back.
#[derive(Debug)]
pub(crate) struct Maintenance {
    control: mpsc::Sender<Inside>,
    phase: Arc<SharedPhase>,
    /// On the way out of service.
    leaving: Mutex<Option<JoinHandle<()>>>,
}

impl Maintenance {
    pub(crate) fn new(control: mpsc::Sender<Inside>, phase: Arc<SharedPhase>) -> Self {
        Maintenance { control, phase, leaving: Mutex::default() }
    }

    /// Into maintenance, or back from it, where it isn't so already. Balancers have the time of `unready` to notice before
    /// anybody is refused.
    pub(crate) async fn set(&self, wanted: bool, unready: Duration) {
        let mut leaving = self.leaving.lock().await;
        match (self.phase.get(), wanted) {
            (Phase::Up, true) => {
                self.phase.set(Phase::Maintenance);
                tracing::info!("in maintenance: new users and calls are for others");
                *leaving = Some(tokio::spawn(leave(self.control.clone(), unready)));
            }
            (Phase::Maintenance, false) => {
                if let Some(task) = leaving.take() {
                    task.abort();
                    // It was cancelled, or had nothing left to do; either way it sends nothing after what is sent now.
                    let _ = task.await;
                }
                let _ = self.control.send(Inside::Undrain).await;
                self.phase.set(Phase::Up);
                tracing::info!("in service again");
            }
            _ => {}
        }
    }
}

async fn leave(control: mpsc::Sender<Inside>, unready: Duration) {
    tokio::time::sleep(unready).await;
    let (sender, drained) = oneshot::channel();
    // Neither queue nor answer is there any more when the process ends.
    let _ = control.send(Inside::Drain(sender)).await;
    if drained.await.is_ok() {
        tracing::info!("nobody is in a call any more");
    }
}
