use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair};
use dimpl::{Config, Dtls, Output};

use super::*;
use crate::crypto::DtlsCertificate;

const LISTENER: SocketId = SocketId(1);
const FIRST_FLOW: FlowId = FlowId(1 << 62);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

fn certificate() -> DtlsCertificate {
    DtlsCertificate::generate(&CryptoProvider::system(), std::time::SystemTime::now()).unwrap()
}

fn identity(certificate: &DtlsCertificate) -> DtlsIdentity {
    DtlsIdentity::new(certificate.certificate_der(), certificate.private_key_der()).unwrap()
}

/// A server, and as much time as has passed.
struct Scene {
    flows: DtlsFlows<()>,
    now: Instant,
    /// What the server sent to clients that aren't looking.
    sent: Vec<(SocketAddr, Vec<u8>)>,
    events: Vec<DtlsEvent>,
    places: usize,
}

/// A client and what it was told.
struct Client {
    dtls: Dtls,
    remote: SocketAddr,
    connected: bool,
    certificate: Vec<u8>,
    received: Vec<Vec<u8>>,
    closed: bool,
}

impl Client {
    fn new(scene: &Scene, remote: &str) -> Self {
        let certificate = certificate();
        let certificate = dimpl::DtlsCertificate {
            certificate: certificate.certificate_der().to_vec(),
            private_key: certificate.private_key_der().to_vec(),
        };
        let mut dtls = Dtls::new_12(Arc::new(Config::default()), certificate, scene.now);
        dtls.set_active(true);
        dtls.handle_timeout(scene.now).unwrap();
        Client {
            dtls,
            remote: remote.parse().unwrap(),
            connected: false,
            certificate: Vec::new(),
            received: Vec::new(),
            closed: false,
        }
    }

    /// What it wants to send.
    fn outgoing(&mut self) -> Vec<Vec<u8>> {
        let mut buffer = vec![0; 20_000];
        let mut datagrams = Vec::new();
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(datagram) => datagrams.push(datagram.to_vec()),
                Output::Timeout(_) => return datagrams,
                Output::Connected => self.connected = true,
                Output::PeerCert(certificate) => self.certificate = certificate.to_vec(),
                Output::ApplicationData(data) => self.received.push(data.to_vec()),
                Output::CloseNotify => self.closed = true,
                _ => {}
            }
        }
    }
}

impl Scene {
    fn new(certificate: &DtlsCertificate) -> Self {
        let now = Instant::now();
        let flows =
            DtlsFlows::new(now, identity(certificate), HANDSHAKE_TIMEOUT, FIRST_FLOW, &CryptoProvider::system());
        Scene { flows: flows.unwrap(), now, sent: Vec::new(), events: Vec::new(), places: usize::MAX }
    }

    fn receive(&mut self, remote: SocketAddr, datagram: &[u8]) {
        let places = &mut self.places;
        let place = || {
            *places = places.checked_sub(1)?;
            Some(())
        };
        self.flows.handle_datagram(self.now, LISTENER, remote, datagram, place);
        self.collect();
    }

    fn collect(&mut self) {
        let mut slot = vec![0; MAX_DATAGRAM];
        loop {
            let mut packet = PacketBuf::empty(&mut slot, 0);
            let Some(transmit) = self.flows.poll_transmit(&mut packet) else { break };
            let Transmit::Datagram { socket: LISTENER, destination } = transmit else { panic!("{transmit:?}") };
            self.sent.push((destination, packet.as_slice().to_vec()));
        }
        self.events.extend(std::iter::from_fn(|| self.flows.poll_event()));
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.flows.handle_timeout(self.now);
        self.collect();
    }

    /// Carries datagrams both ways until nobody has anything to say.
    fn carry(&mut self, client: &mut Client) {
        loop {
            let outgoing = client.outgoing();
            outgoing.iter().for_each(|datagram| self.receive(client.remote, datagram));
            let (mine, others) = std::mem::take(&mut self.sent).into_iter().partition(|(to, _)| *to == client.remote);
            self.sent = others;
            if outgoing.is_empty() && mine.is_empty() {
                return;
            }
            for (_, datagram) in mine {
                client.dtls.handle_packet(&datagram).unwrap();
                // An event at a time: the library wants to be drained after each.
                for datagram in client.outgoing() {
                    self.receive(client.remote, &datagram);
                }
            }
        }
    }

