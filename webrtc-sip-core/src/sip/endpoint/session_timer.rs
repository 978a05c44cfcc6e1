//! Session timers (RFC 4028): a dialog whose far side has vanished ends by itself.

use std::time::{Duration, Instant};

use super::event::Ended;
use super::transactions::Owner;
use super::usage::{SessionTimer, Stage};
use super::{DialogTimer, Endpoint, METHODS};
use crate::ids::{DialogId, TransactionId};
use crate::sip::{CSeq, HeaderName, Headers, Method, Reason, Refresher, Request, Response, SessionExpires};

/// The shortest session interval that anybody may ask for, in seconds (section 5).
const MIN_INTERVAL: u32 = 90;
/// The longest that is obeyed, in seconds.
const MAX_INTERVAL: u32 = 24 * 3600;

impl Endpoint {
    /// The interval to ask for.
    pub(super) fn wanted_interval(&self) -> Option<Duration> {
        let [min, max] = [MIN_INTERVAL, MAX_INTERVAL].map(|seconds| Duration::from_secs(seconds.into()));
        self.config.session_interval.map(|interval| interval.clamp(min, max))
    }

    /// The Min-SE to refuse a request with (section 9). Whoever doesn't know the extension isn't asked to change it.
    pub(super) fn interval_too_small(&self, headers: &Headers) -> Option<u32> {
        let asked = headers.session_expires().ok().flatten()?;
        (asked.interval < MIN_INTERVAL && headers.supports("timer")).then_some(MIN_INTERVAL)
    }

    pub(super) fn refuse_interval(&mut self, now: Instant, id: TransactionId, min: u32) {
        let Some(mut response) = self.response(id, 422) else { return };
        response.headers.push(HeaderName::MinSe, min);
        self.respond(now, id, response);
    }

    /// Decides on the session timer of a request that is being accepted, and writes it into the 2xx (section 9).
    pub(super) fn start_session_timer_as_uas(
        &mut self,
        now: Instant,
        dialog: DialogId,
        id: TransactionId,
        response: &mut Response,
    ) {
        let Some(server) = self.transactions.servers.get(&id) else { return };
        let knows = server.request.headers.supports("timer");
        let (interval, refresher) = match server.request.headers.session_expires().ok().flatten() {
            // Who doesn't know the extension can't refresh; a proxy asked (table 2).
            Some(asked) if !knows => (asked.interval, Refresher::Uas),
            Some(asked) => (asked.interval, asked.refresher.unwrap_or(Refresher::Uac)),
            None => match self.wanted_interval() {
                Some(interval) => (u32::try_from(interval.as_secs()).unwrap_or(MAX_INTERVAL), Refresher::Uas),
                None => return self.set_session_timer(now, dialog, None),
            },
        };
        let interval = interval.clamp(MIN_INTERVAL, MAX_INTERVAL);
        response.headers.push(HeaderName::SessionExpires, SessionExpires { interval, refresher: Some(refresher) });
        if refresher == Refresher::Uac {
            response.headers.push(HeaderName::Require, "timer");
        }
        let we_refresh = refresher == Refresher::Uas;
        let timer = SessionTimer { interval: Duration::from_secs(interval.into()), we_refresh };
        self.set_session_timer(now, dialog, Some(timer));
    }

    /// Takes the session timer that a 2xx to our request settles (section 7.2).
    pub(super) fn start_session_timer_as_uac(&mut self, now: Instant, dialog: DialogId, headers: &Headers) {
        let timer = match headers.session_expires().ok().flatten() {
            Some(settled) => {
                let interval = settled.interval.clamp(MIN_INTERVAL, MAX_INTERVAL);
                let we_refresh = settled.refresher != Some(Refresher::Uas);
                Some(SessionTimer { interval: Duration::from_secs(interval.into()), we_refresh })
            }
            // The far side doesn't know the extension; who wants the timer refreshes alone.
            None => self.wanted_interval().map(|interval| SessionTimer { interval, we_refresh: true }),
        };
        self.set_session_timer(now, dialog, timer);
    }

