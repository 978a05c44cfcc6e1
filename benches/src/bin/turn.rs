//! Puts our TURN server and coturn under the same load in one run, and prints what packets, allocations and set-ups cost
//! beside a bare loop of sockets and the goals.
//!
//! `cargo run --release --package benches --bin turn` after `cargo build --release --package turn-bin`; arguments name
//! the only parts to run: `voice`, `most`, `uclient`, `memory`, `set-up`.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use benches::turn::Relaying;
use benches::turn::client::{Transport, allocate};
use benches::turn::coturn_client::{self, Echo};
use benches::turn::load::{Load, Pace};
use benches::turn::report::{Goal, Pair, Report, median};
use benches::turn::server::{Maker, Server};

/// Each figure is the middle one of as many, made by turns with those that it stands beside: the machine has other work.
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_millis(500);
const VOICE_CLIENTS: [usize; 4] = [1, 50, 200, 1000];
/// Clients at the maximum rate.
const FAST_CLIENTS: usize = 50;
const UCLIENT_CLIENTS: usize = 200;
/// Messages of each client in two runs of `turnutils_uclient`. What lies between is without their set-up and end.
const UCLIENT_MESSAGES: [usize; 2] = [50, 250];
const HELD: [usize; 4] = [0, 100, 1000, 5000];
/// Connections for the memory of TCP and TLS.
const CONNECTIONS: usize = 1000;
const SET_UPS: usize = 500;
/// Share of packets that may be missing, or late, at voice load before a figure is doubted.
const TOLERATED: f64 = 0.001;

fn main() {
    let only: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |part: &str| only.is_empty() || only.iter().any(|only| only == part);
    let has_coturn = Server::start(Maker::Coturn, false).is_some();
    if !has_coturn {
        eprintln!("turnserver, of coturn, isn't installed: the figures stand alone (apt-get install coturn)");
    }
    let mut report = Report::default();
    if wanted("voice") {
        VOICE_CLIENTS.into_iter().for_each(|clients| measure_voice(&mut report, clients, has_coturn));
    }
    if wanted("most") {
        measure_maximum(&mut report, has_coturn);
    }
    if wanted("uclient") {
        measure_uclient(&mut report, has_coturn);
    }
    if wanted("memory") {
        measure_memory(&mut report, has_coturn);
    }
    if wanted("set-up") {
        measure_set_up(&mut report, has_coturn);
    }
    print!("{report}");
}

/// Those that relay, in the order of the columns; each figure is made once for each of them in every round.
struct Contender {
    name: &'static str,
    relaying: Relaying,
    load: Load,
    /// Microseconds a relayed packet.
    figures: Vec<f64>,
}

fn contenders(clients: usize, has_coturn: bool) -> Vec<Contender> {
    let server = |name, maker| {
        let server = Server::start(maker, false).expect("it was there a moment ago");
        let load = Load::through(&server, clients);
        Contender { name, relaying: Relaying::Server(server), load, figures: Vec::new() }
    };
    let bare = |name, naps| {
        let (load, bare) = Load::through_bare_loop(clients, naps);
        Contender { name, relaying: Relaying::Bare(bare), load, figures: Vec::new() }
    };
    let mut contenders = Vec::new();
    if has_coturn {
        contenders.push(server("coturn", Maker::Coturn));
    }
    contenders.extend([server("ours", Maker::Ours), bare("bare loop", false), bare("bare loop, naps", true)]);
    contenders
}

impl Contender {
    fn measure(&mut self, pace: Pace, what: &str) {
        let cpu = self.relaying.cpu();
        let counted = self.load.run(pace, ROUND);
        let cpu = self.relaying.cpu() - cpu;
        let figure = cpu.as_secs_f64() * 1e6 / counted.heard.max(1) as f64;
        self.figures.push(figure);
        let (sent, heard, late) = (counted.sent, counted.heard, counted.late);
        eprintln!("{what}, {}: {figure:.2} us a packet; {sent} sent, {heard} relayed, {late} late", self.name);
        if pace == Pace::Voice && sent - heard.min(sent) > (sent as f64 * TOLERATED) as u64 {
            eprintln!("{what}, {}: packets were lost", self.name);
        }
    }
}

fn measure_rounds(report: &mut Report, pace: Pace, what: &str, clients: usize, has_coturn: bool, goal: Goal) {
    let mut contenders = contenders(clients, has_coturn);
    for contender in &mut contenders {
        contender.load.run(pace, WARM_UP);
    }
    for _ in 0..ROUNDS {
        contenders.iter_mut().for_each(|contender| contender.measure(pace, what));
    }
    let figure = |name: &str| {
        let contender = contenders.iter().find(|contender| contender.name == name)?;
        Some(median(contender.figures.clone()))
    };
    let of = |name| figure(name).expect("it was measured");
    let pair = Pair { coturn: figure("coturn"), ours: of("ours") };
    report.packet(what, pair, Some([of("bare loop"), of("bare loop, naps")]), goal);
}

fn measure_voice(report: &mut Report, clients: usize, has_coturn: bool) {
    let goal = if clients >= 200 { Goal::Share(0.6) } else { Goal::None };
    let what = format!("voice, {clients} client{}", if clients == 1 { "" } else { "s" });
    measure_rounds(report, Pace::Voice, &what, clients, has_coturn, goal);
}

fn measure_maximum(report: &mut Report, has_coturn: bool) {
    let what = format!("the most that goes, {FAST_CLIENTS} clients");
    measure_rounds(report, Pace::FlatOut, &what, FAST_CLIENTS, has_coturn, Goal::Share(1.0));
}

