//! `webrtc-sip-gateway`: reads the command line, starts the gateway, waits for signals.

use std::process::ExitCode;

use clap::Parser;
use gateway_bin::args::Args;
use gateway_bin::config::{Config, ConfigError};
use gateway_bin::{StartError, telemetry};
use shell::signals;

/// Bad configuration, which a supervisor needn't try again.
const EXIT_CONFIGURATION: u8 = 2;
/// The control plane and HTTP need few threads; media has its own.
const MAX_RUNTIME_THREADS: usize = 4;

fn main() -> ExitCode {
    let args = Args::parse();
    let config = match Config::load(args.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return bad_configuration(&error),
    };
    if args.print_config {
        print!("{}", config.to_toml());
        return ExitCode::SUCCESS;
    }
    if args.check_config {
        return match gateway_bin::check(&config) {
            Ok(()) => {
                println!("The configuration is good.");
                ExitCode::SUCCESS
            }
            Err(error) => bad_configuration(&error),
        };
    }
    let level = telemetry::init(&config.log);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_RUNTIME_THREADS);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let result = runtime.map_err(StartError::Io).and_then(|runtime| {
        runtime.block_on(async {
            let reload = move || {
                let config = Config::load(args.config.as_deref())?;
                level.set(&config.log);
                Ok(config)
            };
            let signals = signals::listen(reload).map_err(StartError::Io)?;
            gateway_bin::run(config, signals).await
        })
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(StartError::Config(error)) => bad_configuration(&error),
        Err(error) => {
            eprintln!("webrtc-sip-gateway can't start: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bad_configuration(error: &ConfigError) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(EXIT_CONFIGURATION)
}
