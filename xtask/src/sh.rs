//! Running other programs, and finding them.

use std::{
    env,
    ffi::OsStr,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Adds the directories in which setup's tools lie, but which a user's PATH may lack: cargo's own and the system's.
pub fn extend_path() {
    let mut dirs: Vec<PathBuf> = env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    let cargo_bin = cargo_home().map(|home| home.join("bin"));
    for dir in cargo_bin.into_iter().chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from)) {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    if let Ok(path) = env::join_paths(dirs) {
        // SAFETY: called first in main, while this is the only thread.
        unsafe { env::set_var("PATH", path) };
    }
}

fn cargo_home() -> Option<PathBuf> {
    let set = env::var_os("CARGO_HOME").map(PathBuf::from);
    set.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
}

/// Where a program lies in PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The cargo that runs us.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Whether we are root.
pub fn is_root() -> bool {
    quiet("id", ["-u"]).is_some_and(|id| id == "0")
}

/// Whether `sudo` works here without asking for a password.
pub fn sudo_works() -> bool {
    find("sudo").is_some() && quiet("sudo", ["-n", "true"]).is_some()
}

/// What a program prints, trimmed; `None` if it is not there or fails.
pub fn quiet<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = S>) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The command line as a user would type it.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs a program to its end, with our terminal.
///
/// # Errors
/// If it cannot be started or ends with anything but success.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!("{} is not installed", command.get_program().to_string_lossy()),
        _ => anyhow::Error::new(error).context(format!("cannot start `{}`", line(command))),
    })?;
    if !status.success() {
        bail!("`{}` failed ({status})", line(command));
    }
    Ok(())
}

/// Runs a program in our place, so that its exit code and the signals it gets are ours.
///
/// # Errors
/// Returns only if it cannot be started.
pub fn become_(command: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    Err(command.exec()).with_context(|| format!("cannot start `{}`", line(command)))
}

/// A program that has to be root: itself if we are, else through `sudo`, which may ask for the password.
pub fn as_root(program: impl AsRef<OsStr>) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg("-E").arg(program);
    command
}
