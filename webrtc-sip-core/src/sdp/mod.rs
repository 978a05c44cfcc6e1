//! SDP (RFC 8866): typed attributes over sdp-types, and the offer/answer engine (RFC 3264, RFC 9429).
