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
    // States among counts: what the series mean depends on their type.
    page.labelled(Kind::Untyped, "wrtc_system_error", help, plain.chain([sips]));
}

fn domains(page: &mut Exposition, stats: &ControlStats, domain: &str) {
    let gateway = &stats.gateway;
    let label = || vec![("domain", domain)];
    let calls = gateway.incoming.total + gateway.outgoing.total;
    page.labelled(Kind::Counter, "wrtc_calls_by_domain", "Calls in all.", [(label(), calls)]);
    let registered = [(label(), gateway.successful_registrations)];
    page.labelled(Kind::Counter, "wrtc_registrations_by_domain", "Users that the SIP proxy registered.", registered);
    let failed = [(label(), gateway.failed_registrations)];
    page.labelled(Kind::Counter, "wrtc_failed_registrations_by_domain", "Refused or unanswered.", failed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::EndedCalls;

    #[test]
    fn each_name_has_its_figure() {
        let calls = |first| CallCounters { current: first, peak: first + 1, total: first + 2 };
        let gateway = GatewayStats {
            incoming: calls(10),
            outgoing: calls(20),
            audio: calls(30),
            transcoding: calls(40),
            registrations: 50,
            successful_registrations: 51,
            failed_registrations: 52,
            dropped_on_sign_out: 53,
            client_timeouts: 54,
            sign_ins: 55,
            double_sign_ins: 56,
            unauthorized: 57,
            unknown_requests: 58,
            failed_ice: 80,
            unanswered_registrations: 81,
            failed_proxy_lookups: 1,
            ..GatewayStats::default()
        };
        let (gateway_jitter, client_jitter) = ([3, 2, 1], [6, 5, 4]);
        let ended = EndedCalls {
            packets_lost: 60,
            packets_dropped: 61,
            gateway_jitter,
            client_jitter,
            ..EndedCalls::default()
        };
        let shown = Shown { domain: "example.org".to_owned(), proxy: "proxy:5060".to_owned(), max_sign_ins: 70 };
        let mut page = Exposition::default();
        write(&mut page, &ControlStats { gateway, ended, ..ControlStats::default() }, &shown);
        let page = page.finish();
        let samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
        for (name, value) in [
            ("wrtc_current_in_calls", 10),
            ("wrtc_peak_in_calls", 11),
            ("wrtc_total_in_calls", 12),
            ("wrtc_current_out_calls", 20),
            ("wrtc_peak_out_calls", 21),
            ("wrtc_total_out_calls", 22),
            ("wrtc_current_audio_calls", 30),
            ("wrtc_peak_audio_calls", 31),
            ("wrtc_total_audio_calls", 32),
            ("wrtc_current_video_calls", 0),
            ("wrtc_peak_video_calls", 0),
            ("wrtc_total_video_calls", 0),
            ("wrtc_current_xcoding_calls", 40),
            ("wrtc_peak_xcoding_calls", 41),
            ("wrtc_total_xcoding_calls", 42),
            ("wrtc_calls_by_domain{domain=\"example.org\"}", 34),
            ("wrtc_registrations_by_domain{domain=\"example.org\"}", 51),
            ("wrtc_failed_registrations_by_domain{domain=\"example.org\"}", 52),
            ("wrtc_current_signins", 55),
            ("wrtc_double_signin", 56),
            ("wrtc_unauthorized_access", 57),
            ("wrtc_unknown_request", 58),
            ("wrtc_system_error{type=\"turn_errors\"}", 80),
            ("wrtc_system_error{type=\"sips\",sip=\"proxy:5060\"}", 82),
            ("wrtc_system_error{type=\"es\"}", 0),
            ("wrtc_system_error{type=\"es_errors\"}", 0),
            ("wrtc_system_error{type=\"auth\"}", 0),
            ("wrtc_system_error{type=\"gauth_errors\"}", 0),
            ("wrtc_system_error{type=\"cfg\"}", 0),
            ("wrtc_system_error{type=\"cfg_errors\"}", 0),
            ("wrtc_system_error{type=\"env\"}", 0),
            ("wrtc_system_error{type=\"env_errors\"}", 0),
            ("wrtc_client_errors{type=\"double_sign_in_reject\"}", 0),
            ("wrtc_client_errors{type=\"dropped_on_signout\"}", 53),
            ("wrtc_client_errors{type=\"timeout\"}", 54),
            ("wrtc_rtp_losts", 60),
            ("wrtc_rtp_errors", 61),
            ("wrtc_rtp_gateway_jitter{over=\"100\"}", 3),
            ("wrtc_rtp_gateway_jitter{over=\"300\"}", 2),
            ("wrtc_rtp_gateway_jitter{over=\"500\"}", 1),
            ("wrtc_rtp_client_jitter{over=\"100\"}", 6),
            ("wrtc_rtp_client_jitter{over=\"300\"}", 5),
            ("wrtc_rtp_client_jitter{over=\"500\"}", 4),
            ("wrtc_max_clients_per_instance", 70),
            ("wrtc_max_clients_per_node", 70),
        ] {
            assert!(samples.contains(&format!("{name} {value}").as_str()), "{name} {value}: {page}");
        }
        assert!(page.contains("# TYPE wrtc_registrations_by_domain counter"), "{page}");
    }
}
