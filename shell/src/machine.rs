//! What this machine is called by others.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// The addresses of its interfaces now, those of loopback included; none where the system doesn't say.
pub fn addresses() -> Vec<IpAddr> {
    match getifaddrs() {
        Ok(interfaces) => interfaces.filter_map(|interface| ip(&interface.address?)).collect(),
        Err(error) => {
            tracing::warn!(%error, "this machine's addresses aren't known");
            Vec::new()
        }
    }
}

/// Its own name.
pub fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_also_localhost() {
        let addresses = addresses();
        assert!(addresses.contains(&IpAddr::from([127, 0, 0, 1])), "{addresses:?}");
    }
}
