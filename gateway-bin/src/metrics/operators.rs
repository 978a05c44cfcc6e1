//! The names that operators' dashboards and alerts already use, `wrtc_*`, exactly as they stand there.

use shell::log::elasticsearch::shipping_figures;
use shell::metrics::{Exposition, Kind};
use webrtc_sip_core::gateway::{CallCounters, GatewayStats};

use super::Shown;
use crate::control::ControlStats;

/// Writes all of them.
pub(super) fn write(page: &mut Exposition, stats: &ControlStats, shown: &Shown) {
    let gateway = &stats.gateway;
    page.single(Kind::Gauge, "wrtc_current_signins", "Users signed in.", gateway.sign_ins);
    calls(page, stats);
    for (name, help, value) in [
        ("wrtc_unauthorized_access", "Requests with a wrong token or password.", gateway.unauthorized),
        ("wrtc_unknown_request", "Client messages that are no known request.", gateway.unknown_requests),
        ("wrtc_double_signin", "Sign-ins that displaced another of the same user.", gateway.double_sign_ins),
        ("wrtc_rtp_losts", "RTP packets of ended calls that never arrived.", stats.ended.packets_lost),
        ("wrtc_rtp_errors", "RTP packets of ended calls that were dropped.", stats.ended.packets_dropped),
    ] {
        page.single(Kind::Counter, name, help, value);
    }
    jitter(page, stats);
    system_errors(page, gateway, &shown.proxy);
    let limit_help = "Users that may be signed in at once.";
    page.single(Kind::Gauge, "wrtc_max_clients_per_instance", limit_help, shown.max_sign_ins);
    page.single(Kind::Gauge, "wrtc_max_clients_per_node", limit_help, shown.max_sign_ins);
    domains(page, stats, &shown.domain);
    let errors = [
        // A second sign-in of a user displaces the first one; it is never refused.
        ("double_sign_in_reject", 0),
        ("dropped_on_signout", gateway.dropped_on_sign_out),
        ("timeout", gateway.client_timeouts),
    ];
    let samples = errors.map(|(kind, count)| (vec![("type", kind)], count));
    page.labelled(Kind::Counter, "wrtc_client_errors", "What went wrong with clients.", samples);
}

fn calls(page: &mut Exposition, stats: &ControlStats) {
    let gateway = &stats.gateway;
    // Video is refused in every offer.
    let video = CallCounters::default();
    let kinds = [
        ("in", "Calls from SIP to a browser", &gateway.incoming),
        ("out", "Calls from a browser", &gateway.outgoing),
        ("audio", "Calls with audio", &gateway.audio),
        ("video", "Calls with video", &video),
        ("xcoding", "Calls whose sides use different codecs", &gateway.transcoding),
    ];
    for (kind, help, counters) in kinds {
        let name = |which: &str| format!("wrtc_{which}_{kind}_calls");
        page.single(Kind::Gauge, &name("current"), &format!("{help}, now."), counters.current);
        page.single(Kind::Gauge, &name("peak"), &format!("{help}, at most at once."), counters.peak);
        page.single(Kind::Counter, &name("total"), &format!("{help}, in all."), counters.total);
    }
}

fn jitter(page: &mut Exposition, stats: &ControlStats) {
    const STEPS: [&str; 3] = ["100", "300", "500"];
    for (name, help, counts) in [
        ("wrtc_rtp_gateway_jitter", "Legs with more jitter than so many ms, as we saw it.", stats.ended.gateway_jitter),
        ("wrtc_rtp_client_jitter", "Legs with more jitter than so many ms, as they told.", stats.ended.client_jitter),
    ] {
        let samples = STEPS.iter().zip(counts).map(|(step, count)| (vec![("over", *step)], count));
        page.labelled(Kind::Counter, name, help, samples);
    }
}

/// Errors of systems around the gateway. Some of them it doesn't use, and their counts stay at 0; the series exist because
/// alerts refer to them.
fn system_errors(page: &mut Exposition, gateway: &GatewayStats, proxy: &str) {
    const UNUSED: [&str; 6] = ["auth", "gauth_errors", "cfg", "cfg_errors", "env", "env_errors"];
    let elasticsearch = shipping_figures();
    let used = [
        ("turn_errors", gateway.failed_ice),
        ("es", u64::from(elasticsearch.unreachable)),
        ("es_errors", elasticsearch.errors),
    ];
    let plain = used.into_iter().chain(UNUSED.map(|kind| (kind, 0))).map(|(kind, count)| (vec![("type", kind)], count));
    let unanswered = gateway.unanswered_registrations + gateway.failed_proxy_lookups;
    let sips = (vec![("type", "sips"), ("sip", proxy)], unanswered);
    let help = "Errors of systems that the gateway uses.";
    page.labelled(Kind::Counter, "wrtc_system_error", help, plain.chain([sips]));
}

fn domains(page: &mut Exposition, stats: &ControlStats, domain: &str) {
    let gateway = &stats.gateway;
    let label = || vec![("domain", domain)];
    let calls = gateway.incoming.total + gateway.outgoing.total;
    page.labelled(Kind::Counter, "wrtc_calls_by_domain", "Calls in all.", [(label(), calls)]);
    let registered = [(label(), gateway.registrations)];
    page.labelled(Kind::Gauge, "wrtc_registrations_by_domain", "Users registered at the SIP proxy.", registered);
    let failed = [(label(), gateway.failed_registrations)];
    page.labelled(Kind::Counter, "wrtc_failed_registrations_by_domain", "Refused registrations.", failed);
}
