//! Registering signed-in users at the upstream SIP proxy.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::json;

use crate::ids::{RegistrationId, SignInId};
use crate::sip::NameAddr;
use crate::sip::endpoint::{Credentials, Destination, Register, Transport, Tried};

use super::{Gateway, routing};

/// A user's registration at the proxy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registration {
    /// Which of the proxy's addresses it goes to.
    address: SocketAddr,
    /// Whose.
    sign_in: SignInId,
    state: RegistrationState,
}

impl Registration {
    /// Whether the proxy has confirmed it.
    pub(super) fn stands(&self) -> bool {
        self.state == RegistrationState::Stands
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RegistrationState {
    Asked,
    Stands,
    /// The user knows.
    Failed,
}

impl Gateway {
    /// The proxy's addresses are known, again or for the first time.
    pub(super) fn proxy_resolved(&mut self, now: Instant) {
        let addresses = self.proxy_addresses();
        let moved = self.registrations.iter().filter(|(_, registration)| !addresses.contains(&registration.address));
        for id in moved.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.redirect(id, &addresses);
        }
        for sign_in in self.clients.ids() {
            self.register(now, sign_in);
        }
    }

    /// A registration goes to the first of these addresses from its next request on that is another one.
    fn redirect(&mut self, id: RegistrationId, addresses: &[SocketAddr]) {
        let Some(registration) = self.registrations.get_mut(&id) else { return };
        let other = addresses.iter().filter(|address| **address != registration.address);
        let taken = other.copied().find(|address| self.sip.redirect_registration(id, *address).is_ok());
        registration.address = taken.unwrap_or(registration.address);
    }

    /// Registers a user, where there is a proxy with a known address.
    pub(super) fn register(&mut self, now: Instant, id: SignInId) {
        let Some(proxy) = &self.config.proxy else { return };
        // Before they are known there is nothing to do; `proxy_resolved` follows.
        let addresses = self.proxy_addresses();
        if addresses.is_empty() {
            return;
        }
        let Some(sign_in) = self.clients.get(id).filter(|sign_in| sign_in.registration.is_none()) else { return };
        let identity = &sign_in.identity;
        // A sign-in that was taken over for its calls alone isn't where the user is reached.
        if self.clients.by_user(&identity.user) != Some(id) {
            return;
        }
        let (Some(registrar), Some(aor)) =
            (routing::host_address(&proxy.domain), routing::address(&identity.user, &proxy.domain))
        else {
            self.counters.failed_registrations += 1;
            return self.tell_registration_failed(id, None);
        };
        let transport = if proxy.target.tcp { Transport::Tcp } else { Transport::Udp };
        let aor = NameAddr::new(aor).with_display_name(identity.display_name.clone().unwrap_or_default());
        let (contact_user, expires) = (identity.user.clone(), proxy.registration_lifetime);
        let credentials: Option<Credentials> = identity.sip_credentials.clone().map(Into::into);
        let registered = addresses.into_iter().find_map(|address| {
            let register = Register {
                destination: Destination { transport, address },
                registrar: registrar.clone(),
                aor: aor.clone(),
                contact_user: contact_user.clone(),
                expires,
                credentials: credentials.clone(),
            };
            self.sip.register(now, register).ok().map(|registration| (registration, address))
        });
        let Some((registration, address)) = registered else {
            self.counters.failed_registrations += 1;
            return self.tell_registration_failed(id, None);
        };
        self.registrations.insert(registration, Registration { address, sign_in: id, state: RegistrationState::Asked });
        if let Some(sign_in) = self.clients.get_mut(id) {
            sign_in.registration = Some(registration);
        }
    }

    /// The same user signed in again. Were the old binding removed and a new one made, both being of the same Contact,
    /// the removal could arrive last.
    pub(super) fn hand_over_registration(&mut self, from: SignInId, to: SignInId) {
        let credentials = |id| self.clients.get(id).map(|sign_in| &sign_in.identity.sip_credentials);
        if credentials(from) != credentials(to) {
            return;
        }
        let registration = self.clients.get_mut(from).and_then(|sign_in| sign_in.registration.take());
        if let Some(sign_in) = self.clients.get_mut(to) {
            sign_in.registration = registration;
        }
        let Some(state) = registration.and_then(|id| self.registrations.get_mut(&id)) else { return };
        state.sign_in = to;
        if state.state == RegistrationState::Failed {
            self.tell_registration_failed(to, None);
        }
    }

    pub(super) fn unregister(&mut self, now: Instant, registration: RegistrationId) {
        self.registrations.remove(&registration);
        let _ = self.sip.unregister(now, registration);
    }

    pub(super) fn on_registered(&mut self, id: RegistrationId, address: SocketAddr) {
        let Some(registration) = self.registrations.get_mut(&id) else { return };
        let before = std::mem::replace(&mut registration.state, RegistrationState::Stands);
        self.counters.successful_registrations += u64::from(before != RegistrationState::Stands);
        if before == RegistrationState::Failed {
            let params = json!({ "reason": "registration_restored", "text": "Calls from outside reach you again." });
            self.clients.notify(registration.sign_in, "session.warning", params);
        }
        self.proxy_tried(address, true);
    }

    /// The endpoint tries again by itself, after growing pauses, and the user is told once; where nobody answered, it
    /// tries at the proxy's next address.
    pub(super) fn on_registration_failed(&mut self, id: RegistrationId, status: u16, tried: Option<Tried>) {
        let Some(registration) = self.registrations.get_mut(&id) else { return };
        let before = std::mem::replace(&mut registration.state, RegistrationState::Failed);
        let (sign_in, address) = (registration.sign_in, registration.address);
        self.counters.failed_registrations += 1;
        if let Some(Tried { address, answered }) = tried {
            self.counters.unanswered_registrations += u64::from(!answered);
            self.proxy_tried(address, answered);
        }
        if before != RegistrationState::Failed {
            self.tell_registration_failed(sign_in, Some(status));
        }
        // Unless the next request goes elsewhere already.
        if matches!(status, 408 | 503) && tried.is_none_or(|tried| tried.address == address) {
            let mut addresses = self.proxy_addresses();
            if let Some(index) = addresses.iter().position(|known| *known == address) {
                addresses.rotate_left(index);
            }
            self.redirect(id, &addresses);
        }
    }

    fn tell_registration_failed(&mut self, sign_in: SignInId, status: Option<u16>) {
        let text = "The telephone system does not register you: calls from outside may not reach you.";
        let mut params = json!({ "reason": "registration_failed", "text": text });
        if let Some(status) = status {
            params["sipStatus"] = status.into();
        }
        self.clients.notify(sign_in, "session.warning", params);
    }
}
