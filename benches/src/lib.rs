//! Parts of the load generator, the soak and the allocation test: simulated browsers and phones with real media.
#![deny(missing_docs)]

pub mod browser;
pub mod call_media;
pub mod calls;
pub mod floor;
pub mod hearing;
pub mod parts;
pub mod phones;
pub mod proc;
pub mod process;
pub mod signalling;
pub mod soak;
pub mod speech;
pub mod table;
pub mod turn;
