//! DTLS at a worker's listening sockets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use shell::accept::ConnectionLimit;
use tokio::sync::OwnedSemaphorePermit;
use webrtc_sip_core::crypto::CryptoProvider;
use webrtc_sip_core::io::{DropCounters, DropReason, FlowId, PacketBuf, SocketId};
use webrtc_sip_core::turn::dtls::{DtlsEvent, DtlsFlows, DtlsIdentity};
use webrtc_sip_core::turn::{ClientTransport, HEADROOM};

use super::event_loop::Worker;

/// As long as with TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections over TCP, which all workers share, have the numbers below.
const FIRST_FLOW: FlowId = FlowId(1 << 62);

/// The associations of one worker; none without a certificate for them.
#[derive(Default)]
pub(super) struct Dtls(Option<Served>);

struct Served {
    flows: DtlsFlows<OwnedSemaphorePermit>,
    limit: ConnectionLimit,
}

impl Dtls {
    /// Takes over a certificate, for associations that begin from now on.
    pub(super) fn serve(
        &mut self,
        now: Instant,
        identity: DtlsIdentity,
        limit: ConnectionLimit,
        crypto: &CryptoProvider,
    ) {
        match &mut self.0 {
            Some(served) => served.flows.set_identity(identity),
            None => {
                let flows = DtlsFlows::new(now, identity, HANDSHAKE_TIMEOUT, FIRST_FLOW, crypto);
                self.0 = flows.map(|flows| Served { flows, limit });
            }
        }
    }

    fn flows(&mut self) -> Option<&mut DtlsFlows<OwnedSemaphorePermit>> {
        self.0.as_mut().map(|served| &mut served.flows)
    }

    /// Those of this number, where there are any.
    fn flows_with(&mut self, flow: FlowId) -> Option<&mut DtlsFlows<OwnedSemaphorePermit>> {
        self.flows().filter(|flows| flows.contains(flow))
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.0.as_ref().and_then(|served| served.flows.poll_timeout())
    }

    pub(super) fn add_drops(&self, drops: &mut DropCounters) {
        if let Some(served) = &self.0 {
            drops.merge(served.flows.drops());
        }
    }
}

impl Worker {
    /// The datagram of `len` bytes in `storage` is DTLS.
    pub(super) fn receive_dtls(
        &mut self,
        now: Instant,
        socket: SocketId,
        source: SocketAddr,
        storage: &mut [u8],
        len: usize,
    ) {
        let Some(Served { flows, limit }) = &mut self.dtls.0 else {
            return self.drops.count(DropReason::NotRecognised);
        };
        flows.handle_datagram(now, socket, source, &storage[HEADROOM..HEADROOM + len], || limit.try_place());
        self.serve_dtls(now, storage);
    }

    /// Whether the frame goes to a DTLS association; it is on its way then.
    pub(super) fn send_dtls(&mut self, flow: FlowId, frame: &[u8]) -> bool {
        let Some(flows) = self.dtls.flows_with(flow) else { return false };
        flows.send(Instant::now(), flow, frame);
        true
    }

    /// Whether this was a DTLS association.
    pub(super) fn close_dtls(&mut self, now: Instant, flow: FlowId) -> bool {
        let Some(flows) = self.dtls.flows_with(flow) else { return false };
        flows.close(now, flow);
        self.server.handle_flow_closed(now, flow);
        true
    }

    /// Sends again what was lost, and gives handshakes up that take too long.
    pub(super) fn handle_dtls_timeout(&mut self, now: Instant, storage: &mut [u8]) {
        if let Some(flows) = self.dtls.flows()
            && flows.poll_timeout().is_some_and(|due| due <= now)
        {
            flows.handle_timeout(now);
            self.serve_dtls(now, storage);
        }
    }

    /// Tells the server what happened to associations.
    fn serve_dtls(&mut self, now: Instant, storage: &mut [u8]) {
        while let Some(event) = self.dtls.flows().and_then(DtlsFlows::poll_event) {
            match event {
                DtlsEvent::Opened { flow, remote } => {
                    self.server.handle_flow_opened(now, flow, remote, ClientTransport::Dtls);
                }
                DtlsEvent::Frame(flow, frame) => self.take_frame(flow, &frame, storage),
                DtlsEvent::Closed(flow) => self.server.handle_flow_closed(now, flow),
            }
        }
    }

    /// Sends what associations have to send.
    pub(super) fn flush_dtls(&mut self, storage: &mut [u8]) {
        loop {
            let mut packet = PacketBuf::empty(storage, HEADROOM);
            let transmit = self.dtls.flows().and_then(|flows| flows.poll_transmit(&mut packet));
            let Some(transmit) = transmit else { return };
            self.send(transmit, packet.as_slice());
        }
    }
}
