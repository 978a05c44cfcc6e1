//! HTTP: the listener, and what every program says of its health.

mod health;
mod listener;

pub use health::{Phase, SharedPhase, fresh, is_alive, ready};
pub use listener::{Cut, Place, bind, serve};
