//! Cuts a byte stream into SIP messages (RFC 3261 section 18.3) and keep-alives (RFC 5626 section 4.4.1).

use bytes::{Buf as _, Bytes, BytesMut};

use super::limits::{MAX_HEADER_SECTION_BYTES, MAX_MESSAGE_BYTES};
use super::parse::{self, Fault, ParseError};

/// What comes out of a byte stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One whole message, for [`super::Message::parse`].
    Message(Bytes),
    /// The side that opened the connection asks for a sign of life; answer with [`PONG`].
    Ping,
    /// The answer to our [`PING`].
    Pong,
}

/// Sent now and then by the side that opened the connection (RFC 5626 section 3.5.1).
pub const PING: &[u8] = b"\r\n\r\n";
/// The answer to [`PING`].
pub const PONG: &[u8] = b"\r\n";

/// Bytes that wait for the rest of their message, of one connection. Holds at most [`StreamFramer::MAX_BUFFERED`].
#[derive(Debug)]
pub struct StreamFramer {
    buffer: BytesMut,
    /// We opened the connection, so line ends between messages are pongs; else pairs of them are pings.
    opened_by_us: bool,
    /// How far the buffer was searched for the end of the header section.
    searched: usize,
    /// Length of the message at the front of the buffer, once its header section is complete.
    message_len: Option<usize>,
    failed: bool,
}

impl StreamFramer {
    /// Bytes that a framer holds at most: what one read may add to an incomplete message.
    pub const MAX_BUFFERED: usize = 4 * MAX_MESSAGE_BYTES;

    /// For a new connection; `opened_by_us` decides what a line end between messages means.
    pub fn new(opened_by_us: bool) -> Self {
        StreamFramer { buffer: BytesMut::new(), opened_by_us, searched: 0, message_len: None, failed: false }
    }

