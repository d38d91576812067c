//! Builds the XDP program for the BPF target, so that the binary carries it.
//!
//! The compiler is the rustup toolchain named `nlb-ebpf`, which `cargo xtask setup` makes; `NLB_EBPF_TOOLCHAIN` names
//! another one. It needs `rust-src`.

use anyhow::{Context as _, Result};
use aya_build::{Package, Toolchain};

fn main() -> Result<()> {
    let toolchain = std::env::var("NLB_EBPF_TOOLCHAIN").unwrap_or_else(|_| "nlb-ebpf".to_owned());
    println!("cargo:rerun-if-env-changed=NLB_EBPF_TOOLCHAIN");
    println!("cargo:rerun-if-changed=../nlb-common/src");
    // SAFETY: a build script's main thread is its only one here.
    unsafe {
        // `core` for the BPF target is built from source, which stable compilers do only when told so.
        std::env::set_var("RUSTC_BOOTSTRAP", "1");
    }
    let root_dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../nlb-ebpf");
    aya_build::build_ebpf([Package { name: "nlb-ebpf", root_dir, ..Package::default() }], Toolchain::Custom(&toolchain))
        .context("the XDP program did not build; `cargo xtask setup` installs what it needs")
}
