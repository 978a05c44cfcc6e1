//! Bindings at a registrar (RFC 3261 section 10.2).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::event::{Register, SipError, SipEvent, Tried};
use super::transactions::Owner;
use super::{Endpoint, TimerKey};
use crate::ids::{IdCounter, RegistrationId, TransactionId};
use crate::io::SocketId;
use crate::sip::{CSeq, CallIdHeader, HeaderName, Method, Request, Response, Uri};

/// First pause after a failure; doubles up to the ceiling (after RFC 5626 section 4.5).
const RETRY_BASE: Duration = Duration::from_secs(30);
const RETRY_CEILING: Duration = Duration::from_secs(1800);
/// The longest lifetime that a registrar can force on us by 423, in seconds.
const MAX_EXPIRES: u32 = 7 * 24 * 3600;

/// One binding.
#[derive(Debug)]
struct Registration {
    register: Register,
    socket: SocketId,
    call_id: CallIdHeader,
    local_tag: String,
    cseq: u32,
    /// What is asked for, in seconds; more than configured after a 423.
    expires: u32,
    transaction: Option<TransactionId>,
    /// Where the last request went; the next one may go elsewhere.
    asked: SocketAddr,
    /// Failures in a row.
    failures: u32,
    removal: Removal,
}

/// Whether the binding is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Removal {
    No,
    /// As soon as the request on its way is answered.
    Wanted,
    Sent,
}

/// All bindings.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    table: BTreeMap<RegistrationId, Registration>,
    ids: IdCounter,
}

impl Registrations {
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}

impl Endpoint {
    /// Registers, and keeps the binding alive until `unregister`. `Registered` follows after every success,
    /// `RegistrationFailed` after every failure; then it is tried again after a growing pause.
    ///
    /// # Errors
    /// [`SipError::LimitReached`], [`SipError::NoSocket`].
    pub fn register(&mut self, now: Instant, register: Register) -> Result<RegistrationId, SipError> {
        let now = self.clock(now);
        if self.registrations.len() >= self.config.limits.max_registrations {
            return Err(SipError::LimitReached);
        }
        let socket = self.socket_towards(register.destination.address).ok_or(SipError::NoSocket)?.socket;
        let id = RegistrationId(self.registrations.ids.draw());
        let registration = Registration {
            socket,
            // All of one binding's requests have one Call-ID and growing CSeqs (section 10.2).
            call_id: CallIdHeader(self.rng.token(24)),
            local_tag: self.rng.token(12),
            cseq: 0,
            expires: u32::try_from(register.expires.as_secs()).unwrap_or(MAX_EXPIRES).clamp(1, MAX_EXPIRES),
            transaction: None,
            asked: register.destination.address,
            failures: 0,
            removal: Removal::No,
            register,
        };
        self.registrations.table.insert(id, registration);
        self.send_register(now, id);
        Ok(id)
    }

    /// From its next request on, the registration goes to another address of the same registrar.
    ///
    /// # Errors
    /// [`SipError::UnknownRegistration`], [`SipError::NoSocket`].
    pub fn redirect_registration(&mut self, id: RegistrationId, address: SocketAddr) -> Result<(), SipError> {
        let socket = self.socket_towards(address).ok_or(SipError::NoSocket)?.socket;
        let state = self.registrations.table.get_mut(&id).ok_or(SipError::UnknownRegistration)?;
        state.register.destination.address = address;
        state.socket = socket;
        Ok(())
    }

    /// Removes the binding. `Unregistered` follows, whether the registrar answers or not.
    ///
    /// # Errors
    /// [`SipError::UnknownRegistration`].
    pub fn unregister(&mut self, now: Instant, registration: RegistrationId) -> Result<(), SipError> {
        let now = self.clock(now);
        let state = self.registrations.table.get_mut(&registration).ok_or(SipError::UnknownRegistration)?;
        if state.removal == Removal::No {
            state.removal = Removal::Wanted;
            // One at a time (section 10.2): the answer on its way comes first.
            if state.transaction.is_none() {
                self.send_register(now, registration);
            }
        }
        Ok(())
    }

    /// Time to refresh, or to try again.
    pub(super) fn registration_due(&mut self, now: Instant, id: RegistrationId) {
        self.send_register(now, id);
    }

    fn send_register(&mut self, now: Instant, id: RegistrationId) {
        self.timers.cancel(&TimerKey::Register(id));
        let Some(state) = self.registrations.table.get_mut(&id) else { return };
        state.cseq += 1;
        if state.removal == Removal::Wanted {
            state.removal = Removal::Sent;
        }
        let (destination, socket) = (state.register.destination, state.socket);
        state.asked = destination.address;
        let hop = match self.hop_to(now, destination, socket) {
            Ok(hop) => hop,
            Err(_) => return self.registration_failed(now, id, 503, None, None),
        };
        let Some(contact) = self.registrations.table.get(&id).map(|state| state.register.contact_user.clone()) else {
            return;
        };
        let contact = self.contact(&contact, hop);
        let Some(state) = self.registrations.table.get(&id) else { return };
        let mut request = register_request(state);
        self.dress(&mut request, contact.as_ref());
        let credentials = state.register.credentials.clone();
        match self.start_client(now, request, hop, Owner::Register(id), credentials) {
            Ok(transaction) => {
                if let Some(state) = self.registrations.table.get_mut(&id) {
                    state.transaction = Some(transaction);
                }
            }
            Err(_) => self.registration_failed(now, id, 503, None, None),
        }
    }

