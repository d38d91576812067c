//! The `nlb` command.

use std::process::ExitCode;

use clap::Parser as _;
use nlb_user::cli::{Cli, failure};

fn main() -> ExitCode {
    match Cli::parse().execute() {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has had enough (`nlb flow list | head`): neither a failure nor worth a word.
        Err(error) if failure::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            for line in failure::text(error.as_ref()).lines() {
                eprintln!("nlb: {line}");
            }
            ExitCode::FAILURE
        }
    }
}
