//! Registering signed-in users at the upstream SIP proxy.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::ids::{RegistrationId, SignInId};
use crate::sip::NameAddr;
use crate::sip::endpoint::{Destination, Register, Transport};

use super::requests::Pending;
use super::routing;
use super::{Gateway, GatewayEvent, Request};

impl Gateway {
    /// Finds the proxy's address, at the start.
    pub(super) fn resolve_proxy(&mut self, now: Instant) {
        let Some(proxy) = &self.config.proxy else { return };
        if let Ok(ip) = proxy.target.host.parse::<IpAddr>() {
            self.proxy_address = Some(SocketAddr::new(ip, proxy.target.port));
            return;
        }
        let host = proxy.target.host.clone();
        let id = self.requests.open(now, Pending::Proxy);
        self.events.push_back(GatewayEvent::Request { id, request: Request::Resolve { host } });
    }

    pub(super) fn on_proxy_address(&mut self, now: Instant, ip: Option<IpAddr>) {
        let Some(proxy) = &self.config.proxy else { return };
        self.proxy_address = ip.map(|ip| SocketAddr::new(ip, proxy.target.port));
        for sign_in in self.clients.ids() {
            self.register(now, sign_in);
        }
    }

    /// Registers a user, where there is a proxy with a known address.
    pub(super) fn register(&mut self, now: Instant, id: SignInId) {
        let (Some(proxy), Some(address)) = (&self.config.proxy, self.proxy_address) else { return };
        let Some(sign_in) = self.clients.get(id).filter(|sign_in| sign_in.registration.is_none()) else { return };
        let identity = &sign_in.identity;
        let (Some(registrar), Some(aor)) =
            (routing::host_address(&proxy.domain), routing::address(&identity.user, &proxy.domain))
        else {
            self.counters.failed_registrations += 1;
            return;
        };
        let register = Register {
            destination: Destination {
                transport: if proxy.target.tcp { Transport::Tcp } else { Transport::Udp },
                address,
            },
            registrar,
            aor: NameAddr::new(aor).with_display_name(identity.display_name.clone().unwrap_or_default()),
            contact_user: identity.user.clone(),
            expires: proxy.registration_lifetime,
            credentials: identity.sip_credentials.clone().map(Into::into),
        };
        match self.sip.register(now, register) {
            Ok(registration) => {
                self.registrations.insert(registration, false);
                if let Some(sign_in) = self.clients.get_mut(id) {
                    sign_in.registration = Some(registration);
                }
            }
            Err(_) => self.counters.failed_registrations += 1,
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
    }

    pub(super) fn unregister(&mut self, now: Instant, registration: RegistrationId) {
        self.registrations.remove(&registration);
        let _ = self.sip.unregister(now, registration);
    }

    pub(super) fn on_registered(&mut self, registration: RegistrationId) {
        if let Some(registered) = self.registrations.get_mut(&registration) {
            *registered = true;
        }
    }

    pub(super) fn on_registration_failed(&mut self, registration: RegistrationId) {
        if let Some(registered) = self.registrations.get_mut(&registration) {
            *registered = false;
            self.counters.failed_registrations += 1;
        }
    }
}
