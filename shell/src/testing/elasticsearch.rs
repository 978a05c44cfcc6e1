//! What keeps the rules of Elasticsearch's `_bulk`, for tests: <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::{free_port, until};
use crate::http::{Cut, serve};
use crate::tls::{Tls, TlsPurpose, TlsSettings};

const TLS: TlsPurpose = TlsPurpose { section: "tls", protocols: &[] };

/// A server that can go down and come back at the same address, and remembers what it has.
#[derive(Debug)]
pub struct Elasticsearch {
    /// Where it is while it is up.
    pub address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    /// None while it is down.
    runtime: Option<Runtime>,
}

/// What it does with a request before it judges it, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whim {
    /// It answers this status and does nothing.
    Refuse(u16),
    /// It does what it is asked for, and answers this status.
    DoAndSay(u16),
    /// It answers 429 for the first document, the third, and so on.
    TakeHalf,
}

#[derive(Debug, Default)]
struct Shared {
    /// The header of those who may write; nobody has to say anything where there is none.
    authorization: Option<String>,
    /// Fields that are numbers by their mapping.
    numbers: BTreeSet<String>,
    whims: VecDeque<Whim>,
    requests: usize,
    ids: BTreeSet<(String, String)>,
    documents: Vec<(String, Value)>,
}

impl Elasticsearch {
    /// One that is down, at a free port.
    pub fn down() -> Self {
        Elasticsearch { address: free_port(), shared: Arc::default(), runtime: None }
    }

    /// One that is up.
    pub fn up() -> Self {
        let mut server = Self::down();
        server.come_up(None);
        server
    }

    /// Listens from now on.
    pub fn come_up(&mut self, tls: Option<&Tls>) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("there are threads");
        let mut listener = None;
        // A program that another test started while this one went down may have a copy of the last one until it runs.
        until(|| {
            listener = runtime.block_on(TcpListener::bind(self.address)).ok();
            listener.is_some()
        });
        let listener = listener.expect("it was waited for");
        let router = Router::new()
            .route("/_bulk", post(bulk))
            .layer(DefaultBodyLimit::disable())
            .with_state(self.shared.clone());
        let tls = tls.map(|tls| TlsSettings::load(TLS, tls).expect("it is a certificate"));
        runtime.spawn(async move {
            let (_cut, uncut) = Cut::new();
            serve(listener, router, tls, 8, uncut).await;
        });
        self.runtime = Some(runtime);
    }

    /// Ends every connection, and takes none any more.
    pub fn go_down(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }

    /// Only who sends this header may write from now on.
    pub fn require(&self, authorization: &str) {
        self.shared().authorization = Some(authorization.to_owned());
    }

    /// This field has to be a number.
    pub fn map_to_number(&self, field: &str) {
        self.shared().numbers.insert(field.to_owned());
    }

    /// What it does with the next requests.
    pub fn with_whims(&self, whims: &[Whim]) {
        self.shared().whims.extend(whims);
    }

    /// How many requests there were, good and bad.
    pub fn requests(&self) -> usize {
        self.shared().requests
    }

    /// What it has, in the order in which it came: index and document.
    pub fn documents(&self) -> Vec<(String, Value)> {
        self.shared().documents.clone()
    }

    /// The field of each document that has it, in the order in which they came.
    pub fn field(&self, name: &str) -> Vec<Value> {
        self.shared().documents.iter().filter_map(|(_, document)| document.get(name).cloned()).collect()
    }

    /// Whether a document has this message.
    pub fn has(&self, message: &str) -> bool {
        self.field("message").iter().any(|said| said == message)
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("a test that panicked is over")
    }
}

impl Drop for Elasticsearch {
    fn drop(&mut self) {
        self.go_down();
    }
}

async fn bulk(State(shared): State<Arc<Mutex<Shared>>>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let mut shared = shared.lock().expect("a test that panicked is over");
    shared.requests += 1;
    let (status, answer) = shared.handle(&headers, &body);
    (StatusCode::from_u16(status).expect("it is a status"), answer.to_string())
}

