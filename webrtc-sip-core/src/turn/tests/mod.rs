//! The server against a client on a fake clock.

mod allocations;
mod authentication;
mod model;
mod relaying;
mod scene;
