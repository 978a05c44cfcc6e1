//! Puts a whole gateway under real media and prints what a call and a user cost, beside the floor and the aim.
//!
//! `cargo run --release --package benches --bin load` after `cargo build --release --package gateway-bin`; an argument
//! names the only part to run: `calls`, `users` or `floors`.

use std::time::Duration;

use benches::calls::{Codecs, Load, Totals};
use benches::floor;
use benches::phones::Phones;
use benches::process::{GatewayProcess, Setup};
use benches::signalling::{Connector, Way};
use benches::table::Table;
use webrtc_sip_core::codec::CodecKind;
use webrtc_sip_core::rtp::srtp::SrtpProfile;

/// How long the media of one figure flows.
const TALK: Duration = Duration::from_secs(10);
/// Calls before the measured ones, so that what is paid once isn't counted.
const WARM_UP_CALLS: usize = 20;
const COUNTS: [usize; 2] = [20, 100];
const IDLE_USERS: usize = 500;
/// What the simulated browsers negotiate with the gateway.
const PROFILE: SrtpProfile = SrtpProfile::AeadAes256Gcm;
/// Share of packets that may be missing before the run counts as failed.
const TOLERATED_LOSS: f64 = 0.001;

const MODES: [(&str, Codecs); 3] = [
    ("pass-through PCMU", Codecs { browser: CodecKind::Pcmu, phone: CodecKind::Pcmu }),
    ("pass-through Opus", Codecs { browser: CodecKind::Opus, phone: CodecKind::Opus }),
    ("Opus - PCMU", Codecs { browser: CodecKind::Opus, phone: CodecKind::Pcmu }),
];

fn main() {
    let only = std::env::args().nth(1);
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let mut table = Table::default();
    let mut complete = true;
    if wanted("calls") || wanted("floors") {
        for count in COUNTS {
            let udp = floor::udp_loop(count, TALK / 2);
            for (name, codecs) in MODES {
                let work = floor::codecs_and_srtp(codecs, PROFILE);
                if wanted("calls") {
                    complete &= measure_calls(&mut table, name, codecs, count, Floor { udp, work });
                } else {
                    table.row(format!("floor of {name}, {count} calls"), udp + work, "ms/call-s", "");
                }
            }
        }
    }
    if wanted("users") {
        measure_users(&mut table);
    }
    print!("{table}");
    if !complete {
        eprintln!("Packets were lost: the figures don't count.");
        std::process::exit(1);
    }
}

/// What a second of a call costs at least, in milliseconds.
#[derive(Clone, Copy)]
struct Floor {
    /// A bare loop of sockets.
    udp: f64,
    /// Codecs and SRTP.
    work: f64,
}

fn measure_calls(table: &mut Table, name: &str, codecs: Codecs, count: usize, floor: Floor) -> bool {
    let phones = Phones::new();
    let gateway = GatewayProcess::start(&Setup {
        users: count,
        browser_codecs: vec![codecs.browser],
        sip_codecs: vec![codecs.phone],
        phones: phones.address,
        tls: false,
    });
    let mut load = Load::new(&gateway, phones, codecs, count);
    load.set_up(WARM_UP_CALLS.min(count));
    load.talk(Duration::from_secs(1));
    load.hang_up();

    let (memory, cpu) = (gateway.memory().resident, gateway.cpu());
    load.set_up(count);
    let set_up_ms = (gateway.cpu() - cpu).as_secs_f64() * 1000.0 / count as f64;
    load.settle();
    let idle_kb = gateway.memory().resident.saturating_sub(memory) as f64 / 1024.0 / count as f64;
    // A second for jitter buffers to fill; it isn't measured.
    load.talk(Duration::from_secs(1));
    let (cpu, before, drops) = (gateway.cpu(), load.totals(), dropped(&gateway));
    load.talk(TALK);
    let cpu_ms = (gateway.cpu() - cpu).as_secs_f64() * 1000.0 / (count as f64 * TALK.as_secs_f64());
    let busy_kb = gateway.memory().resident.saturating_sub(memory) as f64 / 1024.0 / count as f64;
    let talked = load.totals().since(&before);
    let dropped = dropped(&gateway) - drops;
    load.hang_up();

    let Totals { sent, heard, missing, refused } = talked;
    let lost = sent.saturating_sub(heard).max(missing) + refused + dropped;
    let least = floor.udp + floor.work;
    table.call(name, count, cpu_ms, floor.udp, floor.work, lost as f64 / sent as f64);
    if count == COUNTS[1] {
        table.row(format!("{name}: set-up"), set_up_ms, "ms/call", "");
        table.row(format!("{name}: memory, connected"), idle_kb, "KB/call", "150");
        table.row(format!("{name}: memory, with media"), busy_kb, "KB/call", "150");
    }
    eprintln!(
        "{name}, {count} calls: {cpu_ms:.2} ms a call-second, floor {least:.2}; {sent} sent, {heard} heard, {missing} \
         missing, {dropped} dropped"
    );
    // What is under way at either end of the measured time may not be heard in it: two packets a call.
    lost as f64 <= sent as f64 * TOLERATED_LOSS + 2.0 * count as f64
}

/// Packets that the gateway dropped so far.
fn dropped(gateway: &GatewayProcess) -> u64 {
    let drops = gateway.metrics().into_iter().filter(|(name, _)| name.starts_with("wsg_dropped_packets_total"));
    drops.map(|(_, count)| count).sum::<f64>() as u64
}

fn measure_users(table: &mut Table) {
    let ways = [
        ("WebSocket", Way::WebSocket, false, "10"),
        ("WebSocket over TLS", Way::WebSocket, true, "20"),
        ("long polling", Way::LongPolling, false, "20"),
    ];
    for (name, way, tls, aim) in ways {
        let gateway = GatewayProcess::start(&Setup {
            users: 2 * IDLE_USERS,
            browser_codecs: vec![CodecKind::Opus],
            sip_codecs: vec![CodecKind::Pcmu],
            phones: Phones::new().address,
            tls,
        });
        let connector = Connector::new(&gateway);
        let mut users: Vec<_> = (0..IDLE_USERS).map(|user| connector.sign_in(way, user)).collect();
        let before = gateway.memory().resident;
        users.extend((IDLE_USERS..2 * IDLE_USERS).map(|user| connector.sign_in(way, user)));
        let after = gateway.memory().resident;
        let kb = after.saturating_sub(before) as f64 / 1024.0 / IDLE_USERS as f64;
        eprintln!("idle user by {name}: {kb:.1} KB");
        table.row(format!("idle user, {name}"), kb, "KB", aim);
    }
}
