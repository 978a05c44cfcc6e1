//! Measures an operation beside its floor, in turns, so that both see the same machine, and prints a line of a table.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Rounds of each side; the median counts.
const ROUNDS: usize = 21;
/// How long a round should take.
const ROUND: Duration = Duration::from_millis(15);

/// Prints the head of the table.
pub fn head() {
    println!("{:<34} {:>10}   {:<30} {:>10} {:>7}", "operation", "ns", "floor", "ns", "ratio");
}

/// Measures `operation` and `floor` and prints a line.
pub fn compare<A, B>(name: &str, mut operation: impl FnMut() -> A, floor_name: &str, mut floor: impl FnMut() -> B) {
    let (per_round, floor_per_round) = (calibrate(&mut operation), calibrate(&mut floor));
    let (mut ours, mut theirs) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        ours.push(nanoseconds(&mut operation, per_round));
        theirs.push(nanoseconds(&mut floor, floor_per_round));
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!("{name:<34} {ours:>10.0}   {floor_name:<30} {theirs:>10.0} {:>7.2}", ours / theirs);
}

/// How often the operation fits into a round.
fn calibrate<T>(operation: &mut impl FnMut() -> T) -> u32 {
    let mut count = 1;
    loop {
        let start = Instant::now();
        for _ in 0..count {
            black_box(operation());
        }
        if start.elapsed() >= ROUND {
            return count;
        }
        count *= 2;
    }
}

fn nanoseconds<T>(operation: &mut impl FnMut() -> T, count: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        black_box(operation());
    }
    start.elapsed().as_nanos() as f64 / f64::from(count)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
