//! The compiler of the XDP program: any toolchain that carries the source of its own standard library.
//!
//! rustup knows it by a name of the project's own, so that a build script can ask for it and nothing else changes when
//! it is another one. Without rustup, the compiler in PATH has to do.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::linker;
use crate::sh;

/// A nightly whose LLVM is the linker's: what rustup installs if nothing else serves.
pub const DATED: &str = "nightly-2026-05-20";

/// Debian's toolchain for building browsers, newer than its release's own.
pub const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// The oldest release that builds the program.
const OLDEST: (u32, u32) = (1, 95);

/// What [`find`] finds.
pub enum Compiler {
    /// It can be used as it is; in words.
    Ready(String),
    /// A toolchain that rustup has still to be told the name of.
    Linkable(PathBuf),
    /// None.
    Missing,
}

/// Looks for a compiler: the one that has the name, then rustup's others, nightly first, then Debian's.
pub fn find() -> Compiler {
    let Some(rustup) = sh::find("rustup") else {
        let sysroot = sh::quiet("rustc", ["--print", "sysroot"]).map(PathBuf::from);
        return match sysroot.and_then(|sysroot| usable(&sysroot)) {
            Some(what) => Compiler::Ready(what),
            None => Compiler::Missing,
        };
    };
    let list = sh::quiet(rustup, ["toolchain", "list", "-v"]).unwrap_or_default();
    let mut toolchains: Vec<(&str, &Path)> = list.lines().filter_map(name_and_path).collect();
    let name = name();
    if let Some(what) = toolchains.iter().find(|(other, _)| *other == name).and_then(|(_, path)| usable(path)) {
        return Compiler::Ready(format!("{name}: {what}"));
    }
    toolchains.sort_by_key(|(other, _)| !other.starts_with("nightly"));
    toolchains.push(("Debian's", Path::new("/usr")));
    match toolchains.iter().find(|(_, path)| usable(path).is_some()) {
        Some((_, path)) => Compiler::Linkable(path.to_path_buf()),
        None => Compiler::Missing,
    }
}

/// The toolchain's name, which `nlb-user/build.rs` knows too.
fn name() -> String {
    env::var("NLB_EBPF_TOOLCHAIN").unwrap_or_else(|_| "nlb-ebpf".to_owned())
}

/// One line of `rustup toolchain list -v`: a name, remarks in parentheses, a path.
fn name_and_path(line: &str) -> Option<(&str, &Path)> {
    Some((line.split_whitespace().next()?, Path::new(&line[line.find('/')?..])))
}

/// What compiler lies in a directory, in words, if it can build the program.
fn usable(sysroot: &Path) -> Option<String> {
    if !sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").is_file() {
        return None;
    }
    let about = sh::quiet(sysroot.join("bin/rustc"), ["-vV"])?;
    let field = |name: &str| about.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let mut numbers = field("release")?.split('.').map_while(|number| number.parse::<u32>().ok());
    let release = (numbers.next()?, numbers.next()?);
    let llvm: u32 = field("LLVM version")?.split('.').next()?.parse().ok()?;
    let fits = release >= OLDEST && llvm <= linker::LLVM;
    fits.then(|| format!("{}, LLVM {llvm}, {}", about.lines().next().unwrap_or("rustc"), sysroot.display()))
}

/// Gives a toolchain the project's name.
///
/// # Errors
/// If rustup refuses.
pub fn link(sysroot: &Path) -> Result<()> {
    let name = name();
    println!("setup: naming the toolchain in {} {name}", sysroot.display());
    sh::run(Command::new("rustup").args(["toolchain", "link", &name]).arg(sysroot))
}

/// Has rustup fetch a toolchain.
///
/// # Errors
/// If there is no rustup or it cannot fetch it.
pub fn download() -> Result<()> {
    if sh::find("rustup").is_none() {
        bail!(
            "no compiler for the XDP program: this machine's packages do not offer {}; install rustup, then try again",
            PACKAGES.join(" ")
        );
    }
    println!("setup: fetching {DATED} with rust-src");
    let mut rustup = Command::new("rustup");
    rustup.args(["toolchain", "install", DATED, "--profile", "minimal", "--component", "rust-src"]);
    sh::run(&mut rustup).context("rustup could not fetch it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_rustup() {
        let of = |line| name_and_path(line).map(|(name, path)| (name, path.to_str().unwrap_or("")));
        assert_eq!(of("nlb-ebpf /usr"), Some(("nlb-ebpf", "/usr")));
        assert_eq!(of("stable-x86_64 (active, default) /a b/c"), Some(("stable-x86_64", "/a b/c")));
        assert_eq!(of("no installed toolchains"), None);
    }
}
