//! The Python environment of the conformance suite and of the demo: pytest, boto3 and the `aws` command.
//!
//! It lies in `target/venv`, holds what `tests/conformance/requirements.txt` pins, and is made anew when that changes.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{build, setup::packages, sh};

/// The file that says what is installed, beside the environment's own.
const STAMP: &str = "requirements.txt";
/// Whether a Python can make environments, and is new enough for what is pinned.
const ABLE: &str = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))";

/// Makes the environment if it is not there or holds something else. Its directory.
///
/// # Errors
/// If there is no Python and none can be installed, or the packages are not to be had.
pub fn ensure() -> Result<PathBuf> {
    let dir = build::target_dir()?.join("venv");
    let requirements = sh::root().join("tests/conformance").join(STAMP);
    let wanted =
        fs::read_to_string(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let stamp = dir.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(dir);
    }
    println!("setup: making {} with what tests/conformance/{STAMP} names", dir.display());
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    sh::run(Command::new(python()?).args(["-m", "venv"]).arg(&dir))?;
    let mut pip = Command::new(dir.join("bin/python"));
    pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install", "--no-deps", "-r"]);
    sh::run(pip.arg(&requirements).env("PIP_ROOT_USER_ACTION", "ignore"))
        .context("the packages of the conformance suite could not be installed; they come from PyPI, or from where pip.conf says")?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(dir)
}

/// A Python that can make environments, Debian's if there is no other.
fn python() -> Result<&'static str> {
    const PYTHONS: [&str; 2] = ["python3", "/usr/bin/python3"];
    let find = || PYTHONS.into_iter().find(|python| sh::quiet(python, ["-c", ABLE]).is_some());
    if let Some(python) = find() {
        return Ok(python);
    }
    packages::install(&["python3-venv"])?;
    match find() {
        Some(python) => Ok(python),
        None => bail!("python3 is older than 3.10 or cannot make virtual environments; install a newer one"),
    }
}
