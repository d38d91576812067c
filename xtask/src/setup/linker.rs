//! The linker for BPF, `bpf-linker`.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::sh;

/// The LLVM it is built against: the first whose BPF back end reads packets at any alignment, and not older than the
/// compiler's own.
pub const LLVM: u32 = 22;

const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// The release whose options we use.
const RELEASE: &str = "0.13";

/// What building it takes.
pub const PACKAGES: [&str; 5] = ["llvm-22-dev", "libpolly-22-dev", "zlib1g-dev", "libzstd-dev", "g++"];

/// Whether all of that is there.
pub fn llvm_is_there() -> bool {
    let files = ["bin/llvm-config", "lib/libPolly.a"].map(|file| Path::new(LLVM_PREFIX).join(file));
    let headers = ["/usr/include/zlib.h", "/usr/include/zstd.h"].map(Path::new);
    files.iter().map(AsRef::as_ref).chain(headers).all(Path::exists) && sh::find("c++").is_some()
}

/// The linker in PATH, in words; or why there is none that fits.
pub fn find() -> Result<String, String> {
    let path = sh::find("bpf-linker").ok_or("it is not installed")?;
    let version = sh::quiet(&path, ["--version"]).ok_or_else(|| format!("{} does not run", path.display()))?;
    let number = version.strip_prefix("bpf-linker ").unwrap_or(&version);
    if !number.starts_with(&format!("{RELEASE}.")) {
        return Err(format!("{} is release {number}, not {RELEASE}", path.display()));
    }
    match llvm_of(&path) {
        Some(llvm) if llvm < LLVM => Err(format!("{} has LLVM {llvm}, not {LLVM}", path.display())),
        _ => Ok(format!("{version}, {}", path.display())),
    }
}

/// The LLVM that a binary is linked with; `None` if that cannot be told from outside.
fn llvm_of(path: &Path) -> Option<u32> {
    // Either `libLLVM.so.22.1` or `libLLVM-22.so.1`.
    let libraries = sh::quiet("ldd", [path])?;
    let (_, version) = libraries.split_once("libLLVM")?;
    let digits = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Builds and installs it with cargo.
///
/// # Errors
/// If it does not build, or its LLVM is not to be had.
pub fn install(why: &str) -> Result<()> {
    if !llvm_is_there() {
        bail!("LLVM {LLVM} is not in {LLVM_PREFIX}; the packages {} hold what bpf-linker needs", PACKAGES.join(" "));
    }
    println!("setup: building bpf-linker {RELEASE} ({why}); this takes about a minute");
    let mut cargo = sh::cargo();
    cargo.args(["install", "bpf-linker", "--version", &format!("^{RELEASE}"), "--force", "--quiet"]);
    cargo.args(["--no-default-features", "--features", &format!("llvm-{LLVM}")]).env("LLVM_PREFIX", LLVM_PREFIX);
    sh::run(&mut cargo).context("bpf-linker did not build")?;
    match find() {
        Ok(_) => Ok(()),
        Err(why) => bail!("bpf-linker was installed, but {why}; take the other one out of PATH"),
    }
}
