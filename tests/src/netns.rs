//! Network namespaces that are gone when their owner is.
//!
//! A namespace is held by a file descriptor, so the kernel removes it, with all interfaces in it, when the process ends,
//! even by SIGKILL. Each has mounts of its own, too: a `/sys` that shows its interfaces, and an empty BPF file system
//! on `/sys/fs/bpf`. Only [`Netns::named`] leaves a name on the machine, for people to `ip netns exec` into.

use std::{
    fs::File,
    io::Write as _,
    os::{
        fd::{AsRawFd as _, BorrowedFd, RawFd},
        unix::process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    sys::{prctl, signal::Signal},
};

/// Where an anonymous namespace has its BPF file system.
pub const BPFFS: &str = "/sys/fs/bpf";

/// A network namespace.
#[derive(Debug)]
pub struct Netns {
    name: String,
    net: File,
    /// Its mounts; a named one shares the machine's.
    mounts: Option<File>,
    /// Whether the name is to be removed in the end.
    remove: bool,
}

impl Netns {
    /// A namespace without a name on the machine; `name` is for messages. Its loopback is up.
    pub fn new(name: &str) -> Result<Self> {
        crate::require_root()?;
        let make = || -> Result<(File, File)> {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
            mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>)?;
            mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), None::<&str>)?;
            Ok((File::open("/proc/thread-self/ns/net")?, File::open("/proc/thread-self/ns/mnt")?))
        };
        // The thread leaves the namespaces of the process for good; the descriptors keep the new ones.
        let made = thread::scope(|scope| scope.spawn(make).join()).unwrap_or_else(|p| std::panic::resume_unwind(p));
        let (net, mounts) = made.with_context(|| format!("can't make the network namespace {name}"))?;
        let netns = Self { name: name.to_owned(), net, mounts: Some(mounts), remove: false };
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// A namespace that `ip netns` shows as `name`, removed when this value goes away unless [`Self::keep`] was called.
    /// It has no BPF file system of its own: see [`BpfFs`].
    pub fn named(name: &str) -> Result<Self> {
        crate::require_root()?;
        output(Command::new("ip").args(["netns", "add", name]))?;
        let net = File::open(Path::new("/run/netns").join(name))?;
        let netns = Self { name: name.to_owned(), net, mounts: None, remove: true };
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// Leaves a named namespace on the machine.
    pub const fn keep(&mut self) {
        self.remove = false;
    }

    /// The name given to it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A path that leads to it, for programs that take one. Valid as long as this value.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.net.as_raw_fd()).into()
    }

    /// Runs `work` in a thread inside, and waits for it.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let inside = || {
            self.enter().expect("root may enter the namespaces it has made");
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Moves the calling thread inside, for good. Threads it starts from then on are inside, too.
    pub fn enter(&self) -> Result<()> {
        if let Some(mounts) = &self.mounts {
            // A thread can only change its mounts if it shares no working directory with others.
            unshare(CloneFlags::CLONE_FS)?;
            setns(mounts, CloneFlags::CLONE_NEWNS)?;
        }
        setns(&self.net, CloneFlags::CLONE_NEWNET)?;
        Ok(())
    }

    /// A command that will run inside and is killed when the thread that starts it ends.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        let (net, mounts) = (self.net.as_raw_fd(), self.mounts.as_ref().map(File::as_raw_fd));
        let parent = std::process::id();
        // SAFETY: between fork and exec only system calls are made: no allocation, no lock.
        unsafe { command.pre_exec(move || move_child(net, mounts, parent)) };
        command
    }

    /// Runs the lines of `batch` as arguments of `ip`, all in one process.
    pub fn ip(&self, batch: &str) -> Result<()> {
        let mut command = self.command("ip");
        command.args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().context("can't run ip (package iproute2)")?;
        child.stdin.take().context("ip has no standard input")?.write_all(batch.as_bytes())?;
        let done = child.wait_with_output()?;
        if !done.status.success() {
            bail!("in namespace {}: {}\n{batch}", self.name, String::from_utf8_lossy(&done.stderr).trim());
        }
        Ok(())
    }

    /// Sets a sysctl, named by its path under `/proc/sys`.
    pub fn sysctl(&self, path: &str, value: &str) -> Result<()> {
        self.run(|| std::fs::write(Path::new("/proc/sys").join(path), value))
            .with_context(|| format!("can't set {path} to {value} in namespace {}", self.name))
    }

    /// Turns features of an interface on or off, as `ethtool -K` does.
    pub fn offload(&self, interface: &str, features: &[(Offload, bool)]) -> Result<()> {
        self.run(|| features.iter().try_for_each(|(feature, on)| feature.set(interface, *on)))
            .with_context(|| format!("can't change offloads of {interface} in namespace {}", self.name))
    }

    /// The index of an interface.
    pub fn index(&self, interface: &str) -> Result<u32> {
        self.run(|| nix::net::if_::if_nametoindex(interface))
            .with_context(|| format!("no interface {interface} in namespace {}", self.name))
    }

    /// The Ethernet address of an interface.
    pub fn mac(&self, interface: &str) -> Result<[u8; 6]> {
        let path = format!("/sys/class/net/{interface}/address");
        // A named namespace has no /sys of its own, but a child that mounts one is cheap.
        let text = match self.mounts {
            Some(_) => self.run(|| std::fs::read_to_string(&path))?,
            None => output(Command::new("ip").args(["netns", "exec", &self.name, "cat", &path]))?,
        };
        let mut mac = [0; 6];
        for (byte, digits) in mac.iter_mut().zip(text.trim().split(':')) {
            *byte = u8::from_str_radix(digits, 16)?;
        }
        Ok(mac)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if self.remove
            && let Err(error) = output(Command::new("ip").args(["netns", "del", &self.name]))
        {
            eprintln!("network namespace {} stays behind: {error:#}", self.name);
        }
    }
}

