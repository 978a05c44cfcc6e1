//! What crosses the boundary between the state machines and the sockets: packets, routes and reasons for dropping.
//!
//! The core never owns a socket. The shell reads into a [`PacketBuf`], hands it to a `handle_*` method together with
//! the [`SocketId`] or [`FlowId`] it came from, and sends what `poll_transmit` writes to the returned [`Transmit`].

use std::fmt;
use std::net::SocketAddr;

/// A bound datagram socket, numbered by the shell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct SocketId(pub u32);

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "socket-{}", self.0)
    }
}

/// A byte-stream connection (TCP, TLS, WebSocket) that carries SIP, in the sense of RFC 5626 section 3. Numbered by
/// the shell for accepted connections and by the core for those it asks to be opened; the two ranges don't meet
/// because the core's have [`FlowId::OPENED_BY_CORE`] set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub u64);

impl FlowId {
    /// Set in the number of every flow that the core asked for.
    pub const OPENED_BY_CORE: u64 = 1 << 63;
}

impl fmt::Debug for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = if self.0 & Self::OPENED_BY_CORE == 0 { "in" } else { "out" };
        write!(f, "flow-{origin}-{}", self.0 & !Self::OPENED_BY_CORE)
    }
}

/// Where the bytes in the packet buffer are to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// As one datagram.
    Datagram {
        /// The socket to send from.
        socket: SocketId,
        /// The address to send to.
        destination: SocketAddr,
    },
    /// As one datagram that no router may fragment, and that isn't sent where it doesn't fit into one packet. Only a TURN
    /// server that was told that its owner can do so asks for it ([`crate::turn::TurnConfig::dont_fragment`]).
    Unfragmented {
        /// The socket to send from.
        socket: SocketId,
        /// The address to send to.
        destination: SocketAddr,
    },
    /// Appended to a byte stream.
    Stream(FlowId),
}

/// A packet in a caller-owned slot with head- and tailroom, so that headers and authentication tags can be added or
/// removed in place.
///
/// ```text
/// | headroom | packet | tailroom |
/// 0        start     end     storage.len()
/// ```
#[derive(Debug)]
pub struct PacketBuf<'a> {
    storage: &'a mut [u8],
    start: usize,
    end: usize,
}

/// The slot is too small for what was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet buffer has no room left")]
pub struct NoRoom;

impl<'a> PacketBuf<'a> {
    /// An empty packet that will grow from `headroom` on. A `headroom` past the end of `storage` leaves no room.
    pub fn empty(storage: &'a mut [u8], headroom: usize) -> Self {
        let start = headroom.min(storage.len());
        PacketBuf { storage, start, end: start }
    }

    /// The packet that stands in `storage[start..start + len]`, as read from a socket.
    ///
    /// # Panics
    /// When the range lies outside `storage`; the caller chose it.
    pub fn filled(storage: &'a mut [u8], start: usize, len: usize) -> Self {
        assert!(start + len <= storage.len(), "the packet lies inside its slot");
        PacketBuf { storage, start, end: start + len }
    }

    /// Length of the packet in bytes.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there are no bytes in the packet.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Unused bytes before the packet.
    pub fn headroom(&self) -> usize {
        self.start
    }

    /// Unused bytes after the packet.
    pub fn tailroom(&self) -> usize {
        self.storage.len() - self.end
    }

    /// The packet.
    pub fn as_slice(&self) -> &[u8] {
        &self.storage[self.start..self.end]
    }

    /// The packet, to be rewritten in place.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..self.end]
    }

    /// Offset of the packet inside its slot, for a caller that keeps the slot and not this view.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Forgets the packet; the next bytes go to `headroom` (as in [`PacketBuf::empty`]).
    pub fn clear(&mut self, headroom: usize) {
        self.start = headroom.min(self.storage.len());
        self.end = self.start;
    }

    /// Appends bytes, or leaves the packet as it was when they don't fit.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        self.grow_back(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// Adds `count` bytes of unspecified content at the end and returns them.
    pub fn grow_back(&mut self, count: usize) -> Result<&mut [u8], NoRoom> {
        let end = self.end.checked_add(count).filter(|end| *end <= self.storage.len()).ok_or(NoRoom)?;
        let grown = &mut self.storage[self.end..end];
        self.end = end;
        Ok(grown)
    }

    /// Adds `count` bytes of unspecified content at the front and returns them.
    pub fn grow_front(&mut self, count: usize) -> Result<&mut [u8], NoRoom> {
        let start = self.start.checked_sub(count).ok_or(NoRoom)?;
        let grown = &mut self.storage[start..self.start];
        self.start = start;
        Ok(grown)
    }

    /// Removes up to `count` bytes from the front.
    pub fn trim_front(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Keeps the first `len` bytes; does nothing when the packet is shorter.
    pub fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start + len);
    }
}

