//! What the system says about a process.

use std::fs;
use std::time::Duration;

/// `sysconf(_SC_CLK_TCK)` on Linux, the unit of `/proc/PID/stat`.
const TICKS_A_SECOND: u64 = 100;

/// Processor time of all its threads so far, user and system, in steps of ten milliseconds.
pub fn cpu(pid: u32) -> Duration {
    let stat = read(pid, "stat");
    // The second field is the name in parentheses, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(11) + ticks(12)) * 1000 / TICKS_A_SECOND)
}

/// The same to the nanosecond, of the threads that there are now.
pub fn threads_cpu(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there").flatten();
    threads.filter_map(|thread| schedstat(&thread.path().join("schedstat"))).sum()
}

/// Processor time of one thread of this process.
pub fn own_thread_cpu(thread: i32) -> Duration {
    schedstat(format!("/proc/self/task/{thread}/schedstat").as_ref()).expect("the thread is there")
}

/// The first field is the time spent on the processor, in nanoseconds. None for a thread that ended.
fn schedstat(path: &std::path::Path) -> Option<Duration> {
    let nanoseconds = fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// Resident bytes.
pub fn resident(pid: u32) -> u64 {
    let rollup = read(pid, "smaps_rollup");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap_or("0 kB");
    let kilobytes: u64 = line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0);
    kilobytes * 1024
}

/// Open file descriptors.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

fn read(pid: u32, file: &str) -> String {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}; did the process end?"))
}
