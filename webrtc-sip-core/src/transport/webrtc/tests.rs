//! Two transports on a fake clock, with a link between them that loses, delays and reorders.

use std::time::SystemTime;

use super::*;
use crate::crypto::{CryptoProvider, DtlsCertificate};
use crate::rng::Rng;

const MS: Duration = Duration::from_millis(1);

struct End {
    transport: WebRtcTransport,
    address: SocketAddr,
    events: Vec<WebRtcEvent>,
    dtls_heard: usize,
}

struct Pair {
    now: Instant,
    ends: [End; 2],
    under_way: Vec<(Instant, usize, Route, Vec<u8>)>,
    loss: f64,
    jitter_ms: u64,
    cut: bool,
    /// The browser's address as the gateway sees it.
    nat: Option<SocketAddr>,
    rng: Rng,
}

struct Setup {
    lite: bool,
    gateway_role: DtlsRole,
    wrong_fingerprint: bool,
    /// The browser knows DTLS 1.2 only.
    old_browser: bool,
    seed: u8,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { lite: true, gateway_role: DtlsRole::Server, wrong_fingerprint: false, old_browser: false, seed: 1 }
    }
}

fn other_role(role: DtlsRole) -> DtlsRole {
    match role {
        DtlsRole::Client => DtlsRole::Server,
        DtlsRole::Server => DtlsRole::Client,
    }
}

fn credentials(name: &str) -> IceCredentials {
    IceCredentials { ufrag: format!("{name}ufrag"), password: format!("{name}-password-of-22-characters") }
}

fn candidate(address: SocketAddr) -> String {
    format!("candidate:1 1 udp 2130706431 {} {} typ host", address.ip(), address.port())
}

impl Pair {
    /// End 0 is the gateway, end 1 the browser: full ICE, controlling.
    fn new(setup: &Setup) -> Pair {
        let now = Instant::now();
        let addresses: [SocketAddr; 2] = ["192.0.2.1:40000".parse().unwrap(), "198.51.100.7:50123".parse().unwrap()];
        let certificates = [0, 1].map(|_| DtlsCertificate::generate(&CryptoProvider::system(), SystemTime::now()));
        let certificates = certificates.map(Result::unwrap);
        let context = |at: usize| {
            let mut context = DtlsContext::new(&certificates[at], Duration::from_secs(20)).unwrap();
            context.dtls12_only = at == 1 && setup.old_browser;
            Arc::new(context)
        };
        let make = |at: usize| {
            let config = WebRtcConfig {
                local: credentials(["gateway", "browser"][at]),
                ice_lite: at == 0 && setup.lite,
                controlling: at == 1,
                tie_breaker: at as u64,
                candidates: vec![addresses[at]],
                ice_timeout: Duration::from_secs(15),
            };
            let transport = WebRtcTransport::new(now, context(at), &config);
            End { transport, address: addresses[at], events: Vec::new(), dtls_heard: 0 }
        };
        let mut ends = [make(0), make(1)];
        for at in [0, 1] {
            let far = 1 - at;
            let mut fingerprint = certificates[far].fingerprint_sha256().to_vec();
            fingerprint[0] ^= u8::from(setup.wrong_fingerprint && at == 0);
            let remote = WebRtcRemote {
                credentials: credentials(["gateway", "browser"][far]),
                ice_lite: far == 0 && setup.lite,
                fingerprints: vec![("sha-256".to_owned(), fingerprint)],
                dtls_role: if at == 0 { setup.gateway_role } else { other_role(setup.gateway_role) },
                // The browser knows the gateway's address; the gateway finds the browser's out.
                candidates: if at == 1 { vec![candidate(addresses[0])] } else { vec![] },
            };
            ends[at].transport.set_remote(now, &remote);
        }
        let rng = Rng::split(&[setup.seed; 32], "link");
        Pair { now, ends, under_way: Vec::new(), loss: 0.0, jitter_ms: 0, cut: false, nat: None, rng }
    }

