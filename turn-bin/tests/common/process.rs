//! The real program, and what it takes.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use shell::testing::{ChildGuard, cpu_of};

/// A server in a process of its own, so that what it takes is its own.
pub(crate) struct Process {
    running: ChildGuard,
    pub(crate) listen: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Process {
    /// Starts it by `command`, at this address and any port, for user `alice` with `wonder`.
    pub(crate) fn start(mut command: Command, ip: IpAddr, flags: &[&str], allocations: usize) -> Self {
        let any_port = SocketAddr::new(ip, 0).to_string();
        let mut child = command
            .args(["--listen", &any_port, "--workers", "2", "--realm", "example.org", "--user", "alice:wonder"])
            .args(flags)
            .env("WST_HTTP__LISTEN", &any_port)
            .env("WST_LIMITS__ALLOCATIONS_PER_USER", allocations.to_string())
            .env("WST_LIMITS__RELAY_SOCKETS", allocations.to_string())
            .env("WST_LIMITS__CONNECTIONS", "10")
            .env("WST_SHUTDOWN__UNREADY_SECONDS", "0")
            // Half of what each network of a flood asks of a worker within a second.
            .env("WST_LIMITS__REFUSALS_PER_SECOND", "50")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("TURN server started")).expect("it says where it is");
        // Read on, so that it never waits for a reader; the lines of ended allocations are many.
        std::thread::spawn(move || lines.for_each(drop));
        // Where clients come, and then where the metrics are.
        let before = format!("{ip}:");
        let ports = line.split(&before).skip(1).map(|rest| {
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            port.parse::<u16>().expect("it is a port")
        });
        let addresses: Vec<_> = ports.map(|port| SocketAddr::new(ip, port)).collect();
        let [listen, http] = addresses[..] else { panic!("two addresses in {line:?}") };
        Process { running: ChildGuard::of(child), listen, http }
    }

    pub(crate) fn id(&self) -> u32 {
        self.running.child().id()
    }

    /// Resident, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("every process has it");
        line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("kilobytes") * 1024
    }

    /// What its threads have used of the processors so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(self.id())
    }

    pub(crate) fn stop(self) {
        self.running.end();
    }
}
