//! A shard on a fake clock, with simulated browsers and phones on a link that loses and reorders.

mod calls;
mod hold;
mod signals;
mod takeover;
mod world;
