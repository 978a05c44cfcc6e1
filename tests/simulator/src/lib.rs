//! A whole telephone network on a fake clock: gateways, browsers, SIP phones, and a network between them that loses,
//! delays, reorders and duplicates packets.
//!
//! Nothing here opens a socket or reads a clock. A [`World`] is made from a seed, and everything that happens in it is a
//! function of that seed and of what the test makes its people do. Tests and fuzz targets share it.

mod audio;
mod browser;
mod network;
mod node;
mod phone;
pub mod script;
mod tap;
mod world;

pub use browser::{Browser, BrowserState};
pub use network::{Arrival, Conditions, Network};
pub use node::{Node, NodeSetup};
pub use phone::{Phone, PhoneBehaviour, PhoneState};
pub use tap::SrtpTap;
pub use world::{BrowserIndex, DrainOrder, NodeIndex, PhoneIndex, World};
