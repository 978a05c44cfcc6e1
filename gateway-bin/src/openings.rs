//! What firewalls have to let through.

use std::net::IpAddr;

use shell::firewall::Opening;

use crate::config::{Config, HostPort};
use crate::media::addresses::candidate_addresses;

const HERE: &str = "this gateway";

/// What is reached at this gateway, then whom it reaches.
pub(crate) fn of(config: &Config) -> Vec<Opening> {
    let mut openings = Vec::new();
    let pages = if config.http.trusted_proxies.is_empty() { "browsers" } else { "load balancer" };
    openings.push(Opening::of_socket(pages, config.http.listen, "TCP", "softphone page, signalling, health"));
    openings.extend(browser_media(config));
    let turn = config.turn.listen.iter();
    openings.extend(turn.map(|listen| Opening::of_socket("browsers", *listen, "UDP, TCP", "TURN")));
    openings.extend(sip(config));
    openings.push(Opening::of_socket("monitoring", config.metrics.listen, "TCP", "metrics, health"));
    let targets = config.sip.routes.iter().map(|route| (&route.target, route.tcp));
    let proxy = config.sip.proxy.iter().map(|proxy| (&proxy.target, proxy.tcp));
    openings.extend(proxy.chain(targets).map(|(target, tcp)| towards(target, tcp)));
    openings.extend(config.log.opening(HERE));
    openings
}

fn browser_media(config: &Config) -> Vec<Opening> {
    let media = &config.media;
    let addresses: Vec<IpAddr> = match (media.advertised.as_slice(), media.listen.as_slice()) {
        ([], []) => candidate_addresses(),
        ([], listen) => listen.to_vec(),
        (advertised, _) => advertised.to_vec(),
    };
    // Checked with the configuration.
    let ports = media.webrtc_ports().unwrap_or_default();
    let range = ports.first().copied().unwrap_or_default()..=ports.last().copied().unwrap_or_default();
    let opening = |address: IpAddr| Opening {
        from: "browsers, TURN",
        host: address.to_string(),
        ports: range.clone(),
        protocol: "UDP",
        purpose: "media of browsers",
    };
    addresses.into_iter().map(opening).collect()
}

fn sip(config: &Config) -> Vec<Opening> {
    let mut openings = Vec::new();
    for (index, listen) in config.sip.listen.iter().enumerate() {
        let address = config.sip.advertised.get(index).unwrap_or(listen);
        openings.push(Opening::of_socket("SIP peers", *address, "UDP, TCP", "SIP"));
        let rtp = Opening {
            from: "SIP peers",
            host: config.media.rtp_advertised.unwrap_or(address.ip()).to_string(),
            ports: config.media.rtp_port_low..=config.media.rtp_port_high,
            protocol: "UDP",
            purpose: "media of phones (RTP, RTCP)",
        };
        // Several SIP sockets may have one address.
        if !openings.contains(&rtp) {
            openings.push(rtp);
        }
    }
    openings
}

fn towards(target: &HostPort, tcp: bool) -> Opening {
    Opening {
        from: HERE,
        host: target.host.clone(),
        ports: target.port..=target.port,
        protocol: if tcp { "TCP" } else { "UDP" },
        purpose: "SIP",
    }
}

#[cfg(test)]
mod tests {
    use shell::firewall::table;

    use super::*;
    use crate::config::Route;

    #[test]
    fn what_a_gateway_of_a_data_centre_needs() {
        let mut config = Config::demo();
        config.http.listen = "192.0.2.10:443".parse().unwrap();
        config.media.advertised = vec!["203.0.113.10".parse().unwrap()];
        (config.media.webrtc_port, config.media.workers) = (8444, 2);
        config.media.rtp_advertised = Some("192.0.2.11".parse().unwrap());
        (config.media.rtp_port_low, config.media.rtp_port_high) = (20_000, 20_999);
        config.sip.listen = vec!["0.0.0.0:5060".parse().unwrap(), "0.0.0.0:5070".parse().unwrap()];
        config.sip.advertised = vec!["192.0.2.11:5060".parse().unwrap(), "192.0.2.11:5070".parse().unwrap()];
        config.turn.listen = vec!["203.0.113.10:3478".parse().unwrap()];
        config.metrics.listen = "192.0.2.10:10052".parse().unwrap();
        let target = HostPort { host: "sip.example.com".to_owned(), port: 5080 };
        config.sip.routes = vec![Route { numbers: Vec::new(), prefix: Some("0".to_owned()), target, tcp: true }];
        assert_eq!(
            table(&of(&config)),
            "FROM            TO                      PROTOCOL  FOR\n\
             browsers        192.0.2.10:443          TCP       softphone page, signalling, health\n\
             browsers, TURN  203.0.113.10:8444-8445  UDP       media of browsers\n\
             browsers        203.0.113.10:3478       UDP, TCP  TURN\n\
             SIP peers       192.0.2.11:5060         UDP, TCP  SIP\n\
             SIP peers       192.0.2.11:20000-20999  UDP       media of phones (RTP, RTCP)\n\
             SIP peers       192.0.2.11:5070         UDP, TCP  SIP\n\
             monitoring      192.0.2.10:10052        TCP       metrics, health\n\
             this gateway    sip.example.com:5080    TCP       SIP\n"
        );
    }
}
