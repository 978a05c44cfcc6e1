//! The header's fields (RFC 8489 section 5).

use std::fmt;

/// Length of the header in bytes.
pub(super) const HEADER_LEN: usize = 20;
/// The same in each message; also what addresses are hidden by (section 14.2).
pub(super) const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// What a message is within its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Asks for a response.
    Request,
    /// Asks for none.
    Indication,
    /// The response to a request that was fulfilled.
    Success,
    /// The response to a request that wasn't; ERROR-CODE says why.
    Error,
}

/// What a message is about; 12 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Method(pub u16);

impl Method {
    /// RFC 8489 section 3.
    pub const BINDING: Method = Method(0x001);
    /// RFC 8656 section 7.
    pub const ALLOCATE: Method = Method(0x003);
    /// RFC 8656 section 8.
    pub const REFRESH: Method = Method(0x004);
    /// RFC 8656 section 11.1.
    pub const SEND: Method = Method(0x006);
    /// RFC 8656 section 11.3.
    pub const DATA: Method = Method(0x007);
    /// RFC 8656 section 10.
    pub const CREATE_PERMISSION: Method = Method(0x008);
    /// RFC 8656 section 12.
    pub const CHANNEL_BIND: Method = Method(0x009);
    /// RFC 6062 section 4.3.
    pub const CONNECT: Method = Method(0x00a);
    /// RFC 6062 section 4.3.
    pub const CONNECTION_BIND: Method = Method(0x00b);
    /// RFC 6062 section 4.4.
    pub const CONNECTION_ATTEMPT: Method = Method(0x00c);
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "method-{:#05x}", self.0)
    }
}

/// What a response has in common with its request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId(pub [u8; 12]);

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("transaction-")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The message type: the bits of the method with those of the class between them.
pub(super) fn encode_type(class: Class, method: Method) -> [u8; 2] {
    let class = match class {
        Class::Request => 0x000,
        Class::Indication => 0x010,
        Class::Success => 0x100,
        Class::Error => 0x110,
    };
    let method = method.0;
    (class | method & 0x00f | (method & 0x070) << 1 | (method & 0xf80) << 2).to_be_bytes()
}

/// The other way round. The two top bits, which are zero in STUN, don't matter.
pub(super) fn decode_type(bytes: [u8; 2]) -> (Class, Method) {
    let bits = u16::from_be_bytes(bytes);
    let class = match bits & 0x110 {
        0x000 => Class::Request,
        0x010 => Class::Indication,
        0x100 => Class::Success,
        _ => Class::Error,
    };
    (class, Method(bits & 0x00f | bits >> 1 & 0x070 | bits >> 2 & 0xf80))
}