    /// Takes bytes as they came from the connection. Drain [`StreamFramer::poll_frame`] after each call.
    pub fn handle_input(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() > Self::MAX_BUFFERED {
            self.failed = true;
        }
        if !self.failed {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next frame, or none until more bytes come.
    ///
    /// # Errors
    /// The end of a message can't be found any more: Content-Length is missing, malformed or repeated, or the message is
    /// too large. Send the answer if there is one, then close the connection; every further call fails too.
    pub fn poll_frame(&mut self) -> Result<Option<Frame>, ParseError> {
        if self.failed {
            return Err(ParseError::Dropped(Fault::TooLarge));
        }
        if self.message_len.is_none() {
            if let Some(keep_alive) = self.take_keep_alive() {
                return Ok(Some(keep_alive));
            }
            self.message_len = self.find_message_len().map_err(|fault| {
                self.failed = true;
                parse::reject_head(fault, &self.buffer)
            })?;
        }
        match self.message_len {
            Some(len) if self.buffer.len() >= len => {
                self.message_len = None;
                self.searched = 0;
                Ok(Some(Frame::Message(self.buffer.split_to(len).freeze())))
            }
            _ => Ok(None),
        }
    }

    /// Line ends before a message (RFC 3261 section 7.5): skipped, and reported where they are keep-alives.
    fn take_keep_alive(&mut self) -> Option<Frame> {
        if self.opened_by_us {
            return self.buffer.starts_with(PONG).then(|| {
                self.buffer.advance(PONG.len());
                Frame::Pong
            });
        }
        if self.buffer.starts_with(PING) {
            self.buffer.advance(PING.len());
            return Some(Frame::Ping);
        }
        // Half a ping waits for its other half, unless something else follows.
        let half = self.buffer.starts_with(PONG) && self.buffer.get(2).is_some_and(|byte| *byte != b'\r');
        if half {
            self.buffer.advance(PONG.len());
        }
        None
    }

    fn find_message_len(&mut self) -> Result<Option<usize>, Fault> {
        let from = self.searched.saturating_sub(3);
        let until = self.buffer.len().min(MAX_HEADER_SECTION_BYTES);
        let Some(at) = self.buffer[from.min(until)..until].windows(4).position(|window| window == b"\r\n\r\n") else {
            self.searched = self.buffer.len();
            return if self.buffer.len() < MAX_HEADER_SECTION_BYTES { Ok(None) } else { Err(Fault::TooLarge) };
        };
        let head_len = from + at;
        let body_len = parse::content_length_of(&self.buffer[..head_len])?.ok_or(Fault::ContentLength)?;
        let len = body_len.saturating_add(head_len + 4);
        if len <= MAX_MESSAGE_BYTES { Ok(Some(len)) } else { Err(Fault::TooLarge) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &str = "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKa\r\nCSeq: 1 OPTIONS\r\n";

    fn message(body: &str) -> String {
        format!("{OPTIONS}l: {}\r\n\r\n{body}", body.len())
    }

    /// Everything that comes out when the bytes come in pieces of `size`.
    fn frames(opened_by_us: bool, bytes: &[u8], size: usize) -> Result<Vec<Frame>, ParseError> {
        let mut framer = StreamFramer::new(opened_by_us);
        let mut frames = Vec::new();
        for piece in bytes.chunks(size) {
            framer.handle_input(piece);
            while let Some(frame) = framer.poll_frame()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    #[test]
    fn cuts_do_not_depend_on_how_bytes_arrive() {
        let (one, two) = (message("first\r\n\r\nbody"), message(""));
        let stream = format!("\r\n\r\n{one}\r\n{two}\r\n\r\n\r\n\r\n{one}");
        let expected = [
            Frame::Ping,
            Frame::Message(one.clone().into()),
            Frame::Message(two.into()),
            Frame::Ping,
            Frame::Ping,
            Frame::Message(one.into()),
        ];
        for size in 1..stream.len() {
            assert_eq!(frames(false, stream.as_bytes(), size).unwrap(), expected, "pieces of {size}");
        }
    }

    #[test]
    fn the_opener_hears_pongs_at_once() {
        let message = message("x");
        let stream = format!("\r\n{message}\r\n");
        let expected = [Frame::Pong, Frame::Message(message.into()), Frame::Pong];
        for size in 1..stream.len() {
            assert_eq!(frames(true, stream.as_bytes(), size).unwrap(), expected);
        }
    }

    #[test]
    fn a_message_without_an_end_is_answered_once_and_fatal() {
        for (field, status) in [
            ("", 400),
            ("l: -1\r\n", 400),
            ("l: 1\r\nContent-Length: 1\r\n", 400),
            ("l: x\r\n", 400),
            ("l: 99999999999999999999\r\n", 400),
            ("l: 70000\r\n", 513),
        ] {
            let mut framer = StreamFramer::new(false);
            framer.handle_input(format!("{OPTIONS}{field}\r\n").as_bytes());
            let Err(ParseError::Rejected(rejection)) = framer.poll_frame() else { panic!("{field} is fatal") };
            assert_eq!(rejection.response.status, status);
            assert_eq!(rejection.response.headers.get("CSeq"), Some("1 OPTIONS"));
            framer.handle_input(message("").as_bytes());
            assert!(framer.poll_frame().is_err());
        }
    }

    #[test]
    fn endless_headers_are_cut_short() {
        let mut framer = StreamFramer::new(false);
        framer.handle_input(OPTIONS.as_bytes());
        let line = format!("X: {}\r\n", "x".repeat(997));
        let taken = (0..100).take_while(|_| {
            framer.handle_input(line.as_bytes());
            framer.poll_frame() == Ok(None)
        });
        assert!(taken.count() <= MAX_HEADER_SECTION_BYTES / line.len());
        let mut flooded = StreamFramer::new(false);
        flooded.handle_input(&vec![b'\r'; StreamFramer::MAX_BUFFERED + 1]);
        assert_eq!(flooded.poll_frame(), Err(ParseError::Dropped(Fault::TooLarge)));
    }
}
