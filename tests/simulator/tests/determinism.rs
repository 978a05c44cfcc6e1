//! The same seed gives the same trace, and what comes out doesn't depend on how outputs are drained.

use std::time::Instant;

use simulator::script::{Action, Script};
use simulator::{Conditions, DrainOrder};

const SCRIPTS: u64 = 150;

fn scripts() -> impl Iterator<Item = Script> {
    // What a damaged DTLS packet brings about depends on bytes that aren't a function of the seed.
    let is_whole = |script: &Script| !script.steps.iter().any(|step| matches!(step.action, Action::Tamper));
    (0..SCRIPTS).map(Script::random).filter(is_whole)
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for mut script in scripts() {
        script.spares_dtls = true;
        let [first, second] = [(); 2].map(|()| script.run(Instant::now(), DrainOrder::default()));
        assert!(first.is_ok(), "{script}");
        assert_eq!(first, second, "{script}");
    }
}

#[test]
fn the_order_of_draining_changes_nothing() {
    for mut script in scripts() {
        // Which packet is lost does depend on the order in which they are sent.
        script.conditions = Conditions::default();
        script.steps.retain(|step| !matches!(step.action, Action::Weather(_)));
        let run = |order| {
            let outcome = script.run(Instant::now(), order).unwrap_or_else(|violation| panic!("{violation}\n{script}"));
            (outcome.ended, outcome.heard)
        };
        let expected = run(DrainOrder::EachInput);
        for order in [DrainOrder::Reversed, DrainOrder::Batched] {
            assert_eq!(run(order), expected, "{order:?}\n{script}");
        }
    }
}
