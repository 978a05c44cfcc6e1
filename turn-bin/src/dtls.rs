//! The certificate for DTLS, which is that of TLS where its key is of a kind that both can use.

use std::sync::Arc;

use shell::accept::ConnectionLimit;
use shell::tls::Identity;
use tokio::sync::watch;
use webrtc_sip_core::turn::dtls::DtlsIdentity;

use crate::worker::{Inbox, WorkerInput};

/// Gives the certificate in force to the workers.
pub(crate) async fn hand_out(identity: &Identity, workers: &[Inbox], limit: &ConnectionLimit) {
    let leaf = identity.chain.first().map_or(&[][..], |leaf| leaf.as_ref());
    match DtlsIdentity::new(leaf, identity.key.secret_der()) {
        Ok(identity) => {
            for worker in workers {
                // A worker is gone only when the process ends.
                let (identity, limit) = (Box::new(identity.clone()), limit.clone());
                let _ = worker.send(WorkerInput::Certificate { identity, limit }).await;
            }
        }
        Err(error) => tracing::warn!("tls.key: TLS is served, DTLS with this certificate isn't: {error}"),
    }
}

/// Gives each certificate that comes into force to the workers, until it is dropped.
pub(crate) async fn follow(
    mut identities: watch::Receiver<Arc<Identity>>,
    workers: Vec<Inbox>,
    limit: ConnectionLimit,
) {
    while identities.changed().await.is_ok() {
        let identity = identities.borrow_and_update().clone();
        hand_out(&identity, &workers, &limit).await;
    }
}
