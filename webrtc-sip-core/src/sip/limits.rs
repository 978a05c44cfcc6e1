//! What a message may hold at most. Past a limit a request is answered (400, 414, 513) or dropped, never stored.

/// Bytes of one message, header section and body together. A UDP datagram can't be longer.
pub const MAX_MESSAGE_BYTES: usize = 65_536;
/// Bytes of the start line and all header fields.
pub const MAX_HEADER_SECTION_BYTES: usize = 32_768;
/// Bytes of the start line.
pub const MAX_START_LINE_BYTES: usize = 8_192;
/// Header fields of one message, each element of a comma-separated list counted.
pub const MAX_HEADERS: usize = 256;
/// Bytes of one URI.
pub const MAX_URI_BYTES: usize = 4_096;
/// Parameters of one URI or header field.
pub const MAX_PARAMS: usize = 64;
