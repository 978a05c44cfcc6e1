//! The side that knows the passwords.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::digest::Inputs;
use super::values::{Algorithm, Challenge, Credentials};
use crate::crypto::CryptoProvider;
use crate::sip::method::Method;

/// Why credentials aren't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denial {
    /// Unknown user, wrong password, or another realm. Challenge again, or answer 403.
    #[error("the credentials are wrong")]
    Wrong,
    /// The password is right, but the nonce is too old, not ours, or used before with that count. Challenge again with
    /// `stale` set.
    #[error("the nonce is stale")]
    Stale,
    /// An algorithm or a quality of protection that wasn't offered.
    #[error("the credentials use what wasn't offered")]
    Unsupported,
}

/// Makes and checks challenges of one realm. A challenge costs no memory; what is remembered is how far the count of each
/// nonce in use has come, for [`DigestServer::MAX_NONCES`] of them.
pub struct DigestServer {
    realm: String,
    key: hmac::Key,
    crypto: CryptoProvider,
    started: Instant,
    counts: BTreeMap<NonceId, NonceCounts>,
    /// Counts of nonces up to this one may have been forgotten.
    forgotten: NonceId,
}

/// When a nonce was made, in milliseconds, and a random number. Sorts by age.
type NonceId = (u64, u64);

/// The highest count seen, and which of the 64 up to it were (bit 0 is the highest). Requests overtake each other on UDP.
#[derive(Clone, Copy, Default)]
struct NonceCounts {
    highest: u32,
    seen: u64,
}

impl NonceCounts {
    /// Marks a count as used; says whether it was new.
    fn take(&mut self, count: u32) -> bool {
        if count == 0 {
            return false;
        }
        if count > self.highest {
            let ahead = count - self.highest;
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        let bit = 1u64.checked_shl(behind).unwrap_or(0);
        let new = bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        new
    }
}

impl fmt::Debug for DigestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DigestServer({}, {} nonces)", self.realm, self.counts.len())
    }
}

impl DigestServer {
    /// Nonces whose counts are remembered at once; beyond it, the oldest become stale.
    pub const MAX_NONCES: usize = 4_096;
    /// How long a nonce serves.
    pub const NONCE_LIFETIME: Duration = Duration::from_secs(600);

    /// For one realm, with a key of its own.
    pub fn new(now: Instant, realm: impl Into<String>, crypto: CryptoProvider) -> Self {
        DigestServer {
            realm: realm.into(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &crypto.bytes::<32>()),
            crypto,
            started: now,
            counts: BTreeMap::new(),
            forgotten: (0, 0),
        }
    }

    /// The challenges of one 401 or 407, the preferred first (RFC 8760 section 2.3).
    pub fn challenges(&self, now: Instant, stale: bool) -> [Challenge; 2] {
        let nonce = self.nonce((self.millis(now), u64::from_be_bytes(self.crypto.bytes())));
        [Algorithm::Sha256, Algorithm::Md5].map(|algorithm| Challenge {
            realm: self.realm.clone(),
            nonce: nonce.clone(),
            opaque: None,
            stale,
            algorithm: Some(algorithm),
            qop: vec!["auth".to_owned()],
        })
    }

    /// Checks the credentials of a request. `password` is that of `credentials.username`; none when there is no such
    /// user, which takes as long as a wrong password.
    ///
    /// The digest's URI is not compared with the Request-URI, which proxies on the way may have changed (RFC 3261
    /// section 22.4). Credentials without a nonce count (RFC 2069) use up their nonce.
    ///
    /// # Errors
    /// See [`Denial`].
    pub fn verify(
        &mut self,
        now: Instant,
        method: &Method,
        credentials: &Credentials,
        password: Option<&str>,
    ) -> Result<(), Denial> {
        let algorithm = credentials.algorithm.filter(|algorithm| !algorithm.is_sess()).ok_or(Denial::Unsupported)?;
        if credentials.qop.as_ref().is_some_and(|qop| !qop.name.eq_ignore_ascii_case("auth")) {
            return Err(Denial::Unsupported);
        }
        let inputs = Inputs {
            algorithm,
            username: &credentials.username,
            realm: &self.realm,
            nonce: &credentials.nonce,
            qop: credentials.qop.as_ref(),
            method,
            uri: &credentials.uri,
        };
        let expected = inputs.response(password.unwrap_or_default());
        let given = credentials.response.to_ascii_lowercase();
        let equal = bool::from(expected.as_bytes().ct_eq(given.as_bytes()));
        if !equal || password.is_none() || credentials.realm != self.realm {
            return Err(Denial::Wrong);
        }
        let count = credentials.qop.as_ref().map_or(u32::MAX, |qop| qop.nonce_count);
        self.take_count(now, &credentials.nonce, count)
    }

