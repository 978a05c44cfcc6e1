//! The DTLS certificate: ECDSA on P-256, self-signed, known to the other side by its fingerprint only (RFC 8122).

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use super::CryptoProvider;
use super::der;

/// Browsers don't look at the validity of a DTLS certificate; a cluster keeps one for as long as it likes.
const VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// A peer whose clock is behind should still find the certificate valid.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3600);

const CERTIFICATE_LABEL: &str = "CERTIFICATE";
const KEY_LABEL: &str = "PRIVATE KEY";

/// Why a certificate can't be made or loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The text isn't PEM with one certificate and one PKCS #8 private key.
    #[error("not PEM with a CERTIFICATE and a PRIVATE KEY block")]
    Pem,
    /// The key isn't an ECDSA key on P-256 in PKCS #8.
    #[error("the private key is not an ECDSA P-256 key in PKCS #8")]
    Key,
    /// The certificate was not made for this key.
    #[error("the certificate does not contain the public half of the private key")]
    Mismatch,
    /// The cryptographic library refused.
    #[error("the key could not be made")]
    Generate,
}

/// A certificate with its private key. One per process or per cluster, given to every shard: calls that move between
/// instances need the same certificate on both.
#[derive(Clone)]
pub struct DtlsCertificate {
    certificate: Vec<u8>,
    private_key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for DtlsCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DtlsCertificate({})", format_fingerprint(&self.fingerprint_sha256()))
    }
}

impl DtlsCertificate {
    /// A new self-signed certificate (RFC 5280) for a new key.
    pub fn generate(crypto: &CryptoProvider, wall_clock: SystemTime) -> Result<Self, CertificateError> {
        let (key, pkcs8) = generate_key(crypto)?;
        let mut serial: [u8; 16] = crypto.bytes();
        // Positive, and no leading zero (RFC 5280 section 4.1.2.2). Firefox wants serial numbers that never repeat.
        serial[0] = (serial[0] & 0x7f) | 0x40;

        let signature_algorithm = der::sequence(&[der::oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])]);
        let common_name = der::sequence(&[der::oid(&[0x55, 0x04, 0x03]), der::utf8_string("WebRTC")]);
        let name = der::sequence(&[der::set(&[common_name])]);
        let not_before = wall_clock.checked_sub(CLOCK_SKEW).unwrap_or(SystemTime::UNIX_EPOCH);
        let not_after = wall_clock.checked_add(VALIDITY).unwrap_or(wall_clock);
        let key_algorithm = der::sequence(&[
            der::oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]),
            der::oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]),
        ]);
        let to_be_signed = der::sequence(&[
            der::explicit(0, &der::integer(&[2])),
            der::integer(&serial),
            signature_algorithm.clone(),
            name.clone(),
            der::sequence(&[der::time(not_before), der::time(not_after)]),
            name,
            der::sequence(&[key_algorithm, der::bit_string(key.public_key().as_ref())]),
        ]);
        let signature = key.sign(&SystemRandom::new(), &to_be_signed).map_err(|_| CertificateError::Generate)?;
        let certificate = der::sequence(&[to_be_signed, signature_algorithm, der::bit_string(signature.as_ref())]);
        Ok(DtlsCertificate { certificate, private_key: pkcs8 })
    }

    /// From a DER certificate and a DER PKCS #8 key.
    pub fn from_der(certificate: &[u8], private_key: &[u8]) -> Result<Self, CertificateError> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, private_key)
            .map_err(|_| CertificateError::Key)?;
        let public_key = key.public_key().as_ref();
        if !certificate.windows(public_key.len()).any(|window| window == public_key) {
            return Err(CertificateError::Mismatch);
        }
        Ok(DtlsCertificate { certificate: certificate.to_vec(), private_key: Zeroizing::new(private_key.to_vec()) })
    }

    /// From PEM text with a `CERTIFICATE` and a `PRIVATE KEY` block in either order (RFC 7468).
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let certificate = decode_pem(text, CERTIFICATE_LABEL)?;
        let private_key = decode_pem(text, KEY_LABEL)?;
        Self::from_der(&certificate, &private_key)
    }

    /// Both blocks as PEM text. A secret: it contains the private key.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut text = encode_pem(&self.certificate, CERTIFICATE_LABEL);
        text.push_str(&encode_pem(&self.private_key, KEY_LABEL));
        Zeroizing::new(text)
    }

    /// The certificate in DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    /// The private key in DER (PKCS #8).
    pub fn private_key_der(&self) -> &[u8] {
        &self.private_key
    }

    /// SHA-256 over the DER certificate, as signalled in `a=fingerprint:sha-256` (RFC 8122 section 5).
    pub fn fingerprint_sha256(&self) -> [u8; 32] {
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, &self.certificate).as_ref());
        fingerprint
    }
}