    /// A client whose handshake is done.
    fn connect(&mut self, remote: &str) -> (Client, FlowId) {
        let mut client = Client::new(self, remote);
        self.carry(&mut client);
        assert!(client.connected);
        let opened = self.events.pop();
        let Some(DtlsEvent::Opened { flow, remote }) = opened else { panic!("{opened:?}") };
        assert_eq!(remote, client.remote);
        (client, flow)
    }
}

#[test]
fn frames_go_both_ways_after_a_handshake_without_a_client_certificate() {
    let certificate = certificate();
    let mut scene = Scene::new(&certificate);
    let (mut client, flow) = scene.connect("192.0.2.1:5000");
    assert_eq!(flow, FIRST_FLOW);
    assert_eq!(client.certificate, certificate.certificate_der());
    for len in [1, 20, 1500, MAX_RECORD_DATA] {
        let frame = vec![7; len];
        client.dtls.send_application_data(&frame).unwrap();
        scene.carry(&mut client);
        assert_eq!(scene.events.pop(), Some(DtlsEvent::Frame(flow, frame.clone())));
        scene.flows.send(scene.now, flow, &frame);
        scene.collect();
        scene.carry(&mut client);
        assert_eq!(client.received.pop(), Some(frame));
    }
    scene.flows.send(scene.now, flow, &vec![7; MAX_RECORD_DATA + 1]);
    assert_eq!(scene.flows.drops().get(DropReason::NoRoom), 1, "no record holds it");
    assert_eq!(scene.flows.poll_timeout(), None, "nothing is waited for");
}

#[test]
fn strangers_get_a_cookie_and_leave_nothing_behind() {
    let mut scene = Scene::new(&certificate());
    let hello = Client::new(&scene, "192.0.2.1:1").outgoing().remove(0);
    for port in 1..2000 {
        let remote = SocketAddr::from(([192, 0, 2, 1], port));
        scene.receive(remote, &hello);
        let (to, answer) = scene.sent.pop().unwrap();
        assert!(to == remote && answer.len() <= hello.len(), "no amplification");
    }
    assert_eq!((scene.flows.len(), scene.flows.by_path.len(), scene.flows.timers.len()), (0, 0, 0));
    assert!(scene.events.is_empty());
    // A cookie that was given to another address is worth nothing.
    let mut client = Client::new(&scene, "192.0.2.9:1");
    scene.receive(client.remote, &client.outgoing().remove(0));
    client.dtls.handle_packet(&scene.sent.pop().unwrap().1).unwrap();
    let second = client.outgoing().remove(0);
    scene.receive("192.0.2.10:1".parse().unwrap(), &second);
    assert_eq!(scene.flows.len(), 0);
    scene.receive(client.remote, &second);
    assert_eq!(scene.flows.len(), 1);
}

#[test]
fn who_speaks_only_dtls_1_0_is_told_so() {
    let mut scene = Scene::new(&certificate());
    let client = "192.0.2.1:1".parse().unwrap();
    let mut hello = Client::new(&scene, "192.0.2.1:1").outgoing().remove(0);
    hello[26] = 0xff;
    scene.receive(client, &hello);
    assert_eq!(scene.sent, [(client, WRONG_VERSION.to_vec())]);
    assert_eq!(scene.flows.drops().get(DropReason::NotRecognised), 1);
}

#[test]
fn without_a_place_there_is_no_association() {
    let mut scene = Scene::new(&certificate());
    scene.places = 1;
    let (_first, _) = scene.connect("192.0.2.1:1");
    let mut second = Client::new(&scene, "192.0.2.1:2");
    scene.carry(&mut second);
    assert!(!second.connected);
    assert_eq!((scene.flows.len(), scene.flows.drops().get(DropReason::LimitReached)), (1, 1));
}

#[test]
fn a_handshake_has_its_time_and_lost_flights_are_sent_again() {
    let mut scene = Scene::new(&certificate());
    let mut client = Client::new(&scene, "192.0.2.1:1");
    scene.receive(client.remote, &client.outgoing().remove(0));
    client.dtls.handle_packet(&scene.sent.pop().unwrap().1).unwrap();
    scene.receive(client.remote, &client.outgoing().remove(0));
    let flight = scene.sent.len();
    assert!(flight > 0);
    scene.pass(Duration::from_secs(2));
    assert!(scene.sent.len() > flight, "again");
    while let Some(due) = scene.flows.poll_timeout() {
        assert!(due > scene.now);
        scene.pass(due - scene.now);
    }
    assert!(scene.flows.is_empty() && scene.events.is_empty(), "the owner never knew of it");
}

