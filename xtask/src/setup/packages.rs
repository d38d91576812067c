//! Debian packages.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::sh;

/// A program and the package it comes with.
pub struct Tool {
    /// Its name in PATH.
    pub program: &'static str,
    package: &'static str,
}

/// What the tests and the demo run.
pub const TOOLS: [Tool; 6] = [
    Tool { program: "nginx", package: "nginx-light" },
    Tool { program: "ip", package: "iproute2" },
    Tool { program: "ethtool", package: "ethtool" },
    Tool { program: "ping", package: "iputils-ping" },
    Tool { program: "curl", package: "curl" },
    Tool { program: "openssl", package: "openssl" },
];

/// Packages of the tools that are not there.
pub fn missing() -> Vec<&'static str> {
    TOOLS.iter().filter(|tool| sh::find(tool.program).is_none()).map(|tool| tool.package).collect()
}

/// Whether this machine's package lists name a package.
pub fn offered(package: &str) -> bool {
    let policy = sh::quiet("apt-cache", ["policy", package]).unwrap_or_default();
    policy.lines().any(|line| line.trim().starts_with("Candidate:") && !line.contains("(none)"))
}

/// Fetches the package lists on a machine that has none yet.
///
/// # Errors
/// If it must be root and cannot.
pub fn refresh_if_never_done() -> Result<()> {
    let known = fs::read_dir("/var/lib/apt/lists").into_iter().flatten().flatten();
    let known = known.filter(|entry| entry.file_name().to_string_lossy().contains("Packages")).count();
    if known > 0 || sh::find("apt-get").is_none() {
        return Ok(());
    }
    println!("setup: fetching the package lists");
    sh::run(&mut as_root("apt-get", &["update", "-q"])?)
}

/// Installs packages, with what the shell script does around it.
///
/// # Errors
/// If there is no apt, or it must be root and cannot, or a package is not to be had.
pub fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if sh::find("apt-get").is_none() {
        bail!("this machine has no apt-get; install what these Debian packages hold, then try again: {list}");
    }
    println!("setup: installing {list}");
    let script = sh::root().join("scripts/apt-install");
    let script = script.to_str().context("the project lies in a directory whose name is not UTF-8")?;
    sh::run(&mut as_root(script, packages)?).with_context(|| format!("could not install {list}"))
}

/// Like [`sh::as_root`], but never asks for a password: setup also runs where nobody could type it.
fn as_root(program: &str, args: &[&str]) -> Result<Command> {
    let mut command = Command::new(if sh::is_root() { program } else { "sudo" });
    if !sh::is_root() {
        if !sh::sudo_works() {
            bail!("installing packages needs root; run this as root, then try again:\n  {program} {}", args.join(" "));
        }
        command.args(["-n", program]);
    }
    command.args(args);
    Ok(command)
}
