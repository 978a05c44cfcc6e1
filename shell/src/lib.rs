//! What both programs do the same way around the core: configuration layers, commands, logs, metrics text, listeners,
//! limits, signals.
//!
//! Nothing here knows SIP, WebRTC media or TURN: a program brings its own configuration type, its own metrics and its
//! own state machine.

pub mod accept;
pub mod config;
pub mod epoll;
pub mod firewall;
pub mod http;
pub mod limits;
pub mod log;
pub mod machine;
pub mod metrics;
pub mod program;
pub mod signals;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tls;