/// A fingerprint as SDP writes it: upper-case hexadecimal bytes with colons between (RFC 8122 section 5).
pub fn format_fingerprint(fingerprint: &[u8]) -> String {
    let bytes: Vec<String> = fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

fn generate_key(crypto: &CryptoProvider) -> Result<(EcdsaKeyPair, Zeroizing<Vec<u8>>), CertificateError> {
    // A draw outside 1..n-1 has a probability of 2^-32; eight in a row means a broken generator.
    for _ in 0..8 {
        let scalar = Zeroizing::new(crypto.bytes::<32>());
        let Ok(private) = PrivateKey::from_private_key(&ECDH_P256, scalar.as_slice()) else { continue };
        let public = private.compute_public_key().map_err(|_| CertificateError::Generate)?;
        let key = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            scalar.as_slice(),
            public.as_ref(),
        )
        .map_err(|_| CertificateError::Generate)?;
        let pkcs8 = key.to_pkcs8v1().map_err(|_| CertificateError::Generate)?;
        let pkcs8 = Zeroizing::new(pkcs8.as_ref().to_vec());
        return Ok((key, pkcs8));
    }
    Err(CertificateError::Generate)
}

fn encode_pem(der: &[u8], label: &str) -> String {
    let encoded = BASE64.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in encoded.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn decode_pem(text: &str, label: &str) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----")).ok_or(CertificateError::Pem)?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----")).ok_or(CertificateError::Pem)?;
    let body: Zeroizing<String> = Zeroizing::new(body.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    BASE64.decode(body.as_bytes()).map(Zeroizing::new).map_err(|_| CertificateError::Pem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

    fn generate() -> DtlsCertificate {
        DtlsCertificate::generate(&CryptoProvider::system(), SystemTime::now()).unwrap()
    }

    #[test]
    fn survives_storage_as_pem() {
        let made = generate();
        let loaded = DtlsCertificate::from_pem(&made.to_pem()).unwrap();
        assert_eq!(loaded.certificate_der(), made.certificate_der());
        assert_eq!(loaded.private_key_der(), made.private_key_der());
        assert_eq!(loaded.fingerprint_sha256(), made.fingerprint_sha256());
    }

    /// Tag, content and what follows a DER element.
    fn split_element(der: &[u8]) -> (u8, &[u8], &[u8]) {
        let (len, header) = match der[1] {
            0x81 => (usize::from(der[2]), 3),
            0x82 => (usize::from(u16::from_be_bytes([der[2], der[3]])), 4),
            short => (usize::from(short), 2),
        };
        (der[0], &der[header..header + len], &der[header + len..])
    }

    #[test]
    fn signs_itself() {
        let made = generate();
        let (_, parts, _) = split_element(made.certificate_der());
        let signed_len = parts.len() - split_element(parts).2.len();
        let (signed, rest) = parts.split_at(signed_len);
        let (_, bits, _) = split_element(split_element(rest).2);
        let signature = &bits[1..];
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, made.private_key_der()).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key().as_ref()).verify(signed, signature).unwrap();
    }

    #[test]
    fn two_are_never_alike() {
        assert_ne!(generate().fingerprint_sha256(), generate().fingerprint_sha256());
    }

    #[test]
    fn refuses_what_does_not_belong_together() {
        let (one, other) = (generate(), generate());
        let mixed = DtlsCertificate::from_der(one.certificate_der(), other.private_key_der());
        assert_eq!(mixed.unwrap_err(), CertificateError::Mismatch);
        assert_eq!(DtlsCertificate::from_der(one.certificate_der(), b"no key").unwrap_err(), CertificateError::Key);
        assert_eq!(DtlsCertificate::from_pem("nothing").unwrap_err(), CertificateError::Pem);
    }

    #[test]
    fn fingerprints_read_like_sdp() {
        assert_eq!(format_fingerprint(&[0xaf, 0x01, 0x2b]), "AF:01:2B");
    }
}
