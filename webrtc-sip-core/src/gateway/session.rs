//! The `session.*` methods: signing in, resuming, refreshing, signing out.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::call::EndReason;
use crate::ids::{LinkId, ShardId, SignInId};
use crate::timer::LONGEST_WAIT;

use super::client::rpc::{self, Method, Resume, RpcError, SignIn};
use super::client::{ClientEvent, SignInSnapshot};
use super::requests::Pending;
use super::{Gateway, GatewayEvent, Identity, IdentityError, Request};

/// HTTP statuses with which a link is refused.
const UNAUTHORIZED: u16 = 401;
const CONFLICT: u16 = 409;

impl Gateway {
    pub(super) fn on_client_message(&mut self, now: Instant, link: LinkId, bearer: Option<&str>, text: &[u8]) {
        if text.len() > self.config.max_client_message_bytes {
            self.clients.send(link, RpcError::InvalidRequest.response(&Value::Null));
            return;
        }
        let rpc::Incoming { id, method } = rpc::parse(text);
        // The response comes before the notifications that carrying it out brings.
        let position = self.clients.output_count();
        let outcome = match method {
            Ok(Method::SignIn(params)) => {
                // Answered once it is known who this is.
                self.begin_sign_in(now, link, id, params);
                return;
            }
            Ok(Method::Resume(params)) => self.resume(now, link, bearer, params),
            Ok(method) => {
                self.clients.authorise(now, link, bearer).and_then(|sign_in| self.on_request(now, sign_in, method))
            }
            Err(error) => {
                self.counters.unknown_requests += 1;
                Err(error)
            }
        };
        if outcome == Err(RpcError::NotSignedIn) {
            self.counters.unauthorized += 1;
        }
        let wrong = matches!(outcome, Err(error) if error.is_clients_fault());
        self.reply(position, link, id, outcome);
        if wrong && !self.clients.allow_wrong_message(link) {
            self.clients.refuse(link, 429, RpcError::TooMany);
        }
        // The result of a resumption comes before what was missed.
        if let Some(sign_in) = self.replay.take() {
            self.clients.replay(sign_in);
        }
    }

    /// A JSON-RPC notification gets no response, but over HTTP something has to be sent.
    fn reply(&mut self, position: usize, link: LinkId, id: Option<Value>, outcome: Result<Value, RpcError>) {
        let text = match (id, outcome) {
            (Some(id), Ok(value)) => rpc::result(&id, value),
            (Some(id), Err(error)) => error.response(&id),
            (None, _) if self.clients.is_websocket(link) => return,
            (None, _) => "{}".to_owned(),
        };
        self.clients.send_at(position, link, text);
    }

    fn on_request(&mut self, now: Instant, sign_in: SignInId, method: Method) -> Result<Value, RpcError> {
        match method {
            // Handled before there is a sign-in.
            Method::SignIn(_) | Method::Resume(_) => Err(RpcError::AlreadySignedIn),
            Method::Refresh => {
                let lifetime = self.clients.refresh(now, sign_in);
                // Credentials for relays run out as sign-ins do.
                let user = self.clients.get(sign_in).map(|sign_in| sign_in.identity.user.clone()).unwrap_or_default();
                Ok(json!({ "expiresInMs": millis(lifetime), "iceServers": self.ice_servers(&user) }))
            }
            Method::Heartbeat(params) => {
                self.clients.acknowledge(sign_in, params.after);
                Ok(json!({}))
            }
            Method::SignOut => {
                let in_call = self.clients.get(sign_in).is_some_and(|sign_in| !sign_in.calls.is_empty());
                self.counters.dropped_on_sign_out += u64::from(in_call);
                self.end_sign_in(now, sign_in, EndReason::Hangup, None);
                Ok(json!({}))
            }
            method => self.on_call_method(now, sign_in, method),
        }
    }

    // Signing in

    fn begin_sign_in(&mut self, now: Instant, link: LinkId, rpc_id: Option<Value>, params: SignIn) {
        let on_websocket = self.clients.is_websocket(link);
        let refusal = if self.draining {
            Some(RpcError::Unavailable)
        } else if self.clients.is_signed_in(link) {
            Some(RpcError::AlreadySignedIn)
        } else if self.is_full_for(&params.user) || self.requests.len() >= self.config.max_sign_ins {
            Some(RpcError::TooMany)
        } else if params.user.len() > 128 || params.password.len() > 256 {
            Some(RpcError::WrongCredentials)
        } else {
            None
        };
        if let Some(error) = refusal {
            return self.reply(self.clients.output_count(), link, rpc_id, Err(error));
        }
        if !self.clients.allow_attempt(link) {
            return self.clients.refuse(link, 429, RpcError::TooMany);
        }
        let id = self.requests.open(now, Pending::SignIn { link, rpc_id, on_websocket });
        let request = Request::Authenticate { link, user: params.user, password: params.password };
        self.events.push_back(GatewayEvent::Request { id, request });
    }

    /// Who comes back displaces a sign-in, so that a full gateway still takes them.
    fn is_full_for(&self, user: &str) -> bool {
        self.clients.len() >= self.config.max_sign_ins && self.clients.by_user(user).is_none()
    }

