//! SIP (RFC 3261): messages, transactions, dialogs, registrations, and the endpoint that ties them together.

pub mod auth;
pub mod dialog;
pub mod endpoint;
pub mod framing;
pub mod headers;
mod host;
pub mod limits;
mod message;
mod method;
mod params;
mod parse;
mod status;
#[cfg(test)]
mod tests;
mod text;
pub mod transaction;
mod uri;

pub use headers::{
    CSeq, CallIdHeader, HeaderError, HeaderName, Headers, MediaType, NameAddr, RAck, Reason, Refresher, Replaces,
    SessionExpires, Transport, Via,
};
pub use host::Host;
pub use message::{Message, Request, Response};
pub use method::Method;
pub use params::Params;
pub use parse::{Fault, ParseError, Rejection};
pub use status::reason_phrase;
pub use uri::{SipUri, TelUri, Uri, UriError};
pub mod validate;
