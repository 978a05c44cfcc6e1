//! The state of a leg that another instance needs to go on with it.

use serde::{Deserialize, Serialize};

use crate::ids::LegId;

/// Versioned state of one WebRTC or plain leg.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LegSnapshot {
    /// Version of this layout; 1.
    pub version: u32,
    /// The leg's id at the old owner; the new owner may rename it.
    pub leg: LegId,
}
