//! Endpoints in pairs on a fake clock, and one endpoint against messages written by hand.

mod calls;
mod link;
mod registrations;
mod scripted;
mod session_timers;
mod weather;
mod wire;
