//! `sen`: one binary, every role.

mod admin;
mod apart;
mod backtest;
mod backup;
mod bench;
mod cli;
mod config;
mod copy;
mod export;
mod lags;
mod past;
mod probe;
mod shared_config;
mod sirens;
mod stages;
mod upstream;
mod vitals;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
