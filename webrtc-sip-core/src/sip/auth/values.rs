//! Challenges and credentials as they stand in header fields (RFC 7616 sections 3.3 and 3.4).

use std::fmt;

use crate::sip::text;

/// The hash of a digest; RFC 8760 section 2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// MD5: what is meant when nothing is said.
    Md5,
    /// MD5, with the hash of user and password bound to nonce and cnonce.
    Md5Sess,
    /// SHA-256.
    Sha256,
    /// SHA-256, with the hash of user and password bound to nonce and cnonce.
    Sha256Sess,
}

impl Algorithm {
    /// As it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Md5Sess => "MD5-sess",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha256Sess => "SHA-256-sess",
        }
    }

    /// Reads a name; none for others, among them SHA-512-256.
    pub fn parse(text: &str) -> Option<Self> {
        [Algorithm::Md5, Algorithm::Md5Sess, Algorithm::Sha256, Algorithm::Sha256Sess]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(text))
    }

    /// Whether it is one of the `-sess` variants.
    pub fn is_sess(self) -> bool {
        matches!(self, Algorithm::Md5Sess | Algorithm::Sha256Sess)
    }
}

/// One challenge, from a 401 or a 407.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Whose users are meant; shown to people, and the key for the password.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// To be sent back as it is.
    pub opaque: Option<String>,
    /// The credentials were right, only their nonce is too old.
    pub stale: bool,
    /// None where this one isn't supported.
    pub algorithm: Option<Algorithm>,
    /// The qop values offered; empty means RFC 2069.
    pub qop: Vec<String>,
}

impl Challenge {
    /// Reads the value of WWW-Authenticate or Proxy-Authenticate; none when it isn't a Digest with realm and nonce.
    pub fn parse(value: &str) -> Option<Self> {
        let params = DigestParams::parse(value)?;
        Some(Challenge {
            realm: params.text("realm")?,
            nonce: params.text("nonce")?,
            opaque: params.text("opaque"),
            stale: params.text("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            algorithm: params.algorithm(),
            qop: params
                .text("qop")
                .map(|qop| qop.split(',').map(|q| text::trim(q).to_owned()).collect())
                .unwrap_or_default(),
        })
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest realm={}, nonce={}", text::quote(&self.realm), text::quote(&self.nonce))?;
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", text::quote(opaque))?;
        }
        if self.stale {
            f.write_str(", stale=true")?;
        }
        if let Some(algorithm) = self.algorithm {
            write!(f, ", algorithm={}", algorithm.as_str())?;
        }
        if !self.qop.is_empty() {
            write!(f, ", qop={}", text::quote(&self.qop.join(",")))?;
        }
        Ok(())
    }
}

/// Quality of protection of credentials, with what it brings along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qop {
    /// `auth`; others are read but never verified.
    pub name: String,
    /// The client's nonce.
    pub cnonce: String,
    /// How often this nonce was used, this time included.
    pub nonce_count: u32,
}

/// What a client answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User name, which may differ from the user of any URI.
    pub username: String,
    /// The challenge's realm.
    pub realm: String,
    /// The challenge's nonce.
    pub nonce: String,
    /// The Request-URI that the response was computed for.
    pub uri: String,
    /// The digest, in hexadecimal.
    pub response: String,
    /// None where this one isn't supported.
    pub algorithm: Option<Algorithm>,
    /// The challenge's opaque.
    pub opaque: Option<String>,
    /// None means RFC 2069.
    pub qop: Option<Qop>,
}

