//! Where the process stands in its life, and how probes are told.

use std::sync::atomic::{AtomicU8, Ordering};

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

/// Where the process stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not everything is up.
    Starting,
    /// It serves.
    Up,
    /// It serves everybody, and asks balancers to send nobody new.
    Leaving,
    /// It serves those who are there, until it is told to be up again.
    Maintenance,
    /// It serves those who are there and takes nobody new.
    Draining,
}

/// The phase, shared.
#[derive(Debug)]
pub struct SharedPhase(AtomicU8);

impl Default for SharedPhase {
    fn default() -> Self {
        SharedPhase(AtomicU8::new(Phase::Starting as u8))
    }
}

impl SharedPhase {
    /// Where the process stands.
    pub fn get(&self) -> Phase {
        match self.0.load(Ordering::Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Up,
            2 => Phase::Leaving,
            3 => Phase::Maintenance,
            _ => Phase::Draining,
        }
    }

    /// Moves on.
    pub fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }
}

/// `/isAlive`: the process works.
pub async fn is_alive() -> impl IntoResponse {
    fresh(json!({ "alive": true }))
}

/// `/ready`. Nothing but the own phase counts: what can't be reached shows elsewhere and doesn't cut off who is there.
/// `notes` are for people: what they should look after although it doesn't make this instance worse than others.
pub fn ready(phase: Phase, notes: &[String]) -> impl IntoResponse + use<> {
    let status = if phase == Phase::Up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = json!({ "ready": phase == Phase::Up });
    if !notes.is_empty() {
        body["notes"] = json!(notes);
    }
    (status, fresh(body))
}

/// An answer that holds for now.
pub fn fresh(body: Value) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(body))
}