    fn collect(&mut self) {
        for at in [0, 1] {
            while let Some((route, packet)) = self.ends[at].transport.poll_transmit() {
                assert_eq!(route.local, self.ends[at].address);
                let arrival = self.now + (5 + self.rng.below(self.jitter_ms + 1)) as u32 * MS;
                let lost = self.cut || self.rng.chance(self.loss);
                let public = self.nat.unwrap_or(self.ends[1].address);
                let arrives = route.remote == if at == 0 { public } else { self.ends[0].address };
                if !lost && arrives {
                    let from = if at == 0 { route.local } else { public };
                    let route = Route { local: self.ends[1 - at].address, remote: from };
                    self.under_way.push((arrival, 1 - at, route, packet));
                }
            }
            while let Some(event) = self.ends[at].transport.poll_event() {
                self.ends[at].events.push(event);
            }
        }
    }

    /// One millisecond.
    fn step(&mut self) {
        self.now += MS;
        let (due, later) = std::mem::take(&mut self.under_way).into_iter().partition(|packet| packet.0 <= self.now);
        self.under_way = later;
        for (_, at, route, packet) in due {
            self.deliver(at, route, &packet);
        }
        for end in &mut self.ends {
            if end.transport.poll_timeout().is_some_and(|due| due <= self.now) {
                end.transport.handle_timeout(self.now);
            }
        }
        self.collect();
    }

    fn deliver(&mut self, at: usize, route: Route, packet: &[u8]) {
        let end = &mut self.ends[at];
        let result = match PacketKind::of(packet) {
            Some(PacketKind::Stun) => end.transport.handle_stun(self.now, route, packet),
            Some(PacketKind::Dtls) => {
                end.dtls_heard += 1;
                end.transport.handle_dtls(self.now, route, packet)
            }
            // Mangled beyond recognition.
            _ => return,
        };
        let _ = result;
    }

    fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Pair) -> bool) -> bool {
        let end = self.now + limit;
        while self.now < end {
            self.step();
            if done(self) {
                return true;
            }
        }
        false
    }

    fn run(&mut self, duration: Duration) {
        self.run_until(duration, |_| false);
    }

    fn count(&self, at: usize, event: WebRtcEvent) -> usize {
        self.ends[at].events.iter().filter(|seen| **seen == event).count()
    }

    fn both_connected(&self, times: usize) -> bool {
        [0, 1].iter().all(|at| self.count(*at, WebRtcEvent::Connected) == times)
    }

    fn assert_same_keys(&self) {
        let [gateway, browser] = [0, 1].map(|at| self.ends[at].transport.keys().unwrap());
        assert_eq!(gateway.local, browser.remote);
        assert_eq!(gateway.remote, browser.local);
        assert_ne!(gateway.local, gateway.remote);
    }
}

#[test]
fn both_ice_modes_and_both_roles_connect() {
    for lite in [true, false] {
        for gateway_role in [DtlsRole::Client, DtlsRole::Server] {
            let mut pair = Pair::new(&Setup { lite, gateway_role, ..Setup::default() });
            assert!(pair.run_until(Duration::from_secs(2), |pair| pair.both_connected(1)), "{lite} {gateway_role:?}");
            pair.assert_same_keys();
            let route = pair.ends[0].transport.media_route().unwrap();
            assert_eq!(route.remote, pair.ends[1].address);
            assert_eq!(pair.ends[0].events[0], WebRtcEvent::Source(route));
        }
    }
}

#[test]
fn a_browser_with_dtls_1_2_connects_in_both_roles() {
    for gateway_role in [DtlsRole::Client, DtlsRole::Server] {
        for loss in [0.0, 0.15] {
            let mut pair = Pair::new(&Setup { gateway_role, old_browser: true, ..Setup::default() });
            pair.loss = loss;
            let connected = pair.run_until(Duration::from_secs(15), |pair| pair.both_connected(1));
            assert!(connected, "{gateway_role:?} {loss}");
            pair.assert_same_keys();
            let now = pair.now;
            pair.loss = 0.0;
            pair.ends[1].transport.close(now);
            assert!(pair.run_until(Duration::from_secs(1), |pair| pair.count(0, WebRtcEvent::Closed) == 1));
        }
    }
}

#[test]
fn a_bad_link_only_takes_longer() {
    for seed in 0..8 {
        let lite = seed % 2 == 0;
        let gateway_role = if seed % 4 < 2 { DtlsRole::Server } else { DtlsRole::Client };
        let mut pair = Pair::new(&Setup { lite, gateway_role, seed, ..Setup::default() });
        (pair.loss, pair.jitter_ms) = (0.2, 60);
        assert!(pair.run_until(Duration::from_secs(15), |pair| pair.both_connected(1)), "seed {seed}");
        pair.assert_same_keys();
    }
}

