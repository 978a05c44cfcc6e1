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

    /// Up, or in maintenance, where it isn't so already. Balancers have the time of `unready` to notice before anybody is
    /// refused.
    pub(crate) async fn set(&self, wanted: bool, unready: Duration) {
        match (self.phase.get(), wanted) {
            (Phase::Starting, false) => self.phase.set(Phase::Up),
            (Phase::Starting | Phase::Up, true) => {
                self.phase.set(Phase::Maintenance);
                tracing::info!("in maintenance: new users and calls are for others");
                *self.leaving.lock().await = Some(tokio::spawn(leave(self.control.clone(), unready)));
            }
            (Phase::Maintenance, false) => {
                self.cancel().await;
                let _ = self.control.send(Inside::Undrain).await;
                self.phase.set(Phase::Up);
                tracing::info!("in service again");
            }
            _ => {}
        }
    }

    /// Whoever is on the way out of service stays; what has been sent to the control task is sent.
    pub(crate) async fn cancel(&self) {
        if let Some(task) = self.leaving.lock().await.take() {
            task.abort();
            // It was cancelled, or had nothing left to do; either way it sends nothing from now on.
            let _ = task.await;
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
