//! The attributes' numbers.

use std::fmt;

/// The type of an attribute (RFC 8489 section 14).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attribute(pub u16);

impl Attribute {
    /// RFC 8489 section 14.1.
    pub const MAPPED_ADDRESS: Attribute = Attribute(0x0001);
    /// RFC 5780 section 7.2.
    pub const CHANGE_REQUEST: Attribute = Attribute(0x0003);
    /// RFC 8489 section 14.3.
    pub const USERNAME: Attribute = Attribute(0x0006);
    /// RFC 8489 section 14.5.
    pub const MESSAGE_INTEGRITY: Attribute = Attribute(0x0008);
    /// RFC 8489 section 14.8.
    pub const ERROR_CODE: Attribute = Attribute(0x0009);
    /// RFC 8489 section 14.13.
    pub const UNKNOWN_ATTRIBUTES: Attribute = Attribute(0x000a);
    /// RFC 8656 section 18.1.
    pub const CHANNEL_NUMBER: Attribute = Attribute(0x000c);
    /// RFC 8656 section 18.2; in seconds.
    pub const LIFETIME: Attribute = Attribute(0x000d);
    /// RFC 8656 section 18.3.
    pub const XOR_PEER_ADDRESS: Attribute = Attribute(0x0012);
    /// RFC 8656 section 18.4.
    pub const DATA: Attribute = Attribute(0x0013);
    /// RFC 8489 section 14.9.
    pub const REALM: Attribute = Attribute(0x0014);
    /// RFC 8489 section 14.10.
    pub const NONCE: Attribute = Attribute(0x0015);
    /// RFC 8656 section 18.5.
    pub const XOR_RELAYED_ADDRESS: Attribute = Attribute(0x0016);
    /// RFC 8656 section 18.6.
    pub const REQUESTED_ADDRESS_FAMILY: Attribute = Attribute(0x0017);
    /// RFC 8656 section 18.7.
    pub const EVEN_PORT: Attribute = Attribute(0x0018);
    /// RFC 8656 section 18.8.
    pub const REQUESTED_TRANSPORT: Attribute = Attribute(0x0019);
    /// RFC 8656 section 18.9.
    pub const DONT_FRAGMENT: Attribute = Attribute(0x001a);
    /// RFC 7635 section 6.2.
    pub const ACCESS_TOKEN: Attribute = Attribute(0x001b);
    /// RFC 8489 section 14.6.
    pub const MESSAGE_INTEGRITY_SHA256: Attribute = Attribute(0x001c);
    /// RFC 8489 section 14.12.
    pub const PASSWORD_ALGORITHM: Attribute = Attribute(0x001d);
    /// RFC 8489 section 14.4.
    pub const USERHASH: Attribute = Attribute(0x001e);
    /// RFC 8489 section 14.2.
    pub const XOR_MAPPED_ADDRESS: Attribute = Attribute(0x0020);
    /// RFC 8656 section 18.10.
    pub const RESERVATION_TOKEN: Attribute = Attribute(0x0022);
    /// RFC 5780 section 7.6.
    pub const PADDING: Attribute = Attribute(0x0026);
    /// RFC 5780 section 7.5.
    pub const RESPONSE_PORT: Attribute = Attribute(0x0027);
    /// RFC 6062 section 6.2.1.
    pub const CONNECTION_ID: Attribute = Attribute(0x002a);
    /// RFC 8656 section 18.11.
    pub const ADDITIONAL_ADDRESS_FAMILY: Attribute = Attribute(0x8000);
    /// RFC 8656 section 18.12.
    pub const ADDRESS_ERROR_CODE: Attribute = Attribute(0x8001);
    /// RFC 8489 section 14.11.
    pub const PASSWORD_ALGORITHMS: Attribute = Attribute(0x8002);
    /// RFC 8489 section 14.16.
    pub const ALTERNATE_DOMAIN: Attribute = Attribute(0x8003);
    /// RFC 8656 section 18.13.
    pub const ICMP: Attribute = Attribute(0x8004);
    /// RFC 8489 section 14.14.
    pub const SOFTWARE: Attribute = Attribute(0x8022);
    /// RFC 8489 section 14.15.
    pub const ALTERNATE_SERVER: Attribute = Attribute(0x8023);
    /// RFC 8489 section 14.7.
    pub const FINGERPRINT: Attribute = Attribute(0x8028);
    /// RFC 5780 section 7.3.
    pub const RESPONSE_ORIGIN: Attribute = Attribute(0x802b);
    /// RFC 5780 section 7.4.
    pub const OTHER_ADDRESS: Attribute = Attribute(0x802c);
    /// RFC 7635 section 6.1.
    pub const THIRD_PARTY_AUTHORIZATION: Attribute = Attribute(0x802e);
    /// draft-ietf-tram-stun-origin-06, which never became an RFC.
    pub const ORIGIN: Attribute = Attribute(0x802f);
    /// RFC 8016 section 3.3.
    pub const MOBILITY_TICKET: Attribute = Attribute(0x8030);

    /// Whether a request with it must be refused by those who don't know it (comprehension-required).
    pub fn is_required(self) -> bool {
        self.0 < 0x8000
    }
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attribute-{:#06x}", self.0)
    }
}