#[test]
fn a_certificate_that_was_not_signalled_ends_it() {
    for gateway_role in [DtlsRole::Client, DtlsRole::Server] {
        let mut pair = Pair::new(&Setup { gateway_role, wrong_fingerprint: true, ..Setup::default() });
        let failed = WebRtcEvent::Failed(WebRtcFailure::Fingerprint);
        assert!(pair.run_until(Duration::from_secs(5), |pair| pair.count(0, failed) == 1));
        assert!(pair.ends[0].transport.keys().is_none());
        assert!(pair.ends[0].transport.media_route().is_none());
        pair.run_until(Duration::from_secs(30), |_| false);
        assert_eq!(pair.count(0, WebRtcEvent::Connected), 0);
    }
}

#[test]
fn only_weak_fingerprints_are_none() {
    let mut pair = Pair::new(&Setup::default());
    let now = pair.now;
    let certificate = DtlsCertificate::generate(&CryptoProvider::system(), SystemTime::now()).unwrap();
    let config = WebRtcConfig {
        local: credentials("other"),
        ice_lite: true,
        controlling: false,
        tie_breaker: 0,
        candidates: vec![pair.ends[0].address],
        ice_timeout: Duration::from_secs(15),
    };
    let context = DtlsContext::new(&certificate, Duration::from_secs(20)).unwrap();
    let mut transport = WebRtcTransport::new(now, Arc::new(context), &config);
    let remote = WebRtcRemote {
        credentials: credentials("browser"),
        ice_lite: false,
        fingerprints: vec![("sha-1".to_owned(), vec![0; 20])],
        dtls_role: DtlsRole::Server,
        candidates: vec![],
    };
    transport.set_remote(now, &remote);
    assert_eq!(transport.poll_event(), Some(WebRtcEvent::Failed(WebRtcFailure::Fingerprint)));
    pair.collect();
}

#[test]
fn garbage_and_forgeries_change_nothing() {
    let mut pair = Pair::new(&Setup { lite: true, ..Setup::default() });
    let gateway = pair.ends[0].address;
    let stranger = Route { local: gateway, remote: "203.0.113.66:666".parse().unwrap() };
    let browser = Route { local: gateway, remote: pair.ends[1].address };
    let mut rng = Rng::split(&[9; 32], "garbage");
    for round in 0..2_000 {
        let mut junk = vec![0; rng.below(200) as usize];
        rng.fill(&mut junk);
        if let Some(first) = junk.first_mut() {
            *first = [0, 1, 20, 21, 22, 23, 25, 40][round % 8];
        }
        let transport = &mut pair.ends[0].transport;
        assert!(transport.handle_stun(pair.now, stranger, &junk).is_err());
        assert_eq!(transport.handle_dtls(pair.now, stranger, &junk), Err(DropReason::UnknownSource));
        let _ = transport.handle_dtls(pair.now, browser, &junk);
        // A fatal alert in the clear, from the browser's address.
        let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
        let _ = transport.handle_dtls(pair.now, browser, &alert);
        pair.step();
    }
    assert!(pair.both_connected(1));
    pair.assert_same_keys();
    assert_eq!(pair.ends[0].transport.sources(), [browser]);
}

#[test]
fn mangled_copies_of_real_packets_do_no_harm() {
    for (seed, gateway_role) in [(1u8, DtlsRole::Server), (2, DtlsRole::Client), (3, DtlsRole::Server)] {
        let mut pair = Pair::new(&Setup { gateway_role, lite: seed != 3, seed, ..Setup::default() });
        let mut rng = Rng::split(&[seed; 32], "mangle");
        let end = pair.now + Duration::from_secs(8);
        while pair.now < end {
            for (_, at, route, packet) in pair.under_way.clone() {
                let mut packet = packet;
                let mangled = rng.below(packet.len() as u64) as usize;
                packet[mangled] ^= 1 << rng.below(8);
                if rng.chance(0.3) {
                    packet.truncate(rng.below(packet.len() as u64) as usize);
                }
                // Whoever can rewrite the handshake can prevent it; checks are authenticated one by one.
                if PacketKind::of(&packet) == Some(PacketKind::Stun) {
                    pair.deliver(at, route, &packet);
                }
            }
            pair.step();
        }
        assert!(pair.both_connected(1), "seed {seed}");
        pair.assert_same_keys();
    }
}

