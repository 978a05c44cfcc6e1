//! Ten thousand random call scripts. `SIMULATOR_SEED=N` plays only that of seed N and shows it, `SIMULATOR_SCRIPTS=N`
//! plays so many.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use simulator::DrainOrder;
use simulator::script::Script;

const SCRIPTS: u64 = 10_000;
/// So many are told of; the rest has the same causes.
const MAX_FAILURES: usize = 10;

fn number_in(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

/// What is wrong with a script, if something is. A panic counts.
fn failure_of(seed: u64) -> Option<String> {
    let script = Script::random(seed);
    let result = catch_unwind(AssertUnwindSafe(|| script.run(Instant::now(), DrainOrder::default())));
    let what = match result {
        Ok(Ok(_)) => return None,
        Ok(Err(violation)) => violation.to_string(),
        Err(_) => "a panic, see above".to_owned(),
    };
    Some(format!("SIMULATOR_SEED={seed}: {what}\n{script}"))
}

#[test]
fn whatever_people_do_every_call_ends_and_everything_is_freed() {
    if let Some(seed) = number_in("SIMULATOR_SEED") {
        let script = Script::random(seed);
        println!("{script}");
        println!("{:#?}", script.run(Instant::now(), DrainOrder::default()).map_err(|v| panic!("{v}")));
        return;
    }
    let scripts = number_in("SIMULATOR_SCRIPTS").unwrap_or(SCRIPTS);
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= scripts || failures.lock().unwrap().len() >= MAX_FAILURES {
                        return;
                    }
                    if let Some(failure) = failure_of(seed) {
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} scripts failed:\n{}", failures.len(), failures.join("\n"));
}
