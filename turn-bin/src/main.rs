//! `webrtc-sip-turn`: reads the command line, starts the TURN server, waits for signals.

use std::process::ExitCode;

use clap::Parser;
use turn_bin::args::Args;
use turn_bin::config::Config;

fn main() -> ExitCode {
    let args = Args::parse();
    let flags = args.flags.clone();
    shell::program::main("webrtc-sip-turn", &flags, move || Config::load(&args), turn_bin::run)
}