#[test]
fn a_mangled_handshake_fails_at_worst() {
    for seed in 0..12u8 {
        let gateway_role = if seed % 2 == 0 { DtlsRole::Server } else { DtlsRole::Client };
        let mut pair = Pair::new(&Setup { gateway_role, seed, ..Setup::default() });
        let mut rng = Rng::split(&[seed; 32], "mangle");
        let end = pair.now + Duration::from_secs(25);
        while pair.now < end {
            for (_, _, _, packet) in &mut pair.under_way {
                if PacketKind::of(packet) == Some(PacketKind::Dtls) && rng.chance(0.1) {
                    let mangled = rng.below(packet.len() as u64) as usize;
                    packet[mangled] ^= 1 << rng.below(8);
                }
            }
            pair.step();
        }
        let failed = WebRtcEvent::Failed(WebRtcFailure::Dtls);
        for at in [0, 1] {
            let outcomes = pair.count(at, WebRtcEvent::Connected) + pair.count(at, failed);
            assert_eq!(outcomes, 1, "seed {seed}, end {at}: {:?}", pair.ends[at].events);
        }
        if let [Some(_), Some(_)] = [0, 1].map(|at| pair.ends[at].transport.keys()) {
            pair.assert_same_keys();
        }
    }
}

#[test]
fn an_ice_restart_keeps_the_keys_and_shakes_no_hands() {
    for lite in [true, false] {
        let mut pair = Pair::new(&Setup { lite, ..Setup::default() });
        assert!(pair.run_until(Duration::from_secs(2), |pair| pair.both_connected(1)));
        let keys = pair.ends[0].transport.keys().unwrap().local.clone();
        pair.run_until(Duration::from_secs(1), |_| false);
        let heard = [0, 1].map(|at| pair.ends[at].dtls_heard);

        // The browser moved to another network.
        pair.ends[1].address = "198.51.100.99:60000".parse().unwrap();
        let names = ["gateway2", "browser2"];
        for at in [0, 1] {
            pair.ends[at].transport.restart_ice(credentials(names[at]));
        }
        assert!(pair.ends[0].transport.accepts_ufrag("gatewayufrag"));
        assert!(pair.ends[0].transport.accepts_ufrag("gateway2ufrag"));
        // The browser's agent only knows its old address, so it is told of the new one by a fresh transport's config.
        let browser_address = pair.ends[1].address;
        let now = pair.now;
        let moved = WebRtcConfig {
            local: credentials(names[1]),
            ice_lite: false,
            controlling: true,
            tie_breaker: 1,
            candidates: vec![browser_address],
            ice_timeout: Duration::from_secs(15),
        };
        let keys_of_browser = pair.ends[1].transport.keys().unwrap().clone();
        let context = Arc::clone(&pair.ends[1].transport.context);
        let role = pair.ends[1].transport.dtls_role().unwrap();
        let fingerprints = pair.ends[1].transport.fingerprints();
        pair.ends[1].transport = WebRtcTransport::restored(now, context, &moved, role, &fingerprints, keys_of_browser);
        for at in [1, 0] {
            let remote = WebRtcRemote {
                credentials: credentials(names[1 - at]),
                ice_lite: at == 1 && lite,
                fingerprints: pair.ends[at].transport.fingerprints(),
                dtls_role: DtlsRole::Server,
                candidates: if at == 1 { vec![candidate(pair.ends[0].address)] } else { vec![] },
            };
            pair.ends[at].transport.set_remote(now, &remote);
        }
        assert!(pair.run_until(Duration::from_secs(2), |pair| pair.both_connected(2)), "lite {lite}");
        assert_eq!(pair.ends[0].transport.media_route().unwrap().remote, browser_address);
        assert_eq!(pair.ends[0].transport.keys().unwrap().local, keys);
        assert_eq!([0, 1].map(|at| pair.ends[at].dtls_heard), heard);
    }
}

