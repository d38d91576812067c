//! `cargo xtask`: what a developer of the project does, one file per subcommand.
//!
//! Every subcommand begins with `setup`, which takes a fraction of a second once everything is there.

mod sh;

mod setup;

mod build;
mod ci;
mod demo;
mod leftovers;
mod run;
mod test;
mod venv;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Sets up, builds, runs, shows and tests the load balancer.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find or install everything that building, testing and the demo need
    Setup,
    /// Build `nlb`, the XDP program in it
    Build(build::Args),
    /// Build `nlb` and run the controller on this machine: `cargo xtask run -- --iface eth1 --apply lb.json`
    Run(run::Args),
    /// Balance real traffic in a network of namespaces, and show what happens
    Demo(demo::Args),
    /// Run all tests; the kernel's need root
    Test(test::Args),
    /// Run what every change must pass: fmt, clippy, docs, test
    Ci(ci::Args),
}

fn main() -> ExitCode {
    sh::extend_path();
    let done = match Args::parse().command {
        Command::Setup => setup::report(),
        Command::Build(args) => build::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Ci(args) => ci::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
