//! `cargo xtask ci`: the one gate for every change.

use std::process::Command;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::{setup, sh, test};

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
            Part::Fmt => step("fmt", sh::cargo().args(["fmt", "--all", "--check"]))
                .context("`cargo fmt --all` formats it; if rustfmt is missing: rustup component add rustfmt")?,
            Part::Clippy => clippy().context("if clippy is missing: rustup component add clippy")?,
            Part::Docs => {
                step("docs", sh::cargo().args(["doc", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))?;
            }
            Part::Test => test::run(&test::Args::default())?,
        }
    }
    Ok(())
}

/// The XDP program is linted as a host crate: the BPF target's compiler needs no clippy of its own that way. The
/// compiler calls it stable, so nightly features have to be asked for.
fn clippy() -> Result<()> {
    const STRICT: [&str; 3] = ["--", "-D", "warnings"];
    step("clippy", sh::cargo().args(["clippy", "--workspace", "--exclude", "nlb-ebpf", "--all-targets"]).args(STRICT))?;
    let mut ebpf = sh::cargo();
    ebpf.args(["clippy", "--package", "nlb-ebpf", "--bins"]).args(STRICT).env("RUSTC_BOOTSTRAP", "1");
    // A target directory of its own: with that variable set, cargo would build every other crate anew.
    ebpf.env("CARGO_TARGET_DIR", crate::build::target_dir()?.join("clippy-ebpf"));
    step("clippy, XDP program", &mut ebpf)
}

fn step(name: &str, command: &mut Command) -> Result<()> {
    println!("== {name}");
    sh::run(command)
}
