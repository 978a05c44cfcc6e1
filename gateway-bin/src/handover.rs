//! Calls that outlive this instance: written down here, taken up by another one that has the same DTLS certificate
//! (`media.certificate`).
//!
//! A snapshot contains keys. Whoever stores one has to encrypt it, and has to see to it that one instance at a time
//! goes on with a call.

use tokio::sync::oneshot;
use webrtc_sip_core::gateway::{CallSnapshot, RestoreError};
use webrtc_sip_core::ids::CallId;

use crate::Running;
use crate::control::Inside;

impl Running {
    /// Writes down every answered call whose media are connected. The calls go on here meanwhile. Who asks while others
    /// do waits for them.
    pub async fn snapshot_calls(&self) -> Vec<CallSnapshot> {
        let _turn = self.snapshots.lock().await;
        let (reply, snapshots) = oneshot::channel();
        let _ = self.control.inside.send(Inside::Snapshot(reply)).await;
        // Nothing is answered when the control task is gone, and its calls with it.
        snapshots.await.unwrap_or_default()
    }

    /// Goes on with a call that another instance wrote down: its SIP side gets a re-INVITE at once, and its browser is
    /// answered when it resumes its sign-in here and restarts ICE.
    pub async fn restore_call(&self, snapshot: CallSnapshot) -> Result<CallId, RestoreError> {
        let (reply, restored) = oneshot::channel();
        let _ = self.control.inside.send(Inside::Restore(Box::new(snapshot), reply)).await;
        restored.await.unwrap_or(Err(RestoreError::Closing))
    }

    /// Ends as a process does that is killed: every socket closes and nobody is told. No BYE, no DTLS alert, no word to
    /// the clients. For whoever hands its calls over, or wants to see what happens.
    pub async fn vanish(self) {
        // Nobody listens where there is no connection.
        let _ = self.cut.send(true);
        for task in self.tasks {
            task.abort();
            // Cancelled, as ordered; its socket is closed now.
            let _ = task.await;
        }
        if let Some(turn) = self.turn_server {
            // What it told its clients is nothing: they see their allocations gone.
            let _ = turn.stop().await;
        }
        let _ = self.control.inside.send(Inside::Vanish).await;
        if !matches!(self.control_task.await, Ok(Ok(()))) {
            tracing::error!("the control task had failed");
        }
    }
}
