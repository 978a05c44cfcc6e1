//! Endpoints in pairs on a fake clock.

mod calls;
mod link;
