//! The demo: a network of namespaces, real servers, real clients, and the load balancer between them.
//!
//! `cargo xtask demo` builds and starts it. Everything it makes belongs to its process and goes with it, however that
//! ends; with `--keep` a process stays behind that holds it ([`keeper`]).

mod stop;

mod keeper;
mod resources;
mod scene;
mod story;
mod table;
mod traffic;

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Parser;

/// Balances real traffic in a network of namespaces, and shows what happens.
#[derive(Parser)]
#[command(name = "demo")]
struct Args {
    /// The `nlb` binary [default: the one of the same build]
    #[arg(long, value_name = "PATH")]
    nlb: Option<PathBuf>,
    /// Leave everything up to play with
    #[arg(long)]
    keep: bool,
    /// Remove what `--keep` left
    #[arg(long, conflicts_with = "keep")]
    clean: bool,
    /// Be the process that stays behind
    #[arg(long, hide = true, requires = "keep")]
    stay: bool,
}

fn main() -> ExitCode {
    match act(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _nobody_reads_it = writeln!(std::io::stderr(), "\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(args: Args) -> Result<()> {
    nlb_tests::require_root()?;
    stop::listen()?;
    if args.clean {
        return keeper::clean();
    }
    let nlb = args.nlb.map_or_else(nlb_tests::nlb::binary, Ok)?;
    if args.keep && !args.stay { keeper::start(&nlb) } else { story::tell(&nlb, args.keep) }
}
