//! The computation (RFC 7616 section 3.4).

use aws_lc_rs::digest::{self, SHA256};
use md5::Digest as _;

use super::values::{Algorithm, Qop};
use crate::sip::method::Method;

/// What a digest is computed from, apart from the password.
pub(super) struct Inputs<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) username: &'a str,
    pub(super) realm: &'a str,
    pub(super) nonce: &'a str,
    pub(super) qop: Option<&'a Qop>,
    pub(super) method: &'a Method,
    pub(super) uri: &'a str,
}

impl Inputs<'_> {
    /// The `response` parameter, in lower-case hexadecimal.
    pub(super) fn response(&self, password: &str) -> String {
        let hash = |parts: &[&str]| hash(self.algorithm, parts);
        let mut a1 = hash(&[self.username, self.realm, password]);
        if self.algorithm.is_sess() {
            a1 = hash(&[&a1, self.nonce, self.qop.map_or("", |qop| &qop.cnonce)]);
        }
        let a2 = hash(&[self.method.as_str(), self.uri]);
        match self.qop {
            Some(qop) => hash(&[&a1, self.nonce, &format!("{:08x}", qop.nonce_count), &qop.cnonce, &qop.name, &a2]),
            None => hash(&[&a1, self.nonce, &a2]),
        }
    }
}

/// The hash of the parts with colons between them, in lower-case hexadecimal.
fn hash(algorithm: Algorithm, parts: &[&str]) -> String {
    let joined = parts.join(":");
    match algorithm {
        Algorithm::Md5 | Algorithm::Md5Sess => hex(&md5::Md5::digest(joined.as_bytes())),
        Algorithm::Sha256 | Algorithm::Sha256Sess => hex(digest::digest(&SHA256, joined.as_bytes()).as_ref()),
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).expect("a nibble is a hexadecimal digit");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(algorithm: Algorithm, realm: &str, nonce: &str, qop: Option<&Qop>, password: &str) -> String {
        let method = &Method::Other("GET".into());
        Inputs { algorithm, username: "Mufasa", realm, nonce, qop, method, uri: "/dir/index.html" }.response(password)
    }

    fn auth(cnonce: &str) -> Qop {
        Qop { name: "auth".into(), cnonce: cnonce.into(), nonce_count: 1 }
    }

    /// RFC 7616 section 3.9.1.
    #[test]
    fn the_examples_of_rfc_7616() {
        let qop = auth("f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ");
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let response = |algorithm| get(algorithm, "http-auth@example.org", nonce, Some(&qop), "Circle of Life");
        assert_eq!(response(Algorithm::Md5), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(response(Algorithm::Sha256), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    }

    /// No RFC prints these; they were computed step by step with Python's hashlib, from the inputs of RFC 7616 section
    /// 3.9.1.
    #[test]
    fn the_sess_variants() {
        let qop = auth("f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ");
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let response = |algorithm| get(algorithm, "http-auth@example.org", nonce, Some(&qop), "Circle of Life");
        assert_eq!(response(Algorithm::Md5Sess), "e783283f46242139c486a698fec7211d");
        assert_eq!(response(Algorithm::Sha256Sess), "2fd51b3a77ad75bad6afad6003e818d767133c46d9e2749e7f5232ae1ea3efd7");
    }

    /// RFC 2617 section 3.5, and the erratum 749 of RFC 2069 section 2.4.
    #[test]
    fn the_examples_of_rfc_2617_and_2069() {
        let (realm, nonce) = ("testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093");
        let with_qop = get(Algorithm::Md5, realm, nonce, Some(&auth("0a4f113b")), "Circle Of Life");
        assert_eq!(with_qop, "6629fae49393a05397450978507c4ef1");
        let without = get(Algorithm::Md5, realm, nonce, None, "CircleOfLife");
        assert_eq!(without, "1949323746fe6a43ef61f9606e7febea");
    }
}
