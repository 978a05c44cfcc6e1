//! Ways back to the clients.

use std::collections::HashMap;
use std::net::IpAddr;

use tokio::sync::{mpsc, oneshot};
use webrtc_sip_core::ids::LinkId;

/// To the task that serves a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToWebSocket {
    /// A text message.
    Text(String),
    /// Close with 4000 + this HTTP status and this text.
    Close(u16, String),
}

/// The one response of an HTTP link.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HttpReply {
    /// HTTP status.
    pub(crate) status: u16,
    /// JSON.
    pub(crate) body: String,
}

/// How messages get to a client.
#[derive(Debug)]
pub(super) enum LinkSink {
    /// Any number of messages.
    WebSocket(mpsc::Sender<ToWebSocket>),
    /// One.
    Http(oneshot::Sender<HttpReply>),
}

#[derive(Debug)]
struct Link {
    source: IpAddr,
    sink: LinkSink,
}

/// The links that the core knows.
#[derive(Debug, Default)]
pub(super) struct Links(HashMap<LinkId, Link>);

impl Links {
    pub(super) fn add(&mut self, link: LinkId, source: IpAddr, sink: LinkSink) {
        self.0.insert(link, Link { source, sink });
    }

    pub(super) fn remove(&mut self, link: LinkId) -> bool {
        self.0.remove(&link).is_some()
    }

    pub(super) fn contains(&self, link: LinkId) -> bool {
        self.0.contains_key(&link)
    }

    /// The address of the client.
    pub(super) fn source(&self, link: LinkId) -> Option<IpAddr> {
        self.0.get(&link).map(|link| link.source)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Sends a message; false when the link is gone for good, because the client closed it or doesn't read.
    pub(super) fn send(&mut self, link: LinkId, text: String) -> bool {
        let delivered = match self.0.get(&link).map(|link| &link.sink) {
            // Known to the core a moment longer than to us: its closing is on the way.
            None => return true,
            Some(LinkSink::WebSocket(sender)) => sender.try_send(ToWebSocket::Text(text)).is_ok(),
            Some(LinkSink::Http(_)) => {
                if let Some(Link { sink: LinkSink::Http(reply), .. }) = self.0.remove(&link) {
                    // The client gave up waiting; what it missed is sent again to its next request.
                    let _ = reply.send(HttpReply { status: 200, body: text });
                }
                return true;
            }
        };
        if !delivered {
            self.0.remove(&link);
        }
        delivered
    }

    /// Ends a link.
    pub(super) fn close(&mut self, link: LinkId, status: u16, text: String) {
        match self.0.remove(&link).map(|link| link.sink) {
            // A full queue: the client doesn't read, and dropping the sender closes the connection.
            Some(LinkSink::WebSocket(sender)) => drop(sender.try_send(ToWebSocket::Close(status, text))),
            Some(LinkSink::Http(reply)) => drop(reply.send(HttpReply { status, body: text })),
            None => {}
        }
    }

    /// Ends all links when the process ends.
    pub(super) fn close_all(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn an_http_link_gets_one_response() {
        let mut links = Links::default();
        let (reply, mut answer) = oneshot::channel();
        links.add(LinkId(1), HOME, LinkSink::Http(reply));
        assert!(links.send(LinkId(1), "{}".to_owned()));
        assert_eq!(answer.try_recv().unwrap(), HttpReply { status: 200, body: "{}".to_owned() });
        assert_eq!(links.len(), 0);
        assert!(links.send(LinkId(1), "late".to_owned()));
    }

    #[test]
    fn a_web_socket_that_is_not_read_is_given_up() {
        let mut links = Links::default();
        let (sender, mut receiver) = mpsc::channel(1);
        links.add(LinkId(1), HOME, LinkSink::WebSocket(sender));
        assert!(links.send(LinkId(1), "1".to_owned()));
        assert!(!links.send(LinkId(1), "2".to_owned()));
        assert_eq!(receiver.try_recv().unwrap(), ToWebSocket::Text("1".to_owned()));
        assert!(receiver.try_recv().is_err() && links.len() == 0);
    }
}