    pub(super) fn finish_sign_in(
        &mut self,
        now: Instant,
        link: LinkId,
        rpc_id: Option<Value>,
        on_websocket: bool,
        identity: Result<Identity, IdentityError>,
    ) {
        if on_websocket && !self.clients.is_websocket(link) {
            return;
        }
        let outcome = match identity {
            Err(IdentityError::Refused) => {
                self.counters.unauthorized += 1;
                Err(RpcError::WrongCredentials)
            }
            Err(IdentityError::Unavailable) => Err(RpcError::Unavailable),
            Err(IdentityError::TooMany) => Err(RpcError::TooMany),
            Ok(_) if self.clients.is_signed_in(link) => Err(RpcError::AlreadySignedIn),
            Ok(_) if self.draining => Err(RpcError::Unavailable),
            Ok(identity) if self.is_full_for(&identity.user) => Err(RpcError::TooMany),
            Ok(identity) => Ok(self.sign_in(now, link, identity)),
        };
        self.reply(self.clients.output_count(), link, rpc_id, outcome);
    }

    fn sign_in(&mut self, now: Instant, link: LinkId, identity: Identity) -> Value {
        let shard = self.least_used_shard();
        *self.sign_ins_per_shard.entry(shard).or_default() += 1;
        let (id, token, displaced) = self.clients.sign_in(now, link, identity, shard);
        if let Some(displaced) = displaced {
            self.counters.double_sign_ins += 1;
            self.hand_over_registration(displaced, id);
            self.clients.notify(displaced, "session.displaced", json!({ "text": "You signed in somewhere else." }));
            self.end_sign_in(now, displaced, EndReason::ClientGone, Some((CONFLICT, RpcError::NotSignedIn)));
        }
        self.register(now, id);
        let mut result = self.describe_sign_in(now, id);
        result["token"] = token.into();
        result
    }

    fn resume(&mut self, now: Instant, link: LinkId, bearer: Option<&str>, params: Resume) -> Result<Value, RpcError> {
        let token = params.token.as_deref().or(bearer).ok_or(RpcError::NotSignedIn)?;
        let id = self.clients.resume(now, link, token, params.after)?;
        self.replay = Some(id);
        let mut result = self.describe_sign_in(now, id);
        result["token"] = token.into();
        Ok(result)
    }

    /// What a client is told when it signs in or resumes.
    fn describe_sign_in(&self, now: Instant, id: SignInId) -> Value {
        let Some(sign_in) = self.clients.get(id) else { return json!({}) };
        let calls: Vec<Value> = sign_in.calls.iter().filter_map(|leg| self.describe_call(*leg)).collect();
        let mut told = json!({
            "user": sign_in.identity.user,
            "displayName": sign_in.identity.display_name,
            "expiresInMs": millis(self.clients.remaining(now, id)),
            "heartbeatMs": millis(self.config.heartbeat),
            "deadAfterMs": millis(self.config.dead_after),
            "resumeWindowMs": millis(self.config.resume_window),
            "iceServers": self.ice_servers(&sign_in.identity.user),
            "calls": calls,
        });
        if let Some(path) = &self.config.client_path {
            told["path"] = path.as_str().into();
        }
        told
    }

    /// Ends a sign-in and its calls. `error` closes its links; without one they stay open.
    pub(super) fn end_sign_in(
        &mut self,
        now: Instant,
        id: SignInId,
        reason: EndReason,
        error: Option<(u16, RpcError)>,
    ) {
        let calls = self.clients.get(id).map(|sign_in| sign_in.calls.clone()).unwrap_or_default();
        for leg in calls {
            self.client_leaves(now, leg, reason);
        }
        let Some(sign_in) = self.clients.remove(now, id, error) else { return };
        if let Some(count) = self.sign_ins_per_shard.get_mut(&sign_in.shard) {
            *count = count.saturating_sub(1);
        }
        if let Some(registration) = sign_in.registration {
            self.unregister(now, registration);
        }
    }

    pub(super) fn on_client_event(&mut self, now: Instant, event: ClientEvent) {
        match event {
            ClientEvent::Gone(id) => {
                self.counters.client_timeouts += 1;
                self.end_sign_in(now, id, EndReason::ClientGone, Some((UNAUTHORIZED, RpcError::NotSignedIn)));
            }
            ClientEvent::Expired(id) => {
                self.end_sign_in(now, id, EndReason::Hangup, Some((UNAUTHORIZED, RpcError::NotSignedIn)));
            }
        }
    }

    /// A sign-in that another instance had, unless it is here already.
    pub(super) fn restore_sign_in(&mut self, now: Instant, shard: ShardId, snapshot: SignInSnapshot) -> SignInId {
        let left = snapshot.expires_at.duration_since(self.wall_clock_now()).unwrap_or_default();
        let expires_at = now + left.min(LONGEST_WAIT);
        let (id, is_new) = self.clients.restore(now, shard, expires_at, snapshot);
        if is_new {
            *self.sign_ins_per_shard.entry(shard).or_default() += 1;
            self.register(now, id);
        }
        id
    }

    /// Spreads sign-ins evenly. The order of shards decides between equals.
    pub(super) fn least_used_shard(&self) -> ShardId {
        let used = |shard: ShardId| self.sign_ins_per_shard.get(&shard).copied().unwrap_or(0);
        let shards = self.config.shards.iter().map(|addresses| addresses.shard);
        shards.min_by_key(|shard| used(*shard)).unwrap_or(ShardId(0))
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
