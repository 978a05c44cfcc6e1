//! The side that has a password.

use std::fmt;

use zeroize::Zeroizing;

use super::digest::Inputs;
use super::values::{Challenge, Credentials, Qop};
use crate::crypto::CryptoProvider;
use crate::sip::headers::HeaderName;
use crate::sip::message::{Request, Response};

/// Why a challenge isn't answered: the request fails for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError {
    /// The response holds no digest challenge.
    #[error("the response holds no digest challenge")]
    Missing,
    /// No challenge has an algorithm and a quality of protection that are supported.
    #[error("no challenge can be answered")]
    Unsupported,
    /// The credentials were right in form and refused: another try would be refused too.
    #[error("the credentials were refused")]
    Refused,
    /// More realms than any path of proxies has.
    #[error("too many realms ask for credentials")]
    TooManyRealms,
}

/// Answers digest challenges for one user, and keeps what it learned for the requests to come.
pub struct DigestClient {
    username: String,
    password: Zeroizing<String>,
    crypto: CryptoProvider,
    realms: Vec<Realm>,
}

/// What is known of one realm, for user agents (`Authorization`) or proxies (`Proxy-Authorization`).
struct Realm {
    header: HeaderName,
    challenge: Challenge,
    cnonce: String,
    /// How often the nonce was used.
    uses: u32,
    /// How often in a row a fresh nonce was called stale.
    stale_in_a_row: u8,
}

impl fmt::Debug for DigestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DigestClient({}, ***)", self.username)
    }
}

impl DigestClient {
    /// Realms that are remembered at once.
    pub const MAX_REALMS: usize = 8;
    /// A server whose fresh nonces are stale this many times in a row has a broken clock.
    const MAX_STALE_IN_A_ROW: u8 = 2;

    /// For one user, whose password serves in every realm.
    pub fn new(username: impl Into<String>, password: impl Into<String>, crypto: CryptoProvider) -> Self {
        let password = Zeroizing::new(password.into());
        DigestClient { username: username.into(), password, crypto, realms: Vec::new() }
    }