    fn take_count(&mut self, now: Instant, nonce: &str, count: u32) -> Result<(), Denial> {
        let id = self.open_nonce(nonce).ok_or(Denial::Stale)?;
        let lifetime = u64::try_from(Self::NONCE_LIFETIME.as_millis()).unwrap_or(u64::MAX);
        let oldest = self.millis(now).saturating_sub(lifetime);
        if id.0 < oldest || (id <= self.forgotten && !self.counts.contains_key(&id)) {
            return Err(Denial::Stale);
        }
        self.forget(oldest);
        if self.counts.entry(id).or_default().take(count) { Ok(()) } else { Err(Denial::Stale) }
    }

    /// Makes room for one more nonce.
    fn forget(&mut self, oldest: u64) {
        while let Some(entry) = self.counts.first_entry() {
            if entry.key().0 >= oldest && self.counts.len() < Self::MAX_NONCES {
                break;
            }
            if let Some((id, _)) = self.counts.pop_first() {
                self.forgotten = self.forgotten.max(id);
            }
        }
    }

    /// Milliseconds since this server was made; 0 for an earlier `now`.
    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    /// Time, random number, and a code that proves that we wrote them.
    fn nonce(&self, id: NonceId) -> String {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&id.0.to_be_bytes());
        bytes[8..16].copy_from_slice(&id.1.to_be_bytes());
        let tag = hmac::sign(&self.key, &bytes[..16]);
        bytes[16..].copy_from_slice(&tag.as_ref()[..16]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a nonce of ours says.
    fn open_nonce(&self, nonce: &str) -> Option<NonceId> {
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
        let number = |at: usize| bytes[at..at + 8].iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let id = (number(0), number(8));
        bool::from(self.nonce(id).as_bytes().ct_eq(nonce.as_bytes())).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::auth::DigestClient;
    use crate::sip::headers::HeaderName;
    use crate::sip::message::{Request, Response};
    use crate::sip::uri::Uri;

    const PASSWORD: Option<&str> = Some("zanzibar");

    struct Pair {
        server: DigestServer,
        client: DigestClient,
        now: Instant,
    }

    impl Pair {
        fn new() -> Self {
            let crypto = CryptoProvider::seeded(&[2; 32]);
            let now = Instant::now();
            let server = DigestServer::new(now, "biloxi.com", crypto.clone());
            Pair { server, client: DigestClient::new("bob", "zanzibar", crypto), now }
        }

        fn challenge(&mut self, which: usize) {
            let mut response = Response::new(401);
            response.headers.push(HeaderName::WwwAuthenticate, &self.server.challenges(self.now, false)[which]);
            self.client.handle_challenge(&response, &request()).unwrap();
        }

        fn answer(&mut self) -> Credentials {
            let mut request = request();
            self.client.authorize(&mut request);
            request.headers.credentials(HeaderName::Authorization).next().unwrap()
        }

        fn verify(&mut self, credentials: &Credentials) -> Result<(), Denial> {
            self.server.verify(self.now, &Method::Register, credentials, PASSWORD)
        }
    }

    fn request() -> Request {
        Request::new(Method::Register, "sip:biloxi.com".parse::<Uri>().unwrap())
    }

    #[test]
    fn both_algorithms_verify_once_per_count() {
        for which in [0, 1] {
            let mut pair = Pair::new();
            pair.challenge(which);
            let (first, second, third) = (pair.answer(), pair.answer(), pair.answer());
            assert_eq!(pair.verify(&first), Ok(()));
            assert_eq!(pair.verify(&third), Ok(()), "a later request may overtake");
            assert_eq!(pair.verify(&second), Ok(()));
            for replayed in [first, second, third] {
                assert_eq!(pair.verify(&replayed), Err(Denial::Stale));
            }
        }
    }

    #[test]
    fn wrong_is_told_from_stale() {
        let mut pair = Pair::new();
        pair.challenge(0);
        let good = pair.answer();
        let verify = |pair: &mut Pair, password| pair.server.verify(pair.now, &Method::Register, &good, password);
        assert_eq!(verify(&mut pair, Some("other")), Err(Denial::Wrong));
        assert_eq!(verify(&mut pair, None), Err(Denial::Wrong));
        assert_eq!(pair.server.verify(pair.now, &Method::Invite, &good, PASSWORD), Err(Denial::Wrong));
        let mut other_realm = good.clone();
        other_realm.realm = "x".into();
        assert_eq!(pair.verify(&other_realm), Err(Denial::Wrong));
        let mut auth_int = good.clone();
        auth_int.qop.as_mut().unwrap().name = "auth-int".into();
        assert_eq!(pair.verify(&auth_int), Err(Denial::Unsupported));
        pair.now += DigestServer::NONCE_LIFETIME + Duration::from_millis(1);
        assert_eq!(pair.verify(&good), Err(Denial::Stale));
        // An earlier time is clamped.
        pair.now -= DigestServer::NONCE_LIFETIME + Duration::from_millis(2);
        assert_eq!(pair.verify(&good), Ok(()));
    }

    #[test]
    fn a_foreign_nonce_is_stale_even_with_the_right_password() {
        let (mut ours, mut other) = (Pair::new(), Pair::new());
        other.server = DigestServer::new(other.now, "biloxi.com", CryptoProvider::seeded(&[9; 32]));
        other.challenge(0);
        let credentials = other.answer();
        assert_eq!(other.verify(&credentials), Ok(()));
        assert_eq!(ours.verify(&credentials), Err(Denial::Stale));
    }

    #[test]
    fn without_a_count_a_nonce_serves_once() {
        let mut pair = Pair::new();
        let mut challenge = pair.server.challenges(pair.now, false)[1].clone();
        challenge.qop.clear();
        let mut response = Response::new(401);
        response.headers.push(HeaderName::WwwAuthenticate, challenge);
        pair.client.handle_challenge(&response, &request()).unwrap();
        let credentials = pair.answer();
        assert_eq!(credentials.qop, None);
        assert_eq!(pair.verify(&credentials), Ok(()));
        assert_eq!(pair.verify(&credentials), Err(Denial::Stale));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten_nonces_are_stale() {
        let mut pair = Pair::new();
        pair.challenge(0);
        let first = pair.answer();
        assert_eq!(pair.verify(&first), Ok(()));
        for number in 0..=DigestServer::MAX_NONCES {
            let nonce = pair.server.nonce((1, number as u64));
            assert_eq!(pair.server.take_count(pair.now, &nonce, 1), Ok(()));
        }
        assert!(pair.server.counts.len() <= DigestServer::MAX_NONCES);
        assert_eq!(pair.verify(&first), Err(Denial::Stale));
        assert_eq!(pair.verify(&pair.answer_again(&first)), Err(Denial::Stale));
    }

    impl Pair {
        /// The next answer with the same nonce.
        fn answer_again(&self, like: &Credentials) -> Credentials {
            let mut next = like.clone();
            let qop = next.qop.as_mut().unwrap();
            qop.nonce_count += 1;
            let method = &Method::Register;
            let inputs = Inputs {
                algorithm: next.algorithm.unwrap(),
                username: &next.username,
                realm: &next.realm,
                nonce: &next.nonce,
                qop: next.qop.as_ref(),
                method,
                uri: &next.uri,
            };
            let response = inputs.response("zanzibar");
            Credentials { response, ..next }
        }
    }

    #[test]
    fn counts_are_marked_in_a_window() {
        let mut counts = NonceCounts::default();
        assert!(!counts.take(0), "counts begin at one");
        assert!(counts.take(1) && !counts.take(1));
        assert!(counts.take(64) && counts.take(2) && !counts.take(64));
        assert!(counts.take(200) && !counts.take(64), "older than the window");
        assert!(counts.take(u32::MAX) && !counts.take(u32::MAX));
    }
}
