//! The admin API: allocations, listed, looked at and ended. It shows who the users are, so it isn't for everybody.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use shell::config::Secret;
use tokio::sync::oneshot;
use webrtc_sip_core::ids::AllocationId;
use webrtc_sip_core::turn::{AllocationSummary, Traffic};

use crate::worker::{Inbox, WorkerInput, allocation_called, allocation_name};

const DEFAULT_PAGE: usize = 100;
const MAX_PAGE: usize = 1000;
/// How often every worker is asked for an allocation: it may move from one that is asked later to one that was asked before.
const LOOKS: usize = 2;

/// Who may ask.
#[derive(Clone, Debug)]
enum Access {
    /// Nobody.
    Off,
    /// Whoever is on this machine.
    Loopback,
    /// Whoever has the token.
    Token(Secret),
}

/// The API of a running server.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    workers: Vec<Inbox>,
    access: Access,
}

#[derive(Debug, Deserialize)]
struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Allocations {
    allocations: Vec<Allocation>,
    /// What `after` has to be for the next page; none when there is nothing more.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Allocation {
    id: String,
    user: String,
    client: SocketAddr,
    transport: &'static str,
    relayed: Vec<SocketAddr>,
    age_seconds: u64,
    /// From the client to peers.
    sent: Counts,
    /// From peers to the client.
    received: Counts,
}

#[derive(Debug, Serialize)]
struct Counts {
    packets: u64,
    bytes: u64,
}

/// Why something isn't done.
#[derive(Debug)]
struct Problem(StatusCode, &'static str);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Json(serde_json::json!({ "error": self.1 }));
        if self.0 == StatusCode::UNAUTHORIZED {
            return (self.0, [(header::WWW_AUTHENTICATE, "Bearer")], body).into_response();
        }
        (self.0, body).into_response()
    }
}

const NO_SUCH: Problem = Problem(StatusCode::NOT_FOUND, "there is no such allocation");

impl Admin {
    /// For these workers, on an HTTP listener at `listen`.
    pub(crate) fn new(workers: Vec<Inbox>, listen: SocketAddr, token: Option<&Secret>) -> Self {
        let access = match token {
            Some(token) => Access::Token(token.clone()),
            None if listen.ip().to_canonical().is_loopback() => Access::Loopback,
            None => Access::Off,
        };
        Admin { workers, access }
    }

    /// Its paths.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/v1/allocations", get(list))
            .route("/v1/allocations/{id}", get(inspect).delete(end))
            .with_state(self)
    }

    fn permit(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        match &self.access {
            Access::Off => Err(Problem(
                StatusCode::NOT_FOUND,
                "the admin API is off: set http.admin_token, or let http.listen be a loopback address",
            )),
            // A page in a browser on this machine can be made to ask us by a name of its own that leads here.
            Access::Loopback if text(header::HOST).is_some_and(is_loopback) => Ok(()),
            Access::Loopback => {
                Err(Problem(StatusCode::FORBIDDEN, "without http.admin_token, ask for localhost or a loopback address"))
            }
            Access::Token(token) => match text(header::AUTHORIZATION).and_then(|text| text.strip_prefix("Bearer ")) {
                Some(given) if token.is(given) => Ok(()),
                Some(_) => Err(Problem(StatusCode::FORBIDDEN, "the token is wrong")),
                None => Err(Problem(StatusCode::UNAUTHORIZED, "send http.admin_token as a bearer token")),
            },
        }
    }

    /// The next `limit` allocations, in the order of their ids. Every worker is asked: an allocation moves to where its client
    /// is.
    async fn next(&self, after: Option<AllocationId>, limit: usize) -> Vec<AllocationSummary> {
        let mut all = Vec::new();
        for inbox in &self.workers {
            let (reply, answer) = oneshot::channel();
            inbox.send(WorkerInput::Allocations { after, limit, reply }).await;
            // A worker is gone only when the process ends.
            all.extend(answer.await.unwrap_or_default());
        }
        all.sort_unstable_by_key(|found| found.id);
        // It may have moved from a worker to the next between our questions.
        all.dedup_by_key(|found| found.id);
        all.truncate(limit);
        all
    }

    async fn find(&self, id: AllocationId) -> Result<Allocation, Problem> {
        let before = id.0.checked_sub(1).map(AllocationId);
        for _ in 0..LOOKS {
            if let Some(found) = self.next(before, 1).await.iter().find(|found| found.id == id) {
                return Ok(Allocation::from(found));
            }
        }
        Err(NO_SUCH)
    }

    /// Ends an allocation; says whether it was there.
    async fn end(&self, id: AllocationId) -> bool {
        for inbox in [&self.workers; LOOKS].into_iter().flatten() {
            let (reply, answer) = oneshot::channel();
            inbox.send(WorkerInput::EndAllocation { id, reply }).await;
            if answer.await.unwrap_or(false) {
                return true;
            }
        }
        false
    }
}

async fn list(
    State(admin): State<Admin>,
    headers: HeaderMap,
    Query(page): Query<Page>,
) -> Result<Json<Allocations>, Problem> {
    admin.permit(&headers)?;
    let limit = page.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem(StatusCode::BAD_REQUEST, "limit: expected a number from 1 to 1000"));
    }
    let after = match page.after.as_deref().map(allocation_called) {
        Some(None) => return Err(Problem(StatusCode::BAD_REQUEST, "after: expected the id of an allocation")),
        Some(after) => after,
        None => None,
    };
    let allocations: Vec<_> = admin.next(after, limit).await.iter().map(Allocation::from).collect();
    let next = allocations.last().filter(|_| allocations.len() == limit).map(|last| last.id.clone());
    Ok(Json(Allocations { allocations, next }))
}

async fn inspect(
    State(admin): State<Admin>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Allocation>, Problem> {
    admin.permit(&headers)?;
    admin.find(allocation_called(&id).ok_or(NO_SUCH)?).await.map(Json)
}

async fn end(State(admin): State<Admin>, headers: HeaderMap, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    admin.permit(&headers)?;
    let id = allocation_called(&id).ok_or(NO_SUCH)?;
    if admin.end(id).await { Ok(StatusCode::NO_CONTENT) } else { Err(NO_SUCH) }
}

impl From<&AllocationSummary> for Allocation {
    fn from(summary: &AllocationSummary) -> Self {
        Allocation {
            id: allocation_name(summary.id),
            user: summary.user.to_string(),
            client: summary.client,
            transport: summary.transport.name(),
            relayed: summary.relayed.to_vec(),
            age_seconds: summary.age.as_secs(),
            sent: summary.sent.into(),
            received: summary.received.into(),
        }
    }
}

impl From<Traffic> for Counts {
    fn from(traffic: Traffic) -> Self {
        Counts { packets: traffic.packets, bytes: traffic.bytes }
    }
}

/// Whether a Host header names this machine to itself.
fn is_loopback(host: &str) -> bool {
    let without_port = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(ip, _)| ip),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    without_port.eq_ignore_ascii_case("localhost")
        || without_port.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "LOCALHOST:10053", "127.0.0.1", "127.0.0.1:80", "[::1]:80", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1:80", "[::2]"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn names_lead_back_to_their_allocations() {
        let id = AllocationId::new(3, 77);
        assert_eq!(allocation_name(id), "3-77");
        assert_eq!(allocation_called("3-77"), Some(id));
        for name in ["", "3", "3-", "-77", "3-x", "3-77-1", "-3-77", "256-1", "3-72057594037927936"] {
            assert_eq!(allocation_called(name), None, "{name}");
        }
    }
}
