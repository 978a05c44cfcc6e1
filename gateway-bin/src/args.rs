//! The command line.

use shell::program::Flags;

/// Joins browsers (WebRTC) to SIP telephony.
///
/// Without --config the embedded demo configuration is used. Environment variables override single values:
/// WSG_HTTP__LISTEN=127.0.0.1:9090
#[derive(Debug, clap::Parser)]
#[command(name = "webrtc-sip-gateway", version)]
pub struct Args {
    /// What every program has.
    #[command(flatten)]
    pub flags: Flags,
}
