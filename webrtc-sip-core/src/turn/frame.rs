//! Cutting a byte stream into STUN messages and ChannelData (RFC 8656 section 12.4 and RFC 8489 section 6.2.2).

/// Longest frame that a client may send: a STUN message with the longest possible datagram in it.
pub const MAX_FRAME_LEN: usize = 20 + 65_535 + 3;

/// The stream holds neither STUN nor ChannelData; nothing after this can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the byte stream is neither STUN nor ChannelData")]
pub struct FramingError;

/// The length of the frame that `bytes` begin with, its padding included; none until its first four bytes are there. The
/// frame itself may be longer than `bytes`.
pub fn frame_len(bytes: &[u8]) -> Result<Option<usize>, FramingError> {
    let Some(head) = bytes.first_chunk::<4>() else {
        return match bytes.first() {
            Some(first) if first & 0xc0 > 0x40 => Err(FramingError),
            _ => Ok(None),
        };
    };
    let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
    match head[0] >> 6 {
        // A STUN message's length has two zero bits at its end (RFC 8489 section 5).
        0 if len.is_multiple_of(4) => Ok(Some(20 + len)),
        // ChannelData is padded on streams; the length doesn't say so.
        1 => Ok(Some(4 + len.next_multiple_of(4))),
        _ => Err(FramingError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_long_as_they_say() {
        assert_eq!(frame_len(&[]), Ok(None));
        assert_eq!(frame_len(&[0, 1, 0]), Ok(None));
        assert_eq!(frame_len(&[0, 1, 0, 8]), Ok(Some(28)));
        assert_eq!(frame_len(&[0x40, 0, 0, 5, 1]), Ok(Some(12)));
        assert_eq!(frame_len(&[0x4f, 0xff, 0xff, 0xff]), Ok(Some(65_540)));
        assert_eq!(frame_len(&[0, 1, 0, 7]), Err(FramingError));
        assert_eq!(frame_len(&[0x7f, 0, 0, 5]), Ok(Some(12)));
        assert_eq!(frame_len(&[0x80]), Err(FramingError));
        assert_eq!(frame_len(&[0x16, 3, 1, 2]), Err(FramingError));
    }
}
