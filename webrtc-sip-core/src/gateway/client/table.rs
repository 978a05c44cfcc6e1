//! The table of links and sign-ins, and the timers that tell a dead client from a silent one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::digest;
use serde_json::{Value, json};

use crate::crypto::CryptoProvider;
use crate::gateway::{GatewayConfig, Identity};
use crate::ids::{IdCounter, LinkId, ShardId, SignInId};
use crate::timer::TimerQueue;

use super::rpc::RpcError;
use super::sign_in::{SignIn, SignInSnapshot};

/// Length of a session token: 6 bits a character.
const TOKEN_LEN: usize = 43;
/// Sign-in attempts on one WebSocket before it is closed.
const MAX_ATTEMPTS: u32 = 5;
/// Messages on one WebSocket that are no valid requests, before it is closed.
const MAX_WRONG_MESSAGES: u32 = 100;
/// How long before the end of a sign-in its client is reminded.
const EXPIRY_NOTICE: Duration = Duration::from_secs(60);

/// What is to be sent to a client.
#[derive(Debug)]
pub(crate) enum ClientOutput {
    Send { link: LinkId, text: String },
    Close { link: LinkId, status: u16, text: String },
}

/// What happened to a sign-in by itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ClientEvent {
    /// The client was silent for too long.
    Gone(SignInId),
    /// Its time is over.
    Expired(SignInId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ClientTimer {
    /// A WebSocket without a sign-in must get one.
    Unauthenticated(LinkId),
    /// Look whether the client was heard.
    Alive(SignInId),
    /// Answer a long poll although nothing happened.
    Poll(SignInId),
    /// Remind, then end.
    Expiry(SignInId),
}

#[derive(Debug, Default)]
struct WebSocket {
    sign_in: Option<SignInId>,
    attempts: u32,
    wrong_messages: u32,
}

/// Links and sign-ins.
#[derive(Debug)]
pub(crate) struct Clients {
    crypto: CryptoProvider,
    dead_after: Duration,
    resume_window: Duration,
    poll_wait: Duration,
    lifetime: Duration,
    max_pending: usize,
    max_websockets: usize,
    websockets: HashMap<LinkId, WebSocket>,
    polls: HashMap<LinkId, SignInId>,
    sign_ins: BTreeMap<SignInId, SignIn>,
    /// By SHA-256 of the token, so that looking one up takes no longer for a nearly right guess.
    tokens: HashMap<[u8; 32], SignInId>,
    users: HashMap<String, SignInId>,
    ids: IdCounter,
    timers: TimerQueue<ClientTimer>,
    outputs: VecDeque<ClientOutput>,
}

impl Clients {
    pub(crate) fn new(config: &GatewayConfig, crypto: CryptoProvider) -> Self {
        Clients {
            crypto,
            dead_after: config.dead_after,
            resume_window: config.resume_window,
            poll_wait: config.poll_wait,
            lifetime: config.sign_in_lifetime,
            max_pending: config.max_pending_notifications,
            max_websockets: config.max_websockets,
            websockets: HashMap::new(),
            polls: HashMap::new(),
            sign_ins: BTreeMap::new(),
            tokens: HashMap::new(),
            users: HashMap::new(),
            ids: IdCounter::default(),
            timers: TimerQueue::default(),
            outputs: VecDeque::new(),
        }
    }

    // Links

    pub(crate) fn open_websocket(&mut self, now: Instant, link: LinkId) {
        if self.websockets.len() >= self.max_websockets {
            return self.refuse(link, 429, RpcError::TooMany);
        }
        self.websockets.insert(link, WebSocket::default());
        self.timers.set(ClientTimer::Unauthenticated(link), now + self.dead_after);
    }

    /// The client closed the link. Its sign-in stays for the resume window.
    pub(crate) fn close_link(&mut self, link: LinkId) {
        self.forget_link(link);
    }

    fn forget_link(&mut self, link: LinkId) {
        self.timers.cancel(&ClientTimer::Unauthenticated(link));
        if let Some(id) = self.websockets.remove(&link).and_then(|websocket| websocket.sign_in)
            && let Some(sign_in) = self.sign_ins.get_mut(&id)
            && sign_in.websocket == Some(link)
        {
            sign_in.websocket = None;
        }
        if let Some(id) = self.polls.remove(&link)
            && let Some(sign_in) = self.sign_ins.get_mut(&id)
            && sign_in.poll == Some(link)
        {
            sign_in.poll = None;
            self.timers.cancel(&ClientTimer::Poll(id));
        }
    }

    /// Answers a link. An HTTP link is used up by that.
    pub(crate) fn send(&mut self, link: LinkId, text: String) {
        self.outputs.push_back(ClientOutput::Send { link, text });
    }

    /// As `send`, but before everything that was sent after the first `position` outputs.
    pub(crate) fn send_at(&mut self, position: usize, link: LinkId, text: String) {
        self.outputs.insert(position.min(self.outputs.len()), ClientOutput::Send { link, text });
    }

    /// How much waits to be sent.
    pub(crate) fn output_count(&self) -> usize {
        self.outputs.len()
    }

    /// Closes a link with an error.
    pub(crate) fn refuse(&mut self, link: LinkId, status: u16, error: RpcError) {
        self.forget_link(link);
        self.outputs.push_back(ClientOutput::Close { link, status, text: error.response(&Value::Null) });
    }

    /// Whether this link may still try a password.
    pub(crate) fn allow_attempt(&mut self, link: LinkId) -> bool {
        self.websockets.get_mut(&link).is_none_or(|websocket| {
            websocket.attempts += 1;
            websocket.attempts <= MAX_ATTEMPTS
        })
    }

    /// Whether this link may stay after one more message that is no valid request.
    pub(crate) fn allow_wrong_message(&mut self, link: LinkId) -> bool {
        self.websockets.get_mut(&link).is_none_or(|websocket| {
            websocket.wrong_messages += 1;
            websocket.wrong_messages <= MAX_WRONG_MESSAGES
        })
    }

    /// Whether the link is a WebSocket that is open.
    pub(crate) fn is_websocket(&self, link: LinkId) -> bool {
        self.websockets.contains_key(&link)
    }

    /// Whether the link is a WebSocket that has a sign-in.
    pub(crate) fn is_signed_in(&self, link: LinkId) -> bool {
        self.websockets.get(&link).is_some_and(|websocket| websocket.sign_in.is_some())
    }

    // Sign-ins

    /// Signs a user in. Returns the token and the sign-in of the same user that this one displaces.
    pub(crate) fn sign_in(
        &mut self,
        now: Instant,
        link: LinkId,
        identity: Identity,
        shard: ShardId,
    ) -> (SignInId, String, Option<SignInId>) {
        let id = SignInId(self.ids.draw());
        let token = self.crypto.token(TOKEN_LEN);
        let token_digest = digest_of(&token);
        let expires_at = now + self.lifetime;
        let displaced = self.users.insert(identity.user.clone(), id);
        self.tokens.insert(token_digest, id);
        self.sign_ins.insert(id, SignIn::new(now, identity, shard, token_digest, expires_at));
        self.timers.set(ClientTimer::Alive(id), now + self.dead_after);
        self.timers.set(ClientTimer::Expiry(id), expires_at - EXPIRY_NOTICE.min(self.lifetime));
        self.attach(link, id);
        (id, token, displaced)
    }

    /// Takes over a sign-in of another instance; says whether it wasn't here yet.
    pub(crate) fn restore(
        &mut self,
        now: Instant,
        shard: ShardId,
        expires_at: Instant,
        snapshot: SignInSnapshot,
    ) -> (SignInId, bool) {
        if let Some(id) = self.tokens.get(&snapshot.token_digest) {
            return (*id, false);
        }
        let id = SignInId(self.ids.draw());
        self.tokens.insert(snapshot.token_digest, id);
        // Who has signed in here meanwhile is reached there. The older sign-in stays for the sake of its calls.
        self.users.entry(snapshot.identity.user.clone()).or_insert(id);
        self.sign_ins.insert(id, SignIn::restored(now, shard, expires_at, snapshot));
        self.timers.set(ClientTimer::Alive(id), now + self.dead_after);
        self.timers.set(ClientTimer::Expiry(id), expires_at);
        (id, true)
    }

    /// What another instance needs to take a sign-in over.
    pub(crate) fn snapshot(
        &self,
        id: SignInId,
        wall_clock: impl FnOnce(Instant) -> SystemTime,
    ) -> Option<SignInSnapshot> {
        let sign_in = self.sign_ins.get(&id)?;
        Some(sign_in.snapshot(wall_clock(sign_in.expires_at)))
    }

    /// Whose token this is, where the request allowance isn't used up.
    pub(crate) fn authorise(&mut self, now: Instant, link: LinkId, bearer: Option<&str>) -> Result<SignInId, RpcError> {
        let id = match (self.websockets.get(&link), bearer) {
            (Some(websocket), _) => websocket.sign_in,
            (None, Some(token)) => self.tokens.get(&digest_of(token)).copied(),
            (None, None) => None,
        };
        let (id, sign_in) = id.and_then(|id| Some((id, self.sign_ins.get_mut(&id)?))).ok_or(RpcError::NotSignedIn)?;
        sign_in.last_heard = sign_in.last_heard.max(now);
        if sign_in.allow_request(now) { Ok(id) } else { Err(RpcError::TooMany) }
    }

    /// Binds a WebSocket to an existing sign-in; what the client hasn't seen is sent again by [`Clients::replay`].
    pub(crate) fn resume(&mut self, now: Instant, link: LinkId, token: &str, after: u64) -> Result<SignInId, RpcError> {
        let id = *self.tokens.get(&digest_of(token)).ok_or(RpcError::NotSignedIn)?;
        if self.websockets.get(&link).is_some_and(|websocket| websocket.sign_in.is_some_and(|bound| bound != id)) {
            return Err(RpcError::AlreadySignedIn);
        }
        let sign_in = self.sign_ins.get_mut(&id).ok_or(RpcError::NotSignedIn)?;
        sign_in.last_heard = sign_in.last_heard.max(now);
        sign_in.acknowledge(after);
        if let Some(old) = sign_in.websocket.take().filter(|old| *old != link) {
            self.refuse(old, 409, RpcError::NotSignedIn);
        }
        self.attach(link, id);
        Ok(id)
    }

    fn attach(&mut self, link: LinkId, id: SignInId) {
        self.timers.cancel(&ClientTimer::Unauthenticated(link));
        if let (Some(websocket), Some(sign_in)) = (self.websockets.get_mut(&link), self.sign_ins.get_mut(&id)) {
            websocket.sign_in = Some(id);
            sign_in.websocket = Some(link);
        }
    }

    /// Sends again over the WebSocket whatever wasn't acknowledged.
    pub(crate) fn replay(&mut self, id: SignInId) {
        let Some(sign_in) = self.sign_ins.get(&id) else { return };
        let Some(link) = sign_in.websocket else { return };
        self.outputs.extend(sign_in.pending().map(|text| ClientOutput::Send { link, text: text.to_owned() }));
    }

    /// Notes what the client has seen.
    pub(crate) fn acknowledge(&mut self, id: SignInId, after: u64) {
        if let Some(sign_in) = self.sign_ins.get_mut(&id) {
            sign_in.acknowledge(after);
        }
    }

    /// Prolongs a sign-in; returns for how long.
    pub(crate) fn refresh(&mut self, now: Instant, id: SignInId) -> Duration {
        if let Some(sign_in) = self.sign_ins.get_mut(&id) {
            sign_in.expires_at = now + self.lifetime;
            self.timers.set(ClientTimer::Expiry(id), sign_in.expires_at - EXPIRY_NOTICE.min(self.lifetime));
        }
        self.lifetime
    }

    /// How long a sign-in still lasts.
    pub(crate) fn remaining(&self, now: Instant, id: SignInId) -> Duration {
        self.sign_ins.get(&id).map_or(Duration::ZERO, |s| s.expires_at.saturating_duration_since(now))
    }

    /// Forgets a sign-in. A link of its own is closed with `error`, where there is one.
    pub(crate) fn remove(&mut self, now: Instant, id: SignInId, error: Option<(u16, RpcError)>) -> Option<SignIn> {
        let sign_in = self.sign_ins.remove(&id)?;
        self.tokens.remove(&sign_in.token_digest);
        if self.users.get(&sign_in.identity.user) == Some(&id) {
            self.users.remove(&sign_in.identity.user);
        }
        for timer in [ClientTimer::Alive(id), ClientTimer::Poll(id), ClientTimer::Expiry(id)] {
            self.timers.cancel(&timer);
        }
        for link in [sign_in.websocket, sign_in.poll].into_iter().flatten() {
            match error {
                Some((status, error)) => self.refuse(link, status, error),
                None => self.detach(now, link),
            }
        }
        Some(sign_in)
    }

    /// Takes the sign-in from a WebSocket that stays open; answers a pending poll.
    fn detach(&mut self, now: Instant, link: LinkId) {
        if let Some(websocket) = self.websockets.get_mut(&link) {
            websocket.sign_in = None;
            self.timers.set(ClientTimer::Unauthenticated(link), now + self.dead_after);
        }
        if self.polls.remove(&link).is_some() {
            self.refuse(link, 401, RpcError::NotSignedIn);
        }
    }

    pub(crate) fn get(&self, id: SignInId) -> Option<&SignIn> {
        self.sign_ins.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: SignInId) -> Option<&mut SignIn> {
        self.sign_ins.get_mut(&id)
    }

    pub(crate) fn by_user(&self, user: &str) -> Option<SignInId> {
        self.users.get(user).copied()
    }

    pub(crate) fn ids(&self) -> Vec<SignInId> {
        self.sign_ins.keys().copied().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.sign_ins.len()
    }

    pub(crate) fn link_count(&self) -> usize {
        self.websockets.len() + self.polls.len()
    }

    pub(crate) fn timer_count(&self) -> usize {
        self.timers.len()
    }

    // Notifications

    /// Tells a client something; kept until it is acknowledged.
    pub(crate) fn notify(&mut self, id: SignInId, method: &str, params: Value) {
        let Some(sign_in) = self.sign_ins.get_mut(&id) else { return };
        let websocket = sign_in.websocket;
        let text = sign_in.queue(method, params, self.max_pending);
        match websocket {
            Some(link) => self.outputs.push_back(ClientOutput::Send { link, text: text.to_owned() }),
            None => self.answer_poll(id),
        }
    }

    /// A long poll for what comes after `after`.
    pub(crate) fn poll(&mut self, now: Instant, link: LinkId, id: SignInId, after: u64) {
        let Some(sign_in) = self.sign_ins.get_mut(&id) else { return };
        sign_in.acknowledge(after);
        let waiting = sign_in.pending().len() > 0;
        if let Some(old) = sign_in.poll.replace(link) {
            self.polls.remove(&old);
            self.outputs.push_back(ClientOutput::Send { link: old, text: json!({"events": []}).to_string() });
        }
        self.polls.insert(link, id);
        self.timers.set(ClientTimer::Poll(id), now + self.poll_wait);
        if waiting {
            self.answer_poll(id);
        }
    }

    /// Answers the pending poll with whatever there is.
    fn answer_poll(&mut self, id: SignInId) {
        let Some(sign_in) = self.sign_ins.get_mut(&id) else { return };
        let Some(link) = sign_in.poll.take() else { return };
        // The notifications are JSON texts already; parsing them to print them again would be wasted.
        let events = sign_in.pending().collect::<Vec<_>>().join(",");
        self.polls.remove(&link);
        self.timers.cancel(&ClientTimer::Poll(id));
        self.outputs.push_back(ClientOutput::Send { link, text: format!("{{\"events\":[{events}]}}") });
    }

    // Time

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    /// Handles one due timer; call until it returns none for `now`.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<ClientEvent> {
        loop {
            let event = match self.timers.pop_due(now)? {
                ClientTimer::Unauthenticated(link) => {
                    self.refuse(link, 401, RpcError::NotSignedIn);
                    None
                }
                ClientTimer::Poll(id) => {
                    self.answer_poll(id);
                    None
                }
                ClientTimer::Alive(id) => self.look_after(now, id),
                ClientTimer::Expiry(id) => self.remind_or_expire(now, id),
            };
            if event.is_some() {
                return event;
            }
        }
    }

    /// Closes a silent link, and gives up a client that didn't come back.
    fn look_after(&mut self, now: Instant, id: SignInId) -> Option<ClientEvent> {
        let sign_in = self.sign_ins.get(&id)?;
        let dead_at = sign_in.last_heard + self.dead_after;
        let gone_at = sign_in.last_heard + self.resume_window.max(self.dead_after);
        if now >= gone_at {
            return Some(ClientEvent::Gone(id));
        }
        if now >= dead_at {
            if let Some(link) = sign_in.websocket {
                self.refuse(link, 408, RpcError::NotSignedIn);
            }
            self.timers.set(ClientTimer::Alive(id), gone_at);
        } else {
            self.timers.set(ClientTimer::Alive(id), dead_at);
        }
        None
    }

    fn remind_or_expire(&mut self, now: Instant, id: SignInId) -> Option<ClientEvent> {
        let expires_at = self.sign_ins.get(&id)?.expires_at;
        if now >= expires_at {
            return Some(ClientEvent::Expired(id));
        }
        self.timers.set(ClientTimer::Expiry(id), expires_at);
        let in_ms = (expires_at - now).as_millis() as u64;
        self.notify(id, "session.expiring", json!({ "inMs": in_ms }));
        None
    }

    pub(crate) fn poll_output(&mut self) -> Option<ClientOutput> {
        self.outputs.pop_front()
    }
}

