//! Transports of one leg: WebRTC (ICE, DTLS, SRTP) and plain RTP.
