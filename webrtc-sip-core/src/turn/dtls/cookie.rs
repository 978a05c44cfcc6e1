//! The cookie exchange (RFC 6347 section 4.2.1): a client shows that it receives what is sent to its address, before
//! anything is kept for it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

const RECORD_HEADER_LEN: usize = 13;
const HANDSHAKE_HEADER_LEN: usize = 12;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;
const RANDOM_LEN: usize = 32;
pub(super) const COOKIE_LEN: usize = 32;
/// A cookie is taken for one to two of these.
const PERIOD: Duration = Duration::from_secs(60);

/// Length of a HelloVerifyRequest. Answers are never longer than what they answer.
const VERIFY_REQUEST_LEN: usize = RECORD_HEADER_LEN + HANDSHAKE_HEADER_LEN + 3 + COOKIE_LEN;

/// What counts here of a ClientHello in one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientHello<'a> {
    /// Whether the client speaks DTLS 1.2, or later and takes 1.2.
    pub(super) speaks_dtls12: bool,
    pub(super) random: &'a [u8; RANDOM_LEN],
    /// Empty in a client's first one.
    pub(super) cookie: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// None when the datagram doesn't begin with one. One in several fragments isn't taken: putting it together would
    /// need memory for strangers.
    pub(super) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (header, rest) = datagram.split_first_chunk::<RECORD_HEADER_LEN>()?;
        let epoch = [header[3], header[4]];
        let len = usize::from(u16::from_be_bytes([header[11], header[12]]));
        if header[0] != HANDSHAKE || epoch != [0, 0] || datagram.len() < VERIFY_REQUEST_LEN {
            return None;
        }
        let (header, body) = rest.get(..len)?.split_first_chunk::<HANDSHAKE_HEADER_LEN>()?;
        let whole = [&[0][..], &header[1..4]].concat() == (body.len() as u32).to_be_bytes();
        if header[0] != CLIENT_HELLO || !whole || header[6..9] != [0; 3] || header[9..12] != header[1..4] {
            return None;
        }
        // Version, random, session id, cookie (RFC 6347 section 4.3.2).
        let (version, rest) = body.split_first_chunk::<2>()?;
        let (random, rest) = rest.split_first_chunk::<RANDOM_LEN>()?;
        let (session_id_len, rest) = rest.split_first()?;
        let (cookie_len, rest) = rest.get(usize::from(*session_id_len)..)?.split_first()?;
        let cookie = rest.get(..usize::from(*cookie_len))?;
        // Versions of DTLS count downwards; later ones than 1.2 say so in an extension (RFC 9147 section 5.3).
        Some(ClientHello { speaks_dtls12: *version == [0xfe, 0xfd], random, cookie })
    }
}

/// A fatal alert, protocol_version (RFC 5246 section 7.2.2): DTLS 1.0 isn't spoken any more (RFC 8996).
pub(super) const WRONG_VERSION: [u8; RECORD_HEADER_LEN + 2] = [21, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 70];

/// Makes and checks cookies; keeps nothing.
pub(super) struct Cookies {
    key: hmac::Key,
    origin: Instant,
}

impl Cookies {
    pub(super) fn new(key: &[u8; 32], origin: Instant) -> Self {
        Cookies { key: hmac::Key::new(hmac::HMAC_SHA256, key), origin }
    }

    /// Whether a client at this address was given this cookie for this hello, and lately.
    pub(super) fn is_ours(&self, now: Instant, remote: SocketAddr, hello: &ClientHello<'_>) -> bool {
        let period = self.period(now);
        [period, period.wrapping_sub(1)]
            .iter()
            .any(|period| verify_slices_are_equal(&self.cookie(*period, remote, hello), hello.cookie).is_ok())
    }

    /// A HelloVerifyRequest. Its record has number 0, as the library's has, which goes on with 1.
    pub(super) fn verify_request(&self, now: Instant, remote: SocketAddr, hello: &ClientHello<'_>) -> Vec<u8> {
        // RFC 6347 section 4.2.1: DTLS 1.0, whatever is negotiated later.
        const VERSION: [u8; 2] = [0xfe, 0xff];
        const BODY_LEN: u8 = 3 + COOKIE_LEN as u8;
        let mut datagram = Vec::with_capacity(VERIFY_REQUEST_LEN);
        datagram.push(HANDSHAKE);
        datagram.extend_from_slice(&VERSION);
        datagram.extend_from_slice(&[0; 8]);
        datagram.extend_from_slice(&[0, HANDSHAKE_HEADER_LEN as u8 + BODY_LEN]);
        datagram.extend_from_slice(&[HELLO_VERIFY_REQUEST, 0, 0, BODY_LEN, 0, 0, 0, 0, 0, 0, 0, BODY_LEN]);
        datagram.extend_from_slice(&VERSION);
        datagram.push(COOKIE_LEN as u8);
        datagram.extend_from_slice(&self.cookie(self.period(now), remote, hello));
        datagram
    }