#[test]
fn media_shows_a_lite_agent_where_a_nat_has_moved_the_browser() {
    let mut pair = Pair::new(&Setup::default());
    pair.nat = Some("203.0.113.1:1111".parse().unwrap());
    assert!(pair.run_until(Duration::from_secs(2), |pair| pair.both_connected(1)));
    let before = pair.ends[0].transport.media_route().unwrap();
    pair.nat = Some("203.0.113.1:2222".parse().unwrap());
    let moved = Route { remote: "203.0.113.1:2222".parse().unwrap(), ..before };
    assert!(!pair.ends[0].transport.heard_media(moved), "its checks haven't come from there yet");
    assert!(pair.run_until(Duration::from_secs(4), |pair| pair.ends[0].transport.knows(moved)));
    assert_eq!(pair.ends[0].transport.media_route(), Some(before));
    assert!(pair.ends[0].transport.heard_media(moved));
    assert_eq!(pair.ends[0].transport.media_route(), Some(moved));
    pair.run(Duration::from_secs(60));
    assert_eq!(pair.ends[0].transport.media_route(), Some(moved));
    assert_eq!(pair.count(0, WebRtcEvent::Disconnected), 0);
}

#[test]
fn another_certificate_begins_another_association() {
    for gateway_role in [DtlsRole::Client, DtlsRole::Server] {
        let mut pair = Pair::new(&Setup { gateway_role, ..Setup::default() });
        assert!(pair.run_until(Duration::from_secs(2), |pair| pair.both_connected(1)));
        let before = pair.ends[0].transport.keys().unwrap().local.clone();
        // The page was loaded again: another certificate, address and credentials.
        let certificate = DtlsCertificate::generate(&CryptoProvider::system(), SystemTime::now()).unwrap();
        let address: SocketAddr = "198.51.100.7:50999".parse().unwrap();
        let config = WebRtcConfig {
            local: credentials("reloaded"),
            ice_lite: false,
            controlling: true,
            tie_breaker: 3,
            candidates: vec![address],
            ice_timeout: Duration::from_secs(15),
        };
        let now = pair.now;
        let context = Arc::new(DtlsContext::new(&certificate, Duration::from_secs(20)).unwrap());
        let fingerprints = pair.ends[1].transport.fingerprints();
        pair.ends[1].transport = WebRtcTransport::new(now, context, &config);
        pair.ends[1].address = address;
        pair.ends[0].transport.restart_ice(credentials("gateway2"));
        let offer = WebRtcRemote {
            credentials: credentials("reloaded"),
            ice_lite: false,
            fingerprints: vec![("sha-256".to_owned(), certificate.fingerprint_sha256().to_vec())],
            dtls_role: gateway_role,
            candidates: vec![],
        };
        let answer = WebRtcRemote {
            credentials: credentials("gateway2"),
            ice_lite: true,
            fingerprints,
            dtls_role: other_role(gateway_role),
            candidates: vec![candidate(pair.ends[0].address)],
        };
        pair.ends[0].transport.set_remote(now, &offer);
        assert!(pair.ends[0].transport.keys().is_none());
        pair.ends[1].transport.set_remote(now, &answer);
        assert!(pair.run_until(Duration::from_secs(3), |pair| pair.both_connected(2)), "{gateway_role:?}");
        pair.assert_same_keys();
        assert_ne!(pair.ends[0].transport.keys().unwrap().local, before);
    }
}

#[test]
fn lost_consent_stops_media_and_a_restart_brings_it_back() {
    for lite in [true, false] {
        let mut pair = Pair::new(&Setup { lite, ..Setup::default() });
        assert!(pair.run_until(Duration::from_secs(2), |pair| pair.both_connected(1)));
        pair.cut = true;
        let lost = |pair: &Pair| pair.count(0, WebRtcEvent::Disconnected) == 1;
        assert!(pair.run_until(Duration::from_secs(40), lost), "lite {lite}");
        assert!(pair.ends[0].transport.media_route().is_none());
        pair.cut = false;
        for at in [0, 1] {
            pair.ends[at].transport.restart_ice(credentials(["gateway2", "browser2"][at]));
        }
        let now = pair.now;
        for at in [1, 0] {
            let remote = WebRtcRemote {
                credentials: credentials(["gateway2", "browser2"][1 - at]),
                ice_lite: at == 1 && lite,
                fingerprints: pair.ends[at].transport.fingerprints(),
                dtls_role: DtlsRole::Server,
                candidates: if at == 1 { vec![candidate(pair.ends[0].address)] } else { vec![] },
            };
            pair.ends[at].transport.set_remote(now, &remote);
        }
        assert!(pair.run_until(Duration::from_secs(2), |pair| pair.both_connected(2)), "lite {lite}");
        assert!(pair.ends[0].transport.media_route().is_some());
    }
}

