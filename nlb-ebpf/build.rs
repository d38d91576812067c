//! Hands the linker what rustc has no option for.

fn main() {
    // Headers lie at any alignment: without this, each field is read and written byte by byte. Every machine that
    // runs BPF at speed has such loads and stores, and the verifier allows them on packets where the machine does.
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("bpf") {
        println!("cargo:rustc-link-arg-bins=--cpu-features=+allows-misaligned-mem-access");
        // Else LLVM leaves every clearing and moving of memory to a loop over bytes: 60 ns a packet.
        println!("cargo:rustc-link-arg-bins=--disable-expand-memcpy-in-order");
    }
}