/// Connects two namespaces by a pair of virtual Ethernet interfaces.
pub fn veth((a, a_name): (&Netns, &str), (b, b_name): (&Netns, &str)) -> Result<()> {
    a.ip(&format!("link add {a_name} type veth peer name {b_name} netns {}", b.path().display()))
}

/// A feature that `ethtool -K` changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// `tx`: checksums of sent packets, and with them segmentation, are left to the other side.
    TxChecksum,
    /// `gro`: received segments are put together. On veth it also starts the queue that redirected frames need.
    Gro,
}

impl Offload {
    /// Sets it on an interface of the calling thread's namespace.
    fn set(self, interface: &str, on: bool) -> Result<()> {
        // ETHTOOL_STXCSUM and ETHTOOL_SGRO of linux/ethtool.h, with a struct ethtool_value.
        let command: u32 = match self {
            Self::TxChecksum => 0x17,
            Self::Gro => 0x2c,
        };
        let mut value = [command, u32::from(on)];
        // SAFETY: all bytes of the structure may be zero.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes().take(libc::IFNAMSIZ - 1)) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        // SAFETY: the request and the value it points to live until the call returns.
        let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
        nix::errno::Errno::result(done).with_context(|| format!("{self:?}"))?;
        Ok(())
    }
}

/// A BPF file system on a directory of the machine, unmounted when this value goes away.
#[derive(Debug)]
pub struct BpfFs(PathBuf);

impl BpfFs {
    /// Makes the directory if need be and mounts on it.
    pub fn mount(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        mount(Some("bpf"), dir, Some("bpf"), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("can't mount a BPF file system on {}", dir.display()))?;
        Ok(Self(dir.to_owned()))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Leaves it mounted.
    pub fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _gone_already = umount2(&self.0, MntFlags::MNT_DETACH);
            let _gone_already = std::fs::remove_dir(&self.0);
        }
    }
}

/// A child process that is killed when this value goes away.
#[derive(Debug)]
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _reaped_already = self.0.wait();
    }
}

/// In a child, before it becomes another program.
fn move_child(net: RawFd, mounts: Option<RawFd>, parent: u32) -> std::io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if nix::unistd::getppid().as_raw() as u32 != parent {
        // It ended before the line above.
        return Err(std::io::ErrorKind::BrokenPipe.into());
    }
    for (fd, kind) in [(mounts, CloneFlags::CLONE_NEWNS), (Some(net), CloneFlags::CLONE_NEWNET)] {
        if let Some(fd) = fd {
            // SAFETY: the owner of the namespace keeps it open; forking has copied it.
            setns(unsafe { BorrowedFd::borrow_raw(fd) }, kind)?;
        }
    }
    Ok(())
}

/// Runs a command to its end and returns what it printed; fails with what it said on standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let done = command.output().with_context(|| format!("can't run {:?}", command.get_program()))?;
    if !done.status.success() {
        bail!("{command:?}: {}: {}", done.status, String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_apart_and_has_its_own_bpf_file_system() {
        let netns = Netns::new("apart").unwrap();
        let names = netns.run(|| std::fs::read_dir("/sys/class/net").unwrap().count());
        assert_eq!(names, 1, "only loopback");
        netns.run(|| std::fs::create_dir("/sys/fs/bpf/here").unwrap());
        assert!(!Path::new("/sys/fs/bpf/here").exists());
        let text = output(netns.command("ls").arg(BPFFS)).unwrap();
        assert!(text.lines().any(|name| name == "here"), "{text}");
    }

    #[test]
    fn children_run_inside_and_end_with_their_owner() {
        let netns = Netns::new("children").unwrap();
        let child = Process(netns.command("sleep").arg("100").spawn().unwrap());
        let of = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        assert_eq!(of(child.0.id()), std::fs::read_link(netns.path()).unwrap());
        let path = format!("/proc/{}", child.0.id());
        drop(child);
        assert!(!Path::new(&path).exists());
    }

    #[test]
    fn pairs_connect_namespaces() {
        let (a, b) = (Netns::new("a").unwrap(), Netns::new("b").unwrap());
        veth((&a, "to-b"), (&b, "to-a")).unwrap();
        a.offload("to-b", &[(Offload::TxChecksum, false), (Offload::Gro, true)]).unwrap();
        assert_ne!(a.mac("to-b").unwrap(), b.mac("to-a").unwrap());
        assert!(a.index("to-a").is_err());
    }
}
