//! `cargo xtask demo`: the README's first command.

use anyhow::Result;

use crate::{build, setup, sh};

/// How the demo ends.
#[derive(clap::Args)]
pub struct Args {
    /// Leave everything up to play with, and say how to get in
    #[arg(long)]
    keep: bool,
    /// Remove what `--keep` left
    #[arg(long, conflicts_with = "keep")]
    clean: bool,
}

/// Builds the release and becomes the demo, as root.
pub fn run(args: &Args) -> Result<()> {
    setup::ensure()?;
    build::cargo_build(true, &["--package", "nlb-user", "--package", "nlb-tests"])?;
    let mut demo = sh::as_root(build::binary(true, "demo")?);
    demo.arg("--nlb").arg(build::binary(true, "nlb")?);
    demo.args(args.keep.then_some("--keep")).args(args.clean.then_some("--clean"));
    sh::become_(&mut demo)
}
