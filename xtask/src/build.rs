//! `cargo xtask build`.

use std::{
    io::{self, BufRead, BufReader, IsTerminal as _},
    path::PathBuf,
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};

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

/// Builds binaries of the workspace. The build script that makes the XDP program passes its cargo's progress on as
/// warnings, every time anew: these are left out.
pub fn cargo_build(release: bool, packages: &[&str]) -> Result<()> {
    let mut cargo = sh::cargo();
    cargo.args(["build", "--bins"]).args(release.then_some("--release")).args(packages);
    if io::stderr().is_terminal() {
        cargo.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = cargo.stderr(Stdio::piped()).spawn().context("cannot start cargo")?;
    let lines = child.stderr.take().map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok);
    lines.filter(|line| !is_inner_progress(line)).for_each(|line| eprintln!("{line}"));
    if !child.wait()?.success() {
        bail!("it did not build");
    }
    Ok(())
}

/// Whether a line is a `cargo:warning` that only says how far the build of the XDP program is.
fn is_inner_progress(line: &str) -> bool {
    const STEPS: [&str; 6] = ["Compiling", "Finished", "Downloading", "Downloaded", "Updating", "Blocking"];
    let Some((_, text)) = line.split_once(": nlb-user@").and_then(|(_, rest)| rest.split_once(": ")) else {
        return false;
    };
    // Colours are escape sequences that end with an m.
    let mut parts = text.split('\u{1b}');
    let plain = parts.next().unwrap_or_default().to_owned();
    let plain = parts.fold(plain, |plain, part| plain + part.split_once('m').map_or(part, |(_, rest)| rest));
    STEPS.iter().any(|step| plain.trim_start().starts_with(step))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_progress_is_left_out() {
        assert!(is_inner_progress("warning: nlb-user@0.1.0:    Compiling core v0.0.0 (/usr/lib)"));
        assert!(is_inner_progress(
            "\u{1b}[33mwarning\u{1b}[0m: nlb-user@0.1.0: \u{1b}[1m\u{1b}[92m    Finished\u{1b}[0m `release`"
        ));
        assert!(!is_inner_progress("warning: nlb-user@0.1.0: warning: unused variable: `x`"));
        assert!(!is_inner_progress("   Compiling nlb-user v0.1.0 (/src)"));
    }
}
