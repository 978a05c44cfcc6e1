//! The transactions of an endpoint: machine, message and route of each, and how messages find them.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use bytes::Bytes;

use super::event::Credentials;
use super::flows::Hop;
use crate::ids::{DialogId, IdCounter, RegistrationId, TransactionId};
use crate::io::SocketId;
use crate::sip::auth::DigestClient;
use crate::sip::transaction::{ClientTransaction, ServerTransaction};
use crate::sip::{Headers, Method, Request, Via};

/// Who wants to hear of a client transaction's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The INVITE that makes a dialog.
    Invite(DialogId),
    /// A re-INVITE or an UPDATE.
    Modify(DialogId),
    /// An INFO, or an UPDATE without a body.
    InDialog(DialogId),
    /// A REGISTER.
    Register(RegistrationId),
    /// Nobody: BYE, CANCEL.
    Nobody,
}

/// A client transaction.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) machine: ClientTransaction,
    pub(super) request: Request,
    pub(super) wire: Bytes,
    pub(super) hop: Hop,
    /// The far end of the byte stream, if it is one.
    pub(super) remote: Option<SocketAddr>,
    /// The byte stream was ours and open before.
    pub(super) reused: bool,
    /// Where to go on by datagrams when the byte stream can't be opened (RFC 3261 section 18.1.1).
    pub(super) datagram_fallback: Option<(SocketId, SocketAddr)>,
    pub(super) owner: Owner,
    pub(super) credentials: Option<Credentials>,
    /// How often a challenge was answered.
    pub(super) attempts: u8,
    /// What was learned from those challenges.
    pub(super) digest: Option<DigestClient>,
    /// The ACK to a failure, or one per fork's 2xx with its tag.
    pub(super) acks: Vec<(String, Hop, Bytes)>,
}

/// A server transaction.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) machine: ServerTransaction,
    /// What responses are made from.
    pub(super) request: Request,
    /// The latest response.
    pub(super) wire: Option<Bytes>,
    pub(super) hop: Hop,
    /// Where to open a byte stream to when the request's is gone (section 18.2.2).
    pub(super) fallback: Option<SocketAddr>,
    /// The socket whose advertised address stands in our Contact.
    pub(super) socket: SocketId,
    pub(super) key: String,
    pub(super) merge_key: Option<String>,
    /// The dialog that this INVITE, or this modification, belongs to.
    pub(super) dialog: Option<DialogId>,
}

/// All of them. Ordered, so that walking over them is repeatable.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    pub(super) clients: BTreeMap<TransactionId, Client>,
    pub(super) servers: BTreeMap<TransactionId, Server>,
    client_keys: HashMap<String, TransactionId>,
    server_keys: HashMap<String, TransactionId>,
    merge_keys: HashMap<String, TransactionId>,
    ids: IdCounter,
}

impl Transactions {
    pub(super) fn len(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    pub(super) fn draw(&mut self) -> TransactionId {
        TransactionId(self.ids.draw())
    }

    pub(super) fn insert_client(&mut self, id: TransactionId, branch: &str, client: Client) {
        self.client_keys.insert(client_key(branch, &client.request.method), id);
        self.clients.insert(id, client);
    }

    pub(super) fn insert_server(&mut self, id: TransactionId, server: Server) {
        self.server_keys.insert(server.key.clone(), id);
        if let Some(key) = &server.merge_key {
            self.merge_keys.insert(key.clone(), id);
        }
        self.servers.insert(id, server);
    }

    /// The client transaction that a response belongs to (section 17.1.3).
    pub(super) fn find_client(&self, branch: &str, method: &Method) -> Option<TransactionId> {
        self.client_keys.get(&client_key(branch, method)).copied()
    }

    /// The server transaction that a request belongs to (section 17.2.3).
    pub(super) fn find_server(&self, key: &str) -> Option<TransactionId> {
        self.server_keys.get(key).copied()
    }

    /// Whether the same request came by another path (section 8.2.2.2).
    pub(super) fn is_merged(&self, merge_key: &str) -> bool {
        self.merge_keys.contains_key(merge_key)
    }

    pub(super) fn remove_client(&mut self, id: TransactionId) -> Option<Client> {
        let client = self.clients.remove(&id)?;
        if let Some(branch) = client.request.headers.top_via().ok().and_then(|via| via.branch().map(str::to_owned)) {
            self.client_keys.remove(&client_key(&branch, &client.request.method));
        }
        Some(client)
    }

    pub(super) fn remove_server(&mut self, id: TransactionId) -> Option<Server> {
        let server = self.servers.remove(&id)?;
        self.server_keys.remove(&server.key);
        if let Some(key) = &server.merge_key {
            self.merge_keys.remove(key);
        }
        Some(server)
    }
}

fn client_key(branch: &str, method: &Method) -> String {
    format!("{branch}|{method}")
}

/// What identifies the server transaction of a request; an ACK and a CANCEL find that of their INVITE when `method` says
/// so (section 17.2.3).
pub(super) fn server_key(via: &Via, request: &Request, method: &Method) -> String {
    let sent_by = format!("{}:{}", via.host, via.port.unwrap_or_else(|| via.transport.default_port()));
    match via.unique_branch() {
        Some(branch) => format!("{branch}|{}|{method}", sent_by.to_ascii_lowercase()),
        // An RFC 2543 element. The To tag is left out: it differs between the INVITE and its ACK.
        None => format!(
            "2543|{}|{}|{}|{}|{sent_by}|{}|{method}",
            request.uri,
            request.headers.from_tag().unwrap_or_default(),
            request.headers.get("Call-ID").unwrap_or_default(),
            cseq(&request.headers),
            via.branch().unwrap_or_default(),
        ),
    }
}

/// What is equal in all copies of one request, whatever path they took.
pub(super) fn merge_key(request: &Request) -> String {
    let headers = &request.headers;
    let call_id = headers.get("Call-ID").unwrap_or_default();
    format!("{call_id}|{}|{}|{}", headers.from_tag().unwrap_or_default(), cseq(headers), request.method)
}

fn cseq(headers: &Headers) -> u32 {
    headers.cseq().map_or(0, |cseq| cseq.number)
}
