//! `cargo xtask build`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{setup, sh};

/// What to build.
#[derive(clap::Args)]
pub struct Args {
    /// Optimised, as `run` builds it
    #[arg(long)]
    release: bool,
}

/// Builds and says where the binary is.
pub fn run(args: &Args) -> Result<()> {
    setup::ensure()?;
    cargo_build(args.release, &["--package", "nlb-user"])?;
    println!("{}", binary(args.release, "nlb")?.display());
    Ok(())
}

/// Builds binaries of the workspace.
pub fn cargo_build(release: bool, packages: &[&str]) -> Result<()> {
    sh::run(sh::cargo().args(["build", "--bins"]).args(release.then_some("--release")).args(packages))
}

/// Where cargo puts what it builds: we lie in there ourselves.
pub fn target_dir() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    Ok(own.ancestors().nth(2).context("this program lies outside a target directory")?.to_owned())
}

/// Where a binary lies once it is built.
pub fn binary(release: bool, name: &str) -> Result<PathBuf> {
    Ok(target_dir()?.join(if release { "release" } else { "debug" }).join(name))
}
