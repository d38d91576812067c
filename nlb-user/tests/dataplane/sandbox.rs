//! A place where a test can do no harm: its thread's own network and mount namespaces, gone with the thread.

use std::{path::PathBuf, process::Command, thread};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    unistd::geteuid,
};
use nlb_user::dataplane::{Dataplane, Options, Pins};
use tempfile::TempDir;

/// Small flow tables: tests make many.
pub const OPTIONS: Options = Options { max_flows: 4096, fresh: false };

pub struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    /// Runs a test in a sandbox.
    pub fn run(test: impl FnOnce(&Sandbox) + Send) {
        if !geteuid().is_root() {
            println!("skipped: loading BPF programs needs root");
            return;
        }
        let run = || {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
            let dir = TempDir::with_prefix(format!("nlb-{}-", std::process::id())).unwrap();
            mount(Some("bpf"), dir.path(), Some("bpf"), MsFlags::empty(), None::<&str>).unwrap();
            test(&Sandbox { dir });
        };
        if let Err(panic) = thread::scope(|scope| scope.spawn(run).join()) {
            std::panic::resume_unwind(panic);
        }
    }

    /// Where the test pins.
    pub fn pins(&self) -> Pins {
        Pins::new(self.dir.path().join("node"))
    }

    /// The mount point of the BPF file system.
    pub fn bpffs(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// A started data plane.
    pub fn start(&self) -> Dataplane {
        Dataplane::start(&self.pins(), &OPTIONS).unwrap().0
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        umount2(self.dir.path(), MntFlags::MNT_DETACH).unwrap();
    }
}

/// Runs `ip` in the sandbox's network namespace.
pub fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The index of an interface in the sandbox.
pub fn ifindex(name: &str) -> u32 {
    nix::net::if_::if_nametoindex(name).unwrap()
}