#[test]
fn either_side_says_goodbye() {
    let mut scene = Scene::new(&certificate());
    let (mut client, flow) = scene.connect("192.0.2.1:1");
    client.dtls.close().unwrap();
    scene.carry(&mut client);
    assert_eq!(scene.events, [DtlsEvent::Closed(flow)]);
    scene.events.clear();
    let (mut client, flow) = scene.connect("192.0.2.1:2");
    scene.flows.close(scene.now, flow);
    scene.collect();
    scene.carry(&mut client);
    assert!(client.closed && scene.events.is_empty(), "whoever closes knows");
    assert!(scene.flows.is_empty());
}

#[test]
fn a_client_that_begins_again_at_its_address_replaces_its_association() {
    let mut scene = Scene::new(&certificate());
    let (_lost, old) = scene.connect("192.0.2.1:1");
    let mut client = Client::new(&scene, "192.0.2.1:1");
    scene.carry(&mut client);
    assert!(client.connected);
    let [DtlsEvent::Closed(closed), DtlsEvent::Opened { flow, .. }] = scene.events[..] else {
        panic!("{:?}", scene.events)
    };
    assert_eq!((closed, scene.flows.len()), (old, 1));
    scene.events.clear();
    client.dtls.send_application_data(b"new").unwrap();
    scene.carry(&mut client);
    assert_eq!(scene.events, [DtlsEvent::Frame(flow, b"new".to_vec())]);
}

#[test]
fn what_anybody_could_send_does_an_association_no_harm() {
    let mut scene = Scene::new(&certificate());
    let (mut client, flow) = scene.connect("192.0.2.1:1");
    client.dtls.send_application_data(b"recorded").unwrap();
    let recorded = client.outgoing().remove(0);
    scene.receive(client.remote, &recorded);
    scene.events.clear();
    scene.receive(client.remote, &recorded);
    assert!(scene.events.is_empty(), "a copy");
    for kind in 20..64 {
        for epoch in [0, 1, 2] {
            for len in [0, 1, 2, 30, 200] {
                let record = [&[kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 99, 0, len][..], &[2; 200]].concat();
                scene.receive(client.remote, &record[..13 + usize::from(len)]);
                scene.receive(client.remote, &record[..usize::from(len).min(13)]);
            }
        }
    }
    for at in 0..recorded.len() {
        let mut broken = recorded.clone();
        broken[at] ^= 0x40;
        scene.receive(client.remote, &broken);
    }
    assert!(scene.events.is_empty());
    client.dtls.send_application_data(b"still here").unwrap();
    scene.carry(&mut client);
    assert_eq!(scene.events, [DtlsEvent::Frame(flow, b"still here".to_vec())]);
    let stranger = "192.0.2.2:1".parse().unwrap();
    let before = scene.flows.drops().get(DropReason::UnknownSource);
    scene.receive(stranger, &recorded);
    assert_eq!(scene.flows.drops().get(DropReason::UnknownSource), before + 1);
}

#[test]
fn a_new_certificate_is_shown_from_the_next_handshake_on() {
    let mut scene = Scene::new(&certificate());
    let (mut before, flow) = scene.connect("192.0.2.1:1");
    let renewed = certificate();
    scene.flows.set_identity(identity(&renewed));
    let (after, _) = scene.connect("192.0.2.1:2");
    assert_eq!(after.certificate, renewed.certificate_der());
    before.dtls.send_application_data(b"goes on").unwrap();
    scene.carry(&mut before);
    assert_eq!(scene.events, [DtlsEvent::Frame(flow, b"goes on".to_vec())]);
}

#[test]
fn keys_on_p_384_are_taken_and_rubbish_is_refused() {
    let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    let sec1 = AsDer::<aws_lc_rs::encoding::EcPrivateKeyRfc5915Der<'_>>::as_der(&key.private_key()).unwrap();
    for key in [key.to_pkcs8v1().unwrap().as_ref(), sec1.as_ref()] {
        DtlsIdentity::new(b"certificate", key).unwrap();
        assert_eq!(DtlsIdentity::new(b"", key).unwrap_err(), DtlsKeyError);
    }
    assert_eq!(DtlsIdentity::new(b"certificate", b"no key").unwrap_err(), DtlsKeyError);
}
