//! `cargo xtask setup`: finds what the project needs, installs what is missing, and says what it does.
//!
//! Three things: a compiler that can build `core` for BPF, a linker for BPF, and the programs that tests and the demo
//! run. What is found is used as it is; the second time, nothing is left to do.

mod compiler;
mod linker;
pub mod packages;

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};

use crate::{sh, venv};
use compiler::Compiler;

/// The subcommand: says what there is, too.
pub fn report() -> Result<()> {
    complete()?;
    let mut about = String::new();
    if let Compiler::Ready(what) = compiler::find() {
        about += &format!("compiler  {what}\n");
    }
    if let Ok(what) = linker::find() {
        about += &format!("linker    {what}\n");
    }
    about += &format!("programs  {}\n", packages::TOOLS.map(|tool| tool.program).join(", "));
    match venv::ensure() {
        Ok(dir) => about += &format!("python    {}\n", dir.display()),
        Err(error) => about += &format!("missing   {error:#}; only the conformance suite needs it\n"),
    }
    for missing in ["fmt", "clippy"].into_iter().filter_map(|part| require(part).err()) {
        about += &format!("missing   {missing}; only `cargo xtask ci` needs it\n");
    }
    std::io::stdout().write_all(about.as_bytes()).context("cannot write")?;
    Ok(())
}

/// What every other subcommand calls: silent if nothing is missing.
pub fn ensure() -> Result<()> {
    complete()
}

fn complete() -> Result<()> {
    let mut wanted = packages::missing();
    let linker = linker::find();
    if linker.is_err() && !linker::llvm_is_there() {
        wanted.extend(linker::PACKAGES);
    }
    let compiler = compiler::find();
    let mut rustup_must_download = false;
    if matches!(compiler, Compiler::Missing) {
        packages::refresh_if_never_done()?;
        match compiler::PACKAGES.iter().all(|package| packages::offered(package)) {
            true => wanted.extend(compiler::PACKAGES),
            false => rustup_must_download = true,
        }
    }
    if !wanted.is_empty() {
        packages::install(&wanted)?;
        let still = packages::missing();
        if !still.is_empty() {
            bail!("{} is installed, but its program is not in PATH", still.join(" "));
        }
    }
    if rustup_must_download {
        compiler::download()?;
    }
    match compiler::find() {
        Compiler::Ready(_) => {}
        Compiler::Linkable(sysroot) => compiler::link(&sysroot)?,
        Compiler::Missing => bail!(
            "no compiler for the XDP program: it takes rustc 1.95 or newer with `rust-src` of the same version, and an \
             LLVM no newer than {}; with rustup: rustup toolchain install {} --component rust-src",
            linker::LLVM,
            compiler::DATED
        ),
    }
    match linker {
        Ok(_) => Ok(()),
        Err(why) => linker::install(&why),
    }
}

/// Makes sure that cargo has `cargo fmt` or `cargo clippy`. rustup's own programs of that name prove nothing.
pub fn require(part: &str) -> Result<()> {
    let mut cargo = sh::cargo();
    if cargo.args([part, "--version"]).output().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    bail!(
        "`cargo {part}` is not there; get it with `rustup component add rustfmt clippy`, or beside Debian's toolchain with \
         `scripts/apt-install rustfmt-web rust-web-clippy`"
    );
}

/// The triple of this machine, as rustc names it.
pub fn host_triple() -> Result<String> {
    let version = sh::quiet("rustc", ["-vV"]).unwrap_or_default();
    match version.lines().find_map(|line| line.strip_prefix("host: ")) {
        Some(triple) => Ok(triple.to_owned()),
        None => bail!("`rustc -vV` does not name the host"),
    }
}
