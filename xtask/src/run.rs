//! `cargo xtask run -- ARGS`: the controller on this machine's own interfaces.

use anyhow::Result;

use crate::{build, setup, sh};

/// What `nlb run` is given.
#[derive(clap::Args)]
pub struct Args {
    /// Arguments of `nlb run`, after `--`
    #[arg(last = true, required = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// Builds the release and becomes `nlb run ARGS`, as root.
pub fn run(args: &Args) -> Result<()> {
    setup::ensure()?;
    build::cargo_build(true, &["--package", "nlb-user"])?;
    let mut nlb = sh::as_root(build::binary(true, "nlb")?);
    sh::become_(nlb.arg("run").args(&args.args))
}
