//! What firewalls have to let through for a configuration to work.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

/// Who has to reach what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Who, in a word or two.
    pub from: &'static str,
    /// An address, or a name where that is what is configured.
    pub host: String,
    /// 0 stands for any.
    pub ports: RangeInclusive<u16>,
    /// `UDP`, `TCP`, or both.
    pub protocol: &'static str,
    /// What goes over it.
    pub purpose: &'static str,
}

impl Opening {
    /// A single socket.
    pub fn of_socket(from: &'static str, address: SocketAddr, protocol: &'static str, purpose: &'static str) -> Self {
        Opening { from, host: address.ip().to_string(), ports: address.port()..=address.port(), protocol, purpose }
    }

    fn is_inside(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    fn destination(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (*self.ports.start(), *self.ports.end()) {
            (0, _) => format!("{host}, any port"),
            (first, last) if first == last => format!("{host}:{first}"),
            (first, last) => format!("{host}:{first}-{last}"),
        }
    }
}

/// A table, a line each; what never leaves the machine isn't in it.
pub fn table(openings: &[Opening]) -> String {
    let outside = openings.iter().filter(|opening| !opening.is_inside());
    let rows: Vec<_> =
        outside.map(|it| [it.from, &it.destination(), it.protocol, it.purpose].map(str::to_owned)).collect();
    if rows.is_empty() {
        return "Nothing: all of it is on loopback.\n".to_owned();
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let [from, to, protocol] = [width(0).max(4), width(1), width(2).max(8)];
    let mut table = format!("{:from$}  {:to$}  {:protocol$}  FOR\n", "FROM", "TO", "PROTOCOL");
    for row in &rows {
        // Writing to a string can't fail.
        let _ = writeln!(table, "{:from$}  {:to$}  {:protocol$}  {}", row[0], row[1], row[2], row[3]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_that_leaves_the_machine() {
        let socket = |address: &str| Opening::of_socket("browsers", address.parse().unwrap(), "TCP", "signalling");
        let media = Opening { ports: 50_000..=50_003, protocol: "UDP", purpose: "media", ..socket("192.0.2.1:1") };
        let any =
            Opening { host: "sip.example.com".to_owned(), ports: 0..=0, from: "this gateway", ..socket("[::1]:1") };
        let openings = [socket("[2001:db8::1]:443"), socket("127.0.0.1:80"), socket("[::1]:80"), media, any];
        assert_eq!(
            table(&openings),
            "FROM          TO                         PROTOCOL  FOR\n\
             browsers      [2001:db8::1]:443          TCP       signalling\n\
             browsers      192.0.2.1:50000-50003      UDP       media\n\
             this gateway  sip.example.com, any port  TCP       signalling\n"
        );
        assert_eq!(table(&openings[1..3]), "Nothing: all of it is on loopback.\n");
    }
}
