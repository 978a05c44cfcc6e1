//! The server against a client on a fake clock.

mod allocations;
mod authentication;
mod handover;
mod model;
mod relaying;
mod scene;