impl Shared {
    fn handle(&mut self, headers: &HeaderMap, body: &[u8]) -> (u16, Value) {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if self.authorization.is_some() && header(header::AUTHORIZATION) != self.authorization.as_deref() {
            return (401, error(401, "security_exception", "unable to authenticate user for REST request [/_bulk]"));
        }
        if !matches!(header(header::CONTENT_TYPE), Some("application/x-ndjson" | "application/json")) {
            return (406, json!({ "error": "Content-Type header is not supported", "status": 406 }));
        }
        let actions = match actions(body) {
            Ok(actions) => actions,
            Err(reason) => return (400, error(400, "illegal_argument_exception", reason)),
        };
        match self.whims.pop_front() {
            None => (200, self.act(actions)),
            Some(Whim::Refuse(status)) => (status, error(status, "es_rejected_execution_exception", "not now")),
            Some(Whim::DoAndSay(status)) => {
                self.act(actions);
                (status, error(status, "some_exception", "although it is done"))
            }
            Some(Whim::TakeHalf) => {
                let mut takes = true;
                let items = actions.into_iter().map(|action| {
                    takes = !takes;
                    if takes { self.create(action) } else { item(429, "es_rejected_execution_exception", "not all") }
                });
                (200, json!({ "errors": true, "items": items.collect::<Vec<_>>() }))
            }
        }
    }

    fn act(&mut self, actions: Vec<(Value, Option<Value>)>) -> Value {
        let items: Vec<Value> = actions.into_iter().map(|action| self.create(action)).collect();
        let errors = items.iter().any(|item| item["create"].get("error").is_some());
        json!({ "took": 1, "errors": errors, "items": items })
    }

    fn create(&mut self, (action, document): (Value, Option<Value>)) -> Value {
        let text = |key: &str| action[key].as_str().unwrap_or_default().to_owned();
        let key = (text("_index"), text("_id"));
        if key.0.is_empty() || key.0.bytes().any(|byte| byte.is_ascii_uppercase() || b"\\/*?\"<>| ,#:".contains(&byte))
        {
            return item(400, "invalid_index_name_exception", "it isn't a name of an index");
        }
        let Some(document) = document else {
            return item(400, "document_parsing_exception", "the document isn't an object");
        };
        let fields = document.as_object().into_iter().flatten();
        let is_number =
            |value: &Value| value.is_number() || value.as_str().is_some_and(|text| text.parse::<f64>().is_ok());
        if let Some((name, _)) = fields.clone().find(|(name, value)| self.numbers.contains(*name) && !is_number(value))
        {
            return item(400, "document_parsing_exception", &format!("failed to parse field [{name}] of type [long]"));
        }
        if !self.ids.insert(key.clone()) {
            return item(409, "version_conflict_engine_exception", "document already exists");
        }
        self.documents.push((key.0, document));
        json!({ "create": { "status": 201 } })
    }
}

/// Two lines each: what to do, and with what; none where that is no object.
fn actions(body: &[u8]) -> Result<Vec<(Value, Option<Value>)>, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "it isn't UTF-8")?;
    let text = text.strip_suffix('\n').ok_or("The bulk request must be terminated by a newline [\\n]")?;
    let lines: Vec<&str> = text.split('\n').collect();
    let action = |pair: &[&str]| {
        let action: BTreeMap<String, Value> =
            serde_json::from_str(pair[0]).map_err(|_| "Malformed action/metadata line")?;
        let document = pair.get(1).ok_or("the last action has no document")?;
        match action.into_iter().next() {
            Some((kind, action)) if kind == "create" => {
                Ok((action, serde_json::from_str(document).ok().filter(Value::is_object)))
            }
            _ => Err("a test of logs expects create and nothing else"),
        }
    };
    lines.chunks(2).map(action).collect()
}

fn item(status: u16, kind: &str, reason: &str) -> Value {
    json!({ "create": { "status": status, "error": { "type": kind, "reason": reason } } })
}

fn error(status: u16, kind: &str, reason: &str) -> Value {
    json!({ "error": { "type": kind, "reason": reason }, "status": status })
}
