//! The transaction tables, walked line by line on the default timer values.

use std::time::Duration;

use super::*;

const VALUES: TimerValues =
    TimerValues { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) };
const TIMEOUT: Duration = Duration::from_secs(32);

/// Reliable, statuses before, status, effects of the last, state after.
type ClientRow = (bool, &'static [u16], u16, Vec<Effect>, ClientState);
/// INVITE, reliable, statuses before, status, effects of the last, state after.
type ServerRow = (bool, bool, &'static [u16], u16, Vec<Effect>, ServerState);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn client(invite: bool, reliable: bool) -> ClientTransaction {
    ClientTransaction::start(invite, reliable, VALUES).0
}

fn server(invite: bool, reliable: bool) -> ServerTransaction {
    ServerTransaction::start(invite, reliable, VALUES)
}

#[test]
fn a_request_is_sent_and_its_timers_set() {
    let effects = |invite, reliable| ClientTransaction::start(invite, reliable, VALUES).1.to_vec();
    let (a, b) = (Effect::Set(Timer::A, ms(500)), Effect::Set(Timer::B, TIMEOUT));
    let (e, f) = (Effect::Set(Timer::E, ms(500)), Effect::Set(Timer::F, TIMEOUT));
    assert_eq!(effects(true, false), [Effect::Transmit, b, a]);
    assert_eq!(effects(true, true), [Effect::Transmit, b]);
    assert_eq!(effects(false, false), [Effect::Transmit, f, e]);
    assert_eq!(effects(false, true), [Effect::Transmit, f]);
}

#[test]
fn timer_a_doubles_without_ceiling() {
    let mut transaction = client(true, false);
    for interval in [1000, 2000, 4000, 8000, 16000, 32000] {
        let effects = transaction.handle_timer(Timer::A);
        assert_eq!(effects.to_vec(), [Effect::Transmit, Effect::Set(Timer::A, ms(interval))]);
    }
    assert_eq!(transaction.handle_timer(Timer::B).to_vec(), [Effect::TimedOut, Effect::Terminate]);
    assert_eq!(transaction.state(), ClientState::Terminated);
}

#[test]
fn timer_e_doubles_up_to_t2_and_stays_there_once_proceeding() {
    let mut transaction = client(false, false);
    for interval in [1000, 2000, 4000, 4000] {
        let effects = transaction.handle_timer(Timer::E);
        assert_eq!(effects.to_vec(), [Effect::Transmit, Effect::Set(Timer::E, ms(interval))]);
    }
    let mut transaction = client(false, false);
    transaction.handle_response(100);
    assert_eq!(transaction.handle_timer(Timer::E).to_vec(), [Effect::Transmit, Effect::Set(Timer::E, VALUES.t2)]);
    assert_eq!(transaction.handle_timer(Timer::F).to_vec(), [Effect::TimedOut, Effect::Terminate]);
}

#[test]
fn the_invite_client_table() {
    use ClientState::*;
    let stop = [Effect::Stop(Timer::A), Effect::Stop(Timer::B)];
    let accepted = Effect::Set(Timer::M, TIMEOUT);
    let completed = Effect::Set(Timer::D, TIMEOUT);
    let table: &[ClientRow] = &[
        (false, &[], 100, vec![stop[0], stop[1], Effect::Deliver], Proceeding),
        (false, &[100], 180, vec![Effect::Deliver], Proceeding),
        (false, &[], 200, vec![stop[0], stop[1], Effect::Deliver, accepted], Accepted),
        (false, &[180], 200, vec![stop[0], stop[1], Effect::Deliver, accepted], Accepted),
        (false, &[200], 200, vec![Effect::Deliver], Accepted),
        (false, &[200], 180, vec![], Accepted),
        (false, &[200], 486, vec![], Accepted),
        (false, &[], 486, vec![stop[0], stop[1], Effect::Acknowledge, Effect::Deliver, completed], Completed),
        (false, &[180, 486], 486, vec![Effect::Acknowledge], Completed),
        (false, &[486], 180, vec![], Completed),
        (false, &[486], 200, vec![], Completed),
        (true, &[], 302, vec![stop[0], stop[1], Effect::Acknowledge, Effect::Deliver, Effect::Terminate], Terminated),
        (true, &[200], 200, vec![Effect::Deliver], Accepted),
    ];
    for (reliable, before, status, effects, state) in table {
        let mut transaction = client(true, *reliable);
        before.iter().for_each(|status| drop(transaction.handle_response(*status)));
        assert_eq!(transaction.handle_response(*status).to_vec(), *effects, "{before:?} then {status}");
        assert_eq!(transaction.state(), *state, "{before:?} then {status}");
    }
}

#[test]
fn the_other_client_table() {
    use ClientState::*;
    let stop = [Effect::Stop(Timer::E), Effect::Stop(Timer::F)];
    let completed = Effect::Set(Timer::K, VALUES.t4);
    let table: &[ClientRow] = &[
        (false, &[], 100, vec![Effect::Deliver], Proceeding),
        (false, &[], 200, vec![stop[0], stop[1], Effect::Deliver, completed], Completed),
        (false, &[100], 404, vec![stop[0], stop[1], Effect::Deliver, completed], Completed),
        (false, &[200], 200, vec![], Completed),
        (false, &[200], 100, vec![], Completed),
        (true, &[], 200, vec![stop[0], stop[1], Effect::Deliver, Effect::Terminate], Terminated),
    ];
    for (reliable, before, status, effects, state) in table {
        let mut transaction = client(false, *reliable);
        before.iter().for_each(|status| drop(transaction.handle_response(*status)));
        assert_eq!(transaction.handle_response(*status).to_vec(), *effects, "{before:?} then {status}");
        assert_eq!(transaction.state(), *state, "{before:?} then {status}");
    }
}

#[test]
fn client_waits_end() {
    for (invite, status, timer) in [(true, 200, Timer::M), (true, 486, Timer::D), (false, 200, Timer::K)] {
        let mut transaction = client(invite, false);
        transaction.handle_response(status);
        assert_eq!(transaction.handle_timer(timer).to_vec(), [Effect::Terminate]);
    }
}

#[test]
fn late_timers_change_nothing() {
    let mut transaction = client(true, false);
    transaction.handle_response(180);
    for timer in [Timer::A, Timer::B, Timer::D, Timer::M] {
        assert!(transaction.handle_timer(timer).is_empty());
    }
    assert_eq!(transaction.state(), ClientState::Proceeding);
    let mut transaction = server(true, false);
    for timer in [Timer::G, Timer::H, Timer::I, Timer::L] {
        assert!(transaction.handle_timer(timer).is_empty());
    }
    assert_eq!(transaction.state(), ServerState::Proceeding);
}

#[test]
fn the_server_response_table() {
    use ServerState::*;
    let set = |timer, duration| Effect::Set(timer, duration);
    let table: &[ServerRow] = &[
        (true, false, &[], 100, vec![Effect::Transmit], Proceeding),
        (true, false, &[100], 180, vec![Effect::Transmit], Proceeding),
        (true, false, &[180], 200, vec![Effect::Transmit, set(Timer::L, TIMEOUT)], Accepted),
        (true, true, &[180], 200, vec![Effect::Transmit, set(Timer::L, TIMEOUT)], Accepted),
        (true, false, &[], 486, vec![Effect::Transmit, set(Timer::H, TIMEOUT), set(Timer::G, ms(500))], Completed),
        (true, true, &[], 486, vec![Effect::Transmit, set(Timer::H, TIMEOUT)], Completed),
        (true, false, &[486], 200, vec![], Completed),
        (true, false, &[200], 486, vec![], Accepted),
        (false, false, &[], 100, vec![Effect::Transmit], Proceeding),
        (false, false, &[], 200, vec![Effect::Transmit, set(Timer::J, TIMEOUT)], Completed),
        (false, true, &[], 200, vec![Effect::Transmit, Effect::Terminate], Terminated),
        (false, false, &[200], 404, vec![], Completed),
    ];
    for (invite, reliable, before, status, effects, state) in table {
        let mut transaction = server(*invite, *reliable);
        before.iter().for_each(|status| drop(transaction.respond(*status)));
        assert_eq!(transaction.respond(*status).to_vec(), *effects, "{before:?} then {status}");
        assert_eq!(transaction.state(), *state, "{before:?} then {status}");
    }
}

#[test]
fn requests_that_come_again() {
    // (invite, status sent before, whether the response goes out again)
    let table = [
        (true, 100, true),
        (true, 486, true),
        (true, 200, false),
        (false, 0, false),
        (false, 100, true),
        (false, 200, true),
    ];
    for (invite, status, again) in table {
        let mut transaction = server(invite, false);
        if status > 0 {
            transaction.respond(status);
        }
        assert_eq!(transaction.handle_retransmission().to_vec() == [Effect::Transmit], again, "{invite} {status}");
    }
}

#[test]
fn an_ack_confirms_a_failure_and_only_that() {
    let mut transaction = server(true, false);
    assert!(transaction.handle_ack().is_empty());
    transaction.respond(486);
    let expected = [Effect::Stop(Timer::G), Effect::Stop(Timer::H), Effect::Set(Timer::I, VALUES.t4)];
    assert_eq!(transaction.handle_ack().to_vec(), expected);
    assert!(transaction.handle_ack().is_empty());
    assert!(transaction.handle_retransmission().is_empty());
    assert_eq!(transaction.handle_timer(Timer::I).to_vec(), [Effect::Terminate]);

    let mut transaction = server(true, true);
    transaction.respond(486);
    assert_eq!(transaction.handle_ack().to_vec(), [Effect::Stop(Timer::G), Effect::Stop(Timer::H), Effect::Terminate]);

    let mut transaction = server(true, false);
    transaction.respond(200);
    assert!(transaction.handle_ack().is_empty());
    assert_eq!(transaction.handle_timer(Timer::L).to_vec(), [Effect::Terminate]);
}

#[test]
fn failures_are_repeated_up_to_t2_until_timer_h() {
    let mut transaction = server(true, false);
    transaction.respond(486);
    for interval in [1000, 2000, 4000, 4000] {
        let effects = transaction.handle_timer(Timer::G);
        assert_eq!(effects.to_vec(), [Effect::Transmit, Effect::Set(Timer::G, ms(interval))]);
    }
    assert_eq!(transaction.handle_timer(Timer::H).to_vec(), [Effect::TimedOut, Effect::Terminate]);
    let mut transaction = server(false, false);
    transaction.respond(200);
    assert_eq!(transaction.handle_timer(Timer::J).to_vec(), [Effect::Terminate]);
}

#[test]
fn an_abandoned_transaction_is_over() {
    let mut transaction = client(true, false);
    assert_eq!(transaction.abandon().to_vec(), [Effect::Terminate]);
    assert!(transaction.handle_response(200).is_empty());
}