    /// Learns the challenges of a 401 or 407 response to `rejected`. When it succeeds, send the request again with a new
    /// branch, a CSeq higher by one and [`DigestClient::authorize`] (RFC 3261 section 22.2).
    ///
    /// Of the challenges of a realm, the first one that is supported is taken: they stand in the server's order of
    /// preference (RFC 8760 section 2.4).
    ///
    /// # Errors
    /// The challenge can't be answered, or answering it again makes no sense.
    pub fn handle_challenge(&mut self, response: &Response, rejected: &Request) -> Result<(), ChallengeError> {
        let mut answerable: Vec<(HeaderName, Challenge)> = Vec::new();
        let mut offered = false;
        for (challenges, credentials) in [
            (HeaderName::WwwAuthenticate, HeaderName::Authorization),
            (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
        ] {
            for challenge in response.headers.challenges(challenges) {
                offered = true;
                let known = answerable.iter().any(|(header, c)| *header == credentials && c.realm == challenge.realm);
                if !known && is_supported(&challenge) {
                    answerable.push((credentials.clone(), challenge));
                }
            }
        }
        if answerable.is_empty() {
            return Err(if offered { ChallengeError::Unsupported } else { ChallengeError::Missing });
        }
        answerable.into_iter().try_for_each(|(header, challenge)| self.learn(header, challenge, rejected))
    }

    /// Puts credentials for every known realm into a request, in place of those that it has. Before the first challenge
    /// there are none; later, they save the round trip (RFC 3261 section 22.2).
    pub fn authorize(&mut self, request: &mut Request) {
        request.headers.remove(HeaderName::Authorization);
        request.headers.remove(HeaderName::ProxyAuthorization);
        let uri = request.uri.to_string();
        for realm in &mut self.realms {
            let credentials = realm.answer(&self.username, &self.password, &request.method, &uri);
            request.headers.push(realm.header.clone(), credentials);
        }
    }

    fn learn(&mut self, header: HeaderName, challenge: Challenge, rejected: &Request) -> Result<(), ChallengeError> {
        let tried = rejected.headers.credentials(header.clone()).find(|tried| tried.realm == challenge.realm);
        let cnonce = self.crypto.token(16);
        let Some(realm) = self.realms.iter_mut().find(|r| r.header == header && r.challenge.realm == challenge.realm)
        else {
            if self.realms.len() == Self::MAX_REALMS {
                return Err(ChallengeError::TooManyRealms);
            }
            self.realms.push(Realm { header, challenge, cnonce, uses: 0, stale_in_a_row: 0 });
            return Ok(());
        };
        let stale_in_a_row = match &tried {
            Some(tried) => {
                // Credentials for a nonce that had worked before may be refused only because of its age, whether the
                // server says `stale` or not; those made for it just now were refused for what they are.
                let first_use = tried.qop.as_ref().map_or(realm.uses, |qop| qop.nonce_count) <= 1;
                let same_nonce = tried.nonce == challenge.nonce;
                let stale_in_a_row = if first_use { realm.stale_in_a_row + 1 } else { 0 };
                let worn_out = stale_in_a_row > Self::MAX_STALE_IN_A_ROW;
                if same_nonce || worn_out || (first_use && !challenge.stale) {
                    return Err(ChallengeError::Refused);
                }
                stale_in_a_row
            }
            None => 0,
        };
        // A request without credentials may have crossed one with; a nonce that is in use keeps its count.
        if realm.challenge.nonce != challenge.nonce {
            *realm = Realm { header, challenge, cnonce, uses: 0, stale_in_a_row };
        }
        Ok(())
    }
}

fn is_supported(challenge: &Challenge) -> bool {
    let qop_supported = challenge.qop.is_empty() || challenge.qop.iter().any(|qop| qop.eq_ignore_ascii_case("auth"));
    // A -sess algorithm takes in the cnonce, which only goes along with a qop (RFC 7616 section 3.4.2).
    let complete = challenge.algorithm.is_some_and(|algorithm| !(algorithm.is_sess() && challenge.qop.is_empty()));
    qop_supported && complete
}

impl Realm {
    fn answer(
        &mut self,
        username: &str,
        password: &str,
        method: &crate::sip::method::Method,
        uri: &str,
    ) -> Credentials {
        self.uses = self.uses.saturating_add(1);
        let challenge = &self.challenge;
        let qop = (!challenge.qop.is_empty()).then(|| Qop {
            name: "auth".to_owned(),
            cnonce: self.cnonce.clone(),
            nonce_count: self.uses,
        });
        let algorithm = challenge.algorithm.unwrap_or(super::Algorithm::Md5);
        let inputs = Inputs {
            algorithm,
            username,
            realm: &challenge.realm,
            nonce: &challenge.nonce,
            qop: qop.as_ref(),
            method,
            uri,
        };
        Credentials {
            username: username.to_owned(),
            realm: challenge.realm.clone(),
            nonce: challenge.nonce.clone(),
            uri: uri.to_owned(),
            response: inputs.response(password),
            algorithm: Some(algorithm),
            opaque: challenge.opaque.clone(),
            qop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::auth::Algorithm;
    use crate::sip::method::Method;
    use crate::sip::uri::Uri;

    fn client() -> DigestClient {
        DigestClient::new("bob", "zanzibar", CryptoProvider::seeded(&[1; 32]))
    }

    fn request() -> Request {
        Request::new(Method::Register, "sip:biloxi.com".parse::<Uri>().unwrap())
    }

    fn unauthorized(challenges: &[&str]) -> Response {
        let mut response = Response::new(401);
        challenges.iter().for_each(|challenge| response.headers.push(HeaderName::WwwAuthenticate, challenge));
        response
    }

    fn sent(request: &Request) -> Credentials {
        request.headers.credentials(HeaderName::Authorization).next().unwrap()
    }

    #[test]
    fn the_first_supported_challenge_of_each_realm_is_answered_and_reused() {
        let (mut client, mut request) = (client(), request());
        client.authorize(&mut request);
        assert!(!request.headers.contains(HeaderName::Authorization));
        let mut response = unauthorized(&[
            "Basic realm=\"a\"",
            "Digest realm=\"a\", nonce=\"n0\", algorithm=SHA-512-256, qop=\"auth\"",
            "Digest realm=\"a\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth-int, auth\", opaque=\"o\"",
            "Digest realm=\"a\", nonce=\"n2\", qop=\"auth\"",
        ]);
        response.headers.push(HeaderName::ProxyAuthenticate, "Digest realm=\"p\", nonce=\"n3\"");
        client.handle_challenge(&response, &request).unwrap();
        client.authorize(&mut request);
        let credentials = sent(&request);
        assert_eq!((credentials.nonce.as_str(), credentials.algorithm), ("n1", Some(Algorithm::Sha256)));
        assert_eq!(credentials.opaque.as_deref(), Some("o"));
        assert_eq!(credentials.qop.as_ref().unwrap().nonce_count, 1);
        let proxy = request.headers.credentials(HeaderName::ProxyAuthorization).next().unwrap();
        assert_eq!((proxy.nonce.as_str(), proxy.qop), ("n3", None));
        client.authorize(&mut request);
        assert_eq!(sent(&request).qop.unwrap().nonce_count, 2);
        assert_eq!(request.headers.get_all(HeaderName::Authorization).count(), 1);
    }

    #[test]
    fn refused_credentials_are_not_tried_again() {
        let (mut client, mut request) = (client(), request());
        let challenge = |nonce: &str, stale: bool| {
            unauthorized(&[&format!("Digest realm=\"a\", nonce=\"{nonce}\", qop=\"auth\", stale={stale}")])
        };
        client.handle_challenge(&challenge("1", false), &request).unwrap();
        client.authorize(&mut request);
        assert_eq!(client.handle_challenge(&challenge("1", false), &request), Err(ChallengeError::Refused));
        assert_eq!(client.handle_challenge(&challenge("2", false), &request), Err(ChallengeError::Refused));
        assert_eq!(client.handle_challenge(&challenge("1", true), &request), Err(ChallengeError::Refused));
        // A nonce that served before may have aged, even if the server doesn't say so.
        client.authorize(&mut request);
        assert_eq!(client.handle_challenge(&challenge("3", false), &request), Ok(()));
        // Stale at first use happens, but not for ever.
        for nonce in ["4", "5"] {
            client.authorize(&mut request);
            assert_eq!(client.handle_challenge(&challenge(nonce, true), &request), Ok(()));
        }
        client.authorize(&mut request);
        assert_eq!(client.handle_challenge(&challenge("6", true), &request), Err(ChallengeError::Refused));
    }

    #[test]
    fn what_cannot_be_answered_is_said() {
        let (mut client, request) = (client(), request());
        let mut outcome = |challenges: &[&str]| client.handle_challenge(&unauthorized(challenges), &request);
        assert_eq!(outcome(&[]), Err(ChallengeError::Missing));
        assert_eq!(outcome(&["NoOneKnowsThisScheme opaque-data=here"]), Err(ChallengeError::Missing));
        let auth_int = "Digest realm=\"a\", nonce=\"n\", qop=\"auth-int\"";
        assert_eq!(outcome(&[auth_int]), Err(ChallengeError::Unsupported));
        let many: Vec<_> =
            (0..=DigestClient::MAX_REALMS).map(|n| format!("Digest realm=\"{n}\", nonce=\"n\"")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(outcome(&many), Err(ChallengeError::TooManyRealms));
    }
}
