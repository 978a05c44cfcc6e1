//! What firewalls have to let through.

use shell::firewall::Opening;

use crate::config::Config;
use crate::discovery;

/// What is reached at this server, then what it reaches itself; peers are wherever clients say.
pub(crate) fn of(config: &Config) -> Vec<Opening> {
    let purpose = if config.tls.is_some() { "TURN, also over TLS and DTLS" } else { "TURN" };
    let discovery =
        config.discovery.iter().flat_map(|it| discovery::addresses(config.listen[0], it.alternate).concat());
    let discovery = discovery.filter(|address| !config.listen.contains(address));
    let mut openings: Vec<_> =
        config.listen.iter().map(|listen| Opening::of_socket("clients", *listen, "UDP, TCP", purpose)).collect();
    openings.extend(discovery.map(|address| Opening::of_socket("clients", address, "UDP", "NAT discovery")));
    openings.extend(config.relay_addresses().into_iter().map(|(bound, _)| Opening {
        from: "peers",
        host: bound.to_string(),
        ports: config.relay.port_low..=config.relay.port_high,
        protocol: "UDP, TCP",
        purpose: "relayed addresses",
    }));
    openings
        .extend(config.http.listen.map(|listen| Opening::of_socket("monitoring", listen, "TCP", "metrics, health")));
    openings.extend(config.log.opening("this server"));
    openings
}

#[cfg(test)]
mod tests {
    use shell::firewall::table;

    use super::*;

    #[test]
    fn what_a_server_for_everybody_needs() {
        let mut config = Config::embedded();
        config.listen = vec!["192.0.2.1:3478".parse().unwrap(), "192.0.2.1:443".parse().unwrap()];
        config.relay.external_ips = vec!["203.0.113.1".parse().unwrap()];
        (config.relay.port_low, config.relay.port_high) = (50_000, 59_999);
        config.http.listen = Some("192.0.2.1:9641".parse().unwrap());
        assert_eq!(
            table(&of(&config)),
            "FROM        TO                     PROTOCOL  FOR\n\
             clients     192.0.2.1:3478         UDP, TCP  TURN\n\
             clients     192.0.2.1:443          UDP, TCP  TURN\n\
             peers       192.0.2.1:50000-59999  UDP, TCP  relayed addresses\n\
             monitoring  192.0.2.1:9641         TCP       metrics, health\n"
        );
    }
}
