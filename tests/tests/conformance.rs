//! The conformance suite in `tests/conformance`: clients that know nothing of this project, written in Python, against
//! `nlb run --no-dataplane`. One test a directory of it, so that they share the processors.
//!
//! `cargo xtask test --test conformance` makes the environment that it runs in. One file alone:
//! `target/venv/bin/python -m pytest tests/conformance/resources/test_tags.py`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nlb_tests::nlb;

const DIRS: [&str; 4] = ["endurance", "node", "protocol", "resources"];

fn suite() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}

/// The interpreter of the environment that xtask makes, in the target directory of the running executable.
fn python() -> PathBuf {
    let own = std::env::current_exe().expect("the running test has a path");
    let found = own.ancestors().map(|dir| dir.join("venv/bin/python")).find(|path| path.exists());
    found.expect("no target/venv: run `cargo xtask setup`, which says what hinders it")
}

fn pytest(dir: &str) {
    let mut pytest = Command::new(python());
    pytest.args(["-m", "pytest", "-q", "--durations=5", dir]).current_dir(suite()).stdin(Stdio::null());
    pytest.env("NLB_BINARY", nlb::binary().expect("nlb is built")).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = pytest.output().expect("pytest can be started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "pytest {dir} ended with {}\n{text}", output.status);
    println!("{text}");
}

#[test]
fn endurance() {
    pytest("endurance");
}

#[test]
fn node() {
    pytest("node");
}

#[test]
fn protocol() {
    pytest("protocol");
}

#[test]
fn resources() {
    pytest("resources");
}

#[test]
fn every_file_of_the_suite_is_run() {
    let entries = fs::read_dir(suite()).expect("the suite is there").flatten();
    let with_tests = entries.filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with("test_") || (entry.path().is_dir() && !name.starts_with(['.', '_']))
    });
    let found: BTreeSet<String> = with_tests.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(found, DIRS.map(str::to_owned).into());
}