impl Credentials {
    /// Reads the value of Authorization or Proxy-Authorization; none when it isn't a complete Digest.
    pub fn parse(value: &str) -> Option<Self> {
        let params = DigestParams::parse(value)?;
        let qop = match params.text("qop") {
            Some(name) => Some(Qop {
                name,
                cnonce: params.text("cnonce")?,
                nonce_count: params
                    .text("nc")
                    .filter(|nc| nc.len() == 8)
                    .and_then(|nc| u32::from_str_radix(&nc, 16).ok())?,
            }),
            None => None,
        };
        Some(Credentials {
            username: params.text("username")?,
            realm: params.text("realm")?,
            nonce: params.text("nonce")?,
            uri: params.text("uri")?,
            response: params.text("response")?,
            algorithm: params.algorithm(),
            opaque: params.text("opaque"),
            qop,
        })
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest username={}, realm={}", text::quote(&self.username), text::quote(&self.realm))?;
        write!(f, ", nonce={}, uri={}", text::quote(&self.nonce), text::quote(&self.uri))?;
        write!(f, ", response={}", text::quote(&self.response))?;
        if let Some(algorithm) = self.algorithm {
            write!(f, ", algorithm={}", algorithm.as_str())?;
        }
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", text::quote(opaque))?;
        }
        if let Some(qop) = &self.qop {
            let name = text::quote_if_needed(&qop.name);
            write!(f, ", qop={name}, nc={:08x}, cnonce={}", qop.nonce_count, text::quote(&qop.cnonce))?;
        }
        Ok(())
    }
}

/// `Digest name=value, name="value", ...`.
struct DigestParams<'a>(Vec<(&'a str, &'a str)>);

impl<'a> DigestParams<'a> {
    /// More than any challenge has.
    const MAX: usize = 32;

    fn parse(value: &'a str) -> Option<Self> {
        let (scheme, params) = text::trim(value).split_once(text::is_space)?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let mut found = Vec::new();
        for piece in text::split_outside(params, b',').filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=')?;
            let (name, value) = (text::trim(name), text::trim(value));
            // A repeated parameter has no one meaning.
            let repeated = found.iter().any(|(known, _): &(&str, &str)| known.eq_ignore_ascii_case(name));
            if repeated
                || found.len() == Self::MAX
                || (value.starts_with('"') && !text::take_quoted(value)?.1.is_empty())
            {
                return None;
            }
            found.push((name, value));
        }
        Some(DigestParams(found))
    }

    fn text(&self, name: &str) -> Option<String> {
        let found = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| text::unquote(value).into_owned())
    }

    fn algorithm(&self) -> Option<Algorithm> {
        self.text("algorithm").map_or(Some(Algorithm::Md5), |name| Algorithm::parse(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_round_trip() {
        let text = "Digest realm=\"a, \\\"b\\\"\", nonce=\"n=\", opaque=\"\", stale=true, algorithm=SHA-256-sess, qop=\"auth,auth-int\"";
        let challenge = Challenge::parse(text).unwrap();
        assert_eq!(challenge.realm, "a, \"b\"");
        assert_eq!((challenge.algorithm, challenge.stale), (Some(Algorithm::Sha256Sess), true));
        assert_eq!(challenge.qop, ["auth", "auth-int"]);
        assert_eq!(challenge.to_string(), text);
        let old = Challenge::parse("digest  nonce = \"n\" ,realm=r").unwrap();
        assert_eq!((old.algorithm, old.qop.len(), old.realm.as_str()), (Some(Algorithm::Md5), 0, "r"));
        assert_eq!(Challenge::parse("Digest realm=r, nonce=n, algorithm=SHA-512-256").unwrap().algorithm, None);
    }

    #[test]
    fn credentials_round_trip() {
        let text = "Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:h\", response=\"00ff\", algorithm=MD5, \
                    qop=auth, nc=0000000a, cnonce=\"c\"";
        let credentials = Credentials::parse(text).unwrap();
        assert_eq!(credentials.qop.as_ref().unwrap().nonce_count, 10);
        assert_eq!(credentials.to_string(), text);
    }

    #[test]
    fn incomplete_or_ambiguous_values_are_refused() {
        for text in [
            "",
            "Digest",
            "Basic realm=r, nonce=n",
            "Digest realm=r",
            "Digest realm=r, nonce=n, nonce=m",
            "Digest realm=\"r, nonce=n",
            "Digest realm=\"r\"x, nonce=n",
            "Digest realm=r, nonce",
        ] {
            assert_eq!(Challenge::parse(text), None, "{text}");
        }
        let complete = "Digest username=u, realm=r, nonce=n, uri=\"sip:h\", response=0";
        assert!(Credentials::parse(complete).is_some());
        for lacking in ["qop=auth", "qop=auth, cnonce=c", "qop=auth, cnonce=c, nc=1", "qop=auth, cnonce=c, nc=0000000g"]
        {
            assert_eq!(Credentials::parse(&format!("{complete}, {lacking}")), None, "{lacking}");
        }
    }
}
