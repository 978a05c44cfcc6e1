//! RTP and RTCP (RFC 3550), SRTP (RFC 3711), telephone events (RFC 4733).