    fn period(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_secs() / PERIOD.as_secs()
    }

    fn cookie(&self, period: u64, remote: SocketAddr, hello: &ClientHello<'_>) -> [u8; COOKIE_LEN] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&period.to_be_bytes());
        match remote.ip() {
            IpAddr::V4(ip) => context.update(&ip.octets()),
            IpAddr::V6(ip) => context.update(&ip.octets()),
        }
        context.update(&remote.port().to_be_bytes());
        context.update(hello.random);
        let mut cookie = [0; COOKIE_LEN];
        cookie.copy_from_slice(context.sign().as_ref());
        cookie
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ClientHello with as much after the cookie as a real one has.
    fn hello(random: [u8; 32], session_id: &[u8], cookie: &[u8]) -> Vec<u8> {
        let mut body = [&[0xfe, 0xfd][..], &random].concat();
        for part in [session_id, cookie] {
            body.push(part.len() as u8);
            body.extend_from_slice(part);
        }
        body.extend_from_slice(&[0, 2, 0xc0, 0x2b, 1, 0]);
        let len = (body.len() as u32).to_be_bytes();
        let record_len = (body.len() as u16 + 12).to_be_bytes();
        let header = [&[22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 5][..], &record_len].concat();
        let message = [&[1][..], &len[1..], &[0, 0, 0, 0, 0], &len[1..], &body].concat();
        [header, message].concat()
    }

    #[test]
    fn a_client_hello_is_read_and_broken_ones_are_not() {
        let bytes = hello([7; 32], b"session", b"cookie");
        let parsed = ClientHello::parse(&bytes).unwrap();
        assert_eq!((parsed.random, parsed.cookie, parsed.speaks_dtls12), (&[7; 32], &b"cookie"[..], true));
        let mut older = bytes.clone();
        older[RECORD_HEADER_LEN + HANDSHAKE_HEADER_LEN + 1] = 0xff;
        assert!(!ClientHello::parse(&older).unwrap().speaks_dtls12);
        for len in 0..bytes.len() {
            assert_eq!(ClientHello::parse(&bytes[..len]), None, "{len}");
        }
        // Content type, epoch, message type, length, fragment offset, fragment length.
        for at in [0, 3, 4, 13, 14, 16, 19, 21, 22, 24] {
            let mut broken = bytes.clone();
            broken[at] ^= 1;
            assert_eq!(ClientHello::parse(&broken), None, "{at}");
        }
        let mut lying = bytes.clone();
        lying[RECORD_HEADER_LEN + HANDSHAKE_HEADER_LEN + 2 + 32] = 255;
        assert_eq!(ClientHello::parse(&lying), None);
    }

    #[test]
    fn a_cookie_is_for_one_hello_from_one_address_and_for_a_time() {
        let start = Instant::now();
        let cookies = Cookies::new(&[1; 32], start);
        let client: SocketAddr = "192.0.2.1:5000".parse().unwrap();
        let first = hello([7; 32], b"", b"");
        let request = cookies.verify_request(start, client, &ClientHello::parse(&first).unwrap());
        assert_eq!(request.len(), VERIFY_REQUEST_LEN);
        assert!(request.len() <= first.len(), "no amplification");
        let cookie = &request[VERIFY_REQUEST_LEN - COOKIE_LEN..];
        let is_ours = |now, remote: &str, random| {
            let bytes = hello(random, b"", cookie);
            cookies.is_ours(now, remote.parse().unwrap(), &ClientHello::parse(&bytes).unwrap())
        };
        assert!(is_ours(start, "192.0.2.1:5000", [7; 32]));
        assert!(is_ours(start + PERIOD, "192.0.2.1:5000", [7; 32]));
        assert!(!is_ours(start + 2 * PERIOD, "192.0.2.1:5000", [7; 32]));
        assert!(!is_ours(start, "192.0.2.1:5001", [7; 32]));
        assert!(!is_ours(start, "192.0.2.2:5000", [7; 32]));
        assert!(!is_ours(start, "192.0.2.1:5000", [8; 32]));
        let other = Cookies::new(&[2; 32], start);
        let bytes = hello([7; 32], b"", cookie);
        assert!(!other.is_ours(start, client, &ClientHello::parse(&bytes).unwrap()));
    }
}