    /// Section 10: the refresher acts after half of the interval; the other side gives up a little before its end.
    pub(super) fn set_session_timer(&mut self, now: Instant, dialog: DialogId, timer: Option<SessionTimer>) {
        let Some(usage) = self.usages.get_mut(dialog) else { return };
        usage.timer = timer;
        self.stop_dialog_timer(dialog, DialogTimer::Refresh);
        self.stop_dialog_timer(dialog, DialogTimer::SessionExpired);
        let Some(SessionTimer { interval, we_refresh }) = timer else { return };
        if we_refresh {
            self.set_dialog_timer(dialog, DialogTimer::Refresh, now + interval / 2);
        }
        let margin = Duration::from_secs(32).min(interval / 3);
        self.set_dialog_timer(dialog, DialogTimer::SessionExpired, now + interval - margin);
    }

    /// What a re-INVITE or UPDATE says about the timer (section 7.1): it keeps the roles.
    pub(super) fn add_session_headers(&self, request: &mut Request, timer: Option<SessionTimer>) {
        request.headers.push(HeaderName::Allow, METHODS);
        request.headers.push(HeaderName::Supported, "timer");
        if let Some(timer) = timer {
            let refresher = Some(if timer.we_refresh { Refresher::Uac } else { Refresher::Uas });
            let interval = u32::try_from(timer.interval.as_secs()).unwrap_or(MAX_INTERVAL);
            request.headers.push(HeaderName::SessionExpires, SessionExpires { interval, refresher });
        }
    }

    /// Sends the refresh: UPDATE without a body where the far side takes it (section 7.4), else a re-INVITE with the
    /// session description unchanged.
    pub(super) fn refresh_session(&mut self, now: Instant, dialog: DialogId) {
        let Some(usage) = self.usages.get(dialog) else { return };
        if !matches!(usage.stage, Stage::Up) {
            return;
        }
        let busy = usage.modifying.is_some() || usage.modified.is_some() || usage.unacked.is_some();
        let sent = if usage.allows_update || usage.local_body.is_empty() {
            self.request_in_dialog(now, dialog, Method::Update, None, Owner::InDialog(dialog)).is_ok()
        } else {
            let body = usage.local_body.clone();
            !busy && self.send_reinvite(now, dialog, body, true).is_ok()
        };
        if !sent {
            self.set_dialog_timer(dialog, DialogTimer::Refresh, now + Duration::from_secs(1));
        }
    }

    /// Nobody refreshed.
    pub(super) fn session_expired(&mut self, now: Instant, dialog: DialogId) {
        // Section 10 recommends the cause of a time-out.
        let text = Some("Session expired".to_owned());
        self.hang_up(now, dialog, Some(Reason { protocol: "SIP".to_owned(), cause: Some(408), text }));
        self.end_answered(now, dialog, Ended::SessionExpired);
    }

    /// A 422 to our INVITE (section 7.4): once more, with the interval that it demands.
    pub(super) fn retry_with_longer_interval(
        &mut self,
        now: Instant,
        dialog: DialogId,
        transaction: TransactionId,
        response: Option<&Response>,
    ) -> bool {
        let Some(client) = self.transactions.clients.get(&transaction) else { return false };
        let min = response.and_then(|response| response.headers.min_se().ok().flatten());
        let Some(min) = min.filter(|min| *min <= MAX_INTERVAL) else { return false };
        if client.request.headers.contains(HeaderName::MinSe) || !client.request.headers.contains("Session-Expires") {
            return false;
        }
        let (hop, credentials, mut request) = (client.hop, client.credentials.clone(), client.request.clone());
        request.headers.remove_first(HeaderName::Via);
        request.headers.set(HeaderName::SessionExpires, min);
        request.headers.set(HeaderName::MinSe, min);
        let number = request.headers.cseq().map_or(1, |cseq| cseq.number).saturating_add(1);
        request.headers.set(HeaderName::CSeq, CSeq { number, method: Method::Invite });
        match self.start_client(now, request, hop, Owner::Invite(dialog), credentials) {
            Ok(successor) => {
                self.succeed_transaction(Owner::Invite(dialog), transaction, successor);
                true
            }
            Err(_) => false,
        }
    }
}