#[test]
fn a_quiet_healthy_path_keeps_consent() {
    for lite in [true, false] {
        let mut pair = Pair::new(&Setup { lite, ..Setup::default() });
        (pair.loss, pair.jitter_ms) = (0.1, 40);
        pair.run_until(Duration::from_secs(180), |_| false);
        assert_eq!(pair.count(0, WebRtcEvent::Disconnected), 0, "lite {lite}");
        assert!(pair.ends[0].transport.media_route().is_some());
    }
}

#[test]
fn close_notify_is_said_and_heard() {
    for closer in [0, 1] {
        let mut pair = Pair::new(&Setup::default());
        assert!(pair.run_until(Duration::from_secs(2), |pair| pair.both_connected(1)));
        let now = pair.now;
        pair.ends[closer].transport.close(now);
        let heard = |pair: &Pair| pair.count(1 - closer, WebRtcEvent::Closed) == 1;
        assert!(pair.run_until(Duration::from_secs(1), heard));
        assert_eq!(pair.count(closer, WebRtcEvent::Closed), 0);
    }
}

#[test]
fn deadlines_end_what_does_not_begin() {
    let mut silent = Pair::new(&Setup::default());
    silent.cut = true;
    let failed = WebRtcEvent::Failed(WebRtcFailure::Ice);
    assert!(silent.run_until(Duration::from_secs(16), |pair| pair.count(0, failed) == 1));

    let mut no_dtls = Pair::new(&Setup::default());
    let failed = WebRtcEvent::Failed(WebRtcFailure::Dtls);
    let end = no_dtls.now + Duration::from_secs(25);
    while no_dtls.now < end && no_dtls.count(0, failed) == 0 {
        no_dtls.under_way.retain(|packet| PacketKind::of(&packet.3) == Some(PacketKind::Stun));
        no_dtls.step();
    }
    assert_eq!(no_dtls.count(0, failed), 1);
}

#[test]
fn rfc_5769_vectors_verify() {
    use is::Sha1HmacProvider as _;
    for (name, password) in [("req", "VOkJxbRl1RmTxUk/WvJxBt"), ("respv4", "VOkJxbRl1RmTxUk/WvJxBt")] {
        let Some(path) = crate::test_data::path(&format!("stun/rfc5769/{name}.bin")) else { return };
        let packet = std::fs::read(path).unwrap();
        let message = is::stun::StunMessage::parse(&packet).unwrap();
        let verify = |password: &str| message.verify(password.as_bytes(), |k, p| ice::HmacSha1.sha1_hmac(k, p));
        assert!(verify(password), "{name}");
        assert!(!verify("another password"), "{name}");
    }
    let Some(path) = crate::test_data::path("stun/rfc5769/respv6.bin") else { return };
    let response = std::fs::read(path).unwrap();
    let mapped = is::stun::StunMessage::parse(&response).unwrap().mapped_address();
    assert_eq!(mapped, Some("[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap()));
}

#[test]
fn a_browser_cannot_fill_the_table_of_sources() {
    let mut pair = Pair::new(&Setup::default());
    // The browser's checks, as they come from ever other ports.
    let gateway = pair.ends[0].address;
    let mut accepted = 0;
    for step in 0..400u16 {
        pair.now += 50 * MS;
        pair.ends[1].transport.handle_timeout(pair.now);
        while let Some((_, packet)) = pair.ends[1].transport.poll_transmit() {
            let remote = SocketAddr::from(([198, 51, 100, 7], 10_000 + step));
            accepted += usize::from(
                pair.ends[0].transport.handle_stun(pair.now, Route { local: gateway, remote }, &packet).is_ok(),
            );
        }
        while pair.ends[0].transport.poll_transmit().is_some() {}
    }
    assert!(accepted > 0);
    assert!(pair.ends[0].transport.sources().len() <= 32);
}
