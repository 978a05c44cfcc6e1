//! What the examples have in common.

pub mod turn_client;
