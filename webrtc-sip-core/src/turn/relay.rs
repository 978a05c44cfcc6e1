//! The packet paths: client to peer and peer to client.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use crate::io::{DropReason, PacketBuf, SocketId, Transmit};
use crate::stun::{Attribute, Class, Message, Method, TransactionId};

use super::allocation::ClientPath;
use super::event::{RelayTransport, Traffic};
use super::ledger::Direction;
use super::reply::{MAX_AMPLIFICATION, Reply};
use super::{AllocationKey, HEADROOM, TurnServer};

/// ChannelData: channel number and length (RFC 8656 section 12.4).
const CHANNEL_HEADER_LEN: usize = 4;
/// Header of a STUN message, and of an attribute.
const STUN_HEADER_LEN: usize = 20;
const ATTRIBUTE_HEADER_LEN: usize = 4;

impl TurnServer {
    pub(super) fn client_packet(
        &mut self,
        now: Instant,
        path: ClientPath,
        remote: SocketAddr,
        packet: &mut PacketBuf<'_>,
    ) -> Result<Option<Transmit>, DropReason> {
        // RFC 7983: 0 to 3 is STUN, 64 to 79 is ChannelData; up to 127 with the channels of RFC 5766.
        match packet.as_slice().first() {
            Some(0..=3) => {
                let message = Message::parse(packet.as_slice()).map_err(|_| DropReason::Malformed)?;
                match (message.class(), message.method()) {
                    (Class::Request, Method::BINDING) => {
                        let (reply, transmit) = self.binding(now, path, remote, &message)?;
                        answer(path, &reply, packet)?;
                        Ok(Some(transmit))
                    }
                    (Class::Request, _) => {
                        let Some(reply) = self.request(now, path, remote, message)? else { return Ok(None) };
                        answer(path, &reply, packet)?;
                        Ok(Some(path.transmit()))
                    }
                    (Class::Indication, Method::SEND) => {
                        let unfragmented = self.config.dont_fragment && message.get(Attribute::DONT_FRAGMENT).is_some();
                        let (peer, data) = addressed_data(message, unfragmented)?;
                        let Some(key) = self.allocation_of(now, path, packet.as_slice())? else { return Ok(None) };
                        let len = data.len();
                        packet.truncate(data.end);
                        packet.trim_front(data.start);
                        let (socket, destination) = self.send_to_peer(now, key, peer, len)?;
                        Ok(Some(match unfragmented {
                            true => Transmit::Unfragmented { socket, destination },
                            false => Transmit::Datagram { socket, destination },
                        }))
                    }
                    // A Binding indication keeps a NAT's mapping (RFC 8489 section 3); there is nothing to answer.
                    (Class::Indication, _) => Err(DropReason::OutOfState),
                    (Class::Success | Class::Error, _) => Err(DropReason::NotRecognised),
                }
            }
            Some(64..=127) => self.channel_data(now, path, packet),
            _ => Err(DropReason::NotRecognised),
        }
    }

    /// ChannelData from a client (RFC 8656 section 12.6).
    fn channel_data(
        &mut self,
        now: Instant,
        path: ClientPath,
        packet: &mut PacketBuf<'_>,
    ) -> Result<Option<Transmit>, DropReason> {
        let Some(key) = self.allocation_of(now, path, packet.as_slice())? else { return Ok(None) };
        let head = packet.as_slice().first_chunk::<CHANNEL_HEADER_LEN>().ok_or(DropReason::Malformed)?;
        let number = u16::from_be_bytes([head[0], head[1]]);
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if len > packet.len() - CHANNEL_HEADER_LEN {
            return Err(DropReason::Malformed);
        }
        let peer = self.allocations[key].peer_of(now, number).ok_or(DropReason::UnknownSource)?;
        packet.trim_front(CHANNEL_HEADER_LEN);
        packet.truncate(len);
        let (socket, destination) = self.send_to_peer(now, key, peer, len)?;
        Ok(Some(Transmit::Datagram { socket, destination }))
    }

    /// Which relay socket sends to a peer.
    fn send_to_peer(
        &mut self,
        now: Instant,
        key: AllocationKey,
        peer: SocketAddr,
        len: usize,
    ) -> Result<(SocketId, SocketAddr), DropReason> {
        let allocation = &mut self.allocations[key];
        if !allocation.permits(now, peer.ip()) || !self.config.peers.permits(peer) {
            return Err(DropReason::Forbidden);
        }
        let socket = allocation.relay_for(RelayTransport::Udp, peer).ok_or(DropReason::Forbidden)?;
        if !allocation.terms.seat.admits(now, Direction::ToPeer, len) {
            return Err(DropReason::OverQuota);
        }
        count(&mut allocation.sent, &mut self.stats.sent, len);
        Ok((socket, peer))
    }