/// Why bytes from the wire, or bytes meant for it, went nowhere. Counted by whoever drops, in [`DropCounters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum DropReason {
    /// Not a protocol that is expected on this socket (RFC 7983 first-byte ranges).
    NotRecognised,
    /// The source address or the identifiers belong to nobody.
    UnknownSource,
    /// The packet violates its protocol's syntax.
    Malformed,
    /// An authentication tag, message integrity or digest didn't verify.
    AuthenticationFailed,
    /// Seen before, or too old for the replay window (RFC 3711 section 3.3.2).
    Replayed,
    /// A payload type that wasn't negotiated.
    UnknownPayloadType,
    /// A queue, table or buffer is at its configured limit.
    LimitReached,
    /// Arrived after its playout time.
    TooLate,
    /// Valid, but not of use in the current state (for example RTP before DTLS is done).
    OutOfState,
    /// The negotiated direction forbids it (RFC 3264 section 6.1), or the far side is on hold.
    DirectionInactive,
    /// The sender is not one that may talk to this socket.
    Forbidden,
    /// A user, a tenant or everybody together sent more than their bandwidth allows.
    OverQuota,
    /// The buffer to write into was too small.
    NoRoom,
    /// The answer would be many times as long as the question, whose sender nobody has proven.
    Amplifying,
}

impl DropReason {
    /// Every reason, in the order of its number.
    pub const ALL: [DropReason; 14] = [
        DropReason::NotRecognised,
        DropReason::UnknownSource,
        DropReason::Malformed,
        DropReason::AuthenticationFailed,
        DropReason::Replayed,
        DropReason::UnknownPayloadType,
        DropReason::LimitReached,
        DropReason::TooLate,
        DropReason::OutOfState,
        DropReason::DirectionInactive,
        DropReason::Forbidden,
        DropReason::OverQuota,
        DropReason::NoRoom,
        DropReason::Amplifying,
    ];

    /// A stable name for logs and metric labels.
    pub fn name(self) -> &'static str {
        match self {
            DropReason::NotRecognised => "not_recognised",
            DropReason::UnknownSource => "unknown_source",
            DropReason::Malformed => "malformed",
            DropReason::AuthenticationFailed => "authentication_failed",
            DropReason::Replayed => "replayed",
            DropReason::UnknownPayloadType => "unknown_payload_type",
            DropReason::LimitReached => "limit_reached",
            DropReason::TooLate => "too_late",
            DropReason::OutOfState => "out_of_state",
            DropReason::DirectionInactive => "direction_inactive",
            DropReason::Forbidden => "forbidden",
            DropReason::OverQuota => "over_quota",
            DropReason::NoRoom => "no_room",
            DropReason::Amplifying => "amplifying",
        }
    }
}

/// How often each [`DropReason`] happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DropCounters([u64; DropReason::ALL.len()]);

impl DropCounters {
    /// Counts one dropped packet.
    pub fn count(&mut self, reason: DropReason) {
        self.0[reason as usize] += 1;
    }

    /// How often `reason` was counted.
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Adds another set of counters to this one.
    pub fn merge(&mut self, other: &DropCounters) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|reason| (*reason, self.get(*reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_grows_and_shrinks_inside_its_slot() {
        let mut storage = [0u8; 16];
        let mut packet = PacketBuf::empty(&mut storage, 4);
        packet.extend_from_slice(b"body").unwrap();
        packet.grow_front(4).unwrap().copy_from_slice(b"head");
        assert_eq!(packet.as_slice(), b"headbody");
        assert_eq!((packet.headroom(), packet.tailroom()), (0, 8));
        assert_eq!(packet.grow_front(1).err(), Some(NoRoom));
        assert_eq!(packet.extend_from_slice(&[0; 9]), Err(NoRoom));
        packet.trim_front(4);
        packet.truncate(2);
        assert_eq!(packet.as_slice(), b"bo");
    }

    #[test]
    fn reasons_are_numbered_as_listed() {
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
    }
}
