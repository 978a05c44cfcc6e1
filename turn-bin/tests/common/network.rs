//! Two machines and a cable: network namespaces (ip-netns(8)).

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The address of the first machine, where the server is.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 1);
/// That of the other one, behind which the rest of the world is.
pub(crate) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 2);

/// Both machines. They are gone when it is dropped.
pub(crate) struct Network {
    server: String,
    outside: String,
}

impl Network {
    /// None where this user can't make any.
    pub(crate) fn new() -> Option<Self> {
        let names = ["server", "outside"].map(|name| format!("wst-{name}-{}", std::process::id()));
        let [server, outside] = names;
        let network = Network { server, outside };
        let made = network.make();
        if let Err(text) = &made {
            assert!(std::env::var_os("CI").is_none(), "no network namespaces: {text}");
            eprintln!("skipped: no network namespaces, which take root: {text}");
        }
        made.is_ok().then_some(network)
    }

    fn make(&self) -> Result<(), String> {
        let Network { server, outside } = self;
        ip(&["netns", "add", server])?;
        ip(&["netns", "add", outside])?;
        ip(&["-n", server, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", outside])?;
        for (name, address) in [(server, SERVER), (outside, OUTSIDE)] {
            ip(&["-n", name, "addr", "add", &format!("{address}/24"), "dev", "cable"])?;
            ip(&["-n", name, "link", "set", "cable", "up"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        ip(&["-n", server, "route", "add", "default", "via", &OUTSIDE.to_string()])
    }

    /// Runs a program on the first machine.
    pub(crate) fn on_server(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.server, program]);
        command
    }

    /// Does something on the other machine.
    pub(crate) fn outside<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.outside)).expect("it is there");
        let moved = move || {
            // Only this thread goes there, with the sockets that it makes.
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may");
            action()
        };
        std::thread::scope(|scope| scope.spawn(moved).join().expect("nothing failed there"))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in [&self.server, &self.outside] {
            // It isn't there where it couldn't be made.
            let _ = ip(&["netns", "del", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    match Command::new("ip").args(arguments).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(format!("ip: {error}")),
    }
}
