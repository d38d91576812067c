//! What can go wrong with maps, programs and pins, in sentences for the operator.

use std::{io, path::PathBuf};

use aya::maps::MapError;

use super::XdpMode;

/// A map that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} map {map}")]
pub struct MapIo {
    /// The map's name.
    pub map: &'static str,
    /// What was tried.
    pub operation: &'static str,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// A data plane that could not be started, attached, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    /// Not root.
    #[error("this needs root (or the capabilities {missing}): run it with sudo")]
    Privileges {
        /// The capabilities that are missing.
        missing: String,
    },
    /// The kernel is older than the oldest supported.
    #[error("the kernel is {found}, and Linux 6.1 or newer is needed")]
    Kernel {
        /// The kernel that runs.
        found: String,
    },
    /// The directory for pins is not on a BPF file system.
    #[error(
        "{dir} is not on a BPF file system, which keeps the data plane alive without its controller: \
         `mkdir -p {mount} && mount -t bpf bpf {mount}` makes one"
    )]
    NotBpffs {
        /// The directory that was asked for.
        dir: PathBuf,
        /// Where to mount one.
        mount: PathBuf,
    },
    /// Somebody else holds the directory.
    #[error("another controller ({}) runs this node (it holds {dir}): stop it first", holder(*.pid))]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The holder's process id, if it can be seen from here.
        pid: Option<u32>,
    },
    /// The pinned maps have another layout.
    #[error(
        "the maps in {dir} have layout version {found}, and this program needs version {needed}: run the version of \
         nlb that made them, or start over with --fresh, which drops all flows"
    )]
    OtherLayout {
        /// The directory.
        dir: PathBuf,
        /// The version of the pinned maps.
        found: u32,
        /// The version of this program.
        needed: u32,
    },
    /// The pinned maps are not what a controller of this version leaves behind.
    #[error("the data plane in {dir} is damaged ({what}): start over with --fresh, which drops all flows")]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Nothing is pinned.
    #[error("no data plane is pinned in {dir}: `nlb run` starts one (or name another directory with --config)")]
    NotRunning {
        /// The directory.
        dir: PathBuf,
    },
    /// The maps could not be made.
    #[error("cannot make the maps: {what}{}", .advice)]
    Create {
        /// What the loader said.
        what: String,
        /// What to do, or nothing.
        advice: String,
    },
    /// The program or its maps could not be loaded.
    #[error("cannot load the XDP program: {0}")]
    Load(String),
    /// The kernel's verifier refused the program.
    #[error("the kernel {kernel} refuses the XDP program ({source}); the verifier's last words:\n{log}")]
    Verifier {
        /// The kernel's version.
        kernel: String,
        /// The end of the verifier's log.
        log: String,
        /// What the system call returned.
        #[source]
        source: io::Error,
    },
    /// The program could not be attached.
    #[error("cannot attach to {interface} in {mode} mode: {why}")]
    Attach {
        /// The interface.
        interface: String,
        /// The mode that was asked for.
        mode: XdpMode,
        /// Why, and what to do.
        why: String,
    },
    /// Another program is attached.
    #[error(
        "{interface} already has an XDP program, `{program}` (id {id}), which is not ours: remove it \
         (`ip link set dev {interface} xdp off`, or stop whoever attached it), or use another interface"
    )]
    Occupied {
        /// The interface.
        interface: String,
        /// The other program's name.
        program: String,
        /// Its id.
        id: u32,
    },
    /// A file or a system call failed.
    #[error("cannot {doing}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A map could not be read or written.
    #[error(transparent)]
    Map(#[from] MapIo),
}

impl DataplaneError {
    /// That `doing` failed because of `source`.
    pub fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source }
    }
}

/// The kernel's answer inside an error of the loader's library.
pub(super) fn io_error(error: MapError) -> io::Error {
    match error {
        MapError::SyscallError(error) => error.io_error,
        MapError::IoError(error) | MapError::CreateError { io_error: error, .. } => error,
        other => io::Error::other(other),
    }
}

/// An error and everything below it, in one line.
pub(super) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        text = format!("{text}: {error}");
        below = error.source();
    }
    text
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "process".to_owned(), |pid| format!("pid {pid}"))
}