    /// A challenged REGISTER goes on as another transaction.
    pub(super) fn succeed_register(&mut self, id: RegistrationId, old: TransactionId, new: TransactionId) {
        if let Some(state) = self.registrations.table.get_mut(&id)
            && state.transaction == Some(old)
        {
            state.transaction = Some(new);
        }
    }

    pub(super) fn next_register_cseq(&mut self, id: RegistrationId, used: u32) -> u32 {
        match self.registrations.table.get_mut(&id) {
            Some(state) => {
                state.cseq = state.cseq.max(used).saturating_add(1);
                state.cseq
            }
            None => used.saturating_add(1),
        }
    }

    pub(super) fn register_accepted(
        &mut self,
        now: Instant,
        id: RegistrationId,
        transaction: TransactionId,
        response: &Response,
    ) {
        let contact = self.transactions.clients.get(&transaction).map(|client| &client.request.headers);
        let contact = contact.and_then(|headers| headers.contacts().ok()?.into_iter().next());
        let Some(state) = self.registrations.table.get_mut(&id) else { return };
        if state.transaction != Some(transaction) {
            return;
        }
        state.transaction = None;
        match state.removal {
            Removal::Sent => return self.forget_registration(id),
            Removal::Wanted => return self.send_register(now, id),
            Removal::No => {}
        }
        let address = state.asked;
        let granted = granted(response, contact.map(|contact| contact.uri).as_ref()).unwrap_or(state.expires);
        if granted == 0 {
            let tried = Tried { address, answered: true };
            return self.registration_failed(now, id, 500, Some(response), Some(tried));
        }
        state.failures = 0;
        // Early enough for a lost request to be noticed and repeated, and not all at the same time.
        let granted = granted.min(MAX_EXPIRES);
        let margin = (60 + u64::from(granted) / 20).min(u64::from(granted) / 2);
        let jitter = self.rng.below(u64::from(granted) * 50 + 1);
        let refresh = Duration::from_secs(u64::from(granted) - margin).saturating_sub(Duration::from_millis(jitter));
        self.timers.set(TimerKey::Register(id), now + refresh);
        let expires = Duration::from_secs(granted.into());
        self.push_event(SipEvent::Registered { registration: id, address, expires });
    }

    pub(super) fn register_failed(
        &mut self,
        now: Instant,
        id: RegistrationId,
        transaction: TransactionId,
        status: u16,
        response: Option<&Response>,
    ) {
        let Some(state) = self.registrations.table.get_mut(&id) else { return };
        if state.transaction.is_some_and(|current| current != transaction) {
            return;
        }
        state.transaction = None;
        // Section 10.2.8: with what the registrar demands at least.
        let min = response.and_then(|response| response.headers.min_expires().ok().flatten());
        match min.filter(|min| status == 423 && *min > state.expires && *min <= MAX_EXPIRES) {
            Some(min) if state.removal == Removal::No => {
                state.expires = min;
                self.send_register(now, id);
            }
            _ => {
                let tried = Tried { address: state.asked, answered: response.is_some() };
                self.registration_failed(now, id, status, response, Some(tried));
            }
        }
    }

    fn registration_failed(
        &mut self,
        now: Instant,
        id: RegistrationId,
        status: u16,
        response: Option<&Response>,
        tried: Option<Tried>,
    ) {
        let Some(state) = self.registrations.table.get_mut(&id) else { return };
        match state.removal {
            Removal::Sent => return self.forget_registration(id),
            Removal::Wanted => return self.send_register(now, id),
            Removal::No => {}
        }
        let ceiling = RETRY_BASE.saturating_mul(1 << state.failures.min(16)).min(RETRY_CEILING);
        state.failures += 1;
        // Between half of it and all of it, so that a registrar that comes back isn't run down.
        let half = ceiling / 2;
        let pause = half + Duration::from_millis(self.rng.below(half.as_millis() as u64 + 1));
        let asked = response.and_then(|response| response.headers.retry_after().ok().flatten()).unwrap_or(0);
        let pause = pause.max(Duration::from_secs(u64::from(asked)).min(RETRY_CEILING));
        self.timers.set(TimerKey::Register(id), now + pause);
        self.push_event(SipEvent::RegistrationFailed { registration: id, status, tried });
    }

    fn forget_registration(&mut self, id: RegistrationId) {
        self.timers.cancel(&TimerKey::Register(id));
        if self.registrations.table.remove(&id).is_some() {
            self.push_event(SipEvent::Unregistered { registration: id });
        }
    }
}

fn register_request(state: &Registration) -> Request {
    let mut request = Request::new(Method::Register, state.register.registrar.clone());
    let mut aor = state.register.aor.clone();
    aor.params.remove("tag");
    let headers = &mut request.headers;
    headers.push(HeaderName::From, aor.clone().with_tag(&state.local_tag));
    headers.push(HeaderName::To, aor);
    headers.push(HeaderName::CallId, &state.call_id);
    headers.push(HeaderName::CSeq, CSeq { number: state.cseq, method: Method::Register });
    headers.push(HeaderName::Expires, if state.removal == Removal::Sent { 0 } else { state.expires });
    request
}

/// The lifetime that the registrar gives our binding, in seconds (section 10.2.4): the parameter of our Contact among
/// those listed, else the header field.
fn granted(response: &Response, contact: Option<&Uri>) -> Option<u32> {
    let listed = response.headers.contacts().unwrap_or_default();
    let ours = listed.iter().find(|listed| contact.is_some_and(|contact| listed.uri.is_equivalent(contact)));
    let ours = ours.or(if listed.len() == 1 { listed.first() } else { None });
    let param = ours.and_then(|ours| ours.params.get("expires")).and_then(|expires| expires.parse().ok());
    param.or_else(|| response.headers.expires().ok().flatten())
}