    /// A datagram at a relay socket (RFC 8656 sections 11.3 and 12.7).
    pub(super) fn peer_packet(
        &mut self,
        now: Instant,
        key: AllocationKey,
        peer: SocketAddr,
        packet: &mut PacketBuf<'_>,
    ) -> Result<Transmit, DropReason> {
        let len = packet.len();
        let allocation = &mut self.allocations[key];
        if !allocation.permits(now, peer.ip()) || !self.config.peers.permits(peer) {
            return Err(DropReason::Forbidden);
        }
        if allocation.is_absent() {
            return Err(DropReason::OutOfState);
        }
        if !allocation.terms.seat.admits(now, Direction::FromPeer, len) {
            return Err(DropReason::OverQuota);
        }
        match allocation.channel_to(now, peer) {
            Some(number) => write_channel_data(packet, number, allocation.terms.transport.is_stream())?,
            None => {
                let mut transaction = [0; 12];
                // Nobody answers an indication, so nobody has to guess its number (RFC 8489 section 5).
                transaction[4..].copy_from_slice(&self.stats.received.packets.to_be_bytes());
                write_data_indication(packet, peer, TransactionId(transaction))?;
            }
        }
        count(&mut allocation.received, &mut self.stats.received, len);
        Ok(allocation.terms.client.transmit())
    }
}

/// Puts the answer in place of the request.
fn answer(path: ClientPath, reply: &Reply, packet: &mut PacketBuf<'_>) -> Result<(), DropReason> {
    // Whoever signs or answers in a connection is there; the source of a datagram may be anybody's.
    let limit = match path {
        ClientPath::Datagram { .. } if !reply.is_signed() => MAX_AMPLIFICATION * packet.len(),
        _ => usize::MAX,
    };
    packet.clear(HEADROOM);
    reply.write_within(limit, packet)
}

/// Whom a Send indication is for, and where its data lies (RFC 8656 section 11.2).
fn addressed_data(message: Message<'_>, unfragmented: bool) -> Result<(SocketAddr, Range<usize>), DropReason> {
    let known = [Attribute::XOR_PEER_ADDRESS, Attribute::DATA, Attribute::DONT_FRAGMENT];
    if !message.unknown_required(if unfragmented { &known } else { &known[..2] }).is_empty() {
        return Err(DropReason::Malformed);
    }
    let peer = message.xor_address(Attribute::XOR_PEER_ADDRESS).map_err(|_| DropReason::Malformed)?;
    peer.zip(message.value_range(Attribute::DATA)).ok_or(DropReason::Malformed)
}

fn count(allocation: &mut Traffic, server: &mut Traffic, len: usize) {
    for traffic in [allocation, server] {
        traffic.packets += 1;
        traffic.bytes += len as u64;
    }
}

impl ClientPath {
    /// How to answer.
    pub(super) fn transmit(self) -> Transmit {
        match self {
            ClientPath::Datagram { socket, remote } => Transmit::Datagram { socket, destination: remote },
            ClientPath::Flow(flow) => Transmit::Stream(flow),
        }
    }
}

fn write_channel_data(packet: &mut PacketBuf<'_>, number: u16, padded: bool) -> Result<(), DropReason> {
    let len = u16::try_from(packet.len()).map_err(|_| DropReason::NoRoom)?;
    if padded {
        pad(packet)?;
    }
    let header = packet.grow_front(CHANNEL_HEADER_LEN).map_err(|_| DropReason::NoRoom)?;
    header[..2].copy_from_slice(&number.to_be_bytes());
    header[2..].copy_from_slice(&len.to_be_bytes());
    Ok(())
}

/// Puts a STUN message around the packet: header, XOR-PEER-ADDRESS, DATA.
fn write_data_indication(
    packet: &mut PacketBuf<'_>,
    peer: SocketAddr,
    transaction: TransactionId,
) -> Result<(), DropReason> {
    let data_len = u16::try_from(packet.len()).map_err(|_| DropReason::NoRoom)?;
    pad(packet)?;
    let peer_len = if peer.is_ipv4() { 8 } else { 20 };
    let front = STUN_HEADER_LEN + ATTRIBUTE_HEADER_LEN + peer_len + ATTRIBUTE_HEADER_LEN;
    let len = u16::try_from(packet.len() + front - STUN_HEADER_LEN).map_err(|_| DropReason::NoRoom)?;
    let room = packet.grow_front(front).map_err(|_| DropReason::NoRoom)?;
    let mut head = PacketBuf::empty(room, 0);
    crate::stun::MessageWriter::new(&mut head, Class::Indication, Method::DATA, transaction)
        .and_then(|mut writer| writer.put_xor_address(Attribute::XOR_PEER_ADDRESS, peer).map(drop))
        .map_err(|_| DropReason::NoRoom)?;
    room[2..4].copy_from_slice(&len.to_be_bytes());
    let data = front - ATTRIBUTE_HEADER_LEN;
    room[data..data + 2].copy_from_slice(&Attribute::DATA.0.to_be_bytes());
    room[data + 2..].copy_from_slice(&data_len.to_be_bytes());
    Ok(())
}

/// Zeros up to a multiple of four bytes.
fn pad(packet: &mut PacketBuf<'_>) -> Result<(), DropReason> {
    let missing = packet.len().next_multiple_of(4) - packet.len();
    packet.extend_from_slice(&[0; 3][..missing]).map_err(|_| DropReason::NoRoom)
}
