//! Request methods.

use std::fmt;

use super::text;

macro_rules! methods {
    ($($variant:ident = $name:literal, $doc:literal;)*) => {
        /// A request method. Methods are case-sensitive (RFC 3261 section 7.1).
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Method {
            $(#[doc = $doc] $variant,)*
            /// Any other token.
            Other(String),
        }

        impl Method {
            /// As it stands on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Method::$variant => $name,)*
                    Method::Other(name) => name,
                }
            }

            /// Reads a method; none when it isn't a token.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($name => Some(Method::$variant),)*
                    _ => text::is_token(text).then(|| Method::Other(text.to_owned())),
                }
            }
        }
    };
}

methods! {
    Invite = "INVITE", "RFC 3261 section 13.";
    Ack = "ACK", "RFC 3261 section 13.";
    Bye = "BYE", "RFC 3261 section 15.";
    Cancel = "CANCEL", "RFC 3261 section 9.";
    Options = "OPTIONS", "RFC 3261 section 11.";
    Register = "REGISTER", "RFC 3261 section 10.";
    Prack = "PRACK", "RFC 3262.";
    Update = "UPDATE", "RFC 3311.";
    Info = "INFO", "RFC 6086.";
    Refer = "REFER", "RFC 3515.";
    Notify = "NOTIFY", "RFC 6665.";
    Subscribe = "SUBSCRIBE", "RFC 6665.";
    Message = "MESSAGE", "RFC 3428.";
    Publish = "PUBLISH", "RFC 3903.";
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
