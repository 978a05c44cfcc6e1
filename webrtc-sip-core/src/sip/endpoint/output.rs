//! Messages that wait for the shell to send them.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};

use crate::io::{DropCounters, DropReason, FlowId, PacketBuf, Transmit};

/// A bounded queue of serialised messages with their routes.
#[derive(Debug)]
pub(super) struct Output {
    queue: VecDeque<(Transmit, Bytes)>,
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
}

impl Output {
    pub(super) fn new(max_messages: usize, max_bytes: usize) -> Self {
        Output { queue: VecDeque::new(), bytes: 0, max_messages, max_bytes }
    }

    /// Queues a message; false when it doesn't fit the limits. To SIP that is a lost packet.
    pub(super) fn push(&mut self, route: Transmit, bytes: Bytes) -> bool {
        if self.queue.len() >= self.max_messages || self.bytes + bytes.len() > self.max_bytes {
            return false;
        }
        self.bytes += bytes.len();
        self.queue.push_back((route, bytes));
        true
    }

    /// Writes the next message, or as much of a byte stream's as fits.
    pub(super) fn pop(&mut self, out: &mut PacketBuf<'_>, drops: &mut DropCounters) -> Option<Transmit> {
        loop {
            let (route, bytes) = self.queue.front_mut()?;
            let route = *route;
            if out.tailroom() == 0 {
                return None;
            }
            let len = match route {
                Transmit::Datagram { .. } | Transmit::Unfragmented { .. } => bytes.len(),
                Transmit::Stream(_) => bytes.len().min(out.tailroom()),
            };
            if out.extend_from_slice(&bytes[..len]).is_err() {
                drops.count(DropReason::NoRoom);
                self.bytes -= bytes.len();
                self.queue.pop_front();
                continue;
            }
            self.bytes -= len;
            bytes.advance(len);
            if bytes.is_empty() {
                self.queue.pop_front();
            }
            return Some(route);
        }
    }

    /// Forgets what was meant for a byte stream that is gone.
    pub(super) fn forget_flow(&mut self, flow: FlowId) {
        self.queue.retain(|(route, _)| *route != Transmit::Stream(flow));
        self.bytes = self.queue.iter().map(|(_, bytes)| bytes.len()).sum();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::SocketId;

    fn datagram() -> Transmit {
        Transmit::Datagram { socket: SocketId(1), destination: "192.0.2.1:5060".parse().unwrap() }
    }

    #[test]
    fn streams_are_cut_and_datagrams_are_not() {
        let mut drops = DropCounters::default();
        let mut output = Output::new(10, 100);
        let stream = Transmit::Stream(FlowId(1));
        assert!(output.push(stream, Bytes::from_static(b"abcdef")));
        assert!(output.push(datagram(), Bytes::from_static(b"too long")));
        assert!(output.push(datagram(), Bytes::from_static(b"fits")));
        let mut polled = Vec::new();
        let mut storage = [0; 4];
        loop {
            let mut out = PacketBuf::empty(&mut storage, 0);
            let Some(route) = output.pop(&mut out, &mut drops) else { break };
            polled.push((route, out.as_slice().to_vec()));
        }
        assert_eq!(polled, [(stream, b"abcd".to_vec()), (stream, b"ef".to_vec()), (datagram(), b"fits".to_vec())]);
        assert_eq!(drops.get(DropReason::NoRoom), 1);
        assert_eq!(output.bytes, 0);
    }

    #[test]
    fn limits_hold_and_closed_flows_are_forgotten() {
        let mut output = Output::new(2, 10);
        assert!(output.push(Transmit::Stream(FlowId(1)), Bytes::from_static(b"12345678")));
        assert!(!output.push(datagram(), Bytes::from_static(b"123")));
        output.forget_flow(FlowId(1));
        assert!(output.push(datagram(), Bytes::from_static(b"123")));
        assert!(output.push(datagram(), Bytes::from_static(b"123")));
        assert!(!output.push(datagram(), Bytes::from_static(b"1")));
    }
}
