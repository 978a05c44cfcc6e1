//! Many calls over a network that loses, repeats and reorders: every dialog ends once, and everything is freed.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::link::*;
use crate::ids::DialogId;
use crate::rng::Rng;
use crate::sip::Headers;
use crate::sip::endpoint::*;

/// What became of the dialogs of one endpoint: how many final events each had.
fn finals(events: &[SipEvent]) -> BTreeMap<DialogId, usize> {
    let mut finals = BTreeMap::new();
    for event in events {
        match event {
            SipEvent::IncomingInvite(invite) => drop(finals.entry(invite.dialog).or_insert(0)),
            SipEvent::Failed { dialog, .. } | SipEvent::Cancelled { dialog, .. } | SipEvent::Ended { dialog, .. } => {
                *finals.entry(*dialog).or_insert(0) += 1;
            }
            _ => {}
        }
    }
    finals
}

/// Does something at random to every dialog of an endpoint.
fn stir(link: &mut Link, index: usize, dialogs: &[DialogId], rng: &mut Rng) {
    let now = link.now;
    let body = Bytes::from_static(b"body");
    for dialog in dialogs {
        let endpoint = &mut link.endpoints[index];
        // Most of these are refused in most states, which must do no harm.
        let _ = match rng.below(12) {
            0 => endpoint.ring(now, *dialog, 180, None),
            1 | 2 => endpoint.answer(now, *dialog, body.clone()),
            3 => endpoint.reject(now, *dialog, 486, &Headers::new()),
            4 => endpoint.cancel(now, *dialog, None),
            5 => endpoint.bye(now, *dialog, None),
            6 | 7 => endpoint.reinvite(now, *dialog, body.clone()),
            8 | 9 => endpoint.answer_reinvite(now, *dialog, 200, body.clone()),
            10 => endpoint.info(now, *dialog, "application/dtmf-relay", body.clone()),
            _ => endpoint.acknowledge(now, *dialog, body.clone()),
        };
    }
}

fn storm(seed: u8, transport: Transport, weather: Weather) -> (Vec<Vec<String>>, Vec<(usize, String)>) {
    let with_timer = |address| EndpointConfig { session_interval: Some(seconds(90)), ..config(address) };
    let mut link = Link::with_configs(seed, with_timer("192.0.2.1:5060"), config("192.0.2.2:5060"));
    link.weather = weather;
    let mut rng = Rng::split(&[seed; 32], "storm");
    let mut callers = Vec::new();
    for round in 0..60 {
        if round < 20 {
            let mut invite = link.invitation(transport);
            if rng.chance(0.3) {
                invite.body = Bytes::new();
            }
            callers.push(link.endpoints[0].invite(link.now, invite).unwrap());
        }
        link.run(std::time::Duration::from_millis(rng.below(1500)));
        let called: Vec<_> = finals(&link.events[1]).into_keys().collect();
        stir(&mut link, 0, &callers.clone(), &mut rng);
        stir(&mut link, 1, &called, &mut rng);
    }
    let called: Vec<_> = finals(&link.events[1]).into_keys().collect();
    for dialog in &callers {
        let _ = link.endpoints[0].cancel(link.now, *dialog, None);
        let _ = link.endpoints[0].bye(link.now, *dialog, None);
    }
    for dialog in &called {
        let _ = link.endpoints[1].reject(link.now, *dialog, 480, &Headers::new());
        let _ = link.endpoints[1].bye(link.now, *dialog, None);
    }
    link.run(seconds(600));
    let ended = finals(&link.events[0]);
    assert!(callers.iter().all(|dialog| ended.get(dialog) == Some(&1)), "seed {seed}: {ended:?}");
    let ended = finals(&link.events[1]);
    assert!(ended.values().all(|count| *count == 1), "seed {seed}: {ended:?}");
    link.assert_all_freed();
    let told = vec![link.told(0), link.told(1)];
    (told, link.sent)
}

#[test]
fn every_dialog_ends_over_datagrams() {
    for seed in 0..24 {
        let loss = f64::from(seed % 6) * 0.08;
        let weather = Weather { loss, repeat: 0.1, jitter_ms: 50 * u64::from(seed % 5), piece: 0 };
        storm(seed, Transport::Udp, weather);
    }
}

#[test]
fn every_dialog_ends_over_byte_streams_cut_anywhere() {
    for seed in 0..8 {
        let piece = [1, 7, 100, 0][usize::from(seed % 4)];
        storm(seed, Transport::Tcp, Weather { piece, ..Weather::default() });
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let weather = Weather { loss: 0.2, repeat: 0.2, jitter_ms: 200, piece: 0 };
    assert_eq!(storm(42, Transport::Udp, weather), storm(42, Transport::Udp, weather));
    assert_ne!(storm(42, Transport::Udp, weather).1, storm(43, Transport::Udp, weather).1);
}
