//! `webrtc-sip-gateway`: reads the command line, starts the gateway, waits for signals.

use std::process::ExitCode;

use clap::Parser;
use gateway_bin::args::Args;
use gateway_bin::config::Config;

fn main() -> ExitCode {
    let flags = Args::parse().flags;
    let file = flags.config.clone();
    shell::program::main("webrtc-sip-gateway", &flags, move || Config::load(file.as_deref()), gateway_bin::run)
}
