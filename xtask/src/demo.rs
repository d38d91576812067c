//! `cargo xtask demo`: the README's first command.

use anyhow::Result;

use crate::{build, setup, sh, venv};

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

/// Builds what the tests use, too, and becomes the demo, as root. The program in the kernel is optimised in any case.
pub fn run(args: &Args) -> Result<()> {
    setup::ensure()?;
    build::cargo_build(false, &["--package", "nlb-user", "--package", "nlb-tests"])?;
    // With the `aws` client in it, the demo makes its resources as the guide's tutorial does; without, as a file.
    if !args.clean
        && let Err(error) = venv::ensure()
    {
        eprintln!("no aws client, so resources come from a file: {error:#}");
    }
    let mut demo = sh::as_root(build::binary(false, "demo")?);
    demo.arg("--nlb").arg(build::binary(false, "nlb")?);
    demo.args(args.keep.then_some("--keep")).args(args.clean.then_some("--clean"));
    sh::become_(&mut demo)
}