fn digest_of(token: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, token.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 is 32 bytes long")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkId = LinkId(1);
    const USER: &str = "1001";

    struct Fixture {
        now: Instant,
        clients: Clients,
    }

    impl Fixture {
        fn new() -> Self {
            let clients = Clients::new(&GatewayConfig::default(), CryptoProvider::seeded(&[1; 32]));
            Fixture { now: Instant::now(), clients }
        }

        fn sign_in(&mut self, link: LinkId) -> (SignInId, String, Option<SignInId>) {
            self.clients.open_websocket(self.now, link);
            let identity = Identity { user: USER.into(), display_name: None, sip_credentials: None };
            self.clients.sign_in(self.now, link, identity, ShardId(0))
        }

        fn advance(&mut self, time: Duration) -> Vec<ClientEvent> {
            self.now += time;
            std::iter::from_fn(|| self.clients.handle_timeout(self.now)).collect()
        }

        fn outputs(&mut self) -> Vec<ClientOutput> {
            std::iter::from_fn(|| self.clients.poll_output()).collect()
        }
    }

    #[test]
    fn a_websocket_that_never_signs_in_is_closed() {
        let mut f = Fixture::new();
        f.clients.open_websocket(f.now, LINK);
        f.advance(Duration::from_secs(10));
        assert!(matches!(f.outputs()[..], [ClientOutput::Close { link: LINK, status: 401, .. }]));
        assert_eq!((f.clients.link_count(), f.clients.timer_count()), (0, 0));
    }

    #[test]
    fn a_silent_client_loses_its_link_then_its_sign_in() {
        let mut f = Fixture::new();
        let (id, token, _) = f.sign_in(LINK);
        assert_eq!(f.advance(Duration::from_secs(9)), []);
        f.clients.authorise(f.now, LINK, None).unwrap();
        assert_eq!(f.advance(Duration::from_secs(9)), []);
        assert!(f.outputs().is_empty());
        assert_eq!(f.advance(Duration::from_secs(1)), []);
        assert!(matches!(f.outputs()[..], [ClientOutput::Close { link: LINK, status: 408, .. }]));
        assert!(f.clients.resume(f.now, LinkId(2), &token, 0).is_ok());
        assert_eq!(f.advance(Duration::from_secs(29)), []);
        assert_eq!(f.advance(Duration::from_secs(1)), [ClientEvent::Gone(id)]);
        f.clients.remove(f.now, id, None);
        assert_eq!((f.clients.len(), f.clients.timer_count()), (0, 0));
    }

    #[test]
    fn what_was_missed_is_sent_again_on_resume() {
        let mut f = Fixture::new();
        let (id, token, _) = f.sign_in(LINK);
        f.clients.notify(id, "call.ringing", json!({}));
        f.clients.close_link(LINK);
        f.clients.notify(id, "call.answered", json!({}));
        assert_eq!(f.outputs().len(), 1);
        let second = LinkId(2);
        f.clients.open_websocket(f.now, second);
        assert_eq!(f.clients.resume(f.now, second, "wrong", 0), Err(RpcError::NotSignedIn));
        assert_eq!(f.clients.resume(f.now, second, &token, 1), Ok(id));
        f.clients.replay(id);
        let outputs = f.outputs();
        assert!(
            matches!(&outputs[..], [ClientOutput::Send { link, text }] if *link == second && text.contains("call.answered"))
        );
    }

    #[test]
    fn a_poll_waits_and_hands_over_everything_once_acknowledged() {
        let mut f = Fixture::new();
        let identity = Identity { user: USER.into(), display_name: None, sip_credentials: None };
        let (id, token, _) = f.clients.sign_in(f.now, LINK, identity, ShardId(0));
        assert_eq!(f.clients.authorise(f.now, LinkId(2), Some(&token)), Ok(id));
        f.clients.poll(f.now, LinkId(2), id, 0);
        assert!(f.outputs().is_empty());
        f.clients.notify(id, "call.ringing", json!({}));
        f.clients.notify(id, "call.answered", json!({}));
        assert!(matches!(&f.outputs()[..], [ClientOutput::Send { text, .. }] if text.contains("ringing")));
        f.clients.poll(f.now, LinkId(3), id, 1);
        assert!(
            matches!(&f.outputs()[..], [ClientOutput::Send { text, .. }] if text.contains("answered") && !text.contains("ringing"))
        );
        f.clients.poll(f.now, LinkId(4), id, 2);
        assert!(f.outputs().is_empty());
        f.clients.authorise(f.now + Duration::from_secs(20), LinkId(5), Some(&token)).unwrap();
        f.advance(Duration::from_secs(25));
        assert!(matches!(&f.outputs()[..], [ClientOutput::Send { text, .. }] if text == "{\"events\":[]}"));
    }

    #[test]
    fn a_websocket_that_signed_out_has_to_sign_in_again_or_close() {
        let mut f = Fixture::new();
        let (id, ..) = f.sign_in(LINK);
        f.clients.remove(f.now, id, None);
        assert!(f.outputs().is_empty());
        f.advance(Duration::from_secs(10));
        assert!(matches!(f.outputs()[..], [ClientOutput::Close { link: LINK, status: 401, .. }]));
        assert_eq!((f.clients.link_count(), f.clients.timer_count()), (0, 0));
    }

    #[test]
    fn websockets_are_limited() {
        let config = GatewayConfig { max_websockets: 2, ..GatewayConfig::default() };
        let mut clients = Clients::new(&config, CryptoProvider::seeded(&[1; 32]));
        (1..=3).for_each(|link| clients.open_websocket(Instant::now(), LinkId(link)));
        assert_eq!((clients.link_count(), clients.timer_count()), (2, 2));
        assert!(matches!(clients.poll_output(), Some(ClientOutput::Close { link: LinkId(3), status: 429, .. })));
        clients.close_link(LinkId(1));
        clients.open_websocket(Instant::now(), LinkId(4));
        assert_eq!(clients.link_count(), 2);
    }

    #[test]
    fn a_websocket_has_one_sign_in() {
        let mut f = Fixture::new();
        let (first, token, _) = f.sign_in(LINK);
        f.clients.open_websocket(f.now, LinkId(2));
        let identity = Identity { user: "1002".into(), display_name: None, sip_credentials: None };
        let (second, other, _) = f.clients.sign_in(f.now, LinkId(2), identity, ShardId(0));
        assert_eq!(f.clients.resume(f.now, LINK, &other, 0), Err(RpcError::AlreadySignedIn));
        assert_eq!(f.clients.resume(f.now, LINK, &token, 0), Ok(first));
        f.outputs();
        f.clients.notify(second, "call.ringing", json!({}));
        assert!(matches!(f.outputs()[..], [ClientOutput::Send { link: LinkId(2), .. }]));
    }

    /// Somebody whose old sign-in comes from another instance after they signed in here.
    #[test]
    fn a_restored_sign_in_takes_nothing_from_a_newer_one() {
        let mut other = Fixture::new();
        let (id, old_token, _) = other.sign_in(LINK);
        let snapshot = other.clients.snapshot(id, |_| SystemTime::UNIX_EPOCH).unwrap();
        let mut f =
            Fixture { clients: Clients::new(&GatewayConfig::default(), CryptoProvider::seeded(&[2; 32])), ..other };
        let (newer, token, _) = f.sign_in(LINK);
        let (restored, is_new) =
            f.clients.restore(f.now, ShardId(0), f.now + Duration::from_secs(60), snapshot.clone());
        assert!(is_new && restored != newer);
        assert_eq!(f.clients.restore(f.now, ShardId(0), f.now, snapshot), (restored, false));
        assert_eq!(f.clients.by_user(USER), Some(newer));
        f.clients.remove(f.now, restored, None);
        assert_eq!(f.clients.by_user(USER), Some(newer));
        assert_eq!(f.clients.resume(f.now, LinkId(2), &old_token, 0), Err(RpcError::NotSignedIn));
        assert_eq!(f.clients.resume(f.now, LinkId(3), &token, 0), Ok(newer));
    }

    #[test]
    fn the_same_user_again_displaces_the_first() {
        let mut f = Fixture::new();
        let (first, ..) = f.sign_in(LINK);
        let (second, _, displaced) = f.sign_in(LinkId(2));
        assert_eq!(displaced, Some(first));
        f.clients.remove(f.now, first, Some((409, RpcError::NotSignedIn)));
        assert_eq!(f.clients.by_user(USER), Some(second));
        assert!(matches!(f.outputs()[..], [ClientOutput::Close { link: LINK, status: 409, .. }]));
    }
}