/// Voice load from coturn's own client, through an echo.
fn measure_uclient(report: &mut Report, has_coturn: bool) {
    let echo = Echo::start();
    let makers = [Maker::Coturn, Maker::Ours].into_iter().filter(|maker| has_coturn || *maker == Maker::Ours);
    let mut figures: Vec<(Maker, Vec<f64>)> = makers.map(|maker| (maker, Vec::new())).collect();
    for _ in 0..ROUNDS {
        for (maker, figures) in &mut figures {
            figures.extend(uclient_figure(&start(*maker, false), echo.address));
        }
    }
    let mut of = |wanted| {
        let found = figures.iter_mut().find(|(maker, figures)| *maker == wanted && !figures.is_empty());
        found.map(|(_, figures)| median(std::mem::take(figures)))
    };
    let (coturn, Some(ours)) = (of(Maker::Coturn), of(Maker::Ours)) else {
        eprintln!("turnutils_uclient, of coturn, isn't installed: its row is missing");
        return;
    };
    let what = format!("turnutils_uclient, {UCLIENT_CLIENTS} clients");
    report.packet(&what, Pair { coturn, ours }, None, Goal::None);
}

fn uclient_figure(server: &Server, peer: SocketAddr) -> Option<f64> {
    let mut runs = Vec::with_capacity(UCLIENT_MESSAGES.len());
    for messages in UCLIENT_MESSAGES {
        let cpu = server.cpu();
        let counted = coturn_client::run(server, peer, UCLIENT_CLIENTS, messages, 20)?;
        runs.push(((server.cpu() - cpu).as_secs_f64() * 1e6, counted));
    }
    let [(short_cpu, short), (long_cpu, long)] = runs.as_slice() else { return None };
    let packets = (long.sent + long.heard).checked_sub(short.sent + short.heard).filter(|packets| *packets > 0)?;
    let figure = (long_cpu - short_cpu) / packets as f64;
    eprintln!("turnutils_uclient: {figure:.2} us a packet; {} sent, {} received", long.sent, long.heard);
    Some(figure)
}

fn of_both(has_coturn: bool, figure: impl Fn(Maker) -> f64) -> Pair {
    Pair { coturn: has_coturn.then(|| figure(Maker::Coturn)), ours: figure(Maker::Ours) }
}

fn start(maker: Maker, tls: bool) -> Server {
    Server::start(maker, tls).expect("it was there a moment ago")
}

/// Where packets of nobody go.
fn silent_peer() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = socket.local_addr().expect("it is bound");
    (socket, address)
}

fn measure_memory(report: &mut Report, has_coturn: bool) {
    let (_silent, peer) = silent_peer();
    let held = |maker| {
        let server = start(maker, false);
        let mut clients = Vec::new();
        HELD.map(|count| {
            clients.extend(allocate(server.listen, Transport::Udp, count - clients.len(), peer));
            server.resident() as f64 / 1024.0
        })
    };
    let (coturn, ours) = (has_coturn.then(|| held(Maker::Coturn)), held(Maker::Ours));
    for (index, count) in HELD.into_iter().enumerate() {
        let pair = Pair { coturn: coturn.map(|held| held[index] / 1024.0), ours: ours[index] / 1024.0 };
        report.row(&format!("memory with {count} allocations over UDP"), "MB", pair, Goal::None);
    }
    // What the first ones bring with them is there once.
    let [_, few, .., most] = HELD;
    let each = |held: [f64; HELD.len()]| (held[HELD.len() - 1] - held[1]) / (most - few) as f64;
    let pair = Pair { coturn: coturn.map(each), ours: each(ours) };
    report.row(&format!("memory of each, from {few} to {most}"), "KB", pair, Goal::AtMost(4.0));
    for (name, transport) in [("TCP", Transport::Tcp), ("TLS", Transport::Tls)] {
        let pair = of_both(has_coturn, |maker| {
            let server = start(maker, transport == Transport::Tls);
            let empty = server.resident() as f64;
            let _clients = allocate(server.listen, transport, CONNECTIONS, peer);
            (server.resident() as f64 - empty) / 1024.0 / CONNECTIONS as f64
        });
        report.row(&format!("memory of an allocation over {name}, {CONNECTIONS} held"), "KB", pair, Goal::None);
    }
}

/// Two Allocate requests, the first without credentials, and a ChannelBind.
fn measure_set_up(report: &mut Report, has_coturn: bool) {
    let (_silent, peer) = silent_peer();
    let mut servers: Vec<(Maker, Server, Vec<f64>)> = Vec::new();
    for maker in [Maker::Coturn, Maker::Ours] {
        if maker == Maker::Ours || has_coturn {
            servers.push((maker, start(maker, false), Vec::new()));
        }
    }
    let mut clients = Vec::new();
    for _ in 0..ROUNDS {
        for (_, server, figures) in &mut servers {
            let cpu = server.cpu();
            clients.extend(allocate(server.listen, Transport::Udp, SET_UPS, peer));
            figures.push((server.cpu() - cpu).as_secs_f64() * 1e6 / SET_UPS as f64);
        }
    }
    let of = |maker| {
        let found = servers.iter().find(|(other, ..)| *other == maker);
        found.map(|(.., figures)| median(figures.clone()))
    };
    let (coturn, ours) = (of(Maker::Coturn), of(Maker::Ours).expect("it was measured"));
    report.row("set-up of an allocation with a channel", "us CPU", Pair { coturn, ours }, Goal::Share(0.5));
    let in_a_second = |microseconds: f64| 1e6 / microseconds;
    let pair = Pair { coturn: coturn.map(in_a_second), ours: in_a_second(ours) };
    report.row("set up in a CPU-second", "allocations", pair, Goal::None);
}
