//! The directory where the data plane is pinned, and the lock that says whose it is.
//!
//! Maps are pinned under their names, the program under its own, links under `link-` and the index of their interface:
//! names on a BPF file system may not have dots, interfaces' names may.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};
use nlb_common::layout::{PROGRAM, map};

use super::DataplaneError;

const LINK: &str = "link-";

/// A directory on a BPF file system: what is pinned there outlives the controller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pins(PathBuf);

/// While this lives, no other controller runs this node. Released by the kernel when the process dies.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its lock")] Flock<File>);

impl Pins {
    /// The directory `dir`, which need not exist.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// Where the map of this name is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Where the program is pinned.
    pub fn program(&self) -> PathBuf {
        self.0.join(PROGRAM)
    }

    /// Where the link of the interface with this index is pinned.
    pub fn link(&self, ifindex: u32) -> PathBuf {
        self.0.join(format!("{LINK}{ifindex}"))
    }

    /// The interface indices of all pinned links, those of interfaces that are gone among them.
    ///
    /// # Errors
    /// If the directory can't be read. One that does not exist has no links.
    pub fn links(&self) -> Result<Vec<u32>, DataplaneError> {
        let listed = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed,
        };
        let names =
            listed.and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>());
        let names = names.map_err(|source| DataplaneError::io(format!("list {}", self.0.display()), source))?;
        let mut links: Vec<u32> =
            names.iter().filter_map(|name| name.to_str()?.strip_prefix(LINK)?.parse().ok()).collect();
        links.sort_unstable();
        Ok(links)
    }

    /// The names of the maps that are pinned.
    pub fn maps(&self) -> Vec<&'static str> {
        map::ALL.into_iter().filter(|name| self.map(name).exists()).collect()
    }

    /// Makes the directory, on a BPF file system that is there already.
    ///
    /// # Errors
    /// If there is none: it is the operator's to mount.
    pub fn prepare(&self) -> Result<(), DataplaneError> {
        let existing = self.0.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
        let system = statfs(existing)
            .map_err(|error| DataplaneError::io(format!("look at {}", existing.display()), error.into()))?;
        if system.filesystem_type() != BPF_FS_MAGIC {
            // A distribution's own mount point is there, only empty; anywhere else the directory itself will do.
            let usual = Path::new("/sys/fs/bpf");
            let mount = if self.0.starts_with(usual) { usual.to_owned() } else { self.0.clone() };
            return Err(DataplaneError::NotBpffs { dir: self.0.clone(), mount });
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
            .map_err(|source| DataplaneError::io(format!("make the directory {}", self.0.display()), source))
    }

    /// Makes this process the node's only controller, as long as the lock lives. Makes the directory if need be.
    ///
    /// # Errors
    /// [`DataplaneError::Locked`] if there is another controller, and those of [`Self::prepare`].
    pub fn lock(&self) -> Result<Lock, DataplaneError> {
        let io = |source| DataplaneError::io(format!("lock {}", self.0.display()), source);
        loop {
            self.prepare()?;
            let dir = File::options().read(true).custom_flags(libc::O_DIRECTORY).open(&self.0).map_err(io)?;
            let about = dir.metadata().map_err(io)?;
            let lock = match Flock::lock(dir, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => lock,
                Err((_, Errno::EWOULDBLOCK)) => {
                    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
                    let pid = holder(&locks, about.dev(), about.ino());
                    return Err(DataplaneError::Locked { dir: self.0.clone(), pid });
                }
                Err((_, error)) => return Err(io(error.into())),
            };
            // The last holder may have removed the directory while this one had it open.
            if fs::metadata(&self.0).is_ok_and(|now| (now.dev(), now.ino()) == (about.dev(), about.ino())) {
                return Ok(Lock(lock));
            }
        }
    }
}

/// Who holds the lock on the file with this number on this device, by the text of `/proc/locks`: lines like
/// `1: FLOCK  ADVISORY  WRITE 1234 00:1c:5678 0 EOF`, which show processes of other PID namespaces as 0.
fn holder(locks: &str, dev: u64, inode: u64) -> Option<u32> {
    let file = format!("{:02x}:{:02x}:{inode}", libc::major(dev), libc::minor(dev));
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            // A line of a waiting process has `->` in front.
            [_, "FLOCK", _, _, pid, at, ..] if at == file => pid.parse().ok().filter(|pid| *pid != 0),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 00:1c:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 22 00:1c:77 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 33 00:1c:77 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 0 00:1c:78 0 EOF\n";
        assert_eq!(holder(locks, libc::makedev(0, 0x1c), 77), Some(22));
        assert_eq!(holder(locks, libc::makedev(0, 0x1c), 78), None, "a process of another PID namespace");
        assert_eq!(holder(locks, libc::makedev(0, 0x1d), 77), None);
    }

    #[test]
    fn the_command_that_mounts_is_said() {
        let text = Pins::new("/tmp/nlb-none/pins").prepare().unwrap_err().to_string();
        assert!(text.contains("mount -t bpf bpf /tmp/nlb-none/pins"), "{text}");
        let text = DataplaneError::NotBpffs { dir: "/sys/fs/bpf/nlb".into(), mount: "/sys/fs/bpf".into() }.to_string();
        assert!(text.contains("mount -t bpf bpf /sys/fs/bpf`"), "{text}");
    }
}
