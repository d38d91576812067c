//! `cargo xtask ci`: the one gate for every change.

use std::process::Command;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::{build, setup, sh, test};

/// What to check.
#[derive(clap::Args)]
pub struct Args {
    /// Only these parts
    #[arg(value_enum)]
    parts: Vec<Part>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// Formatting
    Fmt,
    /// Lints, of the host's code and of the XDP program
    Clippy,
    /// Documentation without a broken link
    Docs,
    /// `cargo xtask test`
    Test,
}

/// Runs the parts in order; the first that fails ends it.
pub fn run(args: &Args) -> Result<()> {
    setup::ensure()?;
    let parts = if args.parts.is_empty() { Part::value_variants() } else { &args.parts };
    for part in parts {
        match part {
            Part::Fmt => {
                setup::require("fmt")?;
                step("fmt", sh::cargo().args(["fmt", "--all", "--check"])).context("`cargo fmt --all` mends it")?;
            }
            Part::Clippy => {
                setup::require("clippy")?;
                clippy()?;
            }
            Part::Docs => {
                step("docs", sh::cargo().args(["doc", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))?;
            }
            Part::Test => test::run(&test::Args::default())?,
        }
    }
    Ok(())
}

fn clippy() -> Result<()> {
    const STRICT: [&str; 3] = ["--", "-D", "warnings"];
    step("clippy", sh::cargo().args(["clippy", "--workspace", "--exclude", "nlb-ebpf", "--all-targets"]).args(STRICT))?;

    // The XDP program is linted as a host crate: its own compiler comes without clippy. It uses what only nightly
    // compilers allow unasked, and cannot unwind. In a target directory of its own, so that none of that makes cargo
    // build the other crates anew.
    let mut program = sh::cargo();
    program.args(["clippy", "--package", "nlb-ebpf", "--bins"]).args(STRICT);
    program.env("RUSTC_BOOTSTRAP", "1").env("CARGO_PROFILE_DEV_PANIC", "abort");
    program.env("CARGO_TARGET_DIR", build::target_dir()?.join("clippy-ebpf"));
    step("clippy, XDP program", &mut program)
}

fn step(name: &str, command: &mut Command) -> Result<()> {
    println!("== {name}");
    sh::run(command)
}
