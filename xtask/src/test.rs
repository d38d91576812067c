//! `cargo xtask test`: the README's second command.

use anyhow::{Result, bail};

use crate::{build, leftovers::Leftovers, setup, sh, venv};

/// Cases of a property with `--long`; proptest's own default is 256.
const LONG: &str = "2000";

/// Which tests.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Try many more cases of each property and many more bad requests; takes minutes
    #[arg(long)]
    long: bool,
    /// Only one of the programs in tests/tests: conformance, end_to_end, golden, layout, network, verifier
    #[arg(long, value_name = "PROGRAM")]
    test: Option<String>,
    /// Only tests with this in their name
    filter: Option<String>,
}

/// Builds, runs the tests of the whole workspace, and looks whether they cleaned up.
pub fn run(args: &Args) -> Result<()> {
    setup::ensure()?;
    let root = sh::is_root();
    if !root && !sh::sudo_works() {
        bail!(
            "the kernel tests load BPF programs and make network namespaces, which needs root: run this as root, or \
             allow sudo without a password. Tests that need no root: cargo test -p nlb-common -p nlb-user"
        );
    }
    build::cargo_build(false, &["--package", "nlb-user", "--package", "nlb-tests"])?;
    // The other tests need none: the conformance suite itself fails without.
    if let Err(error) = venv::ensure() {
        eprintln!("warning: {error:#}");
    }

    let before = Leftovers::find();
    let mut cargo = sh::cargo();
    cargo.args(["test", "--workspace", "--exclude", "nlb-ebpf", "--features", "nlb-common/user", "--no-fail-fast"]);
    cargo.args(args.test.iter().flat_map(|test| ["--test", test]));
    cargo.args(&args.filter);
    if args.long {
        cargo.env("PROPTEST_CASES", LONG).env("NLB_LONG", "1");
    }
    if !root {
        // Only the test binaries become root; what cargo builds stays the user's.
        cargo
            .env(format!("CARGO_TARGET_{}_RUNNER", setup::host_triple()?.replace('-', "_").to_uppercase()), "sudo -nE");
    }
    let done = sh::run(&mut cargo);
    let left = Leftovers::find().since(&before);
    if !left.is_empty() {
        bail!("the tests left something behind:\n{left}");
    }
    done
}
