//! The command line.

use std::path::PathBuf;

/// Joins browsers (WebRTC) to SIP telephony.
#[derive(Debug, clap::Parser)]
#[command(name = "webrtc-sip-gateway", version)]
pub struct Args {
    /// TOML file; without it the embedded demo configuration is used. Environment variables override single values:
    /// WSG_HTTP__LISTEN=127.0.0.1:9090
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Checks the configuration and exits: 0 when it is good, 2 with the reason when it isn't.
    #[arg(long)]
    pub check_config: bool,
    /// Prints the configuration in force, without secrets, and exits.
    #[arg(long)]
    pub print_config: bool,
}
