//! HTTP: the listener, and what every program says of its health.

mod health;
mod listener;
mod probe;

pub use health::{Phase, SharedPhase, fresh, is_alive, ready};
pub use listener::{Cut, Place, bind, serve};
pub use probe::{NotReady, ask_ready};
