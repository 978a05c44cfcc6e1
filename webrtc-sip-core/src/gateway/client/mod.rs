//! Signed-in clients: who they are, through which link they are reached, and what they haven't been told yet.

pub(crate) mod rpc;
mod sign_in;
mod table;

pub(crate) use sign_in::SignInSnapshot;

pub(crate) use table::{ClientEvent, ClientOutput, Clients};
