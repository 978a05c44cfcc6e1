//! The server against a client on a fake clock.

mod allocations;
mod amplification;
mod authentication;
mod bad_input;
mod connections;
mod discovery;
mod handover;
mod mobility;
mod model;
mod quotas;
mod relaying;
mod rfc8656;
mod scene;
mod tcp;
mod tenants;
#[cfg(feature = "oauth")]
mod tokens;
